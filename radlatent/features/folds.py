"""Which patient is tested in which fold of which repeat.

An endpoint enters, a **folds** table leaves. Patients, not cases, are dealt out, so
two lesions of one patient are never on both sides.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.model_selection import StratifiedKFold

from radlatent.errors import SchemaError
from radlatent.features.endpoint import (
    TIMED,
    Endpoint,
    groups_of,
    outcome_problems,
    strata_of,
)
from radlatent.schema import check_folds, meant

__all__ = ["deal", "make_folds", "read_folds", "site_folds", "whose_rows"]


def whose_rows(X: ArrayLike) -> np.ndarray:
    """Return whose row each is, as numbers in order of appearance, shape (n_rows,).

    Parameters
    ----------
    X
        Features by patient, or the patients themselves. A bootstrap draw holds some of
        them several times; parts of it that are dealt by this number have no patient
        on both sides. An array without names has one patient a row.
    """
    names = X.index if isinstance(X, pd.DataFrame | pd.Series) else X
    if getattr(names, "ndim", 2) == 1:
        return pd.factorize(np.asarray(names, dtype=object))[0]
    sized = names if hasattr(names, "shape") else np.asarray(names)
    return np.arange(sized.shape[0])


def deal(
    patients: ArrayLike,
    n_parts: int,
    *,
    strata: ArrayLike | None = None,
    random_state: int | np.random.Generator | None = 0,
) -> np.ndarray:
    """Return the part that each row is dealt into; the rows of a patient are in one.

    Parameters
    ----------
    patients
        Whose row it is, shape (n_rows,). The order of the rows has no influence.
    n_parts
        Parts, at most as many as there are patients.
    strata
        What is spread evenly over the parts, shape (n_rows,); a patient is of one
        stratum. None spreads rows: patients are dealt in turn, those with most rows
        first, in random order among equals, so that parts are of similar size and each
        holds patients that can be exchanged.
    random_state
        Seed or Generator; None draws other parts each time.

    Returns
    -------
    ndarray
        Integers from 0 to ``n_parts - 1``, shape (n_rows,).

    Raises
    ------
    ValueError
        No stratum has as many patients as there are parts.
    """
    _, first, number, counts = np.unique(
        patients, return_index=True, return_inverse=True, return_counts=True
    )
    part = np.empty(len(first), dtype=np.int64)
    if strata is None:
        order = np.random.default_rng(random_state).permutation(len(first))
        order = order[np.argsort(-counts[order], kind="stable")]
        part[order] = np.arange(len(first)) % n_parts
        return part[number]
    if isinstance(random_state, np.random.Generator):
        random_state = int(random_state.integers(2**31))
    splitter = StratifiedKFold(n_parts, shuffle=True, random_state=random_state)
    of_patient = np.asarray(strata)[first]
    for one, (_, inside) in enumerate(splitter.split(first, of_patient)):
        part[inside] = one
    return part[number]


def make_folds(
    endpoint: Endpoint,
    *,
    n_folds: int = 5,
    n_repeats: int = 10,
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Return a **folds** table, stratified by the endpoint.

    Parameters
    ----------
    endpoint
        The endpoint; classes, events and censored, or low and high values are spread
        evenly. Survival with fewer censored patients than ``n_folds`` is dealt without
        regard to censoring.
    n_folds
        Parts the patients are dealt into.
    n_repeats
        Times the dealing is repeated.
    random_state
        Seed or Generator. The order of the patients has no influence.

    Raises
    ------
    SchemaError
        There is one class only; a class has fewer patients than ``n_folds``, or there
        are fewer events, or patients with a value; a patient has two outcomes, or a
        time that is not positive.
    """
    if n_folds < 2 or n_repeats < 1:
        msg = f"n_folds={n_folds}, n_repeats={n_repeats}: give at least 2 and 1."
        raise SchemaError(msg)
    strata = endpoint.strata.sort_index()
    if endpoint.kind in TIMED:
        strata = endpoint.frame["event"].sort_index() == 1
    dealt = _dealt_by(endpoint, strata, n_folds)
    rng = np.random.default_rng(random_state)
    parts = []
    for repeat, seed in enumerate(rng.integers(2**31, size=n_repeats)):
        fold = deal(strata.index, n_folds, strata=dealt, random_state=int(seed))
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
    if "patient_id" in table:
        table["patient_id"] = table["patient_id"].map(meant, na_action="ignore")
    return check_folds(table)


def _dealt_by(endpoint, strata, n_folds):
    counts = endpoint.strata.value_counts().sort_index()
    problems = outcome_problems(endpoint)
    if problems:
        raise SchemaError(f"endpoint {endpoint.name!r}: {'; '.join(problems)}.")
    if endpoint.kind == "class" and len(counts) < 2:
        msg = (
            f"endpoint {endpoint.name!r}: all {len(strata)} patients are of one class, "
            f"{counts.to_dict()}. Nothing can be learned; check the outcome column."
        )
        raise SchemaError(msg)
    if endpoint.kind == "continuous":
        return _groups(endpoint, strata.index, n_folds)
    survival = endpoint.kind in TIMED
    try:
        dealt = strata_of(strata, n_folds, survival=survival)
        # competing causes and the censored are spread as well, where there are enough
        causes = endpoint.kind == "competing" and counts.min() >= n_folds
        return endpoint.strata.loc[strata.index] if causes else dealt
    except ValueError as small:
        what = "events" if survival else "patients"
        enough = strata.sum() if survival else counts.min()
        msg = (
            f"endpoint {endpoint.name!r}: {small} has fewer {what} than n_folds="
            f"{n_folds}; all: {counts.to_dict()}. Use n_folds={max(2, enough)} or "
            f"fewer{'' if survival else ', or merge classes'}."
        )
        raise SchemaError(msg) from None


def _groups(endpoint, patients, n_folds):
    """Return what a continuous outcome is dealt by."""
    if len(patients) < n_folds:
        msg = (
            f"endpoint {endpoint.name!r}: {len(patients)} patients are fewer than "
            f"n_folds={n_folds}."
        )
        raise SchemaError(msg)
    return groups_of(endpoint.frame["value"].loc[patients].to_numpy(), n_folds)
