"""The models of a study: from its words to predictions.

A ``ModelSpec`` and features by patient enter; unfitted models and results leave.
"""

import inspect
import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from radlatent.cohort import Endpoint
from radlatent.errors import SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion import (
    MODELS,
    SURVIVAL_MODELS,
    Combat,
    Result,
    check_inputs,
    cross_validate,
    late_fusion,
    make_folds,
    outcome_of,
    select_blocks,
    site_folds,
    tune,
)
from radlatent.schema import nearest
from radlatent.study.plan import ModelSpec, Study

__all__ = ["Patients", "build", "deal", "rehearse", "steps_of", "validate"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Patients:
    """Features by patient: one table, and one a fold where encoders were fitted.

    Parameters
    ----------
    table
        What does not depend on a fold.
    folded
        The same with latent features; None without an encoder.
    sites
        Site of each patient, missing where the cohort does not tell.
    """

    table: pd.DataFrame
    folded: FoldedFeatures | None
    sites: pd.Series

    def select(self, blocks: tuple[str, ...]) -> pd.DataFrame | FoldedFeatures:
        """Return the columns of some blocks, from the folds only where they must."""
        if self.folded is None:
            return select_blocks(self.table, blocks)
        chosen = self.folded.map(lambda table: select_blocks(table, blocks))
        if set(chosen.columns) <= set(self.table):
            return self.table[list(chosen.columns)]
        return chosen


def build(spec: ModelSpec, kind: str, sites: pd.Series) -> BaseEstimator:
    """Return the unfitted model that a study names.

    Parameters
    ----------
    spec
        The model.
    kind
        Of the endpoint.
    sites
        Site of each patient, for `Combat`.

    Raises
    ------
    SchemaError
        The family is not for such an endpoint, or an option or a setting of the grid
        is not known.
    """
    families = MODELS if kind == "class" else SURVIVAL_MODELS
    if spec.model not in families:
        msg = (
            f"model {spec.label!r}: {spec.model!r} is not for an endpoint of kind "
            f"{kind!r}; these are: {list(families)}."
        )
        raise SchemaError(msg)
    builder = families[spec.model]
    known = inspect.signature(builder).parameters
    if spec.combat and "prepare" not in known:
        msg = f"model {spec.label!r}: {spec.model!r} takes no combat; leave it out."
        raise SchemaError(msg)
    for option in spec.options.keys() - known.keys():
        msg = (
            f"model {spec.label!r}: unknown option {option!r}{nearest(option, known)} "
            f"(known are {list(known)})."
        )
        raise SchemaError(msg)
    options = dict(spec.options)
    if spec.combat:
        harmonized = {"combat": Combat(sites, unseen=spec.combat)}
        options["prepare"] = options.get("prepare", {}) | harmonized
    model = builder(**options)
    if spec.late:
        model = late_fusion(dict.fromkeys(spec.blocks, model))
    return tune(model, spec.grid) if spec.grid else model


def steps_of(model: BaseEstimator) -> list[str]:
    """Return what a model does in each fold, one text a step."""
    model = getattr(model, "estimator", model)  # of a search
    blocks = list(getattr(model, "models", {}).values())
    found = getattr(blocks[0] if blocks else model, "steps", [("", model)])
    told = [" ".join(str(step).split()) for _, step in found]
    return [*told, f"stacked over {len(blocks)} blocks"] if blocks else told


def deal(plan: Study, endpoint: Endpoint, sites: pd.Series) -> pd.DataFrame:
    """Return the **folds** table of a study."""
    if plan.folds.leave_site_out:
        return site_folds(sites.loc[endpoint.frame.index])
    return make_folds(endpoint, **plan.folds.model_dump(exclude={"leave_site_out"}))


def rehearse(
    plan: Study, patients: Patients, endpoint: Endpoint, folds: pd.DataFrame
) -> None:
    """Walk the rest of the path on noise, so that faults show before the long work.

    Raises
    ------
    SchemaError
        A model cannot be built, or cannot be fitted on these columns.
    """
    rng = np.random.default_rng(0)
    for spec in plan.models:
        chosen = patients.select(spec.blocks)
        check_inputs(chosen, endpoint, folds)
        shape = (len(chosen.index), len(chosen.columns))
        noise = pd.DataFrame(rng.standard_normal(shape), chosen.index, chosen.columns)
        try:
            model = build(spec, endpoint.kind, patients.sites)
            model = model.estimator if spec.grid else model
            model.fit(noise.loc[endpoint.frame.index], outcome_of(endpoint))
        except (TypeError, ValueError) as error:
            msg = f"model {spec.label!r} with options {spec.options}: {error}"
            raise SchemaError(msg) from error


def validate(
    plan: Study,
    patients: Patients,
    endpoint: Endpoint,
    folds: pd.DataFrame,
    jobs: int | None,
) -> list[Result]:
    """Return the result of every model of a study."""
    results = []
    for spec in plan.models:
        _log.info("%s on %s", spec.label, spec.told)
        features = patients.select(spec.blocks)
        model = build(spec, endpoint.kind, patients.sites)
        names = {"name": spec.label, "blocks": spec.told, "jobs": jobs}
        results.append(cross_validate(model, features, endpoint, folds, **names))
    return results
