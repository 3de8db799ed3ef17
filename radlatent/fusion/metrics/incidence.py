"""Incidence of competing events: of each cause, until each day.

An endpoint of competing events, and groups of its patients, enter; the estimate of
Aalen and Johansen with intervals leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.endpoint import Endpoint
from radlatent.features.values import as_texts, text_index
from radlatent.fusion.metrics.arrays import read_runs
from radlatent.fusion.metrics.censoring import aalen_johansen
from radlatent.fusion.metrics.survival import middle_day
from radlatent.fusion.metrics.survival_curves import risk_groups

__all__ = [
    "CumulativeIncidence",
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
        last day on which anybody was followed. Of `incidence_by_risk` there is a
        ``horizon`` too, and both have ``model, blocks, endpoint``.
    """

    curves: pd.DataFrame
    groups: pd.DataFrame

    def at(self, days: float | Sequence[float]) -> pd.DataFrame:
        """Return the incidence until each of some days: the rows of the curves.

        ``day`` is the day asked for, ``time`` that of the last change before it. The
        incidence is NaN after the last day on which anybody of the group was followed.
        """
        found = []
        for key, rows in self.curves.groupby(self._keys, sort=False):
            for day in np.atleast_1d(np.asarray(days, dtype=float)):
                about = dict(zip(self._keys, key, strict=True)) | {"day": day}
                found.append(about | _until(rows, day))
        return pd.DataFrame(found)

    @property
    def summary(self) -> pd.DataFrame:
        """Incidence of each group and cause, with its interval.

        Until the horizon, or the last day.
        """
        until = self.groups.get("horizon", self.groups["last"])
        rows = self.curves.groupby(self._keys, sort=False)
        keys = self.groups[self._keys].itertuples(index=False, name=None)
        found = [
            _until(rows.get_group(key), day)
            for key, day in zip(keys, until, strict=True)
        ]
        columns = pd.DataFrame(found)[["incidence", *_ENDS]]
        return self.groups.join(columns)

    @property
    def _keys(self):
        known = (*_MODEL, "group", "cause")
        return [name for name in known if name in self.curves]

    def plot(self, ax=None, **kwargs):
        """Draw the curves, a color a group or cause."""
        from radlatent.figures.models.incidence import cumulative_incidence as draw

        return draw(self.curves, ax, **kwargs)

    def __repr__(self) -> str:
        told = []
        for row in self.summary.itertuples():
            ends = f"({row.lower:.3f} to {row.upper:.3f})"
            day = getattr(row, "horizon", row.last)
            told.append(
                f"{row.group}, {row.cause}: n = {row.n}, {row.n_events} events; until "
                f"day {day:g} {row.incidence:.3f} {ends}"
            )
        return "\n".join(told)

    def _repr_html_(self) -> str:
        return self.summary.to_html()


_ENDS, _MODEL = ("lower", "upper"), ("model", "blocks", "endpoint")


def _until(rows, day):
    """Return a curve on a day; NaN where nobody was followed to it."""
    row = rows[rows["time"] <= day].iloc[-1].to_dict()
    if day > rows["time"].max():
        row |= dict.fromkeys(("incidence", "error", *_ENDS), np.nan)
    return row


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
    predictions: pd.DataFrame,
    *,
    horizon: float | None = None,
    n_groups: int = 2,
    level: float = 0.95,
) -> CumulativeIncidence:
    """Return the observed incidence of groups of predicted risk, model by model.

    Parameters
    ----------
    predictions
        A **predictions** table of competing events.
    horizon
        Day of ``summary``; None as of `survival_calibration`.
    n_groups, level
        As of `kaplan_meier`, which says how patients are put into groups.

    Raises
    ------
    SchemaError
        No competing events are predicted.
    """
    curves, groups = [], []
    for run in read_runs(predictions, kind="competing"):
        day = middle_day(run) if horizon is None else float(horizon)
        rows = predictions[predictions["endpoint"] == run.key["endpoint"]]
        rows = rows.drop_duplicates("patient_id").set_index("patient_id")
        frame = rows.loc[run.patients, ["time", "cause"]]
        endpoint = Endpoint(run.key["endpoint"], "competing", frame, run.cause)
        for name, part in risk_groups(run, n_groups):
            inside = frame.index[part]
            found = cumulative_incidence(
                endpoint, pd.Series(name, inside).reindex(frame.index), level=level
            )
            curves.append(_of_run(found.curves, run))
            groups.append(_of_run(found.groups, run).assign(horizon=day))
    return CumulativeIncidence(
        pd.concat(curves, ignore_index=True), pd.concat(groups, ignore_index=True)
    )


def _of_run(table, run):
    for at, name in enumerate(_MODEL):
        table.insert(at, name, run.key[name])
    return table


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
