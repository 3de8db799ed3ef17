"""Whole-body FDG-PET of patients who do not exist, with the shape of two trials.

A style enters, a cohort folder leaves: one PET in SUV and one mask of the total tumor
burden a patient, the tables of a cohort, and ``truth.csv`` and ``truth.json`` beside
them. ``anatomy`` says what a body consists of, ``body`` draws and renders one.
"""

from dataclasses import dataclass
from functools import partial
from numbers import Integral
from pathlib import Path

import numpy as np
import pandas as pd
from anatomy import STYLES
from body import SPACING_MM, Body, draw_body, render_body
from scipy import ndimage
from scipy.spatial.distance import pdist

from radlatent.cohort.manifest import Cohort
from radlatent.cohort.simulation.outcome import concordance
from radlatent.cohort.simulation.simulate import write_once
from radlatent.errors import CohortError
from radlatent.imaging import Volume, write_volume
from radlatent.schema import nearest

__all__ = ["WholeBody", "simulate_body", "simulate_wholebody"]

#: Raised whenever the same arguments give other files.
GENERATOR_VERSION = 1

#: Change of the log hazard of progression per unit of log volume and per 100 mm of
#: dispersion, and the patient whose log hazard is 0. That both count, each beside the
#: other, is published of REMARC; the sizes are ours.
PER_LOG_VOLUME, PER_100_MM = 0.5, 0.2
VOLUME_ML, DISPERSION_MM = 220.0, 400.0
#: Probability that this patient progresses within two years; Weibull shape.
TWO_YEARS, BASELINE, WEIBULL_SHAPE = 730, 0.25, 0.8
#: Nobody is lost earlier than two years, so that ``progression`` is always known.
FOLLOW_UP_DAYS = (730, 2190)

AGE_YEARS, AGE_SPREAD_YEARS, AGE_LIMITS_YEARS = 62.0, 13.0, (18, 90)

_CARD = """\
name: simulated_{style}
freeze: "2026-11-20"
root: .
modalities:
  pet: {{unit: SUV, preset: suv}}
endpoints:{endpoints}
covariates: [age]
license: CC0-1.0
description: Simulated whole-body FDG-PET of lymphoma; see truth.json.
"""
_ENDPOINTS = {
    "progression": "{kind: class, column: progression}",
    "pfs": "{kind: survival, time: pfs_time, event: pfs_event}",
}


@dataclass(frozen=True)
class WholeBody:
    """One patient.

    Parameters
    ----------
    drawn
        The choices behind the image.
    image, mask
        SUV (float32) and 1 in every lesion (uint8), with their place in the world. The
        first slice is nearest to the feet or to the head, as ``drawn.slice_order``
        says.
    """

    drawn: Body
    image: Volume
    mask: Volume

    def truth(self) -> dict:
        """Return what is known of the patient, numbers of image and mask included.

        Notes
        -----
        A lesion is a connected component of the mask, voxels that touch at a corner
        included. ``dispersion_mm`` is the largest distance between the centroids of
        two lesions, 0 for one lesion. ``bladder_suv`` is the uptake before blur and
        noise.
        """
        suv, inside = self.image.array, self.mask.array > 0
        label, n_lesions = ndimage.label(inside, np.ones((3, 3, 3)))
        voxels, lesion = np.argwhere(inside), label[inside]
        sums = [np.bincount(lesion, axis)[1:] for axis in voxels.T]
        centers = np.stack(sums, axis=1) / np.bincount(lesion)[1:, None]
        distances = pdist(centers * SPACING_MM)
        volume = inside.sum() * SPACING_MM**3 / 1000
        names = ("sex", "height_cm", "weight_kg", "arms", "scanner", "slice_order")
        return {name: getattr(self.drawn, name) for name in names} | {
            "bladder_suv": self.drawn.organs["bladder"].suv * self.drawn.calibration,
            "suv_max": float(suv.max()),
            "tumor_volume_ml": float(volume),
            "n_lesions": int(n_lesions),
            "dispersion_mm": float(distances.max(initial=0)),
            "lesion_suv_max": float(suv[inside].max()),
            "total_lesion_glycolysis": float(volume * suv[inside].mean()),
        }


def simulate_body(
    random_state: int | np.random.SeedSequence, *, style: str = "remarc"
) -> WholeBody:
    """Return one patient, written nowhere.

    Parameters
    ----------
    random_state
        Whatever ``numpy.random.default_rng`` takes.
    style
        ``"remarc"`` or ``"lnh073b"``, see `simulate_wholebody`.

    Raises
    ------
    CohortError
        The style is another.
    """
    if fault := _style_fault(style):
        raise CohortError(f"simulate_body: {fault}.")
    drawn = draw_body(np.random.default_rng(random_state), STYLES[style])
    image, mask = render_body(drawn, STYLES[style])
    # LPS vectors of the array axes z, y, x, as columns
    direction = np.eye(3)[:, ::-1].copy()
    if drawn.slice_order == "head_first":
        direction[:, 0] *= -1
        image, mask = image[::-1], mask[::-1]
    half_mm = (np.array(image.shape) - 1) / 2 * SPACING_MM
    origin = tuple(np.array(drawn.center_mm) - direction @ half_mm)
    volumes = (
        Volume(np.ascontiguousarray(array), (SPACING_MM,) * 3, origin, direction)
        for array in (image, mask)
    )
    return WholeBody(drawn, *volumes)


def simulate_wholebody(
    out: str | Path,
    *,
    n_patients: int = 284,
    style: str = "remarc",
    random_state: int = 0,
) -> Cohort:
    """Write a cohort of whole-body FDG-PET whose answer is known, and read it.

    Parameters
    ----------
    out
        Folder to write into; absent, empty, or an earlier run with the same
        arguments, which is returned as it is (or finished, if it was interrupted).
    n_patients
        Number of patients; the PET latent-space report has 284 of REMARC and 101 of
        LNH073B. Patient i is the same whatever the number.
    style
        ``"remarc"``, or ``"lnh073b"``: other scanners with coarser resolution and more
        noise, larger errors of calibration, a heavier tail of urine uptake, deposits
        at the injection site more often (some above SUV 100), and more tumor. No
        patient of one style occurs in the other.
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
    Volumes have 128x48x64 voxels (z, y, x) of 8 mm, half of them stored from the head
    down. The log hazard of progression is 0.5 log(volume / 220 mL) + 0.2 (dispersion -
    400 mm) / 100 mm, of the volume and dispersion in ``truth.csv``. Time to
    progression is Weibull with proportional hazards (Bender et al. 2005), censored
    between two and six years at a uniform time; ``progression`` is 1 for an event
    within 730 days, so that its odds, too, grow with both.

    Nothing was fitted to images of the trials: shares of patients, volumes and
    outcomes resemble what is published, and are not measurements of them.

    References
    ----------
    Bender et al. 2005, doi:10.1002/sim.2059
    """
    arguments = _checked(n_patients=n_patients, style=style, random_state=random_state)
    record = {"generator_version": GENERATOR_VERSION, "arguments": arguments}
    return write_once(out, record, partial(_write, arguments))


def _checked(*, n_patients, style, random_state):
    wrong = [
        f"{name} is {value!r}; give a whole number from {low}"
        for name, value, low in (
            ("n_patients", n_patients, 2),
            ("random_state", random_state, 0),
        )
        if not isinstance(value, Integral) or isinstance(value, bool) or value < low
    ]
    if fault := _style_fault(style):
        wrong.append(fault)
    if wrong:
        msg = "simulate_wholebody: " + "; ".join(wrong) + "."
        raise CohortError(msg)
    return {
        "n_patients": int(n_patients),
        "style": style,
        "random_state": int(random_state),
    }


def _style_fault(style):
    if style in list(STYLES):
        return ""
    return f"style is {style!r}{nearest(style, STYLES)} (known are {list(STYLES)})"


def _write(arguments, out):
    style = arguments["style"]
    # a stream of its own for each style: no body occurs in both
    root = np.random.SeedSequence(
        arguments["random_state"], spawn_key=(list(STYLES).index(style),)
    )
    cases, endpoints, truth = [], [], []
    for number, seed in enumerate(root.spawn(arguments["n_patients"]), start=1):
        patient_id = f"{STYLES[style].prefix}{number:04d}"
        image_seed, outcome_seed = seed.spawn(2)
        patient = simulate_body(image_seed, style=style)
        known = {"patient_id": patient_id} | patient.truth()
        known["linear_predictor"] = _log_hazard(known)
        cases.append(_write_case(out, patient_id, patient))
        rng = np.random.default_rng(outcome_seed)
        outcome = _draw_outcome(rng, known["linear_predictor"])
        endpoints.append({"patient_id": patient_id} | outcome)
        truth.append(known)
    endpoints, truth = pd.DataFrame(endpoints), pd.DataFrame(truth)
    tables = {"cases": pd.DataFrame(cases), "endpoints": endpoints, "truth": truth}
    return tables, _card(style, endpoints), {"oracle": _oracle(truth, endpoints)}


def _write_case(out, patient_id, patient):
    # folders as the code of the trials' readers wants them, see layout "pet_gt"
    paths = {
        "image_pet": f"images/{patient_id}/pet/{patient_id}_pet.nii.gz",
        "mask_pet": f"images/{patient_id}/gt/{patient_id}_gt.nii.gz",
    }
    write_volume(patient.image, out / paths["image_pet"])
    write_volume(patient.mask, out / paths["mask_pet"])
    ids = {"case_id": patient_id, "patient_id": patient_id, "lesion_id": "total"}
    return ids | {"site": patient.drawn.scanner} | paths | {"mask_label": ""}


def _log_hazard(known):
    volume = np.log(known["tumor_volume_ml"] / VOLUME_ML)
    dispersion = (known["dispersion_mm"] - DISPERSION_MM) / 100
    return float(PER_LOG_VOLUME * volume + PER_100_MM * dispersion)


def _draw_outcome(rng, log_hazard):
    u, follow_up, age = rng.random(), rng.uniform(*FOLLOW_UP_DAYS), rng.normal()
    scale = TWO_YEARS / (-np.log1p(-BASELINE)) ** (1 / WEIBULL_SHAPE)
    time = scale * (-np.log1p(-u) / np.exp(log_hazard)) ** (1 / WEIBULL_SHAPE)
    years = np.clip(AGE_YEARS + AGE_SPREAD_YEARS * age, *AGE_LIMITS_YEARS)
    return {
        "progression": int(time <= TWO_YEARS),
        "pfs_time": max(1, int(np.ceil(min(time, follow_up)))),
        "pfs_event": int(time <= follow_up),
        "age": int(years),
    }


def _oracle(truth, endpoints):
    """Return how well the true factors rank the outcomes, None where undefined."""
    # it loads scikit-learn, which reading a cohort has no use for
    from sklearn.metrics import roc_auc_score

    outcome = endpoints["progression"].to_numpy()
    time, event = (endpoints[f"pfs_{what}"].to_numpy() for what in ("time", "event"))
    result = {"auc": {}, "c_index": {}}
    for name in ("linear_predictor", "tumor_volume_ml", "dispersion_mm"):
        risk = truth[name].to_numpy()
        two = len(set(outcome)) == 2
        result["auc"][name] = float(roc_auc_score(outcome, risk)) if two else None
        result["c_index"][name] = concordance(time, event, risk)
    return result


def _card(style, endpoints):
    # with few patients an outcome can be the same in all: then it is no endpoint
    usable = {
        "progression": endpoints["progression"].nunique() == 2,
        "pfs": endpoints["pfs_event"].any(),
    }
    lines = [f"  {name}: {_ENDPOINTS[name]}" for name in usable if usable[name]]
    text = "\n" + "\n".join(lines) if lines else " {}"
    return _CARD.format(style=style, endpoints=text)
