"""Beating apical hearts with a known answer: masks over a cycle, and a network's.

Random numbers enter; masks of every frame leave, as a network would draw them and as
they are, with the attributes behind them. Attributes follow a cardiac cycle; each frame
gets errors of its own, and some frames are broken. Public sequences with masks of every
frame are rare (TED), and may not be redistributed.

A ventricle is drawn so that its area, base, length, tilt, wall and place are what the
cycle says: half widths are W / 2 sqrt(1 - s^2) (1 + k s), s from the base to the apex.
"""

from dataclasses import dataclass, field
from functools import partial
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, map_coordinates

from radlatent.cohort.manifest import Cohort
from radlatent.cohort.simulation.simulate import write_once
from radlatent.errors import CohortError
from radlatent.imaging import Volume, write_volume

__all__ = ["BROKEN", "SimulatedHearts", "render_apical", "simulate_hearts"]

#: Raised whenever the same arguments give other files.
GENERATOR_VERSION = 1

STRUCTURES = {"LV": 1, "MYO": 2, "LA": 3}
SIZE, SPACING_MM = 128, 1.0

#: In which ways frames are broken.
BROKEN = ("shrunk", "moved", "hole", "speck", "gap")

#: Part of the cycle in which the ventricle contracts.
SYSTOLE = 0.38

#: Mean and spread over patients at end-diastole: mm2, mm, degrees. The area of LV is a
#: share of base times length: of half an ellipse pi / 4.
FILLED = (0.80, 0.025)
REST = {
    "lv_base_width": (40.0, 3.0),
    "lv_length": (76.0, 4.0),
    "lv_orientation": (-6.0, 6.0),
    "myo_area": (1900.0, 200.0),
    "epi_center_x": (64.0, 3.0),
    "epi_center_y": (56.0, 2.0),
}
#: What contraction adds, as a share (of areas and lengths) or in degrees and mm; of the
#: share that is filled as well. It follows what the area of LV does.
BEAT_FILLED = (-0.02, 0.02)
BEAT = {
    "lv_base_width": (-0.24, 0.05),
    "lv_length": (-0.14, 0.03),
    "lv_orientation": (3.0, 2.0),
    "myo_area": (0.06, 0.03),
    "epi_center_x": (1.0, 1.0),
    "epi_center_y": (4.0, 1.5),
}
_SHARES = ("lv_area", "lv_base_width", "lv_length", "myo_area")

#: Errors of a frame where ``noise`` is 1, as a share or in degrees and mm; and the mean
#: displacement of contours in mm, smooth over some mm.
ERRORS = {
    "lv_area": 0.03,
    "lv_base_width": 0.04,
    "lv_length": 0.02,
    "lv_orientation": 1.0,
    "myo_area": 0.04,
    "epi_center_x": 0.5,
    "epi_center_y": 0.5,
}
ROUGHNESS_MM, SMOOTH_MM = 0.6, 6.0
#: Arbitrary units of background, LV, MYO, LA in an image, and of its speckle.
LEVELS, SPECKLE = np.array([25.0, 40.0, 140.0, 45.0]), 0.35

_CARD = """\
name: {NAME}
freeze: "2026-11-29"
root: .
modalities:
  us_4ch: {unit: arbitrary, preset: mr}
covariates: [ef]
license: CC0-1.0
description: Simulated beating hearts in an apical view; see truth.csv.
"""


@dataclass(frozen=True, eq=False)
class SimulatedHearts:
    """Sequences of masks, and what is behind them.

    Parameters
    ----------
    masks
        Patient to labels as a network would draw them, shape (frames, rows, columns).
    reference
        The same without errors.
    truth
        Index ``patient_id, frame`` (from 0): the seven attributes of the reference in
        mm, mm2 and degrees, ``phase`` (``ED``, ``ES`` or empty) and ``broken``, one of
        `BROKEN` or empty.
    patients
        Index ``patient_id``: ``ef`` in percent, by area and length, and the frames
        ``ed`` and ``es``.
    arguments
        Of `simulate_hearts`.
    """

    masks: dict[str, np.ndarray]
    reference: dict[str, np.ndarray]
    truth: pd.DataFrame
    patients: pd.DataFrame
    arguments: dict
    structures: dict[str, int] = field(default_factory=lambda: dict(STRUCTURES))
    spacing_mm: tuple[float, float] = (SPACING_MM, SPACING_MM)

    def write(self, out: str | Path, *, reference: bool = False) -> Cohort:
        """Write one kind of masks as a cohort, with images, and read it.

        Parameters
        ----------
        out
            Folder to write into; absent, empty, or an earlier run of the same.
        reference
            Whether the masks without errors are written.

        Returns
        -------
        Cohort
            A case a frame and structure; ``timepoint`` is ``f001`` and so on.
        """
        record = {
            "generator": "hearts",
            "generator_version": GENERATOR_VERSION,
            "arguments": self.arguments | {"reference": reference},
        }
        return write_once(out, record, partial(self._write, reference))

    def _write(self, reference, out):
        masks, cases = self.reference if reference else self.masks, []
        for patient, frames in masks.items():
            (out / patient).mkdir(exist_ok=True)
            seed = np.random.SeedSequence([self.arguments["random_state"], len(cases)])
            random = np.random.default_rng(seed)
            for number, labels in enumerate(frames):
                true = self.reference[patient][number]
                cases += _frame(out, patient, number, labels, _image(true, random))
        told = self.patients[["ef"]].round(2).reset_index()
        tables = {"cases": pd.DataFrame(cases), "endpoints": told}
        tables["truth"] = self.truth.reset_index()
        name = "hearts" if reference else "hearts_drawn"
        return tables, _CARD.replace("{NAME}", name), {}


def _frame(out, patient, number, labels, image):
    paths = {}
    for column, array in (("image_us_4ch", image), ("mask", labels)):
        role = column.partition("_")[0]
        paths[column] = f"{patient}/f{number + 1:03d}_{role}.nii.gz"
        volume = Volume(array[np.newaxis], (1.0, SPACING_MM, SPACING_MM))
        write_volume(volume, out / paths[column])
    return [
        {
            "case_id": f"{patient}_f{number + 1:03d}_{name}",
            "patient_id": patient,
            "lesion_id": name,
            "timepoint": f"f{number + 1:03d}",
            **paths,
            "mask_label": label,
        }
        for name, label in STRUCTURES.items()
    ]


def _image(labels, random):
    speckle = gaussian_filter(random.standard_normal(labels.shape), 1.0)
    image = LEVELS[labels] * (1 + SPECKLE * speckle / speckle.std())
    return np.clip(image, 0, 255).astype(np.uint8)


def simulate_hearts(
    *,
    n_patients: int = 20,
    n_frames: int = 40,
    noise: float = 1.0,
    broken: float = 0.05,
    random_state: int = 0,
) -> SimulatedHearts:
    """Return beating hearts in an apical view, and masks of them with errors.

    Parameters
    ----------
    n_patients
        Number of patients. Patient i is the same whatever the number.
    n_frames
        Of a cycle, from end-diastole to the next.
    noise
        How large the errors of each frame are; 0 draws what is there.
    broken
        Share of frames that are broken, each in one of the ways of `BROKEN`.
    random_state
        A whole number; each patient has its own stream.

    Raises
    ------
    CohortError
        An argument is out of range.

    Examples
    --------
    >>> made = simulate_hearts(n_patients=2, n_frames=10)
    >>> made.masks["H0001"].shape, made.truth.loc["H0001", "phase"].tolist()[:5]
    ((10, 128, 128), ['ED', '', '', '', 'ES'])
    """
    arguments = {
        "n_patients": n_patients,
        "n_frames": n_frames,
        "noise": noise,
        "broken": broken,
        "random_state": random_state,
    }
    _check(arguments)
    masks, reference, truth, patients = {}, {}, [], {}
    seeds = np.random.SeedSequence(random_state).spawn(n_patients)
    for number, seed in enumerate(seeds, start=1):
        name = f"H{number:04d}"
        rest_seed, error_seed = seed.spawn(2)
        cycle = _cycle(np.random.default_rng(rest_seed), n_frames)
        es = round(SYSTOLE * n_frames)
        reference[name] = np.stack([render_apical(row) for _, row in cycle.iterrows()])
        random = np.random.default_rng(error_seed)
        masks[name], kinds = _drawn(cycle, noise, broken, random)
        phase = ["ED" if k == 0 else "ES" if k == es else "" for k in range(n_frames)]
        index = pd.MultiIndex.from_product([[name], range(n_frames)])
        truth.append(cycle.assign(phase=phase, broken=kinds).set_index(index))
        volume = cycle["lv_area"] ** 2 / cycle["lv_length"]
        ejected = 100 * (1 - volume[es] / volume[0])
        patients[name] = {"ef": ejected, "ed": 0, "es": es}
    truth = pd.concat(truth).rename_axis(["patient_id", "frame"])
    patients = pd.DataFrame.from_dict(patients, orient="index")
    patients = patients.rename_axis("patient_id").astype({"ed": int, "es": int})
    kept = {k: float(v) for k, v in arguments.items()}
    kept["random_state"] = int(random_state)
    return SimulatedHearts(masks, reference, truth, patients, kept)


def _check(arguments):
    least = {"n_patients": 1, "n_frames": 5, "random_state": 0}
    wrong = [
        f"{name} is {arguments[name]!r}; give a whole number from {low}"
        for name, low in least.items()
        if not (isinstance(arguments[name], Integral) and arguments[name] >= low)
    ]
    for name, high in (("noise", 5.0), ("broken", 1.0)):
        if not (isinstance(arguments[name], Real) and 0 <= arguments[name] <= high):
            wrong.append(f"{name} is {arguments[name]!r}; give 0 to {high:g}")
    if wrong:
        msg = "simulate_hearts: " + "; ".join(wrong) + "."
        raise CohortError(msg)


def _cycle(random, n_frames):
    """Return the attributes of a patient over a cycle, a row a frame."""
    at = np.arange(n_frames) / n_frames
    falling = (1 - np.cos(np.pi * at / SYSTOLE)) / 2
    rising = (1 + np.cos(np.pi * (at - SYSTOLE) / (1 - SYSTOLE))) / 2
    contraction = np.where(at < SYSTOLE, falling, rising)
    columns = {}
    for name in REST:
        rest, moved = _draw(random, REST[name]), _draw(random, BEAT[name])
        if name in _SHARES:
            columns[name] = rest * (1 + moved * contraction)
        else:
            columns[name] = rest + moved * contraction
    filled = _draw(random, FILLED) + _draw(random, BEAT_FILLED) * contraction
    columns["lv_area"] = filled * columns["lv_base_width"] * columns["lv_length"]
    return pd.DataFrame(columns)[list(ERRORS)]


def _draw(random, about):
    """Return a number of a mean and a spread, at most two of these away."""
    return about[0] + about[1] * np.clip(random.standard_normal(), -2, 2)


def _drawn(cycle, noise, broken, random):
    """Return masks as a network would draw them, and in which way each is broken."""
    frames, kinds = [], []
    for _, row in cycle.iterrows():
        kind = BROKEN[random.integers(len(BROKEN))] if random.random() < broken else ""
        wrong = {
            name: noise * e * random.standard_normal() for name, e in ERRORS.items()
        }
        wrong["lv_area"] -= 0.45 * (kind == "shrunk")
        wrong["lv_length"] -= 0.3 * (kind == "shrunk")
        wrong["epi_center_x"] += 12 * random.choice([-1, 1]) * (kind == "moved")
        changed = row.copy()
        for name, error in wrong.items():
            changed[name] += error * (row[name] if name in _SHARES else 1)
        labels = _roughened(render_apical(changed), noise, random)
        frames.append(_damaged(labels, kind, random))
        kinds.append(kind)
    return np.stack(frames), kinds


def _roughened(labels, noise, random):
    """Return labels whose contours are displaced a little, smoothly."""
    if not noise:
        return labels
    fields = random.standard_normal((2, *labels.shape))
    moves = np.stack([gaussian_filter(one, SMOOTH_MM / SPACING_MM) for one in fields])
    moves *= noise * ROUGHNESS_MM / SPACING_MM / moves.std()
    return map_coordinates(labels, np.indices(labels.shape) + moves, order=0)


def _damaged(labels, kind, random):
    if kind not in ("hole", "speck", "gap"):
        return labels
    places = {"hole": labels == 1, "speck": labels == 0, "gap": labels == 2}
    inside = np.argwhere(places[kind])
    middle = inside[random.integers(len(inside))]
    away = np.linalg.norm(
        np.moveaxis(np.indices(labels.shape), 0, -1) - middle, axis=-1
    )
    disk = (away < {"hole": 4, "speck": 6, "gap": 12}[kind]) & places[kind]
    return np.where(disk, 1 if kind == "speck" else 0, labels).astype(labels.dtype)


def render_apical(
    attributes: pd.Series | dict, *, size: int = SIZE, spacing_mm: float = SPACING_MM
) -> np.ndarray:
    """Return the labels of a ventricle with given attributes, and of its atrium.

    Parameters
    ----------
    attributes
        ``lv_area`` and ``myo_area`` (mm2), ``lv_base_width``, ``lv_length``,
        ``epi_center_x`` and ``epi_center_y`` (mm), ``lv_orientation`` (degrees).
    size
        Pixels along each side.
    spacing_mm
        Of pixels.
    """
    area, width = attributes["lv_area"], attributes["lv_base_width"]
    length, wall_area = attributes["lv_length"], attributes["myo_area"]
    # the area is W L (pi / 4 + k / 3)
    filled = area / (width * length)
    k = 3 * (filled - np.pi / 4)
    # (W + 2 t) (L + t) filled = area + wall_area
    linear = width + 2 * length
    thickness = (-linear + np.sqrt(linear**2 + 8 * wall_area / filled)) / 4
    reach = length + thickness
    center = (1 / 3 + k * np.pi / 16) / filled * reach
    turn = np.radians(attributes["lv_orientation"])
    axis = np.array([-np.cos(turn), -np.sin(turn)])  # from the base to the apex
    middle = np.array([attributes["epi_center_y"], attributes["epi_center_x"]])
    points = np.moveaxis(np.indices((size, size)), 0, -1) * spacing_mm
    away = points - (middle - center * axis)
    along, across = away @ axis, np.abs(away @ np.array([-axis[1], axis[0]]))
    labels = np.zeros((size, size), np.uint8)
    labels[_atrium(along, across, width)] = 3
    labels[_within(along / reach, across, (width + 2 * thickness) / 2, k)] = 2
    labels[_within(along / length, across, width / 2, k)] = 1
    return labels


def _within(s, across, half_width, k):
    inside = (s >= 0) & (s <= 1)
    half = half_width * np.sqrt(np.clip(1 - s**2, 0, None)) * (1 + k * s)
    return inside & (across <= half)


def _atrium(along, across, width):
    """Return an atrium that is a little narrower than the valve."""
    deep = -along / (0.75 * width)
    return (
        (deep > 0)
        & (deep <= 1)
        & (across <= 0.46 * width * np.sqrt(1 - deep.clip(0, 1) ** 2))
    )
