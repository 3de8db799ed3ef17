"""What an encoder looks at: a case in, an array of a stated physical box out.

`Box` is a box around the lesion, `Projections` are upright pictures of a whole body.
Both are plain descriptions, kept with the encoder; `prepare` reads the files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter1d

from radlatent.errors import EmptyMaskError, SchemaError
from radlatent.imaging import (
    Geometry,
    Pair,
    Volume,
    bounding_box,
    crop,
    expand_box,
    maximum_intensity_projection,
    open_pair,
    read_volume,
    region_of,
    resample,
    resample_to,
)

__all__ = ["Box", "Prepared", "Projections"]

#: Full width at half maximum of a Gaussian over its standard deviation.
_FWHM = 2 * np.sqrt(2 * np.log(2))

#: Voxels kept around a box when an image is cut: more than interpolation looks at.
_MARGIN_VOXELS = 4

#: Share of a lesion that may lie outside of the box without being reported.
INSIDE_TOLERANCE = 1e-3

#: What training changes, by how much at most, to what it has to stay below.
_LIMITS = {
    "rotation_degrees": np.inf,
    "shift_mm": np.inf,
    "zoom": 1,
    "contrast": 1,
    "jitter": 0.5,
}


#: What training changes by default, where nothing must not be repeated.
_USUAL = {
    "rotation_degrees": 20.0,
    "shift_mm": 2.0,
    "flips": True,
    "zoom": 0.05,
    "contrast": 0.1,
    "jitter": 0.2,
}


@dataclass(frozen=True)
class Prepared:
    """One case, as an encoder will see it, before intensities are standardized.

    Parameters
    ----------
    image
        Shape (channels, *size), float32.
    mask
        The voxels that count, the shape of ``image``.
    inside
        Share of the lesion's voxels that lie in the box, the least of all channels.
    extent_mm
        What a box must measure along z, y, x to hold the lesion in all channels.
    scale
        How many times larger than the box's own its voxels are, 1 where the lesion
        fits.
    """

    image: np.ndarray
    mask: np.ndarray
    inside: float = 1.0
    extent_mm: tuple[float, ...] = ()
    scale: float = 1.0


@dataclass(frozen=True)
class Box:
    """A box around each lesion, on a grid along the axes of the body.

    Parameters
    ----------
    modalities
        The channels, in order. The box is placed by the mask of the first.
    size_mm, spacing_mm
        Extent and voxel size of the box in mm, along z, y, x.
    masked
        Whether everything outside of the mask is set to 0 and left out of the loss.
    percentiles
        Of the intensities of the training cases, that all are clipped to; None clips
        nothing.
    larger
        What becomes of a lesion larger than the box: "scaled" shows all of it with
        larger voxels, so that it fits; "cut" shows what lies in the box.
    rotation_degrees, shift_mm
        Largest rotation about a random axis and largest shift along each axis that
        training applies to a case; 0 applies none.
    flips
        Whether training mirrors half of the cases along each axis.
    zoom, contrast
        Largest share by which training enlarges or shrinks a case, and by which it
        stretches the intensities of each channel and shifts them, the latter in
        standard deviations; 0 changes none.
    jitter
        Share of a voxel, below 0.5, by which training moves the edge of a mask at most.

    Notes
    -----
    What training changes is drawn anew for each case and epoch. None, the default of
    each, is 20 degrees, 2 mm, True, 0.05, 0.1 and 0.2 for an encoder that is fitted
    without hand-crafted features, and no change for one that must not repeat them: on
    180 drawn lesions, kappa 10 and 60 epochs, three seeds, rotations, shifts and flips
    brought such an encoder nothing. It explained 0.55, 0.56 and 0.58 of patients kept
    out (0.56, 0.58 and 0.60 without them), and trees found at most 0.80, 0.66 and 0.28
    of a latent's variance in the features (0.23, 0.54 and 0.47 without them).

    The center of the box is the center of the lesion's bounding box in the world. An
    image finer than the box is smoothed first, so that resampling does not alias.

    References
    ----------
    Cardoso et al. 2015, doi:10.1007/978-3-319-24571-3_81 (the smoothing)
    Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (the percentiles)
    """

    modalities: tuple[str, ...]
    size_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    masked: bool = True
    percentiles: tuple[float, float] | None = (0.5, 99.5)
    larger: Literal["scaled", "cut"] = "scaled"
    rotation_degrees: float | None = None
    shift_mm: float | None = None
    flips: bool | None = None
    zoom: float | None = None
    contrast: float | None = None
    jitter: float | None = None

    def varied(self, *, alone: bool) -> "Box":
        """Return the box with every way to vary cases told as a number.

        Parameters
        ----------
        alone
            Whether an encoder is fitted without hand-crafted features.
        """
        told = {name: getattr(self, name) for name in _USUAL}
        known = {k: v for k, v in _USUAL.items() if told[k] is None}
        usual = {k: v if alone else type(v)() for k, v in known.items()}
        return replace(self, **usual)

    @property
    def channels(self) -> tuple[str, ...]:
        """What the channels show."""
        return tuple(self.modalities)

    @property
    def voxel_mm(self) -> tuple[float, ...]:
        """Distance of voxels along z, y, x."""
        return tuple(self.spacing_mm)

    @property
    def size(self) -> tuple[int, ...]:
        """Voxels along z, y, x."""
        pairs = zip(self.size_mm, self.spacing_mm, strict=True)
        return tuple(max(1, round(mm / spacing)) for mm, spacing in pairs)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a **cases** table that are needed."""
        return tuple(f"{r}_{m}" for m in self.modalities for r in ("image", "mask"))

    def check(self) -> list[str]:
        """Return what is wrong with the description."""
        return _problems(self, 3)

    def prepare(self, case: Mapping, case_id: str) -> Prepared:
        """Read the files of a case and bring them into the box.

        Parameters
        ----------
        case
            A row of a **cases** table with paths that can be opened.
        case_id
            The case that messages name.

        Raises
        ------
        FileNotFoundError, CohortError, EmptyMaskError, GeometryError, SchemaError
            A file, the mask, the grids or the voxels are faulty.
        """
        pairs = self.pairs(case, case_id)
        # the mask goes from its own grid to the box in one step
        places = [p.lesion.to_world(np.argwhere(p.lesion.array)) for p in pairs]
        center = (places[0].min(axis=0) + places[0].max(axis=0)) / 2  # LPS x, y, z
        reach = np.max([np.abs(p - center).max(axis=0) for p in places], axis=0)
        scale = self._scale(places, center, reach)
        grid = self._grid(center, scale)
        pictures = np.stack([_onto(pair.image, grid) for pair in pairs])
        masks = [_mask_onto(pair.lesion, grid) for pair in pairs]
        if scale > 1:  # thin lesions may pass between the centers of larger voxels
            both = zip(masks, places, strict=True)
            masks = [m if m.any() else _painted(p, grid) for m, p in both]
        stacked = np.stack(masks)
        self._check(pictures, stacked, case_id)
        if not self.masked:
            stacked = np.ones_like(stacked)
        inside = min(self._share_inside(p, center, scale) for p in places)
        extent = tuple((2 * reach)[::-1].tolist())
        return Prepared(pictures, stacked, inside, extent, scale)

    def pairs(self, case: Mapping, case_id: str) -> list[Pair]:
        """Return image and lesion of every modality; arguments as of `prepare`."""
        return [
            open_pair(
                case[f"image_{modality}"],
                case[f"mask_{modality}"],
                mask_label=region_of(case.get("mask_label")),
                # missing where cohorts were joined
                resample_mask=case.get(f"resample_mask_{modality}") in (True, 1),
                case_id=case_id,
            )
            for modality in self.modalities
        ]

    @classmethod
    def of(cls, **told) -> "Box":
        """Return the box that `dataclasses.asdict` told of.

        One that was written before there were more ways to vary cases had none of them.
        """
        before = {"larger": "cut", "flips": False}
        return cls(
            **(before | dict.fromkeys(("zoom", "contrast", "jitter"), 0.0) | told)
        )

    def _check(self, images, masks, case_id):
        for modality, image, mask in zip(self.modalities, images, masks, strict=True):
            if not mask.any():
                msg = (
                    f"case {case_id!r}: the lesion in {modality!r} has no voxel on a "
                    f"grid of {self.spacing_mm} mm, or lies outside of the box. Give a "
                    "finer spacing_mm, or exclude the case in cases.csv."
                )
                raise EmptyMaskError(msg)
            n = int((~np.isfinite(image)).sum())
            if n:
                msg = (
                    f"case {case_id!r}: {n} voxels of {modality!r} in the box are NaN "
                    "or infinite. Mend the image, or exclude the case in cases.csv."
                )
                raise SchemaError(msg)

    def _scale(self, places, center, reach):
        """Return how much larger voxels have to be, for the lesion to fit."""
        share = min(self._share_inside(p, center, 1.0) for p in places)
        if self.larger == "cut" or share >= 1 - INSIDE_TOLERANCE:
            return 1.0
        half = np.multiply(self.size, self.spacing_mm)[::-1] / 2
        return float((reach / half).max())

    def _grid(self, center, scale):
        spacing = scale * np.array(self.spacing_mm)
        half = (np.array(self.size) - 1) / 2 * spacing
        # ITK's identity: array axes z, y, x along world z, y, x
        return Geometry(self.size, tuple(spacing.tolist()), center - half[::-1])

    def _share_inside(self, places, center, scale):
        half = scale * np.multiply(self.size, self.spacing_mm)[::-1] / 2
        return float((np.abs(places - center) <= half + 1e-6).all(axis=1).mean())


@dataclass(frozen=True)
class Projections:
    """Maximum-intensity projections of a whole body: coronal and sagittal.

    Parameters
    ----------
    modality
        The one that is projected, PET in SUV.
    size_mm
        Rows (head to feet) and columns of a picture in mm; what is larger is cropped
        around its center, what is smaller is padded with 0. Nothing is stretched.
    spacing_mm
        Distance of pixels; the volume is resampled to it before it is projected.
    log
        Whether log(1 + SUV) is taken.
    percentiles
        As of `Box`; by default nothing is clipped.

    Notes
    -----
    The projections follow the founding report (Ourahou 2023): resample, project,
    standardize; with the aspect kept, and the logarithm before the standardization.
    """

    modality: str
    size_mm: tuple[float, float]
    spacing_mm: float = 4.0
    log: bool = True
    percentiles: tuple[float, float] | None = None

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modality as the only one."""
        return (self.modality,)

    @property
    def channels(self) -> tuple[str, ...]:
        """What the channels show."""
        return ("coronal", "sagittal")

    @property
    def voxel_mm(self) -> tuple[float, ...]:
        """Distance of pixels along rows and columns."""
        return (self.spacing_mm, self.spacing_mm)

    @property
    def size(self) -> tuple[int, ...]:
        """Rows and columns in pixels."""
        return tuple(max(1, round(mm / self.spacing_mm)) for mm in self.size_mm)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a **cases** table that are needed."""
        return (f"image_{self.modality}",)

    def check(self) -> list[str]:
        """Return what is wrong with the description."""
        return _problems(self, 2)

    def prepare(self, case: Mapping, case_id: str) -> Prepared:
        """Read the volume of a case and project it; arguments as of `Box.prepare`."""
        volume = read_volume(case[f"image_{self.modality}"])
        values = volume.array.astype(np.float32)
        if not np.isfinite(values).all():
            n = int((~np.isfinite(values)).sum())
            msg = (
                f"case {case_id!r}: {n} voxels of {case[self.columns[0]]} are NaN or "
                "infinite. Mend the image, or exclude the case in cases.csv."
            )
            raise SchemaError(msg)
        volume = resample(volume.with_array(values), (self.spacing_mm,) * 3)
        pictures, masks = [], []
        for view in self.channels:
            picture = maximum_intensity_projection(volume, view).array
            if self.log:
                # an SUV below 0 is an artifact of the reconstruction
                picture = np.log1p(np.maximum(picture, 0))
            pictures.append(_framed(picture, self.size))
            masks.append(_framed(np.ones(picture.shape, bool), self.size))
        return Prepared(np.stack(pictures), np.stack(masks))


def _problems(inputs, n_axes):
    found = []
    if isinstance(inputs.modalities, str):
        found.append(f"modalities is {inputs.modalities!r}; give a tuple of names")
    elif not inputs.modalities or not all(inputs.modalities):
        found.append("modalities is empty; name one or more")
    for name in ("size_mm", "spacing_mm"):
        value = np.atleast_1d(np.asarray(getattr(inputs, name), dtype=float))
        n = 1 if name == "spacing_mm" and n_axes == 2 else n_axes
        if value.shape != (n,) or not (np.isfinite(value) & (value > 0)).all():
            found.append(f"{name} is {value.tolist()}; give {n} positive numbers in mm")
    if getattr(inputs, "larger", "cut") not in ("scaled", "cut"):
        found.append(f"larger is {inputs.larger!r}; give 'scaled' or 'cut'")
    for name, limit in _LIMITS.items():
        value = getattr(inputs, name, None)
        if value is not None and not 0 <= value < limit:
            below = "" if limit == np.inf else f", less than {limit}"
            found.append(f"{name} is {value!r}; give 0 or more{below}")
    limits = inputs.percentiles
    if limits is not None and not (
        len(limits) == 2 and 0 <= limits[0] < limits[1] <= 100
    ):
        msg = "give two ascending numbers from 0 to 100, or None"
        found.append(f"percentiles is {limits!r}; {msg}")
    return found


def _onto(image, grid):
    """Return an image on a grid, smoothed before where the grid is coarser."""
    nearby = _near(image, grid)
    array = nearby.array.astype(np.float32)
    for axis, sigma in enumerate(np.divide(*_smoothing(nearby, grid))):
        if sigma > 0:
            array = gaussian_filter1d(array, sigma, axis, mode="nearest")
    moved = resample_to(
        nearby.with_array(array), grid, interpolation="linear", fill=None
    )
    return moved.array


def _near(image, grid):
    """Return the part of an image that a grid needs, or all of it where they part."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1).T
    index = image.to_index(grid.to_world(corners))
    low = np.floor(index.min(axis=0)).astype(int)
    high = np.ceil(index.max(axis=0)).astype(int) + 1
    low, high = np.clip(low, 0, None), np.minimum(high, image.shape)
    if (low >= high).any():
        return image
    reach = np.ceil(4 * np.divide(*_smoothing(image, grid))).astype(int)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return crop(image, expand_box(box, reach + _MARGIN_VOXELS, image.shape))


def _smoothing(image, grid):
    """Return sigma and spacing in mm along the array axes of the image."""
    # the spacing of the grid along the image's axes; the grid lies along the body's
    turn = grid.direction.T @ image.direction
    along = (turn**2).T @ np.square(grid.spacing_mm)
    spacing = np.array(image.spacing_mm)
    # rounding in the header of an image of the same spacing is no reason to smooth it
    rest = along - spacing**2
    return np.sqrt(np.where(rest > 1e-6 * along, rest, 0)) / _FWHM, spacing


def _mask_onto(mask, grid):
    low, high = bounding_box(mask), mask.shape
    near = crop(mask, expand_box(low, (1, 1, 1), high))
    small = Volume(
        near.array.astype(np.uint8), near.spacing_mm, near.origin, near.direction
    )
    return resample_to(small, grid, interpolation="nearest", fill=0).array > 0


def _painted(places, grid):
    """Return the voxels of a grid that hold the center of a voxel of a lesion."""
    index = np.round(grid.to_index(places)).astype(int)
    index = index[((index >= 0) & (index < grid.shape)).all(axis=1)]
    mask = np.zeros(grid.shape, bool)
    mask[tuple(index.T)] = True
    return mask


def _framed(picture, size):
    """Return a picture cropped or padded with zeros around its center."""
    framed = np.zeros(size, picture.dtype)
    source, target = [], []
    for n, wanted in zip(picture.shape, size, strict=True):
        kept = min(n, wanted)
        source.append(slice((n - kept) // 2, (n - kept) // 2 + kept))
        target.append(slice((wanted - kept) // 2, (wanted - kept) // 2 + kept))
    framed[tuple(target)] = picture[tuple(source)]
    return framed
