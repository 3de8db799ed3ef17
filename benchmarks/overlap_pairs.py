"""Drawn masks to compare: two spheres and a speck, many spheres, degenerate pairs."""

import numpy as np
from scipy import ndimage

#: Shift of the second sphere and place of the speck, in voxels from the center
#: (PEERS.md 7.1, *seg*).
SHIFT, SPECK = (2, 3, -2), (-25, -30, 0)
KINDS = (
    "blobs",
    "near",
    "noise",
    "points",
    "border",
    "disjoint",
    "nested",
    "identical",
    "plate",
    "speck",
    "full",
    "mask_empty",
    "reference_empty",
    "both_empty",
)


def ball(shape, center, radius):
    """Return a ball of a radius in voxels as booleans."""
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    return sum((g - c) ** 2 for g, c in zip(grid, center, strict=True)) <= radius**2


def spheres(shape, radius=30, speck=None):
    """Return mask and reference of *seg* as uint8: the mask has the speck.

    Parameters
    ----------
    shape
        Of the volume.
    radius
        Of both spheres in voxels.
    speck
        Center of the speck; None takes that of *seg*.
    """
    center = np.array(shape) // 2
    moved = ball(shape, center + SHIFT, radius)
    moved |= ball(shape, center + SPECK if speck is None else speck, 4)
    return moved.astype(np.uint8), ball(shape, center, radius).astype(np.uint8)


def many(shape, radius, n=32):
    """Return mask and reference with labels 1 to n: spheres on a lattice."""
    arrays = np.zeros((2, *shape), dtype=np.uint8)
    for label in range(1, n + 1):
        k = label - 1
        center = np.array(
            [30 + 60 * (k % 2), 64 + 128 * (k // 8), 64 + 128 * (k // 2 % 4)]
        )
        for array, shift in zip(arrays, ((1, 2, -1), (0, 0, 0)), strict=True):
            at = center + shift
            box = tuple(slice(c - radius, c + radius + 1) for c in at)
            size = (2 * radius + 1,) * 3
            array[box][ball(size, (radius,) * 3, radius)] = label
    return arrays[0], arrays[1]


def pairs(n, random_state):
    """Draw pairs of masks: kind, spacing in mm, mask and reference as booleans.

    Two in five are slices; axes have 1 to 28 voxels of 0.4 to 5 mm.
    """
    random = np.random.default_rng(random_state)
    drawn = []
    for i in range(n):
        axes = 2 if i % 5 < 2 else 3
        shape = random.integers(8, 29, axes)
        if random.random() < 0.1:
            shape[0] = 1
        kind = KINDS[i // 5 % len(KINDS)]
        spacing = np.round(random.uniform(0.4, 5, axes), 2)
        if random.random() < 0.3:
            spacing[:] = spacing[0]
        masks = _DRAW[kind](random, tuple(shape.tolist()))
        drawn.append((kind, tuple(spacing.tolist()), *masks))
    return drawn


def _blob(random, shape):
    smooth = ndimage.gaussian_filter(random.standard_normal(shape), 2)
    return _some(random, smooth > np.quantile(smooth, random.uniform(0.5, 0.95)))


def _some(random, mask):
    """Return a mask with at least one voxel."""
    if not mask.any():
        mask[_place(random, mask.shape)] = True
    return mask


def _place(random, shape):
    return tuple(int(random.integers(n)) for n in shape)


def _ball_at(random, shape, low, high):
    return _some(random, ball(shape, _place(random, shape), random.uniform(low, high)))


def _near(random, shape):
    mask = _ball_at(random, shape, 3, 9)
    moved = np.roll(mask, random.integers(-2, 3, len(shape)), range(len(shape)))
    return moved, mask


def _points(random, shape):
    masks = np.zeros((2, *shape), dtype=bool)
    masks[0][_place(random, shape)] = True
    if random.random() < 0.5:
        masks[1] = _blob(random, shape)
    else:
        masks[1][_place(random, shape)] = True
    return masks[0], masks[1]


def _border(random, shape):
    corner = tuple(int(random.integers(2)) * (n - 1) for n in shape)
    radius = random.uniform(2, 8)
    return ball(shape, corner, radius), ball(shape, corner, radius + 1.5)


def _disjoint(random, shape):
    mask, reference = np.zeros((2, *shape), dtype=bool)
    mask[..., 0] = _some(random, random.random(shape[:-1]) < 0.5)
    reference[..., -2:] = True
    return mask, reference


def _nested(random, shape):
    center = [n // 2 for n in shape]
    return ball(shape, center, 2), ball(shape, center, random.uniform(4, 9))


def _identical(random, shape):
    mask = _blob(random, shape)
    return mask, mask.copy()


def _plate(random, shape):
    mask = np.zeros(shape, dtype=bool)
    mask[shape[0] // 2] = True
    return mask, _blob(random, shape)


def _with_speck(random, shape):
    mask = _blob(random, shape)
    speck = mask.copy()
    speck[(-1,) * len(shape)] = True
    return speck, mask


def _both(one):
    return lambda random, shape: (one(random, shape), one(random, shape))


def _empty(*which):
    def draw(random, shape):
        masks = _blob(random, shape), _blob(random, shape)
        return tuple(m & (side not in which) for side, m in enumerate(masks))

    return draw


_DRAW = {
    "blobs": _both(_blob),
    "near": _near,
    "noise": _both(lambda random, shape: _some(random, random.random(shape) < 0.1)),
    "points": _points,
    "border": _border,
    "disjoint": _disjoint,
    "nested": _nested,
    "identical": _identical,
    "plate": _plate,
    "speck": _with_speck,
    "full": lambda random, shape: (np.ones(shape, bool), _blob(random, shape)),
    "mask_empty": _empty(0),
    "reference_empty": _empty(1),
    "both_empty": _empty(0, 1),
}
