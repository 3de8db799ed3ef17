"""Whether decisions by a model do more good than decisions without one.

A **predictions** table enters; the table behind a decision curve leaves.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.fusion.metrics.arrays import interval, read_runs

__all__ = ["net_benefit"]


def net_benefit(
    predictions: pd.DataFrame,
    *,
    thresholds: Sequence[float] | None = None,
    n_boot: int = 1000,
    level: float = 0.95,
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Return the net benefit of treating by a model, of treating all, and none.

    Parameters
    ----------
    predictions
        A **predictions** table. Only its models of two classes are used; the
        positive class is the one that is treated.
    thresholds
        Probabilities from which on a patient is treated, from 0 to below 1; None takes
        0, 0.01, ..., 0.99.
    n_boot
        Bootstrap draws of patients.
    level
        Pointwise coverage that the interval aims at.
    random_state
        Seed or Generator.

    Returns
    -------
    DataFrame
        ``model, blocks, endpoint, strategy, threshold, net_benefit, lower, upper``;
        ``strategy`` is "model", "all" or "none".

    Raises
    ------
    SchemaError
        A threshold is not from 0 to below 1, or no model is of two classes.

    Notes
    -----
    True positives minus false positives times t / (1 - t), divided by the patients, t
    being the threshold: the harm of a false positive is what the threshold says it is.
    The estimate is the mean over repeats; the interval is drawn as that of
    ``evaluate``.

    References
    ----------
    Vickers & Elkin 2006, doi:10.1177/0272989X06295361
    """
    if thresholds is None:
        thresholds = np.arange(100) / 100
    thresholds = np.asarray(thresholds, dtype=float)
    wrong = thresholds[~((thresholds >= 0) & (thresholds < 1))].tolist()
    runs = [r for r in read_runs(predictions, kind="class") if len(r.classes) == 2]
    if wrong or not runs:
        what = f"thresholds {wrong[:5]} are not from 0 to below 1"
        msg = what if wrong else "no model of the predictions is of two classes"
        raise SchemaError(f"net_benefit: {msg}.")
    seed = np.random.default_rng(random_state).integers(2**63)
    parts = []
    for run in runs:
        weights = run.draw_weights(n_boot, seed)
        for strategy, rule in _STRATEGIES.items():
            estimate, draws = run.bootstrap(
                lambda truth, p, w, rule=rule: _benefit(
                    truth, rule(p[:, [1]], thresholds), w, thresholds
                ),
                weights,
            )
            lower, upper = interval(draws, level)
            columns = {"threshold": thresholds, "net_benefit": estimate}
            columns |= {"lower": lower, "upper": upper}
            parts.append(pd.DataFrame(run.key | {"strategy": strategy} | columns))
    return pd.concat(parts, ignore_index=True)


#: Who is treated, shape (n_patients, n_thresholds).
_STRATEGIES = {
    "model": lambda p, thresholds: p >= thresholds,
    "all": lambda p, thresholds: p >= np.zeros_like(thresholds),
    "none": lambda p, thresholds: p < np.zeros_like(thresholds),
}


def _benefit(truth, treated, weights, thresholds):
    """Return the net benefit, shape (n_draws, n_thresholds)."""
    gain = np.where(truth[:, None] == 1, 1.0, -thresholds / (1 - thresholds))
    return weights @ (treated * gain) / weights.sum(axis=1, keepdims=True)
