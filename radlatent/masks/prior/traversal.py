"""One latent moved, the others held: a prior enters, masks and what they measure leave.

Of an AR-VAE a latent is a handle: its attribute should move, and the others stay.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.masks.attributes.measure import shape_attributes
from radlatent.masks.prior.frame import classes_of
from radlatent.masks.prior.shape_prior import ShapePrior
from radlatent.schema import nearest

__all__ = ["Traversal", "traverse"]


@dataclass(frozen=True, eq=False, repr=False)
class Traversal:
    """Masks along one latent.

    Parameters
    ----------
    name
        Of the latent.
    labels
        Decoded masks, shape (steps, size, size); labels are 1, 2 ... in the order of
        ``structures``.
    structures
        Name to label.
    spacing_mm
        Of rows and columns of the frame.
    table
        A row a step: ``latent``, and every attribute of the mask.
    """

    name: str
    labels: np.ndarray
    structures: dict[str, int]
    spacing_mm: tuple[float, float]
    table: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """By attribute, what moves: ``first``, ``last``, ``range`` and ``monotone``.

        ``monotone`` is Spearman's correlation with the latent, from -1 to 1.
        """
        values = self.table.drop(columns="latent")
        ends = {"first": values.iloc[0], "last": values.iloc[-1]}
        ends |= {"range": values.max() - values.min()}
        ranks = values.rank().corrwith(self.table["latent"].rank())
        return pd.DataFrame(ends | {"monotone": ranks})

    def plot(self, ax=None, **kwargs):
        """Draw the masks side by side, first step on the left.

        Parameters
        ----------
        ax
            Where to draw, None for the current Axes.
        **kwargs
            As of `radlatent.figures.mask_overlay`.
        """
        from radlatent.figures import mask_overlay

        wide = np.concatenate([*self.labels], axis=1)
        about = {"structures": self.structures, "spacing_mm": self.spacing_mm}
        drawn = mask_overlay(None, wide, ax, **about, **kwargs)
        drawn.set_xlabel(f"{self.name}, from low to high")
        return drawn

    def __repr__(self) -> str:
        return f"Traversal({self.name!r}, {len(self.labels)} steps)"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def traverse(
    prior: ShapePrior,
    name: str,
    *,
    steps: int = 7,
    start: np.ndarray | None = None,
    reach: float = 0.95,
) -> Traversal:
    """Return masks along one latent, the others held.

    Parameters
    ----------
    prior
        A fitted prior with attributes.
    name
        One of its ``latent_names_``: an attribute, or a residual latent.
    steps
        How many masks.
    start
        Values of all latents; None: the medians of the masks it was fitted on.
    reach
        Share of these masks between the first step and the last.

    Raises
    ------
    SchemaError
        The prior has no attributes, or no such latent.
    """
    if not prior.attributes or name not in prior.latent_names_:
        known = prior.latent_names_ if prior.attributes else []
        msg = f"latent {name!r}{nearest(name, known)}: the prior has {known}."
        raise SchemaError(msg)
    at = prior.latent_names_.index(name)
    middle = np.median(prior.latents_, axis=0) if start is None else np.asarray(start)
    ends = np.quantile(prior.latents_[:, at], [(1 - reach) / 2, (1 + reach) / 2])
    z = np.tile(middle, (steps, 1))
    z[:, at] = np.linspace(*ends, steps)
    structures = {name: k for k, name in enumerate(prior.structures_, start=1)}
    labels = classes_of(prior.decode(z)).astype(np.uint8)
    spacing = (prior.frame_.spacing_mm,) * 2
    about = {"structures": structures, "spacing_mm": spacing}
    table = shape_attributes(labels, prior.attributes, **about)
    table.insert(0, "latent", z[:, at])
    return Traversal(name, labels, structures, spacing, table)
