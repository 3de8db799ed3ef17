"""Simulated thighs: twelve muscles that touch, and fat that hides where."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from radlatent.cohort import index, simulate_thighs
from radlatent.cohort.simulation.thigh import (
    FAT,
    MUSCLE,
    MUSCLES,
    simulate_thigh,
)
from radlatent.errors import CohortError
from radlatent.imaging import read_volume


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("thighs") / "cohort"
    simulate_thighs(out, n_patients=3)
    return out


@pytest.mark.parametrize("infiltration", [0.0, 0.6])
def test_every_muscle_is_there_in_every_slice_and_in_one_piece(infiltration):
    assert len(MUSCLES) == 12
    for seed in range(5):
        labels = simulate_thigh(seed, infiltration=infiltration).mask.array
        assert set(np.unique(labels)) == set(range(13))
        for label in range(1, 13):
            pieces, n = ndimage.label(labels == label)
            sizes = np.bincount(pieces.ravel())[1:]
            assert sizes.max() > 0.97 * sizes.sum(), (seed, label, n)
            shown = (labels == label).any(axis=(1, 2))
            # the thinnest muscle may end before the thigh does
            assert shown.sum() >= 9, (seed, label)


def test_fat_is_as_told_and_shows_in_the_image():
    healthy, sick = (simulate_thigh(4, infiltration=f) for f in (0.0, 0.5))
    assert max(healthy.fat.values()) == 0
    labels = sick.mask.array
    seen = []
    for label, (name, muscle) in enumerate(MUSCLES.items(), start=1):
        assert 0.3 * muscle.share < sick.fat[name] / 0.5 < 2 * muscle.share
        inside = ndimage.binary_erosion(labels == label, np.ones((1, 3, 3)))
        mean = sick.image.array[inside].mean()
        seen.append((mean - MUSCLE) / (FAT - MUSCLE))
    # the field of the coil is 15 % of a signal of up to 1000, where muscle and fat
    # differ by 700
    np.testing.assert_allclose(seen, list(sick.fat.values()), atol=0.4)
    assert np.corrcoef(seen, list(sick.fat.values()))[0, 1] > 0.8


def test_borders_fade_as_fat_takes_the_place_of_muscle():
    contrast = []
    for infiltration in (0.0, 0.3, 0.6):
        thigh = simulate_thigh(7, infiltration=infiltration)
        labels = thigh.mask.array
        inside = labels > 0
        holes = ndimage.binary_closing(inside, np.ones((1, 7, 7))) & ~inside
        values = thigh.image.array
        contrast.append(values[holes].mean() / values[inside].mean())
    assert contrast[0] > 1.5 * contrast[2]
    assert contrast == sorted(contrast, reverse=True)


def test_the_cohort_has_a_case_a_muscle_and_tells_the_truth(folder):
    cohort = simulate_thighs(folder, n_patients=3)
    assert len(cohort.cases) == 36
    assert set(cohort.cases["lesion_id"]) == set(MUSCLES)
    truth = pd.read_csv(folder / "truth.csv", index_col="patient_id")
    endpoints = pd.read_csv(folder / "endpoints.csv", index_col="patient_id")
    pd.testing.assert_series_equal(truth["infiltration"], endpoints["infiltration"])
    case = cohort.cases.iloc[0]
    mask = read_volume(folder / case["mask"])
    image = read_volume(folder / case["image_mr"])
    assert mask.array.shape == image.array.shape
    assert mask.spacing_mm == pytest.approx((12, 2, 2))
    assert (mask.array == int(case["mask_label"])).any()


def test_files_are_read_by_their_names_as_those_of_a_hospital_are(folder, tmp_path):
    cases = index(
        folder,
        tmp_path / "read",
        image="{patient_id}/{modality}.nii.gz",
        mask="{patient_id}/muscles.nii.gz",
        labels=True,
    )
    assert len(cases) == 36
    assert set(cases["mask_label"].astype(int)) == set(range(1, 13))


def test_a_patient_is_the_same_in_a_larger_cohort(folder, tmp_path):
    simulate_thighs(tmp_path / "more", n_patients=4)
    for name in ("mr", "muscles"):
        one, other = (
            read_volume(root / "T0003" / f"{name}.nii.gz").array
            for root in (folder, tmp_path / "more")
        )
        np.testing.assert_array_equal(one, other)


def test_another_cohort_is_not_overwritten(folder):
    with pytest.raises(FileExistsError, match="Give another folder"):
        simulate_thighs(folder, n_patients=5)
    with pytest.raises(CohortError, match=r"n_patients is 0.*most_infiltration is 2"):
        simulate_thighs(folder, n_patients=0, most_infiltration=2)
