"""Hearts on the short axis, drawn: for tests of masks, in this folder and beside it.

Fixture ``drawn`` of ``tests/conftest.py`` offers these functions to every test.
"""

import numpy as np
import pandas as pd

from radlatent.imaging import Volume, write_volume

CARD = """\
name: {name}
freeze: 2026-11-20
modalities:
  mr: {{unit: arbitrary, preset: mr}}
"""

STRUCTURES = {"RV": 1, "MYO": 2, "LV": 3}

#: Of (z, y, x).
SPACING_MM = (8.0, 2.0, 2.0)

#: Mean intensity of background, RV, MYO, LV.
LEVELS = np.array([40.0, 200.0, 100.0, 220.0])


def draw_heart(rng, *, n_slices=3, size=64):
    """Return labels of a sound heart, shape (n_slices, size, size), base first.

    Radii (LV 8 to 11 pixels, wall 4 to 6), place, and the direction of the right
    ventricle differ; cavities shrink by 8 % a slice.
    """
    cavity, wall = rng.uniform(8, 11), rng.uniform(4, 6)
    crescent = rng.uniform(0.95, 1.2)
    angle = np.pi + rng.uniform(-0.5, 0.5)
    middle = size / 2 - 0.5 + rng.uniform(-3, 3, 2) + (0, 5)
    points = np.moveaxis(np.indices((size, size)), 0, -1)
    labels = np.zeros((n_slices, size, size), np.uint8)
    for number, plane in enumerate(labels):
        inner = cavity * 0.92**number
        outer = inner + wall
        reach = crescent * outer
        toward = np.array([np.sin(angle), np.cos(angle)])
        away = np.linalg.norm(points - middle, axis=-1)
        plane[
            np.linalg.norm(points - middle - 0.8 * outer * toward, axis=-1) < reach
        ] = 1
        plane[away < outer] = 2
        plane[away < inner] = 3
    return labels


def paint(labels, rng):
    """Return an image of a heart: a level for each structure, and noise."""
    return LEVELS[labels] + 10 * rng.standard_normal(labels.shape)


def write_hearts(folder, n_patients, rng, *, name="hearts", prefix="p", change=None):
    """Write a cohort of hearts: one image and one mask a patient, three cases each.

    Cases are ``p00_RV`` and so on, patients ``p00``; other patients have another
    ``prefix``. ``change(labels, number)`` gives the labels that are written; the image
    keeps those that were drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(n_patients):
        patient = f"{prefix}{number:02d}"
        labels = draw_heart(rng)
        image = Volume(paint(labels, rng).astype(np.float32), SPACING_MM)
        written = labels if change is None else change(labels, number)
        write_volume(image, folder / f"{patient}_image.nii.gz")
        write_volume(Volume(written, SPACING_MM), folder / f"{patient}_mask.nii.gz")
        for structure, label in STRUCTURES.items():
            rows.append(
                {
                    "case_id": f"{patient}_{structure}",
                    "patient_id": patient,
                    "lesion_id": structure,
                    "image_mr": f"{patient}_image.nii.gz",
                    "mask": f"{patient}_mask.nii.gz",
                    "mask_label": label,
                }
            )
    pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
    (folder / "cohort.yml").write_text(CARD.format(name=name), "utf-8")
    return folder


def moved(labels, number):
    """Return a heart as a poor network draws it: a slice beside itself, and a hole."""
    labels = labels.copy()
    labels[2] = np.roll(labels[2], 12, axis=0)
    cavity = np.argwhere(labels[1] == 3)
    row, column = np.rint(cavity.mean(axis=0)).astype(int)
    labels[1, row : row + 2, column : column + 2] = 0
    return labels
