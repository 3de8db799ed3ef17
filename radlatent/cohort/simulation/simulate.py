"""Cohorts with a known answer: PET and CT lesions, outcomes, and what an oracle gets.

Strengths enter, a cohort folder leaves, with ``truth.csv`` and ``truth.json`` beside
the usual tables. Two factors of a patient drive the outcome:

``seen``
    Standard normal. Lesions grow with it and their texture gets stronger, so
    hand-crafted features carry it.
``hidden``
    -1 or +1, the sign of an intensity gradient of fixed magnitude along the body axis
    (world z, toward the head) inside every lesion. Hand-crafted features are blind to
    it, for two reasons:

    * Shape, intensity and texture features do not change when image and mask are
      mirrored. Mirrored at the mid-plane across z, a patient with ``hidden`` = +1 is a
      patient with ``hidden`` = -1 that the generator draws with the same
      probability: positions, shapes, textures and noise have mirror-symmetric
      distributions and do not depend on ``hidden``. So the distribution of such a
      feature is the same for both signs.
    * Wavelet features with asymmetric filters do change. Half of the patients
      (``slice_order``, a coin of its own) are therefore stored from the head down,
      with origin and direction to match. A patient and its mirror image stored in the
      other order have identical arrays, so no function of the array alone, whatever
      its filters, knows ``hidden``.

    Whoever brings the volumes into one physical orientation sees it at once: it is
    the slope of the intensity over world z. A latent encoder must do that.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import pandas as pd

from radlatent.cohort.manifest import Cohort
from radlatent.cohort.simulation.lesion import GRIDS, Draw, draw, mirror, render
from radlatent.cohort.simulation.outcome import censoring_limit, draw_outcome, oracle
from radlatent.errors import CohortError
from radlatent.imaging import Volume, write_volume
from radlatent.outputs import check_folder, replace_file, replace_text, sweep

__all__ = [
    "FINISHED",
    "STARTED",
    "SimulatedPatient",
    "simulate",
    "simulate_patient",
    "write_once",
]

#: Raised whenever the same arguments give other files.
GENERATOR_VERSION = 1

#: World position of the center of the volumes, LPS, x, y, z: not a round number, so
#: that code which forgets the origin is found out.
CENTER_MM = (12.5, -180.0, -347.5)

STARTED, FINISHED = "truth.partial.json", "truth.json"

_CARD = """\
name: simulated
freeze: "2026-11-20"
root: .
modalities:
  pet: {unit: SUV, preset: suv}
  ct: {unit: HU, preset: hu}
endpoints:{ENDPOINTS}
covariates: [age]
license: CC0-1.0
description: Simulated lesions with a known answer; see truth.json.
"""
_ENDPOINTS = {
    "response": "{kind: class, column: response}",
    "survival": "{kind: survival, time: survival_time, event: survival_event}",
}


@dataclass(frozen=True)
class SimulatedPatient:
    """Factors and arrays of one patient.

    Parameters
    ----------
    drawn
        The choices behind it: ``seen``, ``hidden``, ``site``, ``slice_order``,
        ``lesions``.
    images, masks
        Arrays by modality, axes z, y, x, in the order in which they are stored: the
        first slice is nearest to the feet or to the head, as ``slice_order`` says.
    """

    drawn: Draw
    images: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]

    def volume(self, modality: str, role: str) -> Volume:
        """Return an array in the world.

        Parameters
        ----------
        modality
            ``"pet"`` or ``"ct"``.
        role
            ``"image"`` or ``"mask"``.
        """
        array = (self.images if role == "image" else self.masks)[modality]
        spacing = np.array(GRIDS[modality].spacing_mm)
        # LPS vectors of the array axes z, y, x, as columns
        direction = np.eye(3)[:, ::-1].copy()
        if self.drawn.slice_order == "head_first":
            direction[:, 0] *= -1
        half_mm = (np.array(array.shape) - 1) / 2 * spacing
        origin = np.array(CENTER_MM) - direction @ half_mm
        return Volume(array, tuple(spacing), origin=tuple(origin), direction=direction)


def simulate_patient(
    random_state: int | np.random.SeedSequence, *, mirrored: bool = False
) -> SimulatedPatient:
    """Return one patient, written nowhere.

    Parameters
    ----------
    random_state
        Whatever ``numpy.random.default_rng`` takes.
    mirrored
        Whether to return the mirror image instead: the same draw upside down, with
        ``hidden`` negated and stored in the other slice order. Its arrays are
        identical to those of the patient.
    """
    drawn = draw(np.random.default_rng(random_state))
    drawn = mirror(drawn) if mirrored else drawn
    step = -1 if drawn.slice_order == "head_first" else 1
    images, masks = {}, {}
    for modality in GRIDS:
        image, mask = render(drawn, modality)
        images[modality] = np.ascontiguousarray(image[::step])
        masks[modality] = np.ascontiguousarray(mask[::step])
    return SimulatedPatient(drawn, images, masks)


def simulate(
    out: str | Path,
    *,
    n_patients: int = 80,
    seen_effect: float = 1.5,
    hidden_effect: float = 1.5,
    censoring: float = 0.3,
    random_state: int = 0,
) -> Cohort:
    """Write a cohort whose answer is known, and read it.

    Parameters
    ----------
    out
        Folder to write into; absent, empty, or an earlier run with the same
        arguments, which is returned as it is (or finished, if it was interrupted).
    n_patients
        Number of patients. Patient i is the same whatever the number.
    seen_effect, hidden_effect
        Change of the linear predictor per unit of each factor: log odds of
        ``response``, log hazard of ``survival``. Zero for both is a null cohort. The
        images do not depend on them.
    censoring
        Expected fraction of censored survival times, from 0 to below 1.
    random_state
        A whole number; each patient has its own stream.

    Raises
    ------
    FileExistsError
        ``out`` holds something else.
    CohortError
        An argument is out of range.

    Notes
    -----
    ``response`` is Bernoulli(expit(lp)). Survival is Weibull with proportional
    hazards, t = scale (-log(u) / exp(lp))^(1 / shape), u uniform (Bender et al.
    2005), censored at a uniform time and rounded up to days.

    The oracle of ``truth.json`` ranks the drawn outcomes by the true linear
    predictor, and by each factor alone: no model can be expected to do better on
    these patients.

    References
    ----------
    Bender et al. 2005, doi:10.1002/sim.2059
    """
    arguments = _checked(
        n_patients=n_patients,
        seen_effect=seen_effect,
        hidden_effect=hidden_effect,
        censoring=censoring,
        random_state=random_state,
    )
    record = {"generator_version": GENERATOR_VERSION, "arguments": arguments}
    return write_once(out, record, partial(_write, arguments))


def _checked(**arguments):
    ranges = {
        "n_patients": (2, np.inf),
        "seen_effect": (-5, 5),
        "hidden_effect": (-5, 5),
        "censoring": (0, 0.95),
        "random_state": (0, np.inf),
    }
    wrong = []
    for name, (low, high) in ranges.items():
        whole = high == np.inf
        value = arguments[name]
        if isinstance(value, Integral if whole else Real) and low <= value <= high:
            continue
        wanted = f"a whole number from {low}" if whole else f"{low} to {high}"
        wrong.append(f"{name} is {value!r}; give {wanted}")
    if wrong:
        msg = "simulate: " + "; ".join(wrong) + "."
        raise CohortError(msg)
    # JSON knows no numbers of numpy
    kinds = {"n_patients": int, "random_state": int}
    return {name: kinds.get(name, float)(v) for name, v in arguments.items()}


def write_once(
    out: str | Path, record: dict, write: Callable[[Path], tuple[dict, str, dict]]
) -> Cohort:
    """Write a simulated cohort, unless its folder holds it, and read it.

    Parameters
    ----------
    out
        The folder.
    record
        What the cohort depends on: ``generator_version``, ``arguments``.
    write
        Writes the images into the folder; returns the tables, by name, the text of
        ``cohort.yml``, and what ``truth.json`` tells beside the record.

    Raises
    ------
    FileExistsError
        The folder holds something else.
    """
    out = Path(out)
    if not _is_finished(out, record):
        check_folder(out)
        out.mkdir(parents=True, exist_ok=True)
        sweep(out)
        replace_text(out / STARTED, json.dumps(record))
        tables, card, answer = write(out)
        for name, table in tables.items():
            replace_file(out / f"{name}.csv", partial(table.to_csv, index=False))
        replace_text(out / "cohort.yml", card)
        # last: its presence says that everything else is there
        replace_text(out / FINISHED, json.dumps(record | answer, indent=2) + "\n")
        (out / STARTED).unlink()
    return Cohort.read(out)


def _is_finished(out, record):
    """Return whether ``out`` holds this cohort, or raise if it holds another thing."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    for name in (FINISHED, STARTED):
        if (out / name).is_file():
            found = json.loads((out / name).read_text(encoding="utf-8"))
            if {key: found.get(key) for key in record} == record:
                return name == FINISHED
            what = f"a simulation with {found.get('arguments')!r}"
            break
    else:
        what = "files that simulate did not write"
    msg = (
        f"{out} holds {what}. Give another folder, or delete this one: nothing was "
        "written."
    )
    raise FileExistsError(msg)


def _write(arguments, out):
    root = np.random.SeedSequence(arguments["random_state"])
    limit = censoring_limit(arguments)
    cases, endpoints, truth = [], [], []
    for number, seed in enumerate(root.spawn(arguments["n_patients"]), start=1):
        patient_id = f"P{number:04d}"
        image_seed, outcome_seed = seed.spawn(2)
        patient = simulate_patient(image_seed)
        drawn = patient.drawn
        lp = arguments["seen_effect"] * drawn.seen
        lp += arguments["hidden_effect"] * drawn.hidden
        cases += _write_images(out, patient_id, patient)
        outcome = draw_outcome(np.random.default_rng(outcome_seed), lp, limit)
        endpoints.append({"patient_id": patient_id} | outcome)
        factors = {k: getattr(drawn, k) for k in ("seen", "hidden", "slice_order")}
        factors |= {"linear_predictor": lp, "n_lesions": len(drawn.lesions)}
        truth.append({"patient_id": patient_id} | factors | {"site": drawn.site})
    endpoints, truth = pd.DataFrame(endpoints), pd.DataFrame(truth)
    tables = {"cases": pd.DataFrame(cases), "endpoints": endpoints, "truth": truth}
    return tables, _card(endpoints), {"oracle": oracle(truth, endpoints)}


def _write_images(out, patient_id, patient):
    (out / "images" / patient_id).mkdir(parents=True, exist_ok=True)
    paths = {}
    for modality in GRIDS:
        for role in ("image", "mask"):
            path = f"images/{patient_id}/{modality}_{role}.nii.gz"
            write_volume(patient.volume(modality, role), out / path)
            paths[f"{role}_{modality}"] = path
    return [
        {
            "case_id": f"{patient_id}_L{label}",
            "patient_id": patient_id,
            "lesion_id": f"L{label}",
            "site": patient.drawn.site,
            **paths,
            "mask_label": label,
        }
        for label in range(1, len(patient.drawn.lesions) + 1)
    ]


def _card(endpoints):
    # with few patients an outcome can be the same in all: then it is no endpoint
    usable = {
        "response": endpoints["response"].nunique() == 2,
        "survival": endpoints["survival_event"].any(),
    }
    lines = [f"  {name}: {_ENDPOINTS[name]}" for name in usable if usable[name]]
    return _CARD.replace("{ENDPOINTS}", "\n" + "\n".join(lines) if lines else " {}")
