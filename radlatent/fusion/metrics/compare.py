"""Models against each other, on the same patients.

A **predictions** table of several models enters, a table of paired differences of one
metric leaves, with intervals and p-values.
"""

from dataclasses import replace
from itertools import combinations
from math import erfc, sqrt

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.fusion.metrics.arrays import SurvivalRun, interval, read_runs
from radlatent.fusion.metrics.classes import delong, over_repeats
from radlatent.fusion.metrics.evaluate import RANKED_BY, bootstrap_metric, metrics_of
from radlatent.schema import nearest

__all__ = ["compare", "holm"]

#: Of two models that are one, no test says anything.
_SAME = "the same predictions of every patient: nothing to compare"


def compare(
    predictions: pd.DataFrame,
    *,
    metric: str | None = None,
    reference: tuple[str, str] | None = None,
    n_boot: int = 1000,
    level: float = 0.95,
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Return the difference of a metric between models that saw the same patients.

    Parameters
    ----------
    predictions
        A **predictions** table of two or more (model, blocks).
    metric
        A metric of ``evaluate`` other than "auc_delong". Endpoints without it are left
        out. None takes what ranks models of the first endpoint: the AUC, Harrell's C of
        survival, R2 of a number.
    reference
        (model, blocks) that all others are compared with; None compares every pair,
        the one that comes first in the table being the reference.
    n_boot
        Bootstrap draws of patients.
    level
        Coverage that the interval aims at.
    random_state
        Seed or Generator. All pairs of one call get the draws that ``evaluate`` gets.

    Returns
    -------
    DataFrame
        ``model, blocks, reference_model, reference_blocks, endpoint, metric,
        difference`` (model minus reference), ``lower, upper, level, p, p_corrected,
        p_adjusted, p_delong, n, method``. ``p_delong`` is NaN for other metrics than
        the AUC of two classes, and without two patients of each class.

    Raises
    ------
    SchemaError
        Two models of an endpoint did not predict the same patients and repeats, or one
        of them lacks the metric, there is nothing to compare, or the metric or the
        reference is not known.

    Notes
    -----
    The difference is the mean over repeats; of a metric that is best at 0 or 1, as a
    calibration slope, it does not tell which model is better. A draw takes patients
    with replacement and one of the repeats in turn, the same for both models, as
    ``evaluate`` does; the interval holds the middle share of the B differences d* of
    the draws, and::

        p = min(1, 2 min(1 + #{d* <= 0}, 1 + #{d* >= 0}) / (1 + B))

    so that p tells what the interval tells: below 1 - level, zero is outside. It is
    never below 2 / (1 + B).

    ``p_corrected`` is the one to read of models that were cross-validated. p asks
    whether these predictions differ on other patients; other training patients would
    have changed them too. With k folds the variance of the difference is therefore not
    W, that of the draws within a repeat, but W (1 + k / (k - 1)), and p that of a
    normal: Nadeau and Bengio's corrected test, whose n_test / n_train is 1 / (k - 1).
    Of 200 pairs of models of equal worth on 80 patients, at 0.05, p finds 12 to 15%
    different with one repeat, 8 to 9% with five; p_corrected 2 to 4%
    (``benchmarks/nulls.py``). ``p_adjusted`` is p_corrected after Holm, over all rows
    of the call. Predictions of another cohort need no correction, and get none.

    ``p_delong`` is that of DeLong's paired test, not adjusted. Over R repeats z is the
    mean difference divided by the root of W + (1 + 1/R) V, W being the mean over
    repeats of DeLong's variance of the difference and V the variance between repeats
    (ddof 1): Rubin's rule, with repeats in the place of imputations. With one repeat it
    is the test as published.

    Two models that predict the same of every patient, as where a selection left out all
    columns that one of them has besides, differ by 0 and have no p: ``method`` says so.

    p and p_delong keep their level on given predictions: of 400 pairs of equal models
    on 80 patients, at 0.05, the two found 7% and 6% different with one repeat, 1% and
    0% with five.

    References
    ----------
    Davison & Hinkley 1997, chapter 4, doi:10.1017/CBO9780511802843;
    Holm 1979, Scand J Statist 6:65; DeLong et al. 1988, doi:10.2307/2531595;
    Rubin 1987, section 3.1, doi:10.1002/9780470316696;
    Nadeau & Bengio 2003, doi:10.1023/A:1024068626366
    """
    runs = read_runs(predictions)
    ranks = [name for name in RANKED_BY.values() if name in metrics_of(runs[0])]
    metric = ranks[0] if metric is None else metric
    _check_options(runs, metric, n_boot, level)
    seed = np.random.default_rng(random_state).integers(2**63)
    rows = [
        _row(model, other, metric, model.draw_weights(n_boot, seed), level)
        for other, model in _pairs(runs, metric, reference)
    ]
    table = pd.DataFrame(rows)
    after = table.columns.get_loc("p_corrected") + 1
    table.insert(after, "p_adjusted", holm(table["p_corrected"]))
    return table


def _check_options(runs, metric, n_boot, level):
    known = list(dict.fromkeys(name for run in runs for name in metrics_of(run)))
    if metric not in known:
        hint = nearest(metric, known)
        msg = f"metric={metric!r} is not one that these predictions have: {known}{hint}"
        raise SchemaError(msg)
    if n_boot < 1 or not 0 < level < 1:
        msg = f"n_boot={n_boot}, level={level}: give at least 1, and a share below 1."
        raise SchemaError(msg)


def _name(run):
    return run.key["model"], run.key["blocks"]


def _pairs(runs, metric, reference):
    """Return (reference, model) of each comparison, endpoint by endpoint."""
    having = {run.key["endpoint"] for run in runs if metric in metrics_of(run)}
    runs = [run for run in runs if run.key["endpoint"] in having]
    names = list(dict.fromkeys(map(_name, runs)))
    if reference is not None and tuple(reference) not in names:
        msg = f"reference={reference!r} is not a (model, blocks) of {names}."
        raise SchemaError(msg)
    found = []
    for endpoint in dict.fromkeys(run.key["endpoint"] for run in runs):
        pairs = combinations([r for r in runs if r.key["endpoint"] == endpoint], 2)
        if reference is not None:
            wanted = tuple(reference)
            # the reference may come second in the table
            pairs = [
                pair if _name(pair[0]) == wanted else pair[::-1]
                for pair in pairs
                if wanted in map(_name, pair)
            ]
        found += pairs
    if not found:
        msg = (
            f"no two models of one endpoint to compare; found {names}. Join the "
            "predictions of several models with pandas.concat."
        )
        raise SchemaError(msg)
    for pair in found:
        _check_paired(*pair, metric)
    return found


def _check_paired(one, two, metric):
    problems = [
        f"{_name(run)} has no {metric!r}"
        for run in (one, two)
        if metric not in metrics_of(run)
    ]
    for what in ("patients", "repeats", "classes"):
        # survival has no classes
        apart = sorted(set(getattr(one, what, ())) ^ set(getattr(two, what, ())))
        if apart:
            problems.append(f"{len(apart)} {what} are in one only: {apart[:5]}")
    if not problems and (one.truth != two.truth).any():
        some = np.array(one.patients)[one.truth != two.truth][:5].tolist()
        problems.append(f"the truth of {some} differs")
    if problems:
        msg = (
            f"{_name(one)} and {_name(two)} of endpoint {one.key['endpoint']!r} are "
            f"not paired: {'; '.join(problems)}. Test them with one folds table."
        )
        raise SchemaError(msg)


def _row(model, other, metric, weights, level):
    if isinstance(model, SurvivalRun):
        # on the days that the training patients of both cover
        until = min(model.until, other.until)
        model, other = (replace(run, until=until) for run in (model, other))
    estimates, draws = zip(
        *(bootstrap_metric(run, metric, weights) for run in (model, other)),
        strict=True,
    )
    draws = draws[0] - draws[1]
    same = _are_same(model, other)
    corrected = _p_corrected(estimates[0] - estimates[1], draws, model)
    draws = draws[~np.isnan(draws)]
    lower, upper = interval(draws, level)
    n_repeats = len(model.repeats)
    mean = f"mean of {n_repeats} repeats" if n_repeats > 1 else "one repeat"
    return {
        "model": model.key["model"],
        "blocks": model.key["blocks"],
        "reference_model": other.key["model"],
        "reference_blocks": other.key["blocks"],
        "endpoint": model.key["endpoint"],
        "metric": metric,
        "difference": estimates[0] - estimates[1],
        "lower": lower,
        "upper": upper,
        "level": level,
        "p": np.nan if same else _p_bootstrap(draws),
        "p_corrected": np.nan if same else corrected,
        "p_delong": np.nan if same or metric != "auc" else _p_delong(model, other),
        "n": len(model.patients),
        "method": _SAME
        if same
        else f"{mean}; paired percentile bootstrap of "
        f"patients and repeats, {len(draws)} of {len(weights)} draws; Holm",
    }


def _are_same(one, other):
    """Return whether two models predicted the same of every patient, all but 1e-12."""
    pairs = zip(one.predicted, other.predicted, strict=True)
    if isinstance(one, SurvivalRun):
        pairs = ((a.risk, b.risk) for a, b in pairs)
    return all(np.allclose(a, b, rtol=1e-12, atol=1e-12) for a, b in pairs)


def _p_bootstrap(draws):
    if not len(draws):
        return np.nan
    tail = 1 + min((draws <= 0).sum(), (draws >= 0).sum())
    return min(1.0, 2 * tail / (1 + len(draws)))


def _p_corrected(difference, draws, run):
    """Return the p of Nadeau and Bengio, the bootstrap in the place of the folds."""
    # the draws of one repeat lie side by side
    within = [
        np.nanvar(part, ddof=1)
        for part in np.array_split(draws, len(run.repeats))
        if np.isfinite(part).sum() > 1
    ]
    variance = np.mean(within) if within else np.nan
    if run.n_folds > 1:
        variance *= 1 + run.n_folds / (run.n_folds - 1)
    if variance == 0:
        return 1.0 if difference == 0 else np.nan
    return float(erfc(abs(difference) / np.sqrt(2 * variance)))


def _p_delong(model, other):
    if len(model.classes) != 2 or np.bincount(model.truth, minlength=2).min() < 2:
        return np.nan
    positive = model.truth == 1
    found = [
        delong(positive, one[:, 1], two[:, 1])
        for one, two in zip(model.probability, other.probability, strict=True)
    ]
    difference, variance = over_repeats(found)
    if variance == 0:
        # equal placements of all patients; a difference without variance has no z
        return 1.0 if difference == 0 else np.nan
    return erfc(abs(difference) / sqrt(2 * variance))


def holm(p: pd.Series) -> np.ndarray:
    """Return p-values adjusted so that the error of the whole family is bounded.

    Parameters
    ----------
    p
        Unadjusted p-values; those that are NaN stay so and do not count.

    References
    ----------
    Holm 1979, Scand J Statist 6:65

    Examples
    --------
    >>> holm(pd.Series([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    # loading statsmodels takes a second
    from statsmodels.stats.multitest import multipletests

    values = np.asarray(p, dtype=float)
    adjusted, known = np.full(len(values), np.nan), ~np.isnan(values)
    if known.any():
        adjusted[known] = multipletests(values[known], method="holm")[1]
    return adjusted
