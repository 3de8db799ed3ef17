"""How many patients a prediction model needs.

What is known before a study, or the study, enters; a table of criteria leaves, with the
patients and events that each asks for.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from radlatent.errors import SchemaError
from radlatent.fusion.explain.inference import events_of

if TYPE_CHECKING:
    from radlatent.features.endpoint import Endpoint

__all__ = ["r_squared_of_auc", "sample_size", "study_size"]

#: The normal quantile as Riley et al. round it.
_Z = 1.96

#: Of the largest possible R2, where nothing is known of the model.
_SHARE = 0.15


def sample_size(
    n_parameters: int,
    *,
    prevalence: float | None = None,
    rate: float | None = None,
    follow_up: float | None = None,
    horizon: float | None = None,
    r_squared: float | None = None,
    auc: float | None = None,
) -> pd.DataFrame:
    """Return how many patients the development of a model needs, by criterion.

    Parameters
    ----------
    n_parameters
        Candidate columns (of a category, its values less one): all that the model may
        choose from, not those that it keeps.
    prevalence
        Share of patients with the event, of two classes; the rest is for survival.
    rate
        Events per unit of time and patient.
    follow_up
        Mean follow-up of a patient, in the same unit.
    horizon
        Time at which the risk is read, in the same unit.
    r_squared
        The R2 of Cox and Snell that is expected, after correction for optimism. None
        takes it from the AUC, or else 15% of the largest possible.
    auc
        The AUC that is expected, of two classes.

    Returns
    -------
    DataFrame
        ``criterion, n, n_events, n_parameters, r_squared, binding``: one row a
        criterion; ``binding`` marks the one that asks for most patients. NaN where a
        criterion does not apply.

    Raises
    ------
    SchemaError
        Neither a prevalence nor rate, follow-up and horizon are given, or both; a
        number is outside of its range.

    Notes
    -----
    With p parameters, expected R2 and largest R2 M::

        shrinkage     n = p / ((S - 1) ln(1 - R2 / S)), S = 0.9
        optimism      the same with S = R2 / (R2 + 0.05 M)
        overall risk  n = (1.96 / 0.05)^2 f (1 - f), f the prevalence; of survival, so
                      that the 95% interval of the risk at the horizon under a constant
                      rate is within 0.05
        mean error    n = exp((-0.508 + 0.259 ln f + 0.504 ln p - ln 0.05) / 0.544), of
                      two classes and up to 30 parameters, f the smaller class

    They are for unpenalized regression. A penalty does not remove the need: it cannot
    be estimated well where they ask for more patients. With hundreds of columns they
    ask for more patients than anybody has: that is what they are to tell.

    References
    ----------
    Riley et al. 2019, doi:10.1002/sim.7992; Riley et al. 2020, doi:10.1136/bmj.m441;
    van Smeden et al. 2019, doi:10.1177/0962280218784726; Riley et al. 2021,
    doi:10.1002/sim.8806
    """
    follow = {"rate": rate, "follow_up": follow_up, "horizon": horizon}
    _check_numbers(n_parameters, prevalence, follow, r_squared, auc)
    share = rate * follow_up if prevalence is None else prevalence
    largest = 1 - np.exp(2 * _null(share, survival=prevalence is None))
    if auc is not None:
        r_squared = r_squared_of_auc(auc, prevalence)
    elif r_squared is None:
        r_squared = _SHARE * largest
    if not 0 < r_squared < largest:
        msg = f"r_squared={r_squared:.3g} is not between 0 and {largest:.3g}, the most."
        raise SchemaError(msg)
    needed = {"shrinkage 0.9": _shrunk(n_parameters, r_squared, 0.9)}
    shrinkage = r_squared / (r_squared + 0.05 * largest)
    needed["optimism of R2 0.05"] = _shrunk(n_parameters, r_squared, shrinkage)
    needed["overall risk within 0.05"] = _overall(prevalence, **follow)
    needed["mean error of risks 0.05"] = _mean_error(prevalence, n_parameters)
    table = pd.DataFrame({"criterion": needed.keys(), "n": needed.values()})
    table["n"] = np.ceil(table["n"])
    table["n_events"] = np.ceil(table["n"] * share)
    table = table.assign(n_parameters=n_parameters, r_squared=r_squared)
    return table.assign(binding=table.index == table["n"].idxmax())


def study_size(
    features: pd.DataFrame,
    endpoint: "Endpoint",
    *,
    horizon: float | None = None,
    r_squared: float | None = None,
    auc: float | None = None,
) -> pd.DataFrame:
    """Return what `sample_size` asks for beside what a study has.

    Parameters
    ----------
    features
        A **features** table indexed by ``patient_id``; every column is a candidate.
    endpoint
        An endpoint of two classes or of survival.
    horizon
        Days at which the risk of survival is read; None takes the mean follow-up.
    r_squared, auc
        As in `sample_size`; not what the study found itself.

    Returns
    -------
    DataFrame
        As of `sample_size`, with ``n_had, n_events_had`` and ``enough``.
    """
    outcome = events_of(features, endpoint)
    n, events = len(outcome), int(outcome["event"].sum())
    known = {"r_squared": r_squared, "auc": auc}
    if "time" in outcome:
        days = outcome["time"].mean()
        known |= {"rate": events / n / days, "follow_up": days}
        known |= {"horizon": days if horizon is None else horizon}
    else:
        known |= {"prevalence": events / n}
    table = sample_size(features.shape[1], **known)
    enough = (table["n"] <= n).where(table["n"].notna())
    return table.assign(n_had=n, n_events_had=events, enough=enough)


def r_squared_of_auc(auc: float, prevalence: float) -> float:
    """Return the R2 of Cox and Snell of a calibrated model with this AUC.

    Parameters
    ----------
    auc
        Above 0.5 and below 1.
    prevalence
        Share of patients with the event.

    Notes
    -----
    The score of patients with and without the event is taken to be normal with equal
    variance. The source simulates a million patients; here the two expected log
    likelihoods are integrals (Gauss-Hermite, 200 points), without random error.

    References
    ----------
    Riley et al. 2021, doi:10.1002/sim.8806
    """
    distance = np.sqrt(2) * stats.norm.ppf(auc)
    points, weights = np.polynomial.hermite_e.hermegauss(200)
    odds = np.log(prevalence / (1 - prevalence)) - distance**2 / 2
    with_event = -np.logaddexp(0, -(odds + distance * (points + distance)))
    without = -np.logaddexp(0, odds + distance * points)
    fitted = weights @ (prevalence * with_event + (1 - prevalence) * without)
    return float(1 - np.exp(2 * (_null(prevalence) - fitted / weights.sum())))


def _null(share, *, survival=False):
    """Return the log likelihood of a patient where only the share of events is known.

    Of survival it is that of a constant rate, in units of the mean follow-up.
    """
    if survival:
        return share * np.log(share) - share
    return share * np.log(share) + (1 - share) * np.log(1 - share)


def _shrunk(n_parameters, r_squared, shrinkage):
    return n_parameters / ((shrinkage - 1) * np.log(1 - r_squared / shrinkage))


def _overall(prevalence, rate, follow_up, horizon):
    if prevalence is not None:
        return (_Z / 0.05) ** 2 * prevalence * (1 - prevalence)
    # the lower end is the farther one: exp(-rate t) (exp(half t) - 1) = 0.05, with
    # half = z sqrt(rate / all time at risk)
    half = np.log1p(0.05 * np.exp(rate * horizon)) / horizon
    return rate * (_Z / half) ** 2 / follow_up


def _mean_error(prevalence, n_parameters):
    if prevalence is None or n_parameters > 30:
        return np.nan
    size = 0.259 * np.log(min(prevalence, 1 - prevalence)) - np.log(0.05)
    return np.exp((-0.508 + size + 0.504 * np.log(n_parameters)) / 0.544)


def _check_numbers(n_parameters, prevalence, follow, r_squared, auc):
    given = [value for value in follow.values() if value is not None]
    valid = n_parameters >= 1 and len(given) == (3 if prevalence is None else 0)
    valid = valid and all(0 < value < np.inf for value in given)
    valid = valid and (prevalence is None or 0 < prevalence < 1)
    if auc is not None:
        valid = valid and prevalence is not None and r_squared is None
        valid = valid and 0.5 < auc < 1
    if not valid:
        msg = (
            "give n_parameters from 1; a prevalence between 0 and 1, or else rate, "
            "follow_up and horizon above 0; an AUC between 0.5 and 1 beside a "
            "prevalence, or an r_squared, or neither. Found n_parameters="
            f"{n_parameters}, {prevalence=}, {follow}, {r_squared=}, {auc=}."
        )
        raise SchemaError(msg)
