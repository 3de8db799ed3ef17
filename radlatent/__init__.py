"""radlatent: multimodal radiomics, from a cohort of images to an honest report.

==================  ==========================================================
``Cohort``          a validated cohort, read from a folder
``check``           every problem of a cohort's tables and files, at once
``index``           the manifest of a folder of images in a known layout
``simulate``        a cohort with a known answer
``simulate_hearts``  beating hearts in an apical view, as drawn and as they are
``simulate_lesions``  tables of patients with many lesions, and a known answer
``extract``         hand-crafted features of every case
``describe_features``  the dictionary: what every column is
``draw_perturbations``  slight changes of image and mask, to measure under
``perturb``         an image and a mask, changed
``Perturbation``    what was drawn for one change
``Volume``, ``read_volume``  voxels and where they lie; from a file
``write_volume``    into one
``read_dicom``      series of a folder of DICOM files, SUV, masks of RTSTRUCT and SEG
``convert``         them, written as a cohort
``stability``       features measured under each perturbation, and their ICC
``stability_between``  features measured in other masks of the same lesions, and their
                    ICC
``quality_tiers``   cases by the quality of their masks
``icc``             ICC(2,1) and ICC(3,1) with intervals
``masks``           the room of mask quality: ``masks.score``, ``masks.correct`` ...
``compare_masks``, ``compare_cohorts``  overlap and distances of masks, by structure
``summarize_overlap``  their means, with n; empty masks are counted
``LabelMap``        a mask of several structures
``split_lesions``   a case a connected component: masks of all disease in one
``ShapePrior``, ``MaskCorrector``  learn the shapes of masks; correct where that is safe
``load_corrector``  a corrector from a folder
``DicePredictor``   Dice of a mask without a reference
``draw_alternatives``  plausible other masks of a cohort
``Segmenter``, ``Patch``  a network that draws masks, and what it sees at once
``Augmentation``    how its training changes images
``fit_folds``       a network a fold, and masks of the patients it has not seen
``load_segmenter``  a segmenter from a folder, or several as one
``SegmenterEnsemble``  several that draw together
``LatentEncoder``   latent features that do not repeat the hand-crafted ones
``PcaEncoder``      principal components with the same interface
``Box``, ``Projections``  what an encoder looks at
``Network``, ``Training``, ``Schedule``  what it is made of, how it is trained
``encode_folds``    an encoder for every fold, and the features of each
``FoldedFeatures``  features that know the fold they were fitted for
``load_encoder``    an encoder from a folder
``declare_fitted_on``  where the encoder of a latent block was fitted
``declare_measured``  which blocks of a table of one's own were measured
``explained_variance``  of lesions that an encoder never saw, beside PCA
``redundancy``      what hand-crafted features know of latent ones, on held-out rows
``redundancy_folds``  the same, of the encoder of every fold
``alignment_folds``  which latents the encoders of other folds find too
``read_embedding``  a table of any network's, and whom that was trained on
``added_value``     what an embedding adds to hand-crafted features
``search``, ``SearchPlan``  settings of an encoder by random search
``Endpoint``        an outcome: ``.binary``, ``.classes``, ``.survival`` of a frame
``features``        a frame of one's own -> a feature table
``read_features``   a feature table from disk
``write_extraction``  a feature table, failures and provenance to disk
``read_settings``   extraction settings, checked key by key
``join``            feature tables side by side
``select_blocks``   columns by block
``block_coverage``  which patients have which blocks
``delta``           the change of features between two times
``aggregate``       one row a case -> one row a patient
``fractional_decrease``  of a feature between timepoints: the ejection fraction
``lesion_centroids``, ``lesion_burden``  number, volume and spread of lesions
``wall_thickness``, ``wall_thickening``  of the myocardium, by slice and segment
``body_surface``    of height and weight, whose units are told
``make_folds``, ``site_folds``, ``read_folds``  folds by patient, by site, saved ones
``logistic``, ``svm``, ``forest``, ``boosted``  classifiers, with all that they fit
``ridge``, ``elastic_net``  of numbers; so are ``svm``, ``forest`` and ``boosted`` with
                   ``kind="continuous"``
``cox``, ``aft``, ``boosted_survival``, ``survival_forest``  survival, in the same way
``fine_gray``, ``cause_specific_cox``  competing events, in the same way
``sign_average``    the strong simple baseline, for both
``Preparation``, ``Combat``  filters, selections, site effects: inside the folds
``LesionGraphs``    the lesions of each patient as one row, with edges
``LesionGraphClassifier``, ``LesionGraphSurvival``  networks of sets of lesions
``lesion_effects``  what each lesion does to a prediction
``load_lesion_graph``  a network of sets of lesions from a folder
``late_fusion``     a model a block, stacked
``tune``            settings chosen on inner folds: nested validation
``cross_validate``  out-of-fold predictions and metrics
``bootstrap_validate``  optimism-corrected and .632+ estimates, beside it
``validate_externally``  a model of one cohort on another
``fit``, ``FinalModel``, ``load_model``  fitted on everybody, kept, for new patients
``permute_outcomes``, ``learning_curve``  what chance gives, and fewer patients
``subgroups``       a metric by site, sex or age, and a test of interaction
``suspects``        columns that are the outcome, patients who are copies
``evaluate``        metrics with intervals
``compare``         differences between models, paired, with intervals and p
``calibration_curve``, ``net_benefit``  calibration and decision curves
``kaplan_meier``    survival by group of risk
``cumulative_incidence``  how many have had each of several competing events
``incidence_by_risk``  the same of groups of predicted risk
``residuals``       true minus predicted numbers
``survival_calibration``, ``survival_auc_curve``, ``survival_net_benefit``  of survival
``permutation_importance``, ``shap_values``  what blocks and columns are worth
``coefficient_shares``, ``top_k_shares``  what each block weighs in a linear model
``univariable``, ``multivariable``, ``likelihood_ratio_test``  tables of inference
``sample_size``, ``study_size``  how many patients a model needs, and has
``table_one``       patients by outcome
``checklist``, ``methods_paragraph``  what a journal asks for, from a run's record
``check_study``     every problem of a study file and of all that it names
``run``             the whole path of a study file
``fit_study``, ``predict``  its model fitted on everybody; of new patients
``draft_study``     a study file for a cohort, with comments, to be edited
``report.report``   the report of a run, made again
``performance``     a metrics table as a journal prints it
``doctor``          what is installed, what works, what to mend
==================  ==========================================================

Importing it loads neither torch nor matplotlib: names are loaded when first used.
"""

import importlib
import importlib.metadata

_HOMES = {
    "cohort": (
        "Cohort",
        "Endpoint",
        "check",
        "index",
        "simulate",
        "simulate_hearts",
        "simulate_lesions",
    ),
    "handcrafted": (
        "describe_features",
        "draw_perturbations",
        "extract",
        "icc",
        "lesion_centroids",
        "Perturbation",
        "perturb",
        "quality_tiers",
        "read_settings",
        "stability",
        "stability_between",
        "wall_thickening",
        "wall_thickness",
    ),
    "fusion": (
        "Combat",
        "Preparation",
        "added_value",
        "aft",
        "aggregate",
        "block_coverage",
        "body_surface",
        "boosted",
        "boosted_survival",
        "bootstrap_validate",
        "calibration_curve",
        "cause_specific_cox",
        "coefficient_shares",
        "compare",
        "cox",
        "cross_validate",
        "cumulative_incidence",
        "declare_measured",
        "delta",
        "elastic_net",
        "evaluate",
        "fine_gray",
        "forest",
        "fractional_decrease",
        "incidence_by_risk",
        "join",
        "kaplan_meier",
        "late_fusion",
        "learning_curve",
        "lesion_burden",
        "likelihood_ratio_test",
        "logistic",
        "make_folds",
        "multivariable",
        "net_benefit",
        "permutation_importance",
        "permute_outcomes",
        "read_folds",
        "residuals",
        "ridge",
        "sample_size",
        "select_blocks",
        "shap_values",
        "sign_average",
        "site_folds",
        "study_size",
        "subgroups",
        "survival_auc_curve",
        "survival_calibration",
        "survival_forest",
        "survival_net_benefit",
        "suspects",
        "svm",
        "top_k_shares",
        "tune",
        "univariable",
        "validate_externally",
    ),
    "graphs": (
        "LesionGraphClassifier",
        "LesionGraphSurvival",
        "LesionGraphs",
        "lesion_effects",
        "load_lesion_graph",
    ),
    "latent": (
        "Box",
        "FoldedFeatures",
        "LatentEncoder",
        "Network",
        "PcaEncoder",
        "Projections",
        "Schedule",
        "Training",
        "alignment_folds",
        "declare_fitted_on",
        "encode_folds",
        "explained_variance",
        "load_encoder",
        "redundancy",
        "redundancy_folds",
        "SearchPlan",
        "search",
    ),
    "segmentation": (
        "Augmentation",
        "Patch",
        "Segmenter",
        "SegmenterEnsemble",
        "fit_folds",
        "load_segmenter",
    ),
    "masks": (
        "DicePredictor",
        "LabelMap",
        "MaskCorrector",
        "ShapePrior",
        "compare_cohorts",
        "compare_masks",
        "draw_alternatives",
        "load_corrector",
        "split_lesions",
        "summarize_overlap",
    ),
    "imaging": ("Volume", "read_volume", "write_volume"),
    "imaging.dicom": ("read_dicom",),
    "features.frames": ("read_embedding",),
    "cohort.from_dicom.convert": ("convert",),
    "model": ("FinalModel", "fit", "load_model"),
    "study": ("check_study", "draft_study", "fit_study", "predict", "run"),
    "report": (
        "checklist",
        "methods_paragraph",
        "performance",
        "read_features",
        "table_one",
        "write_extraction",
    ),
    "provenance": ("doctor",),
}

#: Rooms that are offered as a whole.
_ROOMS = ("features", "masks", "report")

_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name):
    # rooms: a function of the name of its room is report.report
    if name in _ROOMS:
        return importlib.import_module(f"radlatent.{name}")
    if name == "__version__":
        return importlib.metadata.version("radlatent")
    if name not in _HOME:
        raise AttributeError(f"module 'radlatent' has no attribute {name!r}")
    return getattr(importlib.import_module(f"radlatent.{_HOME[name]}"), name)


def __dir__():
    return sorted({*__all__, *_ROOMS, "__version__"})
