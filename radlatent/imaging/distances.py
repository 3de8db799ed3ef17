"""How far voxels lie from the border of a region: booleans enter, mm leave."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import distance_transform_edt

from radlatent.imaging.grid import bounding_box, expand_box

__all__ = ["signed_distance"]


def signed_distance(inside: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Return how far each voxel is from the border of a region, negative inside.

    Parameters
    ----------
    inside
        Booleans, two or three axes.
    spacing_mm
        In the order of the axes.

    Returns
    -------
    numpy.ndarray
        Float64, mm, of the same shape: from the center of each voxel to that of the
        nearest one on the other side; infinite where there is no other side. Beyond
        the edge of the array lies nothing.

    Notes
    -----
    Exact: the Euclidean distance transform of the outside, and that of the inside in a
    box of its own. No voxel has the distance 0; the border runs between voxels.

    Examples
    --------
    >>> signed_distance(np.array([[False, False, True, True, False]]), (1.0, 2.0))
    array([[ 4.,  2., -2., -2.,  2.]])
    """
    if not inside.any():
        return np.full(inside.shape, np.inf)
    if inside.all():
        return np.full(inside.shape, -np.inf)
    distance = distance_transform_edt(~inside, sampling=spacing_mm)
    # the nearest voxel outside touches the region
    box = expand_box(bounding_box(inside), (1,) * inside.ndim, inside.shape)
    distance[box] -= distance_transform_edt(inside[box], sampling=spacing_mm)
    return distance
