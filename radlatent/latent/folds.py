"""An encoder for every fold, each fitted on the training patients of its fold only.

An unfitted encoder, a cohort and a **folds** table enter; features that know their
fold leave, ready for ``cross_validate``.
"""

import json
import logging
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import clone

from radlatent.cohort import Cohort
from radlatent.errors import RadlatentError, SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.features.origin import mark_in_sample
from radlatent.latent.checks import check_fit
from radlatent.latent.prepared import PreparedCases, cases_of, prepare_cases
from radlatent.latent.space.explained import METHODS
from radlatent.nn.training.devices import one_thread
from radlatent.parallel import map_tasks
from radlatent.provenance import content_key, versions
from radlatent.records import parameters_of
from radlatent.schema import check_features, check_folds

if TYPE_CHECKING:
    from radlatent.latent.encoder import LatentEncoder

__all__ = ["FoldedEncoding", "encode_folds"]

#: Raised when the content of a kept result changes, so that old ones are not read.
_FORMAT = 2

#: Columns of the summary, in the order of `METHODS`.
_TESTED = ("explained_test", "pca_test", "own_mean_test")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class FoldedEncoding:
    """Latent features of every fold, and what became of the encoders.

    Parameters
    ----------
    features
        The features of each fold, a row for every case.
    failures
        **failures** table: cases that could not be read, lesions that the box cuts.
    history
        ``repeat, fold`` and the history of that fold's training.
    errors
        ``repeat, fold, case_id, tested, mean_squared_error``: how well each case is
        reconstructed, and whether it is a test case of the fold; and the sums of
        squares of `ExplainedVariance`: ``total, encoder, pca, own_mean``.
    """

    features: FoldedFeatures
    failures: pd.DataFrame
    history: pd.DataFrame
    errors: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """One row a fold: epochs, seconds, errors of training and test cases.

        ``explained_train, explained_test`` are shares of the variance; ``pca_test`` is
        that of as many principal components of the same training cases,
        ``own_mean_test`` that of painting each case with its own mean.
        """
        keys = ["repeat", "fold"]
        told = self.history[self.history["split"] == "train"].groupby(keys)
        table = told.agg(epochs=("epoch", "size"), seconds=("seconds", "sum"))
        means = self.errors.groupby([*keys, "tested"])["mean_squared_error"].mean()
        means = means.reset_index().pivot_table(
            index=keys, columns="tested", values="mean_squared_error"
        )
        table["error_train"] = means[False]
        table["error_test"] = means[True]
        sums = self.errors.groupby([*keys, "tested"])[["total", *METHODS]].sum()
        shares = 1 - sums[list(METHODS)].div(sums["total"], axis=0)
        seen, new = (shares.xs(side, level="tested") for side in (False, True))
        table["explained_train"] = seen["encoder"]
        for name, method in zip(_TESTED, METHODS, strict=True):
            table[name] = new[method]
        return table.reset_index()

    @property
    def verdict(self) -> str:
        """Whether the encoders explain more of test patients than PCA does."""
        table = self.summary
        new, pca = table["explained_test"], table["pca_test"]
        said = "Generalises" if new.mean() > pca.mean() else "No better than PCA"
        return (
            f"{said}: on test patients {new.mean():.2f} of the variance is explained, "
            f"on training patients {table['explained_train'].mean():.2f}; as many "
            f"principal components {pca.mean():.2f}, the mean of each case "
            f"{table['own_mean_test'].mean():.2f} (means over folds; better than PCA "
            f"in {(new > pca).sum()} of {len(table)})."
        )

    def __repr__(self) -> str:
        return f"FoldedEncoding({self.features!r}, {len(self.failures)} failures)"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def encode_folds(
    encoder: "LatentEncoder",
    cohort: Cohort | pd.DataFrame,
    folds: pd.DataFrame,
    *,
    handcrafted: pd.DataFrame | None = None,
    classes: pd.Series | None = None,
    jobs: int | None = None,
    cache: str | Path | None = None,
) -> FoldedEncoding:
    """Fit a copy of the encoder on the training patients of each fold, encode all.

    Parameters
    ----------
    encoder
        A `LatentEncoder` or `PcaEncoder`; it stays unfitted.
    cohort
        A cohort, or a **cases** table with paths that can be opened.
    folds
        The **folds** table that models will be tested with. Patients that it does not
        name are training patients in every fold.
    handcrafted
        The **features** table by case that latent features must not repeat.
    classes
        Classes by ``case_id``, for an encoder with a classification head.
    jobs
        Processes. None leaves it to ``joblib.parallel_config``.
    cache
        Folder of finished folds and unfinished trainings; a run that is started again
        goes on from there.

    Raises
    ------
    SchemaError
        The tables do not fit together, or a fold leaves too few training patients.
    RadlatentError
        An encoder could not be trained.
    """
    cases = cases_of(cohort)
    settings = encoder.settings()
    check_fit(cases, handcrafted, classes, settings)
    if handcrafted is not None:
        handcrafted = check_features(handcrafted).loc[cases.index]
    splits = _splits(check_folds(folds), cases)
    prepared = prepare_cases(cases, encoder.inputs, jobs=jobs)
    _check_folds(splits, prepared, handcrafted, classes, settings)
    tasks, keys = {}, {}
    for name, train in splits.items():
        key = _key(encoder, prepared, train, handcrafted, classes)
        checkpoint = None if cache is None else str(Path(cache) / f"{key}.safetensors")
        keys[name] = key
        tables = (handcrafted, classes)
        tasks[name] = (clone(encoder), prepared, train, *tables, checkpoint)
    outcome = map_tasks(
        _encode_fold,
        tasks,
        jobs=jobs,
        keys=keys,
        cache=None if cache is None else Path(cache),
        description="Training encoders",
    )
    if outcome.failures:
        lines = [
            f"repeat {r}, fold {f}: {why[1]}"
            for (r, f), why in outcome.failures.items()
        ]
        raise RadlatentError("encoders failed: " + "; ".join(lines))
    found = _gather(outcome.results, prepared, cases, splits)
    if not (encoder.is_rival or found.verdict.startswith("Generalises")):
        _log.warning("encoders: %s", found.verdict)
    return found


def _splits(folds, cases):
    """Return (repeat, fold) to the training cases."""
    absent = sorted(set(folds["patient_id"]) - set(cases["patient_id"]))
    if absent:
        msg = (
            f"{len(absent)} patients of the folds have no case: {absent[:5]}. Make the "
            "folds of an endpoint of this cohort."
        )
        raise SchemaError(msg)
    splits = {}
    for (repeat, fold), table in folds.groupby(["repeat", "fold"]):
        tested = cases["patient_id"].isin(table["patient_id"])
        splits[int(repeat), int(fold)] = cases.index[~tested].tolist()
    return splits


def _check_folds(splits, prepared, handcrafted, classes, settings):
    problems = []
    for (repeat, fold), train in splits.items():
        try:
            check_fit(prepared.take(train).cases, handcrafted, classes, settings)
        except SchemaError as error:
            problems.append(f"repeat {repeat}, fold {fold}: {error}")
    if problems:
        raise SchemaError(" ".join(problems[:5]))


def _key(encoder, prepared, train, handcrafted, classes):
    tables = [None if t is None else t.to_csv() for t in (handcrafted, classes)]
    return content_key(
        _FORMAT,
        json.dumps(parameters_of(encoder), sort_keys=True),
        list(prepared.cases.index),
        # the arrays stand for the files, the box and how it is filled
        [sha256(a).hexdigest() for a in (prepared.images, prepared.masks)],
        train,
        tables,
        [versions().get(name) for name in ("radlatent", "torch")],
    )


def _encode_fold(encoder, prepared, train, handcrafted, classes, checkpoint):
    with one_thread():
        encoder.fit_prepared(
            prepared.take(train),
            classes,
            handcrafted,
            checkpoint=checkpoint,
            description="",
        )
        means = encoder.encode_prepared(prepared).mean
        found = encoder.explain(prepared, pd.Index(train), handcrafted).cases
    return {
        "columns": list(means.columns),
        "values": means.to_numpy().tolist(),
        "errors": found.drop(columns=["patient_id", "held_out"]).to_dict("list"),
        "history": encoder.history_.astype(object)
        .where(encoder.history_.notna(), None)
        .to_dict("records"),
    }


def _gather(results, prepared: PreparedCases, cases, splits):
    tables, fitted_on, histories, errors = {}, {}, [], []
    read = prepared.cases.index
    for (repeat, fold), result in results.items():
        table = pd.DataFrame(result["values"], read, result["columns"], dtype=float)
        table = table.reindex(cases.index).rename_axis("case_id")
        tables[repeat, fold] = mark_in_sample(table, cases)
        train = cases.loc[splits[repeat, fold], "patient_id"]
        fitted_on[repeat, fold] = tuple(sorted(train.unique()))
        where = {"repeat": repeat, "fold": fold}
        histories.append(pd.DataFrame(result["history"]).assign(**where))
        told = {"case_id": read, "tested": ~np.isin(read, splits[repeat, fold])}
        errors.append(pd.DataFrame(told | result["errors"]).assign(**where))
    first = ["repeat", "fold"]
    history, error = (
        pd.concat(parts, ignore_index=True).pipe(
            lambda t: t[[*first, *t.columns.drop(first)]]
        )
        for parts in (histories, errors)
    )
    return FoldedEncoding(
        FoldedFeatures(tables, fitted_on), prepared.failures, history, error
    )
