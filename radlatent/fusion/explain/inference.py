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
from radlatent.fusion.validation.inputs import check_table
from radlatent.schema import split_column

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = ["events_of", "likelihood_ratio_test", "multivariable", "univariable"]

#: A standard error of a log ratio above this is that of a likelihood without maximum.
_LARGEST_ERROR = 100.0

_SEPARATED = "no finite estimate: the columns separate the outcomes"


def univariable(
    features: pd.DataFrame, endpoint: "Endpoint", *, level: float = 0.95
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
        Patients of the endpoint have no features, or it has not two classes.

    Notes
    -----
    Intervals and p are Wald's. A column that was chosen, or a score or latent feature
    that was learned, with the outcomes of the same patients has no valid p here: give
    scores that are out-of-fold, and read q as a description.

    References
    ----------
    Cox 1972, doi:10.1111/j.2517-6161.1972.tb00899.x; Efron 1977,
    doi:10.1080/01621459.1977.10480613; Benjamini & Hochberg 1995,
    doi:10.1111/j.2517-6161.1995.tb02031.x
    """
    outcome = events_of(features, endpoint)
    rows = [_ratios(features[[column]], outcome, level) for column in features]
    table = pd.concat(rows, ignore_index=True)
    known = table["p"].notna()
    q = stats.false_discovery_control(table["p"][known])
    table.insert(9, "q", pd.Series(q, table.index[known]))
    return table


def multivariable(
    features: pd.DataFrame, endpoint: "Endpoint", *, level: float = 0.95
) -> pd.DataFrame:
    """Return the odds or hazard ratios of a few columns in one model.

    Parameters
    ----------
    features
        A **features** table indexed by ``patient_id``; patients who lack a column are
        left out and counted in ``n_missing``.
    endpoint, level
        As in `univariable`.

    Returns
    -------
    DataFrame
        As of `univariable`, with ``events_per_variable`` in the place of ``q``: events
        (of two classes, the patients of the smaller) divided by columns. Below 10,
        estimates are unstable and too far from 1.

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
    events = _check_size(features.loc[outcome.index].dropna(), outcome)
    table = _ratios(features, outcome, level)
    table.insert(9, "events_per_variable", events / features.shape[1])
    return table


def likelihood_ratio_test(
    base: pd.DataFrame, added: pd.DataFrame, endpoint: "Endpoint"
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
    endpoint
        As in `univariable`.

    Returns
    -------
    DataFrame
        One row: ``base, added`` (their columns), ``chi2, df, p, n, n_events, n_missing,
        note``. Both models see the patients who have all columns. With patients whom
        the larger model separates there is no test: NaN, and a ``note``.

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
    events_of(added, endpoint)
    twice = sorted(set(base) & set(added))
    if twice or base.empty or added.empty:
        msg = f"base and added: give columns to each, none to both; found {twice[:5]}."
        raise SchemaError(msg)
    both = base.join(added).loc[outcome.index].dropna()
    _check_size(both, outcome)
    fits = [_fit(both[list(part)], outcome) for part in (base, both)]
    separated = None in fits
    chi2 = np.nan if separated else 2 * (fits[1][2] - fits[0][2])
    row = {"base": ", ".join(base), "added": ", ".join(added), "chi2": chi2}
    row |= {"df": added.shape[1], "p": stats.chi2.sf(chi2, added.shape[1])}
    row |= {**_counts(both, outcome), "note": _SEPARATED if separated else ""}
    return pd.DataFrame([row])


def events_of(features: pd.DataFrame, endpoint: "Endpoint") -> pd.DataFrame:
    """Return ``event`` (1 or 0; of classes, the positive one) and ``time`` of survival.

    Raises
    ------
    SchemaError
        As in `univariable`.
    """
    check_table(features, endpoint)
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


def _ratios(features, outcome, level):
    """Return the rows of one model of all the columns."""
    values = features.loc[outcome.index].dropna()
    units, event = _units(values), outcome["event"][values.index]
    fit, note = None, "no estimate: the column or the outcome does not vary"
    if units.notna().all() and event.any() and ("time" in outcome or not event.all()):
        fit, note = _fit(values, outcome), _SEPARATED
    center, error, _ = fit or (np.full(len(units), np.nan),) * 3
    half = stats.norm.ppf((1 + level) / 2) * error
    table = pd.DataFrame({"column": list(values)})
    table["block"] = [split_column(column)[0] for column in values]
    table["effect"] = "hazard ratio" if "time" in outcome else "odds ratio"
    table["per"], table["estimate"] = units.to_numpy(), np.exp(center)
    table["lower"], table["upper"] = np.exp(center - half), np.exp(center + half)
    table["level"], table["p"] = level, 2 * stats.norm.sf(np.abs(center / error))
    return table.assign(**_counts(values, outcome), note="" if fit else note)


def _fit(values, outcome):
    """Return log ratios, standard errors, log likelihood; None without a maximum."""
    # loading statsmodels takes a second
    from statsmodels.discrete.discrete_model import Logit
    from statsmodels.duration.hazard_regression import PHReg
    from statsmodels.tools.sm_exceptions import ModelWarning

    design = ((values - values.mean()) / _units(values)).to_numpy()
    event, n = outcome["event"][values.index].to_numpy(), values.shape[1]
    with warnings.catch_warnings():
        # what an endless climb ends in
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("error", ModelWarning)
        try:
            if "time" in outcome:
                time = outcome["time"][values.index].to_numpy()
                fit = PHReg(time, design, status=event, ties="efron").fit(disp=0)
            else:
                design = np.column_stack([design, np.ones(len(design))])
                fit = Logit(event, design).fit(disp=0)
        except (RuntimeWarning, ModelWarning, np.linalg.LinAlgError):
            return None
    if not (fit.bse < _LARGEST_ERROR).all():
        return None
    return fit.params[:n], fit.bse[:n], fit.llf
