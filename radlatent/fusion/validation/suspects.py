"""What no feature should be: the outcome itself, a numbering by it, a copied patient.

Features and an endpoint enter; a table of what is suspicious leaves, and is logged. It
is no proof, and nothing is refused: a column may be that good, and twins there are.
"""

import logging
from math import lgamma
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from radlatent.features.endpoint import TIMED
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion.solvers.concordance import concordance
from radlatent.fusion.validation.inputs import outcome_of
from radlatent.schema import split_column

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = ["log_suspects", "suspects"]

_log = logging.getLogger(__name__)

#: An AUC or C at least so far from 0.5 is that of the outcome, a slip of the pen apart.
_ALL_BUT = 0.495

#: Digits to which values of a copy are the same.
_DIGITS = 9

#: Chance that some column of noise separates the outcome, above which nothing is said.
_CHANCE = 1e-3


def suspects(
    features: pd.DataFrame | FoldedFeatures, endpoint: "Endpoint"
) -> pd.DataFrame:
    """Return columns that are the outcome, and patients whose features are copies.

    Parameters
    ----------
    features
        A **features** table by ``patient_id``; of features that were fitted fold by
        fold, the first table.
    endpoint
        An endpoint of these patients.

    Returns
    -------
    DataFrame
        ``what`` ("outcome", "order" or "copy"), ``where`` (the column, or the block),
        ``message``.

    Notes ----- A column is told where its ranks by themselves separate a class from all
    others, or order the times or numbers (AUC or C of 0.995 and more, either way), and
    so few patients are not separated by chance in that many columns. Whole numbers in
    steps of one that do so number the patients in the order of the outcome. A copy is a
    patient who has all values of a block from another one, two of the columns at least
    being measurements: most patients differ there.
    """
    if isinstance(features, FoldedFeatures):
        features = next(iter(features.tables.values()))
    patients = endpoint.frame.index.intersection(features.index, sort=False)
    table = features.loc[patients]
    rows = [*_outcomes(table, endpoint), *_copies(table)]
    return pd.DataFrame(rows, columns=["what", "where", "message"], dtype=object)


def log_suspects(
    features: pd.DataFrame | FoldedFeatures, endpoint: "Endpoint"
) -> pd.DataFrame:
    """Return `suspects`, each of which was logged as a warning."""
    found = suspects(features, endpoint)
    for message in found["message"]:
        _log.warning("%s", message)
    return found


def _outcomes(table, endpoint):
    y = outcome_of(endpoint, table.index.tolist())
    sides = _SIDES[endpoint.kind](y)
    y, ordered = _as_times(y) if endpoint.kind == "continuous" else (y, "")
    if endpoint.kind in TIMED:
        y, ordered = _any_event(y), "orders the times of the events"
    for column in table:
        values = table[column].to_numpy()
        known = ~np.isnan(values)
        if known.sum() < len(values) / 2 or len(np.unique(values[known])) < 2:
            continue
        says = _separates(values[known], {k: s[known] for k, s in sides.items()}, table)
        if not says and ordered and _orders(values[known], y[known], table):
            says = ordered
        if says:
            counts = _counts_patients(values[known])
            what = "order" if counts else "outcome"
            asked = (
                "does it number the patients in the order of the outcome?"
                if counts
                else "is it the outcome, or was it measured after it?"
            )
            yield what, column, f"{column} alone {says}: {asked}"


def _as_times(numbers):
    """Return numbers as times that nobody is censored in, and what orders them."""
    y = np.empty(len(numbers), dtype=[("event", bool), ("time", float)])
    y["event"], y["time"] = True, rankdata(numbers)
    return y, "orders the patients by the outcome"


def _any_event(y):
    """Return times until any event: a column of them orders, whatever came first."""
    made = np.empty(len(y), dtype=[("event", bool), ("time", float)])
    made["time"], made["event"] = y["time"], y["event"]
    if "cause" in y.dtype.names:
        made["event"] = y["cause"] > 0
    return made


def _classes(y):
    """Return what may be separated from the rest: name to who is of it."""
    classes = np.asarray(y)
    names = np.unique(classes)
    if len(names) == 2:
        return {"the classes": classes == names[1]}
    return {f"class {name!r} from the others": classes == name for name in names}


def _events(y):
    return {"events from censored patients": y["event"]}


def _causes(y):
    happened = y["cause"] > 0
    return {"the event of interest from all else": y["event"]} | (
        {} if happened.all() else {"events from censored patients": happened}
    )


#: Kind of outcome to what may be separated from the rest.
_SIDES = {
    "class": _classes,
    "survival": _events,
    "competing": _causes,
    "continuous": lambda y: {},
}


def _separates(values, sides, table):
    ranks = rankdata(values)
    for name, inside in sides.items():
        n, total = int(inside.sum()), len(inside)
        if not 0 < n < total or _by_chance(n, total, table.shape[1]) > _CHANCE:
            continue
        area = (ranks[inside].sum() - n * (n + 1) / 2) / (n * (total - n))
        if abs(area - 0.5) >= _ALL_BUT:
            return f"separates {name}"
    return ""


def _by_chance(n, total, n_columns):
    """Return how likely noise in one of the columns separates n from the others."""
    ways = lgamma(total + 1) - lgamma(n + 1) - lgamma(total - n + 1)
    return 2 * n_columns * np.exp(-ways)


def _orders(values, y, table):
    n = int(y["event"].sum())
    # orders of n events
    if n < 2 or 2 * table.shape[1] * np.exp(-lgamma(n + 1)) > _CHANCE:
        return False
    return abs(concordance(values[:, None], y)[0] - 0.5) >= _ALL_BUT


def _counts_patients(values):
    return len(values) > 2 and np.array_equal(
        np.sort(values), np.arange(len(values)) + values.min()
    )


def _copies(table):
    for block, columns in table.columns.to_series().groupby(
        [split_column(column)[0] for column in table], sort=False
    ):
        part = table[list(columns)]
        part = part[part.notna().any(axis=1)]
        measured = (part.nunique() > len(part) / 2).sum()
        if measured < 2:
            continue
        for alike in _alike(part):
            if len(alike) > 1:
                who = ", ".join(map(str, alike[:5]))
                more = f" and {len(alike) - 5} more" if len(alike) > 5 else ""
                message = (
                    f"patients {who}{more} have the same values in all {len(columns)} "
                    f"columns of {block}: is one a copy? In training and test it is "
                    "leakage."
                )
                yield "copy", block, message


def _alike(part):
    """Return the patients of each set of values, to nine digits."""
    values = part.to_numpy(np.float64)
    known = np.isfinite(values) & (values != 0)
    size = np.zeros_like(values)
    np.log10(np.abs(values), out=size, where=known)
    # what was written to a file and read again may differ in its last digits
    scale = 10.0 ** np.clip(_DIGITS - 1 - np.floor(size), -300, 300)
    rounded = np.where(known, np.round(values * scale) / scale, values) + 0.0
    rounded[np.isnan(rounded)] = np.nan  # one NaN, whatever its bits
    found = {}
    for patient, row in zip(part.index, rounded, strict=True):
        found.setdefault(row.tobytes(), []).append(patient)
    return found.values()
