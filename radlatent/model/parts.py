"""What is left of a fitted model: numbers, and what is computed with them.

Columns of patients enter, an array of float64; probabilities, or risks and survival,
leave. Nothing here is fitted, and nothing needs the library that fitted it, so that a
model gives the same numbers with another version of it. `radlatent.model.freezing`
makes parts of estimators.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import expit, logit, softmax

from radlatent.fusion.solvers.cox import Baseline

__all__ = [
    "Breslow",
    "Chain",
    "Fill",
    "Keep",
    "Late",
    "LateSurvival",
    "Linear",
    "Machine",
    "Part",
    "People",
    "Scale",
    "Sites",
    "Weibull",
    "Weighted",
    "kernel_of",
]


@dataclass(frozen=True, eq=False)
class People:
    """What is known of patients beside their features.

    Parameters
    ----------
    site
        Site of each patient, None where it is not known, shape (n_patients,).
    covariates
        What `Combat` keeps the effect of, a row a patient; None without.
    """

    site: np.ndarray
    covariates: pd.DataFrame | None = None

    def take(self, rows: np.ndarray) -> "People":
        """Return some of them, by a mask."""
        kept = None if self.covariates is None else self.covariates[rows]
        return People(self.site[rows], kept)


class Part:
    """Numbers of a model, and what is done with them."""

    #: Whether a block that a patient lacks is left out, not filled in.
    skips = False

    def refused(self, people: People) -> np.ndarray:
        """Return why each patient cannot be served, or an empty text."""
        return np.full(len(people.site), "", dtype=object)

    def remarks(self, people: People) -> np.ndarray:
        """Return what is to be said of each patient who is served, or an empty text."""
        return np.full(len(people.site), "", dtype=object)


@dataclass(frozen=True, eq=False)
class Fill(Part):
    """Missing values become the median of the training patients, (n_columns,)."""

    value: np.ndarray

    def apply(self, X: np.ndarray, people: People) -> np.ndarray:
        """Return the columns without a missing value."""
        return np.where(np.isnan(X), self.value, X)


@dataclass(frozen=True, eq=False)
class Keep(Part):
    """Some columns, as a mask of shape (n_columns,)."""

    mask: np.ndarray

    def apply(self, X: np.ndarray, people: People) -> np.ndarray:
        """Return the kept columns."""
        return X[:, self.mask]


@dataclass(frozen=True, eq=False)
class Scale(Part):
    """Mean and spread that columns are standardized with, each (n_columns,)."""

    center: np.ndarray
    scale: np.ndarray

    def apply(self, X: np.ndarray, people: People) -> np.ndarray:
        """Return standardized columns."""
        return (X - self.center) / self.scale


@dataclass(frozen=True, eq=False)
class Sites(Part):
    """What `Combat` learned of sites.

    Parameters
    ----------
    names
        The sites of the training patients.
    mean, sd
        Of each column, (n_columns,).
    shift, ratio
        Of each site and column, (n_sites, n_columns).
    fitted
        Which columns are moved, (n_columns,).
    slopes, center
        Of the effects of covariates, (n_effects, n_columns) and (n_effects,).
    covariates, levels
        Names of the covariates, and the categories of those that are text.
    reference, unseen
        As of `Combat`.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    sd: np.ndarray
    shift: np.ndarray
    ratio: np.ndarray
    fitted: np.ndarray
    slopes: np.ndarray
    center: np.ndarray
    covariates: tuple[str, ...] = ()
    levels: dict[str, tuple] = field(default_factory=dict)
    reference: str | None = None
    unseen: str = "error"

    def apply(self, X: np.ndarray, people: People) -> np.ndarray:
        """Return columns without what known sites add; other patients stay."""
        expected = self.mean + (self._effects(people) - self.center) @ self.slopes
        out = X.copy()
        for place, name in enumerate(self.names):
            if name == self.reference:
                continue
            rows = np.flatnonzero(people.site == name)
            scaled = (X[rows] - expected[rows]) / self.sd - self.shift[place]
            moved = scaled / self.ratio[place] * self.sd + expected[rows]
            out[rows] = np.where(self.fitted, moved, X[rows])
        return out

    def refused(self, people: People) -> np.ndarray:
        """Return why a patient cannot be served: the site, or a covariate."""
        why = super().refused(people)
        if self.unseen == "error":
            known = "known are " + ", ".join(map(str, self.names))
            for row in np.flatnonzero(~self._known(people)):
                site = people.site[row]
                told = (
                    "the site is not told" if site is None else f"site {site!r} is new"
                )
                why[row] = f"{told} ({known}; the model was made with unseen='error')"
        for name in self.covariates:
            why = np.where(why == "", self._fault(name, people), why)
        return why

    def remarks(self, people: People) -> np.ndarray:
        """Return of whom the values stay as they are, as their site is not known."""
        found = super().remarks(people)
        found[~self._known(people)] = "site not of training: values left as they are"
        return found

    def _known(self, people):
        return np.isin(people.site.astype(str), [str(name) for name in self.names])

    def _fault(self, name, people):
        if people.covariates is None or name not in people.covariates:
            return f"covariate {name!r} is not told"
        values = people.covariates[name]
        wrong = values.isna()
        if name in self.levels:
            wrong |= ~values.isin(self.levels[name])
        told = f"covariate {name!r} is missing or of no training patient"
        return np.where(wrong, told, "").astype(object)

    def _effects(self, people):
        parts = [np.empty((len(people.site), 0))]
        for name in self.covariates:
            values = people.covariates[name]
            if name not in self.levels:
                parts.append(values.to_numpy(dtype=float)[:, None])
            for level in self.levels.get(name, ())[1:]:
                parts.append((values == level).to_numpy(dtype=float)[:, None])
        return np.hstack(parts)


@dataclass(frozen=True, eq=False)
class Linear(Part):
    """Logistic regression: weights (n_scores, n_columns), intercepts (n_scores,)."""

    coef: np.ndarray
    intercept: np.ndarray

    def probabilities(self, X: np.ndarray) -> np.ndarray:
        """Return a probability of each class, (n_patients, n_classes)."""
        scores = X @ self.coef.T + self.intercept
        if scores.shape[1] > 1:
            return softmax(scores, axis=1)
        last = expit(scores[:, 0])
        return np.column_stack([1 - last, last])

    def uses(self, n: int) -> np.ndarray:
        """Return which of n columns have a say."""
        return (self.coef != 0).any(axis=0)


@dataclass(frozen=True, eq=False)
class Machine(Part):
    """A support vector machine with an RBF kernel, and sigmoids of its distances.

    Parameters
    ----------
    vectors, dual, intercept
        Support vectors (n_vectors, n_columns), their weights (n_classes - 1,
        n_vectors), sorted by class, and an intercept for each pair of classes, as
        libsvm has them.
    sizes
        Support vectors of each class, (n_classes,).
    gamma
        Of exp(-gamma d^2).
    slope, offset
        Of a sigmoid a class, of two classes of the last one.

    References
    ----------
    Chang & Lin 2011, doi:10.1145/1961189.1961199; Platt 1999, Advances in Large Margin
    Classifiers, 61-74
    """

    vectors: np.ndarray
    dual: np.ndarray
    intercept: np.ndarray
    sizes: np.ndarray
    gamma: float
    slope: np.ndarray
    offset: np.ndarray

    def probabilities(self, X: np.ndarray) -> np.ndarray:
        """Return a probability of each class, (n_patients, n_classes)."""
        kernel = kernel_of(X, self.vectors, self.gamma)
        chances = expit(-(self.slope * self._distances(kernel) + self.offset))
        if len(self.sizes) == 2:
            return np.column_stack([1 - chances[:, 0], chances[:, 0]])
        total = chances.sum(axis=1, keepdims=True)
        even = np.full_like(chances, 1 / chances.shape[1])
        return np.divide(chances, total, out=even, where=total > 0)

    def _distances(self, kernel):
        """Return what each class has for it: of two, the distance of the last one."""
        if len(self.sizes) == 2:
            return kernel @ self.dual.T + self.intercept
        ends = np.cumsum(self.sizes)
        own = [slice(end - n, end) for end, n in zip(ends, self.sizes, strict=True)]
        votes = np.zeros((len(kernel), len(own)))
        sure, pair = votes.copy(), 0
        for i in range(len(own)):
            for j in range(i + 1, len(own)):
                # the class that comes first has the positive side of a pair
                side = kernel[:, own[i]] @ self.dual[j - 1, own[i]]
                side += kernel[:, own[j]] @ self.dual[i, own[j]] + self.intercept[pair]
                votes[:, i] += side >= 0
                votes[:, j] += side < 0
                sure[:, i] += side
                sure[:, j] -= side
                pair += 1
        return votes + sure / (3 * (np.abs(sure) + 1))

    def uses(self, n: int) -> np.ndarray:
        """Return which of n columns have a say: all."""
        return np.ones(n, dtype=bool)


def kernel_of(X: np.ndarray, vectors: np.ndarray, gamma: float) -> np.ndarray:
    """Return the RBF kernel of patients and vectors, (n_patients, n_vectors)."""
    if not len(vectors):
        return np.empty((len(X), 0))
    apart = [((X - vector) ** 2).sum(axis=1) for vector in vectors]
    return np.exp(-gamma * np.column_stack(apart))


@dataclass(frozen=True, eq=False)
class Weighted(Part):
    """A risk that is a weighted sum: weights and centers (n_columns,), an intercept."""

    coef: np.ndarray
    center: np.ndarray
    intercept: float = 0.0

    def risk(self, X: np.ndarray) -> np.ndarray:
        """Return the risk, higher = earlier event, (n_patients,)."""
        return (X - self.center) @ self.coef + self.intercept

    def uses(self, n: int) -> np.ndarray:
        """Return which of n columns have a say."""
        return self.coef != 0


@dataclass(frozen=True, eq=False)
class Breslow(Part):
    """Survival by risk: a coefficient, the baseline hazard at the times of events."""

    coef: float
    center: float
    times: np.ndarray
    hazard: np.ndarray
    last: float

    def survival(self, risk: np.ndarray, days: np.ndarray) -> np.ndarray:
        """Return the probability of no event until each day, (n_patients, n_days)."""
        base = Baseline(self.times, self.hazard, self.last)
        return base.survival((risk - self.center) * self.coef, days)


@dataclass(frozen=True, eq=False)
class Weibull(Part):
    """Survival by risk: a coefficient, shape and scale (days) of a Weibull curve."""

    coef: float
    center: float
    shape: float
    scale: float

    def survival(self, risk: np.ndarray, days: np.ndarray) -> np.ndarray:
        """Return the probability of no event until each day, (n_patients, n_days)."""
        risk = (risk - self.center) * self.coef
        hazard = (np.asarray(days, dtype=float) / self.scale) ** self.shape
        return np.exp(-np.exp(np.minimum(risk, 700))[:, None] * hazard)


@dataclass(frozen=True, eq=False)
class Chain(Part):
    """Steps, one after the other, a model, and of survival the curve by its risk."""

    steps: tuple[Part, ...]
    head: Part
    curve: Part | None = None

    def prepared(self, X: np.ndarray, people: People) -> np.ndarray:
        """Return the columns as the model sees them."""
        for step in self.steps:
            X = step.apply(X, people)
        return X

    def probabilities(self, X: np.ndarray, people: People) -> np.ndarray:
        """Return a probability of each class, (n_patients, n_classes)."""
        return self.head.probabilities(self.prepared(X, people))

    def risk(self, X: np.ndarray, people: People) -> np.ndarray:
        """Return the risk, higher = earlier event, (n_patients,)."""
        return self.head.risk(self.prepared(X, people))

    def numbers(self, X: np.ndarray, people: People) -> np.ndarray:
        """Return the number of each patient, (n_patients,)."""
        return self.head.numbers(self.prepared(X, people))

    def survival(self, risk: np.ndarray, days: np.ndarray) -> np.ndarray:
        """Return the probability of no event until each day, (n_patients, n_days)."""
        return self.curve.survival(risk, days)

    def incidence(self, X: np.ndarray, people: People, days: np.ndarray) -> np.ndarray:
        """Return the probability of the event of interest, (n_patients, n_days)."""
        return self.curve.incidence(self.head.risks(self.prepared(X, people)), days)

    def uses(self, n: int) -> np.ndarray:
        """Return which of n columns have a say."""
        places = np.arange(n)
        for step in self.steps:
            places = places[step.mask] if isinstance(step, Keep) else places
        used = np.zeros(n, dtype=bool)
        used[places[self.head.uses(len(places))]] = True
        return used

    def refused(self, people: People) -> np.ndarray:
        """Return why each patient cannot be served, or an empty text."""
        return _first([step.refused(people) for step in self.steps], people)

    def remarks(self, people: People) -> np.ndarray:
        """Return what is to be said of each patient who is served."""
        return _first([step.remarks(people) for step in self.steps], people)


def _first(told, people):
    """Return the first text of each patient that is not empty."""
    found = np.full(len(people.site), "", dtype=object)
    for texts in told:
        found = np.where(found == "", texts, found)
    return found


@dataclass(frozen=True, eq=False)
class Late(Part):
    """A model a block, and one that weighs their standardized scores.

    Parameters
    ----------
    blocks
        Places of the columns of each block, and its model.
    center, scale
        Of the scores, (n_blocks, n_scores).
    fuse
        What weighs them.
    floor
        Probabilities nearer to 0 or 1 count as this far.
    """

    blocks: tuple[tuple[np.ndarray, Chain], ...]
    center: np.ndarray
    scale: np.ndarray
    fuse: Part
    floor: float

    skips = True

    def probabilities(self, X: np.ndarray, people: People) -> np.ndarray:
        """Return a probability of each class, (n_patients, n_classes)."""
        return self.fuse.probabilities(self._scores(X, people))

    def _scores(self, X, people):
        scores = np.full((len(X), *self.center.shape), np.nan)
        for at, (places, model) in enumerate(self.blocks):
            has = ~np.isnan(X[:, places]).all(axis=1)
            if has.any():
                scores[has, at] = self._said(model, X[has][:, places], people.take(has))
        scores = np.nan_to_num((scores - self.center) / self.scale, nan=0.0)
        return scores.reshape(len(scores), -1)

    def _said(self, model, X, people):
        chances = model.probabilities(X, people)
        chances = chances[:, 1:] if chances.shape[1] == 2 else chances
        return logit(np.clip(chances, self.floor, 1 - self.floor))

    def uses(self, n: int) -> np.ndarray:
        """Return which of n columns have a say."""
        used = np.zeros(n, dtype=bool)
        for places, model in self.blocks:
            used[places[model.uses(len(places))]] = True
        return used

    def refused(self, people: People) -> np.ndarray:
        """Return why each patient cannot be served, or an empty text."""
        return _first([model.refused(people) for _, model in self.blocks], people)

    def remarks(self, people: People) -> np.ndarray:
        """Return what is to be said of each patient who is served."""
        return _first([model.remarks(people) for _, model in self.blocks], people)


@dataclass(frozen=True, eq=False)
class LateSurvival(Late):
    """The same of risks; ``curve`` is that of the fused risk."""

    curve: Part | None = None

    def risk(self, X: np.ndarray, people: People) -> np.ndarray:
        """Return the risk, higher = earlier event, (n_patients,)."""
        return self.fuse.risk(self._scores(X, people))

    def survival(self, risk: np.ndarray, days: np.ndarray) -> np.ndarray:
        """Return the probability of no event until each day, (n_patients, n_days)."""
        return self.curve.survival(risk, days)

    def _said(self, model, X, people):
        return model.risk(X, people)[:, None]
