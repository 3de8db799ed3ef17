"""Random search over the settings of an encoder, scored on inner-fold patients only.

An encoder, training patients and ranges enter; a table with one row a trial leaves. A
search that was killed goes on from its SQLite file to the trials that it would have
had: the settings of a trial depend on its number and the random state alone.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.base import clone

from radlatent.cohort import Cohort
from radlatent.errors import SchemaError
from radlatent.features.folds import deal
from radlatent.latent.encoder import LatentEncoder
from radlatent.latent.prepared import PreparedCases, cases_of, prepare_cases
from radlatent.latent.random_search.plan import (
    SearchPlan,
    check_space,
    widest,
    with_parameters,
)
from radlatent.latent.random_search.result import SearchResult, tables_of
from radlatent.latent.random_search.study import (
    add_trial,
    draw,
    need_optuna,
    open_study,
    rows_of,
)
from radlatent.latent.random_search.trial import (
    FEWEST_FOR_REDUNDANCY,
    check_folds,
    try_fold,
)
from radlatent.parallel import map_tasks, progress_bar
from radlatent.provenance import content_key
from radlatent.records import parameters_of

__all__ = ["SearchPlan", "SearchResult", "search"]


def search(
    encoder: LatentEncoder,
    X: pd.DataFrame | Cohort,
    *,
    y: pd.Series | None = None,
    handcrafted: pd.DataFrame | None = None,
    plan: SearchPlan | None = None,
    storage: str | Path | None = None,
    jobs: int | None = None,
) -> SearchResult:
    """Fit encoders with drawn settings and score them on patients held out.

    Parameters
    ----------
    encoder
        Where every setting comes from that is not searched. Not fitted, not changed.
    X
        A cohort, or a **cases** table with paths that can be opened: training patients
        only. Inner folds are dealt by patient, the same for all trials.
    y, handcrafted
        As in `LatentEncoder.fit`; each fit sees the rows of its own patients.
    plan
        `SearchPlan`; None takes its defaults.
    storage
        An SQLite file of Optuna, from which a search goes on; one process at a time.
        None keeps nothing.
    jobs
        Processes; each fits one encoder for one fold at a time. None leaves it to
        ``joblib.parallel_config``.

    Raises
    ------
    SchemaError
        With everything that is wrong, before training starts; or the storage is of
        another search.
    RadlatentError
        Optuna is not installed, or a worker process died.

    Notes
    -----
    *Score*: the held-out negative evidence bound, E_q[1/2 sum over the mask of
    (x - f)^2] + KL, in nats a case without the constant of the Gaussian (Kingma and
    Welling 2014, eq. 3); beta and kappa weigh nothing in it, so that trials compare.
    The expectation is a mean over draws from the posterior. Images are standardized by
    the inner-training patients of the fold, the same for all trials.

    *Redundancy*: held-out R2 of ridge regression from hand-crafted features to each
    active latent mean (variance above 0.01: Burda et al. 2016), cross-fitted among the
    held-out cases, where the encoder was not fitted. It is noisy with few patients and
    low where they are fewer than features: a filter for trials, no proof; see
    ``redundancy``. A trial without an active latent has none and is not eligible under
    a limit.

    All fits of a fold begin from one seed, whatever the ``random_state`` of the
    encoder. Trials are written to the storage when all folds of as many trials as there
    are processes are done: a kill costs these trials, no more. A trial that failed
    keeps its row and is not tried again. The arrays of all cases go to each process.

    References
    ----------
    Bergstra and Bengio 2012, https://jmlr.org/papers/v13/bergstra12a.html (random
    search); Kingma and Welling 2014, arXiv:1312.6114; Burda et al. 2016,
    arXiv:1509.00519 (active latents)
    """
    need_optuna()
    plan, cases = plan or SearchPlan(), cases_of(X)
    space = plan.ranges(cases, handcrafted)
    told = {"handcrafted": handcrafted is not None}
    found = check_space(space, **told)
    found += plan.problems(stored=storage is not None, **told)
    _raise(found + encoder.inputs.check())
    seed = int(np.random.default_rng(plan.random_state).integers(2**31))
    data = _Data(encoder, cases, y, handcrafted, plan.n_folds, seed)
    _check_folds(plan, space, data)
    prepared = prepare_cases(cases, encoder.inputs, jobs=jobs)
    data = replace(data, cases=prepared.cases, prepared=prepared)
    if len(prepared) < len(cases):
        _check_folds(plan, space, data)
    path = None if storage is None else Path(storage)
    with open_study(path, _keys(data, space)) as study:
        _run(study, data, space, plan.n_trials, jobs)
        rows = rows_of(study)[: plan.n_trials]
    tables = tables_of(rows, score=plan.score, max_redundancy=plan.max_redundancy)
    return SearchResult(*tables, clone(encoder), space, prepared.failures)


@dataclass(frozen=True)
class _Data:
    """What every trial is fitted with."""

    encoder: LatentEncoder
    cases: pd.DataFrame
    y: pd.Series | None
    handcrafted: pd.DataFrame | None
    n_folds: int
    seed: int
    prepared: PreparedCases | None = None

    @property
    def folds(self):
        """The inner fold of each case."""
        patients = self.cases["patient_id"].to_numpy()
        return deal(patients, self.n_folds, random_state=self.seed)


def _check_folds(plan, space, data):
    needy, folds = with_parameters(data.encoder, widest(space)), data.folds
    found = check_folds(needy, data.cases, data.y, data.handcrafted, folds)
    fewest = data.cases.groupby(folds)["patient_id"].nunique().min()
    if len(np.unique(folds)) < plan.n_folds:
        n = data.cases["patient_id"].nunique()
        found.append(f"n_folds is {plan.n_folds}, but there are {n} patients")
    if plan.max_redundancy is not None and fewest < FEWEST_FOR_REDUNDANCY:
        found.append(
            f"max_redundancy is given, but a fold has {fewest} patients, too few to "
            f"measure redundancy; give {FEWEST_FOR_REDUNDANCY} a fold, by fewer "
            "n_folds or more patients"
        )
    _raise(found)


def _raise(found):
    if found:
        msg = "the search cannot be run so: " + "; ".join(found) + "."
        raise SchemaError(msg)


def _keys(data, space):
    """Return a key of each thing that trials depend on, by its name."""
    parameters = parameters_of(data.encoder) | {"random_state": None}
    for name in space:  # what is drawn does not come from the encoder
        for holder in (parameters, parameters["network"], parameters["training"]):
            if isinstance(holder, dict) and name in holder:
                holder[name] = None
    prepared, index = data.prepared, data.cases.index
    tables = {
        name: None if table is None else joblib.hash(table.reindex(index).to_numpy())
        for name, table in (("y", data.y), ("handcrafted", data.handcrafted))
    }
    arrays = [joblib.hash(a) for a in (prepared.images, prepared.masks)]
    return {
        "encoder": content_key(parameters),
        "space": content_key({name: list(bounds) for name, bounds in space.items()}),
        "cases": content_key(list(index), arrays),
        "folds or random_state": content_key(data.folds.tolist(), data.seed),
    } | {name: content_key(value) for name, value in tables.items()}


def _run(study, data, space, n_trials, jobs):
    """Add trials to the study until it has as many as wanted."""
    # as many at once as there are processes: none waits, and all are kept after them
    together = max(1, joblib.effective_n_jobs(jobs))
    done = len(study.get_trials(deepcopy=False))
    with progress_bar("Searching settings", n_trials, min(done, n_trials)) as advance:
        for start in range(done, n_trials, together):
            numbers = range(start, min(start + together, n_trials))
            drawn = {n: draw(study, space, data.seed, n) for n in numbers}
            outcome = map_tasks(try_fold, _tasks(data, drawn), jobs=jobs)
            for number, parameters in drawn.items():
                scores, reason = _outcome_of(outcome, number)
                add_trial(study, space, parameters, folds=scores, reason=reason)
                advance()


def _tasks(data, drawn):
    tasks, folds = {}, data.folds
    for number, parameters in drawn.items():
        encoder = with_parameters(data.encoder, parameters)
        for fold in np.unique(folds).tolist():
            state = int(np.random.SeedSequence([data.seed, fold]).generate_state(1)[0])
            seeded = clone(encoder).set_params(random_state=state)
            about = (data.prepared, folds == fold, data.handcrafted, data.y)
            tasks[number, fold] = (seeded, *about)
    return tasks


def _outcome_of(outcome, number):
    """Return the scores of a trial, one dict a fold, and why it failed."""
    failed = {k[1]: why for k, why in outcome.failures.items() if k[0] == number}
    if failed:
        told = (f"fold {fold}: {': '.join(why)}" for fold, why in failed.items())
        return [], "; ".join(told)
    found = {k[1]: row for k, row in outcome.results.items() if k[0] == number}
    return [{"fold": fold} | row for fold, row in found.items()], ""
