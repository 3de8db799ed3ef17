"""Whether what was fitted on patients is tested on them.

Features, which tell where encoders and the makers of masks were fitted, and the splits
of a **folds** table enter; nothing leaves, or a ``LeakageError`` that names patients.
"""

import logging
from fnmatch import fnmatchcase

import pandas as pd

from radlatent.errors import LeakageError
from radlatent.features.folded import FITTED, FoldedFeatures, is_foreign, origins
from radlatent.features.in_sample import in_sample_of
from radlatent.schema import split_column

__all__ = ["check_fitted"]

_log = logging.getLogger(__name__)


def check_fitted(
    features: pd.DataFrame | FoldedFeatures,
    splits: dict[tuple[int, int], tuple[list[str], list[str]]],
) -> None:
    """Raise if a block or masks were, or may have been, fitted on tested patients.

    Parameters
    ----------
    features
        A **features** table, or features that were fitted fold by fold.
    splits
        (repeat, fold) to the training and the test patients.

    Raises
    ------
    LeakageError
        A fold has no features of its own, a test patient was fitted on, a block
        ``*_latent`` does not tell where it was fitted, or the masks of a test patient
        were made by what was fitted on this patient.

    Notes
    -----
    An encoder of another named cohort passes whatever the names of its patients are,
    since two cohorts may number their patients alike; shared names are logged.
    """
    if isinstance(features, FoldedFeatures):
        _check_folds(features, splits)
        for key, (_, test) in splits.items():
            _check_masks(features.at(*key), test)
            _check_origins(features.at(*key), test, features.fitted_blocks)
    else:
        tested = sorted({patient for _, test in splits.values() for patient in test})
        _check_masks(features, tested)
        _check_origins(features, tested, ())


def _check_masks(table, test):
    for cohort, patients in in_sample_of(table).items():
        shared = sorted(set(test) & set(patients))
        if shared:
            msg = (
                f"{len(shared)} of {len(test)} test patients have masks (cohort "
                f"{cohort!r}) that were made by what was fitted on these patients: "
                f"{shared[:5]}. A new patient's would be worse. Make each patient's by "
                "a fit on other patients (fold by fold, told by applied_to in made_by "
                "of Cohort.with_masks), or on another cohort."
            )
            raise LeakageError(msg)


def _check_folds(features, splits):
    absent = [key for key in splits if key not in features.tables]
    if absent:
        msg = (
            f"{len(absent)} of {len(splits)} (repeat, fold) have no features of their "
            f"own: {absent[:5]}. Encode with the folds table that models are tested on."
        )
        raise LeakageError(msg)
    for (repeat, fold), (_, test) in splits.items():
        seen = sorted(set(test) & set(map(str, features.fitted_on[repeat, fold])))
        if seen:
            msg = (
                f"repeat {repeat}, fold {fold}: {len(seen)} test patients were among "
                f"those the features were fitted on: {seen[:5]}. Encode with the folds "
                "table that models are tested on."
            )
            raise LeakageError(msg)


def _check_origins(table, test, fitted_blocks):
    known = origins(table)
    blocks = dict.fromkeys(split_column(column)[0] for column in table)
    latent = [block for block in blocks if fnmatchcase(block, FITTED)]
    silent = [b for b in latent if b not in known and b not in fitted_blocks]
    if silent:
        msg = (
            f"blocks {silent} do not tell whom their encoder was fitted on. Encode "
            "inside the folds (encode_folds) or by an encoder of another named cohort; "
            "where pandas has lost what the table told, use declare_fitted_on."
        )
        raise LeakageError(msg)
    for block, origin in known.items():
        _check_origin(block, origin, set(test))


def _check_origin(block, origin, test):
    cohort, encoded = origin["cohort"], origin["encoded"]
    shared = sorted(test & set(origin["patients"]))
    if is_foreign(origin):
        if shared:
            _log.warning(
                "block %r: cohorts %r, fitted on, and %r, tested on, share %d names of "
                "patients: %s. If they are the same people, this is leakage.",
                *(block, cohort, encoded, len(shared), shared[:5]),
            )
        return
    if shared:
        msg = (
            f"block {block!r}: its encoder was fitted on {len(shared)} of {len(test)} "
            f"test patients: {shared[:5]}. Encode inside the folds (encode_folds), or "
            "by an encoder of another cohort."
        )
        raise LeakageError(msg)
    if not origin["patients"]:
        msg = (
            f"block {block!r}: its encoder was fitted on cohort {cohort!r}, the table "
            f"is of {encoded!r}, and no patient is named. Say with declare_fitted_on "
            "whom it was fitted on."
        )
        raise LeakageError(msg)
