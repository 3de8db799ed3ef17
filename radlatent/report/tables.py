"""Tables as a journal prints them; the only place where numbers are rounded."""

import pandas as pd

from radlatent.schema import check_metrics

__all__ = [
    "METRIC_NAMES",
    "certificate",
    "comparison",
    "encoders",
    "extraction",
    "failures",
    "flow",
    "incidence_groups",
    "performance",
    "permuted",
    "pieces",
    "plain",
    "risk_groups",
    "sample_size",
    "subgroups",
    "thousands",
    "validity",
]

METRIC_NAMES = {
    "auc": "AUC",
    "auc_delong": "AUC (DeLong)",
    "auprc": "AUPRC",
    "auc_at_quartiles": "AUC at quartiles of time",
    "balanced_accuracy": "Balanced accuracy",
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "brier": "Brier score",
    "calibration_slope": "Calibration slope",
    "calibration_intercept": "Calibration intercept",
    "ici": "ICI",
    "c_harrell": "C (Harrell)",
    "c_uno": "C (Uno)",
    "integrated_brier": "Integrated Brier score",
    "observed_expected": "Observed / expected",
    "r2": "R²",
    "mae": "MAE",
    "rmse": "RMSE",
    "pearson": "Correlation (Pearson)",
    "spearman": "Correlation (Spearman)",
}


#: Metrics whose value depends on a day, and how the day is told.
_DATED = {
    "c_uno": "C (Uno, until day {1})",
    "integrated_brier": "{} until day {}",
    "observed_expected": "{} on day {}",
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
        ``Endpoint, Model, Features, n, Events`` and the metrics with their intervals; a
        metric without a name of its own here keeps that of the table. The name of a
        metric of survival holds its horizon, that of an error of numbers its unit,
        where all rows share it. Numbers have no events, and no column of them.
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
    for key, group in cells.groupby(keys, sort=False, dropna=False):
        values = group.set_index("metric")["cell"]
        rows.append(dict(zip(keys, key, strict=True)) | values.to_dict())
    table = pd.DataFrame(rows, columns=[*keys, *order])
    if table["n_events"].isna().all():
        table = table.drop(columns="n_events")
    names = {"endpoint": "Endpoint", "model": "Model", "blocks": "Features"}
    titles = METRIC_NAMES | _until(metrics) | _in_units(metrics)
    return table.rename(columns=names | {"n_events": "Events"} | titles)


def _until(metrics):
    """Return the names of metrics that count events until one day, with that day."""
    found = {}
    for metric, rows in metrics.groupby("metric") if "horizon" in metrics else ():
        days = rows["horizon"].unique()
        title = _DATED.get(metric)
        if title and len(days) == 1 and pd.notna(days[0]):
            found[metric] = title.format(METRIC_NAMES[metric], f"{days[0]:.4g}")
    return found


def _in_units(metrics):
    """Return the names of metrics that have the unit of the outcome, with it."""
    if "unit" not in metrics:
        return {}
    rows = metrics.dropna(subset="unit")
    return {
        metric: f"{METRIC_NAMES.get(metric, metric)} ({units.iloc[0]})"
        for metric, units in rows.groupby("metric", sort=False)["unit"]
        if (units == units.iloc[0]).all()
    }


def comparison(compared: pd.DataFrame) -> pd.DataFrame:
    """Return one row a pair of models: the difference with its interval, and p.

    Parameters
    ----------
    compared
        What `radlatent.compare` returned.
    """
    sides = {"Model": ("model", "blocks")}
    sides["Reference"] = ("reference_model", "reference_blocks")
    columns = {"Endpoint": compared["endpoint"]}
    for side, (model, blocks) in sides.items():
        columns[side] = compared[model] + " on " + compared[blocks]
    metric = compared["metric"].map(lambda name: METRIC_NAMES.get(name, name))
    columns["Metric"] = metric
    columns["Difference"] = [
        _interval(*row)
        for row in compared[["difference", "lower", "upper"]].itertuples(index=False)
    ]
    names = {"p_corrected": "p", "p_adjusted": "p (Holm)"}
    for name, title in names.items():
        columns[title] = compared[name].map(_p_value)
    return pd.DataFrame(columns).assign(n=compared["n"])


def risk_groups(groups: pd.DataFrame) -> pd.DataFrame:
    """Return one row a group of risk: events and the mean of the days without one.

    Parameters
    ----------
    groups
        Summary of what `radlatent.kaplan_meier` returned.
    """
    means = [
        f"{_interval(mean, lower, upper, 0)} of {horizon:.0f}"
        for mean, lower, upper, horizon in groups[
            ["restricted_mean", "lower", "upper", "horizon"]
        ].itertuples(index=False)
    ]
    return pd.DataFrame(
        {
            "Endpoint": groups["endpoint"],
            "Model": groups["model"] + " on " + groups["blocks"],
            "Risk": groups["group"],
            "n": groups["n"],
            "Events": groups["n_events"],
            "Restricted mean (days)": means,
            "p (log-rank)": groups["p"].map(_p_value),
        }
    )


def incidence_groups(groups: pd.DataFrame) -> pd.DataFrame:
    """Return one row a group of risk and event: how many had it until a day.

    Parameters
    ----------
    groups
        Summary of what `radlatent.incidence_by_risk` returned.
    """
    ends = groups[["incidence", "lower", "upper"]].itertuples(index=False)
    days, dated = groups["horizon"].unique(), "Incidence until day {:.4g}"
    columns = {
        "Endpoint": groups["endpoint"],
        "Model": groups["model"] + " on " + groups["blocks"],
        "Risk": groups["group"],
        "n": groups["n"],
        "Event": groups["cause"],
        "Events": groups["n_events"],
    }
    if len(days) > 1:
        columns["Day"] = groups["horizon"].map("{:.4g}".format)
    title = dated.format(days[0]) if len(days) == 1 else "Incidence until the day"
    return pd.DataFrame(columns | {title: [_interval(*row) for row in ends]})


def flow(counts: pd.DataFrame) -> pd.DataFrame:
    """Return the counts of patients and cases, in words."""
    names = {"what": "", "count": "Number"}
    return counts.rename_axis("what").reset_index().rename(columns=names)


def extraction(summary: pd.DataFrame) -> pd.DataFrame:
    """Return cases and features a modality; seconds without decimals."""
    table = summary.rename_axis("modality").reset_index()
    table["seconds"] = table["seconds"].round().astype(int)
    return _titled(table)


def failures(table: pd.DataFrame) -> pd.DataFrame:
    """Return the **failures** table with a person's column names."""
    return _titled(table)


def permuted(table: pd.DataFrame) -> pd.DataFrame:
    """Return what a model reached beside what it reaches by chance."""
    chance = table[["chance", "chance_lower", "chance_upper"]]
    return pd.DataFrame(
        {
            "Model": table["model"] + " on " + table["blocks"],
            "Metric": table["metric"].map(lambda m: METRIC_NAMES.get(m, m)),
            "Estimate": table["estimate"].map("{:.2f}".format),
            "By chance": [_interval(*row) for row in chance.itertuples(index=False)],
            "p": table["p"].map("{:.3g}".format),
            "Permutations": table["n_permutations"],
            "n": table["n"],
        }
    )


def subgroups(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a model and group, a column a metric, each with its p.

    Parameters
    ----------
    table
        What `radlatent.subgroups` returned, of one metric or of several.
    """
    keys = ["model", "blocks", "subgroup", "group"]
    found = table[[*keys, "n", "n_events"]].drop_duplicates(keys)
    # the metrics of a group are one row
    for metric, rows in table.groupby("metric", sort=False):
        ends = rows[["estimate", "lower", "upper"]].itertuples(index=False)
        title = METRIC_NAMES.get(metric, metric)
        cells = {title: [_interval(*row) for row in ends]}
        cells |= {f"p, {title}": rows["p_interaction"].map(_p_value)}
        cells |= {f"p (Holm), {title}": rows["p_adjusted"].map(_p_value)}
        found = found.merge(rows[keys].assign(**cells), on=keys)
    first = (found["model"] + " on " + found["blocks"]).rename("Model")
    # said once for a grouping, and not in every row of it
    again = found.duplicated(["model", "blocks", "subgroup"])
    for column in [c for c in found if c.startswith("p")]:
        found[column] = found[column].mask(again, "")
    if found["n_events"].isna().all():
        found = found.drop(columns="n_events")
    names = {"subgroup": "Subgroup", "group": "Group", "n_events": "Events"}
    found = found.drop(columns=["model", "blocks"]).rename(columns=names)
    return pd.concat([first, found], axis=1)


def sample_size(table: pd.DataFrame) -> pd.DataFrame:
    """Return what each criterion asks for, and what there is."""
    needed = table["n"].map(lambda n: "–" if pd.isna(n) else f"{n:,.0f}")
    return pd.DataFrame(
        {
            "Criterion": table["criterion"].str.replace("_", " "),
            "Patients needed": needed,
            "Patients": table["n_had"],
            "Events": table["n_events_had"],
        }
    )


def encoders(table: pd.DataFrame) -> pd.DataFrame:
    """Return the share of variance that encoders explain, over folds.

    Parameters
    ----------
    table
        The **encoders** table; of a run of before, which did not measure it, a row a
        fold is returned as it is.
    """
    if "explained_test" not in table:
        return plain(table)
    names = {
        "explained_test": "Encoder, test patients",
        "pca_test": "PCA, test patients",
        "own_mean_test": "Mean of each case, test patients",
        "explained_train": "Encoder, training patients",
    }
    found = table[list(names)].agg(["mean", "min", "max"]).T.map(_number)
    found = found.set_axis(["Explained (mean)", "Least fold", "Largest fold"], axis=1)
    found.insert(0, "Of the variance of boxes", list(names.values()))
    n_better = int((table["explained_test"] > table["pca_test"]).sum())
    means = table[["explained_test", "pca_test"]].mean()
    said = "Better than PCA" if means.iloc[0] > means.iloc[1] else "No better than PCA"
    found[f"{said}, folds"] = [f"{n_better} of {len(table)}", "", "", ""]
    return found.reset_index(drop=True)


def certificate(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row an estimator of the certificate."""
    ends = table[["estimate", "lower", "upper"]]
    columns = {
        "Estimator": table["estimator"].str.replace("_", " "),
        "Estimate": [_interval(*row) for row in ends.itertuples(index=False)],
        "Expected if independent": table["expected_if_independent"].round(3),
        "p": table["p"].map("{:.3g}".format),
        "Folds": table["n_folds"],
        "n": table["n_patients"],
    }
    if "n_dependent" in table:  # not in a run of before
        of = table["n_features"].astype(str)
        n = table["n_dependent"].astype("Int64").astype(str).replace("<NA>", pd.NA)
        columns["Dependent features"] = (n + " of " + of).fillna("")
        columns["Worst feature"] = table["worst_estimate"].map(_number)
    return pd.DataFrame(columns)


def _number(value):
    return "" if pd.isna(value) else f"{value:.3f}"


def validity(summary: pd.DataFrame) -> pd.DataFrame:
    """Return what is valid, and the rules that something breaks.

    Parameters
    ----------
    summary
        ``summary`` of `radlatent.masks.MaskScores`, and ``rules``, the set.
    """
    whole = summary["rule"] == "all"
    rows = summary[whole | (summary["n_kept"] < summary["n"])]
    ends = rows[["share", "lower", "upper"]]
    level = 100 * summary["level"].iloc[0]
    return pd.DataFrame(
        {
            "Rules": rows["rules"],
            "Of": rows["of"],
            "Rule": rows["rule"].replace("all", "all rules"),
            "Keep it": thousands(rows["n_kept"]),
            "n": thousands(rows["n"]),
            f"Share ({level:g} % interval)": [
                _percent_interval(*row) for row in ends.itertuples(index=False)
            ],
        }
    )


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return any table with three digits a number and a person's column names."""
    floats = table.select_dtypes("float").columns
    return _titled(table.assign(**{name: table[name].map(_short) for name in floats}))


def thousands(counts: pd.Series) -> pd.Series:
    """Return counts as text, with a comma between thousands."""
    return counts.map(lambda n: "–" if pd.isna(n) else f"{n:,.0f}")


def pieces(table: pd.DataFrame, n_keys: int, at_most: int = 4) -> list[pd.DataFrame]:
    """Return a wide table as several that fit a page, each with the first columns.

    Parameters
    ----------
    table
        Its first ``n_keys`` columns name the rows.
    n_keys
        Columns that every piece repeats.
    at_most
        Further columns of one piece.
    """
    keys, rest = list(table.columns[:n_keys]), list(table.columns[n_keys:])
    if not n_keys or len(rest) <= at_most:
        return [table]
    return [
        table[keys + rest[start : start + at_most]]
        for start in range(0, len(rest), at_most)
    ]


def _titled(table):
    return table.rename(columns=lambda name: str(name).replace("_", " ").capitalize())


def _short(value):
    if pd.isna(value):
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _p_value(value):
    if pd.isna(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def _interval(estimate, lower, upper, digits=2):
    numbers = [f"{value:z.{digits}f}" for value in (estimate, lower, upper)]
    # a dash after a minus sign is hard to read
    signed = [number.replace("-", "−") for number in numbers]
    between = " to " if "−" in "".join(signed) else "–"
    if pd.isna(estimate):
        return "–"
    if pd.isna(lower):
        return signed[0]
    return f"{signed[0]} ({signed[1]}{between}{signed[2]})"


def _percent_interval(share, lower, upper):
    if pd.isna(share):
        return "–"
    return f"{100 * share:.1f} % ({100 * lower:.1f}–{100 * upper:.1f})"
