"""What a study file may say.

``study.yml`` enters, a ``Study`` leaves: every key checked, with the nearest known name
for one that is not.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from radlatent.fusion import MODELS, SURVIVAL_MODELS
from radlatent.masks import rule_set
from radlatent.report import check_reporting
from radlatent.schema import nearest, read_yaml

__all__ = ["LatentSpec", "MaskSpec", "ModelSpec", "Study", "read_study"]

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Derived(BaseModel):
    """A quantity of a patient: a decrease, a ratio, or the surface of the body."""

    model_config = _STRICT

    feature: str | None = None
    lesion_id: str | None = None
    first: str | None = None
    last: str | None = None
    numerator: str | None = None
    denominator: str | None = None
    body_surface: Literal["mosteller", "du_bois"] | None = None
    height: str | None = None
    height_unit: Literal["cm", "m", "in"] | None = None
    weight: str | None = None
    weight_unit: Literal["kg", "g", "lb"] | None = None

    @model_validator(mode="after")
    def _one_kind(self):
        decrease = (self.feature, self.lesion_id, self.first, self.last)
        ratio = (self.numerator, self.denominator)
        sizes = (self.height, self.height_unit, self.weight, self.weight_unit)
        kinds = (decrease, ratio, (self.body_surface, *sizes))
        if [all(kind) for kind in kinds if any(kind)] != [True]:
            raise ValueError(
                "give feature, lesion_id, first and last (a decrease), numerator "
                "and denominator (columns of a patient), or body_surface (a formula), "
                "height, height_unit, weight and weight_unit (two covariates)"
            )
        _check_apart(self.first, self.last)
        return self


def _check_apart(first, last):
    if first and first == last:
        raise ValueError(f"first and last are both {first!r}")


class Delta(BaseModel):
    """The change of every feature between two timepoints."""

    model_config = _STRICT

    post: str
    pre: str
    how: Literal["difference", "relative", "log_ratio"] = "difference"

    @model_validator(mode="after")
    def _two_times(self):
        if self.post == self.pre:
            raise ValueError(f"post and pre are both {self.post!r}")
        return self


class Myocardium(BaseModel):
    """Structures between which the wall of the heart is measured, and when."""

    model_config = _STRICT

    wall: str
    cavity: str
    modality: str
    right_ventricle: str | None = None
    orientation: Literal["header", "displayed"] = "header"
    first: str | None = None
    last: str | None = None

    @model_validator(mode="after")
    def _two_timepoints(self):
        if bool(self.first) != bool(self.last):
            raise ValueError("thickening needs both: first and last")
        _check_apart(self.first, self.last)
        return self


class MaskSpec(BaseModel):
    """Rules that the masks are judged by."""

    model_config = _STRICT

    rules: str = "short_axis_16"
    modality: str | None = None

    @field_validator("rules")
    @classmethod
    def _known(cls, value):
        return rule_set(value).name


class LatentSpec(BaseModel):
    """An encoder that is fitted in every fold."""

    model_config = _STRICT

    modalities: tuple[str, ...] = Field(min_length=1)
    size_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    masked: bool = True
    n_latent: int = Field(default=8, ge=1)
    beta: float = Field(default=0.1, ge=0)
    kappa: float = Field(default=10.0, ge=0)
    repeats: str = "original_(shape|firstorder)_"
    training: dict[str, Any] = {}
    random_state: int = Field(default=0, ge=0)


class ModelSpec(BaseModel):
    """One model on some blocks of features."""

    model_config = _STRICT

    model: str = "logistic"
    name: str | None = None
    blocks: tuple[str, ...] = Field(min_length=1)
    options: dict[str, Any] = {}
    grid: dict[str, list] = {}
    late: bool = False
    combat: Literal["error", "pool"] | None = None
    stability: str | None = None

    @field_validator("model")
    @classmethod
    def _known(cls, value):
        known = MODELS | SURVIVAL_MODELS
        if value not in known:
            raise ValueError(f"unknown model {value!r}{nearest(value, known)}")
        return value

    @model_validator(mode="after")
    def _late_has_blocks(self):
        if self.late and len(self.blocks) < 2:
            raise ValueError("late fusion needs two blocks or more")
        return self

    @property
    def label(self) -> str:
        """What the tables call the model."""
        return self.name or (f"late {self.model}" if self.late else self.model)

    @property
    def told(self) -> str:
        """What the tables call its blocks."""
        return " + ".join(self.blocks)


class FoldSpec(BaseModel):
    """How patients are divided."""

    model_config = _STRICT

    n_folds: int = Field(default=5, ge=2)
    n_repeats: int = Field(default=10, ge=1)
    random_state: int = Field(default=0, ge=0)
    leave_site_out: bool = False


class Study(BaseModel):
    """What ``study.yml`` may hold: which stages run, with what."""

    model_config = _STRICT

    title: str
    cohort: str
    endpoint: str
    settings: dict[str, str] | str | None = None
    engine: Literal["radlatent", "pyradiomics"] = "radlatent"
    aggregate: Literal["pivot", "largest", "hottest", "volume_weighted_mean", "sum"] = (
        "pivot"
    )
    volume: str | None = None
    intensity: str | None = None
    dispersion: Literal["std", "range", "iqr"] | None = None
    burden: str | None = None
    derived: dict[str, Derived] = {}
    delta: Delta | None = None
    myocardium: Myocardium | None = None
    masks: MaskSpec | None = None
    latent: LatentSpec | None = None
    models: tuple[ModelSpec, ...] = Field(min_length=1)
    folds: FoldSpec = FoldSpec()
    compare_with: int = Field(default=1, ge=1)
    permutations: int = Field(default=0, ge=0)
    importance: int = Field(default=0, ge=0)
    reporting: dict[str, str] = {}

    @model_validator(mode="after")
    def _models_fit(self):
        keys = [(spec.label, spec.blocks) for spec in self.models]
        if len(set(keys)) < len(keys):
            raise ValueError("two models share name and blocks; name them apart")
        if self.compare_with > len(self.models):
            n = len(self.models)
            raise ValueError(f"compare_with is {self.compare_with}, of {n} models")
        return self


def read_study(path: str | Path) -> Study:
    """Return a study file, checked key by key.

    Raises
    ------
    SchemaError
        Keys are unknown, missing or of another kind: all of them at once.
    """
    study = read_yaml(path, Study)
    check_reporting(study.reporting)
    here = Path(path).parent
    # what a path of a model starts from is not known later
    models = tuple(
        spec.model_copy(update={"stability": str(here / spec.stability)})
        if spec.stability
        else spec
        for spec in study.models
    )
    return study.model_copy(update={"models": models})
