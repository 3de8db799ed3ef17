"""Frames of one's own as pandas holds them, made numbers and text.

A frame of a user enters; one whose ids and classes are text and whose times, events and
values are numbers leaves.
"""

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.values import as_floats, as_texts, text_index
from radlatent.schema import nearest

__all__ = ["TYPED", "by_patient", "one_column", "with_columns"]


def one_column(frame, column, otherwise):
    """Return the frame of a Series, and what its column is called."""
    if isinstance(frame, pd.Series):
        column = column or frame.name or otherwise
        frame = frame.rename(column).to_frame()
    return frame, column


def with_columns(frame, columns, patients=None):
    """Return a frame that has some columns; raise, with the nearest name, if not."""
    wanted = [*columns, *([patients] if patients else [])]
    absent = [column for column in wanted if column not in frame]
    if absent:
        hint = nearest(str(absent[0]), [str(name) for name in frame])
        msg = f"there is no column {absent[0]!r}{hint} (there are {list(frame)[:10]})."
        raise SchemaError(msg)
    return frame


def by_patient(frame: pd.DataFrame, patients: str | None = None) -> pd.DataFrame:
    """Return a frame of one's own indexed by ``patient_id``, as text.

    Parameters
    ----------
    frame
        A row a patient.
    patients
        Column of the ids; None takes ``patient_id``, or else the index.

    Raises
    ------
    SchemaError
        Neither is there: rows that are only counted belong to nobody. Or an id is
        missing, or there twice.
    """
    if patients is None and "patient_id" in frame:
        patients = "patient_id"
    if patients is not None:
        frame = frame.set_index(patients)
    elif isinstance(frame.index, pd.RangeIndex) and frame.index.name is None:
        msg = (
            "the rows are counted and name no patients. Say who they are: "
            "frame.set_index('patient_id'), or patients='column of the ids'."
        )
        raise SchemaError(msg)
    missing = as_texts(frame.index.to_series()).isna().sum()
    if missing:
        raise SchemaError(f"{missing} rows have no patient_id.")
    index = text_index(frame.index).rename("patient_id")
    twice = index[index.duplicated()].unique()
    if len(twice):
        msg = (
            f"{len(twice)} patients are there twice or more: {twice[:5].tolist()}. "
            "Give one row a patient (aggregate brings cases of a patient together)."
        )
        raise SchemaError(msg)
    return frame.set_axis(index)


def _class_frame(frame, _):
    classes = frame["class"]
    texts = all(isinstance(value, str) and value.strip() for value in classes)
    # of a categorical, classes that nobody has would count as well
    if texts and not isinstance(classes.dtype, pd.CategoricalDtype):
        return frame.set_axis(text_index(frame.index))
    return frame.assign(**{"class": as_texts(classes)}).set_axis(
        text_index(frame.index)
    )


def _survival_frame(frame, name):
    event = _numbers(frame, "event", name)
    # what is missing, or 2, is told where the outcome is used
    if np.isin(event, [0, 1]).all():
        event = event.astype(int)
    made = frame.set_axis(text_index(frame.index))
    return made.assign(time=_days(frame, name), event=event)


def _competing_frame(frame, name):
    made = frame.set_axis(text_index(frame.index))
    return made.assign(time=_days(frame, name), cause=as_texts(made["cause"]))


def _days(frame, name):
    if frame["time"].dtype.kind == "m":
        frame = frame.assign(time=frame["time"] / pd.Timedelta(days=1))
    return _numbers(frame, "time", name)


def _numbers(frame, column, name):
    numbers = as_floats(frame[column])
    if numbers is None:
        some = frame[column].head(3).tolist()
        msg = f"endpoint {name!r}: {column} holds {some}, which are no numbers."
        raise SchemaError(msg)
    return numbers.to_numpy()


def _continuous_frame(frame, name):
    made = frame.set_axis(text_index(frame.index))
    return made.assign(value=_numbers(frame, "value", name))


#: Kind of an outcome to what makes its frame: frame and name enter.
TYPED = {
    "class": _class_frame,
    "survival": _survival_frame,
    "competing": _competing_frame,
    "continuous": _continuous_frame,
}
