"""A sequence of masks made consistent: labels of its frames enter, others leave.

Through a shape prior whose first latents are attributes (Painchaud et al. 2022), or by
a Gaussian over time, the baseline.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d, label

from radlatent.cohort.labels import LabelMap
from radlatent.errors import SchemaError
from radlatent.masks.attributes.measure import shape_attributes
from radlatent.masks.prior.frame import classes_of, from_frame
from radlatent.masks.prior.shape_prior import ShapePrior
from radlatent.masks.sequences.ejection import ejection_change
from radlatent.masks.sequences.regularize import regularize_sequence

__all__ = ["SEQUENCE_METHODS", "RedrawnSequence", "latent_frames", "redraw_sequence"]

#: The prior alone; attributes smoothed, all latents, all but ED and ES; the baseline.
SEQUENCE_METHODS = ("decode", "attributes", "all", "keep_ef", "gaussian")

#: Of the Gaussian baseline, as a share of the number of frames.
_SIGMA = 0.05


@dataclass(frozen=True, eq=False)
class RedrawnSequence:
    """A sequence of masks that was redrawn.

    Parameters
    ----------
    mask
        The new labels, frames along the first axis.
    before, after
        Attributes of the frames.
    ejection
        Ejection fraction ``before`` and ``after``: smoothing may change it. At the
        fixed frames, end-diastole and end-systole; without them (another method than
        ``"keep_ef"``, and none given) of the largest and the smallest volume, which one
        broken frame may change.
    """

    mask: LabelMap
    before: pd.DataFrame
    after: pd.DataFrame
    ejection: pd.Series


def redraw_sequence(
    mask: LabelMap,
    method: str = "all",
    *,
    prior: ShapePrior | None = None,
    limits: pd.DataFrame | None = None,
    fixed: Sequence[int] | None = None,
) -> RedrawnSequence:
    """Make the masks of a sequence consistent over time.

    Parameters
    ----------
    mask
        Labels, shape (frames, rows, columns).
    method
        ``"decode"``: the prior alone; ``"attributes"`` and ``"all"``: its latents
        smoothed as published; ``"keep_ef"``: all, by second differences, while the
        latents of ``fixed`` frames stay; ``"gaussian"``: labels averaged over time.
    prior
        Fitted with ``attributes="apical_7"`` and a frame with ``anchor="image"``; not
        for ``"gaussian"``.
    limits
        `reference_limits` of `latent_frames` of reference sequences, restricted to the
        attributes; for methods that smooth latents.
    fixed
        Frames of end-diastole and end-systole, in that order, which ``"keep_ef"`` holds
        and every method tells the ejection fraction at; None: for ``"keep_ef"`` those
        of the largest and smallest area of LV, averaged over neighbors. They must be
        sound.

    Raises
    ------
    SchemaError
        The method is unknown, or lacks what it needs; the sequence lacks a fixed
        frame, or its heart reaches out of the frame of the prior.

    References
    ----------
    Painchaud et al. 2022, arXiv:2112.02102
    """
    _check(method, prior, limits, fixed, len(mask.array))
    about = mask.slice_legend
    before = shape_attributes(mask.array, "apical_7", **about)
    if fixed is None:
        fixed = _ends(before) if method == "keep_ef" else ()
    if method == "gaussian":
        labels = _averaged(mask)
    else:
        z, placement = _encoded(mask, prior)
        if method != "decode":
            options = {}
            if method == "attributes":
                options["residual_weight"] = None
            if method == "keep_ef":
                options |= {"order": 2, "fixed": [*fixed]}
            z = regularize_sequence(z, limits, **options).frames
        labels = _decoded(mask, prior, z.to_numpy(), placement)
    after = shape_attributes(labels, "apical_7", **about)
    ejection = ejection_change(before, after, fixed)
    return RedrawnSequence(mask.with_array(labels), before, after, ejection)


def _check(method, prior, limits, fixed, n_frames):
    lacks = []
    held = [] if fixed is None else [*fixed]
    if any(not 0 <= k < n_frames for k in held):
        lacks.append(f"fixed are {held}; the sequence has frames 0 to {n_frames - 1}")
    if method not in SEQUENCE_METHODS:
        lacks.append(f"method is {method!r}; give one of {SEQUENCE_METHODS}")
    elif method != "gaussian":
        if prior is None or prior.attributes != "apical_7":
            lacks.append("prior: give one that was fitted with attributes='apical_7'")
        elif prior.frame_.anchor != "image":
            lacks.append("prior: its frame follows the heart; give anchor='image'")
        if method != "decode" and limits is None:
            lacks.append("limits: give reference_limits of latent_frames")
    if lacks:
        msg = "; ".join(lacks) + "."
        raise SchemaError(msg)


def latent_frames(mask: LabelMap, prior: ShapePrior) -> pd.DataFrame:
    """Return the latents of the frames of a sequence, interpolated over empty ones.

    Parameters
    ----------
    mask
        Labels, shape (frames, rows, columns).
    prior
        A fitted prior.

    Returns
    -------
    pandas.DataFrame
        A row a frame, columns ``latent_names_`` of the prior.

    Raises
    ------
    SchemaError
        No frame holds a structure, or with ``anchor="image"`` the heart reaches out of
        the frame of the prior, which would cut it off.
    """
    return _encoded(mask, prior)[0]


def _encoded(mask, prior):
    encoded = prior.encode(mask)
    frames = encoded.placement.slices
    z = pd.DataFrame(encoded.mean, frames, prior.latent_names_, dtype=np.float64)
    if not len(frames):
        msg = f"{mask.name}: not one frame holds a structure."
        raise SchemaError(msg)
    _check_reach(mask, encoded.placement)
    every = np.arange(len(mask.array))
    z = z.reindex(every).interpolate(limit_direction="both")
    middle = encoded.placement.center_mm[:1]
    placement = replace(
        encoded.placement, slices=every, center_mm=np.tile(middle, (len(every), 1))
    )
    return z, placement


def _check_reach(mask, placement):
    """Refuse a heart that a frame which does not follow it would cut off.

    False islands do not count: that they are lost is no harm.
    """
    frame = placement.frame
    if frame.anchor != "image":
        return
    heart = np.zeros(placement.shape, dtype=bool)
    for plane in mask.array[placement.slices]:
        numbers, _ = label(plane > 0, np.ones((3, 3)))
        heart |= numbers == 1 + np.bincount(numbers.ravel())[1:].argmax()
    away = np.argwhere(heart) * placement.spacing_mm - placement.center_mm[0]
    edge_mm, reach_mm = frame.size * frame.spacing_mm, 2 * np.abs(away).max()
    if reach_mm > edge_mm:
        msg = (
            f"{mask.name}: the frame is {edge_mm:g} mm; the heart reaches beyond, it "
            f"needs {reach_mm:.4g} mm around the middle of the image: give the frame "
            "of the prior a larger size, and fit it again."
        )
        raise SchemaError(msg)


def _decoded(mask, prior, z, placement):
    rows = np.arange(len(z))
    maps = from_frame(prior.decode(z), placement, rows)
    classes = np.array([0, *(mask.structures[name] for name in prior.structures_)])
    return classes[classes_of(maps)].astype(mask.array.dtype)


def _ends(attributes):
    """Return the frames of the largest and of the smallest area of LV."""
    area = attributes["lv_area"].interpolate(limit_direction="both").to_numpy()
    smooth = gaussian_filter1d(area, _SIGMA * len(area), mode="nearest")
    return int(smooth.argmax()), int(smooth.argmin())


def _averaged(mask):
    """Return the class whose share, averaged over time, is the largest."""
    values = [0, *mask.structures.values()]
    sigma = _SIGMA * len(mask.array)
    shares = [
        gaussian_filter1d((mask.array == v).astype(np.float32), sigma, axis=0)
        for v in values
    ]
    best = np.argmax(shares, axis=0)
    return np.array(values)[best].astype(mask.array.dtype)
