"""What files of contours and files of masks have in common: regions with names.

A region draws itself on the grid of a series; a set of them knows what it was drawn on.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from radlatent.imaging.volume import Geometry

__all__ = ["Drawn", "Region", "RegionSet"]


@dataclass(frozen=True, eq=False)
class Drawn:
    """The voxels of a region.

    Parameters
    ----------
    array
        Boolean, of the shape of the grid.
    notes
        What was left out or put up with, in sentences.
    """

    array: np.ndarray
    notes: tuple[str, ...] = ()


class Region(Protocol):
    """A region of interest with the name that it has in its file."""

    name: str

    def draw(self, grid: Geometry) -> Drawn:
        """Return its voxels on a grid, or raise a ``GeometryError``."""


@dataclass(frozen=True, eq=False)
class RegionSet:
    """The regions of a file, and what its UIDs say they were drawn on.

    Parameters
    ----------
    regions
        In the order of the file.
    series
        SeriesInstanceUID of images that it names.
    frames
        FrameOfReferenceUID that it names.
    instances
        SOPInstanceUID of slices that it names.
    """

    regions: tuple[Region, ...] = field(repr=False)
    series: frozenset[str]
    frames: frozenset[str]
    instances: frozenset[str]
