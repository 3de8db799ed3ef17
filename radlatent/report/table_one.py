"""Table 1: who the patients are, by outcome.

Clinical columns and an endpoint enter, a table of text leaves, ready to print.
"""

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.endpoint import CENSORED

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = ["halves", "table_one"]


def table_one(clinical: pd.DataFrame, endpoint: "Endpoint") -> pd.DataFrame:
    """Return the baseline characteristics of the patients, by outcome.

    Parameters
    ----------
    clinical
        One row a patient, index ``patient_id``; a block name before the columns is
        not printed. Numbers are continuous, but for a column of 0 and 1; all else is
        a category.
    endpoint
        Its patients are described, by class, by whether there was an event, by which
        of several came first, or by the half of a number that they are in.

    Returns
    -------
    DataFrame
        ``Characteristic``, ``All`` and each group with its n, ``Missing`` and ``SMD``:
        median and quartiles, or number and share of the patients whose value is known.

    Raises
    ------
    SchemaError
        A patient of the endpoint has no row.

    Notes
    -----
    There are no p-values: groups by outcome are no samples of two populations whose
    difference is in question, many tests find something, and p tells the size of the
    cohort rather than that of the difference (TRIPOD+AI and CLEAR item 44 ask for the
    characteristics, not for tests). The standardized mean difference tells the size:
    the distance of the means, or of the shares of all categories but one, in units of
    the covariance averaged over the two groups. Of several groups it is that of the
    pair furthest apart.

    References
    ----------
    Austin 2009, Stat Med 28:3083, doi:10.1002/sim.3697; Yang & Dalton 2012, SAS Global
    Forum, paper 335; Kocak et al. 2023, doi:10.1186/s13244-023-01415-8
    """
    absent = endpoint.frame.index.difference(clinical.index)
    if len(absent):
        msg = f"clinical has no row of {absent[:5].tolist()}, patients of the endpoint."
        raise SchemaError(msg)
    clinical = clinical.loc[endpoint.frame.index]
    groups = _groups(endpoint)
    parts = {f"All (n = {len(clinical)})": clinical}
    for name, patients in clinical.groupby(groups, observed=True):
        parts[f"{name} (n = {len(patients)})"] = patients
    rows = []
    for column in clinical:
        values = clinical[column]
        known = {name: part[column].dropna() for name, part in parts.items()}
        name = str(column).rpartition("__")[2]
        end = {
            "Missing": str(int(values.isna().sum())),
            "SMD": _largest_difference(values, groups),
        }
        if _is_continuous(values):
            cells = {part: _quartiles(v) for part, v in known.items()}
            rows.append({"Characteristic": f"{name}, median (quartiles)"} | cells | end)
            continue
        for level in _levels(values):
            cells = {part: _share(v == level) for part, v in known.items()}
            rows.append({"Characteristic": f"{name} = {_text(level)}, n (%)"} | cells)
            rows[-1] |= end
            end = {"Missing": "", "SMD": ""}  # once a characteristic
    columns = ["Characteristic", *parts, "Missing", "SMD"]
    return pd.DataFrame(rows, columns=columns)


def _groups(endpoint):
    if endpoint.kind == "class":
        return endpoint.frame["class"]
    if endpoint.kind == "continuous":
        return halves(endpoint.frame["value"], endpoint.unit)
    if endpoint.kind == "competing":
        order = pd.CategoricalDtype([*endpoint.causes, CENSORED])
        return endpoint.frame["cause"].astype(order)
    return endpoint.frame["event"].map({1: "Event", 0: "Censored"})


def halves(values: pd.Series, unit: str | None = None) -> pd.Series:
    """Return in which half each patient is, in words: up to the median, or above.

    Parameters
    ----------
    values
        A continuous outcome.
    unit
        Of it.
    """
    middle, of = values.median(), f" {unit}" if unit else ""
    low, high = f"Up to {middle:.4g}{of}", f"Above {middle:.4g}{of}"
    names = pd.Series(np.where(values > middle, high, low), values.index)
    return names.astype(pd.CategoricalDtype([low, high]))


def _is_continuous(values):
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return False
    return not set(values.dropna()) <= {0, 1}


def _levels(values):
    """Return the categories that are printed: of 0 and 1 the latter says it all."""
    found = sorted(values.dropna().unique(), key=str)
    return found[-1:] if set(found) <= {0, 1} else found


def _text(level):
    return f"{level:g}" if isinstance(level, float) else str(level)


def _quartiles(values):
    if values.empty:
        return "–"
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    numbers = [f"{value:.3g}".replace("-", "−") for value in (low, middle, high)]
    # a dash beside a minus sign is hard to read
    between = " to " if low < 0 else "–"
    return f"{numbers[1]} ({numbers[0]}{between}{numbers[2]})"


def _share(hits):
    return f"{hits.sum()} ({100 * hits.mean():.0f})" if len(hits) else "–"


def _largest_difference(values, groups):
    known = values.dropna()
    if not _is_continuous(values):
        known = pd.get_dummies(known, dtype=float).iloc[:, 1:]
    parts = [part for _, part in known.groupby(groups.loc[known.index], observed=True)]
    found = [_difference(*pair) for pair in combinations(map(_columns, parts), 2)]
    found = [value for value in found if np.isfinite(value)]
    return f"{max(found):.2f}" if found else "–"


def _columns(part):
    return part.to_numpy(float).reshape(len(part), -1)


def _difference(first, second):
    """Return the standardized difference of two groups, each (n, n_columns)."""
    if min(len(first), len(second)) < 2 or not first.shape[1]:
        return np.nan
    gap = first.mean(axis=0) - second.mean(axis=0)
    # a share varies by p (1 - p), a sample of numbers by its variance with n - 1
    ddof = 0 if set(np.unique(np.r_[first, second])) <= {0, 1} else 1
    spread = sum(np.cov(part, rowvar=False, ddof=ddof) for part in (first, second)) / 2
    spread = np.atleast_2d(spread)
    if np.linalg.matrix_rank(spread) < len(gap):
        return np.nan
    return float(np.sqrt(gap @ np.linalg.solve(spread, gap)))
