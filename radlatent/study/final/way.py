"""What is kept of a study, so that new patients take the same way to the columns.

A `Work` enters, a dict that JSON can hold leaves, and becomes a plan again.
"""

from collections.abc import Collection, Mapping

from radlatent.cohort.card import Card
from radlatent.errors import SchemaError
from radlatent.handcrafted import Settings, read_settings
from radlatent.schema import nearest, parse
from radlatent.study.plan import Study
from radlatent.study.work import Work

__all__ = ["check_card", "plan_of", "settings_of", "way_of"]

#: Keys of a study that say how columns come about.
_KEYS = (
    *("features", "covariates", "engine", "aggregate", "volume", "intensity"),
    *("dispersion", "burden", "derived", "delta", "myocardium"),
    "latent",
)

_MADE_OF = ("derived", "delta", "dispersion", "volume", "intensity")


def way_of(work: Work) -> dict:
    """Return the way from images or tables to the columns of a model."""
    one = work.settings
    per_modality = one if isinstance(one, dict) else {}
    default = None if isinstance(one, dict) else one
    modalities = {}
    for name, about in work.cohort.modalities.items():
        settings = read_settings(per_modality.get(name) or default or about.preset)
        told = settings.model_dump(mode="json", exclude_unset=True)
        modalities[name] = {"unit": about.unit, "settings": told}
    chosen = {"mode": "json", "include": set(_KEYS), "exclude_none": True}
    return {
        "cohort": {"name": work.cohort.name, "freeze": work.cohort.card.freeze},
        "modalities": modalities,
        "masks": _makers(work.cohort.card),
        "study": work.plan.model_dump(**chosen),
    }


def plan_of(way: Mapping, endpoint: str, columns: Collection[str]) -> Study:
    """Return what a study said of the way, as a plan without the blocks of no use.

    Parameters
    ----------
    way
        What `way_of` returned.
    endpoint
        Of the model.
    columns
        That the model needs.
    """
    said = dict(way["study"])
    used = {column.split("__")[0] for column in columns}
    # what is made of columns may be made of those of any block
    if said.get("features") and not any(said.get(key) for key in _MADE_OF):
        said["features"] = [one for one in said["features"] if one["block"] in used]
    if not any(block.endswith("_latent") for block in used):
        said.pop("latent", None)
    tables = {"endpoints": "."} if said.get("features") else {"cohort": "."}
    models = [{"blocks": ["*"]}]
    content = said | tables | {"title": "new patients", "models": models}
    return parse(content | {"endpoint": endpoint}, Study, source="the model")


def settings_of(way: Mapping) -> dict[str, Settings]:
    """Return the settings of the extraction, modality by modality."""
    return {
        name: read_settings(dict(about["settings"]))
        for name, about in way["modalities"].items()
    }


def check_card(way: Mapping, card: Card) -> str:
    """Refuse a cohort that is not measured, or outlined, as that of training was.

    Parameters
    ----------
    way
        What `way_of` returned.
    card
        Of the cohort.

    Returns
    -------
    str
        What is to be remarked on of its masks, or an empty text.

    Raises
    ------
    SchemaError
        With everything that differs: a modality is absent or in another unit, or the
        masks were not made by what made those of training.
    """
    problems = []
    for name, about in way["modalities"].items():
        if name not in card.modalities:
            hint = nearest(name, card.modalities)
            there = [*card.modalities]
            problems.append(f"it has no modality {name!r}{hint} (but {there})")
        elif (unit := card.modalities[name].unit) != about["unit"]:
            problems.append(f"{name!r} is in {unit!r}, and was {about['unit']!r}")
    ours, theirs = way.get("masks", []), _makers(card)
    names = [[name for name, _ in side] for side in (ours, theirs)]
    if ours and names[0] != names[1]:
        problems.append(
            f"its masks were made by {_told(theirs)}, and those of training by "
            f"{_told(ours)}: bring them through the same steps"
        )
    if problems:
        msg = f"cohort {card.name!r} is not what the model was fitted on: "
        raise SchemaError(msg + "; ".join(problems) + ".")
    if names[0] != names[1]:
        return f"masks made by {_told(theirs)}, those of training by {_told(ours)}"
    if theirs != [tuple(maker) for maker in ours]:
        return f"masks made by another {_told(theirs)} than those of training"
    return ""


def _makers(card):
    """Return name and key of what made the masks of a cohort, step by step."""
    return [(step.made_by.name, step.made_by.key) for step in card.derived]


def _told(makers):
    return ", then ".join(name for name, _ in makers) or "nobody but readers"
