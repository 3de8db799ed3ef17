"""Lesions made of noise and spheres, in memory and in files; for the benchmarks."""

import os

import numpy as np
import SimpleITK as sitk

import radlatent as rl
from radlatent.imaging import Volume, write_volume

SHAPE = (120, 512, 512)
SMALL = (128, 128, 128)
RADIUS = 15


def noise(shape, random_state=0):
    """Return smoothed normal noise between 0 and 1000, as the int16 of a CT."""
    white = np.random.default_rng(random_state).standard_normal(shape)
    smooth = sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(white), 2.0)
    values = sitk.GetArrayFromImage(smooth)
    return np.rint(1000 * (values - values.min()) / np.ptp(values)).astype(np.int16)


def sphere(shape, radius):
    """Return a centered sphere as uint8."""
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    middle = [n // 2 for n in shape]
    squared = (z - middle[0]) ** 2 + (y - middle[1]) ** 2 + (x - middle[2]) ** 2
    return (squared <= radius**2).astype(np.uint8)


def write_cohort(folder, shape, n_cases):
    """Write a cohort whose cases have files of their own, all with one content."""
    arrays = {"image": noise(shape), "mask": sphere(shape, RADIUS)}
    for name, array in arrays.items():
        write_volume(Volume(array, (1.0, 1.0, 1.0)), folder / f"{name}0.nrrd")
        for n in range(1, n_cases):
            os.link(folder / f"{name}0.nrrd", folder / f"{name}{n}.nrrd")
    (folder / "cohort.yml").write_text(
        "name: benchmark\nmodalities: {ct: {unit: HU, preset: hu}}\n", "utf-8"
    )
    rows = [f"c{n},p{n},image{n}.nrrd,mask{n}.nrrd" for n in range(n_cases)]
    text = "\n".join(["case_id,patient_id,image_ct,mask", *rows]) + "\n"
    (folder / "cases.csv").write_text(text, "utf-8")
    return rl.Cohort.read(folder)
