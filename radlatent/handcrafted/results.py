"""What came back of the lesions of a plan: results enter, values and failures leave.

`extract` measures each lesion once, `stability` again and again; the rest they share.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from radlatent.handcrafted.lesion import Lesion
from radlatent.handcrafted.plan import Plan
from radlatent.handcrafted.settings import Settings
from radlatent.parallel import Outcome
from radlatent.schema import failures_table

__all__ = ["collect_failures", "column_names", "fill_values"]


def column_names(settings: Mapping[str, Settings]) -> list[str]:
    """Return the columns of a table of features, ``<modality>_handcrafted__<name>``.

    Parameters
    ----------
    settings
        Modality to settings.
    """
    return [
        f"{modality}_handcrafted__{name}"
        for modality, chosen in settings.items()
        for name in chosen.names
    ]


def fill_values(
    case_ids: Sequence[str],
    settings: Mapping[str, Settings],
    results: Mapping[tuple[str, str], dict],
    n_times: int = 1,
) -> np.ndarray:
    """Return the values of all cases, NaN where there is none.

    Parameters
    ----------
    case_ids
        The rows, each of them ``n_times`` one after the other.
    settings
        Modality to settings: the columns, as in `column_names`.
    results
        (case_id, modality) to what a worker returned: ``features``, one list of values
        in the order of the names or ``n_times`` of them, None where there is no value.
    n_times
        How often each lesion was measured.

    Returns
    -------
    ndarray
        Shape (n_cases * n_times, n_columns).
    """
    starts, n_columns = {}, 0
    for modality, chosen in settings.items():
        starts[modality], n_columns = n_columns, n_columns + len(chosen.names)
    rows = {case_id: row for row, case_id in enumerate(case_ids)}
    table = np.full((len(rows), n_times, n_columns), np.nan)
    for (case_id, modality), result in results.items():
        values = np.array(result["features"], dtype="float64")  # None becomes NaN
        columns = slice(starts[modality], starts[modality] + values.shape[-1])
        table[rows[case_id], :, columns] = values
    return table.reshape(-1, n_columns)


def collect_failures(
    work: Plan,
    outcome: Outcome,
    stage: str,
    lacks: Callable[[Lesion, dict], Iterable[tuple[str, str]]],
) -> pd.DataFrame:
    """Return the **failures** table of a plan, in the order of its lesions.

    Parameters
    ----------
    work
        What was to be measured.
    outcome
        What became of it.
    stage
        Its name before that of the modality.
    lacks
        From a lesion that was measured and its result, error and message of what is
        missing all the same.
    """
    rows = []
    for (case_id, modality), lesion in work.lesions.items():
        why = outcome.failures.get((case_id, modality))
        why = why or work.unread.get(lesion.image) or work.unread.get(lesion.mask)
        faults = [why] if why else lacks(lesion, outcome.results[case_id, modality])
        rows += [(case_id, f"{stage} {modality}", *fault) for fault in faults]
    return failures_table(rows)
