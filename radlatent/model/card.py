"""The model card: what there is to know before a model is used, from its record.

What a model is of enters; sections leave, as Markdown and as a page. Nothing is said
that the record does not hold: what is not there is named in brackets.

References
----------
Mitchell et al. 2019, doi:10.1145/3287560.3287596 (model cards); Collins et al. 2024,
doi:10.1136/bmj-2023-078378 (TRIPOD+AI)
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from radlatent.model.about import About
from radlatent.model.conformal import Conformal, Errors, fewest
from radlatent.model.domain import Domain
from radlatent.report.checklists import read_checklist
from radlatent.report.parts import render
from radlatent.report.tables import performance

__all__ = ["Card", "Section", "as_html", "as_markdown", "card_of"]

#: Columns whose range is told, at most; all of them are in the tensors.
_TOLD = 60

#: Level of the sets and intervals that a card tells of: that of ``predict``.
_LEVEL = 0.9

#: What Markdown and HTML would read as something else.
_MARKS = re.compile(r"([\\`*_{}\[\]<>|#~])")


@dataclass(frozen=True)
class Section:
    """A title, paragraphs, and a table or none: columns, and rows of text."""

    title: str
    said: tuple[str, ...]
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Card:
    """A title, a sentence, and sections."""

    title: str
    lead: str
    sections: tuple[Section, ...]


def card_of(about: About, domain: Domain, conformal: Conformal | Errors | None) -> Card:
    """Return the card of a model.

    Parameters
    ----------
    about, domain, conformal
        Of the model.
    """
    lead = (
        f"{about.name} on {about.blocks}, fitted on {about.n} patients by radlatent "
        f"{about.versions.get('radlatent', '')}. Written from the record of the model."
    )
    sections = (
        _use(about),
        _data(about),
        _performance(about),
        _output(about, conformal),
        _limits(about, domain),
        _columns(about, domain),
        _checklist(about),
    )
    return Card(f"Model card: {about.endpoint}", lead, sections)


def _use(about):
    purpose = about.purpose or (
        "[to be filled in: for which patients, by whom, for which decision; purpose= "
        "of rl.fit, --purpose of radlatent fit]"
    )
    warning = (
        "A result of research. It is no medical device, and no decision about a "
        "patient may rest on it before it has been tested where it is to be used."
    )
    return Section("Intended use", (purpose, warning))


def _data(about):
    counts = ", ".join(f"{n} {name}" for name, n in about.outcome.items())
    if about.kind == "continuous":
        low, mean, spread, high = about.numbers
        counts = f"mean {mean:.4g}, standard deviation {spread:.4g}, "
        counts += f"from {low:.4g} to {high:.4g}{_unit(about)}"
    said = [f"{about.n} patients: {counts}. Outcome: {about.endpoint} ({about.kind})."]
    cohort = about.way.get("cohort", {})
    if cohort:
        freeze = f", freeze {cohort['freeze']}" if cohort.get("freeze") else ""
        said.append(f"Cohort: {cohort['name']}{freeze}.")
    units = about.way.get("modalities", {})
    if units:
        told = ", ".join(f"{name} in {one['unit']}" for name, one in units.items())
        said.append(f"Images: {told}; the settings of the extraction are in the model.")
    latent = about.way.get("study", {}).get("latent")
    if latent:
        names = " and ".join(latent["modalities"])
        said.append(
            f"Encoder: {latent['n_latent']} latent features of {names}, fitted on all "
            "of these patients; its files are in encoder/. For the validation one was "
            "fitted in every fold."
        )
    masks = [name for name, _ in about.way.get("masks", [])]
    if masks:
        said.append(f"Masks: made by {', then '.join(masks)}.")
    origin = about.origin or "[not recorded]"
    said.append(f"Where the features come from: {origin}.")
    said.append("[not recorded: eligibility, centers, dates, treatments, protocol]")
    return Section("Data", tuple(said))


def _performance(about):
    if not about.performance:
        said = ("[not validated: too few patients for two folds]",)
        return Section("Performance", said)
    metrics = about.metrics
    printed = performance(metrics).iloc[0]
    left_out = ("Endpoint", "Model", "Features")
    rows = [(str(k), str(v)) for k, v in printed.items() if k not in left_out]
    level = f"{100 * metrics['level'].iloc[0]:g}"
    said = (
        f"Cross-validation, {about.validation}, of models fitted in the same way on "
        f"fewer patients; intervals at {level}%.",
    )
    return Section("Performance", said, ("Metric", "Value"), tuple(rows))


def _output(about, conformal):
    if about.kind == "survival":
        days = ", ".join(f"{day:g}" for day in about.days)
        said = (
            "A risk, higher meaning an earlier event, and where the model tells it the "
            f"probability of no event until day {days}; none after day "
            f"{about.trained_until:g}, the end of follow-up in training.",
        )
        return Section("What it says of a patient", said)
    if about.kind == "competing":
        days = ", ".join(f"{day:g}" for day in about.days)
        said = (
            f"A risk of {about.positive}, higher meaning more often, and the "
            f"probability to have had it until day {days}; none after day "
            f"{about.trained_until:g}, the end of follow-up in training. Whoever had "
            "another event first never has it.",
        )
        return Section("What it says of a patient", said)
    if about.kind == "continuous":
        return _interval(about, conformal)
    names = ", ".join(about.classes)
    said = [f"A probability of each class: {names}."]
    if about.threshold is not None:
        said.append(
            f"The class {about.positive} from a probability of {about.threshold:.3g} "
            "on, its share in training."
        )
    if conformal is not None:
        counts = [
            f"{n} of {k}" for k, n in zip(about.classes, conformal.n, strict=True)
        ]
        held = (
            f"A set of classes that holds the true one in {100 * _LEVEL:g}% of the "
            f"patients of each class, calibrated on {', '.join(counts)}."
        )
        why = conformal.refusal(_LEVEL)
        said.append(f"{why[:1].upper()}{why[1:]}." if why else held)
    else:
        said.append(f"No sets of classes: {fewest(_LEVEL)} of each class are needed.")
    return Section("What it says of a patient", tuple(said))


def _interval(about, errors):
    low, *_, high = about.numbers
    said = [
        f"The predicted {about.endpoint}{_unit(about)}; one beyond those of training, "
        f"{low:.4g} to {high:.4g}, is remarked on."
    ]
    why = "no interval: not validated" if errors is None else errors.refusal(_LEVEL)
    if not why:
        why = (
            f"an interval of {errors.reach(_LEVEL):.4g}{_unit(about)} to each side, as "
            f"wide for every patient, that holds the outcome of {100 * _LEVEL:g}% of "
            f"the patients, calibrated on {errors.n}"
        )
    said.append(f"{why[:1].upper()}{why[1:]}.")
    return Section("What it says of a patient", tuple(said))


def _unit(about):
    return f" {about.unit}" if about.unit else ""


def _limits(about, domain):
    size = f"{about.n} patients"
    if about.n_events is not None:
        size = f"{about.n_events} patients of the rarer outcome or with the event"
    said = [
        f"{size}, and {len(domain.uses)} of {len(about.columns)} columns have a say.",
        "Its performance was not measured in another hospital, as far as this record "
        "goes.",
        "A patient beyond the range of training, with missing values or of an unknown "
        "site is flagged or refused, never served in silence: columns inside, outside, "
        "missing, percentile, remark and refused of a prediction.",
    ]
    missing = int((domain.n_missing > 0).sum())
    if missing:
        said.append(f"{missing} of these columns had missing values in training.")
    return Section("Limits", tuple(said))


def _columns(about, domain):
    names = [about.columns[place] for place in domain.uses]
    values = zip(domain.lower, domain.upper, domain.n_missing, strict=True)
    rows = [
        (name, f"{low:.4g}", f"{high:.4g}", str(int(n)))
        for name, (low, high, n) in zip(names, values, strict=True)
    ]
    said = [f"Steps: {', then '.join(about.steps)}."]
    if len(rows) > _TOLD:
        said.append(f"The first {_TOLD} of {len(rows)} columns; the model has all.")
    head = ("Column", "Lowest", "Highest", "Missing")
    return Section("Columns that have a say", tuple(said), head, tuple(rows[:_TOLD]))


def _checklist(about):
    where = {"3b": "Intended use"} if about.purpose else {}
    where |= {"9b": "Columns that have a say", "12c": "Columns that have a say"}
    if about.performance:
        where |= dict.fromkeys(("12a", "12e", "21"), "Performance")
    where |= {"12g": "files of the model", "15": "What it says of a patient"}
    where |= {"22": "files of the model", "26": "Limits", "27a": "Limits"}
    items = read_checklist("tripod_ai")["items"]
    rows = [
        (str(item["id"]), item["text"], where.get(str(item["id"]), "not in this card"))
        for item in items
    ]
    said = (
        f"{len(where)} of {len(items)} items are told here, in part or whole; whether "
        "well enough is for a reader to say. The report of the study tells of others.",
    )
    return Section("TRIPOD+AI", said, ("Item", "What it asks", "Where"), tuple(rows))


def as_markdown(card: Card) -> str:
    """Return a card as Markdown."""
    lines = [f"# {_plain(card.title)}", "", _plain(card.lead), ""]
    for section in card.sections:
        lines += [f"## {_plain(section.title)}", ""]
        for text in section.said:
            lines += [_plain(text), ""]
        if section.rows:
            lines += [_row(section.columns), _row(["---"] * len(section.columns), "")]
            lines += [*map(_row, section.rows), ""]
    return "\n".join(lines).rstrip() + "\n"


def as_html(card: Card) -> str:
    """Return a card as a page that needs no other file."""
    about = {"title": card.title, "lead": card.lead, "sections": card.sections}
    return render("card.html", **about)


def _plain(text):
    """Return a text of which Markdown makes nothing else."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def _row(cells: Sequence[str], plain=None):
    told = cells if plain is not None else map(_plain, cells)
    return f"| {' | '.join(told)} |"
