"""Graphs: a patient is a set of lesions, not a mean.

=================================================  ====================================
`LesionGraphs`                                     lesions and where they lie -> one
                                                   row a patient, edges, Dmax
:class:`LesionGraphClassifier`                     classes of patients from their sets
:class:`LesionGraphSurvival`                       risks of patients from their sets
`load_lesion_graph`                                a fitted one from a folder
:class:`LesionBag`                                 a forest of single lesions that vote
`lesion_effects`, `draw_effects`                   what each lesion does to a
                                                   prediction, and where it lies
=================================================  ====================================

A graph attention network with attention to lesions, and two simpler siblings without
edges. Formulas of nodes and edges are our reading: the papers that the idea comes from
(Thiery et al. 2023, arXiv:2310.16863) do not publish theirs, and this is not their
model. What needs torch is loaded when first used.
"""

import importlib

_HOMES = {
    "bag": ("LesionBag",),
    "effects": ("draw_effects", "lesion_effects"),
    "lesions": ("LesionGraphs",),
    "models": ("LesionGraphClassifier", "LesionGraphSurvival", "load_lesion_graph"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'radlatent.graphs' has no attribute {name!r}")
    module = importlib.import_module(f"radlatent.graphs.{_HOME[name]}")
    return getattr(module, name)


def __dir__():
    return __all__
