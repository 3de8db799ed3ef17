"""Simulated thighs: twelve muscles, fat between and inside them, by degree.

Random numbers enter, a cohort folder leaves: a T1-like MR image and a mask of twelve
labels a patient, the usual tables, and ``truth.csv`` and ``truth.json`` beside them.
Public images of thighs with contours of every muscle are rare; what networks do as fat
takes the place of muscle can be seen here. Anatomy is a sketch: an ellipse of muscle
around a femur, cut into cells about twelve centers (a power diagram, bent), so that
neighbors touch as muscles do.

Coordinates are millimeters from the middle of the volume; the thigh is a left one.
"""

from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from radlatent.cohort.manifest import Cohort
from radlatent.cohort.simulation.simulate import write_once
from radlatent.errors import CohortError
from radlatent.imaging import Volume, write_volume

__all__ = ["MUSCLES", "Muscle", "Thigh", "simulate_thigh", "simulate_thighs"]

#: Raised whenever the same arguments give other files.
GENERATOR_VERSION = 1

SHAPE, SPACING_MM = (12, 96, 96), (12.0, 2.0, 2.0)
#: Half-axes of the muscles, left-right and front-back, and their spread.
COMPARTMENT_MM, COMPARTMENT_SPREAD = (62.0, 56.0), 0.06
SKIN_FAT_MM, SKIN_FAT_SPREAD = 12.0, 0.35
FEMUR_MM, MARROW_MM = 13.0, 7.0
#: Half the width of the fat between two healthy muscles; atrophy widens it.
SEPTUM_MM, ATROPHY_MM = 1.0, 4.0
#: Arbitrary units of a T1-weighted image.
MUSCLE, FAT, BONE, NOISE = 300.0, 1000.0, 60.0, 25.0
#: Correlation length of fat inside a muscle, and of the field of the coil.
STREAK_MM, COIL = 5.0, 0.15
#: No muscle is more than this share fat, and no patient may be asked to.
MOST_FAT = 0.9


@dataclass(frozen=True)
class Muscle:
    """A muscle in the middle of a thigh.

    Parameters
    ----------
    place
        Lateral and anterior, in half-axes of the compartment.
    turn_deg
        How far its place turns about the femur from the hip (negative half) to the
        knee, toward the back.
    size
        Added to the cell, in the square of half-axes.
    share
        Its infiltration, in those of the patient: some muscles are spared.
    """

    place: tuple[float, float]
    turn_deg: float = 0.0
    size: float = 0.0
    share: float = 1.0


#: Label n + 1 is the nth.
MUSCLES = {
    "rectus_femoris": Muscle((0.08, 0.80), size=-0.02, share=0.7),
    "vastus_lateralis": Muscle((0.68, 0.36), size=0.08, share=1.2),
    "vastus_intermedius": Muscle((0.26, 0.46), size=-0.02, share=1.2),
    "vastus_medialis": Muscle((-0.38, 0.58), size=0.04, share=1.2),
    "sartorius": Muscle((-0.82, 0.36), turn_deg=25, size=-0.06, share=0.5),
    "gracilis": Muscle((-0.90, -0.16), size=-0.06, share=0.5),
    "adductor_longus": Muscle((-0.46, 0.12), size=-0.04, share=0.8),
    "adductor_magnus": Muscle((-0.34, -0.26), size=0.05, share=1.0),
    "semimembranosus": Muscle((-0.46, -0.66), turn_deg=6, size=0.0, share=1.3),
    "semitendinosus": Muscle((-0.02, -0.80), turn_deg=6, size=-0.03, share=1.1),
    "biceps_femoris_long": Muscle((0.42, -0.68), turn_deg=-6, size=0.02, share=1.3),
    "biceps_femoris_short": Muscle((0.52, -0.20), size=-0.04, share=1.0),
}

_CARD = """\
name: simulated_thighs
freeze: "2026-11-20"
root: .
modalities:
  mr: {unit: a.u., preset: mr}
endpoints: {}
covariates: [infiltration]
license: CC0-1.0
description: Simulated thighs with twelve muscles; see truth.csv.
"""


@dataclass(frozen=True)
class Thigh:
    """One patient.

    Parameters
    ----------
    infiltration
        Share of fat that is asked of a muscle of ``share`` 1.
    image
        Arbitrary units, float32, axes z (from the hip to the knee), y, x.
    mask
        Labels 1 to 12, uint8, on the same grid.
    fat
        Share of fat inside each muscle, by its name, before noise.
    """

    infiltration: float
    image: Volume
    mask: Volume
    fat: dict[str, float]


def simulate_thigh(
    random_state: int | np.random.SeedSequence, *, infiltration: float
) -> Thigh:
    """Return one patient, written nowhere.

    Parameters
    ----------
    random_state
        Whatever ``numpy.random.default_rng`` takes.
    infiltration
        0 is a healthy thigh. The draws do not depend on it: the same patient sick.
    """
    generator = np.random.default_rng(random_state)
    z, y, x = _coordinates()
    axes = np.array(COMPARTMENT_MM) * np.exp(
        COMPARTMENT_SPREAD * generator.standard_normal(2)
    )
    # lateral is left, anterior is against y; bent, so that no border is straight
    lateral, anterior = x / axes[0], -y / axes[1]
    lateral = lateral + 0.06 * _smooth(generator, 25.0)
    anterior = anterior + 0.06 * _smooth(generator, 25.0)
    label, depth_mm = _cells(generator, z, lateral, anterior, axes.mean())
    radius = np.hypot(lateral, anterior)
    skin_mm = SKIN_FAT_MM * np.exp(SKIN_FAT_SPREAD * generator.standard_normal())
    femur_mm = axes.mean() * np.hypot(lateral - 0.12, anterior - 0.14)
    own = infiltration * np.array([one.share for one in MUSCLES.values()])
    own = own * np.exp(0.2 * generator.standard_normal(len(own)))
    own = np.concatenate([[0.0], own.clip(0, MOST_FAT)])
    label[(radius > 1) | (femur_mm < FEMUR_MM + 1)] = 0
    label[depth_mm < SEPTUM_MM + ATROPHY_MM * own[label] ** 2] = 0
    share = own[label]
    streaks = _smooth(generator, STREAK_MM)
    share = (share + 1.2 * share * (1 - share) * streaks).clip(0, 1)
    signal = np.where(label > 0, MUSCLE + (FAT - MUSCLE) * share, FAT)
    signal[femur_mm < FEMUR_MM] = BONE
    signal[femur_mm < MARROW_MM] = FAT
    signal[radius > 1 + skin_mm / axes.mean()] = 0
    signal = gaussian_filter(signal, (0, 0.6, 0.6))
    signal *= np.exp(COIL * _smooth(generator, 60.0))
    noise = NOISE * generator.standard_normal((2, *SHAPE))
    image = np.hypot(signal + noise[0], noise[1])  # as magnitudes have it
    fat = {
        name: float(share[label == n].mean()) if (label == n).any() else float("nan")
        for n, name in enumerate(MUSCLES, start=1)
    }
    return Thigh(
        infiltration,
        Volume(image.astype(np.float32), SPACING_MM),
        Volume(label.astype(np.uint8), SPACING_MM),
        fat,
    )


def _coordinates():
    axes = [
        (np.arange(n) - (n - 1) / 2) * s for n, s in zip(SHAPE, SPACING_MM, strict=True)
    ]
    return np.meshgrid(*axes, indexing="ij")


def _smooth(generator, length_mm):
    """Return a smooth field of mean 0 and standard deviation 1."""
    drawn = generator.standard_normal(SHAPE)
    # muscles run along z: what is in one slice is in the next
    sigma = length_mm * np.array([3, 1, 1]) / SPACING_MM
    field = gaussian_filter(drawn, sigma, mode="reflect")
    return (field - field.mean()) / field.std()


def _cells(generator, z, lateral, anterior, mm):
    """Return the muscle of each voxel, and how deep inside of it in mm."""
    powers, centers = [], []
    down = z / (SHAPE[0] * SPACING_MM[0] / 2)  # -1 at the hip, 1 at the knee
    for one in MUSCLES.values():
        place = np.array(one.place) + 0.04 * generator.standard_normal(2)
        turn = np.deg2rad(one.turn_deg) * down
        # toward the back, on whichever side the muscle lies
        turn = turn * np.sign(-place[0])
        across = place[0] * np.cos(turn) - place[1] * np.sin(turn)
        front = place[0] * np.sin(turn) + place[1] * np.cos(turn)
        powers.append((lateral - across) ** 2 + (anterior - front) ** 2 - one.size)
        centers.append(np.stack([across, front]))
    powers, centers = np.stack(powers), np.stack(centers)
    nearest = np.argsort(powers, axis=0)[:2]
    own, next_ = np.take_along_axis(powers, nearest, axis=0)
    pair = [np.take_along_axis(centers, one[None, None], axis=0)[0] for one in nearest]
    apart = np.sqrt(((pair[0] - pair[1]) ** 2).sum(axis=0))
    # the distance to the line between two cells of a power diagram
    return nearest[0] + 1, mm * (next_ - own) / (2 * apart)


def simulate_thighs(
    out: str | Path,
    *,
    n_patients: int = 40,
    most_infiltration: float = 0.6,
    random_state: int = 0,
) -> Cohort:
    """Write a cohort of thighs, and read it.

    Parameters
    ----------
    out
        Folder to write into; absent, empty, or an earlier run with the same arguments,
        which is returned as it is, or begun again if it was interrupted.
    n_patients
        Number of patients. Patient i is the same whatever the number.
    most_infiltration
        Patients have a degree of infiltration between 0 and this, all alike likely; 0.6
        is the largest fat fraction of Hostin et al. 2022.
    random_state
        A whole number; each patient has its own stream.

    Returns
    -------
    Cohort
        A case a muscle, ``lesion_id`` its name; ``infiltration`` is a covariate. The
        share of fat in each muscle stands in ``truth.csv``.

    Raises
    ------
    FileExistsError
        ``out`` holds something else.
    CohortError
        An argument is out of range.

    Notes
    -----
    Real thighs, one mask of all muscles a patient, are read by their file names:
    ``index(root, out, image="{patient_id}/{modality}.nii.gz",
    mask="{patient_id}/muscles.nii.gz", labels=True)``; so are these.

    References
    ----------
    Hostin et al. 2022, ISMRM 2022 #0531
    """
    arguments = {
        "n_patients": n_patients,
        "most_infiltration": most_infiltration,
        "random_state": random_state,
    }
    _check(arguments)
    record = {
        "generator": "thighs",
        "generator_version": GENERATOR_VERSION,
        "arguments": {k: float(v) for k, v in arguments.items()},
    }
    return write_once(out, record, partial(_write, arguments))


def _check(arguments):
    wrong = [
        f"{name} is {arguments[name]!r}; give a whole number from {least}"
        for name, least in (("n_patients", 1), ("random_state", 0))
        if not (isinstance(arguments[name], Integral) and arguments[name] >= least)
    ]
    most = arguments["most_infiltration"]
    if not (isinstance(most, Real) and 0 <= most <= MOST_FAT):
        wrong.append(f"most_infiltration is {most!r}; give 0 to {MOST_FAT}")
    if wrong:
        msg = "simulate_thighs: " + "; ".join(wrong) + "."
        raise CohortError(msg)


def _write(arguments, out):
    root = np.random.SeedSequence(arguments["random_state"])
    cases, endpoints, truth = [], [], []
    for number, seed in enumerate(root.spawn(arguments["n_patients"]), start=1):
        patient_id = f"T{number:04d}"
        degree_seed, image_seed = seed.spawn(2)
        degree = np.random.default_rng(degree_seed).random()
        degree *= arguments["most_infiltration"]
        thigh = simulate_thigh(image_seed, infiltration=degree)
        cases += _write_images(out, patient_id, thigh)
        told = {"patient_id": patient_id, "infiltration": round(degree, 4)}
        endpoints.append(told)
        truth.append(told | thigh.fat)
    tables = {"cases": cases, "endpoints": endpoints, "truth": truth}
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}, _CARD, {}


def _write_images(out, patient_id, thigh):
    (out / patient_id).mkdir(exist_ok=True)
    paths = {}
    for column, name, volume in (
        ("image_mr", "mr", thigh.image),
        ("mask", "muscles", thigh.mask),
    ):
        paths[column] = f"{patient_id}/{name}.nii.gz"
        write_volume(volume, out / paths[column])
    return [
        {"case_id": f"{patient_id}_{muscle}", "patient_id": patient_id}
        | {"lesion_id": muscle, **paths, "mask_label": label}
        for label, muscle in enumerate(MUSCLES, start=1)
    ]
