"""The engine of radlatent: pyradiomics' features from compiled loops over a crop.

A volume, a mask and settings enter; feature names and values leave. Nothing but the
statistics that the settings ask of the whole image looks beyond the crop.
"""

from functools import cache

import numpy as np

from radlatent.handcrafted.engine.filters.derived import derived_images
from radlatent.handcrafted.engine.firstorder import firstorder_features
from radlatent.handcrafted.engine.glcm import glcm_features
from radlatent.handcrafted.engine.ngtdm import ngtdm_features
from radlatent.handcrafted.engine.prepare import prepare
from radlatent.handcrafted.engine.roi import Roi, bin_edges, discretize
from radlatent.handcrafted.engine.shape import shape2d_features, shape_features
from radlatent.handcrafted.engine.sizes import (
    gldm_features,
    glrlm_features,
    glszm_features,
)
from radlatent.handcrafted.settings import Settings
from radlatent.imaging import Volume
from radlatent.provenance import versions

__all__ = ["measure", "version"]


def version() -> str:
    """Return the versions that values depend on."""
    found = versions()
    return f"{found['radlatent']} (numba {found['numba']})"


def measure(image: Volume, mask: Volume, settings: Settings) -> dict[str, float]:
    """Return every feature of one lesion.

    Parameters
    ----------
    image
        Intensities.
    mask
        Booleans on the same grid.
    settings
        What to measure.

    Returns
    -------
    dict
        Feature name, as `Settings.names`, to value. A name is missing where there is
        no image to measure, as for a filter wider than the volume.

    Raises
    ------
    ValueError
        The lesion is too small for the settings, or has too many gray levels.
    """
    ready = prepare(image, mask, settings)
    spacing_mm = ready.image.spacing_mm
    found = _shapes(ready.shape_mask, spacing_mm, settings)
    wanted = settings.featureClass.keys() - {"shape", "shape2D"}
    if not wanted:
        return found
    rois = cache(lambda distances, axis: Roi(ready.mask, distances, axis))
    for image_type in settings.imageType:
        options = settings.resolved(image_type)
        axis = options.force2Ddimension if options.force2D else None
        roi = rois(tuple(options.distances), axis)
        for name, array in derived_images(ready, image_type, options):
            values = array[ready.mask]
            if image_type != "Original" and not np.isfinite(values).all():
                continue  # of a flat lesion, for instance: its features are missing
            # a range of intensities says nothing about filtered ones
            start = _first_edge(settings) if image_type == "Original" else None
            edges = bin_edges(values, options.binWidth, options.binCount, start)
            classes = _intensities(values, edges, roi, options, wanted, spacing_mm)
            found |= {
                f"{name}_{feature_class}_{feature}": float(value)
                for feature_class, features in classes.items()
                for feature, value in features.items()
            }
    return found


def _shapes(mask, spacing_mm, settings):
    found = {}
    if "shape" in settings.featureClass:
        features = shape_features(mask, spacing_mm)
        found |= {f"original_shape_{name}": value for name, value in features.items()}
    if "shape2D" in settings.featureClass:
        axis = settings.setting.force2Ddimension
        if mask.shape[axis] > 1:
            msg = (
                f"class 'shape2D' measures one slice, and the mask has "
                f"{mask.shape[axis]} along axis {axis} (force2Ddimension)"
            )
            raise ValueError(msg)
        across = [side for k, side in enumerate(spacing_mm) if k != axis]
        features = shape2d_features(mask.squeeze(axis), tuple(across))
        found |= {f"original_shape2D_{name}": value for name, value in features.items()}
    return found


def _first_edge(settings):
    """Return where bins of a fixed width start for IBSI: at the range, if any."""
    options = settings.setting
    ranged = options.resegmentRange and options.resegmentMode == "absolute"
    return min(options.resegmentRange) if settings.ibsi and ranged else None


def _intensities(values, edges, roi, options, wanted, spacing_mm):
    """Return feature class to features of one image."""
    levels = discretize(values.astype(float), edges)
    gray = levels.gray
    found = {}
    if "firstorder" in wanted:
        voxel_mm3 = float(np.prod(spacing_mm))
        found["firstorder"] = firstorder_features(
            values, levels.counts, voxel_mm3, options.voxelArrayShift
        )
    if wanted == {"firstorder"}:
        return found
    roi.place(levels)
    counted = roi.count(levels, options.gldm_a)
    norm = options.weightingNorm
    if "glcm" in wanted:
        found["glcm"] = glcm_features(
            counted.pairs,
            gray,
            symmetric=options.symmetricalGLCM,
            weights=_pair_weights(roi.directions, spacing_mm, norm),
        )
    if "gldm" in wanted:
        found["gldm"] = gldm_features(counted.dependence, gray)
    if "glrlm" in wanted:
        weights = _lengths(roi.steps, spacing_mm, norm)
        found["glrlm"] = glrlm_features(counted.runs, gray, weights)
    if "glszm" in wanted:
        found["glszm"] = glszm_features(*roi.zones(), gray)
    if "ngtdm" in wanted:
        found["ngtdm"] = ngtdm_features(counted.difference, gray)
    return found


def _pair_weights(directions, spacing_mm, norm):
    """Weigh pairs down by the square of their distance, as pyradiomics does."""
    lengths = _lengths(directions, spacing_mm, norm)
    if norm in (None, "no_weighting"):
        return lengths
    return np.exp(-(lengths**2))


def _lengths(directions, spacing_mm, norm):
    """Return the length of each direction in mm, 1 unweighted, None apart."""
    if norm is None:
        return None
    sides = np.abs(directions) * spacing_mm
    if norm == "infinity":
        return sides.max(axis=1)
    if norm == "euclidean":
        return np.sqrt((sides**2).sum(axis=1))
    if norm == "manhattan":
        return sides.sum(axis=1)
    return np.ones(len(directions))
