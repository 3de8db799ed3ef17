"""What the losses change: metrics of each case enter, tables leave."""

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon
from steps import METRICS

from radlatent.fusion.metrics.compare import holm

#: Draws of patients for intervals, and what these aim at.
N_BOOT, LEVEL = 2000, 0.95


def summary(volumes: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of each metric with its interval, a row a loss and structure.

    Parameters
    ----------
    volumes
        A row a cohort, loss and case: the metrics, ``structure``, ``state`` and
        ``patient_id``. Distances of what is not drawn are NaN; their number is told.
    """
    rows = []
    both = pd.concat([volumes, volumes.assign(structure="all")])
    for key, part in both.groupby(["cohort", "loss", "structure"], sort=False):
        row = dict(zip(("cohort", "loss", "structure"), key, strict=True))
        row |= {"n": len(part), "n_patients": part["patient_id"].nunique()}
        row["n_not_segmented"] = int((part["state"] == "mask_empty").sum())
        for metric in METRICS:
            mean, lower, upper = _mean(part.set_index("patient_id")[metric])
            row |= {metric: mean, f"{metric}_lower": lower, f"{metric}_upper": upper}
        rows.append(row)
    return pd.DataFrame(rows)


def differences(volumes: pd.DataFrame) -> pd.DataFrame:
    """Return paired differences to the first loss, a row a cohort, metric and loss.

    A difference is of one case; cases that one of both losses leaves without a value
    are left out and counted. The unit is the patient: the mean of the own cases.
    Wilcoxon's signed ranks, and Holm over all rows of a cohort.
    """
    parts = []
    for cohort, part in volumes.groupby("cohort", sort=False):
        first, *others = part["loss"].unique()
        rows = [
            {"cohort": cohort, "metric": metric, "loss": loss, "reference": first}
            | _difference(part, metric, loss, first)
            for metric in METRICS
            for loss in others
        ]
        found = pd.DataFrame(rows)
        parts.append(found.assign(p_adjusted=holm(found["p"])) if rows else found)
    return pd.concat(parts, ignore_index=True)


def _difference(part, metric, loss, first):
    wide = part.pivot_table(metric, ["patient_id", "case_id"], "loss", dropna=False)
    paired = wide[[loss, first]].dropna()
    n_cases = part["case_id"].nunique()
    change = (paired[loss] - paired[first]).groupby("patient_id").mean()
    mean, lower, upper = _mean(change)
    p = wilcoxon(change).pvalue if change.any() else 1.0
    ends = {"difference": mean, "lower": lower, "upper": upper, "level": LEVEL}
    counts = {"n": len(change), "n_cases": len(paired)}
    return ends | counts | {"n_left_out": n_cases - len(paired), "p": p}


def _mean(values):
    """Return mean and percentile bounds: patients are drawn, with all their rows."""
    by = values.dropna().groupby("patient_id").agg(["sum", "size"]).to_numpy(float)
    if not len(by):
        return np.nan, np.nan, np.nan
    drawn = np.random.default_rng(0).integers(len(by), size=(N_BOOT, len(by)))
    sums, sizes = by[drawn].sum(axis=1).T
    ends = np.quantile(sums / sizes, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return by[:, 0].sum() / by[:, 1].sum(), *ends
