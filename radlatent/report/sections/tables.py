"""Tables of the page, in its order, each with what is told beside it."""

from radlatent.report import tables
from radlatent.report.plans import Table

__all__ = ["TABLES"]

_OF_GROUPS = (
    "Performance in groups of patients: estimate (interval) among the patients of the "
    "group alone. p is of the interaction: whether groups differ more than groups "
    "drawn by chance would, patients of one outcome (of a number: all) having "
    "exchanged their groups; p (Holm) is adjusted for all groupings and models. A "
    "large p proves no equality: few patients tell little."
)

#: Columns of a table of performance that say whose it is: a number has no events.
_WHOSE = ("Endpoint", "Model", "Features", "n", "Events")

#: Columns that name a group of patients; numbers have no events.
_WHICH_GROUP = ("Model", "Subgroup", "Group", "n", "Events")

TABLES = (
    Table(
        "table_one",
        "cohort",
        "Baseline characteristics by outcome. SMD: standardized mean difference.",
        lambda table: table.fillna(""),
        1,
        8,
    ),
    Table(
        "performance",
        "performance",
        "Out-of-fold performance: estimate (interval).",
        tables.performance,
        _WHOSE,
        source="metrics",
        notes={
            "Sensitivity": "Sensitivity and specificity are those at a threshold from "
            "training, the share of the class there.",
            "Accuracy": "Accuracies and the confusion take the largest probability.",
            "R²": "R² is 1 less the squared errors as a share of those of the mean of "
            "these patients: below 0 a model is worse than that mean. The calibration "
            "intercept is the mean of outcome minus prediction.",
            "C (Harrell)": "C counts pairs of patients whose order is known; C (Uno) "
            "weighs them for censoring.",
        },
    ),
    Table(
        "comparison",
        "comparison",
        "Difference of each model to its reference on the same patients. p is "
        "corrected for what other training patients would have changed (Nadeau and "
        "Bengio); the interval is that of these predictions.",
        tables.comparison,
        source="compared",
    ),
    Table(
        "permuted",
        "comparison",
        "Control: the same validation with outcomes that changed owners.",
        tables.permuted,
    ),
    Table(
        "risk_groups",
        "survival",
        "Groups of predicted risk: mean days without an event until the horizon.",
        tables.risk_groups,
    ),
    Table(
        "incidence_groups",
        "incidence",
        "Groups of predicted risk of the event of interest: incidence of each event "
        "until a day, after Aalen and Johansen, with its interval.",
        tables.incidence_groups,
    ),
    Table(
        "performance_by_group",
        "subgroups",
        _OF_GROUPS,
        tables.subgroups,
        _WHICH_GROUP,
        3,
        source="subgroups",
    ),
    Table(
        "sample_size",
        "performance",
        "Sample size by the criteria of Riley et al.: patients needed for all "
        "candidate columns, and patients had.",
        tables.sample_size,
    ),
    Table(
        "encoders",
        "encoders",
        "Share of the variance of boxes (1 - SSE / SST, inside of the masks, about the "
        "mean of training voxels) that is reconstructed from latent features, over "
        "folds; PCA has as many components and the same training patients.",
        tables.encoders,
        notes={
            "No better than PCA": "Warning: on patients whom they never saw, the "
            "encoders explain no more than principal components do: what they learned "
            "beyond these is of their training patients."
        },
    ),
    Table(
        "certificate",
        "certificate",
        "What hand-crafted features know of latent ones, on test patients: means over "
        "folds. Independent features have the expected value and a large p.",
        tables.certificate,
    ),
    Table("extraction", "features", "Cases measured, by modality.", tables.extraction),
    Table(
        "mask_validity",
        "quality",
        "Slices and masks that keep all rules, and each rule that some break: number, "
        "share and Wilson interval; n has a verdict. That slices of one patient are "
        "alike, the intervals do not know.",
        tables.validity,
        source="mask_summary",
    ),
    Table("failures", "failures", "What failed, by case.", tables.failures),
    Table(
        "external_table_one",
        "external",
        "Baseline characteristics of the other cohort by outcome.",
        lambda table: table.fillna(""),
        1,
        8,
    ),
    Table(
        "external_performance",
        "external",
        "Performance in the other cohort: estimate (interval). Models were fitted on "
        "all patients of the first cohort, nothing on these.",
        tables.performance,
        _WHOSE,
        source="external_metrics",
        notes={"Sensitivity": "The threshold is that of training."},
    ),
    Table(
        "external_performance_by_group",
        "external",
        f"In the other cohort. {_OF_GROUPS}",
        tables.subgroups,
        _WHICH_GROUP,
        3,
        source="external_subgroups",
    ),
    Table(
        "external_recalibrated",
        "external",
        "The same after recalibration in the large, the level of the outcome among "
        "these patients. Their outcomes are used: this is an update, and no "
        "validation.",
        tables.performance,
        _WHOSE,
        notes={
            "AUC (DeLong)": "Every logit is moved by one number, until the mean "
            "probability is the share of the class.",
            "C (Harrell)": "Every cumulative hazard is multiplied by one number, until "
            "as many events are expected as observed on that day; models without "
            "probabilities by day are left out.",
            "R²": "Every prediction is moved by the mean error.",
        },
    ),
)
