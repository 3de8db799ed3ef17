"""How well columns order patients by the time of their event: Harrell's C.

Columns and a structured outcome (``event``, ``time``) enter, a number a column leaves:
what models of survival are ranked by, and columns are selected by.
"""

import numpy as np
from scipy.stats import rankdata

__all__ = ["comparable", "concordance", "followed_on"]


def followed_on(y: np.ndarray) -> np.ndarray:
    """Return an outcome in which no competing event ends the wait for that of interest.

    Parameters
    ----------
    y
        Structured outcome of patients; without a field ``cause`` it stays as it is.

    Notes
    -----
    Who had a competing event never has that of interest, as if followed forever: such a
    patient outlives whoever has it, whenever that is.

    References
    ----------
    Wolbers et al. 2009, doi:10.1097/EDE.0b013e3181a39056
    """
    if "cause" not in (y.dtype.names or ()):
        return y
    made = np.empty(len(y), dtype=[("event", bool), ("time", float)])
    made["event"] = y["event"]
    made["time"] = np.where((y["cause"] > 0) & ~y["event"], np.inf, y["time"])
    return made


def comparable(y: np.ndarray) -> np.ndarray:
    """Return whom each patient with an event precedes, shape (n_events, n_patients)."""
    y = followed_on(y)
    time = y["time"][y["event"]][:, None]
    # who is censored at the time of an event was still free of it
    return (time < y["time"]) | ((time == y["time"]) & ~y["event"])


def concordance(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Harrell's C of each column as a risk, shape (n_columns,).

    Parameters
    ----------
    X
        Shape (n_patients, n_columns), higher = earlier event.
    y
        Structured outcome of the same patients.

    Notes
    -----
    The share of comparable pairs in which the patient with the earlier event has the
    higher value, equal values counted half. A pair is comparable if the earlier time is
    an event, or if times are equal and one of them is an event. Of competing events
    that is the C of Wolbers et al. (`followed_on`).

    References
    ----------
    Harrell et al. 1996, Statistics in Medicine 15:361-387, section 5.5
    """
    pairs = comparable(y)
    mask = np.packbits(pairs, axis=1)
    ranks = rankdata(X, method="dense", axis=0).T.astype(np.min_scalar_type(len(X)))
    gained = np.empty(len(ranks))
    # 64 MiB of comparisons at a time
    step = max(1, 2**26 // pairs.size)
    for start in range(0, len(ranks), step):
        rank = ranks[start : start + step]
        earlier, later = rank[:, y["event"], None], rank[:, None, :]
        won, lost = (
            np.bitwise_count(np.packbits(wins, axis=2) & mask).sum((1, 2), dtype=int)
            for wins in (earlier > later, earlier < later)
        )
        gained[start : start + step] = won - lost
    return 0.5 + gained / pairs.sum() / 2
