"""The quality of masks without references: what is known of them enters, Dice leaves.

Columns of plausibility (how far a prior's reconstruction lies, how many rules are
broken, areas) become a predicted Dice with an interval, and a flag that finds bad masks
with a stated sensitivity. Both are calibrated on patients apart from those fitted on.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from radlatent.errors import LeakageError, SchemaError
from radlatent.masks.dice.conformal import limits, patient_weights
from radlatent.masks.dice.judgment import judge_predictions, share_rows
from radlatent.masks.dice.regression import DiceRegression, fit_dice_regression
from radlatent.provenance import versions
from radlatent.records import Kind, read_model, write_model

__all__ = ["KIND", "DicePredictor"]

#: What its file is; the version is raised when the meaning of the file changes.
KIND = Kind(
    "a predictor of Dice",
    version=1,
    keys=frozenset(
        {"class", "parameters", "columns", "threshold", "calibration", "regressions"}
    ),
)

#: Parts that patients are dealt into, and the patients that are the least.
_FOLDS = 10

#: Residuals that intervals are sorted from at once.
_TOGETHER = 2**20

_ROUNDING = 1e-9


class DicePredictor(BaseEstimator):
    """Dice of masks without their references, with intervals and a flag.

    Parameters
    ----------
    level
        Coverage that the intervals aim at.
    flag_below
        Dice below which a mask should be flagged.
    sensitivity
        Share of such masks that the flag should find.
    random_state
        Seed of how patients are dealt and of bootstraps.

    Attributes
    ----------
    columns_
        Names of the columns fitted on.
    threshold_
        A mask is flagged where its predicted Dice is not above.
    calibration_
        One row a training mask: ``patient_id, fold, dice``, ``predicted_dice`` and
        ``spread`` by the regression that did not see its patient.
    detection_
        ``sensitivity`` and ``specificity`` of the flag on those predictions:
        ``estimate, lower, upper, level, n, n_patients, method``. The threshold was
        chosen on them: `judge` tells of other patients.

    Notes
    -----
    Ten regressions (`fit_dice_regression`) each leave out a tenth of the patients. The
    predicted Dice is their mean. The interval is CV+ (Barber et al. 2021; Vovk 2015)
    of absolute residuals in units of the spread (Lei et al. 2018, section 5.2), cut at
    0 and 1. Patients and not masks are exchangeable, so that each weighs the same (Lee
    et al. 2023): what is promised is the coverage of a mask of a new patient, on
    average over patients; 1 - 2 (1 - level) at the least, about ``level`` in practice.
    With fewer than level / (1 - level) patients intervals reach to 0 and 1.

    The threshold is the conformal limit of the predictions, out of fold, of the masks
    below ``flag_below``, each of their patients again weighing the same. That needs
    sensitivity / (1 - sensitivity) patients who have one: 19 for 0.95.

    The promises hold for masks whose errors are like those fitted on. Masks that were
    degraded on purpose stand for a network's only as far as they look like them.

    References
    ----------
    Barber et al. 2021, doi:10.1214/20-AOS1965; Vovk 2015,
    doi:10.1007/s10472-013-9368-4; Lei et al. 2018, doi:10.1080/01621459.2017.1307116;
    Lee, Barber & Willett 2023, arXiv:2306.06342

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> dice = rng.uniform(0.3, 1, 400)
    >>> X = pd.DataFrame({"reconstruction": dice + 0.05 * rng.standard_normal(400)})
    >>> patients = np.arange(400) // 10
    >>> predictor = DicePredictor().fit(X, dice, patients)
    >>> predictor.predict(X.head(2)).columns.tolist()
    ['predicted_dice', 'lower', 'upper', 'flagged']
    """

    def __init__(
        self,
        level: float = 0.9,
        flag_below: float = 0.7,
        sensitivity: float = 0.95,
        random_state: int | np.random.Generator | None = 0,
    ):
        self.level = level
        self.flag_below = flag_below
        self.sensitivity = sensitivity
        self.random_state = random_state

    def fit(
        self, X: pd.DataFrame, dice: pd.Series, patients: pd.Series
    ) -> "DicePredictor":
        """Fit on masks of which the Dice is known.

        Parameters
        ----------
        X
            Numbers, one row a mask, NaN where one does not exist.
        dice
            True Dice of each, from 0 to 1.
        patients
            ``patient_id`` of each.

        Raises
        ------
        SchemaError
            Numbers, Dice or patients are missing or out of range; there are fewer than
            10 patients, or too few with a mask below ``flag_below``.
        """
        self._check_parameters()
        values = _checked_values(X)
        dice, patients = _checked_truth(X, dice, patients)
        folds = self._folds(patients)
        self.columns_ = list(X)
        self.regressions_, parts = [], np.empty((2, len(dice)))
        for fold in range(_FOLDS):
            inside = folds == fold
            regression = fit_dice_regression(values[~inside], dice[~inside])
            parts[:, inside] = regression.predict(values[inside])
            self.regressions_.append(regression)
        columns = {"patient_id": patients, "fold": folds, "dice": dice}
        columns |= {"predicted_dice": parts[0], "spread": parts[1]}
        self.calibration_ = pd.DataFrame(columns, index=X.index)
        self.threshold_ = self._threshold()
        return self

    @property
    def detection_(self) -> pd.DataFrame:
        """Sensitivity and specificity of the flag on training patients, out of fold."""
        check_is_fitted(self, "threshold_")
        masks = self.calibration_
        return share_rows(
            masks["predicted_dice"].to_numpy() <= self.threshold_,
            masks["dice"].to_numpy() < self.flag_below,
            masks["patient_id"].to_numpy(),
            self.level,
        )

    def predict(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return what Dice masks have, as far as can be told without a reference.

        Parameters
        ----------
        X
            The columns fitted on, one row a mask.

        Returns
        -------
        DataFrame
            Index of X: ``predicted_dice``, ``lower`` and ``upper`` of its interval, and
            whether it is ``flagged``. Masks of the patients fitted on get too good a
            prediction.

        Raises
        ------
        SchemaError
            The columns are not those fitted on, or a number is infinite.
        """
        check_is_fitted(self, "threshold_")
        absent = [c for c in self.columns_ if c not in X]
        strange = [c for c in X if c not in self.columns_]
        if absent or strange:
            msg = (
                f"X lacks the columns {absent[:5]} and has {strange[:5]} besides those "
                f"fitted on. Give {self.columns_}."
            )
            raise SchemaError(msg)
        values = _checked_values(X[self.columns_])
        center, spread = np.stack([r.predict(values) for r in self.regressions_], 1)
        lower, upper = self._interval(center, spread)
        mean = center.mean(axis=0)
        columns = {"predicted_dice": mean, "lower": lower, "upper": upper}
        columns["flagged"] = mean <= self.threshold_
        return pd.DataFrame(columns, index=X.index)

    def judge(
        self,
        X: pd.DataFrame,
        dice: pd.Series,
        patients: pd.Series,
        *,
        n_boot: int = 1000,
    ) -> pd.DataFrame:
        """Return how good the predictions are for other patients.

        Parameters
        ----------
        X, dice, patients
            As in `fit`, of patients not fitted on.
        n_boot
            Bootstrap draws of patients.

        Returns
        -------
        DataFrame
            Index ``metric``: ``mae``, ``pearson`` and ``spearman`` correlation and
            ``auc`` (of Dice below ``flag_below``) over masks; ``coverage`` of the
            intervals, ``sensitivity`` and ``specificity`` of the flag as means over
            patients. Columns ``estimate, lower, upper, level, n, n_patients, method``;
            NaN where there is nothing to judge.

        Raises
        ------
        LeakageError
            Patients were fitted on.
        SchemaError
            As in `fit` and `predict`.
        """
        predicted = self.predict(X)
        dice, patients = _checked_truth(X, dice, patients)
        seen = sorted(set(patients) & set(self.calibration_["patient_id"]))
        if seen:
            msg = (
                f"{len(seen)} of the patients were fitted on: {seen[:5]}. Judge on "
                "others; where two cohorts number theirs alike, name the cohort too."
            )
            raise LeakageError(msg)
        n = len(set(patients))
        random = np.random.default_rng(self.random_state)
        return judge_predictions(
            predicted,
            dice,
            patients,
            flag_below=self.flag_below,
            level=self.level,
            weights=random.multinomial(n, np.full(n, 1 / n), n_boot),
        )

    def save(self, path: str | Path) -> None:
        """Write the fitted predictor as JSON, which runs no code where it is read.

        Parameters
        ----------
        path
            The file; it holds the names of the patients fitted on.
        """
        write_model(path, KIND, *self.state())

    @classmethod
    def load(cls, path: str | Path) -> "DicePredictor":
        """Return the predictor that `save` wrote.

        Parameters
        ----------
        path
            The file.

        Raises
        ------
        FileNotFoundError
            It is not there.
        SchemaError
            It is not of a predictor, or of another version.
        """
        return read_model(path, KIND, cls.of)

    def state(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Return what JSON can hold of a fitted predictor: all, and no tensors."""
        check_is_fitted(self, "threshold_")
        parameters = self.get_params()
        if isinstance(self.random_state, np.random.Generator):
            parameters["random_state"] = None  # it has moved on
        record = {
            "class": type(self).__name__,
            "parameters": parameters,
            "columns": self.columns_,
            "threshold": self.threshold_,
            "calibration": self.calibration_.to_dict("list"),
            "regressions": [each.to_dict() for each in self.regressions_],
            "versions": versions(),
        }
        return record, {}

    @classmethod
    def of(
        cls, record: dict, tensors: dict[str, np.ndarray] | None = None
    ) -> "DicePredictor":
        """Return the fitted predictor that `state` told of.

        Raises
        ------
        IndexError, KeyError, TypeError, ValueError
            It is of something else.
        """
        if record["class"] != cls.__name__:
            msg = f"it is of a {record['class']!r}"
            raise ValueError(msg)
        made = cls(**record["parameters"])
        made.columns_, made.threshold_ = record["columns"], record["threshold"]
        made.calibration_ = pd.DataFrame(record["calibration"])
        made.regressions_ = [*map(DiceRegression.from_dict, record["regressions"])]
        made._check_parameters()
        made.predict(pd.DataFrame(0.0, [0], made.columns_))
        return made

    def _check_parameters(self):
        shares = (self.level, self.flag_below, self.sensitivity)
        if not all(0 < share < 1 for share in shares):
            msg = (
                f"level, flag_below and sensitivity are {shares}. Give numbers between "
                "0 and 1."
            )
            raise SchemaError(msg)

    def _folds(self, patients):
        """Return the part of each mask; a patient is in one."""
        names, number = np.unique(patients, return_inverse=True)
        if len(names) < _FOLDS:
            msg = (
                f"{len(names)} patients are too few to fit on some and calibrate on "
                f"others. Give {_FOLDS} or more."
            )
            raise SchemaError(msg)
        # dealt by `features.folds.deal`, predictors would be others than before
        random = np.random.default_rng(self.random_state)
        return random.permutation(len(names))[number] % _FOLDS

    def _threshold(self):
        bad = self.calibration_[self.calibration_["dice"] < self.flag_below]
        patients, weights = bad["patient_id"].to_numpy(), np.empty(0)
        if len(bad):
            weights = patient_weights(patients)
        [threshold] = limits(
            bad["predicted_dice"].to_numpy()[None], weights, 1 - self.sensitivity
        )
        if not np.isfinite(threshold):
            odds = self.sensitivity / (1 - self.sensitivity)
            msg = (
                f"{len(set(patients))} patients have a mask with Dice below "
                f"{self.flag_below}. To promise a sensitivity of {self.sensitivity}, "
                f"{int(np.ceil(odds - _ROUNDING))} are needed: degrade more masks, or "
                "ask for a lower sensitivity or a higher flag_below."
            )
            raise SchemaError(msg)
        return float(threshold)

    def _interval(self, center, spread):
        """Return both ends of the intervals, given Dice and spread of each fold."""
        masks = self.calibration_
        fold = masks["fold"].to_numpy()
        residual = ((masks["dice"] - masks["predicted_dice"]) / masks["spread"]).abs()
        weights = patient_weights(masks["patient_id"].to_numpy())
        step = max(1, _TOGETHER // len(masks))
        ends = [np.empty((2, 0))]
        for start in range(0, center.shape[1], step):
            part = slice(start, start + step)
            reach = residual.to_numpy()[:, None] * spread[fold, part]
            middle, share = center[fold, part], 1 - self.level
            lower = -limits((reach - middle).T, weights, share)
            ends.append([lower, limits((middle + reach).T, weights, share)])
        return np.concatenate(ends, axis=1).clip(0, 1)


def _checked_values(X):
    """Return the numbers of a table, shape (n_masks, n_columns), none infinite."""
    if not isinstance(X, pd.DataFrame) or X.shape[1] == 0 or not X.columns.is_unique:
        msg = "X is not a DataFrame with one or more columns, each of another name."
        raise SchemaError(msg)
    texts = [column for column in X if not pd.api.types.is_numeric_dtype(X[column])]
    values = np.empty(0)
    if not texts:
        values = X.to_numpy(float, na_value=np.nan)
    infinite = [] if texts else [*X.columns[np.isinf(values).any(axis=0)]]
    if texts or infinite:
        msg = (
            f"the columns {texts[:5]} of X are no numbers, {infinite[:5]} are infinite "
            "in some rows. Give numbers, NaN where one does not exist."
        )
        raise SchemaError(msg)
    return values


def _checked_truth(X, dice, patients):
    """Return Dice and names of the patients of the masks of a table, none missing."""
    for name, series in (("dice", dice), ("patients", patients)):
        if isinstance(series, pd.Series) and not series.index.equals(X.index):
            msg = f"the index of {name} is not that of X. Give both in one order."
            raise SchemaError(msg)
    dice, patients = np.asarray(dice, float), np.asarray(patients)
    if not dice.shape == patients.shape == (len(X),):
        msg = (
            f"X has {len(X)} rows, dice {dice.shape}, patients {patients.shape}. "
            "Give one Dice and one patient for each row."
        )
        raise SchemaError(msg)
    outside = np.flatnonzero(~((dice >= 0) & (dice <= 1)))
    nameless = np.flatnonzero(pd.isna(patients))
    if len(outside) or len(nameless):
        msg = (
            f"{len(outside)} masks have a Dice that is missing or not from 0 to 1 (the "
            f"first in row {outside[:1]}), {len(nameless)} no patient (row "
            f"{nameless[:1]}). Leave out masks without a reference."
        )
        raise SchemaError(msg)
    return dice, patients.astype(str)
