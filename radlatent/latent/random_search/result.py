"""What a search returns: a table of trials, and the encoder of the best.

Scores of every trial and fold enter, tables and an unfitted encoder leave.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from radlatent.errors import RadlatentError
from radlatent.latent.encoder import LatentEncoder
from radlatent.latent.random_search.plan import with_parameters

__all__ = ["SearchResult", "tables_of"]

_BY_CASE, _BY_FOLD = ["bound", "reconstruction", "kl"], ["redundancy", "n_active"]
_MEANS, _SUMS = _BY_CASE + _BY_FOLD, ["n_cases", "seconds"]


@dataclass(frozen=True, eq=False, repr=False)
class SearchResult:
    """Trials of a search.

    Parameters
    ----------
    trials
        One row a trial: ``number, state, eligible, score, bound, reconstruction, kl,
        redundancy, n_active, n_cases``, the settings, ``seconds, reason``. Means over
        held-out cases, in nats; ``redundancy`` (held-out R2) and ``n_active`` are means
        over folds. ``state`` is "complete" or "failed", then with a ``reason``.
    folds
        The same, one row a trial and fold, of trials that are complete.
    encoder
        The encoder that the search began with.
    space
        The ranges that settings were drawn from.
    failures
        **failures** table of the cases.
    """

    trials: pd.DataFrame
    folds: pd.DataFrame
    encoder: LatentEncoder
    space: dict
    failures: pd.DataFrame

    @property
    def best(self) -> LatentEncoder:
        """A clone of the encoder, unfitted, with the settings of the best trial.

        Raises
        ------
        RadlatentError
            All trials failed, or none is within the limit of redundancy.
        """
        ranked = self.summary
        if not len(ranked) or not ranked["eligible"].iloc[0]:
            raise RadlatentError(_why_none(self.trials))
        row = self.trials.loc[self.trials["number"] == ranked["number"].iloc[0]].iloc[0]
        return with_parameters(self.encoder, _settings(row, self.space))

    @property
    def summary(self) -> pd.DataFrame:
        """The trials that are complete, eligible ones first, then by score."""
        complete = self.trials[self.trials["state"] == "complete"]
        order = {"by": ["eligible", "score"], "ascending": [False, True]}
        ranked = complete.sort_values(**order, kind="stable").reset_index(drop=True)
        return ranked.drop(columns=["state", "reason"])

    def plot(self, ax=None, **kwargs):
        """Draw the score against every setting on ``ax`` and return it."""
        from radlatent.figures.latents.trials import search

        return search(self.trials, ax, space=self.space, **kwargs)

    def __repr__(self) -> str:
        states = self.trials["state"].value_counts()
        told = f"SearchResult({len(self.trials)} trials, {states.get('failed', 0)} "
        told += f"failed, {int(self.trials['eligible'].sum())} eligible"
        if self.trials["eligible"].any():
            row = self.summary.iloc[0]
            found = ", ".join(f"{name}={row[name]:.3g}" for name in self.space)
            told += f"; best: {row['score']:.4g} with {found}"
        return told + ")"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def tables_of(
    rows: list[dict], *, score: str, max_redundancy: float | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of trials and of folds of a `SearchResult`.

    Parameters
    ----------
    rows
        ``number, parameters, folds, reason`` of each trial.
    score, max_redundancy
        As in `SearchPlan`.
    """
    folds = pd.DataFrame(
        [{"number": row["number"]} | fold for row in rows for fold in row["folds"]],
        columns=["number", "fold", *_MEANS, *_SUMS],
    )
    folds[_MEANS] = folds[_MEANS].astype(float)
    trials = pd.DataFrame(
        [
            {
                "number": row["number"],
                "state": "failed" if row["reason"] else "complete",
            }
            | row["parameters"]
            | {"reason": row["reason"]}
            for row in rows
        ]
    )
    means = [_over_folds(folds[folds["number"] == n]) for n in trials["number"]]
    trials = trials.join(pd.DataFrame(means, trials.index))
    trials["score"] = trials[score]
    trials["eligible"] = trials["state"] == "complete"
    if max_redundancy is not None:
        trials["eligible"] &= trials["redundancy"] <= max_redundancy
    first = ["number", "state", "eligible", "score", *_MEANS, "n_cases"]
    last = ["seconds", "reason"]
    settings = [c for c in trials if c not in (*first, *last)]
    return trials[first + settings + last], folds


def _over_folds(rows):
    """Return means over cases where cases have a part, over folds where folds do."""
    if not len(rows):
        return dict.fromkeys([*_MEANS, *_SUMS], np.nan)
    by_case = {
        name: np.average(rows[name], weights=rows["n_cases"]) for name in _BY_CASE
    }
    by_fold = {name: rows[name].mean() for name in _BY_FOLD}
    return by_case | by_fold | {name: rows[name].sum() for name in _SUMS}


def _why_none(trials):
    failed = trials[trials["state"] == "failed"]
    if len(failed) == len(trials):
        return (
            f"all {len(trials)} trials failed, so none is the best; the first: "
            f"{failed['reason'].iloc[0]}"
        )
    lowest = trials["redundancy"].min()
    return (
        f"none of {len(trials)} trials is within max_redundancy; the least redundant "
        f"has a held-out R2 of {lowest:.3g}. Raise max_redundancy, or search higher "
        "kappa."
    )


def _settings(row, space):
    return {
        name: int(row[name]) if kind == "int" else float(row[name])
        for name, (_, _, kind) in space.items()
    }
