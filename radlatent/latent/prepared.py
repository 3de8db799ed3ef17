"""The cases of a table as arrays, and what became of each.

A **cases** table and a description of the inputs enter; images, masks and a
**failures** table leave. A case that cannot be read keeps its row in what follows.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from radlatent.cohort import Cohort
from radlatent.errors import SchemaError
from radlatent.imaging import forget_pair
from radlatent.latent.checks import check_inputs
from radlatent.latent.inputs import INSIDE_TOLERANCE, Box, Projections
from radlatent.parallel import Shared, map_tasks
from radlatent.schema import check_cases, failures_table

__all__ = ["PreparedCases", "cases_of", "hold_out", "prepare_cases"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class PreparedCases:
    """Arrays of the cases that could be read.

    Parameters
    ----------
    cases
        The rows of the **cases** table that could be read, in the order of the arrays.
    images, masks
        Shape (n_cases, channels, *size), float32 and bool.
    failures
        **failures** table: cases that could not be read, and lesions that the box
        cuts (error "LesionCut"; these have an array all the same).
    scales
        How many times larger than the box's own the voxels of each case are, shape
        (n_cases,); None: not at all.
    """

    cases: pd.DataFrame
    images: np.ndarray
    masks: np.ndarray
    failures: pd.DataFrame
    scales: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.cases)

    def __repr__(self) -> str:
        return f"PreparedCases({len(self)} cases of {self.images.shape[1:]})"

    def take(self, case_ids: Sequence[str]) -> "PreparedCases":
        """Return some of the cases, as far as they could be read."""
        places = self.cases.index.get_indexer(pd.Index(case_ids))
        places = places[places >= 0]
        told = self.failures[self.failures["case_id"].isin(list(case_ids))]
        parts = self.images[places], self.masks[places]
        scales = None if self.scales is None else self.scales[places]
        return PreparedCases(self.cases.iloc[places], *parts, told, scales)


def hold_out(
    prepared: PreparedCases, fraction: float, seed: int
) -> tuple[PreparedCases, PreparedCases | None]:
    """Return training and validation cases, by patient.

    Parameters
    ----------
    prepared
        All cases.
    fraction
        Share of the patients for validation; 0 keeps none.
    seed
        Of the draw; the order of the cases has no influence.
    """
    patients = prepared.cases["patient_id"]
    unique = np.sort(patients.unique())
    n = round(fraction * len(unique))
    if not n:
        return prepared, None
    drawn = np.random.default_rng(seed).permutation(unique)[:n]
    held_out = patients.isin(drawn)
    return tuple(prepared.take(patients.index[k]) for k in (~held_out, held_out))


def cases_of(X: pd.DataFrame | Cohort) -> pd.DataFrame:
    """Return the **cases** table of a cohort, with absolute paths, or the table itself.

    Raises
    ------
    SchemaError
        It is neither.
    """
    if isinstance(X, Cohort):
        return X.located
    if not isinstance(X, pd.DataFrame):
        msg = (
            f"X is a {type(X).__name__}; give a Cohort, or its cases table with paths "
            "that can be opened (cohort.located)."
        )
        raise SchemaError(msg)
    cases = check_cases(X)
    return cases[~cases["exclude"].to_numpy(bool)]


def prepare_cases(
    cases: pd.DataFrame, inputs: Box | Projections, *, jobs: int | None = None
) -> PreparedCases:
    """Read every case of a table into the box.

    Parameters
    ----------
    cases
        A **cases** table with paths that can be opened.
    inputs
        What to look at.
    jobs
        Processes, as in ``rl.extract``.

    Raises
    ------
    SchemaError
        The description of the inputs or the columns of the table are faulty.
    """
    problems = check_inputs(cases, inputs)
    if problems:
        msg = "inputs: " + "; ".join(problems) + "."
        raise SchemaError(msg)
    rows = cases.to_dict("index")
    tasks = {
        case_id: (inputs, row, case_id)
        for case_id, row in rows.items()
        if all(isinstance(row[column], str) for column in inputs.columns)
    }
    outcome = map_tasks(
        _prepare,
        tasks,
        jobs=jobs,
        description="Preparing cases",
        shared=Shared(
            lambda case_id: tuple(rows[case_id][c] for c in inputs.columns), forget_pair
        ),
    )
    found = outcome.results
    failures = _failures(rows, tasks, outcome, inputs)
    if not found:
        reasons = "\n  ".join(failures["message"][:5])
        msg = (
            f"none of {len(cases)} cases could be read; the first reasons:\n  {reasons}"
        )
        raise SchemaError(msg)
    scales = np.array([one.scale for one in found.values()])
    if (scales > 1).any():
        text = "%d of %d lesions are larger than the box and are shown smaller (%.1fx)"
        _log.info(text, (scales > 1).sum(), len(scales), scales.max())
    return PreparedCases(
        cases.loc[list(found)],
        np.stack([one.image for one in found.values()]),
        np.stack([one.mask for one in found.values()]),
        failures,
        scales,
    )


def _prepare(inputs, case, case_id):
    return inputs.prepare(case, case_id)


def _failures(rows, tasks, outcome, inputs):
    stage = f"latent {'_'.join(inputs.modalities)}"
    told = []
    for case_id in rows:
        if case_id not in tasks:
            absent = [
                c for c in inputs.columns if not isinstance(rows[case_id][c], str)
            ]
            why = (
                "SchemaError",
                f"case {case_id!r}: {absent} is empty, which the encoder looks at.",
            )
        elif case_id in outcome.failures:
            why = outcome.failures[case_id]
        elif outcome.results[case_id].inside < 1 - INSIDE_TOLERANCE:
            why = "LesionCut", _cut(case_id, outcome.results[case_id], inputs)
        else:
            continue
        told.append((case_id, stage, *why))
    if told:
        _log.warning(
            "%d of %d cases could not be read or are cut: %s",
            len(told),
            len(rows),
            [case_id for case_id, *_ in told[:5]],
        )
    return failures_table(told)


def _cut(case_id, prepared, inputs):
    needed = [math.ceil(mm) for mm in prepared.extent_mm]
    pairs = zip(inputs.size, inputs.spacing_mm, strict=True)
    return (
        f"case {case_id!r}: {100 * (1 - prepared.inside):.1f}% of the lesion lies "
        f"outside of the box; it needs {needed} mm (z, y, x), the box has "
        f"{[round(n * spacing, 1) for n, spacing in pairs]}. Give a larger size_mm."
    )
