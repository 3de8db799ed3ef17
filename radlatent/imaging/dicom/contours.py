"""Polygons in the patient to voxels: a voxel is in where its center is inside.

Contours enter, a `Drawn` leaves. Even-odd for one polygon is XOR for several, so holes
and islands need no order and no direction.
"""

from collections.abc import Sequence

import numpy as np

from radlatent.errors import GeometryError
from radlatent.imaging.dicom.regions import Drawn
from radlatent.imaging.dicom.stack import JITTER_MM
from radlatent.imaging.volume import Geometry

__all__ = ["draw"]

#: Voxels; what lies on the border in the file is not moved off it by a float.
_DIGITS = 6

#: Edges that are crossed with all rows at a time: a file may hold millions.
_EDGES = 4096

#: Share of a slice up to which the points of a contour may leave its plane.
_FLAT = 0.5


def draw(contours: Sequence[np.ndarray], grid: Geometry) -> Drawn:
    """Return the voxels of a grid whose centers are inside of closed contours.

    Parameters
    ----------
    contours
        LPS points in mm, shape (n, 3) each.
    grid
        Of the image; contours lie in planes of its array axis z.

    Returns
    -------
    Drawn
        Contours that occur twice count once. Those of one plane are combined by XOR.
        Planes of contours go to the nearest slice; where several are nearest to one,
        it gets the nearest of them.

    Raises
    ------
    GeometryError
        A contour does not lie along the slices, or leaves the image.
    """
    notes = []
    flat = [_flattened(contour, grid) for contour in contours]
    _note_beyond(flat, grid, notes)
    planes = _planes(_once(flat, notes), grid, notes)
    array = np.zeros(grid.shape, bool)
    for slice_number, polygons in planes.items():
        _fill(array[slice_number], polygons)
    _note_between(array, notes)
    return Drawn(array, tuple(notes))


def _flattened(contour, grid):
    """Return a contour as its place in slices and its points in pixels (y, x)."""
    index = grid.to_index(contour)
    place = float(np.median(index[:, 0]))
    off = np.abs(index[:, 0] - place).max()
    if off > _FLAT:
        msg = (
            f"a contour leaves its plane by {off * grid.spacing_mm[0]:.3g} mm: it was "
            "not drawn on the slices of this series. Draw it on them, or export it as "
            "a DICOM SEG."
        )
        raise GeometryError(msg)
    return place, index[:, 1:].round(_DIGITS)


def _once(flat, notes):
    """Return the contours without exact copies: XOR would make nothing of two."""
    found = {}
    for place, points in flat:
        found.setdefault((round(place, 3), _identity(points)), (place, points))
    n = len(flat) - len(found)
    if n:
        notes.append(f"{n} contours are exact copies of others and count once")
    return list(found.values())


def _identity(points):
    """Return the same for the same points, wherever the polygon starts and turns."""
    ring = (
        points[:-1] if len(points) > 1 and (points[0] == points[-1]).all() else points
    )
    first = int(np.lexsort(ring.T[::-1])[0])
    ahead = np.roll(ring, -first, axis=0)
    back = np.roll(ring[::-1], first + 1, axis=0)
    return min(ahead.tobytes(), back.tobytes())


def _planes(flat, grid, notes):
    """Return slice number to its polygons."""
    jitter = JITTER_MM / grid.spacing_mm[0]
    groups = []
    for place, points in sorted(flat, key=lambda one: one[0]):
        if not groups or place - groups[-1][0] > jitter:
            groups.append((place, []))
        groups[-1][1].append(points)
    found, outside = {}, []
    for place, polygons in groups:
        number = int(np.ceil(place - 0.5))
        if not 0 <= number < grid.shape[0]:
            outside.append(place)
            continue
        other = found.get(number)
        if other is None or abs(place - number) < abs(other[0] - number):
            found[number] = place, polygons
    n_left = len(groups) - len(outside) - len(found)
    if outside:
        far = max(max(-place, place - grid.shape[0] + 1) for place in outside)
        msg = (
            f"contours lie on {len(outside)} planes outside of the {grid.shape[0]} "
            f"slices of the series, up to {far * grid.spacing_mm[0]:.4g} mm. They were "
            "drawn on another series, or slices at its ends are missing."
        )
        raise GeometryError(msg)
    if n_left:
        notes.append(
            f"contours lie on {len(groups)} planes, closer than the slices: each slice "
            f"has the nearest, {n_left} are left out"
        )
    return {number: polygons for number, (_, polygons) in found.items()}


def _fill(pixels, polygons):
    """Set the pixels of one slice whose centers are inside, by XOR of all polygons."""
    n_rows, n_columns = pixels.shape
    # a pixel is turned over by each edge of its row that lies to its left
    turns = np.zeros((n_rows, n_columns + 1), np.int64)
    for points in polygons:
        ends = np.roll(points, -1, axis=0)
        for k in range(0, len(points), _EDGES):
            edges = slice(k, k + _EDGES)
            rows, columns = _crossings(points[edges], ends[edges], n_rows)
            np.add.at(turns, (rows, np.clip(columns, 0, n_columns)), 1)
    pixels[...] = np.cumsum(turns, axis=1)[:, :-1] % 2 == 1


def _crossings(starts, ends, n_rows):
    """Return the row and the first column behind each crossing of an edge and a row.

    An edge has its lower end and not its upper one, so that a row through a corner
    crosses once; a center on the left or lower border is in.
    """
    (y0, x0), (y1, x1) = starts.T, ends.T
    down = y0 > y1
    y0, y1 = np.where(down, y1, y0), np.where(down, y0, y1)
    x0, x1 = np.where(down, x1, x0), np.where(down, x0, x1)
    first, last = (np.ceil(np.clip(y, 0, n_rows)).astype(np.int64) for y in (y0, y1))
    n = last - first
    edge = np.repeat(np.arange(len(n)), n)
    rows = first[edge] + np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
    share = (rows - y0[edge]) / (y1 - y0)[edge]
    crossing = x0[edge] + share * (x1 - x0)[edge]
    return rows, np.ceil(crossing.round(_DIGITS)).astype(np.int64)


def _note_beyond(flat, grid, notes):
    """Note what lies beside the image, where there are no voxels."""
    if flat:
        points = np.concatenate([points for _, points in flat])
        beyond = np.maximum(-0.5 - points, points - np.array(grid.shape[1:]) + 0.5)
        far = (beyond * grid.spacing_mm[1:]).max()
        if far > JITTER_MM:
            notes.append(f"contours reach {far:.4g} mm beyond the image and are cut")


def _note_between(array, notes):
    """Note empty slices between filled ones."""
    filled = np.flatnonzero(array.any(axis=(1, 2)))
    if filled.size and filled[-1] - filled[0] + 1 > filled.size:
        n = int(filled[-1] - filled[0] + 1 - filled.size)
        notes.append(
            f"{n} slices between contours have none and stay empty: several lesions, "
            "or not every slice was drawn"
        )
