"""Settings of an extraction: pyradiomics' own parameter file, checked key by key.

A YAML file, the name of a preset, or a dict enters; a frozen `Settings` leaves. There
is no dialect of our own, but for the section ``ibsi``: what runs in pyradiomics runs
here, what does not is refused by name.
"""

import importlib.resources
from collections.abc import Sequence
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Annotated, Literal

import pywt
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from radlatent.errors import SchemaError
from radlatent.handcrafted.names import FEATURES, IMAGE_TYPES, feature_names
from radlatent.imaging import expand_box
from radlatent.provenance import content_key
from radlatent.schema import nearest, parse, read_yaml

__all__ = ["PRESETS", "Settings", "read_settings"]

Box = tuple[slice, slice, slice]

#: Presets by unit of intensity: METHODS.md section 1, PEERS.md section 1.4.
PRESETS = ("hu", "suv", "mr")

_STRICT = ConfigDict(extra="forbid", frozen=True)
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Whole = Annotated[int, Field(ge=1)]
_Norm = Literal["manhattan", "euclidean", "infinity", "no_weighting"]
# an int stays an int: pyradiomics writes sigma 3 and 3.0 into different names
_Sigma = Annotated[list[int | float], Field(min_length=1)]

_INTERPOLATORS = (
    "sitkNearestNeighbor",
    "sitkLinear",
    "sitkBSpline",
    "sitkGaussian",
    "sitkLabelGaussian",
    "sitkHammingWindowedSinc",
    "sitkCosineWindowedSinc",
    "sitkWelchWindowedSinc",
    "sitkLanczosWindowedSinc",
    "sitkBlackmanWindowedSinc",
)

#: Members that pyradiomics keeps for old settings files, and computes with a warning.
_OLD = {
    *("Compactness1", "Compactness2", "SphericalDisproportion", "StandardDeviation"),
    *("Dissimilarity", "Homogeneity1", "Homogeneity2", "SumVariance"),
    *("DependencePercentage",),
}

#: Image types whose values depend on voxels far away only through a bounded support;
#: the others divide by the extremes of the whole image.
_CROPPED = {"Original", "Wavelet", "LoG", "Gradient", "LBP2D", "LBP3D"}

#: A recursive Gaussian has long tails. Measured on noise, against the full volume: a
#: skewness is off by 3e-6 of itself after 10 sigma, by 2e-9 after 15, by 0 after 20.
_LOG_SIGMAS = 20

#: Coefficients of a cubic B-spline fade to 1e-16 of a voxel within 28 voxels.
_SPLINE_VOXELS = 30


class Options(BaseModel):
    """The ``setting`` section, and the options of one image type."""

    model_config = _STRICT

    binWidth: _Positive | None = None
    binCount: _Whole | None = None
    normalize: bool = False
    normalizeScale: _Positive = 1
    removeOutliers: _Positive | None = None
    resampledPixelSpacing: tuple[_NotNegative, _NotNegative, _NotNegative] | None = None
    interpolator: int | str | None = "sitkBSpline"
    padDistance: Annotated[int, Field(ge=0)] = 5
    preCrop: bool = False
    resegmentRange: Annotated[list[float], Field(min_length=1, max_length=2)] | None = (
        None
    )
    resegmentMode: Literal["absolute", "relative", "sigma"] = "absolute"
    resegmentShape: bool = False
    minimumROIDimensions: Literal[1, 2, 3] = 2
    minimumROISize: _Whole | None = None
    distances: Annotated[list[_Whole], Field(min_length=1)] = [1]
    force2D: bool = False
    force2Ddimension: Literal[0, 1, 2] = 0
    voxelArrayShift: int = 0
    symmetricalGLCM: bool = True
    weightingNorm: _Norm | None = None
    gldm_a: Annotated[int, Field(ge=0)] = 0
    sigma: _Sigma | None = None
    wavelet: str = "coif1"
    level: _Whole = 1
    start_level: Annotated[int, Field(ge=0)] = 0
    gradientUseSpacing: bool = True
    lbp2DRadius: _Positive = 1
    lbp2DSamples: _Whole = 8
    lbp2DMethod: Literal["default", "ror", "uniform", "var"] = "uniform"
    lbp3DLevels: _Whole = 2
    lbp3DIcosphereRadius: _Positive = 1
    lbp3DIcosphereSubdivision: Annotated[int, Field(ge=0)] = 1
    # of cases without a mask_label in cases.csv
    label: _Whole | None = None
    # read for the sake of existing files: masks have one channel, grids are compared
    # by `radlatent.imaging`, and the manifest says which masks may be moved
    correctMask: bool = False
    label_channel: int | None = None
    additionalInfo: bool | None = None
    geometryTolerance: _Positive | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, content):
        """Read a null as pyradiomics' default; a null interpolator turns it off."""
        if not isinstance(content, dict):
            return content
        given = {key: value for key, value in content.items() if value is not None}
        if content.get("interpolator", "") is None:
            given.pop("resampledPixelSpacing", None)
        return given

    @model_validator(mode="after")
    def _one_way_to_bin(self):
        if self.binWidth is not None and self.binCount is not None:
            raise ValueError("binWidth and binCount exclude each other; give one")
        return self

    @field_validator("correctMask")
    @classmethod
    def _masks_are_not_moved_in_silence(cls, value):
        if value:
            raise ValueError("set 'resample_mask: true' in cohort.yml instead")
        return value

    def reach_voxels(
        self, image_type: str, spacing_mm: tuple[float, float, float]
    ) -> list[int]:
        """Return how far from a voxel an image type looks, axes (z, y, x).

        Parameters
        ----------
        image_type
            One that looks a bounded way: not one that uses the extremes of the image.
        spacing_mm
            Voxel size, axes (z, y, x), in mm.
        """
        if image_type == "LoG":
            return [ceil(_LOG_SIGMAS * max(self.sigma) / side) for side in spacing_mm]
        if image_type == "Wavelet":
            # a level filters what the last one left; coif1 needs four voxels of its six
            length = pywt.Wavelet(self.wavelet).dec_len
            return [length * (self.start_level + self.level)] * 3
        if image_type == "LBP3D":
            return [ceil(self.lbp3DIcosphereRadius) + _SPLINE_VOXELS] * 3
        plane = ceil(self.lbp2DRadius) + 1
        return [{"Gradient": 2, "LBP2D": plane}.get(image_type, 1)] * 3

    def box_around(
        self,
        image_type: str,
        tight: Box,
        spacing_mm: tuple[float, float, float],
        shape: tuple[int, int, int],
    ) -> Box:
        """Return the box around a lesion that an image type looks at.

        Parameters
        ----------
        image_type, spacing_mm
            As in `reach_voxels`.
        tight
            The box of the lesion.
        shape
            Of the image, (z, y, x).
        """
        margins = self.reach_voxels(image_type, spacing_mm)
        box = expand_box(tight, margins, shape)
        if image_type != "Wavelet":
            return box
        # a wavelet continues an image periodically: where its edge is in reach, the far
        # side is the neighbor there
        return tuple(
            slice(0, n) if edge.start < margin or edge.stop + margin > n else part
            for edge, part, margin, n in zip(tight, box, margins, shape, strict=True)
        )

    @field_validator("interpolator")
    @classmethod
    def _known_interpolator(cls, value):
        if isinstance(value, str) and value not in _INTERPOLATORS:
            hint = nearest(value, _INTERPOLATORS) or f"; known are {_INTERPOLATORS}"
            raise ValueError(f"unknown interpolator{hint}")
        if isinstance(value, int) and not 1 <= value <= 10:
            raise ValueError("ITK's interpolators have the numbers 1 to 10")
        return value

    @field_validator("wavelet")
    @classmethod
    def _known_wavelet(cls, value):
        if value not in pywt.wavelist(kind="discrete"):
            known = pywt.wavelist(kind="discrete")
            raise ValueError(f"unknown wavelet{nearest(value, known)}")
        return value


class Ibsi(BaseModel):
    """The ``ibsi`` section: image processing as IBSI 1 has it.

    Grids are aligned by their centers, masks are interpolated linearly and hold from
    one half on, shape is that of the mask before re-segmentation, and bins of a fixed
    width start at the lower bound of ``resegmentRange``.

    Parameters
    ----------
    roundIntensities
        Whether to round after resampling, as for CT in HU.
    outlierSigma
        Intensities further from the mean than this many standard deviations are left
        out, after ``resegmentRange``.

    References
    ----------
    IBSI reference manual, chapter "Image processing", arXiv:1612.07003
    """

    model_config = _STRICT

    roundIntensities: bool = False
    outlierSigma: _Positive | None = None


class Settings(BaseModel):
    """What to measure: ``setting``, ``imageType`` and ``featureClass``.

    Parameters
    ----------
    setting
        Options for every image type.
    imageType
        Image type to options of its own; Original when empty.
    featureClass
        Feature class to the features wanted, all when empty; every class but
        ``shape2D`` when the section is empty.
    ibsi
        Not in pyradiomics: see `Ibsi`. None keeps pyradiomics' ways.
    """

    model_config = _STRICT

    setting: Options = Options()
    imageType: dict[str, Options | None] = Field(
        default={"Original": None}, validate_default=True
    )
    featureClass: dict[str, list[str] | None] = Field(default={}, validate_default=True)
    ibsi: Ibsi | None = None

    @model_validator(mode="before")
    @classmethod
    def _sections(cls, content):
        if not isinstance(content, dict):
            return content
        if "voxelSetting" in content:
            raise ValueError("unknown key 'voxelSetting': maps are not measured")
        # a bare key means its defaults, as a bare image type does
        bare = "ibsi" in content and content["ibsi"] is None
        return content | {"ibsi": {}} if bare else content

    @field_validator("imageType")
    @classmethod
    def _known_image_types(cls, value):
        value = value or {"Original": None}
        for name in value:
            if name not in IMAGE_TYPES:
                hint = nearest(name, IMAGE_TYPES)
                raise ValueError(f"unknown image type {name!r}{hint}")
        return {name: options or Options() for name, options in value.items()}

    @field_validator("featureClass")
    @classmethod
    def _known_features(cls, value):
        value = value or {name: None for name in FEATURES if name != "shape2D"}
        for name, features in value.items():
            if name not in FEATURES:
                raise ValueError(f"unknown class {name!r}{nearest(name, FEATURES)}")
            for feature in features or ():
                if feature not in FEATURES[name]:
                    hint = nearest(feature, FEATURES[name])
                    hint = "; pyradiomics deprecates it" if feature in _OLD else hint
                    raise ValueError(f"unknown feature {feature!r} in {name!r}{hint}")
        return {
            name: [f for f in FEATURES[name] if not features or f in features]
            for name, features in value.items()
        }

    @model_validator(mode="after")
    def _images_are_defined(self):
        if "LoG" in self.imageType and not self.options("LoG").get("sigma"):
            raise ValueError("image type 'LoG' needs sigma, a list of widths in mm")
        if "shape2D" in self.featureClass and not self.setting.force2D:
            raise ValueError("class 'shape2D' needs force2D: true in setting")
        known = "sitkNearestNeighbor", "sitkLinear", "sitkBSpline"
        if self.ibsi is not None and self.setting.interpolator not in known:
            raise ValueError(f"section 'ibsi' needs an interpolator of {known}")
        return self

    def options(self, image_type: str) -> dict:
        """Return what was asked for an image type: its own options over ``setting``."""
        return self.setting.model_dump(exclude_unset=True) | self.imageType[
            image_type
        ].model_dump(exclude_unset=True)

    def resolved(self, image_type: str) -> Options:
        """Return every option of an image type, by default where not asked for."""
        return Options.model_validate(self.options(image_type))

    @cached_property
    def names(self) -> list[str]:
        """Names of all features that these settings give, whatever the image."""
        images = {name: self.options(name) for name in self.imageType}
        return feature_names(self.featureClass, images)

    @cached_property
    def key(self) -> str:
        """A hash that is equal for equal settings, however they were written."""
        images = {
            name: self.resolved(name).model_dump(mode="json") for name in self.imageType
        }
        shape = self.setting.model_dump(mode="json")
        ibsi = self.ibsi and self.ibsi.model_dump(mode="json")
        return content_key(shape, images, list(images), dict(self.featureClass), ibsi)

    @property
    def parameters(self) -> dict:
        """The dict that pyradiomics takes, without what we decide ourselves."""
        ours = {"label", "label_channel", "additionalInfo", "geometryTolerance"}
        ours |= {"correctMask"}
        wanted = {"mode": "json", "exclude_unset": True, "exclude": ours}
        setting = self.setting.model_dump(**wanted)
        return {
            "setting": setting | {"label": 1, "additionalInfo": False},
            "imageType": {
                name: options.model_dump(**wanted)
                for name, options in self.imageType.items()
            },
            "featureClass": dict(self.featureClass),
        }

    @property
    def looks_around(self) -> bool:
        """Whether a value depends on voxels outside of the mask."""
        return set(self.imageType) != {"Original"} or not self.crops

    @property
    def crops(self) -> bool:
        """Whether a crop around the mask leaves every value as it is.

        Normalization and the intensity filters use statistics of the whole image, and
        the resampled grid starts at the image's first voxel.
        """
        options = [self.options(name) for name in self.imageType]
        far = any(o.get("normalize") or o.get("resampledPixelSpacing") for o in options)
        return set(self.imageType) <= _CROPPED and not far

    @property
    def resamples(self) -> bool:
        """Whether image and mask are brought to another spacing before measuring."""
        return self.setting.resampledPixelSpacing is not None

    def margin_voxels(self, spacing_mm: tuple[float, float, float]) -> tuple[int, ...]:
        """Return how many voxels a crop keeps around the mask, axes (z, y, x).

        Parameters
        ----------
        spacing_mm
            Voxel size, axes (z, y, x), in mm.
        """
        margins = [self._pad_voxels] * 3
        for name in self.imageType:
            reach = self.resolved(name).reach_voxels(name, spacing_mm)
            margins = [max(m, r) for m, r in zip(margins, reach, strict=True)]
        return tuple(margins)

    @property
    def _pad_voxels(self):
        """Voxels that are kept whatever the image types: pyradiomics' own crop."""
        return max(1, self.setting.padDistance if self.setting.preCrop else 1)

    def box_around(
        self,
        tight: Box,
        spacing_mm: tuple[float, float, float],
        shape: tuple[int, int, int],
        *,
        margin_voxels: Sequence[int] | None = None,
    ) -> Box:
        """Return the box around a lesion that its features depend on.

        Parameters
        ----------
        tight
            The box of the lesion.
        spacing_mm
            Voxel size, axes (z, y, x), in mm.
        shape
            Of the image, (z, y, x).
        margin_voxels
            What to keep around a lesion that moves before it is measured, axes (z, y,
            x): more than `Settings.margin_voxels`. None where it stays.

        Returns
        -------
        tuple of slice
            The whole image unless the settings `crops`. A wavelet sees the far side of
            an axis whose end it reaches: all of that axis is kept, and all of the image
            where the lesion moves, since it may turn.
        """
        whole = tuple(slice(0, n) for n in shape)
        if not self.crops:
            return whole
        if margin_voxels is not None:
            box = expand_box(tight, margin_voxels, shape)
            cut = any(
                a.start == b.start or a.stop == b.stop
                for a, b in zip(box, whole, strict=True)
            )
            return whole if cut and "Wavelet" in self.imageType else box
        boxes = [expand_box(tight, [self._pad_voxels] * 3, shape)]
        boxes += [
            self.resolved(name).box_around(name, tight, spacing_mm, shape)
            for name in self.imageType
        ]
        return tuple(
            slice(min(part.start for part in parts), max(part.stop for part in parts))
            for parts in zip(*boxes, strict=True)
        )


def read_settings(source: "Settings | dict | str | Path") -> Settings:
    """Return extraction settings from a file, a preset's name, or a dict.

    Parameters
    ----------
    source
        A YAML file as pyradiomics reads it; ``"hu"``, ``"suv"`` or ``"mr"``; or the
        content of such a file.

    Raises
    ------
    SchemaError
        With every unknown or contradictory key, and the nearest known one.

    Examples
    --------
    >>> len(read_settings("hu").names)
    107
    """
    if isinstance(source, Settings):
        return source
    if isinstance(source, dict):
        return parse(source, Settings, source="settings")
    if str(source) in PRESETS:
        presets = importlib.resources.files("radlatent.handcrafted") / "presets"
        with importlib.resources.as_file(presets / f"{source}.yaml") as path:
            return read_yaml(path, Settings)
    if not Path(source).is_file():
        msg = (
            f"settings {str(source)!r}: neither a file nor a preset"
            f"{nearest(str(source), PRESETS)} (presets are {list(PRESETS)})."
        )
        raise SchemaError(msg)
    return read_yaml(source, Settings)
