"""The certificate of non-redundancy: what latent features still say about hand-crafted.

Two **features** tables and the patients of their rows enter; a table a latent feature
and a table an estimator leave. No single estimator sees every kind of dependence, and
a discriminator that was fooled once may be fooled again: seven others look as well, two
of them from the latent features back at the hand-crafted ones.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from radlatent.errors import SchemaError
from radlatent.features.folds import deal
from radlatent.latent.certificate.evidence import KERNELS, METHOD, N_BOOT, evidence_of
from radlatent.latent.certificate.permutations import (
    adjusted_p_values,
    joint_p_values,
    p_values,
)
from radlatent.latent.certificate.tables import checked, pair_of

__all__ = ["Redundancy", "redundancy"]

_OVERALL = ["estimator", "estimate", "lower", "upper", "level", "p"]
_OVERALL += ["expected_if_independent", "n_features", "n_dependent", "worst"]
_OVERALL += ["worst_estimate", "told", "n_cases", "n_movable", "n_patients", "method"]

#: The row of all estimators together.
_ANY = "any"


@dataclass(frozen=True, eq=False, repr=False)
class Redundancy:
    """How much latent features depend on hand-crafted ones on held-out rows.

    Parameters
    ----------
    features
        One row a latent feature: ``feature, active``; for each of ``r2_linear,
        r2_trees, reverse_linear, distance_correlation_squared, hsic,
        mutual_information`` the estimate, ``<estimator>_p`` and
        ``<estimator>_p_adjusted``; for both R2 ``<estimator>_lower,
        <estimator>_upper``; ``any_p_adjusted``, of all estimators together, and
        ``dependent``, whether that is at most ``1 - level``; ``level``. NaN, and not
        dependent, where a feature is not active.
    overall
        One row an estimator: ``estimator, estimate, lower, upper, level, p,
        expected_if_independent, n_features, n_dependent, worst, worst_estimate, told,
        n_cases, n_movable, n_patients, method``. ``n_features`` counts active features,
        ``n_dependent`` those whose adjusted p is at most ``1 - level``, ``worst`` is
        the feature of which the estimator finds most and ``told`` the hand-crafted
        column that the latent features tell best. The last row, ``any``, is of all
        estimators together: its estimate is the share of features that are dependent.
    """

    features: pd.DataFrame
    overall: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """One row an estimator, as a paper needs it."""
        wanted = ["estimator", "estimate", "lower", "upper", "level", "p"]
        wanted += ["expected_if_independent", "n_dependent", "n_features", "worst"]
        return self.overall[[*wanted, "worst_estimate", "n_cases", "n_patients"]]

    @property
    def verdict(self) -> str:
        """What the certificate says, in one sentence.

        "Dependent" where the p of all estimators together is at most ``1 - level``:
        of independent tables so few are called so. Else what was not found, and what
        may still be there.
        """
        rows = self.overall.set_index("estimator")
        last = rows.loc[_ANY]
        p = f"p = {last['p']:.2g} of all estimators together"
        if last["p"] > 1 - last["level"]:
            upper = rows.loc[["r2_linear", "r2_trees"], "upper"].max()
            return (
                f"No dependence found in {last['n_patients']} patients ({p}); the mean "
                f"R2 of a latent feature may be up to {max(0.0, upper):.2f}."
            )
        n, told = last["n_dependent"], rows.loc["reverse_linear"]
        which = f"{n} of {last['n_features']} latent features"
        if not n:
            which = "The latent features together, none by itself,"
        worst = ""
        if n:
            found = self.features.loc[self.features["any_p_adjusted"].idxmin()]
            known = found[["r2_linear", "r2_trees"]].max()
            worst = (
                f" {found['feature']} most: R2 {known:.2f} of it is predicted, and it "
                f"predicts R2 {found['reverse_linear']:.2f}."
            )
        return (
            f"Dependent: {which} tell of hand-crafted ones ({p}).{worst} Of these "
            f"{told['told']} is told best, R2 {told['estimate']:.2f}."
        )

    def plot(self, ax=None, **kwargs):
        """Draw the held-out R2 of each feature on ``ax`` and return it."""
        from radlatent.figures.latents.certificate import redundancy

        return redundancy(self.features, ax, **kwargs)

    def __repr__(self) -> str:
        row = self.overall.iloc[0]
        return (
            f"Redundancy({row['n_cases']} cases, {row['n_patients']} patients, "
            f"{row['n_features']} of {len(self.features)} features active). "
            f"{self.verdict}"
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
        **features** tables of the same rows, in any order, without NaN; ``latent`` may
        be any embedding, of 1 to some thousand columns. The encoder must not have been
        fitted on these rows: on its own training rows it looks less redundant than it
        is.
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
    LeakageError
        The latent table tells that it was fitted on some of these patients.

    Notes
    -----
    Of more than 64 latent columns the features are 32 principal components, at most one
    for 8 patients; models in folds get those of the training rows of each fold, and
    ``method`` says so. Distance correlation and HSIC of the whole block see all
    columns. What lies along no component is seen by these two only.

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

    *Reverse* rows predict hand-crafted columns and their first 8 components from z,
    z squared and |z|. Latent features whose length tells the size of a lesion, shrunken
    in small ones for instance, have means that nothing predicts, and are found here.
    The estimate is the R2 of what is told best, and by chance above 0:
    ``expected_if_independent`` is its mean over the orders.

    *p*: the share of orders in which whole patients were exchanged (`block_orders`)
    with a statistic at least as large. For R2, mutual information and the AUC patients
    are exchanged within folds and nothing is fitted again, and permuted values are
    `widened` for what folds share; those p-values are approximate, those of distance
    correlation and HSIC are exact. ``n_movable`` rows of patients that have a partner
    with as many rows take part; the others stay, which costs power, not validity.
    Adjusted p-values are those of `adjusted_p_values`; the row ``any`` and
    ``any_p_adjusted`` those of `joint_p_values`.

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
    handcrafted, latent, patients = checked(handcrafted, latent, patients, n_folds)
    rng = np.random.default_rng(random_state)
    pair = pair_of(
        handcrafted, latent, patients, deal(patients, n_folds, random_state=rng)
    )
    # trees and networks of this size lose more to threads than they gain
    with threadpool_limits(limits=1):
        found = evidence_of(pair, n_permutations, rng)
    features = _feature_table(pair, found, level)
    return Redundancy(features, _overall_table(pair, found, features))


def _check_numbers(n_permutations, level):
    if n_permutations < 1 or not 0 < level < 1:
        msg = (
            f"n_permutations={n_permutations}, level={level}: give at least 1, and a "
            "share below 1."
        )
        raise SchemaError(msg)


def _interval(draws, level):
    draws = draws[~np.isnan(draws).any(axis=tuple(range(1, draws.ndim)))]
    return np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)


def _feature_table(pair, found, level):
    active = pair.active
    table = {"feature": pair.names, "active": active}

    def add(name, numbers):
        table[name] = np.full(len(active), np.nan)
        table[name][active] = numbers

    for name, evidence in found.items():
        if evidence.features is None:
            continue
        add(name, evidence.features[0])
        if evidence.draws is not None and evidence.draws.ndim == 2:
            lower, upper = _interval(evidence.draws, level)
            add(f"{name}_lower", lower)
            add(f"{name}_upper", upper)
        add(f"{name}_p", p_values(evidence.features))
        add(f"{name}_p_adjusted", adjusted_p_values(evidence.features))
    add("any_p_adjusted", _joint(found)[1])
    table = pd.DataFrame(table).assign(level=float(level))
    table["dependent"] = table["any_p_adjusted"] <= 1 - level
    return table


def _joint(found):
    parts = [one.features for one in found.values() if one.features is not None]
    wholes = np.stack([one.whole for one in found.values()], axis=1)
    return joint_p_values(wholes, np.stack(parts, axis=1))


def _overall_table(pair, found, features):
    level = features["level"].iloc[0]
    rows = [_overall_row(name, found[name], features, pair) for name in found]
    n_dependent = int(features["dependent"].sum())
    n_features = int(pair.active.sum())
    worst = features["any_p_adjusted"].idxmin()
    rows.append(
        {
            "estimator": _ANY,
            "estimate": n_dependent / n_features,
            "p": _joint(found)[0],
            "expected_if_independent": 0.0,
            "n_dependent": n_dependent,
            "worst": features["feature"].loc[worst],
            "n_movable": min(one.n_movable for one in found.values()),
            "method": "share of features that are dependent by the largest of all "
            "estimators' standardized statistics",
        }
    )
    table = pd.DataFrame(rows).assign(level=level, n_features=n_features)
    table["n_cases"] = len(pair.patients)
    table["n_patients"] = len(np.unique(pair.patients))
    return table[_OVERALL].astype({"n_dependent": "Int64"})


def _overall_row(name, evidence, features, pair):
    whole, level, method = evidence.whole, features["level"].iloc[0], METHOD[name]
    if pair.narrowed:
        method += f"; {pair.narrowed}"
    lower = upper = np.nan
    if evidence.draws is not None:
        means = evidence.draws.reshape(N_BOOT, -1).mean(axis=1)
        lower, upper = _interval(means, level)
        method += f"; percentile bootstrap of patients, {N_BOOT} draws, no refit"
    within = "" if name in KERNELS else " in folds"
    row = {
        "estimator": name,
        "estimate": whole[0],
        "lower": lower,
        "upper": upper,
        "p": float(p_values(whole[:, None])[0]),
        "expected_if_independent": _expected(name, whole),
        "told": evidence.told,
        "n_movable": evidence.n_movable,
        "method": f"{method}; {len(whole) - 1} orders of patients{within}",
    }
    if evidence.features is not None:
        worst = features[name].idxmax()
        row["n_dependent"] = int((features[f"{name}_p_adjusted"] <= 1 - level).sum())
        row["worst"] = features["feature"].loc[worst]
        row["worst_estimate"] = features[name].loc[worst]
    return row


def _expected(name, whole):
    """Return what an estimator gives of independent tables."""
    if name.startswith("reverse"):
        return float(whole[1:].mean())  # the best of many is above 0 by chance
    return 0.5 * (name == "discriminator_auc")
