"""What a final model is of: what its card and its messages say.

Nothing of it predicts; JSON can hold all of it.
"""

from dataclasses import dataclass, field

import pandas as pd

__all__ = ["About"]


@dataclass(frozen=True, eq=False)
class About:
    """What a model is of: what its card and its messages say.

    Parameters
    ----------
    name, blocks, endpoint, kind
        As in the tables of validation.
    columns
        Of the features, in the order of training.
    n, n_events
        Patients, and those of the positive class or with the event; of numbers None.
    outcome
        Class, or cause, to patients; of survival, events and censored ones; of numbers
        empty.
    classes, positive, threshold
        Of classes: their names, and of two the positive one and the probability from
        which on a patient is called so. Of competing events ``positive`` is that of
        interest.
    days, trained_until
        Of times: days that are told by default, and the last one on which a training
        patient was followed.
    unit
        Of outcomes that are numbers; None where they have none.
    numbers
        Of outcomes that are numbers: the smallest, mean, standard deviation and largest
        in training.
    origin
        Where the features come from, as in ``fits``.
    steps
        What is done, a text a step.
    performance
        The **metrics** of the validation, a row a dict.
    validation
        What it was.
    purpose
        What the maker says the model is for.
    way
        From images, or from tables by block, to the columns: what a study said of it;
        empty of a table of one's own.
    versions
        Of the libraries that fitted it.
    """

    name: str
    blocks: str
    endpoint: str
    kind: str
    columns: tuple[str, ...]
    n: int
    n_events: int | None
    outcome: dict[str, int]
    classes: tuple[str, ...] = ()
    positive: str | None = None
    threshold: float | None = None
    days: tuple[float, ...] = ()
    trained_until: float | None = None
    unit: str | None = None
    numbers: tuple[float, ...] = ()
    origin: str = ""
    steps: tuple[str, ...] = ()
    performance: tuple[dict, ...] = ()
    validation: str = ""
    purpose: str = ""
    way: dict = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def metrics(self) -> pd.DataFrame:
        """The **metrics** of the validation; without one, an empty table."""
        table = pd.DataFrame([*self.performance])
        # numbers have no events: a column of nothing is an int all the same
        return table.astype({"n_events": "Int64"}) if len(table) else table
