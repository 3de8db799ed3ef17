"""Measures of lesion rules: one lesion and its image enter, numbers leave.

As in `measures`, each has a second form, which gives the voxels behind the number.
Volumes are in mm3, axes are (z, y, x). NaN says that the lesion or its image is
missing.
"""

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import distance_transform_edt

from radlatent.masks.rules.measures import SLICE_MEASURES, Measure

__all__ = ["RIM_MM", "VOLUME_MEASURES"]

#: Width of the rim around a lesion that it is compared with.
RIM_MM = 5.0

#: Robust standard deviations from the median beyond which a voxel is an outlier.
_FAR = 5.0

#: Standard deviation of a normal variable with a median absolute deviation of 1.
_SD_OF_MAD = 1.4826


def _all(scene, names, threshold):
    return scene.mask(*names)


def _hole_share(scene, names):
    """Return the share of the filled lesion that it encloses across faces."""
    region = scene.region(*names)
    return np.count_nonzero(region.enclosed) / np.count_nonzero(region.filled)


def _enclosed(scene, names, threshold):
    region = scene.region(*names)
    return region.placed(region.enclosed)


def _smallest_mm3(scene, names):
    sizes = scene.region(*names).components[1][1:]
    return float(sizes.min() * np.prod(scene.spacing_mm))


def _specks(scene, names, threshold):
    region = scene.region(*names)
    numbers, sizes = region.components
    small = (sizes > 0) & (sizes * np.prod(scene.spacing_mm) < threshold)
    return region.placed(small[numbers])


def _volume_mm3(scene, names):
    return float(scene.region(*names).size * np.prod(scene.spacing_mm))


def _n_slices(scene, names):
    return float(np.count_nonzero(_areas(scene, names)))


def _areas(scene, names):
    return np.count_nonzero(scene.mask(*names), axis=(1, 2))


def _jumps(scene, names):
    """Return by how much areas of neighboring slices differ, of the largest area.

    From the first slice of the lesion to its last: where it ends is no jump.
    """
    areas = _areas(scene, names)
    held = np.flatnonzero(areas)
    areas = areas[held[0] : held[-1] + 1]
    return held[0], np.abs(np.diff(areas)) / areas.max()


def _largest_jump(scene, names):
    return float(_jumps(scene, names)[1].max(initial=0.0))


def _beside_jumps(scene, names, threshold):
    """Return the lesion in the slices before and behind a jump."""
    first, jumps = _jumps(scene, names)
    slices = np.zeros(scene.labels.shape[0], dtype=bool)
    for jump in first + np.flatnonzero(jumps > threshold):
        slices[jump : jump + 2] = True
    return scene.mask(*names) & slices[:, np.newaxis, np.newaxis]


def _at_border(scene, names, threshold=None):
    """Return voxels in the first or last layer of the whole image."""
    at = np.zeros(scene.labels.shape, dtype=bool)
    for axis, (part, n) in enumerate(zip(scene.cut, scene.shape, strict=True)):
        layers = np.moveaxis(at, axis, 0)
        if part.start == 0:
            layers[0] = True
        if part.stop == n:
            layers[-1] = True
    return at & scene.mask(*names)


def _solidity(scene, names):
    return float(scene.region(*names).solidity)


def _not_finite(scene, names, threshold=None):
    return scene.mask(*names) & ~np.isfinite(scene.image)


def _inside(scene, names):
    values = scene.image[scene.mask(*names)].astype(np.float64)
    return values[np.isfinite(values)]


def _far(scene, names, threshold=None):
    """Return voxels more than 5 robust standard deviations from the lesion's median."""
    values = _inside(scene, names)
    middle = np.median(values)
    spread = _SD_OF_MAD * np.median(np.abs(values - middle))
    away = np.abs(scene.image.astype(np.float64) - middle)
    return scene.mask(*names) & (away > _FAR * spread)


def _far_share(scene, names):
    n = _inside(scene, names).size
    return np.count_nonzero(_far(scene, names)) / n if n else np.nan


def _contrast(scene, names):
    """Return the Kolmogorov-Smirnov distance of the lesion from its rim, from 0 to 1.

    NaN without a rim of finite voxels. Another lesion is no rim.
    """
    mask = scene.mask(*names)
    near = distance_transform_edt(~mask, sampling=scene.spacing_mm) <= RIM_MM
    rim = scene.image[near & scene.background].astype(np.float64)
    inside, rim = np.sort(_inside(scene, names)), np.sort(rim[np.isfinite(rim)])
    if not inside.size or not rim.size:
        return np.nan
    steps = np.concatenate([inside, rim])
    shares = [np.searchsorted(v, steps, side="right") / v.size for v in (inside, rim)]
    return float(np.abs(shares[0] - shares[1]).max())


#: Measures of a lesion, by the name that rules give them.
VOLUME_MEASURES: Mapping[str, Measure] = {
    "hole_share": Measure(_hole_share, _enclosed),
    "lesion_components": SLICE_MEASURES["components"],
    "smallest_component": Measure(_smallest_mm3, _specks),
    "n_slices": Measure(_n_slices, _all),
    "area_jump": Measure(_largest_jump, _beside_jumps),
    "border": Measure(
        lambda scene, names: float(np.count_nonzero(_at_border(scene, names))),
        _at_border,
    ),
    "solidity": Measure(_solidity, _all),
    "volume": Measure(_volume_mm3, _all),
    "not_finite": Measure(
        lambda scene, names: float(np.count_nonzero(_not_finite(scene, names))),
        _not_finite,
        needs_image=True,
    ),
    "far_share": Measure(_far_share, _far, needs_image=True),
    "contrast": Measure(_contrast, _all, needs_image=True),
}
