"""Mask quality: metrics, anatomical rules, and correction that does no harm.

==========================================  ========================================
:func:`compare_masks`, `compare_cohorts`    overlap, distances, volumes by structure
:func:`summarize_overlap`                   means with n, and empty masks counted
:func:`match_lesions`,                      lesions matched by overlap: missed, false,
`match_cohort_lesions`                      F1; of arrays, of cohorts
:class:`Rule`, `RuleSet`, `rule_set`        anatomical rules; the named sets
:func:`measure`, `keeps`, `judge`           values and verdicts of a mask
:func:`offending`                           the voxels that break a rule
:func:`score`                               a cohort judged by rules
:func:`split_lesions`                       a case a connected component of a mask
:func:`shape_attributes`                     area, length, tilt ...: numbers of a shape
:func:`sequence_consistency`,                frames that jump, against references;
`reference_limits`,                         made consistent by the least change, what
`regularize_sequence`, `smooth_sequence`,   becomes of the ejection fraction
`ejection_fraction`
:func:`degrade`, `degradation_mix`          errors of known size
:class:`LabelMap`, `MaskFile`               labels of structures; files of a cohort
:class:`ShapePrior`, `Frame`,               a VAE or NVAE of slices, how it is built,
`NVAESettings`                              and what it looks at
:func:`traverse`, `interpretability`,       what a latent does to a shape; how well one
`latent_correlations`                       tells an attribute
:func:`redraw_sequence`, `latent_frames`    a sequence of masks made consistent
:class:`MaskReviser`, `load_reviser`        what readers change in a network's masks
:class:`MaskCorrector`, `load_corrector`    corrects a mask where that is safe
:func:`correct`                             a cohort corrected: a derived cohort
:func:`draw_alternatives`                   plausible other masks of a cohort
:class:`DicePredictor`                      Dice without a reference
==========================================  ========================================

What needs torch is loaded when first used.
"""

import importlib

_HOMES = {
    "overlap.cohorts": ("MaskComparison", "compare_cohorts"),
    "overlap.cohort_matches": ("match_cohort_lesions",),
    "overlap.compare": ("METRICS", "compare_masks", "summarize_overlap"),
    "overlap.dice": ("slice_dice",),
    "overlap.matches": ("LesionMatches", "match_lesions"),
    "rules.rules": (
        "Rule",
        "RuleSet",
        "judge",
        "keeps",
        "measure",
        "offending",
        "rule_set",
    ),
    "rules.scoring": ("MaskScores", "score"),
    "split": ("SplitCohort", "split_lesions"),
    "attributes.measure": ("shape_attributes",),
    "attributes.sets": ("ATTRIBUTE_SETS",),
    "sequences.consistency": ("reference_limits", "sequence_consistency"),
    "sequences.ejection": ("ejection_fraction",),
    "sequences.regularize": ("Regularized", "regularize_sequence"),
    "sequences.smoothing": ("smooth_sequence",),
    "degradation.apply": ("degrade",),
    "degradation.draws": (
        "KINDS",
        "NETWORK_LIKE",
        "Degradation",
        "degradation_mix",
        "draw_degradations",
    ),
    "radlatent.cohort.labels": (
        "LabelMap",
        "MaskFile",
        "mask_files",
        "read_label_map",
    ),
    "prior.frame": ("Frame",),
    "prior.models": ("NVAESettings",),
    "prior.shape_prior": ("ShapePrior",),
    "prior.interpretability": ("interpretability", "latent_correlations"),
    "prior.traversal": ("Traversal", "traverse"),
    "sequences.redraw": (
        "SEQUENCE_METHODS",
        "RedrawnSequence",
        "latent_frames",
        "redraw_sequence",
    ),
    "revision.reviser": ("MaskReviser", "Revision", "load_reviser"),
    "correction.corrector": ("MaskCorrector", "load_corrector"),
    "correction.decision": ("Correction",),
    "correction.alternatives": ("alternatives_of",),
    "correction.derive": ("CorrectedCohort", "correct", "draw_alternatives"),
    "dice.predictor": ("DicePredictor",),
    "dice.judgment": ("judge_predictions",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'radlatent.masks' has no attribute {name!r}")
    home = _HOME[name]
    home = home if home.startswith("radlatent.") else f"{__name__}.{home}"
    return getattr(importlib.import_module(home), name)


def __dir__():
    return __all__
