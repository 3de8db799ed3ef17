"""What a study file may say.

``study.yml`` enters, a ``Study`` leaves: every key checked, with the nearest known name
for one that is not.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from radlatent.cohort import EndpointCard
from radlatent.fusion import FAMILIES
from radlatent.masks import rule_set
from radlatent.report import check_reporting
from radlatent.schema import nearest, read_yaml

__all__ = [
    "EndpointSpec",
    "ExternalSpec",
    "LatentSpec",
    "MaskSpec",
    "ModelSpec",
    "Study",
    "SubgroupSpec",
    "TableSpec",
    "read_study",
]

_STRICT = ConfigDict(extra="forbid", frozen=True)

#: What only images can answer.
_OF_IMAGES = ("settings", "burden", "myocardium", "masks", "latent")


class TableSpec(BaseModel):
    """A table of features that was measured elsewhere: one block."""

    model_config = _STRICT

    block: str = Field(pattern=r"^[A-Za-z0-9.-]+(_[A-Za-z0-9.-]+)*$")
    file: str
    leave_out: tuple[str, ...] = ()
    measured: bool = False

    @field_validator("block")
    @classmethod
    def _not_ours(cls, value):
        if value in ("clinical", "ratio"):
            raise ValueError(f"{value!r} is the block of covariates or ratios")
        return value


def _check_sources(cohort, features, endpoints):
    """Refuse a source of patients that is half told, or told twice."""
    if bool(features) != bool(endpoints) or bool(cohort) == bool(features):
        raise ValueError(
            "give cohort (a folder with images), or features and endpoints (tables)"
        )
    blocks = [spec.block for spec in features]
    if len(set(blocks)) < len(blocks):
        raise ValueError(f"blocks {blocks}: each needs a name of its own")


class EndpointSpec(EndpointCard):
    """What is predicted from tables, where a name does not say it."""

    name: str | None = None


def _told_as(endpoint):
    return "columns" if isinstance(endpoint, dict | EndpointSpec) else "name"


class ExternalSpec(BaseModel):
    """Patients that the models are tested on once: of images, or of tables."""

    model_config = _STRICT

    cohort: str | None = None
    root: str | None = None
    features: tuple[TableSpec, ...] = ()
    endpoints: str | None = None
    name: str | None = None

    @model_validator(mode="after")
    def _one_source(self):
        _check_sources(self.cohort, self.features, self.endpoints)
        return self


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
        known = {name for families in FAMILIES.values() for name in families}
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


class SubgroupSpec(BaseModel):
    """Groups of patients that performance is told of as well."""

    model_config = _STRICT

    by: str
    cuts: tuple[float, ...] = ()


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
    cohort: str | None = None
    features: tuple[TableSpec, ...] = ()
    endpoints: str | None = None
    covariates: tuple[str, ...] = ()
    positive: str | None = None
    external: ExternalSpec | None = None
    endpoint: Annotated[
        Annotated[str, Tag("name")] | Annotated[EndpointSpec, Tag("columns")],
        Discriminator(_told_as),
    ]
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
    subgroups: tuple[SubgroupSpec, ...] = ()
    compare_with: int = Field(default=1, ge=1)
    final: int | None = Field(default=None, ge=1)
    permutations: int = Field(default=0, ge=0)
    importance: int = Field(default=0, ge=0)
    reporting: dict[str, str] = {}

    @model_validator(mode="after")
    def _sources_fit(self):
        _check_sources(self.cohort, self.features, self.endpoints)
        asked = [key for key in _OF_IMAGES if getattr(self, key) is not None]
        if self.features and asked:
            raise ValueError(f"{asked} need images; this study is of tables")
        if self.cohort and (self.covariates or self.positive):
            raise ValueError("covariates and positive of a cohort are in cohort.yml")
        if self.outcome and self.cohort:
            raise ValueError("name an endpoint: those of a cohort are in cohort.yml")
        if self.outcome and self.positive:
            raise ValueError("positive is said in endpoint, where it has columns")
        return self

    @model_validator(mode="after")
    def _external_fits(self):
        other = self.external
        if other is None:
            return self
        if bool(other.features) != bool(self.features):
            raise ValueError("external: give images for images, tables for tables")
        blocks = [{spec.block for spec in one.features} for one in (self, other)]
        if blocks[0] != blocks[1]:
            raise ValueError(f"external: blocks {blocks[1]} are not {blocks[0]}")
        return self

    @model_validator(mode="after")
    def _models_fit(self):
        keys = [(spec.label, spec.blocks) for spec in self.models]
        if len(set(keys)) < len(keys):
            raise ValueError("two models share name and blocks; name them apart")
        for key in ("compare_with", "final"):
            if (getattr(self, key) or 1) > len(self.models):
                n, number = len(self.models), getattr(self, key)
                raise ValueError(f"{key} is {number}, of {n} models")
        named = [spec.by for spec in self.subgroups]
        if len(set(named)) < len(named):
            raise ValueError(f"subgroups {named}: name each column once")
        return self

    @property
    def outcome(self) -> EndpointSpec | None:
        """Kind, columns and unit of the endpoint, where the study says them."""
        return None if isinstance(self.endpoint, str) else self.endpoint

    @property
    def endpoint_name(self) -> str:
        """What the tables call the endpoint."""
        spec = self.outcome
        return self.endpoint if spec is None else spec.name or spec.columns[-1]


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
