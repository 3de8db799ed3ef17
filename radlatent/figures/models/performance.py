"""Drawings of how well models predict: ROC curves, metrics, confusion.

Tables of ``fusion`` enter, an Axes leaves; every mark is a cell of the table.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from radlatent.errors import SchemaError
from radlatent.figures.style.look import PALETTE, in_lines, name_lines

__all__ = ["confusion", "forest", "forest_by_group", "roc"]

_KEYS = ["model", "blocks", "endpoint"]

#: Letters of a line beside a group: the plot needs the rest of a telephone.
_GROUP_LETTERS = 24

_COUNTED = ("group", "n", "n_events")

_AXIS_LABELS = {
    "auc": "AUC (higher = better)",
    "balanced_accuracy": "Balanced accuracy (higher = better)",
    "accuracy": "Accuracy (higher = better)",
    "brier": "Brier score (lower = better)",
    "auprc": "AUPRC (higher = better)",
    "sensitivity": "Sensitivity (higher = better)",
    "specificity": "Specificity (higher = better)",
    "ici": "ICI (lower = better)",
    "calibration_slope": "Calibration slope (1 = best)",
    "calibration_intercept": "Calibration intercept (0 = best)",
    "c_harrell": "Harrell's C (higher = better)",
    "c_uno": "Uno's C (higher = better)",
    "auc_at_quartiles": "AUC at quartiles of time (higher = better)",
    "integrated_brier": "Integrated Brier score (lower = better)",
    "observed_expected": "Observed / expected (1 = best)",
    "r2": "R² (higher = better)",
    "mae": "Mean absolute error (lower = better)",
    "rmse": "Root mean squared error (lower = better)",
    "pearson": "Pearson's correlation (higher = better)",
    "spearman": "Spearman's correlation (higher = better)",
}


def roc(
    curve_table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    metrics: pd.DataFrame | None = None,
    **kwargs,
) -> Axes:
    """Draw ROC curves with their bands and the diagonal of chance.

    Parameters
    ----------
    curve_table
        ``model, blocks, endpoint, class, false_positive_rate, true_positive_rate,
        lower, upper``.
    ax
        Where to draw, None for the current Axes.
    metrics
        A **metrics** table; its AUC and interval enter the legend, except for curves
        of several classes, which have no AUC of their own.
    **kwargs
        Passed to ``Axes.plot``; a ``label`` names the model.
    """
    if ax is None:
        ax = plt.gca()
    kwargs.setdefault("linewidth", 1.5)
    named = _varying(curve_table, [*_KEYS, "class"]) or ["model"]
    ax.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, zorder=1)
    groups = curve_table.groupby([*_KEYS, "class"], sort=False)
    for number, (key, curve) in enumerate(groups):
        key = dict(zip([*_KEYS, "class"], key, strict=True))
        name = ", ".join(key[name] for name in named)
        style = {"color": PALETTE[number % len(PALETTE)], "label": name} | kwargs
        if metrics is not None and "class" not in _varying(curve_table, ["class"]):
            style["label"] += _auc_text(metrics, key)
        x = curve["false_positive_rate"]
        (line,) = ax.plot(x, curve["true_positive_rate"], **style)
        band = {"color": line.get_color(), "alpha": 0.12, "linewidth": 0}
        ax.fill_between(x, curve["lower"], curve["upper"], **band)
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    ax.set_xlabel("False positive rate (1 − specificity)")
    ax.set_ylabel("True positive rate (sensitivity)")
    name_lines(ax, "lower right")
    return ax


def _varying(table, columns):
    return [column for column in columns if len(table[column].unique()) > 1]


def _auc_text(metrics, key):
    rows = metrics[metrics["metric"] == "auc"]
    for name in _KEYS:
        rows = rows[rows[name] == key[name]]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    return f"\nAUC {row['estimate']:.2f} ({row['lower']:.2f}–{row['upper']:.2f})"


def forest(
    metrics: pd.DataFrame,
    ax: Axes | None = None,
    *,
    metric: str = "auc",
    chance: float | None = None,
    **kwargs,
) -> Axes:
    """Draw one metric of each model and blocks as a point with its interval.

    Parameters
    ----------
    metrics
        A **metrics** table; the first row is drawn on top.
    ax
        Where to draw, None for the current Axes.
    metric
        Which rows to draw.
    chance
        Value without information, drawn as a dashed line; None draws 0.5 for the AUC, 0
        for R2 and nothing for other metrics.
    **kwargs
        Passed to ``Axes.errorbar``.
    """
    if ax is None:
        ax = plt.gca()
    rows = metrics[metrics["metric"] == metric]
    if rows.empty:
        msg = f"metric={metric!r} is not in {metrics['metric'].unique().tolist()}."
        raise SchemaError(msg)
    for name, value in {"fmt": "o", "color": PALETTE[0], "capsize": 3}.items():
        kwargs.setdefault(name, value)
    chance = {"auc": 0.5, "r2": 0.0}.get(metric) if chance is None else chance
    if chance is not None:
        ax.axvline(chance, color="0.6", linestyle="--", linewidth=1, zorder=1)
    named = _varying(rows, _KEYS) or ["model"]
    y = np.arange(len(rows))
    arms = [rows["estimate"] - rows["lower"], rows["upper"] - rows["estimate"]]
    ax.errorbar(rows["estimate"], y, xerr=np.clip(arms, 0, None), **kwargs)
    labels = [
        "\n".join(row[name] for name in named) + f" (n = {row['n']})"
        for _, row in rows.iterrows()
    ]
    ax.set_yticks(y, labels)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    percent = f"{100 * rows['level'].iloc[0]:g}% interval"
    # two lines: long labels of models leave little room for the axis
    known = rows["unit"].dropna().unique() if "unit" in rows else []
    unit = f", {known[0]}" if len(known) == 1 else ""
    ax.set_xlabel(f"{_AXIS_LABELS.get(metric, metric)}{unit}\n{percent}")
    return ax


def forest_by_group(table: pd.DataFrame, ax: Axes | None = None, **kwargs) -> Axes:
    """Draw one metric of one model in groups of patients, below that of all of them.

    Parameters
    ----------
    table
        Of ``fusion.subgroups``, of one model and metric. Groups without an estimate
        keep their line.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``Axes.errorbar``.
    """
    varying = _varying(table, [*_KEYS, "metric"])
    if varying:
        msg = f"the table holds several {varying}; choose the rows of one."
        raise SchemaError(msg)
    if ax is None:
        ax = plt.gca()
    for name, value in {"fmt": "o", "color": PALETTE[0], "capsize": 3}.items():
        kwargs.setdefault(name, value)
    whole, places, labels = table.iloc[0], [], []
    for name, rows in table.groupby("subgroup", sort=False):
        if name != whole["subgroup"]:
            p = rows["p_interaction"].iloc[0]
            said = (
                "" if pd.isna(p) else f" (p {'< 0.001' if p < 0.001 else f'= {p:.2g}'})"
            )
            labels.append(in_lines(f"{name}{said}", _GROUP_LETTERS))
        places += range(len(labels), len(labels) + len(rows))
        labels += [_of_group(*row) for row in rows[[*_COUNTED]].itertuples(index=False)]
    ax.axvline(whole["estimate"], color="0.6", linestyle="--", linewidth=1, zorder=1)
    arms = [table["estimate"] - table["lower"], table["upper"] - table["estimate"]]
    ax.errorbar(table["estimate"], places, xerr=np.clip(arms, 0, None), **kwargs)
    ax.set_yticks(range(len(labels)), labels)
    for place, tick in enumerate(ax.get_yticklabels()):
        tick.set_fontweight("normal" if place in places else "bold")
    ax.set_ylim(len(labels) - 0.5, -0.5)
    percent = f"{100 * whole['level']:g}% interval"
    metric = whole["metric"]
    ax.set_xlabel(f"{_AXIS_LABELS.get(metric, metric)}\n{percent}")
    return ax


def _of_group(group, n, n_events):
    counts = f"{n}" if pd.isna(n_events) else f"{n} ({n_events})"
    if len(group) + len(counts) + 2 <= _GROUP_LETTERS:
        return f"{group}, {counts}"
    return f"{in_lines(group, _GROUP_LETTERS)}\n{counts}"


def confusion(confusion_table: pd.DataFrame, ax: Axes | None = None, **kwargs) -> Axes:
    """Draw counts in cells colored by the share of the true class.

    Parameters
    ----------
    confusion_table
        ``model, blocks, endpoint, truth, predicted, count`` of one model.
    ax
        Where to draw, None for the current Axes.
    **kwargs
        Passed to ``seaborn.heatmap``.
    """
    varying = _varying(confusion_table, _KEYS)
    if varying:
        msg = f"the confusion table holds several {varying}; choose the rows of one."
        raise SchemaError(msg)
    if ax is None:
        ax = plt.gca()
    counts = confusion_table.pivot_table(  # one cell a pair, so nothing is averaged
        index="truth", columns="predicted", values="count"
    )
    shares = 100 * counts.div(counts.sum(axis=1), axis=0)
    texts = shares.map("{:.0f}%".format) + counts.round(1).map("\n({:g})".format)
    look = {"cmap": "Blues", "vmin": 0, "vmax": 100, "square": True, "fmt": ""}
    look |= {"annot": texts, "annot_kws": {"fontsize": "small"}}
    look["cbar_kws"] = {"label": "Patients of the true class (%)"}
    sns.heatmap(shares, ax=ax, **look | kwargs)
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel="Predicted class", ylabel="True class")
    return ax
