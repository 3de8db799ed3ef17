"""The methods paragraph of a run, from its record.

The run record enters, text leaves that claims nothing that the record does not hold:
what is not there is named in brackets, for the authors to fill.
"""

from collections.abc import Mapping

import pandas as pd

from radlatent.report.evidence.answer import (
    causes,
    images,
    judged_masks,
    outcome,
    outcome_there,
    times,
)
from radlatent.report.evidence.images import bins, engine_name, filters
from radlatent.report.evidence.models import (
    RULES,
    model_name,
    steps_words,
)
from radlatent.report.tables import METRIC_NAMES

__all__ = ["derivations", "methods_paragraph", "stages"]

#: What no run can know, and the item of CLEAR under which a user may tell it.
_ASKED = {
    "nature of the study": "clear-10",
    "eligibility criteria": "clear-11",
    "imaging protocol": "clear-16",
    "reference standard": "clear-18",
    "segmentation": "clear-19",
    "ethics": "clear-8",
    "sample size": "clear-9",
}

_NOT_RECORDED = "[not recorded: {}]"


def methods_paragraph(
    record: Mapping, tables: Mapping[str, pd.DataFrame] | None = None
) -> str:
    """Return a description of the methods of a run, a paragraph a line.

    Parameters
    ----------
    record
        The run record. What the user says in ``settings.reporting`` of the items of
        CLEAR that no run can prove is taken over word by word.
    tables
        The tables of the run, by name of their file without its ending, whose hashes
        are in the record; None describes the record alone.

    Returns
    -------
    str
        ``[not recorded: ...]`` stands where the record is silent.
    """
    tables = tables or {}
    parts = (
        _patients(record, tables),
        _features(record, tables),
        _models(record, tables),
    )
    return "\n".join((*parts, _software(record)))


def stages(record: Mapping) -> list[str]:
    """Return the stages of the pipeline with what went through them, in order."""
    counts = record["counts"]
    flow, settings = counts.get("flow") or {}, record["settings"]
    known = [
        (
            "Images and masks: {}",
            _join(record["cohort"].get("units") or images(record)),
        ),
        (
            "Tables of features of {} cases"
            if settings.get("features")
            else "Hand-crafted features of {} cases",
            flow.get("cases included"),
        ),
        ("Lesions to patients: {}", settings.get("aggregate")),
        ("{} patients with the endpoint", counts.get("patients with the endpoint")),
        ("Folds: {}", _folds(record)),
        ("Models: {}", len(settings.get("models") or [])),
        ("{} patients of another cohort", _there(record).get("patients")),
    ]
    return [text.format(value) for text, value in known if value]


def _join(names):
    return ", ".join(map(str, names))


def _or_not(value, what, text="{}"):
    return text.format(value) if value else _NOT_RECORDED.format(what)


def _patients(record, tables):
    about, counts = record["cohort"], record["counts"]
    flow = counts.get("flow") or {}
    excluded = _join(
        f"{what.removeprefix('excluded: ')} ({n})"
        for what, n in flow.items()
        if what.startswith("excluded: ")
    )
    said = record["settings"].get("reporting") or {}
    told = [
        f"{what.capitalize()}: {said[item].rstrip('.')}."
        if said.get(item)
        else _NOT_RECORDED.format(what)
        for what, item in _ASKED.items()
    ]
    return " ".join(
        [
            f"Patients. The cohort {about['name']}"
            + (f" (freeze {about['freeze']})" if about.get("freeze") else "")
            + f" holds {_or_not(flow.get('patients'), 'patients')} patients with "
            f"{_or_not(flow.get('cases'), 'cases')} cases.",
            f"Cases excluded: {excluded or 'none'}."
            if flow
            else _NOT_RECORDED.format("exclusions"),
            f"{_or_not(flow.get('patients included'), 'patients included')} patients "
            f"were included, {counts.get('patients with the endpoint')} of them with "
            f"the endpoint {record['settings']['endpoint']}: "
            f"{outcome(record, tables)}.",
            *(f"Note: {note}." for note in about.get("shared_images") or ()),
            *derivations(record),
            *_judged(tables),
            *told,
        ]
    )


def derivations(record: Mapping) -> list[str]:
    """Return what made the masks of a derived cohort, a sentence a step."""
    return [_derived(step) for step in record["cohort"].get("derived") or []]


def _judged(tables):
    """Return how many masks keep the rules that they were judged by."""
    words = judged_masks(tables)
    return [f"Masks were judged {words}."] if words else []


def _derived(step):
    maker = step["made_by"]
    fits = "; ".join(map(_fitted, maker["fitted_on"]))
    return (
        f"Masks of the cohort {step['from']} were replaced by those of "
        f"{maker['name']}{f' ({fits})' if fits else ''}."
    )


def _fitted(fit):
    n, n_applied = len(fit["patients"]), len(fit["applied_to"])
    return (
        f"fitted on {f'{n} patients of ' if n else ''}{fit['cohort']}"
        f"{f', applied to {n_applied}' if n_applied else ''}"
    )


#: What the change of a feature is, in words.
_CHANGES = {
    "difference": "the difference post - pre",
    "relative": "the relative change (post - pre) / pre",
    "log_ratio": "the logarithm of post / pre",
}


def _change(spec):
    """Return how delta features were made."""
    if not spec:
        return ""
    return (
        f"Delta features (blocks delta_*) are {_CHANGES[spec['how']]} of each feature, "
        f"post being {spec['post']} and pre {spec['pre']}."
    )


def _over_lesions(settings):
    """Return what was told of the lesions of a patient together."""
    spread, modality = settings.get("dispersion"), settings.get("burden")
    told = []
    if spread:
        told.append(f"the {spread} of each feature over lesions (block dispersion)")
    if modality:
        told.append(
            f"number, volume, glycolysis and distances of lesions in {modality}"
        )
    return f"Of the lesions of a patient together: {'; '.join(told)}." if told else ""


def _derived_quantities(derived):
    """Return what was derived, with the formula where there are several."""
    told = []
    for name, spec in (derived or {}).items():
        formula = spec.get("body_surface") if isinstance(spec, Mapping) else None
        after = f" (after {formula.replace('_', ' ').title()})" if formula else ""
        told.append(f"{name}{after}")
    return f"Derived quantities: {_join(told)}." if told else ""


def _there(record):
    """Return who the patients of the other cohort are; nothing without one."""
    return record["counts"].get("external") or {}


def _external(record, tables):
    """Return how the models were tested on another cohort, empty without one."""
    there = _there(record)
    if not there:
        return ""
    return (
        f"External validation: every model was fitted on all patients and tested once "
        f"on {there['patients']} patients of the cohort {there['cohort']}: "
        f"{outcome_there(record, tables)}."
    )


def _given(settings):
    """Return where features come from that were measured elsewhere."""
    said = [
        f"block {one['block']} from {one['file']} "
        f"({'declared to be measured' if one['measured'] else 'origin not told'})"
        for one in settings["features"]
    ]
    return f"Features. Not measured here but read from tables: {'; '.join(said)}."


def _features(record, tables):
    settings = record["settings"]
    if settings.get("features"):
        beside = (
            "Cases were brought to patients by the rule "
            f"{_or_not(settings.get('aggregate'), 'aggregation')!r}.",
            _over_lesions(settings),
            _change(settings.get("delta")),
            _derived_quantities(settings.get("derived")),
        )
        return " ".join(filter(None, [_given(settings), *beside]))
    said = [
        f"{modality}{_unit(record, modality)}: classes {_join(one['featureClass'])}; "
        f"images {filters(one)}; {bins(one)}; {_resampled(one)}."
        for modality, one in images(record).items()
    ]
    failed = record["counts"].get("failed cases")
    return " ".join(
        [
            "Features. Hand-crafted features were measured with "
            f"{_or_not(engine_name(record, tables), 'engine')}.",
            *(said or [_NOT_RECORDED.format("settings of the extraction")]),
            "Parameters that the record does not name were left at their defaults.",
            "Lesions were brought to patients by the rule "
            f"{_or_not(settings.get('aggregate'), 'aggregation')!r}.",
            _over_lesions(settings),
            _change(settings.get("delta")),
            _derived_quantities(settings.get("derived")),
            f"{failed} cases failed in part or whole and kept their rows."
            if failed is not None
            else _NOT_RECORDED.format("failures"),
        ]
    ).replace("  ", " ")


def _unit(record, modality):
    unit = (record["cohort"].get("units") or {}).get(modality)
    return f" ({unit})" if unit else ""


def _resampled(settings):
    spacing = settings["setting"].get("resampledPixelSpacing")
    if not spacing:
        return "not resampled"
    return f"resampled to {' × '.join(f'{value:g}' for value in spacing)} mm"


def _folds(record):
    plan = record["settings"].get("folds") or {}
    if plan.get("leave_site_out"):
        return _sites(record)
    if "n_folds" not in plan:
        return _join(
            f"{key} {value}" for key, value in plan.items() if value is not None
        )
    return (
        f"{plan['n_folds']}-fold cross-validation, {times(plan.get('n_repeats', 1))}, "
        f"random state {plan.get('random_state')}"
    )


def _sites(record):
    """Return who was left out; a record of before does not name the sites."""
    sites = record["counts"].get("sites") or {}
    if not sites:
        return "leave-one-site-out, one fold for each of the sites"
    told = f"{_join(sites)}; n = {_join(sites.values())}"
    return f"leave-one-site-out over {len(sites)} sites ({told})"


def _models(record, tables):
    specs = record["settings"].get("models") or []
    said = "; ".join(model_name(spec) + _choices(spec) for spec in specs)
    metrics = tables.get("metrics")
    measured = _NOT_RECORDED.format("metrics")
    if metrics is not None and len(metrics):
        # parts that the methods of several metrics share are said once
        parts = metrics["method"].str.split("; ").explode()
        methods = "; ".join(dict.fromkeys(parts))
        measured = (
            f"Performance was measured as {_metric_names(metrics)}, with "
            f"{100 * metrics['level'].iloc[0]:g} % intervals ({methods})."
        )
    steps = all(spec.get("steps") for spec in specs)
    split = RULES["split"](record, tables)
    return (
        " ".join(
            [
                f"Models. {_or_not(said, 'models')}.",
                f"Fitted in each fold: {steps_words(specs)}."
                if steps
                else _NOT_RECORDED.format("imputation, scaling and selection"),
                f"Validation: {_or_not(_folds(record), 'folds')}.",
                f"Folds held {split.words}." if split else "",
                measured,
                _competing(record),
                _subgroups(record, tables),
                _external(record, tables),
                _not_told(tables),
                _suspects(tables),
            ]
        )
        .replace("  ", " ")
        .rstrip()
    )


def _competing(record):
    """Return how events that compete were taken, empty without them."""
    found = causes(record)
    if not found:
        return ""
    first, *others = found
    return (
        f"Competing events: whoever had {' or '.join(others)} first was taken as one "
        f"who never has {first}, and not as censored. Observed incidences are those of "
        "Aalen and Johansen."
    )


def _subgroups(record, tables):
    """Return in which groups performance was told, and how they were compared."""
    found = tables.get("subgroups", pd.DataFrame())
    if found.empty:
        return ""
    cuts = {
        spec["by"]: spec["cuts"] for spec in record["settings"].get("subgroups") or ()
    }
    names = found["subgroup"][found["group"] != found["subgroup"]]
    said = _join(
        f"{name} (groups begin at {_join(f'{edge:g}' for edge in cuts[name])})"
        if cuts.get(name)
        else name
        for name in names.unique()
    )
    n_draws = found["method"].str.extract(r"of (\d+) draws")[0].iloc[0]
    return (
        f"Subgroups: {_metric_names(found)} of each model by {said}, in the patients "
        f"of each group alone; interaction was tested with {n_draws} permutations of "
        "groups among patients of one outcome, p adjusted after Holm."
    )


def _metric_names(metrics):
    return _join(METRIC_NAMES.get(name, name) for name in metrics["metric"].unique())


def _not_told(tables):
    """Return a warning of features that may have been fitted on tested patients."""
    fits = tables.get("fits", pd.DataFrame())
    if "origin" not in fits:  # a run of before
        return ""
    silent = fits["blocks"][fits["origin"].astype(str).str.contains("not told")]
    if silent.empty:
        return ""
    return (
        f"Features of {_join(silent.unique())} do not tell whether they were measured "
        "or fitted on patients, tested ones perhaps among them (origin of fits)."
    )


def _suspects(tables):
    """Return what a reader has to know of columns that may be the outcome."""
    found = tables.get("suspects", pd.DataFrame())
    if found.empty:
        return ""
    return f"Not resolved: {' '.join(found['message'])}"


def _choices(spec):
    """Return the options of a model, and what was searched on inner folds."""
    said = [_option(*pair) for pair in (spec.get("options") or {}).items()]
    said += [
        f"{name} of {_join(values)} on inner folds"
        for name, values in (spec.get("grid") or {}).items()
    ]
    return f" ({', '.join(said)})" if said else ""


def _option(name, value):
    if name == "unpenalized":
        return f"no penalty on {value if isinstance(value, str) else _join(value)}"
    return f"{name} {value}"


def _software(record):
    versions = record.get("versions") or {}
    commit = (record.get("git") or {}).get("commit")
    said = _join(f"{name} {version}" for name, version in versions.items())
    end = f"; commit {commit}." if commit else "."
    return f"Software. {_or_not(said, 'versions')}{end}"
