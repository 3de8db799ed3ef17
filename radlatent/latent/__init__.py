"""Deep latent features (DLR): encoders, what they look at, and proof of what they add.

=============================================  =====================================
:class:`LatentEncoder`, :class:`Network`       a **cases** table in, features out
:class:`Box`, :class:`Projections`             what it looks at
:class:`Training`, :class:`Schedule`           how it is trained
:class:`PcaEncoder`                            principal components, the same way
:func:`load_encoder`                           from a folder
:func:`encode_folds`, :class:`FoldedFeatures`  an encoder for every fold
:func:`declare_fitted_on`                      of features from another cohort
:func:`redundancy`, :class:`Redundancy`        what hand-crafted features know already
:func:`redundancy_folds`                       the same of every fold
:func:`explained_variance`                     of patients it never saw, beside PCA
:func:`alignment_folds`                        what encoders of other folds find too
:func:`search`, :class:`SearchPlan`            settings by random search
=============================================  =====================================

Torch is loaded with the first name that needs it.
"""

import importlib

_HOMES = {
    "encoder": ("LatentEncoder", "load_encoder"),
    "radlatent.features.folded": ("FoldedFeatures",),
    "radlatent.features.origin": ("declare_fitted_on", "keep_origins", "origins"),
    "radlatent.nn": ("Schedule", "Training"),
    "folds": ("FoldedEncoding", "encode_folds"),
    "inputs": ("Box", "Projections"),
    "network": ("Network",),
    "pca": ("PcaEncoder",),
    "certificate.folded": ("FoldedRedundancy", "redundancy_folds"),
    "certificate.redundancy": ("Redundancy", "redundancy"),
    "space.alignment": ("FoldAlignment", "alignment_folds"),
    "space.explained": ("ExplainedVariance", "explained_variance"),
    "random_search.plan": ("SearchPlan",),
    "random_search.result": ("SearchResult",),
    "random_search.search": ("search",),
    "results": ("Encoding", "Posterior", "Reconstructions", "Traversal"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOME[name]
    home = home if home.startswith("radlatent.") else f"{__name__}.{home}"
    return getattr(importlib.import_module(home), name)


def __dir__():
    return __all__
