"""Fitted estimators become parts: a function for each class that can be kept.

A fitted estimator enters, a `Part` leaves. A new family of models is one more function
with ``@freeze.register``, and its part an entry of ``PARTS``.
"""

from functools import singledispatch

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from radlatent.errors import SchemaError
from radlatent.fusion.models.late import (
    FLOOR,
    LateFusion,
    LateFusionCompeting,
    LateFusionNumbers,
    LateFusionSurvival,
)
from radlatent.fusion.solvers.boosted import Boosted, BoostedNumbers, BoostedSurvival
from radlatent.fusion.solvers.calibrated import SurvivalPipeline
from radlatent.fusion.solvers.competing import (
    CauseSpecificCox,
    CompetingPipeline,
    FineGray,
)
from radlatent.fusion.solvers.cox import CoxRegression
from radlatent.fusion.solvers.forest import SurvivalForest
from radlatent.fusion.solvers.linear import PenalizedLinear, ScaledSVR
from radlatent.fusion.solvers.signs import SignAverage, SignAverageClassifier
from radlatent.fusion.solvers.sparse import SparingLogistic, SparseLogistic
from radlatent.fusion.solvers.weibull import WeibullRegression
from radlatent.fusion.steps.combat import Combat
from radlatent.fusion.validation.tuning import Tuned
from radlatent.model.outcomes import (
    BoostersNumbers,
    Causes,
    ForestNumbers,
    Hazards,
    LateCompeting,
    LateNumbers,
    Line,
    MachineNumbers,
)
from radlatent.model.parts import (
    Breslow,
    Chain,
    Fill,
    Keep,
    Late,
    LateSurvival,
    Linear,
    Machine,
    Part,
    Scale,
    Sites,
    Weibull,
    Weighted,
)
from radlatent.model.trees import Boosters, BoostersSurvival, Forest, ForestSurvival

__all__ = ["PARTS", "check_known", "freeze"]

#: Everything that a folder may hold, by name.
PARTS = {
    part.__name__: part
    for part in (
        Boosters,
        BoostersNumbers,
        BoostersSurvival,
        Breslow,
        Causes,
        Chain,
        Fill,
        Forest,
        ForestNumbers,
        ForestSurvival,
        Hazards,
        Keep,
        Late,
        LateCompeting,
        LateNumbers,
        LateSurvival,
        Line,
        Linear,
        Machine,
        MachineNumbers,
        Scale,
        Sites,
        Weibull,
        Weighted,
    )
}


def check_known(model: BaseEstimator) -> None:
    """Raise before the first fit where a model could not be kept.

    Parameters
    ----------
    model
        Fitted or not.

    Raises
    ------
    SchemaError
        A step of it is of a class that no function here is for.
    """
    unknown = sorted(
        {type(one).__name__ for one in _leaves(model) if not _is_known(one)}
    )
    if unknown:
        known = sorted(kind.__name__ for kind in freeze.registry if kind is not object)
        msg = f"{', '.join(unknown)} cannot be kept as a final model (known: {known})."
        raise SchemaError(msg)


def _leaves(model):
    if isinstance(model, Tuned):
        # a candidate may be a whole step
        lots = [value for values in model.param_grid.values() for value in values]
        inside = [model.estimator, *(v for v in lots if isinstance(v, BaseEstimator))]
    elif isinstance(model, Pipeline):
        inside = [step for _, step in model.steps]
    elif isinstance(model, _LATE):
        inside = list(model.models.values())
    elif isinstance(model, CalibratedClassifierCV):
        inside = [step for _, step in getattr(model.estimator, "steps", ())[:-1]]
    else:
        return [model]
    return [leaf for one in inside for leaf in _leaves(one)]


def _is_known(step):
    return step == "passthrough" or freeze.dispatch(type(step)) is not _UNKNOWN


@singledispatch
def freeze(fitted: BaseEstimator) -> Part:
    """Return the numbers that a fitted estimator predicts with.

    Raises
    ------
    SchemaError
        There is no function for its class.
    """
    msg = f"{type(fitted).__name__} cannot be kept as a final model."
    raise SchemaError(msg)


_UNKNOWN = freeze.dispatch(object)

_LATE = LateFusion | LateFusionNumbers | LateFusionSurvival | LateFusionCompeting


@freeze.register
def _(fitted: Tuned) -> Part:
    return freeze(fitted.best_estimator_)


@freeze.register
def _(fitted: Pipeline) -> Part:
    *before, model = (step for _, step in fitted.steps if step != "passthrough")
    steps, head = [freeze(step) for step in before], freeze(model)
    if isinstance(head, Chain):
        return Chain((*steps, *head.steps), head.head, head.curve)
    curve = _curve(fitted.curve_) if isinstance(fitted, SurvivalPipeline) else None
    if isinstance(fitted, CompetingPipeline):
        curves = fitted.curves_[: len(head.coef)]
        ends = [(c.coef_[0], c.center_[0]) if c else (0.0, 0.0) for c in curves]
        curve = _hazards(curves, ends, isinstance(model, CauseSpecificCox))
    return Chain(tuple(steps), head, curve)


def _curve(fitted):
    line = {"coef": float(fitted.coef_[0]), "center": float(fitted.center_[0])}
    if isinstance(fitted, WeibullRegression):
        return Weibull(**line, shape=fitted.shape_, scale=fitted.scale_)
    base = fitted.baseline_
    return Breslow(**line, times=base.times, hazard=base.hazard, last=base.last)


@freeze.register
def _(fitted: SelectorMixin) -> Keep:
    return Keep(fitted.get_support())


@freeze.register
def _(fitted: SimpleImputer) -> Fill:
    return Fill(fitted.statistics_.astype(np.float64))


@freeze.register
def _(fitted: StandardScaler) -> Scale:
    return Scale(fitted.mean_, fitted.scale_)


@freeze.register
def _(fitted: Combat) -> Sites:
    levels = {name: tuple(known) for name, known in fitted.levels_.items()}
    covariates = () if fitted.covariates is None else tuple(fitted.covariates)
    return Sites(
        tuple(str(name) for name in fitted.sites_),
        fitted.mean_,
        fitted.sd_,
        fitted.shift_,
        fitted.ratio_,
        fitted.fitted_,
        fitted.slopes_,
        fitted.center_,
        covariates,
        levels,
        fitted.reference,
        fitted.unseen,
    )


@freeze.register
def _(fitted: LogisticRegression) -> Linear:
    return Linear(fitted.coef_, fitted.intercept_)


@freeze.register(SparingLogistic)
@freeze.register(SparseLogistic)
def _(fitted: SparingLogistic | SparseLogistic) -> Linear:
    return Linear(fitted.coef_, fitted.intercept_)


@freeze.register
def _(fitted: CalibratedClassifierCV) -> Chain:
    # one machine of all patients: ensemble=False
    [calibrated] = fitted.calibrated_classifiers_
    *before, machine = (step for _, step in calibrated.estimator.steps)
    sigmoids = calibrated.calibrators
    head = Machine(
        machine.support_vectors_,
        np.asarray(machine.dual_coef_),
        machine.intercept_,
        np.asarray(machine.n_support_, dtype=np.int64),
        _width(machine),
        np.array([one.a_ for one in sigmoids]),
        np.array([one.b_ for one in sigmoids]),
    )
    return Chain(tuple(freeze(step) for step in before), head)


@freeze.register
def _(fitted: ScaledSVR) -> MachineNumbers:
    machine = fitted.machine_
    return MachineNumbers(
        machine.support_vectors_,
        machine.dual_coef_[0],
        float(machine.intercept_[0]),
        _width(machine),
        float(fitted.center_),
        float(fitted.spread_),
    )


def _width(machine):
    """Return gamma of a machine whose parameter may be a word."""
    if machine.gamma == "scale":
        return float(machine._gamma)
    if machine.gamma == "auto":
        return 1 / machine.n_features_in_
    return float(machine.gamma)


@freeze.register
def _(fitted: RandomForestClassifier) -> Forest:
    grown, values = _grown(fitted)
    return Forest(**grown, values=values / values.sum(axis=1, keepdims=True))


@freeze.register
def _(fitted: RandomForestRegressor) -> ForestNumbers:
    grown, values = _grown(fitted)
    return ForestNumbers(**grown, values=values)


@freeze.register
def _(fitted: SurvivalForest) -> ForestSurvival:
    trees = fitted.forest_
    return ForestSurvival(
        trees.roots,
        *(trees.nodes[0], trees.threshold, trees.nodes[1], trees.nodes[2]),
        trees.values[:, None],
        fitted.least_,
    )


def _grown(forest):
    """Return the arrays of all trees, one after the other, and what nodes hold."""
    trees = [one.tree_ for one in forest.estimators_]
    sizes = np.array([tree.node_count for tree in trees])
    roots = np.cumsum(sizes) - sizes
    moved = np.repeat(roots, sizes)

    def joined(name):
        return np.concatenate([getattr(tree, name) for tree in trees])

    left = joined("children_left")
    found = {
        "roots": roots,
        "column": np.where(left >= 0, joined("feature"), -1),
        "threshold": joined("threshold"),
        "left": left + moved,
        "right": joined("children_right") + moved,
    }
    return found, np.concatenate([tree.value[:, 0] for tree in trees])


@freeze.register
def _(fitted: Boosted) -> Boosters:
    booster = fitted.booster_
    return Boosters(bytes(booster.save_raw("json")), booster.num_boosted_rounds())


@freeze.register
def _(fitted: BoostedNumbers) -> BoostersNumbers:
    booster = fitted.booster_
    scale = float(fitted.center_), float(fitted.spread_)
    raw = bytes(booster.save_raw("json"))
    return BoostersNumbers(raw, booster.num_boosted_rounds(), *scale)


@freeze.register
def _(fitted: BoostedSurvival) -> BoostersSurvival:
    booster = fitted.booster_
    sign = 1.0 if fitted.objective == "cox" else -1.0
    raw = bytes(booster.save_raw("json"))
    return BoostersSurvival(raw, booster.num_boosted_rounds(), sign)


@freeze.register
def _(fitted: PenalizedLinear) -> Line:
    return Line(fitted.coef_, fitted.intercept_)


@freeze.register
def _(fitted: CoxRegression) -> Weighted:
    return Weighted(fitted.coef_, fitted.center_)


@freeze.register
def _(fitted: WeibullRegression) -> Weighted:
    return Weighted(fitted.coef_, fitted.center_)


@freeze.register
def _(fitted: SignAverage) -> Weighted:
    return Weighted(fitted.coef_, np.zeros_like(fitted.coef_), float(fitted.intercept_))


@freeze.register
def _(fitted: SignAverageClassifier) -> Linear:
    line = fitted.calibration_
    slope = line.coef_[0, 0] / fitted.scale_
    intercept = slope * fitted.intercept_ + line.intercept_
    return Linear(slope * fitted.coef_[None], np.asarray(intercept))


@freeze.register
def _(fitted: LateFusion) -> Late:
    return Late(*_late(fitted), freeze(fitted.fuse_), FLOOR)


@freeze.register
def _(fitted: LateFusionNumbers) -> LateNumbers:
    return LateNumbers(*_late(fitted), freeze(fitted.fuse_), FLOOR)


@freeze.register
def _(fitted: LateFusionSurvival) -> LateSurvival:
    fuse = fitted.fuse_
    base = fuse.baseline_
    curve = Breslow(1.0, 0.0, base.times, base.hazard, base.last)
    return LateSurvival(*_late(fitted), freeze(fuse), FLOOR, curve)


@freeze.register
def _(fitted: FineGray) -> Causes:
    # the incidence of the cause of interest needs no model of the others
    first = fitted.models_[0]
    return Causes(first.coef_[None], first.center_)


@freeze.register
def _(fitted: CauseSpecificCox) -> Causes:
    models, first = fitted.models_, fitted.models_[0]
    nothing = np.zeros_like(first.coef_)
    coef = np.stack([nothing if one is None else one.coef_ for one in models])
    own = _hazards(models, [(1.0, 0.0)] * len(models), specific=True)
    return Causes(coef, first.center_, own, float(first.baseline_.times[-1]))


@freeze.register
def _(fitted: LateFusionCompeting) -> LateCompeting:
    fuse = fitted.fuse_
    curve = _hazards(fuse.models_[:1], [(1.0, 0.0)], specific=False)
    return LateCompeting(*_late(fitted), freeze(fuse), FLOOR, curve)


def _hazards(models, ends, specific):
    """Return the baselines of models of causes, with weight and center of a risk."""
    bases = [getattr(one, "baseline_", None) for one in models]
    return Hazards.of(bases, ends, specific=specific)


def _late(fitted):
    """Return blocks, center and scale of the scores."""
    known = [*fitted.feature_names_in_]
    blocks = []
    for block, model in fitted.models_.items():
        places = np.array([known.index(name) for name in fitted.columns_[block]])
        part = freeze(model)
        blocks.append((places, part if isinstance(part, Chain) else Chain((), part)))
    return tuple(blocks), fitted.center_, fitted.scale_
