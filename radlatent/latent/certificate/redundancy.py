"""The certificate of non-redundancy: what latent features still say about hand-crafted.

Two **features** tables and the patients of their rows enter; a table a latent feature
and a table an estimator leave. No single estimator sees every kind of dependence, and
a discriminator that was fooled once may be fooled again: five others look as well.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from radlatent.errors import SchemaError
from radlatent.features.folds import deal
from radlatent.latent.certificate import dependence as dep
from radlatent.latent.certificate import discriminator as disc
from radlatent.latent.certificate import prediction as pred
from radlatent.latent.certificate.permutations import (
    adjusted_p_values,
    block_orders,
    p_values,
    widened,
)
from radlatent.schema import check_features

__all__ = ["Redundancy", "redundancy"]

_N_BOOT = 1000
_MIN_PATIENTS = 20

_METHOD = {
    "r2_linear": "mean held-out R2 of ridge regression",
    "r2_trees": "mean held-out R2 of boosted trees",
    "distance_correlation_squared": "bias-corrected, of the whole blocks",
    "hsic": "unbiased, normalized, Gaussian kernels of median bandwidth, of the whole "
    "blocks",
    "mutual_information": "mean over features, nats, 3 nearest neighbors, with the "
    "held-out prediction: a lower bound",
    "discriminator_auc": "fresh networks, true against shuffled held-out pairs",
}

#: Estimators of whole tables, without folds: the matrix that each compares.
_KERNELS = {
    "distance_correlation_squared": dep.distances,
    "hsic": dep.gaussian_kernel,
}

_OVERALL = ["estimator", "estimate", "lower", "upper", "level", "p"]
_OVERALL += ["expected_if_independent", "n_features", "n_dependent"]
_OVERALL += ["n_cases", "n_movable", "n_patients", "method"]


@dataclass(frozen=True, eq=False)
class _Evidence:
    """What one estimator found.

    Parameters
    ----------
    whole
        The statistic of the whole block, observed and under each order, shape
        (1 + n_permutations,).
    n_movable
        Rows of patients that have someone to be exchanged with.
    features
        The statistic of each feature, shape (1 + n_permutations, n_features); None
        where there is none.
    draws
        The estimate under draws of patients, shape (n_boot,) or (n_boot, n_features);
        None where there is no interval.
    """

    whole: np.ndarray
    n_movable: int
    features: np.ndarray | None = None
    draws: np.ndarray | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Redundancy:
    """How much latent features depend on hand-crafted ones on held-out rows.

    Parameters
    ----------
    features
        One row a latent feature: ``feature, active``; for each of ``r2_linear,
        r2_trees, distance_correlation_squared, hsic, mutual_information`` the
        estimate, ``<estimator>_p`` and ``<estimator>_p_adjusted``; for both R2
        ``<estimator>_lower, <estimator>_upper``; ``level``. NaN where a feature is not
        active.
    overall
        One row an estimator: ``estimator, estimate, lower, upper, level, p,
        expected_if_independent, n_features, n_dependent, n_cases, n_movable,
        n_patients, method``. ``n_features`` counts active features, ``n_dependent``
        those whose adjusted p is at most ``1 - level``.
    """

    features: pd.DataFrame
    overall: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """One row an estimator, as a paper needs it."""
        wanted = ["estimator", "estimate", "lower", "upper", "level", "p"]
        wanted += ["expected_if_independent", "n_dependent", "n_features"]
        return self.overall[[*wanted, "n_cases", "n_patients"]]

    def plot(self, ax=None, **kwargs):
        """Draw the held-out R2 of each feature on ``ax`` and return it."""
        from radlatent.figures.latents.certificate import redundancy

        return redundancy(self.features, ax, **kwargs)

    def __repr__(self) -> str:
        row = self.overall.iloc[0]
        estimates = self.overall.set_index("estimator")["estimate"].round(3)
        return (
            f"Redundancy({row['n_cases']} cases, {row['n_patients']} patients, "
            f"{row['n_features']} of {len(self.features)} features active, "
            f"{estimates.to_dict()})"
        )

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def redundancy(
    handcrafted: pd.DataFrame,
    latent: pd.DataFrame,
    patients: pd.Series,
    *,
    n_permutations: int = 500,
    n_folds: int = 5,
    level: float = 0.95,
    random_state: int | np.random.Generator | None = 0,
) -> Redundancy:
    """Measure how much latent features depend on hand-crafted ones.

    Parameters
    ----------
    handcrafted, latent
        **features** tables of the same rows, in any order, without NaN. The encoder
        must not have been fitted on these rows: on its own training rows it looks less
        redundant than it is.
    patients
        ``patient_id`` of each row, by the index of the tables; more rows are put up
        with.
    n_permutations
        Orders that each test compares with.
    n_folds
        Folds of patients; a row is predicted by models that saw none of its patient.
    level
        Coverage that the intervals aim at.
    random_state
        Seed or Generator of folds, orders, draws and networks.

    Raises
    ------
    SchemaError
        Rows of the tables differ, a row has NaN or no patient, a hand-crafted column is
        constant, no latent column varies, or patients are too few. All at once.

    Notes
    -----
    A latent feature that varies by less than 1e-6 of its size (float32 rounding) is not
    active: it has a row with NaN, and counts in no mean.

    *R2*: 1 - SSE / SST against the mean of the training rows, so that 0 is no
    information and overfitting is negative. Intervals are percentiles of 1000 draws of
    patients with replacement; models are not fitted again, so the intervals leave out
    what other training patients would change and are too narrow. Distance correlation,
    HSIC and mutual information have none: a drawn row meets its own copies at distance
    0, which looks like dependence.

    *Mutual information* with many hand-crafted columns is not measurable by neighbors
    at such sizes (the estimate falls to 0). It is measured with one number instead, the
    mean of the linear and the trees' held-out prediction. A function of hand-crafted
    features cannot say more than they do, so the true value of what is estimated is a
    lower bound; dependence of the spread alone is not in it.

    *p*: the share of orders in which whole patients were exchanged (`block_orders`)
    with a statistic at least as large. For R2, mutual information and the AUC patients
    are exchanged within folds and nothing is fitted again, and permuted values are
    `widened` for what folds share; those p-values are approximate, those of distance
    correlation and HSIC are exact. ``n_movable`` rows of patients that have a partner
    with as many rows take part; the others stay, which costs power, not validity.
    Adjusted p-values are those of `adjusted_p_values`.

    A large p is no proof of independence: see what the intervals exclude.

    References
    ----------
    Kraskov et al. 2004, doi:10.1103/PhysRevE.69.066138; Székely and Rizzo 2013,
    doi:10.1016/j.jmva.2013.02.012; Song et al. 2012,
    https://jmlr.org/papers/v13/song12a.html; Lopez-Paz and Oquab 2017 (classifier
    two-sample tests), https://arxiv.org/abs/1610.06545

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> index = pd.Index([f"p{i:02d}" for i in range(60)], name="patient_id")
    >>> known = pd.DataFrame({"ct_handcrafted__size": rng.normal(size=60)}, index)
    >>> same = 2 * known["ct_handcrafted__size"] + 1
    >>> latent = pd.DataFrame({"ct_latent__mu000": same}, index)
    >>> latent["ct_latent__mu001"] = rng.normal(size=60)
    >>> found = redundancy(known, latent, index.to_series(), n_permutations=20)
    >>> found.features[["feature", "r2_linear"]].round(1)
                feature  r2_linear
    0  ct_latent__mu000        1.0
    1  ct_latent__mu001       -0.0
    """
    _check_numbers(n_permutations, level)
    handcrafted, latent, patients = _checked(handcrafted, latent, patients, n_folds)
    values = latent.to_numpy()
    active = _varies(values)
    blocks = handcrafted.to_numpy(), values[:, active]
    rng = np.random.default_rng(random_state)
    # trees and networks of this size lose more to threads than they gain
    with threadpool_limits(limits=1):
        found = _measure(*blocks, patients, n_permutations, n_folds, rng)
    return Redundancy(
        features=_feature_table(latent.columns, active, found, level),
        overall=_overall_table(found, patients, level),
    )


def _check_numbers(n_permutations, level):
    if n_permutations < 1 or not 0 < level < 1:
        msg = (
            f"n_permutations={n_permutations}, level={level}: give at least 1, and a "
            "share below 1."
        )
        raise SchemaError(msg)


def _checked(handcrafted, latent, patients, n_folds):
    """Return both tables and the patients in the order of rows of the latent table."""
    check_features(handcrafted)
    check_features(latent)
    rows = latent.index
    found = _row_problems(handcrafted, latent, patients)
    if not found:
        handcrafted, patients = handcrafted.loc[rows], patients.loc[rows].to_numpy()
        found = _value_problems(handcrafted, latent)
        found += _patient_problems(patients, n_folds)
    if found:
        raise SchemaError("redundancy: " + "; ".join(found) + ".")
    return handcrafted, latent, patients


def _row_problems(handcrafted, latent, patients):
    found = []
    for name, one, other in (
        ("hand-crafted", handcrafted.index, latent.index),
        ("latent", latent.index, handcrafted.index),
    ):
        lacking = other.difference(one)
        if len(lacking):
            some = lacking[:5].tolist()
            found.append(f"the {name} table lacks {len(lacking)} rows, such as {some}")
    if not patients.index.is_unique:
        found.append("patients have the same index more than once")
        return found
    known = patients.dropna().index
    lacking = latent.index.difference(known)
    if len(lacking):
        some = lacking[:5].tolist()
        found.append(f"{len(lacking)} rows have no patient, such as {some}")
    return found


def _value_problems(handcrafted, latent):
    found = []
    for name, table in (("hand-crafted", handcrafted), ("latent", latent)):
        holes = table.index[table.isna().any(axis=1)]
        if len(holes):
            found.append(
                f"{len(holes)} {name} rows hold NaN, such as {holes[:5].tolist()}: "
                "impute or drop them in both tables"
            )
    same = handcrafted.columns[handcrafted.nunique(dropna=True) < 2].tolist()
    if same or not handcrafted.shape[1]:
        found.append(
            f"of {handcrafted.shape[1]} hand-crafted columns {len(same)} are constant, "
            f"{same[:5]}: drop them"
        )
    if not found and not _varies(latent.to_numpy()).any():
        found.append(f"none of {latent.shape[1]} latent columns varies")
    return found


def _patient_problems(patients, n_folds):
    counts = pd.Series(patients).value_counts()
    found = []
    needed = max(_MIN_PATIENTS, 4 * n_folds)
    if n_folds < 2 or len(counts) < needed:
        found.append(
            f"{len(counts)} patients and n_folds={n_folds}: give 2 folds or more, and "
            f"{needed} patients or more"
        )
    # a true pair needs shuffled ones of other patients on either side of a fold
    if counts.max() > len(patients) / 5:
        found.append(
            f"patient {counts.index[0]!r} has {counts.max()} of {len(patients)} rows, "
            "more than a fifth: keep fewer of them"
        )
    return found


def _varies(values):
    return np.ptp(values, axis=0) > 1e-6 * np.abs(values).max(axis=0, initial=0)


def _measure(first, second, patients, n_permutations, n_folds, rng):
    """Return what each estimator found, by its name."""
    folds = deal(patients, n_folds, random_state=rng)
    free, n_free = block_orders(patients, n_permutations, rng)
    inside, n_inside = block_orders(patients, n_permutations, rng, folds)
    weights = _patient_draws(patients, rng)
    found, predictions = {}, []
    for name, predict in (("r2_linear", pred.linear), ("r2_trees", pred.trees)):
        targets, prediction = pred.cross_fit(first, second, patients, folds, predict)
        statistics = pred.permuted_r2(targets, prediction, inside)
        draws = pred.held_out_r2(targets, prediction, weights)
        found[name] = _pooled(statistics, draws, n_folds, n_inside)
        predictions.append(prediction)
    for name, matrix in _KERNELS.items():
        one, two = _standardized(first), _standardized(second)
        seconds = [matrix(two), *(matrix(column) for column in two.T)]
        statistics = dep.permuted_alignment(matrix(one), seconds, free)
        found[name] = _Evidence(statistics[:, 0], n_free, statistics[:, 1:])
    # y is what moves: predictions stay with the rows that they were made from
    statistics = dep.permuted_mutual_information(
        np.mean(predictions, axis=0), targets, inside
    )
    found["mutual_information"] = _pooled(statistics, None, n_folds, n_inside)
    scores = disc.cross_fit_scores(first, second, patients, folds, rng)
    areas = widened(disc.permuted_auc(scores, patients, inside), n_folds)
    draws = disc.auc(scores, patients, weights)
    found["discriminator_auc"] = _Evidence(areas, n_inside, draws=draws)
    return found


def _pooled(statistics, draws, n_folds, n_movable):
    """Return the evidence of held-out predictions, pooled over folds."""
    whole = widened(statistics.mean(axis=1), n_folds)
    return _Evidence(whole, n_movable, widened(statistics, n_folds), draws)


def _standardized(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


def _patient_draws(patients, rng):
    """Return how often each row is drawn, shape (_N_BOOT, n)."""
    _, numbers = np.unique(patients, return_inverse=True)
    n = numbers.max() + 1
    return rng.multinomial(n, np.full(n, 1 / n), size=_N_BOOT)[:, numbers].astype(float)


def _interval(draws, level):
    draws = draws[~np.isnan(draws).any(axis=tuple(range(1, draws.ndim)))]
    return np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)


def _feature_table(columns, active, found, level):
    table = {"feature": columns, "active": active}

    def add(name, numbers):
        table[name] = np.full(len(columns), np.nan)
        table[name][active] = numbers

    for name, evidence in found.items():
        if evidence.features is None:
            continue
        add(name, evidence.features[0])
        if evidence.draws is not None:
            lower, upper = _interval(evidence.draws, level)
            add(f"{name}_lower", lower)
            add(f"{name}_upper", upper)
        add(f"{name}_p", p_values(evidence.features))
        add(f"{name}_p_adjusted", adjusted_p_values(evidence.features))
    return pd.DataFrame(table).assign(level=float(level))


def _overall_table(found, patients, level):
    rows = [_overall_row(name, found[name], level) for name in found]
    table = pd.DataFrame(rows)
    table["n_features"] = found["hsic"].features.shape[1]
    table["n_cases"] = len(patients)
    table["n_patients"] = len(np.unique(patients))
    return table[_OVERALL].astype({"n_dependent": "Int64"})


def _overall_row(name, evidence, level):
    whole, method = evidence.whole, _METHOD[name]
    lower = upper = np.nan
    if evidence.draws is not None:
        means = evidence.draws.reshape(_N_BOOT, -1).mean(axis=1)
        lower, upper = _interval(means, level)
        method += f"; percentile bootstrap of patients, {_N_BOOT} draws, no refit"
    n_dependent = pd.NA
    if evidence.features is not None:
        adjusted = adjusted_p_values(evidence.features)
        n_dependent = int((adjusted <= 1 - level).sum())
    within = "" if name in _KERNELS else " in folds"
    return {
        "estimator": name,
        "estimate": whole[0],
        "lower": lower,
        "upper": upper,
        "level": float(level),
        "p": float(p_values(whole[:, None])[0]),
        "expected_if_independent": 0.5 * (name == "discriminator_auc"),
        "n_dependent": n_dependent,
        "n_movable": evidence.n_movable,
        "method": f"{method}; {len(whole) - 1} orders of patients{within}",
    }
