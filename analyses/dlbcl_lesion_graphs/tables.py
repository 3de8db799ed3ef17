"""What the predictions say: each model against the best of pooled lesions."""

import numpy as np
import pandas as pd
from models import BASELINES, NETWORKS
from sklearn.metrics import roc_auc_score

import radlatent as rl

N_DRAWS = 1000


def best_baseline(metrics: pd.DataFrame) -> str:
    """Return the baseline with the largest AUC of these very patients.

    Chosen after the fact, so that it looks better than it is: the harder bar.
    """
    auc = metrics[(metrics["metric"] == "auc") & metrics["model"].isin(BASELINES)]
    return auc.loc[auc["estimate"].idxmax(), "model"]


def differences(predictions: pd.DataFrame, best: str) -> pd.DataFrame:
    """Return the AUC of each model minus that of the best baseline, paired."""
    others = predictions[predictions["model"] != "oracle"]
    return rl.compare(others, metric="auc", reference=(best, "lesions"))


def shares(predictions: pd.DataFrame, best: str) -> pd.DataFrame:
    """Return how much of the gap between best baseline and truth a network recovers.

    Returns
    -------
    DataFrame
        One row a network and ``dispersion``: ``baseline`` and ``baseline_auc``,
        ``auc``, ``oracle_auc``, ``share``, its 95 % interval (percentiles over draws of
        patients). Empty where there is no oracle.
    """
    auc = {m: _Auc(one) for m, one in predictions.groupby("model")}
    if "oracle" not in auc:
        return pd.DataFrame()
    rows, n = [], len(auc["oracle"].truth)
    draws = [np.arange(n), *np.random.default_rng(0).integers(n, size=(N_DRAWS, n))]
    low, high = (np.array([auc[m].of(d) for d in draws]) for m in (best, "oracle"))
    for model in auc:
        if model not in NETWORKS and not model.startswith("dispersion"):
            continue
        own = np.array([auc[model].of(d) for d in draws])
        share = (own - low) / (high - low)
        ends = np.quantile(share[1:], [0.025, 0.975])
        row = {"model": model, "baseline": best, "baseline_auc": low[0]}
        row |= {"auc": own[0], "oracle_auc": high[0], "share": share[0], "n": n}
        rows.append(row | dict(zip(("lower", "upper"), ends, strict=True)))
    return pd.DataFrame(rows)


class _Auc:
    """The AUC of a model on draws of its patients."""

    def __init__(self, one: pd.DataFrame):
        one = one.sort_values("patient_id")
        column = [c for c in one if c.startswith("probability_")][-1]
        self.truth = (one["truth"].astype(str) == column.split("_", 1)[1]).to_numpy()
        self.score = one[column].to_numpy()

    def of(self, rows: np.ndarray) -> float:
        """Return the AUC of some rows."""
        return roc_auc_score(self.truth[rows], self.score[rows])
