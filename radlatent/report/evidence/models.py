"""Rules about patients, models and results: what the tables of a run prove.

The record and the tables of a run enter, a `Found`, an `Absent` or None leaves. A rule
looks at the tables wherever it can: that folds were planned is no proof of a split.
"""

import pandas as pd

from radlatent.report.evidence.answer import Absent, Found, outcome, times
from radlatent.report.tables import METRIC_NAMES

__all__ = ["RULES", "model_name", "steps_words"]

#: Models that METRICS item 25 calls simple or classical.
_CLASSICAL = {"logistic", "cox", "aft", "sign_average", "fine_gray"}
_CLASSICAL |= {"cause_specific_cox"}

_SLOPES = {"calibration_slope", "calibration_intercept"}


def _models(record):
    return record["settings"].get("models") or []


def _label(spec):
    name = f"late {spec['model']}" if spec.get("late") else spec["model"]
    return spec.get("name") or name


def model_name(spec: dict) -> str:
    """Return what the tables call a model, and on which blocks."""
    return f"{_label(spec)} on {' + '.join(spec['blocks'])}"


def _needs(*names: str):
    """Give a rule the tables of those names; without one it finds nothing."""

    def decorate(rule):
        def with_tables(record, tables):
            found = [tables.get(name) for name in names]
            if any(table is None or table.empty for table in found):
                return None
            return rule(record, *found)

        return with_tables

    return decorate


def _present(name: str, link: str, words: str):
    """Return a rule that holds where the run has a table of that name with rows."""
    return _needs(name)(lambda record, rows: Found(words.format(n=len(rows)), link))


@_needs("folds", "predictions")
def _split(record, folds, predictions):
    keys = ["patient_id", "repeat"]
    if folds.duplicated(keys).any():
        return None
    planned = predictions.merge(folds, on=keys, how="left", suffixes=("", "_planned"))
    if not (planned["fold"] == planned["fold_planned"]).all():
        return None
    n_folds = folds.groupby("repeat")["fold"].nunique().max()
    plan = record["settings"].get("folds")
    plan = plan if isinstance(plan, dict) else {"random_state": "none"}
    dealt = (
        "one a site; each is tested once"  # nothing is dealt: no seed, no repeats
        if plan.get("leave_site_out")
        else f"{times(folds['repeat'].nunique())}, random state "
        f"{plan.get('random_state')}; each is tested once a repeat"
    )
    return Found(
        f"{folds['patient_id'].nunique()} patients in {n_folds} folds, {dealt}, and "
        "every prediction is of the fold that was left out",
        "tables/folds.csv",
    )


def _out_of_fold(record, tables):
    if _split(record, tables) is None:
        return None
    there = _external(record, tables)
    beside = (
        f"; external: {there.words}" if there else ", no patients of another cohort"
    )
    words = f"internal: out-of-fold predictions{beside}"
    return Found(words, "data/predictions.parquet")


def _external(record, tables):
    rows = tables.get("external_predictions")
    there = record["counts"].get("external")
    if rows is None or rows.empty or not there:
        return None
    n = rows["patient_id"].nunique()
    return Found(
        f"{n} patients of the cohort {there['cohort']}, tested once", "#external"
    )


def _no_evaluation_cohort(record, tables):
    if _split(record, tables) is None or _external(record, tables):
        return None
    return Absent("one cohort, cross-validated: no model was evaluated on another")


def _flow(record, tables):
    flow = record["counts"].get("flow") or {}
    if "patients included" not in flow:
        return None
    words = f"{flow['patients included']} of {flow['patients']} patients included"
    return Found(words, "#cohort")


def _data_source(record, tables):
    about = record["cohort"]
    if not about.get("citation"):
        return None
    return Found(f"cohort {about['name']}: {about['citation']}", "#cohort")


def _open_data(record, tables):
    about = record["cohort"]
    license = about.get("license") or ""
    if not (about.get("citation") and license.startswith(("CC", "ODC", "ODbL"))):
        return None
    return Found(f"public, {license}: {about['citation']}", "#cohort")


def _outcome(record, tables):
    said = outcome(record, tables)
    return Found(said, "#cohort") if said else None


@_needs("patients")
def _missing_values(record, patients):
    n = int(patients.isna().sum().sum())
    if n and not _steps_named(record, "Imputer"):
        return None
    how = " ".join(sorted(_steps_named(record, "Imputer"))) or "none had to be filled"
    words = f"{n} of {patients.size} values of patients missing; {how}"
    return Found(words, "data/patients.parquet")


def _steps_named(record, *parts):
    """Return the steps of the models whose names hold one of some words."""
    return {
        step
        for spec in _models(record)
        for step in spec.get("steps") or []
        if any(part in step for part in parts)
    }


def _scaling(record, tables):
    steps = _steps_named(record, "Scaler", "Normalizer", "Transformer")
    return Found(", ".join(sorted(steps)), "#methods") if steps else None


def _reduction(record, tables):
    steps = _steps_named(record, "Select", "Threshold", "PCA", "Lasso")
    said = {
        f"{model_name(spec)}: {spec['options']['n_features']} features"
        for spec in _models(record)
        if (spec.get("options") or {}).get("n_features")
    }
    words = "; ".join([*sorted(steps), *sorted(said)])
    return Found(words, "#methods") if words else None


def _dimensions(record, tables):
    kept = [(spec.get("options") or {}).get("n_features") for spec in _models(record)]
    counts = record["counts"]
    if not kept or not all(kept) or "patients with the endpoint" not in counts:
        return None
    n = counts["patients with the endpoint"]
    return Found(
        f"at most {max(kept)} features of a model for {n} patients", "#methods"
    )


def _algorithms(record, tables):
    said = [
        model_name(spec) + (f" {spec['options']}" if spec.get("options") else "")
        for spec in _models(record)
    ]
    return Found("; ".join(said), "#record") if said else None


def _steps(record, tables):
    specs = _models(record)
    if not specs or not all(spec.get("steps") for spec in specs):
        return None
    return Found(steps_words(specs), "#methods")


def steps_words(specs: list[dict]) -> str:
    """Return the steps that every fold fits, once for all models that share them."""
    shared = {}
    for spec in specs:
        steps = ", ".join(spec.get("steps") or [])
        shared.setdefault(steps, []).append(model_name(spec))
    return "; ".join(f"{steps} ({', '.join(who)})" for steps, who in shared.items())


@_needs("metrics")
def _all_models(record, metrics):
    asked = {(_label(spec), " + ".join(spec["blocks"])) for spec in _models(record)}
    if asked != set(zip(metrics["model"], metrics["blocks"], strict=True)):
        return None
    words = f"all {len(asked)} models of the study file are reported, none was chosen"
    return Found(words, "#performance")


@_needs("metrics")
def _metrics(record, metrics):
    names = [METRIC_NAMES.get(one, one) for one in dict.fromkeys(metrics["metric"])]
    return Found(", ".join(names), "#performance")


@_needs("subgroups")
def _subgroups(record, table):
    tested = table[table["p_interaction"].notna()]
    n = tested.groupby("subgroup")["group"].nunique()
    if n.empty:
        return None
    said = ", ".join(f"{name} ({groups} groups)" for name, groups in n.items())
    return Found(f"performance by {said}, with tests of interaction", "#subgroups")


def _intervals_and_groups(record, tables):
    """Return the intervals, and the groups where performance is told of some."""
    found, groups = _intervals(record, tables), _subgroups(record, tables)
    if found is None or groups is None:
        return found
    return Found(f"{found.words}; {groups.words}", found.link)


def _task_metrics(record, tables):
    predictions, confusion = tables.get("predictions"), tables.get("confusion")
    known = predictions is not None and {"risk", "predicted"} & set(predictions)
    if predictions is None or (not known and confusion is None):
        return None
    return _metrics(record, tables)


@_needs("metrics")
def _intervals(record, metrics):
    if metrics[["lower", "upper"]].isna().any(axis=None):
        return None
    words = f"{100 * metrics['level'].iloc[0]:g} % intervals of every metric"
    return Found(words, "#performance")


@_needs("metrics")
def _numbers(record, metrics):
    pairs = metrics[["n", "n_events"]].drop_duplicates().itertuples(index=False)
    words = "; ".join(
        f"{n} patients" + ("" if pd.isna(events) else f", {events} events")
        for n, events in pairs
    )
    return Found(words, "#performance")


def _calibration(record, tables):
    for name, link in {
        "calibration": "#calibration",
        "survival_calibration": "#survival",
        "incidence_calibration": "#incidence",
    }.items():
        if tables.get(name) is not None:
            return Found("predicted against observed", link)
    metrics = tables.get("metrics")
    if metrics is not None and _SLOPES & set(metrics["metric"]):
        return Found("slope and intercept", "#performance")
    return None


@_needs("predictions")
def _model_output(record, predictions):
    kinds = {
        "probability_": "probabilities of classes",
        "threshold": "thresholds chosen on training patients",
        "risk": "risks",
        "predicted": "numbers, in the unit of the outcome",
        "survival_": "survival probabilities",
        "incidence_": "probabilities of the event of interest by day",
    }
    said = [
        words
        for start, words in kinds.items()
        if any(str(column).startswith(start) for column in predictions)
    ]
    return Found(", ".join(said), "data/predictions.parquet")


def _code_version(record, tables):
    version = (record.get("versions") or {}).get("radlatent")
    if not version:
        return None
    commit = (record.get("git") or {}).get("commit")
    words = f"radlatent {version}" + (f", commit {commit[:10]}" if commit else "")
    return Found(f"{words}; every prediction is kept", "data/predictions.parquet")


def _non_radiomic(record, tables):
    kinds = {_kind(" + ".join(spec["blocks"])) for spec in _models(record)}
    if not {"clinical", "combined"} <= kinds:
        return None
    return Found("models on clinical, imaging and all features", "#performance")


def _kind(blocks):
    clinical = [part == "clinical" for part in blocks.split(" + ")]
    return "clinical" if all(clinical) else "combined" if any(clinical) else "imaging"


def _pairs(tables):
    """Return the compared pairs as rows, without a row where nothing was compared."""
    table = tables.get("compared")
    return [] if table is None else list(table.itertuples(index=False))


def _against_clinical(record, tables):
    n = sum(
        (_kind(row.blocks) == "clinical") != (_kind(row.reference_blocks) == "clinical")
        for row in _pairs(tables)
    )
    return Found(f"{n} comparisons with a clinical model", "#comparison") if n else None


def _against_classical(record, tables):
    kind = {_label(spec): spec["model"] for spec in _models(record)}
    n = sum(
        (kind.get(row.model) in _CLASSICAL)
        != (kind.get(row.reference_model) in _CLASSICAL)
        for row in _pairs(tables)
    )
    return (
        Found(f"{n} comparisons with a classical model", "#comparison") if n else None
    )


def _one_modality(record, tables):
    modalities = list(record["cohort"].get("units") or {})
    if len(modalities) == 1:
        return Found(f"one modality, {modalities[0]}", "#cohort")

    def used(blocks):
        starts = tuple(f"{name}_" for name in modalities)
        return {part for part in blocks.split(" + ") if part.startswith(starts)}

    n = sum(
        1 in (len(used(row.blocks)), len(used(row.reference_blocks)))
        and len(used(row.blocks) | used(row.reference_blocks)) > 1
        for row in _pairs(tables)
    )
    return Found(f"{n} comparisons with one modality", "#comparison") if n else None


#: Name in the checklists to rule.
RULES = {
    "against_classical": _against_classical,
    "against_clinical": _against_clinical,
    "algorithms": _algorithms,
    "all_models": _all_models,
    "calibration": _calibration,
    "code_version": _code_version,
    "compared": _present("compared", "#comparison", "{n} paired comparisons"),
    "data_source": _data_source,
    "dimensions": _dimensions,
    "end_to_end": lambda record, tables: Absent(
        "every model takes a table of features"
    ),
    "flow": _flow,
    "importance": _present("importance", "#importance", "{n} importances"),
    "intervals": _intervals,
    "intervals_and_groups": _intervals_and_groups,
    "metrics": _metrics,
    "missing_values": _missing_values,
    "model_output": _model_output,
    "external": _external,
    "no_evaluation_cohort": _no_evaluation_cohort,
    "non_radiomic": _non_radiomic,
    "numbers": _numbers,
    "one_modality": _one_modality,
    "open_data": _open_data,
    "out_of_fold": _out_of_fold,
    "outcome": _outcome,
    "pipeline": lambda record, tables: Found("stages of the run", "#methods"),
    "reduction": _reduction,
    "scaling": _scaling,
    "see_tripod": lambda record, tables: Absent("see the table of TRIPOD+AI"),
    "split": _split,
    "steps": _steps,
    "subgroups": _subgroups,
    "table_one": _present("table_one", "#cohort", "{n} rows by outcome"),
    "task_metrics": _task_metrics,
}
