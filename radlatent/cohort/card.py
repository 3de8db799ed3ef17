"""The data card ``cohort.yml``: what a cohort is, apart from its rows."""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from radlatent.features.endpoint import UNITS
from radlatent.features.origin import Fit, cohort_label, cohort_names
from radlatent.schema import read_yaml

__all__ = [
    "MODALITY",
    "Card",
    "Derivation",
    "EndpointCard",
    "FittedOn",
    "MadeBy",
    "Modality",
    "read_card",
]

#: What a modality may be called: it becomes part of column names.
MODALITY = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Modality(BaseModel):
    """One role of image: its unit, its preset of extraction settings."""

    model_config = _STRICT

    unit: str
    preset: str | None = None
    # a common mask drawn on another grid is brought onto this one's, only on request
    resample_mask: bool = False
    # of pictures whose pixel size nobody knows: files then say 1 mm, and mean a pixel
    pixel_size: Literal["mm", "unknown"] = "mm"

    @property
    def in_mm(self) -> bool:
        """Whether spacings in its files are millimeters."""
        return self.pixel_size == "mm"


class EndpointCard(BaseModel):
    """Where an endpoint stands in ``endpoints.csv``."""

    model_config = _STRICT

    kind: Literal["class", "survival", "competing", "continuous"]
    column: str | None = None
    time: str | None = None
    event: str | None = None
    # of two classes, the one that metrics are of; the last in sorted order without it.
    # Of competing events the cause of interest
    positive: str | None = None
    # of competing events: what the column says where nothing happened
    censored: str = "0"
    # of the times, "days" without it; of a continuous outcome what its axes say
    unit: str | None = None

    @field_validator("positive", "censored", mode="before")
    @classmethod
    def _number_as_text(cls, value):
        if isinstance(value, bool):
            raise ValueError("yes, no, true and false need quotes")
        return str(value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _has_its_columns(self):
        if self.unit is not None and self.kind == "class":
            raise ValueError(
                "unit is for endpoints of kind 'survival', 'competing', 'continuous'"
            )
        if self.is_timed and self.unit not in (None, *UNITS):
            raise ValueError(f"unit is {self.unit!r}; of times: {[*UNITS]}")
        if self.positive is not None and self.kind not in ("class", "competing"):
            raise ValueError("positive is for endpoints of kind 'class', 'competing'")
        wanted = ("time", "event") if self.is_timed else ("column",)
        if self.kind == "competing":
            wanted = (*wanted, "positive")
        missing = [name for name in wanted if getattr(self, name) is None]
        if missing:
            raise ValueError(f"an endpoint of kind {self.kind!r} needs {missing}")
        return self

    @property
    def is_timed(self) -> bool:
        """Whether it is the time until an event, of one cause or of several."""
        return self.kind in ("survival", "competing")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of ``endpoints.csv`` that hold it."""
        return (self.time, self.event) if self.is_timed else (self.column,)


class FittedOn(BaseModel):
    """Patients that a maker of masks was fitted on, and whose masks this fit made."""

    model_config = _STRICT

    # several cohorts are one text with commas, as encoders tell them
    cohort: str = Field(min_length=1)
    patients: tuple[str, ...] = ()
    # nobody named: everybody's
    applied_to: tuple[str, ...] = ()

    @field_validator("patients", "applied_to", mode="before")
    @classmethod
    def _sorted_texts(cls, value):
        if isinstance(value, str):
            raise ValueError("give a list of patient_id, not one text")
        return tuple(sorted({str(patient) for patient in value}))

    def fit(self, rows: frozenset[str]) -> Fit:
        """Return it as the fit behind masks of the cohort with an identity."""
        told = (cohort_names(self.cohort), frozenset(self.patients), rows)
        return Fit(None, *told, applied_to=frozenset(self.applied_to))


class MadeBy(BaseModel):
    """What made masks: a corrector, a reader, a perturbation."""

    model_config = _STRICT

    name: str = Field(min_length=1)
    # a hash of it, where it has one
    key: str = ""
    # what it promises of the masks, in words
    promise: str = ""
    # what is fitted fold by fold has a fit for each fold
    fitted_on: tuple[FittedOn, ...] = ()

    @field_validator("fitted_on", mode="before")
    @classmethod
    def _one_or_several(cls, value):
        if value is None:
            return ()
        return (value,) if isinstance(value, Mapping | FittedOn) else value


class Derivation(BaseModel):
    """One step from the masks of a cohort to those of a derived one."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    # name and key of the cohort it started from
    source: str = Field(alias="from")
    key: str
    made_by: MadeBy
    # a hash of the contents of the new masks
    masks: str


class Card(BaseModel):
    """What ``cohort.yml`` may hold."""

    model_config = _STRICT

    name: str
    freeze: str = ""
    root: str = "."
    # where masks lie that are not below root, a network's for instance; None: below it
    masks_root: str | None = None
    # whether cases have masks; without them networks draw these, and no more is done
    masks: bool = True
    layout: str | None = None
    # the first step first
    derived: tuple[Derivation, ...] = ()
    modalities: dict[str, Modality] = Field(min_length=1)
    endpoints: dict[str, EndpointCard] = {}
    covariates: tuple[str, ...] = ()
    # columns of text: a column of features for each value
    categories: tuple[str, ...] = ()
    # columns that Table 1 tells, numbers or text, and that are no features
    characteristics: tuple[str, ...] = ()
    license: str = ""
    citation: str = ""
    description: str = ""

    @field_validator("freeze", mode="before")
    @classmethod
    def _date_as_text(cls, value):
        # YAML reads 2024-05-01 as a date
        return value.isoformat() if isinstance(value, date) else value

    @field_validator("modalities")
    @classmethod
    def _names_fit_columns(cls, modalities):
        wrong = [m for m in modalities if not MODALITY.fullmatch(m) or m == "label"]
        if wrong:
            raise ValueError(
                f"{wrong} do not fit column names; use small letters, digits and "
                "single underscores, a letter first, as in 'mr_t1'"
            )
        return modalities

    @model_validator(mode="after")
    def _fits_name_patients(self):
        for maker, fit in self.fits_here:
            if not fit.patients:
                raise ValueError(
                    f"masks of {self.name!r} were made by {maker.name!r}, fitted on "
                    f"{fit.cohort!r}, from which it derives, and no patient is named. "
                    "Give patients in fitted_on"
                )
        return self

    @property
    def identity(self) -> frozenset[str]:
        """Names of the cohort and of those it derives from, all of the same people."""
        sources = [step.source for step in self.derived]
        return cohort_names(", ".join([self.name, *sources]))

    @property
    def label(self) -> str:
        """The identity as one text, for tables and files."""
        return cohort_label(self.identity)

    @property
    def fits_here(self) -> list[tuple[MadeBy, FittedOn]]:
        """What made the masks, and its fits on this cohort or one it derives from."""
        return [
            (step.made_by, fit)
            for step in self.derived
            for fit in step.made_by.fitted_on
            if not fit.fit(self.identity).is_foreign
        ]

    @property
    def in_sample(self) -> list[str]:
        """Patients whose masks were made by a fit on these very patients, sorted."""
        found = set()
        for _, fit in self.fits_here:
            found |= set(fit.fit(self.identity).saw(fit.patients))
        return sorted(found)


def read_card(folder: str | Path) -> Card:
    """Return the data card of a cohort folder.

    Raises
    ------
    FileNotFoundError
        The folder holds no ``cohort.yml``.
    SchemaError
        Keys are unknown, missing, or of another kind.
    """
    path = Path(folder) / "cohort.yml"
    if not path.is_file():
        msg = (
            f"{path} is not there. Give the folder of a cohort, or write one with "
            "'radlatent index ROOT --out FOLDER'."
        )
        raise FileNotFoundError(msg)
    return read_yaml(path, Card)
