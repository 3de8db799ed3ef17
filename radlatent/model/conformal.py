"""Sets of classes, and intervals of numbers, that hold the truth as often as promised.

Out-of-fold predictions of training patients enter, a `Conformal` or `Errors` leaves; of
new patients they tell which classes cannot be ruled out, and how far off a number is.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from radlatent.masks.dice.conformal import limits, patient_weights

__all__ = ["Conformal", "Errors", "fewest"]


def fewest(level: float) -> int:
    """Return how many patients a limit takes: it is not that of one of them.

    Examples
    --------
    >>> fewest(0.9), fewest(0.95)
    (20, 40)
    """
    return int(np.ceil(2 / (1 - level) - 1e-9))


@dataclass(frozen=True, eq=False)
class Conformal:
    """How improbable the true class of a training patient was, class by class.

    Parameters
    ----------
    classes
        Their names.
    scores
        1 - probability of the true class, predicted by models of other patients: a
        value a patient and repeat, class after class.
    weights
        What each counts: a patient of n counts 1 / (n + 1), however many repeats.
    number
        Of the class of each score.
    n
        Patients of each class.

    Notes
    -----
    Class-conditional (Mondrian) conformal prediction, so that each class is covered,
    the rare one too. Calibration is on out-of-fold predictions, whose models were
    fitted on fewer patients than the final one: in theory a set at 90% holds the true
    class in 80% at least (cross-validation+), in practice in about 90%.

    References
    ----------
    Vovk et al. 2005, doi:10.1007/b106715 (class-conditional); Sadinle et al. 2019,
    doi:10.1080/01621459.2017.1395341 (score); Vovk 2015, doi:10.1007/s10472-013-9368-4
    and Barber et al. 2021, doi:10.1214/20-AOS1965 (out of fold)
    """

    classes: tuple[str, ...]
    scores: np.ndarray
    weights: np.ndarray
    number: np.ndarray
    n: np.ndarray

    @classmethod
    def of(cls, predictions: pd.DataFrame, classes: tuple[str, ...]) -> "Conformal":
        """Return what out-of-fold **predictions** of one model say of each class."""
        parts, counts = [], []
        for place, label in enumerate(classes):
            rows = predictions[predictions["truth"] == label]
            times = rows.groupby("patient_id")["patient_id"].transform("size")
            n = rows["patient_id"].nunique()
            counts.append(n)
            weight = 1 / ((n + 1) * times.to_numpy(float))
            score = 1 - rows[f"probability_{label}"].to_numpy(float)
            parts.append((score, weight, np.full(len(rows), place)))
        scores, weights, number = map(np.concatenate, zip(*parts, strict=True))
        return cls(classes, scores, weights, number, np.array(counts))

    def refusal(self, level: float) -> str:
        """Return why there are no sets at a level, or an empty text."""
        small = [
            f"{n} of class {label!r}"
            for label, n in zip(self.classes, self.n, strict=True)
            if n < fewest(level)
        ]
        if not small:
            return ""
        return (
            f"no conformal sets at {level:g}: calibrated on {', '.join(small)}, and "
            f"{fewest(level)} of each class are the fewest that mean anything"
        )

    def sets(self, chances: np.ndarray, level: float) -> np.ndarray:
        """Return which classes cannot be ruled out, (n_patients, n_classes).

        Parameters
        ----------
        chances
            Probabilities, (n_patients, n_classes).
        level
            Share of the patients of each class whose set holds it.
        """
        limit = [
            limits(self.scores[None, own], self.weights[own], 1 - level)[0]
            for own in (self.number == place for place in range(len(self.classes)))
        ]
        return 1 - chances <= np.array(limit)


@dataclass(frozen=True, eq=False)
class Errors:
    """How far off the predicted numbers of training patients were.

    Parameters
    ----------
    size
        |outcome - prediction| by models of other patients, a value a patient and
        repeat, in the unit of the outcome.
    weights
        What each counts, as in `Conformal`.
    n
        Patients.

    Notes
    -----
    Split conformal prediction with out-of-fold residuals (cross-conformal): an interval
    is as wide for every patient. What `Conformal` says of coverage holds here.

    References
    ----------
    Lei et al. 2018, doi:10.1080/01621459.2017.1307116; Vovk 2015,
    doi:10.1007/s10472-013-9368-4; Barber et al. 2021, doi:10.1214/20-AOS1965
    """

    size: np.ndarray
    weights: np.ndarray
    n: int

    @classmethod
    def of(cls, predictions: pd.DataFrame) -> "Errors":
        """Return what out-of-fold **predictions** of one model were off."""
        size = (predictions["value"] - predictions["predicted"]).abs()
        weights = patient_weights(predictions["patient_id"].to_numpy())
        n = predictions["patient_id"].nunique()
        return cls(size.to_numpy(float), weights, int(n))

    def refusal(self, level: float) -> str:
        """Return why there is no interval at a level, or an empty text."""
        if self.n >= fewest(level):
            return ""
        return (
            f"no conformal interval at {level:g}: calibrated on {self.n} patients, and "
            f"{fewest(level)} are the fewest that mean anything"
        )

    def reach(self, level: float) -> float:
        """Return how far an interval goes to each side of a prediction.

        Parameters
        ----------
        level
            Share of the patients whose interval holds the outcome.
        """
        return float(limits(self.size[None], self.weights, 1 - level)[0])
