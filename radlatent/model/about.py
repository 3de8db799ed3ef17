"""What a final model is of: what its card and its messages say.

Nothing of it predicts; JSON can hold all of it.
"""

from dataclasses import dataclass, field

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
        Patients, and those of the positive class or with the event.
    outcome
        Class to patients; of survival, events and censored ones.
    classes, positive, threshold
        Of classes: their names, and of two the positive one and the probability from
        which on a patient is called so.
    days, trained_until
        Of survival: days that are told by default, and the last one on which a training
        patient was followed.
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
    n_events: int
    outcome: dict[str, int]
    classes: tuple[str, ...] = ()
    positive: str | None = None
    threshold: float | None = None
    days: tuple[float, ...] = ()
    trained_until: float | None = None
    origin: str = ""
    steps: tuple[str, ...] = ()
    performance: tuple[dict, ...] = ()
    validation: str = ""
    purpose: str = ""
    way: dict = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
