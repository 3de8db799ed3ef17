"""How plausible a mask is, without a reference: masks enter, one row a slice leaves.

What a prior makes of a slice, how likely its latent is, which rules it breaks, and how
it goes on in the slices beside it. `DicePredictor` turns the columns into a Dice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from radlatent.cohort.labels import LabelMap
from radlatent.masks.correction.candidates import swept
from radlatent.masks.overlap.dice import slice_dice
from radlatent.masks.prior.frame import classes_of, outside_share
from radlatent.masks.prior.parzen import log_density
from radlatent.masks.prior.shape_prior import Encoded, ShapePrior
from radlatent.masks.revision.reviser import Revision
from radlatent.masks.rules.rules import RuleSet, broken_rules

__all__ = ["Examined", "examine", "plausibility", "restored_dice"]


@dataclass(frozen=True, eq=False)
class Examined:
    """What is known of the slices of a mask that hold something, n of them.

    Parameters
    ----------
    encoded
        What a prior makes of them.
    broken
        Which rules each breaks, shape (n, rules).
    table
        The columns of `plausibility`, one row a slice, and those of a reviser.
    revision
        What a reviser makes of the mask; None without one.
    """

    encoded: Encoded
    broken: np.ndarray
    table: pd.DataFrame
    revision: Revision | None = None

    @property
    def places(self) -> np.ndarray:
        """Number of each slice in the mask, shape (n,)."""
        return self.encoded.placement.slices


def examine(mask: LabelMap, prior: ShapePrior, rules: RuleSet) -> Examined:
    """Return what a prior and rules tell of a mask.

    Parameters
    ----------
    mask
        The mask under judgment.
    prior
        A fitted one.
    rules
        A set of rules of slices.

    Raises
    ------
    SchemaError
        The mask has other structures than the prior was fitted on.
    """
    # a prior looks at the heart, not at what lies astray beside it
    clean = mask.with_array(swept(mask.array, list(mask.structures.values())))
    encoded = prior.encode(clean)
    planes = mask.array[encoded.placement.slices]
    broken = broken_rules(planes, rules, **mask.slice_legend)
    table = plausibility(mask, prior, encoded, broken.sum(axis=1))
    return Examined(encoded, broken, table)


def plausibility(
    mask: LabelMap, prior: ShapePrior, encoded: Encoded, n_broken: Sequence[int]
) -> pd.DataFrame:
    """Return what is known of each slice of a mask that holds something.

    Parameters
    ----------
    mask
        The mask under judgment.
    prior, encoded
        A fitted prior, and what it makes of the mask.
    n_broken
        Rules that each slice breaks.

    Returns
    -------
    DataFrame
        Index ``slice``. ``restored_dice`` and ``restored_dice_<structure>``: of the
        slice and its decoding, in the frame. ``log_density`` of the latent, ``kl`` of
        the posterior, both in nats; ``kl_<group>`` are its parts where the prior has
        groups of latents, from the shallowest to the top. ``neighbor_dice``: mean with
        the slices beside it; ``volume_dice``: mean of ``restored_dice`` over the mask.
        ``position``: 0 to 1.
        ``area_<structure>_mm2``. ``outside_share`` of the frame, without stray pieces.
        ``n_broken``.
    """
    names = prior.structures_
    places = encoded.placement.slices
    columns = restored_dice(prior, encoded)
    density = log_density(encoded.mean, prior.latents_, prior.bandwidth_)
    columns |= {"log_density": density, "kl": encoded.kl}
    columns |= {f"kl_{name}": kl for name, kl in encoded.kl_by_group.items()}
    values = [mask.structures[name] for name in names]
    columns["neighbor_dice"] = _neighbors(mask.array, places, values)
    n = max(len(places), 1)
    columns["volume_dice"] = np.full(
        len(places), np.nansum(columns["restored_dice"]) / n
    )
    # in the order of the slices: which end is the base is itself to be judged
    columns["position"] = np.arange(len(places)) / max(len(places) - 1, 1)
    pixel_mm2 = float(np.prod(mask.spacing_mm[1:]))
    planes = mask.array[places]
    for name, value in zip(names, values, strict=True):
        area = (planes == value).sum(axis=(1, 2)) * pixel_mm2
        columns[f"area_{name}_mm2"] = area.astype(np.float64)
    clean = swept(mask.array, values)
    columns["outside_share"] = outside_share(clean, encoded.placement)
    columns["n_broken"] = np.asarray(n_broken, dtype=np.float64)
    return pd.DataFrame(columns, index=pd.Index(places, name="slice"))


def restored_dice(prior: ShapePrior, encoded: Encoded) -> dict[str, np.ndarray]:
    """Return Dice of slices and their decodings in the frame, a column a structure."""
    entered = classes_of(encoded.maps)
    decoded = classes_of(prior.decode(encoded.mean))
    columns = {}
    for channel, name in enumerate(prior.structures_, start=1):
        a, b = entered == channel, decoded == channel
        sizes = a.sum(axis=(1, 2)) + b.sum(axis=(1, 2))
        common = (a & b).sum(axis=(1, 2))
        with np.errstate(invalid="ignore"):
            columns[f"restored_dice_{name}"] = (
                2 * common / np.where(sizes, sizes, np.nan)
            )
    each = np.array(list(columns.values()))
    counted = (~np.isnan(each)).sum(axis=0)
    mean = np.nansum(each, axis=0) / np.where(counted, counted, np.nan)
    return {"restored_dice": mean, **columns}


def _neighbors(labels, places, values):
    """Return the mean Dice of each slice with those beside it, empty ones included."""
    means, labels = [], _cropped(labels)
    for place in places:
        beside = [k for k in (place - 1, place + 1) if 0 <= k < len(labels)]
        dice = [slice_dice(labels[place], labels[k], values) for k in beside]
        means.append(np.mean(dice) if dice else np.nan)
    return np.array(means)


def _cropped(labels):
    rows = np.flatnonzero(labels.any(axis=(0, 2)))
    columns = np.flatnonzero(labels.any(axis=(0, 1)))
    if not len(rows):
        return labels
    return labels[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
