"""Outcomes of simulated patients, and how well their causes rank them.

Linear predictors enter; responses, survival times and the oracle's AUC and C-index
leave.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit

__all__ = [
    "censoring_limit",
    "concordance",
    "draw_outcome",
    "limit_of_times",
    "oracle",
]

#: Weibull survival: median scale at a linear predictor of 0, and shape.
SCALE_DAYS = 1000.0
WEIBULL_SHAPE = 1.3

AGE_YEARS = 62.0
AGE_SPREAD_YEARS = 10.0
AGE_LIMITS_YEARS = (30.0, 90.0)


def draw_outcome(rng: np.random.Generator, lp: float, limit: float) -> dict:
    """Draw response, survival and age of one patient.

    Parameters
    ----------
    rng
        A generator; it is advanced as far whatever the linear predictor.
    lp
        Linear predictor: log odds of the response, log hazard.
    limit
        Last censoring time, days.
    """
    chance, u, censored_at, age = *rng.random(3), rng.standard_normal()
    time = SCALE_DAYS * (-np.log1p(-u) / np.exp(lp)) ** (1 / WEIBULL_SHAPE)
    end = limit * censored_at if np.isfinite(limit) else np.inf
    years = np.clip(AGE_YEARS + AGE_SPREAD_YEARS * age, *AGE_LIMITS_YEARS)
    return {
        "response": int(chance < expit(lp)),
        "survival_time": max(1, int(np.ceil(min(time, end)))),
        "survival_event": int(time <= end),
        "age": int(years),
    }


def censoring_limit(arguments: dict) -> float:
    """Return the last censoring time, days, that gives the expected fraction.

    Parameters
    ----------
    arguments
        ``seen_effect``, ``hidden_effect`` and ``censoring`` of ``simulate``.

    Notes
    -----
    The expectation is over the population and not over the patients drawn, so that
    their number does not matter.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    hidden = arguments["hidden_effect"] * np.array([-1.0, 1.0])
    lp = arguments["seen_effect"] * nodes[:, None] + hidden
    weights = np.broadcast_to(weights[:, None], lp.shape)
    return limit_of_times(lp.ravel(), weights.ravel(), arguments["censoring"])


def limit_of_times(lp: np.ndarray, weights: np.ndarray, censoring: float) -> float:
    """Return the last censoring time, days, that gives the expected fraction.

    Parameters
    ----------
    lp, weights
        Linear predictors of the population, and how often each is; one shape.
    censoring
        Expected fraction.

    Notes
    -----
    For C uniform on (0, c), P(C < T) = E[min(T, c)] / c.
    """
    if censoring == 0:
        return np.inf
    u = (np.arange(500) + 0.5) / 500
    time = SCALE_DAYS * (-np.log(u) / np.exp(lp[:, None])) ** (1 / WEIBULL_SHAPE)
    shares = weights[:, None] / weights.sum() / u.size

    def excess(log_limit):
        limit = np.exp(log_limit)
        return (shares * np.minimum(time / limit, 1)).sum() - censoring

    low, high = np.log(time.min()), np.log(time.max() / censoring)
    return float(np.exp(brentq(excess, low, high)))


def oracle(
    truth: pd.DataFrame,
    endpoints: pd.DataFrame,
    names: Iterable[str] = ("linear_predictor", "seen", "hidden"),
) -> dict:
    """Return the AUC and the C-index of the true factors, None where undefined.

    Parameters
    ----------
    truth, endpoints
        One row a patient, in the same order.
    names
        Columns of ``truth``.
    """
    # it loads scikit-learn, which reading a cohort has no use for
    from sklearn.metrics import roc_auc_score

    response = endpoints["response"].to_numpy()
    time, event = (endpoints[f"survival_{c}"].to_numpy() for c in ("time", "event"))
    result = {"auc": {}, "c_index": {}}
    for name in names:
        risk = truth[name].to_numpy(dtype=float)
        two = len(set(response)) == 2
        result["auc"][name] = float(roc_auc_score(response, risk)) if two else None
        result["c_index"][name] = concordance(time, event, risk)
    return result


def concordance(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> float | None:
    """Return Harrell's C, or None where no two patients can be compared.

    Notes
    -----
    A pair counts when the earlier of two times is an event; an event comes before a
    censoring on the same day, and two events on one day do not count. The higher risk
    should belong to the earlier event; equal risks count one half.

    References
    ----------
    Harrell et al. 1982, doi:10.1001/jama.1982.03320430047030
    """
    earlier = time[:, None] < time
    tied = (time[:, None] == time) & (event == 0)
    comparable = (event[:, None] == 1) & (earlier | tied)
    agree = (risk[:, None] > risk) + 0.5 * (risk[:, None] == risk)
    n = comparable.sum()
    return float(agree[comparable].sum() / n) if n else None
