"""What the page of this analysis shows: the one place to enter a table of it.

Tables of the analysis enter; captions and notes leave, with plans of tables and figures
in the order of the page.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import mask_tables
import pandas as pd

from radlatent.masks.degradation.draws import NETWORK_LIKE, degradation_mix
from radlatent.masks.rules.rule_sets import SET_SOURCES
from radlatent.report import Table, tables

__all__ = [
    "FIGURES",
    "LEVELS",
    "SECTIONS",
    "SOURCES",
    "TABLES",
    "Picture",
    "gathered",
    "lead",
    "notes",
]

#: Anchor of a section to its title, in the order of the page.
SECTIONS = {
    "experts": "Masks of the experts",
    "methods": "Methods of correction",
    "rules": "Rules broken before and after",
    "overlays": "Masks before and after",
    "predicted": "Predicted Dice",
    "stability": "Stability of features",
    "shifts": "Shifts of features",
    "diagnosis": "Diagnosis",
}

#: How badly masks were degraded, as files and tables of the analysis call it.
LEVELS = ("network", "severe")

#: Files of the analysis that the page reads, patterns of ``tables/``.
SOURCES = (
    "experts_*.csv",
    "methods.csv",
    *(f"rules_broken_{level}.csv" for level in LEVELS),
    *(f"decisions_{level}.csv" for level in LEVELS),
    *(f"predicted_dice_{level}.csv" for level in LEVELS),
    *(f"predicted_dice_judged_{level}.csv" for level in LEVELS),
    "stability_summary.csv",
    "stability_tiers_summary.csv",
    "feature_shift_by_family.csv",
    "diagnosis.csv",
    "diagnosis_compared.csv",
)

#: Change of Dice that counts as worse or better, and Dice below which masks should be
#: flagged, in the analysis.
_CHANGE, _FLAG_BELOW = 0.02, 0.7

_STABLE = (
    "Verdicts are those of Koo and Li 2016 (doi:10.1016/j.jcm.2016.02.012) on the "
    "lower limit of the interval: poor below 0.5, moderate below 0.75, good below 0.9"
)


@dataclass(frozen=True)
class Picture:
    """A figure that the analysis drew.

    Parameters
    ----------
    name
        Its file in ``figures/``, without the ending.
    section
        Where it stands.
    caption
        The tables of the analysis enter, what it shows leaves.
    """

    name: str
    section: str
    caption: Callable[[Mapping[str, pd.DataFrame]], str]


TABLES = (
    Table(
        "experts",
        "experts",
        "Slices and masks of the experts that keep all rules, and each rule that some "
        "break: number, share and Wilson interval; n has a verdict. That slices of one "
        "patient are alike, the intervals do not know.",
        tables.validity,
        3,
    ),
    Table(
        "methods_slices",
        "methods",
        "What became of slices by errors, method and gate: number (share). Worse and "
        f"better: Dice with the expert, changed by more than {_CHANGE:g}. Valid: no "
        "rule is broken. Slices that errors left empty are not counted.",
        mask_tables.decisions,
        3,
        5,
        source="methods",
    ),
    Table(
        "methods_distances",
        "methods",
        "How near masks come to the expert's by errors, method and gate: means over n "
        "structures of volumes. HD95: the larger of both directions; ASSD: pooled over "
        "both surfaces.",
        mask_tables.distances,
        3,
        5,
        source="methods",
    ),
    Table(
        "rules_broken",
        "rules",
        "Slices that break each rule, of n, before and after the correction with the "
        "gate; rules that none breaks are left out.",
        mask_tables.broken,
    ),
    Table(
        "predicted_dice_judged",
        "predicted",
        "Predicted against true Dice of slices. AUC: to tell slices with a Dice below "
        f"{_FLAG_BELOW:g}; sensitivity and specificity: of the flag for them.",
        mask_tables.judged,
        2,
    ),
    Table(
        "stability_summary",
        "stability",
        "Features by verdict over the masks of the experts and plausible others, for "
        f"each structure. {_STABLE}.",
        mask_tables.verdicts,
        3,
        5,
    ),
    Table(
        "stability_tiers_summary",
        "stability",
        "Features by verdict over corrected masks and plausible others, by tier of "
        f"predicted Dice. {_STABLE}.",
        mask_tables.verdicts,
        4,
        5,
    ),
    Table(
        "feature_shift_by_family",
        "shifts",
        "How far features lie from those of the expert's mask, in standard deviations "
        "between patients: the 90 % quantile over cases of each feature, median over "
        "the features of a family.",
        mask_tables.shifts,
    ),
    Table(
        "diagnosis",
        "diagnosis",
        "Out-of-fold performance from the features of the expert's masks: estimate "
        "(interval).",
        tables.performance,
        5,
    ),
    Table(
        "diagnosis_compared",
        "diagnosis",
        "Difference of the models on the same patients. p is corrected for what other "
        "training patients would have changed (Nadeau and Bengio); the interval is "
        "that of these predictions.",
        tables.comparison,
    ),
)


def _method(data):
    """Return which correction figures show, where the tables tell."""
    names = data.get("decisions_network", pd.DataFrame()).get(
        "method", pd.Series(dtype=str)
    )
    shown = ", ".join(dict.fromkeys(names.dropna()))
    return f"the correction with the gate{f' ({shown})' if shown else ''}"


def _n(data, name):
    return f" n = {len(data[name]):,} slices." if name in data else ""


def _overlay(which):
    return lambda data: (
        f"{which} The mask is solid, above before and below after {_method(data)}; the "
        "expert's is dashed; pixels that break a rule are filled. Errors: network."
    )


FIGURES = (
    Picture(
        "fig1_rules_broken",
        "rules",
        lambda data: (
            f"Share of slices that break each rule, before and after {_method(data)}; "
            "numbers are slices. Errors: network."
        ),
    ),
    Picture(
        "fig2_correction",
        "methods",
        lambda data: (
            f"Dice of each slice before and after {_method(data)}; below the dashed "
            f"line a slice lost more than {_CHANGE:g}. Errors: network."
            f"{_n(data, 'decisions_network')}"
        ),
    ),
    Picture("fig3a_gained", "overlays", _overlay("Slices that gained most.")),
    Picture("fig3b_lost", "overlays", _overlay("Slices that lost most.")),
    Picture(
        "fig3c_refused",
        "overlays",
        _overlay("Slices whose correction was refused: they stay as they were."),
    ),
    Picture(
        "fig4_predicted_dice",
        "predicted",
        lambda data: (
            "True Dice against that predicted without a reference, with intervals; "
            f"slices with a true Dice below {_FLAG_BELOW:g} should be flagged. Errors: "
            f"network.{_n(data, 'predicted_dice_network')}"
        ),
    ),
    Picture(
        "fig5_stability",
        "stability",
        lambda data: (
            "ICC(2,1) of each feature over corrected masks and plausible others, by "
            "structure and tier: thirds of the cases by predicted Dice. Lines are "
            "medians. A tier whose cases are much alike has low ICCs from that alone."
        ),
    ),
    Picture(
        "fig6_feature_shift",
        "shifts",
        lambda data: (
            "How far each feature lies from that of the expert's mask, 90 % quantile "
            f"over cases, for degraded masks and after {_method(data)}. Large points: "
            "medians of families. Errors: network."
        ),
    ),
)


def gathered(data: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the tables with those of several levels or rule sets as one.

    Parameters
    ----------
    data
        The tables of the analysis, by name of their file without its ending.
    """
    found = dict(data)
    experts = {
        name.removeprefix("experts_"): table
        for name, table in data.items()
        if name.startswith("experts_")
    }
    found |= _joined("experts", "rules", experts)
    for base in ("rules_broken", "predicted_dice_judged"):
        levels = {one: data.get(f"{base}_{one}") for one in LEVELS}
        found |= _joined(base, "errors", levels)
    return found


def _joined(name, column, parts):
    rows = [
        table.assign(**{column: value})
        for value, table in parts.items()
        if table is not None
    ]
    return {name: pd.concat(rows, ignore_index=True)} if rows else {}


def lead(data: Mapping[str, pd.DataFrame]) -> str:
    """Return how many masks were looked at, in a sentence."""
    if "experts" not in data:
        return "Masks that were degraded and corrected."
    counts = data["experts"][data["experts"]["rule"] == "all"]
    said = counts.drop_duplicates("of").set_index("of")["n"]
    return f"Masks of experts: {', '.join(f'{n:,} {of}' for of, n in said.items())}."


def notes(data: Mapping[str, pd.DataFrame]) -> dict[str, list[str]]:
    """Return what is said above the tables of each section."""
    found = {anchor: [] for anchor in SECTIONS}
    if "experts" in data:
        names = dict.fromkeys(data["experts"]["rules"])
        found["experts"] = [
            f"{name}: {SET_SOURCES[name]}." for name in names if name in SET_SOURCES
        ]
    if "methods" in data:
        levels = set(data["methods"]["level"])
        found["methods"] = [
            "The masks of the experts were degraded by drawn errors and then "
            "corrected, each by a corrector fitted on other patients. With the gate, a "
            "correction is accepted only where the slice broke a rule, and the result "
            "breaks fewer and stays near; else the slice keeps its mask.",
            *(text for level, text in _levels().items() if level in levels),
        ]
    if "diagnosis" in data and {"n_stable", "n_features"} <= set(data["diagnosis"]):
        row = data["diagnosis"].iloc[0]
        found["diagnosis"] = [
            f"Stable: the lower limit of ICC(2,1) over plausible masks is good or "
            f"better, as of {row['n_stable']:,} of {row['n_features']:,} features."
        ]
    return found


def _levels():
    mix = inspect.signature(degradation_mix).parameters
    usual = {name: mix[name].default for name in ("severity", "kinds")}
    return {
        "network": (
            f"Errors “network”: {_drawn(**usual | NETWORK_LIKE)}. 17 % of the slices "
            "of ACDC's expert masks then break one of the 7 checks, as 16 % of those "
            "of a published U-Net do. No network was run."
        ),
        "severe": f"Errors “severe”: {_drawn(**usual)}.",
    }


def _drawn(severity, kinds):
    return (
        f"borders are moved, and {kinds[0]} to {kinds[1]} further kinds of error come "
        "in (shifts, leaks, pieces, holes, swaps, specks, missing slices), sizes "
        f"times {severity:g}; one mask of ten is left as it is"
    )
