"""NIfTI, NRRD and MetaImage files to volumes and back.

A path enters, a :class:`Volume` or its :class:`Geometry` leaves. What is not one 3D
volume on an orthogonal grid is refused with the name of the file. Pictures of a probe
that moves have no grid in the world: they leave as :class:`Frames`.
"""

import gzip
import os
import re
import tempfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from radlatent.errors import GeometryError
from radlatent.imaging.claims import (
    FORMATS,
    check_format,
    is_nifti,
    is_nifti2,
    kind_of,
)
from radlatent.imaging.itk import grid_of, silence, to_sitk
from radlatent.imaging.stored import check_stored, check_unpacked
from radlatent.imaging.volume import Geometry, Volume
from radlatent.outputs import drafting_folder

__all__ = [
    "Frames",
    "collapse_warnings",
    "header_warnings",
    "read_frames",
    "read_geometry",
    "read_volume",
    "write_volume",
]

_HEADER_BYTES = 1 << 16

# pixdim and srow are float32, accurate to 1e-7 of their value; 1e-4 of a spacing is
# 0.03 voxels over 300
_SCALE_TOLERANCE = 1e-4

#: How ITK names the object that failed; another number in every process.
_ADDRESS = re.compile(r"\b\w+\(0x[0-9a-f]+\): ")

#: From a nanometer to a meter a voxel, and a kilometer from the origin.
_SPACINGS_MM, _FARTHEST_MM = (1e-6, 1e3), 1e6


def read_volume(path: str | os.PathLike, *, dtype: np.dtype | None = None) -> Volume:
    """Read one 3D volume.

    Parameters
    ----------
    path
        A NIfTI, NRRD or MetaImage file. NaN voxels are kept.
    dtype
        The voxel type wanted; by default that of the file, or float64 where a NIfTI
        header holds a slope and intercept to apply.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If the file is no image, or is damaged.
    GeometryError
        If it is not one 3D volume of single values on an orthogonal grid.
    ValueError
        If a voxel does not fit an integer or bool ``dtype``.
    """
    reader, grid = _open(path)
    check_stored(path)
    array = _nifti_voxels(path) if is_nifti(path) else _itk_voxels(reader, path)
    if dtype is not None:
        array = _cast(array, np.dtype(dtype), path)
    return Volume(array, grid.spacing_mm, grid.origin, grid.direction)


def read_geometry(path: str | os.PathLike) -> Geometry:
    """Read the grid of a volume from the header alone.

    Parameters
    ----------
    path
        As in :func:`read_volume`, and refused for the same reasons.
    """
    return _open(path)[1]


@dataclass(frozen=True, eq=False)
class Frames:
    """Pictures of one size, one after the other.

    Parameters
    ----------
    array
        Shape (frames, rows, columns).
    spacing_mm
        Of rows and columns; None where the file does not know.
    """

    array: np.ndarray
    spacing_mm: tuple[float, float] | None


def read_frames(path: str | os.PathLike) -> Frames:
    """Read a picture, or a sequence of pictures, such as echocardiography is kept in.

    Parameters
    ----------
    path
        A PNG, NIfTI or MetaImage file (``.mhd`` with its ``.raw``) of two axes, or of
        three of which the last is time.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If the file is no image, or is damaged.
    GeometryError
        If it has more axes, or several values a pixel.
    """
    if not Path(path).exists():
        msg = f"{path}: there is no such file. Check the folder of the images."
        raise FileNotFoundError(msg)
    reader = sitk.ImageFileReader()
    try:
        _read_header(reader, path)
    except RuntimeError as error:
        raise OSError(_unreadable(path, error)) from error
    size, components = reader.GetSize(), reader.GetNumberOfComponents()
    if components != 1 or np.prod(size[3:]) > 1:
        msg = (
            f"{path}: no pictures of single values, found {components} values per "
            f"pixel and {len(size)} axes. Give gray values, and time as the third axis."
        )
        raise GeometryError(msg)
    check_stored(path)
    array = _nifti_voxels(path) if is_nifti(path) else _picture(reader, path)
    known = not Path(path).name.lower().endswith(".png")
    spacing_mm = reader.GetSpacing()[1::-1] if known else None
    return Frames(array.reshape(-1, *array.shape[-2:]), spacing_mm)


def _picture(reader, path):
    with silence:
        try:
            return sitk.GetArrayFromImage(reader.Execute())
        except RuntimeError as error:
            raise OSError(_unreadable(path, error)) from error


def write_volume(volume: Volume, path: str | os.PathLike) -> Path:
    """Write a volume, compressed; bool voxels are stored as uint8.

    The file appears under its name only when it is complete. NIfTI keeps the grid in
    float32, the other formats in float64.

    Parameters
    ----------
    volume
        The volume.
    path
        Ends in .nii, .nii.gz, .nrrd or .mha; missing folders are made.

    Returns
    -------
    pathlib.Path
        The path written.

    Raises
    ------
    ValueError
        If the path ends otherwise.
    """
    path = Path(path)
    if not path.name.endswith(FORMATS):
        msg = (
            f"path {str(path)!r} ends in {path.suffix!r}, which is no volume format "
            f"written here. Use one of {', '.join(FORMATS)}."
        )
        raise ValueError(msg)
    path.parent.mkdir(parents=True, exist_ok=True)
    with drafting_folder(path) as draft, silence:
        sitk.WriteImage(to_sitk(volume), str(draft), useCompression=True)
    return path


def header_warnings(path: str | os.PathLike) -> tuple[str, ...]:
    """Report what a NIfTI header leaves open or says twice, differently.

    Parameters
    ----------
    path
        As in :func:`read_volume`; other formats than NIfTI have no such header.

    Returns
    -------
    tuple of str
        One sentence a finding: the sform and pixdim disagree on the spacing, the
        sform and the qform on the grid, or neither form is set. Each says what
        :func:`read_volume` does.
    """
    grid = read_geometry(path)
    if not is_nifti(path):
        return ()
    header = nib.load(path).header
    has_sform, has_qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    if not has_sform and not has_qform:
        ras = np.diag([-1, -1, 1, 1]) @ grid.affine
        codes = ", ".join(nib.aff2axcodes(ras)[::-1])
        return (f"neither sform nor qform is set; axes taken to run to {codes}",)
    if not has_sform:
        return ()
    scales = np.linalg.norm(header.get_sform()[:3, :3], axis=0)
    pixdim = header["pixdim"][1:4].astype(np.float64)
    if not np.allclose(scales, pixdim, rtol=_SCALE_TOLERANCE, atol=0):
        return (
            f"sform scales {_numbers(scales)} mm disagree with pixdim "
            f"{_numbers(pixdim)} mm (x, y, z); pixdim is used",
        )
    if has_qform:
        return _forms_disagree(grid, header)
    return ()


def collapse_warnings(warnings: Iterable[str]) -> tuple[str, ...]:
    """Say once what many files have in common, and how often it was found.

    Parameters
    ----------
    warnings
        Texts of :func:`header_warnings`, of any number of files.

    Returns
    -------
    tuple of str
        Of the texts that differ only in their numbers the first, with their count;
        in the order of their first appearance.

    Examples
    --------
    >>> collapse_warnings(["pixdim 1.5 is used", "pixdim 2 is used", "no sform"])
    ('pixdim 1.5 is used (2 times, the numbers vary)', 'no sform')
    """
    alike: dict[str, list[str]] = {}
    for text in warnings:
        key = re.sub(r"-?\d+(\.\d+)?(e[-+]\d+)?", "#", text)
        alike.setdefault(key, []).append(text)
    lines = []
    for texts in alike.values():
        times = f" ({len(texts)} times" if len(texts) > 1 else ""
        vary = ", the numbers vary" if len(set(texts)) > 1 else ""
        lines.append(f"{texts[0]}{times}{vary}" + (")" if times else ""))
    return tuple(lines)


def _forms_disagree(grid: Geometry, header: nib.Nifti1Header) -> tuple[str, ...]:
    corners = np.array([[0, 0, 0], *np.diag(grid.shape)])
    placed = {}
    for name, ras in [("sform", header.get_sform()), ("qform", header.get_qform())]:
        world = nib.affines.apply_affine(ras, corners[:, ::-1]) * (-1, -1, 1)
        placed[name] = np.linalg.norm(world - grid.to_world(corners), axis=1).max()
    # the one that was read lies where the grid lies
    used, other = sorted(placed, key=placed.get)
    # a float32 quaternion holds a position over 500 mm to about 1e-3 mm
    if placed[other] <= 1e-2:
        return ()
    return (
        f"sform and qform place the grid up to {placed[other]:.3g} mm apart; "
        f"{used} is used",
    )


def _numbers(values: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def _unreadable(path: str | os.PathLike, error: Exception) -> str:
    kind = kind_of(path)
    if kind:
        return f"{path}: no image, found: {kind}"
    found = _ADDRESS.sub("", " ".join(str(error).rpartition("ERROR: ")[2].split()))
    return (
        f"{path}: no image, or a damaged one, found: {found}. Give an intact NIfTI, "
        "NRRD or MetaImage file."
    )


def _nifti_voxels(path: str | os.PathLike) -> np.ndarray:
    # not by ITK, which without a word turns NaN into 0, fills what a truncated file
    # lacks, and skips the checksum of a compressed one
    opened = gzip.open if Path(path).name.lower().endswith(".gz") else open
    try:
        there = nib.load(path).dataobj
        about = there.shape, there.dtype, there.offset, there.slope, there.inter
        with opened(path, "rb") as stream:
            voxels = np.asarray(nib.arrayproxy.ArrayProxy(stream, about, mmap=False))
            while stream.read(_HEADER_BYTES):
                pass  # to the end, where the checksum is
    except (
        nib.filebasedimages.ImageFileError,
        nib.spatialimages.HeaderDataError,
        EOFError,
        OSError,
        OverflowError,
        zlib.error,
    ) as error:
        raise OSError(_unreadable(path, error)) from error
    except MemoryError as error:
        msg = f"{path}: there is not enough memory for its voxels. Crop the volume."
        raise OSError(msg) from error
    voxels = voxels.reshape(voxels.shape[:3])  # trailing axes have length one
    return np.ascontiguousarray(voxels.T, dtype=voxels.dtype.newbyteorder("="))


def _itk_voxels(reader: sitk.ImageFileReader, path: str | os.PathLike) -> np.ndarray:
    further = reader.GetDimension() - 3  # trailing axes have length one
    reader.SetExtractSize([*reader.GetSize()[:3], *[0] * further])
    with silence:
        try:
            voxels = sitk.GetArrayFromImage(reader.Execute())
        except RuntimeError as error:
            check_unpacked(path, None)  # which knows the reason better
            raise OSError(_unreadable(path, error)) from error
    check_unpacked(path, voxels)
    return voxels


def _open(path: str | os.PathLike) -> tuple[sitk.ImageFileReader, Geometry]:
    if not Path(path).exists():
        msg = f"{path}: there is no such file. Check the path in cases.csv."
        raise FileNotFoundError(msg)
    check_format(path)
    reader = sitk.ImageFileReader()
    try:
        _read_header(reader, path)
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise GeometryError(_sheared(path)) from error
        raise OSError(_unreadable(path, error)) from error
    _check_single_volume(reader, path)
    try:
        grid = grid_of(reader)
    except GeometryError as error:
        msg = f"{path}: {error}"
        raise GeometryError(msg) from error
    _check_place(path, grid)
    return reader, grid


def _check_place(path: str | os.PathLike, grid: Geometry) -> None:
    """Refuse coordinates that no scanner gives, as headers with wrong bytes do."""
    spacing, origin = np.array(grid.spacing_mm), np.array(grid.origin)
    low, high = _SPACINGS_MM
    if ((spacing >= low) & (spacing <= high)).all() and (
        np.abs(origin) <= _FARTHEST_MM
    ).all():
        return
    msg = (
        f"{path}: the header says spacings of {_numbers(spacing)} mm (z, y, x) and an "
        f"origin of {_numbers(origin)} mm (x, y, z); spacings from {low:g} to {high:g} "
        f"mm and origins up to {_FARTHEST_MM:g} mm are taken. It is damaged, or its "
        "unit is not the mm: correct the header."
    )
    raise GeometryError(msg)


def _read_header(reader: sitk.ImageFileReader, path: str | os.PathLike) -> None:
    reader.SetFileName(str(path))
    if not (is_nifti(path) and is_nifti2(path)):
        with silence:
            reader.ReadImageInformation()
        return
    # ITK reads NIfTI-1 alone, and places both kinds by one set of rules
    with tempfile.TemporaryDirectory() as folder:
        alike = Path(folder) / "header.nii"
        try:
            header = nib.Nifti1Header.from_header(nib.load(path).header, check=False)
        except (
            nib.filebasedimages.ImageFileError,
            nib.spatialimages.HeaderDataError,
            OSError,
            ValueError,
        ) as error:
            raise RuntimeError(str(error)) from error
        header["sizeof_hdr"], header["vox_offset"] = 348, 352
        header["magic"] = b"n+1"
        alike.write_bytes(header.binaryblock + bytes(4))
        reader.SetFileName(str(alike))
        with silence:
            reader.ReadImageInformation()


def _sheared(path: str | os.PathLike) -> str:
    axes = nib.load(path).affine[:3, :3]
    axes = axes / np.linalg.norm(axes, axis=0)
    deviation = np.abs(axes.T @ axes - np.eye(3)).max()
    return (
        f"{path}: the axes of the grid are not orthogonal, found a cosine of "
        f"{deviation:.2g} between two of them, and ITK reads only orthogonal ones. "
        "Resample the image onto an orthogonal grid; or, if the shear is an error of "
        "rounding, keep the nearest orthogonal axes with nibabel: "
        "image.set_qform(image.affine, 1), image.set_sform(None), and save."
    )


def _check_single_volume(reader: sitk.ImageFileReader, path: str | os.PathLike) -> None:
    size, components = reader.GetSize(), reader.GetNumberOfComponents()
    found = ""
    if components != 1:
        found = f"{components} values per voxel (vector, color or complex)"
        remedy = "Give one value per voxel and one file per component."
    elif len(size) < 3:
        found = f"a 2D image of {size[0]} x {size[1]} pixels (x, y)"
        remedy = "Give a 3D volume; stack the slices into one file."
    elif np.prod(size[3:]) > 1:
        found = f"{len(size)}D with {np.prod(size[3:]):.0f} frames"
        remedy = "Give one frame per file."
    if found:
        msg = f"{path}: not one 3D volume, found {found}. {remedy}"
        raise GeometryError(msg)


def _cast(array: np.ndarray, dtype: np.dtype, path: str | os.PathLike) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # NaN to an integer is found just below
        cast = array.astype(dtype, copy=False)
    # a silent cast wraps label 300 to 44 in uint8
    if dtype.kind in "iub" and not np.array_equal(cast, array):
        msg = (
            f"{path}: voxels from {array.min()} to {array.max()} ({array.dtype}) do "
            f"not all fit dtype {dtype}. Read without dtype, or with a wider one."
        )
        raise ValueError(msg)
    return cast
