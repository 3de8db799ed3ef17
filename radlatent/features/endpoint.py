"""One outcome of the patients who have it."""

from dataclasses import dataclass

import pandas as pd

__all__ = ["Endpoint"]


@dataclass(frozen=True, eq=False, repr=False)
class Endpoint:
    """One outcome of the patients who have it.

    Parameters
    ----------
    name
        As in ``cohort.yml``.
    kind
        ``"class"`` or ``"survival"``.
    frame
        Index ``patient_id``; column ``class`` (text), or ``time`` (days) and
        ``event`` (1 = event, 0 = censored).
    positive
        The one of two classes that metrics are of; None takes the last in sorted order.
    """

    name: str
    kind: str
    frame: pd.DataFrame
    positive: str | None = None

    @property
    def strata(self) -> pd.Series:
        """What folds are stratified by: the class, or whether there was an event."""
        column = "class" if self.kind == "class" else "event"
        return self.frame[column].astype(str)

    def __repr__(self) -> str:
        counts = self.strata.value_counts().sort_index().to_dict()
        return f"Endpoint({self.name!r}, {self.kind}: {counts})"
