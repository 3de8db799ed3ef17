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
``read_features``   a feature table from disk
``write_extraction``  a feature table, failures and provenance to disk
``read_settings``   extraction settings, checked key by key
``join``            feature tables side by side
``select_blocks``   columns by block
``aggregate``       one row a case -> one row a patient
``make_folds``      folds by patient, stratified
``logistic``        a pipeline that fits on training patients only
``cross_validate``  out-of-fold predictions and metrics
``evaluate``        metrics with intervals
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
        "cross_validate",
        "evaluate",
        "join",
        "logistic",
        "make_folds",
        "select_blocks",
    ),
    "imaging": ("Volume", "read_volume"),
    "study": ("run",),
    "report": ("performance", "read_features", "write_extraction"),
    "provenance": ("doctor",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Cohort",
    "Perturbation",
    "Volume",
    "aggregate",
    "check",
    "cross_validate",
    "describe_features",
    "doctor",
    "draw_perturbations",
    "evaluate",
    "extract",
    "icc",
    "index",
    "join",
    "logistic",
    "make_folds",
    "performance",
    "perturb",
    "read_features",
    "read_settings",
    "read_volume",
    "run",
    "select_blocks",
    "simulate",
    "stability",
    "write_extraction",
]


def __getattr__(name):
    # the room of that name, whose function of the same name is report.report
    if name == "report":
        return importlib.import_module("radlatent.report")
    if name not in _HOME:
        raise AttributeError(f"module 'radlatent' has no attribute {name!r}")
    return getattr(importlib.import_module(f"radlatent.{_HOME[name]}"), name)


def __dir__():
    return sorted({*__all__, "report"})
