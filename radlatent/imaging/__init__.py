"""Volumes in and out, and on one grid: files enter, arrays with a place leave.

========================================  ==========================================
:class:`Volume`, :class:`Geometry`        voxels and their grid; the grid alone
:func:`geometry_difference`,              whether two grids are one
:func:`check_same_grid`,
:data:`TOLERANCE_MM`
:func:`read_volume`,                      NIfTI, NRRD, MetaImage
:func:`write_volume`,
:func:`read_geometry`,
:func:`header_warnings`,
:func:`collapse_warnings`
:func:`read_frames`, :class:`Frames`      pictures of a probe, which have no such grid
:func:`open_pair`, :class:`Pair`,         an image and one lesion of its mask, each on
:func:`read_pair`, :func:`forget_pair`,   its own grid; on one; what of it lies outside
:func:`resampled_note`, :func:`share_outside`,
:data:`MOST_OUTSIDE`
:func:`whole_labels`,                     labels of a mask; how many voxels each has
:func:`label_counts`
:data:`Label`, :func:`region_of`,         one label, or the labels of one region: as
:func:`label_text`, :func:`chosen`        a cell names it, as text, its voxels
:data:`DICOM_REMEDY`                      what is done about a series of DICOM
:func:`check_stored`                      what a file claims, against what it holds
:func:`hash_file`, :func:`kept_hashes`,   hashes that hold while a file is the same
:func:`keep_hashes`, :data:`Hashed`
:func:`to_sitk`, :func:`from_sitk`        SimpleITK images
:func:`single_thread`                     for workers that share the cores
:func:`resample`, :func:`resample_to`     to a spacing; onto another grid
:func:`crop`, :func:`crop_to_mask`,       boxes in voxels, margins in mm
:func:`bounding_box`, :func:`expand_box`
:func:`clip`, :func:`normalize`,          voxel values; whether they fit their unit
:func:`unit_fault`, :func:`unit_doubt`
:func:`signed_distance`                   mm to the border of a region
:func:`maximum_intensity_projection`,     upright pictures
:class:`Projection`
:func:`standardize`,                      ITK's own steps, to the last bit
:func:`gradient_magnitude`,
:func:`interpolate`
========================================  ==========================================
"""

from radlatent.imaging.claims import DICOM_REMEDY
from radlatent.imaging.distances import signed_distance
from radlatent.imaging.files import (
    Frames,
    collapse_warnings,
    header_warnings,
    read_frames,
    read_geometry,
    read_volume,
    write_volume,
)
from radlatent.imaging.grid import (
    bounding_box,
    crop,
    crop_to_mask,
    expand_box,
    resample,
    resample_to,
)
from radlatent.imaging.hashes import Hashed, hash_file, keep_hashes, kept_hashes
from radlatent.imaging.intensity import (
    Projection,
    clip,
    maximum_intensity_projection,
    normalize,
    unit_doubt,
    unit_fault,
)
from radlatent.imaging.itk import from_sitk, single_thread, to_sitk
from radlatent.imaging.itk_filters import gradient_magnitude, interpolate, standardize
from radlatent.imaging.labels import (
    Label,
    chosen,
    label_counts,
    label_text,
    region_of,
    whole_labels,
)
from radlatent.imaging.pairs import (
    MOST_OUTSIDE,
    Pair,
    forget_pair,
    open_pair,
    read_pair,
    resampled_note,
    share_outside,
)
from radlatent.imaging.stored import check_stored
from radlatent.imaging.volume import (
    TOLERANCE_MM,
    Geometry,
    Volume,
    check_same_grid,
    geometry_difference,
)

__all__ = [
    "DICOM_REMEDY",
    "MOST_OUTSIDE",
    "TOLERANCE_MM",
    "Frames",
    "Geometry",
    "Hashed",
    "Label",
    "Pair",
    "Projection",
    "Volume",
    "bounding_box",
    "check_same_grid",
    "check_stored",
    "chosen",
    "clip",
    "collapse_warnings",
    "crop",
    "crop_to_mask",
    "expand_box",
    "forget_pair",
    "from_sitk",
    "geometry_difference",
    "gradient_magnitude",
    "hash_file",
    "header_warnings",
    "interpolate",
    "keep_hashes",
    "kept_hashes",
    "label_counts",
    "label_text",
    "maximum_intensity_projection",
    "normalize",
    "open_pair",
    "read_frames",
    "read_geometry",
    "read_pair",
    "read_volume",
    "region_of",
    "resample",
    "resample_to",
    "resampled_note",
    "share_outside",
    "signed_distance",
    "single_thread",
    "standardize",
    "to_sitk",
    "unit_doubt",
    "unit_fault",
    "whole_labels",
    "write_volume",
]
