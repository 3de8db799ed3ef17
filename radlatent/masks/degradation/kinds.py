"""Errors of one slice: labels of a slice enter, the labels with one error leave.

A plane is an integer array (rows, columns), 0 the background; spacings are mm in that
order, angles radians from the row axis to the column axis. The size of a piece is the
radius in mm of a disk of its area. No plane is changed in place.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from radlatent.imaging import bounding_box, expand_box

__all__ = [
    "FLAWS",
    "ISLAND_MM",
    "Flaw",
    "extra_piece",
    "hole",
    "leak",
    "missing_piece",
    "move_borders",
    "shift",
    "smooth_fields",
    "specks",
    "swap",
]

#: An island lies this far in mm from the rest.
ISLAND_MM = (3.0, 20.0)

#: Lobes around a piece, and the largest share of the radius that the first adds; the
#: others add less, so that outlines stay smooth.
_LOBES, _LOBE = np.array([2, 3, 4]), 0.25

#: A leak is this much longer than wide.
_STRETCH = 2.0

#: Pixels of a rim within this angle of the one wanted are candidates.
_NEAR_RAD = 0.3

#: Specks fall this near in mm to the box of the foreground.
_SPECK_MM = 6.0


@dataclass(frozen=True)
class Flaw:
    """Where and how large an error is.

    Parameters
    ----------
    label
        Of the structure, 0 for all of them.
    size
        Radius or length in mm, or a number of pixels.
    angle
        Direction of the place from the middle of the structure.
    spacing_mm
        Of the plane.
    known
        Labels of all structures, sorted.
    random
        For the outline and what else is left open.
    """

    label: int
    size: float
    angle: float
    spacing_mm: tuple[float, float]
    known: tuple[int, ...]
    random: np.random.Generator


def smooth_fields(
    n: int,
    shape: tuple,
    spacing_mm: tuple,
    smooth_mm: float,
    random: np.random.Generator,
) -> np.ndarray:
    """Return fields of normal values, mean 0 and variance 1 at each voxel.

    Parameters
    ----------
    n
        How many, independent of each other.
    shape, spacing_mm
        Of the grid (z, y, x).
    smooth_mm
        Voxels d mm apart are correlated by about exp(-d^2 / (4 smooth_mm^2)).
    random
        Where the values are drawn from.

    Returns
    -------
    ndarray
        Shape (n, z, y, x).
    """
    weights = []
    for size, spacing in zip(shape, spacing_mm, strict=True):
        places = np.arange(size) * spacing
        nodes = np.arange(-3 * smooth_mm, places[-1] + 4 * smooth_mm, smooth_mm)
        kernel = np.exp(-0.5 * ((places[:, None] - nodes) / smooth_mm) ** 2)
        # rows of norm 1 keep the variance of the nodes
        weights.append(kernel / np.linalg.norm(kernel, axis=1, keepdims=True))
    through, down, along = weights
    noise = random.standard_normal((n, *(weight.shape[1] for weight in weights)))
    coarse = np.einsum("zk,nkyx->nzyx", through, noise)
    return down @ coarse @ along.T


def move_borders(
    plane: np.ndarray, fields: dict[int, np.ndarray], spacing_mm: tuple
) -> np.ndarray:
    """Give each pixel to the label whose moved border holds it.

    Parameters
    ----------
    plane
        Labels.
    fields
        Label, with 0, to a field in mm of the shape of the plane. The border of two
        labels moves by half of the difference of their fields.
    spacing_mm
        Of the plane.

    Notes
    -----
    As in a network whose logits grow with the distance to the border that it sees, and
    are wrong by a smooth field.
    """
    present = [label for label in fields if (plane == label).any()]
    if len(present) < 2:
        return plane.copy()
    apart = np.stack(
        [
            ndimage.distance_transform_edt(plane != label, sampling=spacing_mm)
            for label in present
        ]
    )
    other = np.where(apart > 0, apart, np.inf).min(axis=0)
    # the border of two pixels lies half a pixel from the center of each
    half = sum(spacing_mm) / 4
    signed = np.where(apart > 0, apart - half, half - other)
    signed += [fields[label] for label in present]
    return np.array(present, plane.dtype)[signed.argmin(axis=0)]


def missing_piece(plane: np.ndarray, flaw: Flaw) -> np.ndarray:
    """Give a piece at the rim of a structure to what lies across the rim."""
    inside = plane == flaw.label
    site, _ = _site(inside, flaw)
    piece = _piece(plane.shape, site, flaw.size, flaw) & inside
    return np.where(piece, _across(plane, site, flaw.label), plane)


def swap(plane: np.ndarray, flaw: Flaw) -> np.ndarray:
    """Label a piece at the rim of a structure as another structure."""
    inside = plane == flaw.label
    site, _ = _site(inside, flaw)
    piece = _piece(plane.shape, site, flaw.size, flaw) & inside
    others = [label for label in flaw.known if label != flaw.label]
    other = others[flaw.random.integers(len(others))]
    return np.where(piece, plane.dtype.type(other), plane)


def leak(plane: np.ndarray, flaw: Flaw) -> np.ndarray:
    """Let a structure grow over its rim by a bump, whatever lies there."""
    site, outward = _site(plane == flaw.label, flaw)
    # its inner end stays in the structure
    forward_mm = 0.7 * flaw.size * np.sqrt(_STRETCH)
    center = site + outward * forward_mm / flaw.spacing_mm
    bump = _piece(plane.shape, center, flaw.size, flaw, along=outward)
    return np.where(bump, plane.dtype.type(flaw.label), plane)


def hole(plane: np.ndarray, flaw: Flaw) -> np.ndarray:
    """Open a hole inside a structure, so wide that a rim of a pixel stays."""
    box = bounding_box(plane == flaw.label)
    inside = np.pad(plane[box] == flaw.label, 1)
    depth = ndimage.distance_transform_edt(inside, sampling=flaw.spacing_mm)
    depth = depth[1:-1, 1:-1]
    # the diagonal, so that the rim holds background of 8 neighbors in
    rim_mm = np.hypot(*flaw.spacing_mm)
    core = depth > rim_mm
    result = plane.copy()
    if core.any():
        deep = depth >= min(flaw.size + rim_mm, depth.max())
        site = _toward(np.argwhere(deep), flaw)
        radius_mm = min(flaw.size, depth[tuple(site)] - rim_mm)
        result[box][_piece(core.shape, site, radius_mm, flaw) & core] = 0
    return result


def extra_piece(plane: np.ndarray, flaw: Flaw) -> np.ndarray:
    """Put an island of a structure into the background, off all that is there."""
    pixels = np.argwhere(plane > 0) * flaw.spacing_mm
    middle = pixels.mean(axis=0)
    gap_mm = flaw.random.uniform(*ISLAND_MM)
    for turn in (0, np.pi, np.pi / 2, -np.pi / 2):
        toward = _unit(flaw.angle + turn)
        # beyond all pixels of this direction, by more than the longest lobe
        away_mm = ((pixels - middle) @ toward).max() + gap_mm
        away_mm += flaw.size * (1 + _LOBE * len(_LOBES))
        center = (middle + away_mm * toward) / flaw.spacing_mm
        if ((center >= 0) & (center <= np.subtract(plane.shape, 1))).all():
            island = _piece(plane.shape, center, flaw.size, flaw)
            return np.where(island, plane.dtype.type(flaw.label), plane)
    return plane.copy()


def shift(plane: np.ndarray, flaw: Flaw) -> np.ndarray:
    """Move a structure, or for label 0 all of them, by whole pixels.

    What one structure leaves is given to the nearest other label.
    """
    step = np.rint(flaw.size * _unit(flaw.angle) / flaw.spacing_mm).astype(int)
    moving = plane == flaw.label if flaw.label else plane > 0
    places = np.argwhere(moving)
    landed = places + step
    kept = ((landed >= 0) & (landed < plane.shape)).all(axis=1)
    values, landed = plane[tuple(places[kept].T)], tuple(landed[kept].T)
    result = np.where(moving, plane.dtype.type(0), plane)
    if flaw.label:
        touched = moving.copy()
        touched[landed] = True
        box = expand_box(bounding_box(touched), (1, 1), plane.shape)
        nearest = ndimage.distance_transform_edt(
            touched[box],
            sampling=flaw.spacing_mm,
            return_distances=False,
            return_indices=True,
        )
        result[box] = result[box][tuple(nearest)]
    result[landed] = values
    return result


def specks(plane: np.ndarray, flaw: Flaw) -> np.ndarray:
    """Give single pixels near the foreground another label, or none."""
    margin = [int(np.ceil(_SPECK_MM / spacing)) for spacing in flaw.spacing_mm]
    box = expand_box(bounding_box(plane), margin, plane.shape)
    result = plane.copy()
    part = result[box]
    n = min(flaw.size, part.size)
    places = np.unravel_index(flaw.random.choice(part.size, n, False), part.shape)
    ring = np.array([0, *flaw.known], plane.dtype)
    # one step or more around the ring of labels does not come back to the same one
    steps = flaw.random.integers(1, len(ring), n)
    part[places] = ring[(np.searchsorted(ring, part[places]) + steps) % len(ring)]
    return result


#: Errors of one slice of one structure, by the name that draws have for them.
FLAWS = {
    "shift": shift,
    "leak": leak,
    "missing_piece": missing_piece,
    "swap": swap,
    "hole": hole,
    "extra_piece": extra_piece,
    "specks": specks,
}


def _unit(angle):
    return np.array([np.cos(angle), np.sin(angle)])


def _around(site, margin, shape):
    """Return the box of a pixel with a margin."""
    pixel = tuple(slice(int(place), int(place) + 1) for place in site)
    return expand_box(pixel, (margin, margin), shape)


def _site(inside, flaw):
    """Return a pixel of the rim in a direction, and the unit vector in mm outward."""
    box = expand_box(bounding_box(inside), (1, 1), inside.shape)
    rim = inside[box] & ~ndimage.binary_erosion(inside[box])
    site = _toward(np.argwhere(rim), flaw) + [side.start for side in box]
    near = _around(site, 3, inside.shape)
    middle = np.argwhere(inside[near]).mean(axis=0) + [side.start for side in near]
    outward = (site - middle) * flaw.spacing_mm
    length = np.hypot(*outward)
    # the middle of a line or point has no side
    return site, outward / length if length > 1e-6 else _unit(flaw.angle)


def _toward(pixels, flaw):
    """Return one of the pixels that lie, from the middle of all, in a direction."""
    rows, columns = ((pixels - pixels.mean(axis=0)) * flaw.spacing_mm).T
    apart = np.arctan2(columns, rows) - flaw.angle
    apart = np.abs((apart + np.pi) % (2 * np.pi) - np.pi)
    near = np.flatnonzero(apart <= max(_NEAR_RAD, apart.min()))
    return pixels[near[flaw.random.integers(len(near))]]


def _across(plane, site, label):
    """Return the commonest of the other labels around a pixel, 0 without any."""
    values = plane[_around(site, 1, plane.shape)]
    values, counts = np.unique(values[values != label], return_counts=True)
    return values[counts.argmax()] if len(values) else plane.dtype.type(0)


def _piece(shape, center, radius_mm, flaw, *, along=None):
    """Return a lobed disk of a known area, or one drawn out along a direction."""
    sizes = 2 * _LOBE * flaw.random.random(len(_LOBES)) / _LOBES
    phases = flaw.random.uniform(0, 2 * np.pi, len(_LOBES))
    reach = 2 * radius_mm * np.sqrt(_STRETCH) / np.array(flaw.spacing_mm)
    low = np.floor(center - reach).astype(int).clip(0, shape)
    high = np.ceil(center + reach + 1).astype(int).clip(0, shape)
    rows = (np.arange(low[0], high[0])[:, None] - center[0]) * flaw.spacing_mm[0]
    columns = (np.arange(low[1], high[1]) - center[1]) * flaw.spacing_mm[1]
    if along is not None:
        rows, columns = (
            (rows * along[0] + columns * along[1]) / np.sqrt(_STRETCH),
            (columns * along[0] - rows * along[1]) * np.sqrt(_STRETCH),
        )
    angles = np.arctan2(columns, rows)[..., None]
    outline = 1 + (sizes * np.cos(_LOBES * angles + phases)).sum(axis=-1)
    # divided by its root mean square, the outline keeps the area of the disk
    outline /= np.sqrt(1 + (sizes**2).sum() / 2)
    piece = np.zeros(shape, bool)
    inside = np.hypot(rows, columns) <= radius_mm * outline
    piece[low[0] : high[0], low[1] : high[1]] = inside
    return piece
