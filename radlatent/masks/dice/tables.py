"""What goes into a predictor of Dice: it enters, and leaves checked."""

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError

__all__ = ["checked_truth", "checked_values"]


def checked_values(X: pd.DataFrame) -> np.ndarray:
    """Return the numbers of a table, shape (n_masks, n_columns).

    Raises
    ------
    SchemaError
        It is no table of numbers, or one is infinite.
    """
    if not isinstance(X, pd.DataFrame) or X.shape[1] == 0 or not X.columns.is_unique:
        msg = "X is not a DataFrame with one or more columns, each of another name."
        raise SchemaError(msg)
    texts = [column for column in X if not pd.api.types.is_numeric_dtype(X[column])]
    values = np.empty(0)
    if not texts:
        values = X.to_numpy(float, na_value=np.nan)
    infinite = [] if texts else [*X.columns[np.isinf(values).any(axis=0)]]
    if texts or infinite:
        msg = (
            f"the columns {texts[:5]} of X are no numbers, {infinite[:5]} are infinite "
            "in some rows. Give numbers, NaN where one does not exist."
        )
        raise SchemaError(msg)
    return values


def checked_truth(
    X: pd.DataFrame, dice: pd.Series, patients: pd.Series
) -> tuple[np.ndarray, np.ndarray]:
    """Return the Dice and the names of the patients of the masks of a table.

    Raises
    ------
    SchemaError
        They are not in the rows of the table, or some are missing or out of range.
    """
    for name, series in (("dice", dice), ("patients", patients)):
        if isinstance(series, pd.Series) and not series.index.equals(X.index):
            msg = f"the index of {name} is not that of X. Give both in one order."
            raise SchemaError(msg)
    dice, patients = np.asarray(dice, float), np.asarray(patients)
    if not dice.shape == patients.shape == (len(X),):
        msg = (
            f"X has {len(X)} rows, dice {dice.shape}, patients {patients.shape}. "
            "Give one Dice and one patient for each row."
        )
        raise SchemaError(msg)
    outside = np.flatnonzero(~((dice >= 0) & (dice <= 1)))
    nameless = np.flatnonzero(pd.isna(patients))
    if len(outside) or len(nameless):
        msg = (
            f"{len(outside)} masks have a Dice that is missing or not from 0 to 1 (the "
            f"first in row {outside[:1]}), {len(nameless)} no patient (row "
            f"{nameless[:1]}). Leave out masks without a reference."
        )
        raise SchemaError(msg)
    return dice, patients.astype(str)
