"""Images on the grid of the network, and their masks: files enter, arrays leave.

Arrays are kept small, so that a cohort stays in memory: float16 images, uint8 labels,
float16 distances. What a box cannot hold is told before a network is trained for it.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from radlatent.cohort.labels import LabelMap, MaskFile, mask_files, read_label_map
from radlatent.cohort.manifest import Cohort
from radlatent.imaging import Geometry, Volume, read_volume, resample_to
from radlatent.segmentation.losses.contours import signed_distances
from radlatent.segmentation.patch import Patch

__all__ = [
    "ImageFile",
    "PreparedImage",
    "bare_files",
    "image_files",
    "labels_on",
    "onto_image",
    "order_of",
    "prepare_file",
    "prepare_image",
]

#: A smaller probability is none.
_NOTHING = 1e-3

#: Percentiles of an image that its intensities are clipped to.
_LIMITS = (1.0, 99.0)


@dataclass(frozen=True)
class ImageFile:
    """An image, and the mask file that is drawn on it.

    Parameters
    ----------
    path, place
        The file, and as the cohort names it.
    mask
        The mask file; its structures and cases.
    """

    path: str
    place: str
    mask: MaskFile


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """An image that a network can look at, and what it has to say.

    Parameters
    ----------
    image
        float16, shape (z, y, x): clipped to percentiles and standardized.
    labels
        uint8 of the same shape: 0 and 1, 2 ... in the order of the structures.
    n_voxels, extent_mm, outside
        Of each structure on the mask's own grid: voxels, extent along (z, y, x), and
        the share of its voxels that lies outside of the field.
    distance
        float16, shape (n_structures, z, y, x): signed distances to the contours, or
        None.
    """

    image: np.ndarray
    labels: np.ndarray
    n_voxels: np.ndarray
    extent_mm: np.ndarray
    outside: np.ndarray
    distance: np.ndarray | None = None


def image_files(cohort: Cohort, modality: str) -> tuple[list[ImageFile], list[str]]:
    """Return the images of a modality with their masks, and what is wrong with them.

    Parameters
    ----------
    cohort
        The cohort.
    modality
        One of it.

    Raises
    ------
    SchemaError
        As `mask_files`.
    """
    column, files, problems = f"image_{modality}", [], []
    included = cohort.included
    bare = included.index[
        included[column].notna() & included[cohort.mask_column(modality)].isna()
    ]
    if len(bare):
        problems.append(
            f"{len(bare)} cases have an image but no mask: {bare[:5].tolist()}"
        )
    drawn = {}
    for mask in mask_files(cohort, modality=modality):
        places = included.loc[list(mask.case_ids), column].dropna().unique()
        if len(places) > 1:
            problems.append(f"{mask.place} is drawn on {len(places)} images")
        for place in places[:1]:
            drawn.setdefault(place, []).append(mask)
    for place, masks in drawn.items():
        if len(masks) > 1:
            problems.append(
                f"{place} has {len(masks)} mask files; write its structures into one, "
                "a label each"
            )
        files.append(ImageFile(str(cohort.root / place), place, masks[0]))
    return files, problems


def bare_files(cohort: Cohort, modality: str) -> list[ImageFile]:
    """Return the images of a cohort without masks, and what masks of them will hold.

    Parameters
    ----------
    cohort
        With a case a structure, as of `by_structure`.
    modality
        One of it.
    """
    files = []
    for place, part in cohort.included.groupby(f"image_{modality}", sort=False):
        labels = part["mask_label"].astype(int).tolist()
        structures = dict(zip(part["lesion_id"], labels, strict=True))
        first = part.iloc[0]
        stem = part.index[0].removesuffix(f"_{first['lesion_id']}")
        mask = MaskFile(
            "", f"{stem}.nii.gz", first["patient_id"], structures, tuple(part.index)
        )
        files.append(ImageFile(str(cohort.root / place), place, mask))
    return files


def prepare_image(image: Volume, patch: Patch) -> Volume:
    """Return an image on the grid of the network, float32, standardized.

    Parameters
    ----------
    image
        Intensities.
    patch
        What the network sees.

    Notes
    -----
    Linear interpolation; clipped to the 1st and 99th percentile of what the field
    holds of the image, then mean 0 and standard deviation 1 there. What lies outside
    of the image takes the lowest value. A constant image becomes 0.
    """
    grid = patch.grid(image)
    values = image.with_array(image.array.astype(np.float32))
    values = resample_to(values, grid, interpolation="linear", fill=np.nan)
    array, inside = values.array, np.isfinite(values.array)
    low, high = np.percentile(array[inside], _LIMITS)
    np.clip(array, low, high, out=array)
    array[~inside] = low
    mean, deviation = array[inside].mean(), array[inside].std()
    array -= mean
    array /= deviation if deviation > 0 else 1
    return values


def prepare_file(
    file: ImageFile,
    patch: Patch,
    structures: Sequence[str],
    distances: bool = False,
) -> PreparedImage:
    """Read an image and its mask onto the grid of the network.

    Parameters
    ----------
    file
        The files.
    patch
        What the network sees.
    structures
        Names, in the order of the network's labels.
    distances
        Whether signed distances to the contours are wanted too.
    """
    image = prepare_image(read_volume(file.path), patch)
    mask = read_label_map(file.mask.path, file.mask.structures)
    labels = labels_on(mask, image, structures)
    told = [_told(mask, image, name) for name in structures]
    n_voxels, extents, outside = (np.array(part) for part in zip(*told, strict=True))
    maps = _distances(labels, len(structures), image, patch) if distances else None
    array = image.array.astype(np.float16)
    return PreparedImage(array, labels, n_voxels, extents, outside, maps)


def _distances(labels, n, image, patch):
    if patch.is_volume:
        found = signed_distances(labels, n + 1, image.spacing_mm)
    else:
        spacing = image.spacing_mm[1:]
        planes = [signed_distances(plane, n + 1, spacing) for plane in labels]
        found = np.stack(planes, axis=1)
    return found.astype(np.float16)


def onto_image(share: Volume, image: Volume) -> np.ndarray:
    """Return probabilities on the grid of their image, float32.

    Parameters
    ----------
    share
        Probabilities on the grid of the network.
    image
        The grid wanted.

    Notes
    -----
    Linear interpolation about the voxels above `_NOTHING`; 0 elsewhere. Most of an
    image is background: it is not worth the time.
    """
    array = np.zeros(image.shape, np.float32)
    places = np.argwhere(share.array > _NOTHING)
    if not len(places):
        return array
    ends = [places.min(axis=0) - 1, places.max(axis=0) + 1]
    corners = np.array(list(itertools.product(*zip(*ends, strict=True))))
    index = image.to_index(share.to_world(corners))
    start = np.floor(index.min(axis=0)).astype(int).clip(min=0)
    stop = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, image.shape)
    if (start >= stop).any():
        return array
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    origin = image.to_world([start])[0]
    grid = Geometry(stop - start, image.spacing_mm, origin, image.direction)
    array[box] = resample_to(share, grid, interpolation="linear", fill=0.0).array
    return array


def labels_on(mask: LabelMap, grid: Volume, structures: Sequence[str]) -> np.ndarray:
    """Return the labels of a mask on another grid, as uint8 in an order of structures.

    Every structure is interpolated linearly by itself; a voxel is what it is most.
    """
    shares = np.zeros((1 + len(structures), *grid.shape), np.float32)
    for number, name in enumerate(structures, start=1):
        inside = mask.array == mask.structures.get(name, -1)
        if inside.any():
            volume = mask.volume.with_array(inside.astype(np.float32))
            at = resample_to(volume, grid, interpolation="linear", fill=0.0)
            shares[number] = at.array
    shares[0] = 1 - shares[1:].sum(axis=0)
    return shares.argmax(axis=0).astype(np.uint8)


def _told(mask, grid, name):
    """Return voxels, extent in mm and share outside of a grid of one structure."""
    places = np.argwhere(mask.array == mask.structures.get(name, -1))
    if not len(places):
        return 0, np.zeros(3), 0.0
    extent = (np.ptp(places, axis=0) + 1) * mask.spacing_mm
    index = grid.to_index(mask.volume.to_world(places))
    within = (index >= -0.5) & (index <= np.array(grid.shape) - 0.5)
    return len(places), extent, 1 - float(within.all(axis=1).mean())


def order_of(structures: Mapping[str, int | None]) -> list[str]:
    """Return the names of structures in the order of their labels."""
    return sorted(structures, key=lambda name: (structures[name] or 0, name))
