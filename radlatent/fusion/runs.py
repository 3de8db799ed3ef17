"""Predictions as arrays, and draws from them.

A **predictions** table enters, one ``OutOfFold`` for each model, blocks and endpoint
leaves; ``metrics`` and ``curves`` share it so that all intervals mean the same.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.schema import check_predictions

__all__ = ["OutOfFold", "interval", "read_runs"]

_KEYS = ["model", "blocks", "endpoint"]
_PREFIX = "probability_"


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """The predictions of one model, blocks and endpoint as arrays.

    Parameters
    ----------
    key
        ``model``, ``blocks`` and ``endpoint``.
    classes
        Class names in sorted order.
    truth
        Class numbers, shape (n_patients,).
    probability
        Shape (n_repeats, n_patients, n_classes).
    patients
        ``patient_id`` in sorted order.
    repeats
        Numbers of the repeats in sorted order.
    """

    key: dict
    classes: list
    truth: np.ndarray
    probability: np.ndarray
    patients: list
    repeats: list

    def draw_weights(self, n_boot: int, seed: int) -> np.ndarray:
        """Return how often each patient is drawn, shape (n_boot, n_patients)."""
        n = len(self.truth)
        draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), n_boot)
        return draws.astype(float)

    def bootstrap(
        self, function: Callable, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean of a function over repeats, and one value a draw.

        Draw number i is evaluated on repeat i modulo the number of repeats.
        """
        n_repeats = len(self.probability)
        values = []
        for repeat, probability in enumerate(self.probability):
            once = np.vstack([np.ones(len(self.truth)), weights[repeat::n_repeats]])
            values.append(function(self.truth, probability, once))
        draws = np.concatenate([value[1:] for value in values])
        return np.mean([value[0] for value in values], axis=0), draws


def read_runs(predictions: pd.DataFrame) -> list[OutOfFold]:
    """Return a list of ``OutOfFold``, patients sorted by ``patient_id``.

    Raises
    ------
    SchemaError
        A repeat lacks patients, or a probability or the truth of a class is missing.
    """
    groups = check_predictions(predictions).groupby(_KEYS, sort=False)
    return [_read_run(dict(zip(_KEYS, key, strict=True)), t) for key, t in groups]


def _read_run(key, table):
    table = table.sort_values(["repeat", "patient_id"])
    shape = table["repeat"].nunique(), table["patient_id"].nunique()
    # models of other endpoints leave empty columns behind when tables are joined
    columns = sorted(
        c for c in table if c.startswith(_PREFIX) and table[c].notna().any()
    )
    classes = [column.removeprefix(_PREFIX) for column in columns]
    probability = table[columns].to_numpy(float)
    problems = []
    if len(table) != shape[0] * shape[1]:
        problems.append(
            f"some of {shape[1]} patients are not in all {shape[0]} repeats"
        )
    if np.isnan(probability).any():
        rows = np.isnan(probability).any(axis=1)
        some = table["patient_id"][rows].unique()[:5].tolist()
        problems.append(f"probabilities of patients {some} are missing")
    if len(table[["patient_id", "truth"]].drop_duplicates()) > shape[1]:
        problems.append("the truth of a patient differs between repeats")
    unknown = sorted(set(table["truth"].map(str)) - set(classes))
    if unknown or len(classes) < 2:
        problems.append(f"truth {unknown} has no probability column; found {columns}")
    if problems:
        msg = f"predictions of {key}: " + "; ".join(problems) + "."
        raise SchemaError(msg)
    truth = np.searchsorted(classes, table["truth"].iloc[: shape[1]].to_list())
    probability = probability.reshape(*shape, len(classes))
    patients = table["patient_id"].iloc[: shape[1]].tolist()
    repeats = table["repeat"].unique().tolist()
    return OutOfFold(key, classes, truth, probability, patients, repeats)


def interval(draws: np.ndarray, level: float) -> np.ndarray:
    """Return the percentile interval of draws (first axis); NaN without a draw."""
    if not len(draws):
        return np.full((2, *np.shape(draws)[1:]), np.nan)
    return np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
