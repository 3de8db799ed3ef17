"""The gate: how near a correction has to stay so that few slices come to harm.

What corrections did to slices of which the truth is known enters; a threshold leaves,
and what may be promised of other patients. Slices of one patient resemble each other:
patients are counted, not slices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from radlatent.errors import CohortError, SchemaError

__all__ = [
    "ALLOWED",
    "DRAWN",
    "FLOOR",
    "HARM",
    "MOST",
    "Setting",
    "check_promise",
    "fewest_patients",
    "harmed_shares",
    "least_dice",
    "lets_pass",
    "nearest_few",
    "promised",
    "risk_bound",
    "set_gate",
    "shift_between",
]

#: Dice that a slice may lose, and the share of slices that may lose more on the
#: patients that the threshold is set on, where nothing is promised of others.
HARM, ALLOWED = 0.02, 0.01

#: Largest share of the slices of a mask that is corrected where something is promised.
#: What is bounded is sooner known: without a bound, 598 patients without any harm tell
#: no more than 0.5 % with 95 % confidence, with it 149.
MOST = 0.25

#: The least threshold where nothing is promised. With drawn errors a network's cannot
#: compare: of a poor U-Net's slices (Dice 0.79, half of them invalid) 2.2 % came to
#: harm at 0.8, 0.9 % at 0.9 and none at 0.95, where half of what is gained is gone. On
#: a few patients of the network, the laxest that harms 1 % may harm more of others.
FLOOR = 0.9

#: What a gate is set on where no network's masks are at hand.
DRAWN = "drawn errors"

#: Thresholds in the order in which they are tested, each laxer than the last.
_THRESHOLDS = np.round(np.arange(0.99, 0.495, -0.01), 2)

#: A Dice that no correction reaches.
_NEVER = 1.01

#: Patients from which on shares of two cohorts are compared.
_FEWEST = 5


@dataclass(frozen=True)
class Setting:
    """Whose masks a gate was set on, and what it promises of others.

    Parameters
    ----------
    set_on
        Cohort of the masks, or `DRAWN`.
    patients
        Whose they were.
    n_slices, n_harmed
        Slices, and those that the gate let lose more than 0.02 Dice.
    broken
        Share of the slices of each patient that break rules.
    most
        Largest share of the slices of a mask that is corrected.
    risk, confidence
        What is promised: of the slices of a new patient whose masks are like these, a
        share of at most ``risk``, on average over patients, loses more than 0.02 Dice;
        a gate set in this way errs in 1 - ``confidence`` of all cases. A risk of 1 is
        no promise.
    """

    set_on: str = DRAWN
    patients: tuple[str, ...] = ()
    n_slices: int = 0
    n_harmed: int = 0
    broken: tuple[float, ...] = ()
    most: float = 1.0
    risk: float = 1.0
    confidence: float = 0.95

    @classmethod
    def of(cls, record: Mapping) -> "Setting":
        """Return the setting that a record tells of; the default of an empty one."""
        lists = {k: tuple(record[k]) for k in ("patients", "broken") if k in record}
        return cls(**{**record, **lists})

    @property
    def text(self) -> str:
        """The promise in words, or that there is none."""
        if self.set_on == DRAWN:
            return f"set on {DRAWN}: nothing is promised of a network's masks"
        seen = (
            f"set on {len(self.patients)} patients of {self.set_on}, where "
            f"{self.n_harmed} of {self.n_slices} slices lost more than {HARM} Dice"
        )
        if self.risk == 1:
            return f"{seen}; nothing is promised of others"
        return (
            f"at most {100 * self.risk:.3g} % of slices lose more than {HARM} Dice, "
            f"with {100 * self.confidence:.3g} % confidence ({seen})"
        )


def set_gate(
    effects: pd.DataFrame,
    masks: pd.DataFrame,
    *,
    risk: float,
    confidence: float = 0.95,
    floor: float = 0.0,
) -> tuple[float, Setting]:
    """Return the threshold of a gate, and what came of it where it was set.

    Parameters
    ----------
    effects
        One row a proposal: ``mask``, ``kept`` (least Dice of a structure with the slice
        that entered), ``before`` and ``after`` (Dice with the reference).
    masks
        One row a mask, by the ``mask`` of ``effects``: ``patient``, ``n_slices`` and
        ``n_broken``, those that break rules.
    risk, confidence
        As of `Setting`. Without a promise the threshold is `least_dice`, with one it is
        `promised`.
    floor
        The least threshold without a promise.

    Raises
    ------
    CohortError
        There are too few patients for the promise.
    """
    most = 1.0
    if risk == 1:
        columns = effects[["kept", "before", "after"]].to_numpy().T
        threshold = max(least_dice(*columns, masks["n_slices"].sum()), floor)
    else:
        threshold, most = promised(effects, masks, risk=risk, confidence=confidence)
    harmed = harmed_shares(effects, masks, threshold, most)
    by = masks.groupby("patient")[["n_slices", "n_broken"]].sum()
    setting = Setting(
        patients=tuple(by.index),
        n_slices=int(by["n_slices"].sum()),
        n_harmed=int(np.rint(harmed * by["n_slices"]).sum()),
        broken=tuple(by["n_broken"] / by["n_slices"]),
        most=most,
        risk=risk,
        confidence=confidence,
    )
    return threshold, setting


def least_dice(
    kept: np.ndarray, before: np.ndarray, after: np.ndarray, n: int
) -> float:
    """Return the lowest Dice with the slice that entered at which few come to harm.

    Parameters
    ----------
    kept
        Dice of proposals with the slices that entered, shape (k,).
    before, after
        Dice of slices and proposals with the reference, shape (k,).
    n
        Slices in all, those without a proposal included.
    """
    order = np.argsort(-kept)
    harmed = np.cumsum(after[order] < before[order] - HARM)
    kept = kept[order]
    # equal ones pass together
    ends = np.append(kept[1:] < kept[:-1], True)[: len(kept)]
    fine = np.flatnonzero(ends & (harmed <= ALLOWED * n))
    return float(kept[fine[-1]]) if len(fine) else _NEVER


def nearest_few(kept: Sequence[float], threshold: float, limit: float) -> np.ndarray:
    """Return which proposals for one mask pass: near enough, and not too many.

    Parameters
    ----------
    kept
        Dice of each with the slice that entered, shape (k,).
    threshold
        Below it none passes.
    limit
        How many may, the nearest first.
    """
    kept = np.asarray(kept, dtype=float)
    ranks = np.empty(len(kept))
    ranks[np.argsort(-kept, kind="stable")] = np.arange(len(kept))
    return (kept >= threshold) & (ranks + 1 <= limit)


def promised(
    effects: pd.DataFrame, masks: pd.DataFrame, *, risk: float, confidence: float
) -> tuple[float, float]:
    """Return the laxest threshold that keeps a promise, and `MOST` or 1.

    Parameters
    ----------
    effects, masks
        As in `set_gate`.
    risk, confidence
        As of `Setting`.

    Raises
    ------
    CohortError
        There are too few patients, or even the strictest gate does harm.

    Notes
    -----
    Learn then test (Angelopoulos et al. 2021): from the strictest threshold on, each is
    tested at the level 1 - ``confidence`` for a risk above ``risk``, and the first that
    fails ends the sequence. Patients are independent of each other, their slices are
    not: the loss is the share of a patient's slices that are harmed. `risk_bound` has
    the test.

    References
    ----------
    Angelopoulos, Bates, Candès, Jordan & Lei 2021, arXiv:2110.01052
    """
    # of fewer slices than four, a quarter is none
    most = MOST if (masks["n_slices"] * MOST >= 1).all() else 1.0
    found = None
    for threshold in _THRESHOLDS:
        losses = harmed_shares(effects, masks, threshold, most)
        bound = risk_bound(losses / most, confidence) * most
        if bound > risk:
            break
        found = float(threshold)
    if found is None:
        n, seen = len(losses), int((losses > 0).sum())
        needed = fewest_patients(risk, confidence, most)
        msg = (
            f"{n} patients, of whom {seen} have a slice that the strictest gate harms, "
            f"cannot show that at most {100 * risk:.3g} % of slices are harmed: it "
            f"takes {needed} without any harm. Give more patients, ask for a risk of "
            f"{np.ceil(1000 * bound) / 1000:.3f}, or for no promise (a risk of 1)."
        )
        raise CohortError(msg)
    return found, most


def fewest_patients(risk: float, confidence: float, most: float = MOST) -> int:
    """Return how many patients without any harm a promise takes.

    Parameters
    ----------
    risk, confidence, most
        As of `Setting`.

    Examples
    --------
    >>> fewest_patients(0.005, 0.95), fewest_patients(0.005, 0.95, most=1)
    (149, 598)
    """
    if risk >= most:
        return 1
    return int(np.ceil(np.log(1 - confidence) / np.log1p(-risk / most)))


def check_promise(n: int, *, risk: float, confidence: float) -> None:
    """Refuse a promise that so many patients cannot give, whatever their masks.

    Parameters
    ----------
    n
        Patients.
    risk, confidence
        As of `Setting`; a risk of 1 is no promise.

    Raises
    ------
    CohortError
        With how many it takes, and what these could show at best.
    SchemaError
        Risk or confidence are no shares.
    """
    if not (0 < risk <= 1 and 0 < confidence < 1):
        msg = f"risk is {risk}, confidence {confidence}. Give shares above 0."
        raise SchemaError(msg)
    needed = fewest_patients(risk, confidence)
    if risk < 1 and n < needed:
        best = risk_bound(np.zeros(n), confidence) * MOST
        msg = (
            f"{n} patients cannot show that at most {100 * risk:.3g} % of slices are "
            f"harmed: it takes at least {needed} without any harm. Give more patients, "
            f"ask for a risk of {np.ceil(1000 * best) / 1000:.3f} or more, or for no "
            "promise (a risk of 1)."
        )
        raise CohortError(msg)


def harmed_shares(
    effects: pd.DataFrame, masks: pd.DataFrame, threshold: float, most: float
) -> np.ndarray:
    """Return the share of each patient's slices that a gate lets come to harm.

    Parameters
    ----------
    effects, masks
        As in `set_gate`.
    threshold, most
        Of the gate.
    """
    passed = lets_pass(effects, masks, threshold, most)
    lost = passed & (effects["after"] < effects["before"] - HARM).to_numpy()
    harmed = np.bincount(effects["mask"][lost].astype(int), minlength=len(masks))
    by = masks.assign(harmed=harmed).groupby("patient")
    return (by["harmed"].sum() / by["n_slices"].sum()).to_numpy()


def lets_pass(
    effects: pd.DataFrame, masks: pd.DataFrame, threshold: float, most: float
) -> np.ndarray:
    """Return which proposals a gate lets pass, as `nearest_few` says of each mask.

    Parameters
    ----------
    effects, masks
        As in `set_gate`.
    threshold, most
        Of the gate.
    """
    nearest = effects.sort_values("kept", ascending=False, kind="stable")
    rank = nearest.groupby("mask").cumcount().reindex(effects.index) + 1
    limit = most * masks["n_slices"].to_numpy()[effects["mask"].astype(int)]
    return ((effects["kept"] >= threshold) & (rank <= limit)).to_numpy()


def risk_bound(losses: np.ndarray, confidence: float) -> float:
    """Return what a mean loss is not above, with confidence.

    Parameters
    ----------
    losses
        Of independent patients, 0 to 1, shape (n,).
    confidence
        Above 0, below 1.

    Notes
    -----
    Were the mean a or more, prod((1 - loss) / (1 - a)) would be 1 or less on average,
    and 1 / (1 - confidence) or more in a share 1 - ``confidence`` of cases at most: the
    bound is the a at which it is just that. Without any loss it is that of Clopper and
    Pearson. A bet as of Waudby-Smith & Ramdas (2024), all of it against a loss: few
    small losses cost little, one patient with all slices harmed costs everything.

    References
    ----------
    Waudby-Smith & Ramdas 2024, doi:10.1093/jrsssb/qkad009

    Examples
    --------
    >>> round(risk_bound(np.zeros(59), 0.95), 4)
    0.0495
    """
    losses = np.asarray(losses, dtype=float)
    if not len(losses) or (losses >= 1).any():
        return 1.0
    mean_log = (np.log1p(-confidence) + np.log1p(-losses).sum()) / len(losses)
    return float(-np.expm1(mean_log))


def shift_between(
    here: Sequence[float], there: Sequence[float], level: float = 0.95
) -> dict[str, float]:
    """Return how much more often rules are broken here than where a gate was set.

    Parameters
    ----------
    here, there
        Share of the slices of each patient that break rules.
    level
        Coverage of the interval.

    Returns
    -------
    dict
        ``broken_here``, ``broken_there`` (means over patients), ``difference`` with
        ``lower`` and ``upper`` (Welch 1947), NaN where a side has fewer than five
        patients; ``shifted``: whether the interval leaves 0 out.
    """
    sides = [np.asarray(side, dtype=float) for side in (here, there)]
    means = [side.mean() if len(side) else np.nan for side in sides]
    row = {"broken_here": means[0], "broken_there": means[1]}
    row |= {"difference": means[0] - means[1], "lower": np.nan, "upper": np.nan}
    if min(map(len, sides)) >= _FEWEST:
        variances = np.array([side.var(ddof=1) / len(side) for side in sides])
        freedom = [len(side) - 1 for side in sides]
        error = np.sqrt(variances.sum())
        degrees = variances.sum() ** 2 / (variances**2 / freedom).sum() if error else 1
        reach = stats.t.ppf((1 + level) / 2, degrees) * error
        row |= {"lower": row["difference"] - reach, "upper": row["difference"] + reach}
    return row | {"shifted": bool(row["lower"] > 0 or row["upper"] < 0)}
