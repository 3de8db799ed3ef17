"""What became of a mask: the corrected labels, and a reason for every slice."""

from dataclasses import dataclass

import pandas as pd

from radlatent.masks.labels import LabelMap

__all__ = ["Correction"]


@dataclass(frozen=True, eq=False, repr=False)
class Correction:
    """A mask, corrected where that was safe.

    Parameters
    ----------
    mask
        The corrected mask; the one that entered is untouched.
    slices
        Index ``slice``, of those that held something: ``decision`` (``valid``,
        ``corrected``, ``refused``), its ``reason``, ``n_broken`` and
        ``n_broken_after`` rules, ``broken``, their names, ``kept_dice`` of the two
        masks, and what `DicePredictor` says of the mask that entered.
    plausibility
        The columns that the prediction was made from.
    """

    mask: LabelMap
    slices: pd.DataFrame
    plausibility: pd.DataFrame

    @property
    def summary(self) -> pd.Series:
        """Number of slices by decision."""
        return self.slices["decision"].value_counts()

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {what}" for what, n in self.summary.items())
        return f"Correction({self.mask.name}: {counts})"
