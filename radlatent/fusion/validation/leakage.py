"""Whether what was fitted on patients is tested on them.

Features, which tell where encoders and the makers of masks were fitted, and the splits
of a **folds** table enter; what each block tells leaves, or a ``LeakageError`` that
names patients.
"""

import logging
from fnmatch import fnmatchcase

import pandas as pd

from radlatent.errors import LeakageError
from radlatent.features.folded import FoldedFeatures
from radlatent.features.origin import (
    FITTED,
    UNKNOWN,
    Fit,
    Origin,
    cohort_label,
    mask_fits,
    origin_of_blocks,
)

__all__ = ["NOT_TOLD", "check_fitted", "origin_of_fits"]

_log = logging.getLogger(__name__)

#: What ``fits`` says of a block whose table does not say where it comes from.
NOT_TOLD = "not told"

_Splits = dict[tuple[int, int], tuple[list[str], list[str]]]


def check_fitted(features: pd.DataFrame | FoldedFeatures, splits: _Splits) -> None:
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

    A block of another name that does not tell whether it was measured or fitted passes
    with a warning, and ``origin_of_fits`` says so. If its table still knows a fit of a
    block that is not there any more, the block may be that one under another name: it
    is refused where that fit saw a test patient.
    """
    if isinstance(features, FoldedFeatures):
        _check_folds(features, splits)
        fitted = features.fitted_blocks
        parts = [(features.at(*key), test) for key, (_, test) in splits.items()]
    else:
        tested = sorted({patient for _, test in splits.values() for patient in test})
        fitted, parts = (), [(features, tested)]
    _log_names(
        pair for table, test in parts for pair in _check_table(table, test, fitted)
    )
    words = [
        pair for told in _words(features, splits).values() for pair in told.items()
    ]
    unknown = list(dict.fromkeys(b for b, word in words if word == UNKNOWN))
    if unknown:
        _log.warning(
            "blocks %s: nobody knows whom their encoder was fitted on. If the tested "
            "patients were among them, results are too good.",
            unknown,
        )
    silent = [block for block, word in words if word == NOT_TOLD]
    if silent:
        _log.warning(
            "blocks %s do not tell whether they were measured or fitted on patients: "
            "if these are tested, nobody can see it, and fits say %r. pandas drops "
            "what tables tell in concat, merge and CSV: put tables together with join, "
            "or say it of blocks of your own with declare_measured or "
            "declare_fitted_on.",
            *(list(dict.fromkeys(silent)), NOT_TOLD),
        )


def origin_of_fits(
    features: pd.DataFrame | FoldedFeatures, splits: _Splits
) -> dict[tuple[int, int], str]:
    """Return what is known of where the features of each fold come from.

    Parameters
    ----------
    features, splits
        As in `check_fitted`, checked by it.

    Returns
    -------
    dict
        (repeat, fold) to "measured", "fitted in the fold", "other cohort A", "other
        patients of A", "unknown" (declared to be) or "not told"; where blocks differ,
        each with its blocks in brackets, one after the other.
    """
    return {key: _sentence(told) for key, told in _words(features, splits).items()}


def _words(features, splits):
    """Return (repeat, fold) to block to where it comes from."""
    if not isinstance(features, FoldedFeatures):
        found = {b: _word(o) for b, o in origin_of_blocks(features).items()}
        return dict.fromkeys(splits, found)
    folded = dict.fromkeys(features.fitted_blocks, "fitted in the fold")
    return {
        key: {b: _word(o) for b, o in origin_of_blocks(features.at(*key)).items()}
        | folded
        for key in splits
    }


def _word(origin: Origin) -> str:
    if not origin.told:
        return NOT_TOLD
    if not origin.fits:
        return "measured"
    if origin.fits[0].is_unknown:
        return UNKNOWN
    kind = "cohort" if origin.fits[0].is_foreign else "patients of"
    return f"other {kind} {cohort_label(origin.fits[0].cohorts)}"


def _sentence(told):
    by = {}
    for block, word in told.items():
        by.setdefault(word, []).append(block)
    if len(by) == 1:
        return next(iter(by))
    return "; ".join(f"{word} ({', '.join(blocks)})" for word, blocks in by.items())


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


def _log_names(pairs):
    """Log the patients of each pair of cohorts who share a name, once."""
    found = {}
    for pair, names in pairs:
        found.setdefault(pair, set()).update(names)
    for (block, cohort, encoded), names in found.items():
        _log.warning(
            "block %r: cohorts %r, fitted on, and %r, tested on, share %d names of "
            "patients: %s. If they are the same people, this is leakage.",
            *(block, cohort, encoded, len(names), sorted(names)[:5]),
        )


def _check_table(table, test, fitted_blocks):
    """Raise as `check_fitted`; yield the cohorts of a fit and the names they share."""
    for fit in mask_fits(table):
        _check_masks(fit, test)
    known = origin_of_blocks(table)
    silent = [
        block
        for block, origin in known.items()
        if fnmatchcase(block, FITTED) and not (origin.told or block in fitted_blocks)
    ]
    if silent:
        msg = (
            f"blocks {silent} do not tell whom their encoder was fitted on. Encode "
            "inside the folds (encode_folds) or by an encoder of another named cohort; "
            "where pandas has lost what the table told, use declare_fitted_on."
        )
        raise LeakageError(msg)
    for block, origin in known.items():
        if block in fitted_blocks and not origin.told:
            continue
        for fit in origin.fits:
            _check_fit(block, fit, origin.told, test)
            shared = fit.shared(test)
            if shared and fit.is_foreign:
                yield (block, cohort_label(fit.cohorts), cohort_label(fit.rows)), shared


def _check_masks(fit, test):
    seen = fit.saw(test)
    if seen:
        msg = (
            f"{len(seen)} of {len(test)} test patients have masks (cohort "
            f"{cohort_label(fit.rows)!r}) that were made by what was fitted on these "
            f"patients: {seen[:5]}. A new patient's would be worse. Make each "
            "patient's by a fit on other patients (fold by fold, told by applied_to in "
            "made_by of Cohort.with_masks), or on another cohort."
        )
        raise LeakageError(msg)


def _check_fit(block, fit: Fit, told, test):
    seen = fit.saw(test)
    nobody = not (fit.patients or fit.is_foreign)
    cohort, encoded = cohort_label(fit.cohorts), cohort_label(fit.rows)
    if not told and (seen or nobody):
        whom = f"{len(seen)} of {len(test)} test patients: {seen[:5]}"
        msg = (
            f"block {block!r} does not tell where it comes from, and its table tells "
            f"of block {fit.block!r}, which is not there, that it was fitted on "
            f"{whom if seen else 'this cohort, nobody named'}. If it is that block "
            "under another name, encode inside the folds (encode_folds); if it was "
            f"measured, say declare_measured(table, {block!r})."
        )
        raise LeakageError(msg)
    if seen:
        msg = (
            f"block {block!r}: its encoder was fitted on {len(seen)} of {len(test)} "
            f"test patients: {seen[:5]}. Encode inside the folds (encode_folds), or "
            "by an encoder of another cohort."
        )
        raise LeakageError(msg)
    if nobody:
        msg = (
            f"block {block!r}: its encoder was fitted on cohort {cohort!r}, the table "
            f"is of {encoded!r}, and no patient is named. Say with declare_fitted_on "
            "whom it was fitted on."
        )
        raise LeakageError(msg)
