"""What happens to columns before a model of any outcome: one Pipeline.

A model and its `Preparation` enter, an unfitted scikit-learn Pipeline leaves.
Imputation, scaling and selection are inside it, so that ``cross_validate`` fits them on
training patients only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import pandas as pd
from sklearn.base import BaseEstimator, clone, is_regressor
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from radlatent.errors import SchemaError
from radlatent.fusion.solvers.calibrated import SurvivalPipeline
from radlatent.fusion.solvers.competing import ByCause, CompetingPipeline
from radlatent.fusion.solvers.survival import SurvivalModel
from radlatent.fusion.steps.combat import Combat
from radlatent.fusion.steps.filters import (
    DropCorrelated,
    DropNearConstant,
    Selector,
    Sparing,
    StableColumns,
)
from radlatent.fusion.steps.selection import (
    CONTINUOUS_SELECTIONS,
    SELECTIONS,
    SURVIVAL_SELECTIONS,
)
from radlatent.schema import nearest

__all__ = ["Preparation", "pipeline"]

#: What leaves columns out.
_CHOOSING = (Selector, VarianceThreshold)

#: Kind of outcome to what ``select`` may name, and a model that selects by itself.
_SELECTIONS = {
    "class": (SELECTIONS, "logistic(penalty='lasso')"),
    "survival": (SURVIVAL_SELECTIONS, "cox(l1_ratio=1)"),
    "continuous": (CONTINUOUS_SELECTIONS, "elastic_net()"),
}


@dataclass(frozen=True, eq=False)
class Preparation:
    """What is done to the columns before a model sees them; all on training patients.

    Parameters
    ----------
    select
        How the columns of a model are chosen: "univariate", by the one-way F for the
        classes, the concordance with survival or the |correlation| with a number, of
        classes "mrmr", and of classes and numbers "elastic_net" or "boruta". None is
        "univariate" where the model is given ``n_features``. The first two need
        ``n_features``; for the others it is the most they keep.
    correlation
        Of columns with a larger |Spearman correlation| the one is kept that
        "univariate" would put first; before the choice.
    near_constant
        Columns in which more than this share of the patients have one value are
        dropped first: once moved by `Combat` they would have one a site. None drops
        only what is constant.
    stability
        The selector that keeps repeatable columns, or the table of ICCs for one that
        wants 0.75 from the lower limit.
    combat
        An unfitted `Combat`, before missing values are filled in.
    """

    select: str | None = None
    correlation: float | None = None
    near_constant: float | None = None
    stability: StableColumns | pd.DataFrame | None = None
    combat: Combat | None = None

    def __post_init__(self):
        if self.select is not None and self.select not in SELECTIONS:
            hint = nearest(self.select, SELECTIONS)
            msg = f"unknown select {self.select!r}{hint} (known are {[*SELECTIONS]})."
            raise SchemaError(msg)

    @classmethod
    def of(cls, prepare: "Preparation | dict | None") -> "Preparation":
        """Return what a user gave: a `Preparation`, its fields, or None for neither.

        Raises
        ------
        SchemaError
            There is no such field, or no such selection.
        """
        if isinstance(prepare, cls):
            return prepare
        known, given = [field.name for field in fields(cls)], prepare or {}
        unknown = [f"{k!r}{nearest(k, known)}" for k in given if k not in known]
        if unknown:
            msg = f"prepare: unknown {', '.join(unknown)} (known are {known})."
            raise SchemaError(msg)
        return cls(**given)

    def before_outcome(self) -> list[tuple[str, BaseEstimator]]:
        """Return the steps that do not look at the outcome, the first first."""
        steps = []
        if self.near_constant is not None:
            # Combat needs to know the patients
            drop = DropNearConstant(self.near_constant).set_output(transform="pandas")
            steps.append(("near_constant", drop))
        if self.combat is not None:
            steps.append(("combat", clone(self.combat)))
        if self.stability is not None:
            known = isinstance(self.stability, StableColumns)
            stable = clone(self.stability) if known else StableColumns(self.stability)
            steps.append(("stability", stable))
        return [
            *steps,
            ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("drop_constant", VarianceThreshold()),
            ("scale", StandardScaler()),
        ]

    def by_outcome(
        self, n_features: int | None, *, kind: str = "class"
    ) -> list[tuple[str, BaseEstimator]]:
        """Return the steps that look at the outcome, the first first.

        Raises
        ------
        SchemaError
            The selection needs ``n_features``, or classes where there are none.
        """
        known, sparse, steps = *_SELECTIONS[kind], []
        if self.select is not None and self.select not in known:
            msg = (
                f"select={self.select!r} looks at classes, and the outcome is {kind}:"
                f" take one of {[*known]}, or a model that leaves columns out, "
                f"{sparse}."
            )
            raise SchemaError(msg)
        if self.select in ("univariate", "mrmr") and n_features is None:
            msg = f"select={self.select!r} needs n_features: how many columns to keep."
            raise SchemaError(msg)
        if self.correlation is not None:
            first = "correlated" if kind == "continuous" else "relevant"
            drop = DropCorrelated(self.correlation, keep=first)
            steps.append(("correlation", drop))
        if self.select or n_features is not None:
            steps.append(("select", known[self.select or "univariate"](n_features)))
        return steps


def pipeline(
    name: str,
    model: BaseEstimator,
    *,
    n_features: int | None = None,
    prepare: Preparation | dict | None = None,
    unpenalized: str | Sequence[str] = (),
) -> Pipeline:
    """Return a model behind impute, scale and select, and what else ``prepare`` says.

    Parameters
    ----------
    name
        Of the last step.
    model
        The unfitted last step; a `SurvivalModel` gets a `SurvivalPipeline`, one of
        competing events a `CompetingPipeline`.
    n_features
        Columns to keep, None for all.
    prepare
        A `Preparation`, or its fields.
    unpenalized
        Blocks, patterns or columns that no filter and no selection looks at.

    Raises
    ------
    SchemaError
        There is no such field or selection, or it is not for this outcome.
    """
    plan, survival = Preparation.of(prepare), isinstance(model, SurvivalModel)
    kind = "continuous" if is_regressor(model) else "class"
    kind = "survival" if survival else kind
    steps = [*plan.before_outcome(), *plan.by_outcome(n_features, kind=kind)]
    if len(unpenalized):
        steps = [
            (step, Sparing(one, unpenalized) if isinstance(one, _CHOOSING) else one)
            for step, one in steps
        ]
    if not survival and not len(unpenalized):
        return Pipeline([*steps, (name, model)])
    if not survival:
        kind = Pipeline
    else:
        kind = CompetingPipeline if isinstance(model, ByCause) else SurvivalPipeline
    # tables between steps, so that columns and patients can be told by name
    return kind([*steps, (name, model)]).set_output(transform="pandas")
