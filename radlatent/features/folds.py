"""Which patient is tested in which fold of which repeat.

An endpoint enters, a **folds** table leaves. Patients, not cases, are dealt out, so
two lesions of one patient are never on both sides.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from radlatent.errors import SchemaError
from radlatent.schema import check_folds

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = ["make_folds", "read_folds", "site_folds"]


def make_folds(
    endpoint: "Endpoint",
    *,
    n_folds: int = 5,
    n_repeats: int = 10,
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Return a **folds** table, stratified by the endpoint.

    Parameters
    ----------
    endpoint
        The endpoint; its ``strata`` (the class, or the event) are spread evenly.
    n_folds
        Parts the patients are dealt into.
    n_repeats
        Times the dealing is repeated.
    random_state
        Seed or Generator. The order of the patients has no influence.

    Raises
    ------
    SchemaError
        There is one class only, or a class has fewer patients than ``n_folds``.
    """
    if n_folds < 2 or n_repeats < 1:
        msg = f"n_folds={n_folds}, n_repeats={n_repeats}: give at least 2 and 1."
        raise SchemaError(msg)
    strata = endpoint.strata.sort_index()
    _check_strata(strata, endpoint.name, n_folds)
    rng = np.random.default_rng(random_state)
    parts = []
    for repeat, seed in enumerate(rng.integers(2**31, size=n_repeats)):
        splitter = StratifiedKFold(n_folds, shuffle=True, random_state=int(seed))
        fold = np.empty(len(strata), dtype=np.int64)
        for number, (_, test) in enumerate(splitter.split(strata, strata)):
            fold[test] = number
        parts.append(
            pd.DataFrame({"patient_id": strata.index, "repeat": repeat, "fold": fold})
        )
    return check_folds(pd.concat(parts, ignore_index=True))


def site_folds(sites: pd.Series) -> pd.DataFrame:
    """Return a **folds** table in which each site is tested by models of the others.

    Parameters
    ----------
    sites
        ``patient_id`` to site, of the patients of an endpoint.

    Raises
    ------
    SchemaError
        There is one site only, or a patient has none, or two.

    Notes
    -----
    Leave-one-site-out: folds are numbered in the order of the sorted names. A site of
    one patient is a fold of one; metrics pool the predictions of all sites. A model
    that harmonizes must have a rule for sites it has not seen (`Combat`).
    """
    problems = []
    twice = sites.index[sites.index.duplicated()].unique()
    if len(twice):
        problems.append(f"{len(twice)} patients occur twice: {twice[:5].tolist()}")
    silent = sites.index[sites.isna()]
    if len(silent):
        problems.append(f"{len(silent)} patients have no site: {silent[:5].tolist()}")
    names = sorted(sites.dropna().unique())
    if len(names) < 2:
        problems.append(f"there is one site only: {names}")
    if problems:
        raise SchemaError("sites: " + "; ".join(problems) + ".")
    fold = pd.Categorical(sites, categories=names).codes.astype(np.int64)
    return check_folds(
        pd.DataFrame({"patient_id": sites.index, "repeat": 0, "fold": fold})
    )


def read_folds(path: str | Path) -> pd.DataFrame:
    """Return a **folds** table from a CSV file, checked.

    Parameters
    ----------
    path
        Columns ``patient_id, repeat, fold``, such as ``folds.csv`` of a run.

    Raises
    ------
    SchemaError
        The file does not hold a folds table.
    """
    table = pd.read_csv(path, dtype={"patient_id": str})
    return check_folds(table)


def _check_strata(strata, name, n_folds):
    counts = strata.value_counts().sort_index()
    if len(counts) < 2:
        msg = (
            f"endpoint {name!r}: all {len(strata)} patients are of one class, "
            f"{counts.to_dict()}. Nothing can be learned; check the outcome column."
        )
        raise SchemaError(msg)
    small = counts[counts < n_folds]
    if len(small):
        msg = (
            f"endpoint {name!r}: {small.to_dict()} has fewer patients than "
            f"n_folds={n_folds}; all classes: {counts.to_dict()}. "
            f"Use n_folds={max(2, small.min())} or fewer, or merge classes."
        )
        raise SchemaError(msg)
