"""What a rule of a checklist answers with, and what several read of a record.

The run record enters; parts of it leave, in words.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "Absent",
    "Found",
    "causes",
    "images",
    "judged_masks",
    "outcome",
    "outcome_there",
    "times",
]


@dataclass(frozen=True)
class Found:
    """The run holds evidence.

    Parameters
    ----------
    words
        What was found, with its numbers.
    link
        Where: ``#section`` of the page, or a file of the run folder.
    """

    words: str
    link: str


@dataclass(frozen=True)
class Absent:
    """The item does not apply to this run.

    Parameters
    ----------
    words
        Why not.
    """

    words: str


def images(record: Mapping) -> dict[str, dict]:
    """Return modality to the settings of its extraction, as the record holds them."""
    return record["settings"].get("settings") or {}


def outcome(record: Mapping, tables: Mapping) -> str:
    """Return how many patients have which outcome, in words; of a number its range."""
    counts = record["counts"].get("outcome") or {}
    return _counted(record, tables.get("predictions"), counts)


def outcome_there(record: Mapping, tables: Mapping) -> str:
    """Return the same of the patients of the other cohort; no text without one."""
    counts = (record["counts"].get("external") or {}).get("outcome") or {}
    return _counted(record, tables.get("predictions"), counts)


def causes(record: Mapping) -> list[str]:
    """Return the competing events, that of interest first; empty of other outcomes."""
    return (record["settings"].get("outcome") or {}).get("causes") or []


def _counted(record, predictions, counts):
    # a run of before does not tell its kind: it has classes, or survival
    kind = (record["settings"].get("outcome") or {}).get("kind")
    if kind == "continuous":
        return _range(record, counts) if counts else ""
    survival = predictions is not None and "risk" in predictions
    names = {"0": "censored", "1": "event"} if survival else {}
    if kind == "competing":
        first = causes(record)[0]
        names = {first: f"{first}, the event of interest"}
    return ", ".join(f"{names.get(name, name)} ({n})" for name, n in counts.items())


def _range(record, told):
    unit = record["settings"]["outcome"].get("unit")
    of = f" {unit}" if unit else ""
    mean, spread, low, high = (f"{value:.4g}" for value in told.values())
    return f"mean {mean} (standard deviation {spread}), {low} to {high}{of}"


def times(n: int) -> str:
    """Return how often something was done, in words."""
    return "once" if n == 1 else f"{n} times"


def judged_masks(tables: Mapping) -> str:
    """Return by which rules masks were judged, and how many keep all; else no text."""
    summary = tables.get("mask_summary")
    if summary is None:
        return ""
    whole = summary[summary["rule"] == "all"]
    said = [
        f"{row.n_kept} of {row.n} {row.of}" for row in whole.itertuples() if row.n > 0
    ]
    rules = ", ".join(summary["rules"].unique())
    return f"by the rules {rules}: {', '.join(said)} keep all" if said else ""
