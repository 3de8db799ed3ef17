"""The tables that a certificate is made of, checked, and narrowed where they are wide.

**features** tables and the patients of their rows enter; arrays whose rows belong to
each other leave, or every problem at once.
"""

import logging
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from radlatent.errors import LeakageError, SchemaError
from radlatent.features.origin import FITTED, origin_of_blocks
from radlatent.latent.certificate.components import (
    components,
    components_in_folds,
    n_components,
)
from radlatent.schema import check_features, split_column

__all__ = ["Pair", "checked", "pair_of"]

_log = logging.getLogger(__name__)

_MIN_PATIENTS = 20
#: Columns up to which each is looked at by itself.
_MOST_COLUMNS = 64
#: Components that stand for more columns than that, and for hand-crafted features.
_MOST_LATENT, _MOST_HANDCRAFTED = 32, 8


@dataclass(frozen=True, eq=False)
class Pair:
    """Hand-crafted and latent features of the same rows, as estimators take them.

    Parameters
    ----------
    handcrafted, latent
        Shape (n, n_columns), all that vary.
    features
        What stands for ``latent``, feature by feature: the same, or its first
        components, shape (n, n_features).
    in_folds
        ``features`` as models in folds get them: the same, or shape (n_folds, n,
        n_features), components of the training rows of each fold.
    patients, folds
        Shape (n,).
    names
        Of all features, those that do not vary among them.
    active
        Which vary, shape (n_names,).
    columns
        Names of the hand-crafted columns.
    """

    handcrafted: np.ndarray
    latent: np.ndarray
    features: np.ndarray
    in_folds: np.ndarray
    patients: np.ndarray
    folds: np.ndarray
    names: list[str]
    active: np.ndarray
    columns: list[str]

    @property
    def n_folds(self) -> int:
        """Folds that predictions are pooled over."""
        return len(np.unique(self.folds))

    @property
    def parts(self) -> np.ndarray:
        """First components of the hand-crafted features, (n_folds, n, n_parts)."""
        n = n_components(self.handcrafted.shape[1], self._n_train, _MOST_HANDCRAFTED)
        return components_in_folds(self.handcrafted, self.folds, n)

    @property
    def _n_train(self):
        return len(np.unique(self.patients))

    @property
    def narrowed(self) -> str:
        """What was done to a wide table, in words; nothing of a narrow one."""
        if self.features is self.latent:
            return ""
        n, p = self.features.shape[1], self.latent.shape[1]
        return f"{n} principal components of {p} columns, fitted on training rows"


def pair_of(
    handcrafted: pd.DataFrame,
    latent: pd.DataFrame,
    patients: np.ndarray,
    folds: np.ndarray,
) -> Pair:
    """Return the arrays of two tables that were `checked`.

    Parameters
    ----------
    handcrafted, latent, patients
        As `checked` returns them.
    folds
        The fold of each row, shape (n,).
    """
    values = latent.to_numpy(float)
    active = _varies(values)
    names, values = latent.columns.tolist(), values[:, active]
    features = in_folds = values
    if values.shape[1] > _MOST_COLUMNS:
        n = n_components(values.shape[1], len(np.unique(patients)), _MOST_LATENT)
        features = components(values, n)
        in_folds = components_in_folds(values, folds, n)
        names, active = _component_names(names, n), np.ones(n, bool)
    return Pair(
        handcrafted.to_numpy(float),
        values,
        features,
        in_folds,
        patients,
        folds,
        names,
        active,
        handcrafted.columns.tolist(),
    )


def _component_names(columns, n):
    blocks = {split_column(str(column))[0] for column in columns}
    block = blocks.pop() if len(blocks) == 1 else "latent"
    return [f"{block}__component{k:03d}" for k in range(n)]


def checked(
    handcrafted: pd.DataFrame,
    latent: pd.DataFrame,
    patients: pd.Series,
    n_folds: int,
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Return both tables and the patients in the order of rows of the latent table.

    Parameters
    ----------
    handcrafted, latent, patients, n_folds
        As of `redundancy`.

    Raises
    ------
    SchemaError
        With everything that is wrong with them.
    LeakageError
        The latent features were, or may have been, fitted on these patients.
    """
    check_features(handcrafted)
    check_features(latent)
    rows = latent.index
    found = _row_problems(handcrafted, latent, patients)
    if not found:
        handcrafted, patients = handcrafted.loc[rows], patients.loc[rows].to_numpy()
        found = _value_problems(handcrafted, latent)
        found += _patient_problems(patients, n_folds)
    if found:
        raise SchemaError("redundancy: " + "; ".join(found) + ".")
    _check_origin(latent, patients)
    return handcrafted, latent, patients


def _check_origin(latent, patients):
    """Raise where an encoder is certified on patients that it was fitted on."""
    here, silent = {str(patient) for patient in patients}, []
    for block, origin in origin_of_blocks(latent).items():
        for fit in origin.fits:
            seen = fit.saw(here)
            if seen or not (fit.patients or fit.is_foreign):
                whom = f"{len(seen)} of these {len(here)} patients: {seen[:5]}"
                msg = (
                    f"redundancy: block {block!r} was fitted on "
                    f"{whom if seen else 'this cohort, nobody named'}. On its own "
                    "training patients an encoder looks less redundant than it is. "
                    "Certify held-out patients: encode_folds with redundancy_folds, or "
                    "an encoder of other patients."
                )
                raise LeakageError(msg)
        if not origin.told and fnmatchcase(block, FITTED):
            silent.append(block)
    if silent:
        _log.warning(
            "redundancy: blocks %s do not tell whom their encoder was fitted on. If "
            "these patients were among them, they look less redundant than they are; "
            "declare_fitted_on tells.",
            silent,
        )


def _row_problems(handcrafted, latent, patients):
    found = []
    for name, one, other in (
        ("hand-crafted", handcrafted.index, latent.index),
        ("latent", latent.index, handcrafted.index),
    ):
        lacking = other.difference(one)
        if len(lacking):
            some = lacking[:5].tolist()
            found.append(f"the {name} table lacks {len(lacking)} rows, such as {some}")
    if not patients.index.is_unique:
        found.append("patients have the same index more than once")
        return found
    known = patients.dropna().index
    lacking = latent.index.difference(known)
    if len(lacking):
        some = lacking[:5].tolist()
        found.append(f"{len(lacking)} rows have no patient, such as {some}")
    return found


def _value_problems(handcrafted, latent):
    found = []
    for name, table in (("hand-crafted", handcrafted), ("latent", latent)):
        holes = table.index[table.isna().any(axis=1)]
        if len(holes):
            found.append(
                f"{len(holes)} {name} rows hold NaN, such as {holes[:5].tolist()}: "
                "impute or drop them in both tables"
            )
    same = handcrafted.columns[handcrafted.nunique(dropna=True) < 2].tolist()
    if same or not handcrafted.shape[1]:
        found.append(
            f"of {handcrafted.shape[1]} hand-crafted columns {len(same)} are constant, "
            f"{same[:5]}: drop them"
        )
    if not found and not _varies(latent.to_numpy()).any():
        found.append(f"none of {latent.shape[1]} latent columns varies")
    return found


def _patient_problems(patients, n_folds):
    counts = pd.Series(patients).value_counts()
    found = []
    needed = max(_MIN_PATIENTS, 4 * n_folds)
    if n_folds < 2 or len(counts) < needed:
        found.append(
            f"{len(counts)} patients and n_folds={n_folds}: give 2 folds or more, and "
            f"{needed} patients or more"
        )
    # a true pair needs shuffled ones of other patients on either side of a fold
    if counts.max() > len(patients) / 5:
        found.append(
            f"patient {counts.index[0]!r} has {counts.max()} of {len(patients)} rows, "
            "more than a fifth: keep fewer of them"
        )
    return found


def _varies(values):
    return np.ptp(values, axis=0) > 1e-6 * np.abs(values).max(axis=0, initial=0)
