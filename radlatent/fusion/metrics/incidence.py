"""Incidence of competing events: of each cause, until each day.

An endpoint of competing events, and groups of its patients, enter; the estimate of
Aalen and Johansen with intervals leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from radlatent.errors import SchemaError
from radlatent.features.endpoint import Endpoint
from radlatent.features.values import as_texts, text_index
from radlatent.fusion.metrics.arrays import read_runs
from radlatent.fusion.metrics.censoring import over
from radlatent.fusion.metrics.survival_curves import risk_groups

__all__ = [
    "CumulativeIncidence",
    "aalen_johansen",
    "cumulative_incidence",
    "incidence_by_risk",
]


@dataclass(frozen=True, eq=False, repr=False)
class CumulativeIncidence:
    """How many patients have had each of several competing events, by day.

    Parameters
    ----------
    curves
        ``group, cause, time, incidence, error, lower, upper, at_risk, events,
        censored``: one row a group, cause and day (the first is day 0), ``at_risk``
        before that day, ``events`` of the cause and ``censored`` on it, ``error`` the
        standard error.
    groups
        ``group, cause, n, n_events, last``: patients, those who had the event, and the
        last day on which anybody was followed.
    """

    curves: pd.DataFrame
    groups: pd.DataFrame

    def at(self, days: float | Sequence[float]) -> pd.DataFrame:
        """Return the incidence until each of some days: the rows of the curves.

        ``day`` is the day asked for, ``time`` that of the last change before it. The
        incidence is NaN after the last day on which anybody of the group was followed.
        """
        found = []
        for (group, cause), rows in self.curves.groupby(["group", "cause"], sort=False):
            for day in np.atleast_1d(np.asarray(days, dtype=float)):
                row = rows[rows["time"] <= day].iloc[-1].to_dict()
                if day > rows["time"].max():
                    row |= dict.fromkeys(("incidence", "error", *_ENDS), np.nan)
                found.append({"group": group, "cause": cause, "day": day} | row)
        return pd.DataFrame(found)

    @property
    def summary(self) -> pd.DataFrame:
        """Incidence on the last day of each group and cause, with its interval."""
        last = self.curves.groupby(["group", "cause"], sort=False).tail(1)
        found = ["group", "cause", "incidence", *_ENDS]
        return self.groups.merge(last[found], on=["group", "cause"])

    def plot(self, ax=None, **kwargs):
        """Draw the curves, a color a group or cause."""
        from radlatent.figures.models.incidence import cumulative_incidence as draw

        return draw(self.curves, ax, **kwargs)

    def __repr__(self) -> str:
        told = []
        for row in self.summary.itertuples():
            ends = f"({row.lower:.3f} to {row.upper:.3f})"
            told.append(
                f"{row.group}, {row.cause}: n = {row.n}, {row.n_events} events; until "
                f"day {row.last:g} {row.incidence:.3f} {ends}"
            )
        return "\n".join(told)

    def _repr_html_(self) -> str:
        return self.summary.to_html()


_ENDS = ("lower", "upper")


def cumulative_incidence(
    endpoint: Endpoint, by: pd.Series | None = None, *, level: float = 0.95
) -> CumulativeIncidence:
    """Return how many patients have had each of several competing events, by day.

    Parameters
    ----------
    endpoint
        Of kind "competing".
    by
        Group of each patient (index ``patient_id``); None takes all together. Patients
        without a group are left out.
    level
        Coverage that the intervals aim at.

    Raises
    ------
    SchemaError
        The endpoint is of another kind, or a patient of it is not in ``by``.

    Notes
    -----
    The estimate of Aalen and Johansen: on each day the probability to have been free of
    all events, times the share of those at risk who have the event. Events and
    censorings of one day are taken together, events first; nothing is drawn at random.
    One minus Kaplan-Meier with the other events as censored is larger: it is the
    incidence in a world without them.

    The variance is that of the delta method (Marubini & Valsecchi 1995, eq. 10.12; as
    Stata's ``stcompet`` and statsmodels; R's ``cuminc`` has Aalen's of 1978); the
    interval is on the log(-log) scale (Choudhury 2002), NaN before the first event.

    References
    ----------
    Aalen & Johansen 1978, Scand J Stat 5:141-150; Marubini & Valsecchi 1995, ISBN
    978-0-471-93987-6; Choudhury 2002, doi:10.1002/sim.1070

    Examples
    --------
    >>> patients = pd.Index(["a", "b", "c", "d"], name="patient_id")
    >>> frame = pd.DataFrame({"days": [1, 2, 3, 4], "what": [1, 2, 0, 1]}, patients)
    >>> names = {"time": "days", "event": "what"}
    >>> found = cumulative_incidence(Endpoint.competing(frame, **names, positive=1))
    >>> found.at(4)[["cause", "incidence"]].values.tolist()
    [['1', 0.75], ['2', 0.25]]
    """
    if endpoint.kind != "competing":
        msg = (
            f"endpoint {endpoint.name!r} is of kind {endpoint.kind!r}; the cumulative "
            "incidence is of competing events: make it with Endpoint.competing."
        )
        raise SchemaError(msg)
    frame, causes = endpoint.frame, endpoint.causes
    group = _groups(frame.index, by, endpoint.name)
    curves, groups = [], []
    for name in sorted(group.dropna().unique()):
        part = frame[group == name]
        cause = pd.Index(causes).get_indexer(part["cause"]) + 1
        found = aalen_johansen(part["time"].to_numpy(float), cause, len(causes), level)
        for number, what in enumerate(causes, 1):
            key = {"group": name, "cause": what}
            rows = found[found["cause"] == number].drop(columns="cause")
            curves.append(pd.DataFrame(key | rows.to_dict("series")))
            counts = {"n": len(part), "n_events": int((cause == number).sum())}
            groups.append(key | counts | {"last": float(part["time"].max())})
    return CumulativeIncidence(
        pd.concat(curves, ignore_index=True), pd.DataFrame(groups)
    )


def incidence_by_risk(
    predictions: pd.DataFrame, *, n_groups: int = 2, level: float = 0.95
) -> CumulativeIncidence:
    """Return the observed incidence of groups of predicted risk, of one model.

    Parameters
    ----------
    predictions
        A **predictions** table of competing events, of one model.
    n_groups, level
        As of `radlatent.kaplan_meier`, which says how patients are put into groups.

    Raises
    ------
    SchemaError
        The predictions are of another kind, or of several models.
    """
    runs = read_runs(predictions, kind="competing")
    if len(runs) > 1:
        names = [run.key["model"] for run in runs]
        raise SchemaError(f"the predictions are of {names}; choose the rows of one.")
    [run] = runs
    rows = predictions.drop_duplicates("patient_id").set_index("patient_id")
    rows = rows.loc[run.patients]
    endpoint = Endpoint(
        run.key["endpoint"],
        "competing",
        rows[["time", "cause"]],
        rows["positive"].iloc[0],
    )
    by = pd.Series("", run.patients)
    for name, part in risk_groups(run, n_groups):
        by[part] = name
    order = by.unique() if n_groups > 3 else ["low", "medium", "high", "all"]
    found = cumulative_incidence(endpoint, by, level=level)
    key = pd.CategoricalDtype([*order], ordered=True)
    return CumulativeIncidence(
        *(
            table.assign(group=table["group"].astype(key))
            .sort_values("group", kind="stable")
            .astype({"group": str})
            .reset_index(drop=True)
            for table in (found.curves, found.groups)
        )
    )


def _groups(patients, by, name):
    if by is None:
        return pd.Series("all", patients)
    by = pd.Series(as_texts(by)).set_axis(text_index(by.index))
    absent = patients.difference(by.index)
    if len(absent):
        msg = (
            f"{len(absent)} patients of endpoint {name!r} are in no row of the groups: "
            f"{absent[:5].tolist()}."
        )
        raise SchemaError(msg)
    return by.loc[patients]


def aalen_johansen(
    time: np.ndarray, cause: np.ndarray, n_causes: int, level: float = 0.95
) -> pd.DataFrame:
    """Return the incidence of each cause on every day, from day 0 on.

    Parameters
    ----------
    time
        Days until the first event or the end of follow-up, shape (n_patients,).
    cause
        Number of the event from 1 on, 0 of those censored, shape (n_patients,).
    n_causes
        How many causes there are.
    level
        Coverage that the intervals aim at.

    Returns
    -------
    DataFrame
        ``cause, time, incidence, error, lower, upper, at_risk, events, censored``.
    """
    days, at = np.unique(np.r_[0.0, time], return_inverse=True)
    counts = np.zeros((n_causes + 1, len(days)))
    np.add.at(counts, (cause, at[1:]), 1)
    at_risk = np.cumsum(counts.sum(axis=0)[::-1])[::-1]
    died = counts[1:].sum(axis=0)
    free = np.cumprod(1 - over(died, at_risk))
    before = np.r_[1.0, free[:-1]]  # free of all events on the eve
    z, tables = norm.ppf((1 + level) / 2), []
    for number, events in enumerate(counts[1:], 1):
        incidence = np.cumsum(before * over(events, at_risk))
        error = np.sqrt(_variance(incidence, before, events, died, at_risk))
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.exp(z * error / (incidence * np.log(incidence)))
            bounds = [incidence ** (1 / reach), incidence**reach]
        certain = (incidence <= 0) | (incidence >= 1)
        lower, upper = (np.where(certain, np.nan, one) for one in bounds)
        columns = {"cause": number, "time": days, "incidence": incidence}
        columns |= {"error": error, "lower": lower, "upper": upper}
        columns |= {"at_risk": at_risk.astype(int), "events": events.astype(int)}
        tables.append(pd.DataFrame(columns | {"censored": counts[0].astype(int)}))
    return pd.concat(tables, ignore_index=True)


def _variance(incidence, before, events, died, at_risk):
    """Return the variance on each day; all arguments of shape (n_days,)."""
    # of (I(t) - I(s))^2 a(s) + b(s) - 2 (I(t) - I(s)) c(s), summed over s up to t
    a = over(died, at_risk * (at_risk - died))
    b = before**2 * over(events * (at_risk - events), at_risk**3)
    c = before * over(events, at_risk**2)
    whole = np.cumsum(
        np.stack([a, a * incidence, a * incidence**2, b, c, c * incidence]), 1
    )
    found = incidence**2 * whole[0] - 2 * incidence * whole[1] + whole[2] + whole[3]
    return np.maximum(found - 2 * incidence * whole[4] + 2 * whole[5], 0)
