"""Segmentation: networks that draw masks, trained and applied by patient.

==========================================  ========================================
:class:`Segmenter`, `load_segmenter`        a cohort in, a network of its masks out
:class:`SegmenterEnsemble`                  several that draw together
:class:`Patch`                              what the network sees at once
:func:`fit_folds`, `FoldedSegmentation`     a network a fold, masks of unseen patients
:data:`NETWORKS`, :func:`build_network`,    networks by name; the sizes they take;
`fitting_size`, `count_parameters`          how large they are
:data:`LOSSES`, :func:`build_loss`,         losses by name; the distance maps that
`signed_distances`                          some of them need
:class:`Augmentation`, :func:`augment`      images and labels varied in training
==========================================  ========================================

What needs torch is loaded when first used.
"""

import importlib

_HOMES = {
    "augmentation": ("Augmentation", "augment"),
    "drawing": ("SegmenterEnsemble",),
    "folds": ("FoldedSegmentation", "fit_folds"),
    "losses.build": ("LOSSES", "build_loss"),
    "losses.contours": ("signed_distances",),
    "networks.build": (
        "NETWORKS",
        "build_network",
        "count_parameters",
        "fitting_size",
    ),
    "patch": ("Patch",),
    "segmenter": ("Segmenter", "load_segmenter"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(
            f"module 'radlatent.segmentation' has no attribute {name!r}"
        )
    module = importlib.import_module(f"radlatent.segmentation.{_HOME[name]}")
    return getattr(module, name)


def __dir__():
    return __all__
