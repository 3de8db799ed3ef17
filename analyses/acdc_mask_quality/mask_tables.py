"""Tables of masks as a journal prints them: tables of ``masks`` enter, text leaves.

Counts that stand beside a share are the share of its ``n``; nothing else is computed.
"""

import pandas as pd

from radlatent.report.tables import METRIC_NAMES, thousands

__all__ = [
    "broken",
    "decisions",
    "distances",
    "judged",
    "shifts",
    "verdicts",
]

#: Whether a correction passed the gate, as it is read from a file; else no correction.
_GATES = {"True": "yes", "False": "no"}

_METRICS = {
    "mae": "Mean absolute error",
    "pearson": "Pearson's r",
    "spearman": "Spearman's rho",
    "auc": METRIC_NAMES["auc"],
    "coverage": "Coverage of the intervals",
    "sensitivity": "Sensitivity of the flag",
    "specificity": "Specificity of the flag",
}

_VERDICTS = ("poor", "moderate", "good", "excellent", "undefined")


def distances(methods: pd.DataFrame) -> pd.DataFrame:
    """Return how near masks come to the expert's, a row a method.

    Parameters
    ----------
    methods
        ``level, method, gated``, means of the metrics over structures, and their
        number.
    """
    columns = _method_keys(methods)
    columns["Dice"] = methods["dice"].map(_decimals(3))
    columns["HD (mm)"] = methods["hd_mm"].map(_decimals(2))
    columns["HD95 (mm)"] = methods["hd95_max_mm"].map(_decimals(2))
    columns["ASSD (mm)"] = methods["assd_pooled_mm"].map(_decimals(2))
    return pd.DataFrame(columns).assign(n=thousands(methods["n_structures"]))


def decisions(methods: pd.DataFrame) -> pd.DataFrame:
    """Return what became of slices, a row a method.

    Parameters
    ----------
    methods
        ``level, method, gated``, shares of ``n_slices`` or ``n_invalid``, and counts.
    """
    n, invalid = methods["n_slices"], methods["n_invalid"]
    columns = _method_keys(methods)
    columns["Slices"] = thousands(n)
    columns["Corrected"] = thousands(methods["corrected"])
    columns["Refused"] = thousands(methods["refused"])
    columns["Worse"] = _of(methods["worse"], n)
    columns["Better"] = _of(methods["better"], n)
    columns["Dice of a slice"] = methods["slice_dice"].map(_decimals(3))
    columns["Valid before"] = _of(methods["valid_before"], n)
    columns["Valid after"] = _of(methods["valid_after"], n)
    columns["Invalid made valid"] = _of(methods["invalid_made_valid"], invalid)
    valid = _of(methods["corrected_valid"], methods["corrected"])
    columns["Corrected are valid"] = valid
    return pd.DataFrame(columns)


def broken(rules: pd.DataFrame) -> pd.DataFrame:
    """Return how many slices break each rule, a column a time.

    Parameters
    ----------
    rules
        ``errors, rule, when, n_broken, n``.
    """
    cell = _of(rules["n_broken"] / rules["n"], rules["n"])
    rows = rules.assign(cell=cell, n=thousands(rules["n"]))
    groups = rows.groupby(["errors", "rule"], sort=False)
    columns = {"n": groups["n"].agg(lambda n: " / ".join(dict.fromkeys(n)))}
    for when in dict.fromkeys(rows["when"]):
        part = rows[rows["when"] == when].set_index(["errors", "rule"])
        columns[str(when).capitalize()] = part["cell"]
    table = pd.DataFrame(columns).reindex(columns["n"].index).reset_index()
    return table.rename(columns={"errors": "Errors", "rule": "Rule"})


def judged(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return how good predicted Dice is, a row a metric.

    Parameters
    ----------
    predictions
        What `radlatent.masks.judge_predictions` returned, and ``errors``.
    """
    ends = predictions[["estimate", "lower", "upper"]]
    return pd.DataFrame(
        {
            "Errors": predictions["errors"],
            "Metric": predictions["metric"].map(lambda name: _METRICS.get(name, name)),
            "Estimate (interval)": [
                _decimal_interval(*row) for row in ends.itertuples(index=False)
            ],
            "Masks": thousands(predictions["n"]),
            "Patients": thousands(predictions["n_patients"]),
            "Interval": predictions["method"],
        }
    )


def verdicts(counts: pd.DataFrame) -> pd.DataFrame:
    """Return how many features are stable, a row a structure and coefficient.

    Parameters
    ----------
    counts
        What `radlatent.handcrafted.repeat.agreement.count_verdicts` returned.
    """
    names = {"lesion_id": "Structure", "structure": "Structure", "tier": "Tier"}
    keys = [name for name in names if name in counts]
    table = counts[[*keys, "block", "icc", *_VERDICTS]]
    names |= {"block": "Features", "icc": "Coefficient"}
    names |= {verdict: verdict.capitalize() for verdict in _VERDICTS}
    return table.rename(columns=names)


def shifts(table: pd.DataFrame) -> pd.DataFrame:
    """Return how far features lie from those of the expert's mask, a row a family.

    Parameters
    ----------
    table
        ``family, structure, degraded, corrected``.
    """
    return pd.DataFrame(
        {
            "Family": table["family"],
            "Structure": table["structure"],
            "Degraded": table["degraded"].map(_decimals(2)),
            "Corrected": table["corrected"].map(_decimals(2)),
        }
    )


def _method_keys(methods):
    gates = methods["gated"].map(str).map(_GATES).fillna("–")
    return {"Errors": methods["level"], "Method": methods["method"], "Gate": gates}


def _decimals(digits):
    return lambda value: "–" if pd.isna(value) else f"{value:.{digits}f}"


def _of(shares, n):
    """Return counts with their percentages: ``12 (0.4 %)``."""
    return [
        "–" if pd.isna(share) or pd.isna(one) else _count(share, one)
        for share, one in zip(shares, n, strict=True)
    ]


def _count(share, n):
    return f"{share * n:,.0f} ({100 * share:.1f} %)"


def _decimal_interval(estimate, lower, upper):
    if pd.isna(estimate):
        return "–"
    if pd.isna(lower):
        return f"{estimate:.3f}"
    between = " to " if lower < 0 else "–"
    text = f"{estimate:.3f} ({lower:.3f}{between}{upper:.3f})"
    return text.replace("-", "−")
