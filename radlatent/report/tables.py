"""Tables as a journal prints them; the only place where numbers are rounded."""

import pandas as pd

from radlatent.schema import check_metrics

__all__ = ["METRIC_NAMES", "extraction", "failures", "flow", "performance"]

METRIC_NAMES = {
    "auc": "AUC",
    "balanced_accuracy": "Balanced accuracy",
    "accuracy": "Accuracy",
    "brier": "Brier score",
}


def performance(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return one row a model, one column a metric: ``0.71 (0.64–0.78)``.

    Parameters
    ----------
    metrics
        A **metrics** table.

    Returns
    -------
    pandas.DataFrame
        ``Endpoint, Model, Features, n, Events`` and the metrics with their intervals.
    """
    check_metrics(metrics)
    cells = metrics.assign(
        cell=[
            _interval(*row)
            for row in metrics[["estimate", "lower", "upper"]].itertuples(index=False)
        ]
    )
    keys = ["endpoint", "model", "blocks", "n", "n_events"]
    order = list(dict.fromkeys(metrics["metric"]))
    rows = []
    # a model is one row, in the order in which the study names them
    for key, group in cells.groupby(keys, sort=False):
        values = group.set_index("metric")["cell"]
        rows.append(dict(zip(keys, key, strict=True)) | values.to_dict())
    table = pd.DataFrame(rows, columns=[*keys, *order])
    names = {"endpoint": "Endpoint", "model": "Model", "blocks": "Features"}
    return table.rename(columns=names | {"n_events": "Events"} | METRIC_NAMES)


def flow(counts: pd.DataFrame) -> pd.DataFrame:
    """Return the counts of patients and cases, in words."""
    names = {"what": "", "count": "Number"}
    return counts.rename_axis("what").reset_index().rename(columns=names)


def extraction(summary: pd.DataFrame) -> pd.DataFrame:
    """Return cases and features a modality; seconds without decimals."""
    table = summary.rename_axis("modality").reset_index()
    table["seconds"] = table["seconds"].round().astype(int)
    return table.rename(columns=lambda name: str(name).capitalize())


def failures(table: pd.DataFrame) -> pd.DataFrame:
    """Return the **failures** table with a person's column names."""
    return table.rename(columns=lambda name: str(name).replace("_", " ").capitalize())


def _interval(estimate, lower, upper):
    if pd.isna(lower):
        return f"{estimate:.2f}"
    return f"{estimate:.2f} ({lower:.2f}–{upper:.2f})"
