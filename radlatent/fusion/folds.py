"""Which patient is tested in which fold of which repeat.

An endpoint enters, a **folds** table leaves. Patients, not cases, are dealt out, so
two lesions of one patient are never on both sides.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from radlatent.errors import SchemaError
from radlatent.schema import check_folds

if TYPE_CHECKING:
    from radlatent.cohort import Endpoint

__all__ = ["make_folds"]


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
