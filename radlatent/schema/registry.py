"""Every table that crosses from room to room or that a run writes: the one list.

Nothing enters; the form of each table leaves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from re import fullmatch

__all__ = ["TABLES", "Table"]


@dataclass(frozen=True)
class Table:
    """The form of a table.

    Parameters
    ----------
    text
        What it tells, in a line.
    columns
        Column to kind: "string", "float", "int", "number", "label", "bool" or "any". A
        kind that ends in "?" may be missing in a row; missing text and missing floats
        always may.
    index
        The names that its index may have; none: rows have no names.
    also
        Patterns of columns that depend on the data or on what was asked for, to their
        kinds: the first that fits a whole name counts.
    person
        Whether a person reads it as it is: the report then writes it to ``tables/`` as
        CSV, unrounded. All others are for the machine, and printed.
    """

    text: str
    columns: Mapping[str, str] = field(default_factory=dict)
    index: tuple[str, ...] = ()
    also: Mapping[str, str] = field(default_factory=dict)
    person: bool = False

    def kind(self, column: str) -> str | None:
        """Return the kind of a column, None of one that the table does not have."""
        if column in self.columns:
            return self.columns[column]
        fitting = (k for pattern, k in self.also.items() if fullmatch(pattern, column))
        return next(fitting, None)


def _all(kind, *names):
    return dict.fromkeys(names, kind)


_RUN = _all("string", "model", "blocks", "endpoint")
_ENDS = _all("float", "lower", "upper")
_FOLD = _all("int", "repeat", "fold")

#: Of a cohort.
_WHO = {
    "cases": Table(
        "a row a case: one patient, lesion and timepoint",
        {"patient_id": "string", "exclude": "bool"},
        ("case_id",),
        {".+": "any"},
    ),
    "endpoints": Table(
        "a row a patient: the class, days and whether there was an event, or a number",
        index=("patient_id",),
        also={"class|cause": "string", "time|value": "float", "event": "int"},
    ),
    "flow": Table(
        "how many patients and cases there are, and why others are excluded",
        {"count": "int"},
        ("what",),
    ),
    "table_one": Table(
        "the patients by outcome, as it is printed",
        _all("string", "Characteristic", "Missing", "SMD"),
        also={".+": "string"},
    ),
}

#: What was measured, and what was not.
_MEASURED = {
    "features": Table(
        "a row a case, a column ``<block>__<feature>``",
        index=("case_id", "patient_id"),
        also={".+__.+": "float"},
    ),
    "patients": Table(
        "the same by patient, with covariates and what lesions say together",
        index=("patient_id",),
        also={".+__.+": "float"},
    ),
    "provenance": Table(
        "a row a case and modality: files, hashes, engine, flags",
        {
            **_all("string", "case_id", "modality", "image", "mask", "image_hash"),
            **_all("string", "mask_hash", "settings_key", "engine", "engine_version"),
            **_all("string", "key", "flags", "notes"),
            **_all("bool", "measured", "resample_mask"),
            "mask_label": "label",
            **_all("int?", "n_voxels", "n_gray_levels"),
            **_all("float", "volume_mm3", "minimum", "maximum", "seconds"),
        },
        person=True,
    ),
    "extraction": Table(
        "a row a modality: cases measured, failed and flagged",
        _all("int", "measured", "incomplete", "failed", "flagged", "features")
        | {"seconds": "float"},
        ("modality",),
    ),
    "failures": Table(
        "what failed: a row a case and stage, with the reason",
        _all("string", "case_id", "stage", "error", "message"),
        person=True,
    ),
    "mask_quality": Table(
        "a row a case: the worst value of each rule, and the verdicts",
        {"valid": "bool?"},
        ("case_id",),
        {".+__kept": "bool?", "n_.+": "int?", ".+": "float"},
        person=True,
    ),
    "mask_summary": Table(
        "how many slices and masks keep each rule, with the interval of the share",
        _all("string", "of", "rule", "rules")
        | _all("int", "n_kept", "n")
        | _all("float", "share", "level")
        | _ENDS,
    ),
    "mask_rules": Table(
        "how many slices or masks break each rule",
        _all("string", "of", "rule") | _all("int", "n_broken", "n"),
    ),
}

#: Latent features.
_LATENT = {
    "encoders": Table(
        "a row a fold: epochs of its encoder, errors, and variance explained",
        _FOLD
        | {"epochs": "int"}
        | _all("float", "seconds", "error_train", "error_test"),
        # runs of before do not tell
        also={
            "explained_train": "float",
            "explained_test": "float",
            "pca_test": "float",
            "own_mean_test": "float",
        },
    ),
    "certificate": Table(
        "what hand-crafted features know of latent ones: a row an estimator",
        {"estimator": "string"}
        | _all("float", "estimate", "least", "largest", "p", "level")
        | _ENDS
        | {"expected_if_independent": "float", "n_folds": "int", "n_patients": "int"},
        # runs of before do not tell
        also={
            "n_features": "int",
            "n_dependent": "int?",
            "worst": "string",
            "worst_estimate": "float",
        },
    ),
    "certificate_features": Table(
        "the same of each latent feature in each fold",
        {"feature": "string", "active": "bool", "level": "float"} | _FOLD,
        also={"dependent": "bool", ".+": "float"},
    ),
}

#: Models and their validation.
_MODELS = {
    "folds": Table(
        "in which fold a patient is tested, a row a patient and repeat",
        {"patient_id": "string"} | _FOLD,
        person=True,
    ),
    "fits": Table(
        "a row a fit: patients, fits of a search, what it chose, origin of blocks",
        _RUN
        | _FOLD
        | _all("int", "n_train", "n_test", "n_pipelines")
        | {"chosen": "string"},
        # runs of before do not tell
        also={"origin": "string", "n_columns_used": "string"},
        person=True,
    ),
    "suspects": Table(
        "columns that are the outcome, and patients who are copies",
        _all("string", "what", "where", "message"),
    ),
    "predictions": Table(
        "out-of-fold predictions with the truth, a row a patient, repeat and model",
        _RUN | _FOLD | {"patient_id": "string"},
        also={
            "truth|positive|unit|cause": "string",
            "event": "number",
            "time|risk|threshold|trained_until|value|predicted": "float",
            "(probability|survival|incidence)_.+": "float",
        },
    ),
    "metrics": Table(
        "a row a model and metric: estimate, interval, how it was computed",
        _RUN
        | {"metric": "string", "estimate": "float"}
        | _ENDS
        # a number has no events
        | {"level": "float", "n": "int", "n_events": "int?", "method": "string"},
        # of survival, and of numbers
        also={"horizon": "float", "unit": "string"},
        person=True,
    ),
    "compared": Table(
        "differences between models on the same patients",
        _RUN
        | _all("string", "reference_model", "reference_blocks", "metric", "method")
        | {"difference": "float"}
        | _ENDS
        | _all("float", "level", "p", "p_corrected", "p_adjusted", "p_delong")
        | {"n": "int"},
        person=True,
    ),
    "subgroups": Table(
        "a metric in groups of the tested patients, and a test of interaction",
        _RUN
        | _all("string", "subgroup", "group", "metric", "method")
        | {"estimate": "float"}
        | _ENDS
        | _all("float", "level", "p_interaction", "p_adjusted")
        | {"n": "int", "n_events": "int?"},
        person=True,
    ),
    "permuted": Table(
        "the validation repeated with outcomes that changed owners",
        _all("string", "metric", "model", "blocks")
        | _all("float", "estimate", "chance", "chance_lower", "chance_upper", "p")
        | _all("int", "n_permutations", "n"),
    ),
    "importance": Table(
        "what a model loses when columns change owners",
        _all("string", "name", "block", "metric", "method", "model", "blocks")
        | {"loss": "float"}
        | _ENDS
        | {"level": "float"}
        | _all("int", "n_columns", "n", "n_fits"),
        person=True,
    ),
    "sample_size": Table(
        "patients that the criteria of Riley et al. ask for, and patients had",
        {"criterion": "string", "binding": "bool", "enough": "bool?"}
        | _all("float", "n", "n_events", "r_squared")
        | _all("int", "n_parameters", "n_had", "n_events_had"),
    ),
}

#: Curves of competing events.
_INCIDENCE = (
    _all("string", "group", "cause")
    | _all("float", "time", "incidence", "error")
    | _ENDS
    | _all("int", "at_risk", "events", "censored")
)

#: Curves behind the figures.
_CURVES = {
    "roc": Table(
        "true by false positive rate, averaged over repeats",
        _RUN
        | {"class": "string"}
        | _all("float", "false_positive_rate", "true_positive_rate")
        | _ENDS,
    ),
    "confusion": Table(
        "mean count over repeats of each true and predicted class",
        _RUN | {"truth": "string", "predicted": "string", "count": "float"},
        person=True,
    ),
    "calibration": Table(
        "observed by predicted probability or number, bins and smooth curves",
        _RUN
        | {"curve": "string"}
        | _all("float", "predicted", "observed", "count")
        | _ENDS,
        also={"class|unit": "string"},
    ),
    "residuals": Table(
        "true and predicted number of each patient, and the difference",
        _RUN
        | {"patient_id": "string"}
        | _all("float", "value", "predicted", "residual"),
        also={"unit": "string"},
    ),
    "net_benefit": Table(
        "net benefit by threshold, of models and of treating all",
        _RUN
        | {"strategy": "string"}
        | _all("float", "threshold", "net_benefit")
        | _ENDS,
        also={"horizon": "float", "cause": "string"},
    ),
    "kaplan_meier": Table(
        "survival by day of groups of predicted risk",
        _RUN
        | {"group": "string"}
        | _all("float", "time", "survival")
        | _ENDS
        | _all("int", "at_risk", "events", "censored"),
    ),
    "risk_groups": Table(
        "the groups: patients, events, mean of the days without one",
        _RUN
        | {"group": "string"}
        | _all("int", "n", "n_events")
        | _all("float", "restricted_mean", "level", "horizon", "p")
        | _ENDS,
    ),
    "survival_auc": Table(
        "area under the time-dependent ROC curve by day",
        _RUN | _all("float", "time", "auc") | _ENDS,
    ),
    "survival_calibration": Table(
        "observed by predicted risk of groups at the horizon",
        _RUN
        | _all("int", "group", "n", "n_events")
        | _all("float", "predicted", "observed", "horizon")
        | _ENDS,
    ),
    "incidence": Table(
        "incidence of each of several competing events by day, of all patients",
        {"endpoint": "string"} | _INCIDENCE,
    ),
    "incidence_by_risk": Table(
        "the same of groups of predicted risk of the event of interest",
        _RUN | _INCIDENCE,
    ),
    "incidence_groups": Table(
        "the groups: patients, events of each cause, incidence until the horizon",
        _RUN
        | _all("string", "group", "cause")
        | _all("int", "n", "n_events")
        | _all("float", "last", "horizon", "incidence")
        | _ENDS,
    ),
    "incidence_auc": Table(
        "area under the time-dependent ROC curve of the event of interest by day",
        _RUN | {"cause": "string"} | _all("float", "time", "auc") | _ENDS,
    ),
    "incidence_calibration": Table(
        "observed by predicted incidence of groups at the horizon",
        _RUN
        | {"cause": "string"}
        | _all("int", "group", "n", "n_events")
        | _all("float", "predicted", "observed", "horizon")
        | _ENDS,
    ),
}

_KNOWN = _WHO | _MEASURED | _LATENT | _MODELS | _CURVES

#: The same of patients of another cohort, whom models were tested on once.
_THERE = (
    *("patients", "endpoints", "flow", "table_one", "fits", "predictions", "metrics"),
    "subgroups",
    *_CURVES,
)
_EXTERNAL = {
    f"external_{name}": replace(
        _KNOWN[name], text=f"of the other cohort: {_KNOWN[name].text}"
    )
    for name in _THERE
} | {
    "external_recalibrated": replace(
        _KNOWN["metrics"],
        text="of the other cohort, with predictions recalibrated in the large",
        person=False,
    )
}

TABLES = _KNOWN | _EXTERNAL
