"""Odds and hazard ratios, and whether columns add to a model.

Features and an endpoint enter, tables of ratios with intervals and p-values leave. The
models are not penalized and see every patient: tables for a description, not a test of
what was learned on the same patients.
"""

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from radlatent.errors import SchemaError
from radlatent.fusion.explain.firth import firth, penalized_likelihood
from radlatent.fusion.explain.separation import Limit, cox_limit, logistic_limit
from radlatent.fusion.validation.inputs import check_table
from radlatent.schema import split_column

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = ["events_of", "likelihood_ratio_test", "multivariable", "univariable"]

#: A standard error of a log ratio above this is that of a likelihood without maximum.
_LARGEST_ERROR = 100.0

_CONSTANT = "no estimate: the column or the outcome does not vary"


def univariable(
    features: pd.DataFrame,
    endpoint: "Endpoint",
    *,
    level: float = 0.95,
    penalty: str | None = None,
) -> pd.DataFrame:
    """Return the odds or hazard ratio of each column by itself.

    Parameters
    ----------
    features
        A **features** table indexed by ``patient_id``; each column uses the patients
        who have it.
    endpoint
        An endpoint of two classes (odds ratio of the positive one, logistic regression)
        or of survival (hazard ratio, Cox model, ties after Efron).
    level
        Coverage that the interval aims at.
    penalty
        None, or of two classes "firth": estimates that are finite for any columns,
        with intervals of the profile penalized likelihood and p of its ratio.

    Returns
    -------
    DataFrame
        ``column, block, effect, per, estimate, lower, upper, level, p, q, n, n_events,
        n_missing, note``. The ratio is for a change of ``per``: one standard deviation
        (ddof 1) of the patients, or, of a column with two values, from one to the
        other. ``q`` is p after Benjamini and Hochberg over the columns with a p. Where
        there is no finite estimate the cells are NaN and ``note`` says why.

    Raises
    ------
    SchemaError
        Patients of the endpoint have no features, or it has not two classes and is no
        survival.

    Notes
    -----
    Intervals and p are Wald's, but with ``penalty``. A column that was chosen, or a
    score or latent feature that was learned, with the outcomes of the same patients has
    no valid p here: give scores that are out-of-fold, and read q as a description.

    References
    ----------
    Cox 1972, doi:10.1111/j.2517-6161.1972.tb00899.x; Efron 1977,
    doi:10.1080/01621459.1977.10480613; Benjamini & Hochberg 1995,
    doi:10.1111/j.2517-6161.1995.tb02031.x; Heinze & Schemper 2002,
    doi:10.1002/sim.1047 (firth)
    """
    outcome = events_of(features, endpoint)
    _check_penalty(penalty, outcome)
    rows = [_ratios(features[[column]], outcome, level, penalty) for column in features]
    table = pd.concat(rows, ignore_index=True)
    known = table["p"].notna()
    q = stats.false_discovery_control(table["p"][known])
    table.insert(9, "q", pd.Series(q, table.index[known]))
    return table


def multivariable(
    features: pd.DataFrame,
    endpoint: "Endpoint",
    *,
    level: float = 0.95,
    penalty: str | None = None,
) -> pd.DataFrame:
    """Return the odds or hazard ratios of a few columns in one model.

    Parameters
    ----------
    features
        A **features** table indexed by ``patient_id``; patients who lack a column are
        left out and counted in ``n_missing``.
    endpoint, level, penalty
        As in `univariable`.

    Returns
    -------
    DataFrame
        As of `univariable`, with ``events_per_variable`` in the place of ``q``: events
        (of two classes, the patients of the smaller) divided by columns. Below 10,
        estimates are unstable and too far from 1. A column that separates outcomes is
        blank and named in its ``note``; the others have the estimates that they tend
        to as its coefficient grows.

    Raises
    ------
    SchemaError
        As in `univariable`, or there are fewer events than columns, or a column is
        constant or a combination of others.

    Notes
    -----
    As in `univariable`, columns that were chosen on the same patients have no valid p.

    References
    ----------
    Peduzzi et al. 1996, doi:10.1016/S0895-4356(96)00236-3
    """
    outcome = events_of(features, endpoint)
    _check_penalty(penalty, outcome)
    events = _check_size(features.loc[outcome.index].dropna(), outcome)
    table = _ratios(features, outcome, level, penalty)
    table.insert(9, "events_per_variable", events / features.shape[1])
    return table


def likelihood_ratio_test(
    base: pd.DataFrame,
    added: pd.DataFrame,
    endpoint: "Endpoint",
    *,
    penalty: str | None = None,
) -> pd.DataFrame:
    """Return whether columns add to a model of other columns.

    The incremental value of a score over a clinical model is the case it is for.

    Parameters
    ----------
    base
        **features** of the smaller model, such as clinical ones.
    added
        **features** that the larger model has as well, such as a score. A score must be
        out-of-fold: one that was fitted on the same patients adds to any model.
    endpoint, penalty
        As in `univariable`; "firth" makes it the ratio of penalized likelihoods, the
        penalty being that of all columns.

    Returns
    -------
    DataFrame
        One row: ``base, added`` (their columns), ``chi2, df, p, n, n_events, n_missing,
        note``. Both models see the patients who have all columns. Where a column of the
        base separates outcomes the likelihoods have a supremum, and the test holds; the
        ``note`` names the column. Where an added one does there is none: NaN.

    Raises
    ------
    SchemaError
        As in `multivariable`, for the columns of both; or a column is in both.

    Notes
    -----
    ``chi2`` is twice the difference of the log likelihoods (partial ones of survival),
    on as many degrees of freedom as columns are added. A score in itself is an estimate
    of cross-validation: the p does not know how it varies with the folds.

    References
    ----------
    Wilks 1938, doi:10.1214/aoms/1177732360; Harrell 2015, section 9.3,
    doi:10.1007/978-3-319-19425-7
    """
    outcome = events_of(base, endpoint)
    _check_penalty(penalty, outcome)
    events_of(added, endpoint)
    twice = sorted(set(base) & set(added))
    if twice or base.empty or added.empty:
        msg = f"base and added: give columns to each, none to both; found {twice[:5]}."
        raise SchemaError(msg)
    both = base.join(added).loc[outcome.index].dropna()
    _check_size(both, outcome)
    chi2, note = _ratio(base, added, both, outcome, penalty)
    row = {"base": ", ".join(base), "added": ", ".join(added), "chi2": chi2}
    row |= {"df": added.shape[1], "p": stats.chi2.sf(chi2, added.shape[1])}
    row |= {**_counts(both, outcome), "note": note}
    return pd.DataFrame([row])


def _ratio(base, added, both, outcome, penalty):
    """Return twice the difference of log likelihoods, and a note."""
    if penalty == "firth":
        design, event = _design(both, outcome)
        places = range(base.shape[1], both.shape[1])
        fits = [
            penalized_likelihood(design, event, fixed)[0]
            for fixed in (dict.fromkeys(places, 0.0), None)
        ]
        return 2 * (fits[1] - fits[0]), ""
    fits = [_fit(both[list(part)], outcome) for part in (base, both)]
    if None in fits:
        return np.nan, "no test: a fit does not converge"
    infinite = both.columns[fits[1].infinite]
    adding = [column for column in infinite if column in added]
    if adding:
        return np.nan, _separated(adding)
    # the likelihood has a supremum, and what separates is in both models
    return 2 * (fits[1].llf - fits[0].llf), _separated([*infinite])


def events_of(features: pd.DataFrame, endpoint: "Endpoint") -> pd.DataFrame:
    """Return ``event`` (1 or 0; of classes, the positive one) and ``time`` of survival.

    Raises
    ------
    SchemaError
        As in `univariable`.
    """
    check_table(features, endpoint)
    if endpoint.kind == "continuous":
        msg = (
            f"endpoint {endpoint.name!r} is a number, which has no odds, hazards or "
            "events: take coefficient_shares or permutation_importance of ridge()."
        )
        raise SchemaError(msg)
    if endpoint.kind == "competing":
        msg = (
            f"endpoint {endpoint.name!r} is of competing events, which have a hazard "
            "of each cause and one of the subdistribution: take fine_gray() or "
            "cause_specific_cox(), or, for hazards of that cause alone, "
            "Endpoint.survival with the other causes as 0."
        )
        raise SchemaError(msg)
    frame = endpoint.frame
    absent = frame.index.difference(features.index)
    if len(absent):
        msg = f"{len(absent)} patients have no features: {absent[:5].tolist()}."
        raise SchemaError(msg)
    if endpoint.kind == "survival":
        return frame[["event", "time"]].astype(float)
    classes = sorted(frame["class"].unique())
    if len(classes) != 2:
        msg = f"endpoint {endpoint.name!r} has the classes {classes}; two are needed."
        raise SchemaError(msg)
    positive = endpoint.positive or classes[1]
    return (frame["class"] == positive).astype(float).to_frame("event")


def _units(values):
    """Return the change of each column that a ratio is for, NaN for a constant one."""
    two = values.nunique() == 2
    spread = values.std().where(~two, values.max() - values.min())
    return spread.where(values.max() > values.min())


def _counts(values, outcome):
    counts = {"n": len(values), "n_events": int(outcome["event"][values.index].sum())}
    return counts | {"n_missing": len(outcome) - len(values)}


def _check_size(values, outcome):
    """Return the events that a model has, or raise where they are too few."""
    n, events, _ = _counts(values, outcome).values()
    if "time" not in outcome:
        events = min(events, n - events)
    n_columns = values.shape[1]
    if events < n_columns:
        msg = (
            f"{n_columns} columns, but {events} events (of two classes, of the "
            f"smaller one) among {n} patients who have all columns. Use fewer columns."
        )
        raise SchemaError(msg)
    scaled = (values - values.mean()) / _units(values)
    if scaled.isna().any(axis=None) or np.linalg.matrix_rank(scaled) < n_columns:
        msg = f"of {list(values)[:10]} one is constant, or a combination of others."
        raise SchemaError(msg)
    return events


def _ratios(features, outcome, level, penalty):
    """Return the rows of one model of all the columns."""
    values = features.loc[outcome.index].dropna()
    units, event = _units(values), outcome["event"][values.index]
    ends, notes = np.full((4, len(units)), np.nan), [_CONSTANT] * len(units)
    if units.notna().all() and event.any() and ("time" in outcome or not event.all()):
        ends, notes = _ends(values, outcome, level, penalty)
    table = pd.DataFrame({"column": list(values)})
    table["block"] = [split_column(column)[0] for column in values]
    table["effect"] = "hazard ratio" if "time" in outcome else "odds ratio"
    table["per"], table["estimate"] = units.to_numpy(), np.exp(ends[0])
    table["lower"], table["upper"] = np.exp(ends[1]), np.exp(ends[2])
    table["level"], table["p"] = level, ends[3]
    return table.assign(**_counts(values, outcome), note=notes)


def _ends(values, outcome, level, penalty):
    """Return log ratios, their limits and p, and a note on each column."""
    if penalty == "firth":
        design, event = _design(values, outcome)
        found = firth(design, event, values.shape[1], level)
        ends = np.array([found.params, found.lower, found.upper, found.p])
        return ends, [""] * len(found.p)
    fit = _fit(values, outcome)
    if fit is None:
        note = "no finite estimate: the fit does not converge"
        return np.full((4, values.shape[1]), np.nan), [note] * values.shape[1]
    half = stats.norm.ppf((1 + level) / 2) * fit.errors
    p = 2 * stats.norm.sf(np.abs(fit.params / fit.errors))
    notes = [
        _separated([c]) if i else "" for c, i in zip(values, fit.infinite, strict=True)
    ]
    return np.array([fit.params, fit.params - half, fit.params + half, p]), notes


def _separated(columns):
    if not columns:
        return ""
    separate = "separates" if len(columns) == 1 else "separate"
    return f"no finite estimate: {', '.join(columns)} {separate} the outcomes"


def _design(values, outcome):
    """Return standardized columns with an intercept, and who had the event."""
    design = ((values - values.mean()) / _units(values)).to_numpy()
    event = outcome["event"][values.index].to_numpy()
    return np.column_stack([design, np.ones(len(design))]), event


def _check_penalty(penalty, outcome):
    if penalty not in (None, "firth"):
        raise SchemaError(f"penalty is {penalty!r}; known are None and 'firth'.")
    if penalty and "time" in outcome:
        msg = "penalty='firth' is for two classes, and the outcome is survival."
        raise SchemaError(msg)


def _fit(values, outcome):
    """Return the `Limit` of the likelihood; None where none was found."""
    # loading statsmodels takes a second
    from statsmodels.discrete.discrete_model import Logit
    from statsmodels.duration.hazard_regression import PHReg
    from statsmodels.tools.sm_exceptions import ModelWarning

    (design, event), n = _design(values, outcome), values.shape[1]
    with warnings.catch_warnings():
        # what an endless climb ends in
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("error", ModelWarning)
        try:
            if "time" in outcome:
                time = outcome["time"][values.index].to_numpy()
                design = design[:, :n]
                fit = PHReg(time, design, status=event, ties="efron").fit(disp=0)
            else:
                fit = Logit(event, design).fit(disp=0)
            if (fit.bse < _LARGEST_ERROR).all():
                none = np.zeros(n, dtype=bool)
                return Limit(fit.params[:n], fit.bse[:n], fit.llf, none)
        except (RuntimeWarning, ModelWarning, np.linalg.LinAlgError):
            pass
    if "time" in outcome:
        limit = cox_limit(design, event, time)
    else:
        limit = logistic_limit(design, event)
    if limit is None:
        return None
    parts = (limit.params[:n], limit.errors[:n])
    return Limit(*parts, limit.llf, limit.infinite[:n])
