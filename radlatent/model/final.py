"""The final model: what it says of new patients, and how far to trust it.

A features table, or a cohort, enters; a table with a row a patient leaves.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.endpoint import Endpoint, pair_problems
from radlatent.features.values import as_texts
from radlatent.fusion import Result, evaluate
from radlatent.model.about import About
from radlatent.model.card import as_html, as_markdown, card_of
from radlatent.model.conformal import Conformal, Errors
from radlatent.model.domain import Domain
from radlatent.model.folder import read_folder, write_folder
from radlatent.model.parts import Part, People
from radlatent.model.table import CLINICAL, match_columns, of_patients, with_remarks
from radlatent.schema import split_column

__all__ = ["FinalModel", "load_model"]

_log = logging.getLogger(__name__)

#: Names that are told of a patient, at most.
_TOLD = 5

#: What a folder holds of a model beside `radlatent.model.about.About`.
_PARTS = ("predictor", "domain", "conformal")


@dataclass(frozen=True, eq=False, repr=False)
class FinalModel:
    """A model fitted on all patients, for new ones.

    `radlatent.fit` makes one, `radlatent.load_model` reads one.

    Parameters
    ----------
    about
        What it is of.
    predictor
        The numbers that predict.
    domain
        Where its training patients lie.
    conformal
        What sets of classes, or intervals of numbers, are made with; None of survival,
        or without validation.
    estimator
        The estimator of scikit-learn that was fitted; None of a model that was read.
    files
        Name to content of files that are kept with it: those of the encoder of a study.
    """

    about: About
    predictor: Part
    domain: Domain
    conformal: Conformal | Errors | None = None
    estimator: object | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The columns that have a say: what a table of new patients must have."""
        return [self.about.columns[place] for place in self.domain.uses]

    @property
    def performance(self) -> pd.DataFrame:
        """The **metrics** of the validation."""
        return self.about.metrics

    def predict(
        self,
        features: pd.DataFrame,
        *,
        sites: pd.Series | None = None,
        covariates: pd.DataFrame | None = None,
        days: Sequence[float] | None = None,
        level: float = 0.9,
    ) -> pd.DataFrame:
        """Return what the model says of new patients, a row each.

        Parameters
        ----------
        features
            A features table by ``patient_id``; columns are matched by name, in any
            order, and others are left alone.
        sites
            Site by patient, of a model with `Combat`; a column ``site`` of the features
            does as well.
        covariates
            What `Combat` preserves, by patient.
        days
            Of survival, and of competing events the incidence of that of interest: days
            on which it is told; None takes those of the model.
        level
            Of classes, share of the patients of each class whose set holds it; of
            numbers, share of the patients whose interval holds the outcome.

        Returns
        -------
        DataFrame
            Index ``patient_id``. Of classes ``probability_<class>``, ``class``,
            ``set`` (classes that cannot be ruled out at the level, with ``|`` between
            them) and ``set_n``, patients of the rarest class it was calibrated on; of
            survival ``risk`` and ``survival_<day>``, of competing events ``risk`` and
            ``incidence_<day>``, missing after the follow-up of training; of numbers
            ``predicted``, ``lower`` and ``upper``, in the unit of the outcome, and
            ``interval_n``, patients it was calibrated on. Of all
            ``inside`` (whether every column with a say is within the range of
            training), ``outside`` and ``missing`` (which are not, and which were filled
            in), ``distance`` (Mahalanobis) and ``percentile`` (how many training
            patients in a hundred are not farther), ``remark``, and ``refused``: why
            there is no prediction. A patient who has covariates alone is refused by a
            model of more than these, unless it fuses late.

        Raises
        ------
        SchemaError
            Columns with a say are absent or no numbers, or a patient is there twice.
        """
        table = of_patients(features)
        used = np.zeros(len(self.about.columns), dtype=bool)
        used[self.domain.uses] = True
        X = match_columns(table, [*self.about.columns], used)
        people = _people(table, sites, covariates)
        refused = self._refused(X, people)
        served = refused == ""
        found = pd.DataFrame(index=table.index)
        said = self._said(X[served], people.take(served), days, level)
        found = said.set_axis(table.index[served]).reindex(found.index)
        told = self._told(X, people)
        found = found.assign(**told, refused=refused)
        found = with_remarks(found, pd.Series(self._lacking(X), found.index, dtype=str))
        if self.about.kind != "continuous":
            return found
        low, *_, high = self.about.numbers
        beyond = (found["predicted"] < low) | (found["predicted"] > high)
        told = f"beyond the outcomes of training ({low:.4g} to {high:.4g})"
        return with_remarks(found, pd.Series(np.where(beyond, told, ""), found.index))

    def _refused(self, X, people):
        """Return why there is no prediction of each patient, or an empty text."""
        refused = self.predictor.refused(people)
        infinite = np.isinf(X).any(axis=1)
        refused = np.where(infinite, "infinite values", refused)
        lacks = self._lacks(X)
        if len(lacks.columns) and not self.predictor.skips:
            told = f"no value of {' or '.join(lacks)}, which the model is of"
            refused = np.where(lacks.all(axis=1), told, refused)
        nothing = self.domain.missing(X).all(axis=1)
        return np.where(nothing, "no value in any column that has a say", refused)

    def _lacks(self, X):
        """Return who has no value of a block at all, a column a block.

        Covariates are no such block: it is measurements that a model is of, and medians
        of all of them would be the prediction of nobody.
        """
        blocks = [split_column(column)[0] for column in self.columns]
        missing = pd.DataFrame(self.domain.missing(X), columns=blocks)
        lacks = missing.T.groupby(level=0, sort=False).all().T.astype(bool)
        return lacks.drop(columns=CLINICAL, errors="ignore")

    def _lacking(self, X):
        """Return which blocks each patient lacks, as a remark."""
        what = "left out" if self.predictor.skips else "filled in with medians"
        lacks = self._lacks(X)
        told = [", ".join(lacks.columns[row]) for row in lacks.to_numpy(bool)]
        return [f"no value of {names}: {what}" if names else "" for names in told]

    def _said(self, X, people, days, level):
        # of nobody nothing can be asked: covariates may not be there
        if self.about.kind == "class":
            chances = np.empty((0, len(self.about.classes)))
            if len(X):
                chances = self.predictor.probabilities(X, people)
            return self._classes(chances, level)
        if self.about.kind == "continuous":
            numbers = self.predictor.numbers(X, people) if len(X) else np.empty(0)
            return self._numbers(numbers, level)
        risk = self.predictor.risk(X, people) if len(X) else np.empty(0)
        table = pd.DataFrame({"risk": risk})
        if getattr(self.predictor, "curve", None) is None:
            return table
        days = np.asarray(self.about.days if days is None else days, dtype=float)
        what, chances = "survival", np.empty((0, len(days)))
        if self.about.kind == "competing":
            what = "incidence"
            chances = self.predictor.incidence(X, people, days) if len(X) else chances
        else:
            chances = self.predictor.survival(risk, days)
        chances = np.where(days <= self.about.trained_until, chances, np.nan)
        for day, column in zip(days, chances.T, strict=True):
            table[f"{what}_{day:g}"] = column
        return table

    def _classes(self, chances, level):
        names = np.array(self.about.classes, dtype=object)
        table = pd.DataFrame(chances, columns=[f"probability_{n}" for n in names])
        called = names[chances.argmax(axis=1)] if len(chances) else []
        if self.about.threshold is not None:
            at = self.about.classes.index(self.about.positive)
            positive = chances[:, at] >= self.about.threshold
            called = np.where(positive, names[at], names[1 - at])
        table["class"] = called
        if self.conformal is None or self.conformal.refusal(level):
            return table
        held = self.conformal.sets(chances, level)
        table["set"] = ["|".join(names[row]) for row in held]
        table["set_n"] = int(self.conformal.n.min())
        return table

    def _numbers(self, numbers, level):
        table = pd.DataFrame({"predicted": numbers})
        if self.conformal is None or self.conformal.refusal(level):
            return table
        reach = self.conformal.reach(level)
        ends = {"lower": numbers - reach, "upper": numbers + reach}
        return table.assign(**ends, interval_n=self.conformal.n)

    def _told(self, X, people):
        """Return what is to be known of each patient beside the prediction."""
        outside, missing = self.domain.outside(X), self.domain.missing(X)
        finite = np.where(np.isinf(X), np.nan, X)
        distance, percentile = self.domain.measure(finite)
        nothing = missing.all(axis=1)
        return {
            "inside": ~outside.any(axis=1),
            "outside": [self._named(row) for row in outside],
            "missing": [self._named(row) for row in missing],
            "distance": np.where(nothing, np.nan, distance),
            "percentile": np.where(nothing, np.nan, percentile),
            "remark": self.predictor.remarks(people),
        }

    def _named(self, mask):
        names = [self.columns[place] for place in np.flatnonzero(mask)]
        more = f", and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
        return ", ".join(names[:_TOLD]) + more

    def validate(self, said: pd.DataFrame, endpoint: Endpoint) -> Result:
        """Return how good predictions were of patients whose outcome is known now.

        Parameters
        ----------
        said
            What `predict`, or ``rl.predict``, returned of them, or that table read
            again from CSV.
        endpoint
            Their outcome, of the kind and classes of training.

        Returns
        -------
        Result
            For ``rl.report.write(external=...)``: metrics with intervals at the
            threshold of training. Nothing is fitted.

        Raises
        ------
        SchemaError
            The outcome is of another kind, class, unit or event of interest, columns of
            the model are absent, a patient has no prediction and no reason, or nobody
            has one.

        Notes
        -----
        Patients who were refused are left out, and counted in the log. Whether a
        patient was among those of training cannot be seen: a model names nobody.
        """
        said = of_patients(said)
        self._check_outcome(said, endpoint)
        said = said.loc[endpoint.frame.index]
        refused = as_texts(said["refused"]).fillna("") != ""
        if refused.all():
            why = said["refused"].iloc[0]
            msg = f"none of {len(said)} patients has a prediction: {why} (the first)."
            raise SchemaError(msg)
        if refused.any():
            _log.warning(
                "%d of %d patients were refused, and are not validated",
                *(int(refused.sum()), len(said)),
            )
        said = said[~refused]
        lost = said.index[said[_needed(self.about)].isna().any(axis=1)]
        if len(lost):
            msg = f"{len(lost)} patients have no prediction and no reason: "
            raise SchemaError(f"{msg}{[*lost[:5]]}.")
        return _tested(self.about, said, endpoint)

    def _check_outcome(self, said, endpoint):
        about, problems = self.about, []
        if endpoint.kind != about.kind:
            problems.append(f"its kind is {endpoint.kind!r}, not {about.kind!r}")
        elif about.kind == "class":
            new = sorted(set(endpoint.frame["class"]) - set(about.classes))
            problems += [f"classes {new} were not in training"] if new else []
        else:
            problems += pair_problems(about, endpoint)
        absent = sorted(set(endpoint.frame.index) - set(said.index))
        if absent:
            problems.append(f"{len(absent)} patients have no row: {absent[:5]}")
        if "refused" not in said:
            problems.append("the predictions have no column 'refused'")
        other = [name for name in _needed(about) if name not in said]
        if other:
            told = f"the predictions have no columns {other[:5]}"
            problems.append(f"{told}: they may be of another model")
        if problems:
            msg = f"outcome {endpoint.name!r} cannot validate the model: "
            raise SchemaError(msg + "; ".join(problems) + ".")

    def save(self, folder: str | Path) -> None:
        """Write the model into a folder: JSON, tensors, trees, and its card.

        Parameters
        ----------
        folder
            Absent or empty.

        Raises
        ------
        SchemaError
            It holds something.
        OutputError
            It cannot be written to.
        """
        parts = {name: getattr(self, name) for name in _PARTS}
        told = card_of(self.about, self.domain, self.conformal)
        cards = {"card.md": as_markdown(told), "card.html": as_html(told)}
        files = {name: text.encode() for name, text in cards.items()}
        write_folder(Path(folder), asdict(self.about), parts, files | {**self.files})

    def __repr__(self) -> str:
        about = self.about
        used = f"{len(self.domain.uses)} of {len(about.columns)} columns"
        return (
            f"FinalModel({about.name} for {about.endpoint}, {about.n} patients, {used})"
        )


def load_model(folder: str | Path) -> FinalModel:
    """Return the model that ``FinalModel.save`` wrote.

    Parameters
    ----------
    folder
        As it was written: every file is compared with ``SHA256SUMS``.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    SchemaError
        A file was changed, is lost or is too many, or they are of no model.
    """
    about, parts, files = read_folder(Path(folder))
    try:
        told = {k: tuple(v) if isinstance(v, list) else v for k, v in about.items()}
        own = {name: parts[name] for name in _PARTS}
        return FinalModel(About(**told), **own, files=files)
    except (KeyError, TypeError) as error:
        msg = f"{folder} does not hold a final model that can be rebuilt: {error}"
        raise SchemaError(msg) from error


def _needed(about):
    """Return the columns without which nothing is predicted."""
    if about.kind == "class":
        return [f"probability_{name}" for name in about.classes]
    return ["predicted" if about.kind == "continuous" else "risk"]


def _tested(about, said, endpoint):
    """Return the result of predictions of patients with their outcome."""
    frame = endpoint.frame.loc[said.index]
    part = {"model": about.name, "blocks": about.blocks, "endpoint": about.endpoint}
    key = dict(part)
    part |= {"repeat": 0, "fold": 0, "patient_id": said.index}
    kept = _needed(about)
    if about.kind == "class":
        part |= {"truth": frame["class"].to_numpy()}
        if about.threshold is not None:
            part |= {"threshold": about.threshold, "positive": about.positive}
    elif about.kind == "continuous":
        part |= {"value": frame["value"].to_numpy(float)}
        part |= {"unit": about.unit} if about.unit else {}
    else:
        part |= {"time": frame["time"].to_numpy(float)}
        part |= {"event": (frame["event"] == 1).to_numpy(int)}
        part |= {"trained_until": about.trained_until}
        curve = "survival"
        if about.kind == "competing":
            curve = "incidence"
            part |= {"cause": frame["cause"].to_numpy(), "positive": about.positive}
        kept += said.filter(regex=f"^{curve}_").columns.tolist()
    predictions = pd.DataFrame(part | {c: said[c].to_numpy(float) for c in kept})
    folds = predictions[["patient_id", "repeat", "fold"]]
    told = {"n_train": about.n, "n_test": len(said), "n_pipelines": 0}
    told |= {"chosen": "{}", "n_columns_used": "", "origin": "of the final model"}
    fits = pd.DataFrame([key | {"repeat": 0, "fold": 0} | told])
    return Result(predictions, evaluate(predictions), folds, fits)


def _people(table, sites, covariates):
    if sites is None and "site" in table:
        sites = table["site"]
    site = np.full(len(table), None, dtype=object)
    if sites is not None:
        found = sites.set_axis(sites.index.map(str)).reindex(table.index)
        site = found.astype(object).where(found.notna(), None).to_numpy(dtype=object)
        site = np.array([s if s is None else str(s) for s in site], dtype=object)
    if covariates is not None:
        ids = covariates.index.map(str)
        covariates = covariates.set_axis(ids).reindex(table.index)
    return People(site, covariates)
