"""The corrector: a mask enters, the mask that a prior would have it be leaves, or not.

A gate lets a correction pass only where the mask breaks rules, or the slices beside one
or a reviser contradict it, and where the result breaks fewer and every structure stays
near. Every decision has its reason.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from radlatent.cohort import Cohort
from radlatent.cohort.labels import LabelMap, mask_files, read_label_map
from radlatent.errors import CohortError, SchemaError
from radlatent.imaging import Volume
from radlatent.masks.correction.calibration import (
    N_DRAWN,
    drawn_pairs,
    observe,
)
from radlatent.masks.correction.decision import (
    Correction,
    behind_gate,
    decided,
    without_gate,
)
from radlatent.masks.correction.gate import FLOOR, Setting, check_promise, set_gate
from radlatent.masks.correction.offers import offers, repairs
from radlatent.masks.correction.plausibility import examine
from radlatent.masks.correction.revised import (
    judged,
    revised_planes,
    revised_repairs,
    with_revision,
)
from radlatent.masks.dice.predictor import KIND as PREDICTOR
from radlatent.masks.dice.predictor import DicePredictor
from radlatent.masks.prior.latents import METHODS, valid_latents
from radlatent.masks.prior.shape_prior import ShapePrior, check_structures, redraw
from radlatent.masks.revision.pairs import read_pair, real_pairs, refuse_seen
from radlatent.masks.revision.reviser import MaskReviser
from radlatent.masks.rules.rules import rule_set
from radlatent.provenance import versions
from radlatent.records import Kind, read_model, write_model
from radlatent.schema import nearest

__all__ = ["MaskCorrector", "load_corrector"]

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

#: What the names of a reviser's weights start with, beside the prior's.
_REVISER = "reviser/"

#: Calibration patients that a flag of the sensitivity 0.95 needs.
_FEWEST = 19


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
    reviser_
        A `MaskReviser`, where `calibrate` was given one; else None.
    fitted_on_, calibrated_on_
        ``cohort`` and ``patients``; the second None before `calibrate`.

    Notes
    -----
    The threshold is the widest under which at most 1 % of the slices of calibration
    masks, degraded as a network's (`NETWORK_LIKE`), lose more than 0.02 Dice, and 0.9
    at the least. Drawn errors are not those of a network: `calibrate` sets gate and
    predicted Dice on these. No structure that entered vanishes or loses most of itself,
    and none is invented, unless both slices beside it say so (`repairs`), or a reviser
    does, as probably as the threshold asks.

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
        self.calibrated_on_ = self.reviser_ = None
        kept_out = ~np.isin(owners, for_prior)
        chosen = [mask for mask, out in zip(masks, kept_out, strict=True) if out]
        pairs = drawn_pairs(chosen, owners[kept_out], random_state=self.random_state)
        seen = self._observe(pairs, N_DRAWN * len(chosen))
        predictor = DicePredictor(random_state=self.random_state)
        self.predictor_ = predictor.fit(seen.table, seen.dice, seen.patients)
        self.least_dice_, _ = set_gate(seen.effects, seen.masks, risk=1.0, floor=FLOOR)
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
        reviser: MaskReviser | None = None,
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
        reviser
            A fitted one, of other patients: it says which structures slices miss or
            have too many, redraws those of which it expects much more, offers what they
            might be, and tells the predicted Dice what it sees. Gate and prediction
            hold of it as well. None: the one that the corrector has.

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
        made = copy.copy(self)
        if reviser is not None:
            check_is_fitted(reviser)
            made.reviser_ = reviser
        refuse_seen(made.fits_, network, patients)
        check_promise(len(patients), risk=risk, confidence=confidence)
        pairs = map(partial(read_pair, with_image=made.sees_image), files)
        seen = made._observe(pairs, len(files))
        unfitted = predictor or DicePredictor(random_state=self.random_state)
        made.predictor_ = clone(unfitted).fit(seen.table, seen.dice, seen.patients)
        made.least_dice_, setting = set_gate(
            seen.effects, seen.masks, risk=risk, confidence=confidence, floor=FLOOR
        )
        made.setting_ = replace(setting, set_on=network.name)
        made.calibrated_on_ = {"cohort": network.card.label, "patients": patients}
        return made

    @property
    def fits_(self) -> list[dict]:
        """``cohort`` and ``patients`` of all that it was fitted or calibrated on."""
        revised = self.reviser_.fitted_on_ if self.reviser_ else None
        fits = (self.fitted_on_, revised, self.calibrated_on_)
        return [each for each in fits if each]

    @property
    def sees_image(self) -> bool:
        """Whether `correct` needs the image."""
        return self.reviser_ is not None and self.reviser_.sees_image

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

    def correct(self, mask: LabelMap, image: Volume | None = None) -> Correction:
        """Return a mask, corrected where that is safe.

        Parameters
        ----------
        mask
            Labels of the structures that the corrector was fitted on, under whatever
            values this mask has for them.
        image
            What it was drawn on, on its grid; a reviser looks at it, nobody else.

        Raises
        ------
        GeometryError
            The image lies on another grid.
        SchemaError
            The mask has other structures, or the reviser needs its image.
        """
        check_is_fitted(self)
        examined = self._examine(mask, image)
        if self.gated:
            decisions = behind_gate(
                self._offers(mask, examined),
                len(examined.places),
                least_dice=self.least_dice_,
                most=self.setting_.most,
            )
        else:
            targets = self._targets(mask, examined)
            decisions = without_gate(mask, examined, targets, self.rules_)
        return decided(
            mask,
            examined,
            decisions,
            rules=self.rules_,
            predictor=self.predictor_,
            setting=self.setting_,
        )

    def _examine(self, mask, image):
        examined = examine(mask, self.prior_, self.rules_)
        if self.reviser_ is None:
            return examined
        return with_revision(mask, examined, self.reviser_.revise(mask, image))

    def _offers(self, mask, examined):
        if examined.revision is None:
            asked = repairs(mask.array, **mask.legend)
            return list(offers(mask, examined, self.rules_, self._drawn, asked))
        asked = revised_repairs(mask, examined.revision)
        judge = partial(judged, mask, examined)
        return list(offers(mask, examined, self.rules_, self._drawn, asked, judge))

    def _drawn(self, mask, examined, rows):
        """Return what slices might be, one array a way to ask prior and reviser."""
        banks = [None, self.bank_] if self.method == "decode" else [self.bank_]
        encoded = examined.encoded
        drawn = [redraw(mask, self.prior_, encoded, rows, bank) for bank in banks]
        if examined.revision is None:
            return drawn
        return [revised_planes(examined.revision, examined.places[rows]), *drawn]

    def _targets(self, mask, examined):
        """Return what replaces every slice where there is no gate."""
        if examined.revision is not None:
            return revised_planes(examined.revision, examined.places)
        bank = None if self.method == "decode" else self.bank_
        rows = np.arange(len(examined.places))
        return redraw(mask, self.prior_, examined.encoded, rows, bank)

    def save(self, folder: str | Path) -> None:
        """Write the fitted corrector into a folder; `load_corrector` reads it."""
        write_model(Path(folder) / _RECORD, _KIND, *self.state())

    def state(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Return what JSON can hold of a fitted corrector, and its tensors.

        They are those of the prior and, where there are any, the ``bank`` and those of
        the reviser.
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
        if self.reviser_ is not None:
            record["reviser"], weights = self.reviser_.state()
            tensors |= {f"{_REVISER}{name}": each for name, each in weights.items()}
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
        inside = {k: v for k, v in tensors.items() if k.startswith(_REVISER)}
        weights = {k.removeprefix(_REVISER): v for k, v in inside.items()}
        told = record.get("reviser")
        corrector.reviser_ = MaskReviser.of(told, weights) if told else None
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
