"""The segments of the American Heart Association on short-axis slices.

Masks of the wall, its cavity and the right ventricle enter, the segment of each voxel
of the wall leaves.
"""

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt

from radlatent.errors import GeometryError
from radlatent.imaging import Volume

__all__ = ["ORIENTATIONS", "SEGMENTS", "aha_segments", "closed_slices"]

#: Segments that short-axis slices show. The seventeenth, the cap of the apex, has no
#: cavity and so no thickness between two borders.
SEGMENTS = range(1, 17)

#: Where the sense of rotation comes from, see `aha_segments`.
ORIENTATIONS = ("header", "displayed")

#: In the order in which they follow each other from the anterior insertion of the right
#: ventricle: over the septum, below, the free wall, in front.
_SIX = np.array([2, 3, 4, 5, 6, 1])
_FOUR = np.array([14, 15, 16, 13])

#: A slice where the right ventricle touches less of the wall than this does not tell
#: where it is inserted: half of the 120 degrees that are the septum.
_LEAST_SEPTUM = 60.0

#: An axis this close to one of the body is that of a header that nobody set: the
#: heart stands oblique in everybody. In degrees.
_LEAST_OBLIQUE = 5.0


def closed_slices(wall: np.ndarray, cavity: np.ndarray) -> np.ndarray:
    """Return which slices show the wall all around the cavity, shape (slices,).

    Parameters
    ----------
    wall, cavity
        Booleans, shape (slices, rows, columns).

    Notes
    -----
    A pixel of the cavity that touches neither wall nor cavity with one of its four
    sides opens the ring.
    """
    found = []
    for muscle, inner in zip(wall, cavity, strict=True):
        padded = np.pad(inner, 1)
        beyond = binary_dilation(padded) & ~padded & ~np.pad(muscle, 1)
        found.append(bool(inner.any() and not beyond.any()))
    return np.array(found)


def aha_segments(
    wall: Volume, cavity: Volume, right_ventricle: Volume, orientation: str = "header"
) -> np.ndarray:
    """Return the segment of each voxel of the wall of the left ventricle, 0 elsewhere.

    Parameters
    ----------
    wall, cavity, right_ventricle
        Booleans on one grid of short-axis slices: the slices are the first axis.
    orientation
        What tells anterior from inferior. "header": the world coordinates of the grid.
        "displayed": rows run down and columns to the right on a display that shows the
        heart from its apex, as scanners store slices. It serves files whose header is
        lost or mirrored.

    Returns
    -------
    numpy.ndarray
        1 to 16, shape of the grid.

    Raises
    ------
    GeometryError
        The segments cannot be told, with the reason: fewer than three slices where the
        wall is closed around the cavity; no end where the cavity narrows; the right
        ventricle missing, or nowhere along a septum; "header" of a grid that stands
        straight in the body.

    Notes
    -----
    Slices where the ring of the wall is open are left out. The way along the axis from
    the first to the last of the others is cut into thirds: basal, mid-cavity and
    apical; the apex is the end towards which the area of the cavity falls. Basal and
    mid-cavity slices have six segments of 60 degrees around the centroid of the
    cavity. The first border, between segments 1 and 2 (7 and 8), is the anterior
    insertion of the right ventricle: where its contact with the wall begins, in the
    sense anterior, septal, inferior. Apical slices have four segments of 90 degrees,
    segment 14 in the middle of the septum. A slice that does not show 60 degrees of
    contact takes the insertion of the nearest slice that does.

    The sense of rotation follows from the base, the apex and the septum: seen from the
    apex, anterior, septal, inferior and lateral follow each other counter-clockwise.
    Hearts that lie mirrored (dextrocardia) are numbered mirrored.

    References
    ----------
    Cerqueira et al. 2002, doi:10.1161/hc0402.102975
    """
    closed = np.flatnonzero(closed_slices(wall.array, cavity.array))
    level = _levels(cavity.array, closed)
    sense = _sense(wall.direction, level, orientation)
    pixel = np.asarray(wall.spacing_mm)[1:]
    angles, starts = {}, {}
    for z in closed:
        angles[z] = _angles(cavity.array[z], pixel, sense)
        start = _insertion(angles[z], wall.array[z], right_ventricle.array[z], pixel)
        if start is not None:
            starts[z] = start
    if not starts:
        there = right_ventricle.array.any()
        why = "touches no septum" if there else "is not there"
        raise GeometryError(f"the right ventricle {why}: no segments")
    found = np.zeros(wall.array.shape, dtype=np.uint8)
    for z, third in zip(closed, level, strict=True):
        nearest = min(starts, key=lambda other: (abs(other - z), other))
        turned = angles[z][wall.array[z]] - starts[nearest]
        found[z][wall.array[z]] = _numbered(turned, third)
    return found


def _levels(cavity, closed):
    """Return 0 (basal), 1 or 2 (apical) for each of the closed slices."""
    if len(closed) < 3:
        n = len(closed)
        msg = f"{n} slices show the wall closed around the cavity, not three: "
        raise GeometryError(f"{msg}no segments")
    area = cavity[closed].sum(axis=(1, 2))
    slope = np.polyfit(closed - closed[0], area, 1)[0]
    # a cylinder has no apex; rounding leaves a slope of 1e-15
    if abs(slope) < 1e-6 * area.max():
        msg = "the cavity narrows towards neither end: base and apex cannot be told"
        raise GeometryError(msg)
    along = (closed - closed[0] + 0.5) / (closed[-1] - closed[0] + 1)
    third = np.floor(3 * along).astype(int)
    return third if slope < 0 else 2 - third


def _sense(direction, level, orientation):
    """Return 1 where slices as stored are seen from the apex, -1 from the base."""
    if orientation == "displayed":
        return 1
    axis, row, column = direction.T
    if np.abs(axis).max() > np.cos(np.radians(_LEAST_OBLIQUE)):
        msg = (
            "the header puts the slices straight across the body, as no heart stands: "
            "it does not tell anterior from inferior. If slices are stored as they are "
            'displayed, say orientation="displayed"'
        )
        raise GeometryError(msg)
    to_apex = axis if level[-1] > level[0] else -axis
    return 1 if np.cross(column, row) @ to_apex < 0 else -1


def _angles(cavity, pixel_mm, sense):
    """Return the angle of each pixel around the cavity, in degrees."""
    center = np.argwhere(cavity).mean(axis=0)
    about = (center * pixel_mm)[:, None, None]
    down, right = np.indices(cavity.shape) * pixel_mm[:, None, None] - about
    return np.degrees(np.arctan2(-sense * down, right)) % 360


def _insertion(angles, wall, right_ventricle, pixel_mm):
    """Return where the contact with the right ventricle begins, None without one."""
    if not right_ventricle.any():
        return None
    # a pixel between both is still contact: readers leave one out
    near = distance_transform_edt(~wall, sampling=pixel_mm) <= 2 * max(pixel_mm)
    touching = np.sort(angles[near & right_ventricle])
    if len(touching) < 2:
        return None
    gaps = np.diff(touching, append=touching[0] + 360)
    last = gaps.argmax()
    if 360 - gaps[last] < _LEAST_SEPTUM:
        return None
    return touching[(last + 1) % len(touching)]


def _numbered(turned, third):
    """Return segments of angles from the anterior insertion on, in degrees."""
    if third == 2:
        # the middle of the septum, 60 degrees on, is the middle of segment 14
        return _FOUR[((turned - 15) % 360 // 90).astype(int)]
    return _SIX[(turned % 360 // 60).astype(int)] + 6 * third
