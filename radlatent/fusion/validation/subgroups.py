"""How a model does in groups of patients, and whether it does alike in all of them.

A **predictions** table and a table of groups enter, a row a group leaves. Nothing is
fitted: the patients are those that were tested, put apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.values import (
    MOST_CATEGORIES,
    as_floats,
    as_texts,
    text_index,
)
from radlatent.fusion.metrics.arrays import (
    ContinuousRun,
    SurvivalRun,
    interval,
    read_runs,
)
from radlatent.fusion.metrics.compare import holm
from radlatent.fusion.metrics.evaluate import bootstrap_metric, metrics_of
from radlatent.schema import nearest

__all__ = ["grouped", "subgroups"]

#: A column of more different numbers is no column of groups.
_MOST_NUMBERS = 6

#: Rows of weights that are evaluated at once: memory, not results, depends on it.
_AT_ONCE = 2000

_ALL, _MISSING = "all patients", "not known"


def subgroups(
    predictions: pd.DataFrame,
    by: pd.DataFrame | pd.Series,
    *,
    cuts: Mapping[str, Sequence[float]] | None = None,
    metric: str | None = None,
    n_boot: int = 1000,
    level: float = 0.95,
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Return a metric in groups of the tested patients, and a test of interaction.

    Parameters
    ----------
    predictions
        A **predictions** table, as `Result` has it.
    by
        A row a patient (index ``patient_id``), a column a way to put patients into
        groups: site, sex, scanner. Patients without a value are a group that is told
        and not tested.
    cuts
        Column of numbers to the values at which groups begin: ``{"age": [50, 65]}``
        makes "< 50", "50 to < 65" and ">= 65".
    metric
        One of `evaluate`; None takes the first that the predictions have: the AUC,
        Harrell's C, or R2.
    n_boot
        Bootstrap draws of the patients of a group, and permutations of the test.
    level
        Coverage that the intervals aim at.
    random_state
        Seed or Generator.

    Returns
    -------
    DataFrame
        ``model, blocks, endpoint, subgroup`` (the column of ``by``), ``group, metric,
        estimate, lower, upper, level, n, n_events, p_interaction, p_adjusted, method``.
        The first row of a model is that of all its patients. ``n_events`` counts what
        that of `evaluate` counts; a number has none. A group in which the metric is not
        defined, as one without an event, keeps its row.

    Raises
    ------
    SchemaError
        Tested patients are not in ``by``, a column of many numbers has no cuts, or no
        model has the metric.

    Notes
    -----
    Estimate and interval are those of `evaluate`, on the patients of the group alone.

    The test asks whether groups differ more than groups drawn by chance would. Patients
    of one outcome (of one class; with, or without the event; with one of several
    causes) exchange their groups, so that each group keeps its size and its share of
    events; of numbers, all do. With d_g
    the metric of group g minus its mean over permutations, and v_g its variance over
    them::

        Q = sum_g (d_g - d)^2 / v_g,   d = sum_g (d_g / v_g) / sum_g (1 / v_g)

    and ``p_interaction`` is (1 + #{Q* >= Q}) / (1 + n_boot). Where the group says
    nothing of how a model does, labels are exchangeable whatever the model learned on
    whom, and the level is exact for cross-validated predictions too. A metric that
    depends on the share of events, as the Brier score, is compared with what that share
    alone would give. ``p_adjusted`` is p after Holm, over all tests of the call. That
    p is large proves no equality: small groups tell little, and their intervals say so.

    References
    ----------
    Collins et al. 2024 (TRIPOD+AI, item 23a), doi:10.1136/bmj-2023-078378; Cochran
    1954, doi:10.2307/3001666; Good 2005, chapter 3, doi:10.1007/b138696

    Examples
    --------
    >>> table = subgroups(result.predictions, frame[["site"]])  # doctest: +SKIP
    >>> table[["subgroup", "group", "estimate", "n"]]  # doctest: +SKIP
    """
    if n_boot < 1 or not 0 < level < 1:
        msg = f"n_boot={n_boot}, level={level}: give at least 1, and a share below 1."
        raise SchemaError(msg)
    groups = grouped(by, cuts)
    plan = _Plan(n_boot, level, np.random.default_rng(random_state).integers(2**63))
    runs = [(run, _metric(run, metric)) for run in read_runs(predictions)]
    rows = [row for run, name in runs for row in _rows(run, name, groups, plan)]
    table = pd.DataFrame(rows)
    if table["n_events"].isna().any():
        table["n_events"] = table["n_events"].astype("Int64")
    tests = table.groupby(["model", "blocks", "endpoint", "subgroup"], sort=False)
    p = tests["p_interaction"].first()
    p = pd.Series(holm(p), p.index, name="p_adjusted")
    table = table.join(p, on=p.index.names)
    first = [c for c in table if c not in ("p_interaction", "p_adjusted", "method")]
    return table[[*first, "p_interaction", "p_adjusted", "method"]]


@dataclass(frozen=True)
class _Plan:
    """How often is drawn, from which seed, for which interval."""

    n_draws: int
    level: float
    seed: int


def grouped(
    by: pd.DataFrame | pd.Series, cuts: Mapping[str, Sequence[float]] | None = None
) -> pd.DataFrame:
    """Return the group of each patient in each column, ordered, as categories.

    Parameters
    ----------
    by, cuts
        As of `subgroups`.

    Raises
    ------
    SchemaError
        There is no such column to cut, it holds no numbers, cuts do not rise, or
        a column of many numbers has none.
    """
    by, cuts = by.to_frame() if isinstance(by, pd.Series) else by, dict(cuts or {})
    by = by.set_axis(text_index(by.index))
    if not by.index.is_unique:
        raise SchemaError("by: a patient has two rows; give one row a patient.")
    problems = [
        f"no column {name!r} to cut{nearest(str(name), list(map(str, by)))}"
        for name in cuts
        if name not in by
    ]
    found = {}
    for name in by:
        try:
            found[str(name)] = _groups_of(by[name], cuts.get(name))
        except (ValueError, TypeError) as error:
            problems.append(f"{name!r}: {error}")
    if problems or not found:
        told = "; ".join(problems) or "there is no column"
        raise SchemaError(f"subgroups: {told}.")
    return pd.DataFrame(found, by.index)


def _groups_of(values, edges):
    texts, numbers = as_texts(values), as_floats(values)
    if edges is not None:
        edges = [float(edge) for edge in edges]
        if numbers is None:
            raise ValueError("what is cut has to be numbers")
        if not edges or any(low >= high for low, high in pairwise(edges)):
            raise ValueError(f"cuts {edges} do not rise")
        ends = [-np.inf, *edges, np.inf]
        return pd.cut(numbers, ends, right=False, labels=_labels(edges))
    n, known = texts.nunique(), texts.notna()
    if n > (MOST_CATEGORIES if numbers is None else _MOST_NUMBERS):
        where = (
            ""
            if numbers is None
            else (
                f"; say where groups begin: cuts={{{values.name!r}: "
                f"[{numbers.median():.3g}]}}"
            )
        )
        kind = "texts" if numbers is None else "numbers"
        raise ValueError(f"{n} different {kind} are no groups{where}")
    if isinstance(values.dtype, pd.CategoricalDtype):
        there = set(texts[known])
        order = as_texts(pd.Series(values.cat.categories)).tolist()
        return pd.Categorical(texts, [one for one in order if one in there])
    at = texts if numbers is None else numbers
    order = texts[known].loc[at[known].sort_values(kind="stable").index]
    return pd.Categorical(texts, order.unique())


def _labels(edges):
    between = [f"{low:g} to < {high:g}" for low, high in pairwise(edges)]
    return [f"< {edges[0]:g}", *between, f">= {edges[-1]:g}"]


def _metric(run, metric):
    known = [*metrics_of(run)]
    if metric is not None and metric not in known:
        hint = nearest(metric, known)
        msg = f"metric={metric!r} is not one that these predictions have: {known}{hint}"
        raise SchemaError(msg)
    return metric or known[0]


def _rows(run, metric, groups, plan):
    """Yield the rows of one model: of all patients, and of each group."""
    absent = sorted(set(run.patients) - set(groups.index))
    if absent:
        msg = (
            f"{len(absent)} tested patients are not in by: {absent[:5]}. Give every "
            "one a row; what is not known may be missing."
        )
        raise SchemaError(msg)
    rng = np.random.default_rng(plan.seed)
    everybody = np.ones(len(run.patients), dtype=bool)
    about = run.key | {"subgroup": _ALL, "group": _ALL, "metric": metric}
    yield about | _row(run, metric, everybody, plan, rng) | {"p_interaction": np.nan}
    for name in groups:
        column = groups[name].loc[run.patients]
        codes, labels = column.cat.codes.to_numpy(), [*column.cat.categories]
        p = _p_interaction(run, metric, codes, plan.n_draws, rng)
        for code, label in [*enumerate(labels), (-1, _MISSING)]:
            inside = codes == code
            if inside.any():
                about = run.key | {"subgroup": name, "group": label, "metric": metric}
                found = _row(run, metric, inside, plan, rng)
                yield about | found | {"p_interaction": p}


def _row(run, metric, inside, plan, rng):
    n = int(inside.sum())
    weights = np.zeros((plan.n_draws, len(inside)))
    weights[:, inside] = rng.multinomial(n, np.full(n, 1 / n), plan.n_draws)
    draws = bootstrap_metric(run, metric, weights)[1]
    draws = draws[~np.isnan(draws)]
    estimate = float(_over_repeats(run, metric, inside[None, :].astype(float))[0])
    # draws of a group in which it is not defined are of no group
    lower, upper = interval(draws if np.isfinite(estimate) else draws[:0], plan.level)
    told = f"percentile bootstrap of the patients of the group, {len(draws)} of "
    return {
        "estimate": estimate,
        "lower": float(lower),
        "upper": float(upper),
        "level": plan.level,
        "n": n,
        "n_events": _n_events(run, inside),
        "method": f"{told}{plan.n_draws} draws; interaction by permutation of groups "
        f"among {'all patients' if _is_number(run) else 'patients of one outcome'}",
    }


def _outcome(run):
    """Return what patients exchange their groups within."""
    if isinstance(run, SurvivalRun):
        return run.truth["event" if run.cause is None else "cause"].astype(int)
    # of a continuous outcome all patients are exchanged
    return np.zeros(len(run.patients), dtype=int) if _is_number(run) else run.truth


def _is_number(run):
    return isinstance(run, ContinuousRun)


def _n_events(run, inside):
    """Return the events, or the smallest of several classes; a number has none."""
    if _is_number(run):
        return None
    two = isinstance(run, SurvivalRun) or len(run.classes) == 2
    event = 1 if two else np.bincount(_outcome(run)).argmin()
    return int((_outcome(run)[inside] == event).sum())


def _over_repeats(run, metric, weights):
    """Return the mean over repeats of a metric, one value a row of weights."""
    n, found = len(run.repeats), []
    for rows in np.array_split(weights, 1 + len(weights) * n // _AT_ONCE):
        # draw number i is of repeat i modulo their number
        draws = bootstrap_metric(run, metric, np.repeat(rows, n, axis=0))[1]
        found.append(draws.reshape(n, len(rows)).mean(axis=0))
    return np.concatenate(found)


def _p_interaction(run, metric, codes, n_draws, rng):
    """Return p of the test that `subgroups` tells of; NaN with less than two groups."""
    n_groups = codes.max() + 1
    if n_groups < 2:
        return np.nan
    dealt = np.tile(codes, (n_draws + 1, 1))
    for outcome in np.unique(_outcome(run)):
        among = np.flatnonzero((_outcome(run) == outcome) & (codes >= 0))
        dealt[1:, among] = rng.permuted(dealt[1:, among], axis=1)
    weights = dealt[:, None, :] == np.arange(n_groups)[:, None]
    weights = weights.reshape(-1, len(codes)).astype(float)
    values = _over_repeats(run, metric, weights).reshape(n_draws + 1, n_groups)
    values = values[:, np.isfinite(values[0])]
    values = values[np.isfinite(values).all(axis=1)]
    if values.shape[1] < 2 or not len(values):
        return np.nan
    apart, variance = values - values.mean(axis=0), values.var(axis=0)
    if not (variance > 0).all():
        return np.nan
    middle = (apart / variance).sum(axis=1) / (1 / variance).sum()
    q = ((apart - middle[:, None]) ** 2 / variance).sum(axis=1)
    # rounding must not tell equal arrangements apart
    return float((q >= q[0] * (1 - 1e-9)).mean())
