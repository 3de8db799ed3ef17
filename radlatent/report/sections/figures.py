"""Figures of the page, in its order: from which table, how drawn and how wide."""

from dataclasses import replace

import pandas as pd

from radlatent import figures
from radlatent.figures.models.calibration import calibration
from radlatent.figures.models.decision import decision_curve
from radlatent.figures.models.importance import importance
from radlatent.figures.models.incidence import cumulative_incidence
from radlatent.figures.models.numbers import observed_predicted, residuals
from radlatent.figures.models.survival import (
    kaplan_meier,
    survival_auc,
    survival_calibration,
)
from radlatent.report.plans import Figure
from radlatent.report.table_one import halves

__all__ = ["FIGURES"]

_MODEL = ("model", "blocks", "endpoint")

#: As wide as a telephone shows it, and letters of a group that take two lines beside n.
_PHONE_IN, _LONG_GROUP = 4.6, 14


def _forest(metric, name, chance=lambda data: None):
    def draw(ax, rows, data):
        figures.forest(rows, ax, metric=metric, chance=chance(data))

    return Figure(
        metric,
        "performance",
        f"{name} with its bootstrap interval.",
        "metrics",
        draw,
        lambda rows: (_wide_enough(rows), 1.2 + 0.6 * len(rows)),
        metric=metric,
    )


def _wide_enough(rows):
    """Return a width that leaves room beside the names of the models."""
    longest = max(rows["blocks"].map(len).max(), rows["model"].map(len).max())
    return max(6, 3.5 + 0.08 * longest)


def _group_size(rows):
    """Return a size that a telephone shows as it is."""
    lines = len(rows) + rows["subgroup"].nunique() - 1
    long = (rows["group"].map(len) > _LONG_GROUP).sum()
    return _PHONE_IN, 1.1 + 0.27 * lines + 0.15 * long


def _with_legend(width, height, n_lines=1):
    """Return a size that leaves room for a legend below, of so many lines a model."""

    def size(rows):
        n = len(rows[[*_MODEL]].drop_duplicates())
        return width, height + (0.17 * n_lines * n if n > 3 else 0)

    return size


def _one_class_in(data):
    """Return the balanced accuracy of guessing; that of no class is not known."""
    truth = data["predictions"].get("truth", pd.Series(dtype=str)).dropna()
    return 1 / truth.nunique() if len(truth) else None


def _roc_keys(curves):
    # several classes: a figure a model; two classes: all models in one
    several = "class" in curves and len(set(curves["class"])) > 1
    return _MODEL if several else ()


def _roc(ax, rows, data, **style):
    figures.roc(rows, ax, metrics=data.get("metrics"), **style)


def _outcome(data):
    """Return the class of each patient, the event, its cause, or half of a number."""
    patients = data["predictions"].drop_duplicates("patient_id")
    patients = patients.set_index("patient_id")
    if "truth" in patients:
        return patients["truth"].dropna()
    if "value" in patients:
        unit = patients["unit"].iloc[0] if "unit" in patients else None
        return halves(patients["value"], unit).astype(str)
    if "cause" in patients:
        return patients["cause"]
    return patients["event"].map({1: "event", 0: "censored"})


def _heatmap(ax, rows, data):
    groups = _outcome(data)
    figures.heatmap(rows.loc[groups.index], ax, groups=groups)


def _survival(ax, rows, data):
    groups = data.get("risk_groups")
    if groups is not None:
        groups = groups.merge(rows[[*_MODEL]].drop_duplicates(), on=[*_MODEL])
    kaplan_meier(rows, ax, groups=groups)


def _rules_broken(ax, rows, data):
    figures.rules_broken(rows.assign(when="masks"), ax)
    ax.get_legend().remove()
    of = rows["of"].iloc[0].capitalize()
    ax.set_xlabel(ax.get_xlabel().replace("Slices", of))


def _of_others(figure):
    """Return the same figure of the other cohort."""
    start = "external_"

    def draw(ax, rows, data, **style):
        there = {
            name.removeprefix(start): table
            for name, table in data.items()
            if name.startswith(start)
        }
        figure.draw(ax, rows, there, **style)

    return replace(
        figure,
        name=start + figure.name,
        section="external",
        caption="In the other cohort, tested once. " + figure.caption,
        source=start + figure.source,
        draw=draw,
    )


def _first_fold(rows):
    return rows[(rows["repeat"] == 0) & (rows["fold"] == 0)]


_FIGURES = (
    _forest("auc", "Area under the ROC curve", lambda data: 0.5),
    _forest("balanced_accuracy", "Balanced accuracy", _one_class_in),
    _forest("c_harrell", "Harrell's C", lambda data: 0.5),
    _forest("c_uno", "Uno's C", lambda data: 0.5),
    _forest("integrated_brier", "Integrated Brier score"),
    _forest("r2", "R²", lambda data: 0.0),
    _forest("mae", "Mean absolute error"),
    Figure(
        "roc",
        "performance",
        "Receiver operating characteristic of the predictions (out-of-fold ones "
        "averaged over repeats), with pointwise bootstrap bands.",
        "roc",
        _roc,
        _with_legend(5, 4.6, 2),
        keys=_roc_keys,
        panels=True,
    ),
    Figure(
        "confusion",
        "performance",
        "True class against that of the largest probability, mean count over repeats.",
        "confusion",
        lambda ax, rows, data: figures.confusion(rows, ax),
        keys=_MODEL,
    ),
    Figure(
        "observed_predicted",
        "performance",
        "Observed against predicted outcome of each patient (the mean of out-of-fold "
        "predictions over repeats); on the dashed line both are equal.",
        "residuals",
        lambda ax, rows, data, **style: observed_predicted(rows, ax, **style),
        _with_legend(4.6, 4.6),
        panels=True,
        overlaid=1,
    ),
    Figure(
        "residuals",
        "performance",
        "Observed minus predicted outcome of each patient, against the prediction.",
        "residuals",
        lambda ax, rows, data, **style: residuals(rows, ax, **style),
        _with_legend(4.6, 4.6),
        panels=True,
        overlaid=1,
    ),
    Figure(
        "calibration",
        "calibration",
        "Observed against predicted: bins with intervals, curves with bootstrap bands.",
        "calibration",
        lambda ax, rows, data, **style: calibration(rows, ax, **style),
        _with_legend(5.8, 4.6),
        keys=_roc_keys,
        panels=True,
    ),
    Figure(
        "decision",
        "decision",
        "Net benefit by threshold, with bootstrap bands.",
        "net_benefit",
        lambda ax, rows, data, **style: decision_curve(rows, ax, **style),
        _with_legend(6, 4.6),
        keys=("endpoint",),
        panels=True,
    ),
    Figure(
        "kaplan_meier",
        "survival",
        "Kaplan-Meier curves of groups of predicted risk, with numbers at risk.",
        "kaplan_meier",
        _survival,
        lambda rows: (6, 5),
        keys=_MODEL,
    ),
    Figure(
        "survival_calibration",
        "survival",
        "Observed against predicted risk.",
        "survival_calibration",
        lambda ax, rows, data, **style: survival_calibration(rows, ax, **style),
        _with_legend(5, 4.6),
        panels=True,
    ),
    Figure(
        "survival_auc",
        "survival",
        "Area under the time-dependent ROC curve by day.",
        "survival_auc",
        lambda ax, rows, data, **style: survival_auc(rows, ax, **style),
        _with_legend(6, 4.4),
        panels=True,
    ),
    Figure(
        "incidence",
        "incidence",
        "Cumulative incidence of each event in all patients, after Aalen and Johansen, "
        "with pointwise intervals.",
        "incidence",
        lambda ax, rows, data: cumulative_incidence(rows, ax),
        lambda rows: (5, 4.4),
    ),
    Figure(
        "incidence_by_risk",
        "incidence",
        "Cumulative incidence of each event in groups of predicted risk of the event "
        "of interest: a color a group, with pointwise intervals of that event.",
        "incidence_by_risk",
        lambda ax, rows, data: cumulative_incidence(rows, ax),
        lambda rows: (5, 4.8),
        keys=_MODEL,
    ),
    Figure(
        "incidence_calibration",
        "incidence",
        "Observed against predicted incidence of the event of interest.",
        "incidence_calibration",
        lambda ax, rows, data, **style: survival_calibration(rows, ax, **style),
        _with_legend(5, 4.6),
        panels=True,
    ),
    Figure(
        "incidence_auc",
        "incidence",
        "Area under the time-dependent ROC curve of the event of interest by day; who "
        "had another event before counts as one without it.",
        "incidence_auc",
        lambda ax, rows, data, **style: survival_auc(rows, ax, **style),
        _with_legend(6, 4.4),
        panels=True,
    ),
    Figure(
        "subgroups",
        "subgroups",
        "Performance in groups of patients with bootstrap intervals, n (events) beside "
        "each; dashed: all patients; p of the interaction.",
        "subgroups",
        lambda ax, rows, data: figures.forest_by_group(rows, ax),
        _group_size,
        keys=_MODEL,
        metric="first",
    ),
    Figure(
        "importance",
        "importance",
        "What a model loses on test patients when columns change owners.",
        "importance",
        lambda ax, rows, data: importance(rows, ax),
        lambda rows: (6, 1.5 + 0.3 * len(rows)),
        keys=_MODEL,
    ),
    Figure(
        "features",
        "features",
        "Feature heat map: patients by outcome, features by block and family, "
        "each feature standardized; gray is missing.",
        "patients",
        _heatmap,
        lambda rows: (10, 6.5),
    ),
    Figure(
        "certificate",
        "certificate",
        "What hand-crafted features know of each latent feature, on the test patients "
        "of the first fold.",
        "certificate_features",
        lambda ax, rows, data: figures.redundancy(_first_fold(rows), ax),
        lambda rows: (7, min(12, 2 + 0.2 * len(_first_fold(rows)))),
    ),
    Figure(
        "mask_rules",
        "quality",
        "Share of slices, or of masks where rules are of volumes, that break each "
        "anatomical rule; the numbers are counts.",
        "mask_rules",
        _rules_broken,
        lambda rows: (6, 1.2 + 0.27 * len(rows)),
        of_patients=False,
    ),
)

#: Of these the page has one of the other cohort.
_TOLD_THERE = (
    *("roc", "calibration", "decision", "kaplan_meier", "survival_calibration"),
    "subgroups",
    *("observed_predicted", "residuals"),
    *("incidence", "incidence_by_risk", "incidence_calibration"),
)

FIGURES = (
    *_FIGURES,
    *(_of_others(figure) for figure in _FIGURES if figure.name in _TOLD_THERE),
)
