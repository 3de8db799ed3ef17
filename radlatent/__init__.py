"""radlatent: multimodal radiomics, from a cohort of images to an honest report.

==================  ==========================================================
``Cohort``          a validated cohort, read from a folder
``check``           every problem of a cohort's tables and files, at once
``index``           the manifest of a folder of images in a known layout
``simulate``        a cohort with a known answer
``extract``         hand-crafted features of every case
``describe_features``  the dictionary: what every column is
``draw_perturbations``  slight changes of image and mask, to measure under
``perturb``         an image and a mask, changed
``Perturbation``    what was drawn for one change
``Volume``, ``read_volume``  voxels and where they lie; from a file
``stability``       features measured under each perturbation, and their ICC
``icc``             ICC(2,1) and ICC(3,1) with intervals
``LatentEncoder``   latent features that do not repeat the hand-crafted ones
``Box``, ``Projections``  what an encoder looks at
``Network``, ``Training``, ``Schedule``  what it is made of, how it is trained
``encode_folds``    an encoder for every fold, and the features of each
``FoldedFeatures``  features that know the fold they were fitted for
``load_encoder``    an encoder from a folder
``declare_fitted_on``  where the encoder of a latent block was fitted
``redundancy``      what hand-crafted features know of latent ones, on held-out rows
``search``, ``SearchPlan``  settings of an encoder by random search
``read_features``   a feature table from disk
``write_extraction``  a feature table, failures and provenance to disk
``read_settings``   extraction settings, checked key by key
``join``            feature tables side by side
``select_blocks``   columns by block
``aggregate``       one row a case -> one row a patient
``make_folds``      folds by patient, stratified
``logistic``, ``svm``, ``forest``  pipelines that fit on training patients only
``cross_validate``  out-of-fold predictions and metrics
``evaluate``        metrics with intervals
``compare``         differences between models, paired, with intervals and p
``coefficient_shares``, ``top_k_shares``  what each block weighs in a linear model
``run``             the whole path of a study file
``report.report``   the report of a run, made again
``performance``     a metrics table as a journal prints it
``doctor``          what is installed, what works, what to mend
==================  ==========================================================

Importing it loads neither torch nor matplotlib: names are loaded when first used.
"""

import importlib

_HOMES = {
    "cohort": ("Cohort", "check", "index", "simulate"),
    "handcrafted": (
        "describe_features",
        "draw_perturbations",
        "extract",
        "icc",
        "Perturbation",
        "perturb",
        "read_settings",
        "stability",
    ),
    "fusion": (
        "aggregate",
        "coefficient_shares",
        "compare",
        "cross_validate",
        "evaluate",
        "forest",
        "join",
        "logistic",
        "make_folds",
        "select_blocks",
        "svm",
        "top_k_shares",
    ),
    "latent": (
        "Box",
        "FoldedFeatures",
        "LatentEncoder",
        "Network",
        "Projections",
        "Schedule",
        "Training",
        "declare_fitted_on",
        "encode_folds",
        "load_encoder",
        "redundancy",
        "SearchPlan",
        "search",
    ),
    "imaging": ("Volume", "read_volume"),
    "study": ("run",),
    "report": ("performance", "read_features", "write_extraction"),
    "provenance": ("doctor",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name):
    # the room of that name, whose function of the same name is report.report
    if name == "report":
        return importlib.import_module("radlatent.report")
    if name not in _HOME:
        raise AttributeError(f"module 'radlatent' has no attribute {name!r}")
    return getattr(importlib.import_module(f"radlatent.{_HOME[name]}"), name)


def __dir__():
    return sorted({*__all__, "report"})
