"""The corrector: a mask enters, the mask that a prior would have it be leaves, or not.

A gate lets a correction pass only where the mask breaks rules, or the slices beside one
contradict it, and where the result breaks fewer and every structure stays near. Every
decision has its reason.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from radlatent.cohort import Cohort
from radlatent.cohort.labels import LabelMap, mask_files, read_label_map
from radlatent.errors import CohortError, SchemaError
from radlatent.masks.correction.calibration import (
    N_DRAWN,
    drawn_pairs,
    observe,
    read_pair,
    real_pairs,
    refuse_seen,
)
from radlatent.masks.correction.gate import (
    FLOOR,
    Setting,
    check_promise,
    nearest_few,
    set_gate,
)
from radlatent.masks.correction.offers import offers
from radlatent.masks.correction.plausibility import examine
from radlatent.masks.dice.predictor import KIND as PREDICTOR
from radlatent.masks.dice.predictor import DicePredictor
from radlatent.masks.overlap.dice import label_dice
from radlatent.masks.prior.latents import METHODS, valid_latents
from radlatent.masks.prior.shape_prior import ShapePrior, check_structures, redraw
from radlatent.masks.rules.rules import broken_rules, rule_set
from radlatent.provenance import versions
from radlatent.records import Kind, read_model, write_model
from radlatent.schema import nearest

__all__ = ["Correction", "MaskCorrector", "load_corrector"]

#: The version is raised when the meaning of the files changes.
_KIND = Kind(
    "a corrector",
    version=1,
    keys=frozenset(
        {
            "parameters",
            "prior",
            "structures",
            "bandwidth",
            "history",
            "prior_fitted_on",
            "fitted_on",
            "least_dice",
            "valid_share",
        }
    ),
    tensors="prior.safetensors",
    parts={"predictor": ("dice.json", PREDICTOR)},
)
_RECORD = "corrector.json"

#: Calibration patients that a flag of the sensitivity 0.95 needs.
_FEWEST = 19

#: Of columns in the table of slices, whatever rows come in.
_TYPES = {"n_broken": int, "n_broken_after": int, "flagged": bool}


@dataclass(frozen=True, eq=False, repr=False)
class Correction:
    """A mask, corrected where that was safe.

    Parameters
    ----------
    mask
        The corrected mask; the one that entered is untouched.
    slices
        Index ``slice``, of those that held something: ``decision`` (``valid``,
        ``corrected``, ``refused``), its ``reason``, ``n_broken`` and
        ``n_broken_after`` rules, ``broken``, their names, ``kept_dice`` of the two
        masks, and what `DicePredictor` says of the mask that entered. A slice that was
        empty is there where it was filled, without a prediction.
    plausibility
        The columns that the prediction was made from.
    setting
        Whose masks gate and prediction were set on, and what is promised.
    """

    mask: LabelMap
    slices: pd.DataFrame
    plausibility: pd.DataFrame
    setting: Setting = field(default_factory=Setting)

    @property
    def summary(self) -> pd.Series:
        """Number of slices by decision."""
        return self.slices["decision"].value_counts()

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {what}" for what, n in self.summary.items())
        return f"Correction({self.mask.name}: {counts}; {self.setting.text})"


class MaskCorrector(BaseEstimator):
    """Corrects masks by a shape prior, where that does no harm.

    Parameters
    ----------
    prior
        A `ShapePrior`; None is one with its defaults. A fitted one is used as it is.
    method
        What the prior makes of a slice: ``"decode"`` its latent; ``"nearest"``, the
        nearest training latent that decodes to a valid mask; ``"nearest_drawn"``, of
        these and of draws of their density.
    gated
        Whether corrections must pass the gate. Without it every slice is replaced.
    rules
        Name of a set of rules of slices.
    n_draws
        Draws of ``"nearest_drawn"``.
    calibration_fraction
        Share of the patients that the prior is not fitted on, but the gate and the
        predicted Dice.
    random_state
        Seed of everything that is drawn.

    Attributes
    ----------
    prior_
        The fitted prior.
    bank_, valid_share_
        Latents that decode to valid masks, and their share of those that were tried.
        ``"decode"`` takes the nearest of them where its own mask is of no use.
    least_dice_
        Dice with the mask that entered, of the structure that is kept least, below
        which a correction is refused.
    setting_
        Whose masks the gate was set on, and what it promises: a `Setting`.
    predictor_
        Predicts the Dice of a slice from its plausibility.
    fitted_on_, calibrated_on_
        ``cohort`` and ``patients``; the second None before `calibrate`.

    Notes
    -----
    The threshold is the widest under which at most 1 % of the slices of calibration
    masks, degraded as a network's (`NETWORK_LIKE`), lose more than 0.02 Dice, and 0.9
    at the least. Drawn errors are not those of a network: `calibrate` sets gate and
    predicted Dice on these. No structure that entered vanishes or loses most of itself,
    and none is invented, unless both slices beside it say so (`repairs`).

    References
    ----------
    Painchaud et al. 2020, doi:10.1109/TMI.2020.3003240; the gate is our own design.
    """

    def __init__(
        self,
        prior: ShapePrior | None = None,
        *,
        method: str = "decode",
        gated: bool = True,
        rules: str = "short_axis_16",
        n_draws: int = 5000,
        calibration_fraction: float = 0.35,
        random_state: int = 0,
    ):
        self.prior = prior
        self.method = method
        self.gated = gated
        self.rules = rules
        self.n_draws = n_draws
        self.calibration_fraction = calibration_fraction
        self.random_state = random_state

    def fit(
        self,
        cohort: Cohort | str | Path,
        y: None = None,
        *,
        patients: Sequence[str] | None = None,
        modality: str | None = None,
    ) -> "MaskCorrector":
        """Fit prior, gate and predicted Dice on expert masks.

        Parameters
        ----------
        cohort
            Whose masks are right.
        patients
            Those to fit on; None: all.
        modality
            Whose masks; None where the cohort has one modality.

        Raises
        ------
        CohortError
            Patients are not in the cohort, or too few.
        SchemaError
            The method is unknown, the rules are not of slices, or masks have other
            structures than the rules.
        """
        self._check()
        cohort = Cohort.of(cohort)
        files = _files_of(cohort, patients, modality)
        self._check_files(files, cohort)
        masks = [
            replace(read_label_map(file.path, file.structures), name=file.place)
            for file in files
        ]
        owners = np.array([file.patient_id for file in files])
        self.prior_, for_prior = self._fitted_prior(masks, owners)
        check_structures(masks[0], self.prior_.structures_)
        self.rules_ = rule_set(self.rules)
        n = self.n_draws if self.method == "nearest_drawn" else 0
        self.bank_, self.valid_share_ = valid_latents(
            self.prior_, self.rules_, n, self.random_state
        )
        everyone = {*self.prior_.fitted_on_, *owners}
        self.fitted_on_ = {"cohort": cohort.card.label, "patients": sorted(everyone)}
        self.calibrated_on_ = None
        kept_out = ~np.isin(owners, for_prior)
        chosen = [mask for mask, out in zip(masks, kept_out, strict=True) if out]
        pairs = drawn_pairs(chosen, owners[kept_out], random_state=self.random_state)
        seen = self._observe(pairs, N_DRAWN * len(chosen))
        predictor = DicePredictor(random_state=self.random_state)
        self.predictor_ = predictor.fit(seen.table, seen.dice, seen.patients)
        threshold, _ = set_gate(seen.effects, seen.masks, risk=1.0)
        self.least_dice_ = max(threshold, FLOOR)
        self.setting_ = Setting()
        return self

    def calibrate(
        self,
        network: Cohort | str | Path,
        reference: Cohort | str | Path,
        *,
        modality: str | None = None,
        risk: float = 0.005,
        confidence: float = 0.95,
        predictor: DicePredictor | None = None,
    ) -> "MaskCorrector":
        """Return the corrector with gate and predicted Dice set on a network's masks.

        Parameters
        ----------
        network, reference
            The masks of a network and those of a reader, of the same cases (by
            ``case_id``), of patients that neither network nor corrector has seen.
        modality
            Whose masks; None where the cohorts have one modality.
        risk
            Share of the slices of a patient, on average over patients, that may lose
            more than 0.02 Dice; 1 promises nothing, and sets the gate as `fit` does.
        confidence
            That the promise is kept.
        predictor
            An unfitted one, of another level or sensitivity; None has the defaults.

        Raises
        ------
        CohortError
            Cases do not match, or there are too few patients for the promise: it says
            how many it takes.
        LeakageError
            Patients had a part in the corrector, or masks were made by what was fitted
            on their patients.
        SchemaError
            Structures differ, risk or confidence are no shares, or there are too few
            patients for the predicted Dice.

        Notes
        -----
        The promise holds for patients like these (`promised`). It does not hold for
        masks that are worse: `correct` tells how often theirs break rules.
        """
        check_is_fitted(self)
        network, reference = map(Cohort.of, (network, reference))
        files = real_pairs(network, reference, modality=modality)
        patients = sorted({file.patient_id for file, _ in files})
        refuse_seen(self.fits_, network, patients)
        check_promise(len(patients), risk=risk, confidence=confidence)
        seen = self._observe(map(read_pair, files), len(files))
        made = copy.copy(self)
        unfitted = predictor or DicePredictor(random_state=self.random_state)
        made.predictor_ = clone(unfitted).fit(seen.table, seen.dice, seen.patients)
        made.least_dice_, setting = set_gate(
            seen.effects, seen.masks, risk=risk, confidence=confidence
        )
        made.setting_ = replace(setting, set_on=network.name)
        made.calibrated_on_ = {"cohort": network.card.label, "patients": patients}
        return made

    @property
    def fits_(self) -> list[dict]:
        """``cohort`` and ``patients`` of all that it was fitted or calibrated on."""
        return [each for each in (self.fitted_on_, self.calibrated_on_) if each]

    def _observe(self, pairs, n):
        def offer(mask, examined):
            offered = self._offers(mask, examined)
            return [(one.place, one.proposal) for one in offered if not one.refusal]

        return observe(pairs, n, examine=self._examine, offer=offer)

    def _check(self):
        if self.method not in METHODS:
            hint = nearest(self.method, METHODS)
            msg = f"method is {self.method!r}{hint}. Use one of {METHODS}."
            raise SchemaError(msg)
        if rule_set(self.rules).plane != "slice":
            msg = f"rules {self.rules!r} are of volumes. Use a set of slices."
            raise SchemaError(msg)

    def _check_files(self, files, cohort):
        """Refuse before the training what would fail after it."""
        absent = set(rule_set(self.rules).structures).difference(
            *(file.structures for file in files)
        )
        if not files or absent:
            msg = (
                f"cohort {cohort.name!r} has {len(files)} mask files, without the "
                f"structures {sorted(absent)} that the rules {self.rules!r} need. Use "
                "other rules, or a cohort with these as lesion_id."
            )
            raise SchemaError(msg)
        names = {file.patient_id for file in files}
        n_out = round(self.calibration_fraction * len(names))
        if hasattr(self.prior, "fitted_on_"):
            n_out = len(names.difference(self.prior.fitted_on_))
        if n_out < _FEWEST:
            msg = (
                f"of {len(names)} patients, {n_out} would be left to set the gate on; "
                f"{_FEWEST} are needed. Give more patients, or a larger "
                "calibration_fraction."
            )
            raise CohortError(msg)

    def _fitted_prior(self, masks, owners):
        """Return the fitted prior, and whom it was fitted on."""
        prior = self.prior if self.prior is not None else ShapePrior()
        if hasattr(prior, "fitted_on_"):
            return prior, prior.fitted_on_
        names = np.unique(owners)
        n_out = round(self.calibration_fraction * len(names))
        order = np.random.default_rng(self.random_state).permutation(names)
        inside = np.isin(owners, order[n_out:])
        chosen = [m for m, use in zip(masks, inside, strict=True) if use]
        fitted = clone(prior).fit(chosen, patients=owners[inside])
        return fitted, fitted.fitted_on_

    def correct(self, mask: LabelMap) -> Correction:
        """Return a mask, corrected where that is safe.

        Parameters
        ----------
        mask
            Labels of the structures that the corrector was fitted on, under whatever
            values this mask has for them.

        Raises
        ------
        SchemaError
            The mask has other structures.
        """
        check_is_fitted(self)
        examined = self._examine(mask)
        slices = self._before(examined)
        array = mask.array.copy()
        decide = self._passed if self.gated else self._replaced
        for place, labels, decision in decide(mask, examined):
            if place not in slices.index:
                slices.loc[place, ["n_broken", "broken", "flagged"]] = 0, "", False
            slices.loc[place, list(decision)] = list(decision.values())
            if labels is not None:
                array[place] = labels
        slices = slices.sort_index()
        if len(slices):
            slices = slices.astype(_TYPES)
        return Correction(mask.with_array(array), slices, examined.table, self.setting_)

    def _examine(self, mask):
        return examine(mask, self.prior_, self.rules_)

    def _before(self, examined):
        """Return the table of slices of a mask of which none is corrected."""
        slices = pd.DataFrame(
            {"decision": "valid", "reason": "breaks no rule"},
            index=examined.table.index,
        )
        names, broken = np.array(self.rules_.names), examined.broken
        slices["n_broken"] = slices["n_broken_after"] = broken.sum(axis=1)
        slices["broken"] = [", ".join(names[row]) for row in broken]
        slices["kept_dice"] = 1.0
        if len(slices):
            slices = slices.join(self.predictor_.predict(examined.table))
        return slices

    def _passed(self, mask, examined):
        """Yield place, new labels or None, and the decision, behind the gate."""
        offered = list(self._offers(mask, examined))
        able = [one.proposal.kept_least for one in offered if not one.refusal]
        limit = self.setting_.most * len(examined.places)
        passed = iter(nearest_few(able, self.least_dice_, limit))
        for one in offered:
            place, proposal, refusal = one.place, one.proposal, one.refusal
            if not refusal and not next(passed):
                refusal = self._held_back(proposal)
            if refusal:
                yield place, None, {"decision": "refused", "reason": refusal}
                continue
            decision = {
                "decision": "corrected",
                "reason": proposal.reason or "breaks fewer rules and stays near",
                "n_broken_after": proposal.n_broken,
                "kept_dice": proposal.kept_dice,
            }
            yield place, proposal.labels, decision

    def _held_back(self, proposal):
        if proposal.kept_least < self.least_dice_:
            return f"too far from the mask: Dice below {self.least_dice_:.3f}"
        return f"more than {self.setting_.most:.0%} of the slices would be corrected"

    def _offers(self, mask, examined):
        return offers(mask, examined, self.rules_, self._drawn)

    def _drawn(self, mask, examined, rows):
        """Return what the prior makes of slices, one array a way to ask it."""
        banks = [None, self.bank_] if self.method == "decode" else [self.bank_]
        encoded = examined.encoded
        return [redraw(mask, self.prior_, encoded, rows, bank) for bank in banks]

    def _replaced(self, mask, examined):
        """Yield the same where every slice is replaced."""
        rows = np.arange(len(examined.places))
        bank = None if self.method == "decode" else self.bank_
        targets = redraw(mask, self.prior_, examined.encoded, rows, bank)
        broken = broken_rules(targets, self.rules_, **mask.slice_legend)
        for row, target in enumerate(targets):
            decision = {
                "decision": "corrected",
                "reason": "there is no gate",
                "n_broken_after": int(broken[row].sum()),
                "kept_dice": label_dice(target, mask.array[examined.places[row]]),
            }
            yield row, target, decision

    def save(self, folder: str | Path) -> None:
        """Write the fitted corrector into a folder; `load_corrector` reads it."""
        write_model(Path(folder) / _RECORD, _KIND, *self.state())

    def state(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Return what JSON can hold of a fitted corrector, and its tensors.

        They are those of the prior, and the ``bank`` where there is one.
        """
        check_is_fitted(self)
        record, tensors = self.prior_.state()
        predictor, _ = self.predictor_.state()
        record |= {
            "parameters": self.get_params(deep=False) | {"prior": None},
            "fitted_on": self.fitted_on_,
            "least_dice": self.least_dice_,
            "valid_share": self.valid_share_,
            "calibrated_on": self.calibrated_on_,
            "setting": asdict(self.setting_),
            "predictor": predictor,
            "versions": versions(),
        }
        if self.bank_ is not None:
            tensors["bank"] = np.ascontiguousarray(self.bank_)
        return record, tensors

    @classmethod
    def of(cls, record: dict, tensors: dict[str, np.ndarray]) -> "MaskCorrector":
        """Return the fitted corrector that `state` told of.

        Raises
        ------
        AttributeError, KeyError, RuntimeError, TypeError, ValueError
            They are of something else.
        """
        corrector = cls(**record["parameters"])
        corrector.prior = corrector.prior_ = ShapePrior.of(record, tensors)
        corrector.rules_ = rule_set(corrector.rules)
        corrector.bank_ = tensors.get("bank")
        corrector.valid_share_ = record["valid_share"]
        corrector.least_dice_ = record["least_dice"]
        corrector.fitted_on_ = record["fitted_on"]
        # correctors of earlier versions were set on drawn errors
        corrector.calibrated_on_ = record.get("calibrated_on")
        corrector.setting_ = Setting.of(record.get("setting", {}))
        corrector.predictor_ = DicePredictor.of(record["predictor"])
        return corrector


def load_corrector(folder: str | Path) -> MaskCorrector:
    """Return the corrector that `MaskCorrector.save` wrote.

    Parameters
    ----------
    folder
        Holds ``corrector.json``, ``prior.safetensors`` and ``dice.json``.

    Raises
    ------
    FileNotFoundError
        One of them is not there.
    SchemaError
        They are not of a corrector, or do not belong to each other.
    """
    return read_model(Path(folder) / _RECORD, _KIND, MaskCorrector.of)


def _files_of(cohort, patients, modality):
    files = mask_files(cohort, modality=modality)
    if patients is None:
        return files
    strange = sorted(set(patients) - {file.patient_id for file in files})
    if strange:
        msg = (
            f"cohort {cohort.name!r} has no masks of the patients {strange[:5]}. Give "
            "those of its cases."
        )
        raise CohortError(msg)
    return [file for file in files if file.patient_id in set(patients)]
