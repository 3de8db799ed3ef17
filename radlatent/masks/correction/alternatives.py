"""Plausible alternatives of a mask: a mask and a corrector enter, other masks leave.

Another reader would have drawn another contour. What the prior's posterior leaves open
about a mask is drawn, and carried over to the mask itself.
"""

from dataclasses import replace

import numpy as np

from radlatent.cohort.labels import LabelMap
from radlatent.masks.correction.candidates import between, signed_distances
from radlatent.masks.correction.corrector import MaskCorrector
from radlatent.masks.prior.shape_prior import redraw
from radlatent.masks.rules.rules import broken_rules

__all__ = ["alternatives_of"]

#: Shares of a draw that are tried until it breaks no more rules than the mask.
_SHARES = (1.0, 0.7, 0.4)


def alternatives_of(
    mask: LabelMap,
    corrector: MaskCorrector,
    *,
    n: int,
    random_state: int | np.random.Generator | None = 0,
) -> list[LabelMap]:
    """Return plausible alternatives of a mask; see `draw_alternatives`.

    Parameters
    ----------
    mask
        Labels of the structures that the corrector was fitted on.
    corrector
        A fitted one.
    n
        How many.
    random_state
        Seed, Generator or None.
    """
    prior, random = corrector.prior_, np.random.default_rng(random_state)
    encoded, rules = prior.encode(mask), corrector.rules_
    classes = np.array([0, *(mask.structures[name] for name in prior.structures_)])
    places = encoded.placement.slices
    broken = broken_rules(mask.array[places], rules, **mask.slice_legend)
    start = _distances(mask, prior, encoded, classes)
    alternatives = []
    for _ in range(n):
        move = encoded.scale * random.standard_normal(encoded.scale.shape[1])
        drawn = replace(encoded, mean=encoded.mean + move)
        moved = _distances(mask, prior, drawn, classes)
        array = mask.array.copy()
        for row, place in enumerate(places):
            change, n_broken = moved[row] - start[row], broken[row].sum()
            array[place] = _moved(mask, place, change, classes, rules, n_broken)
        alternatives.append(mask.with_array(array))
    return alternatives


def _distances(mask, prior, encoded, classes):
    """Return signed distances in mm of the decoded slices, (classes, *slice) each."""
    planes = redraw(mask, prior, encoded, np.arange(len(encoded.mean)), None)
    spacing_mm = encoded.placement.spacing_mm
    return [signed_distances(plane, classes, spacing_mm) for plane in planes]


def _moved(mask, place, change, classes, rules, n_broken):
    """Return a slice whose borders moved by a change of signed distances."""
    plane, legend = mask.array[place], mask.slice_legend
    own = signed_distances(plane, classes, legend["spacing_mm"])
    for share in _SHARES:
        labels = between(own, change, share, classes).astype(plane.dtype)
        if broken_rules([labels], rules, **legend).sum() <= n_broken:
            return labels
    return plane
