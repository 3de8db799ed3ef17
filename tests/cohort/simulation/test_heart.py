"""Simulated hearts have the attributes that they are said to have."""

import numpy as np
import pytest

import radlatent as rl
from radlatent.cohort.simulation.heart import BROKEN, render_apical, simulate_hearts
from radlatent.errors import CohortError
from radlatent.masks import shape_attributes


@pytest.fixture(scope="module")
def made():
    return simulate_hearts(n_patients=4, n_frames=12, broken=0.5, random_state=3)


def measured(hearts, labels):
    about = {"structures": hearts.structures, "spacing_mm": hearts.spacing_mm}
    return shape_attributes(labels, **about)


def test_the_reference_has_the_attributes_of_the_truth(made):
    for patient, labels in made.reference.items():
        found, true = measured(made, labels), made.truth.loc[patient]
        for name, most in (("lv_area", 40), ("myo_area", 60), ("lv_orientation", 1.5)):
            assert np.abs(found[name] - true[name]).max() < most, name
        for name in ("epi_center_x", "epi_center_y"):
            assert np.abs(found[name] - true[name]).max() < 0.5, name
        # centers of pixels lie inside of the contour
        assert np.abs(found["lv_length"] - true["lv_length"]).max() < 2.5
        assert np.abs(found["lv_base_width"] - true["lv_base_width"]).max() < 4


def test_the_ejection_fraction_is_that_of_the_masks(made):
    for about in made.patients.itertuples():
        found = measured(made, made.reference[about.Index])
        ejected = rl.masks.ejection_fraction(found, ed=about.ed, es=about.es)
        assert 100 * ejected == pytest.approx(about.ef, abs=2.5)
        assert 25 < about.ef < 75


def test_references_keep_the_apical_rules(made):
    rules = rl.masks.rule_set("apical_12")
    frames = np.concatenate([*made.reference.values()])
    about = {"structures": made.structures, "spacing_mm": (1, 1)}
    values = np.stack([rl.masks.measure(one, rules, **about) for one in frames])
    assert rl.masks.keeps(values, rules).all()


def test_drawn_masks_differ_and_broken_frames_most(made):
    kinds = made.truth["broken"]
    assert set(kinds) > {""}
    assert set(kinds) <= {"", *BROKEN}
    wrong = {
        (patient, frame): (one != made.reference[patient][frame]).mean()
        for patient, frames in made.masks.items()
        for frame, one in enumerate(frames)
    }
    wrong = kinds.index.map(wrong).to_numpy()
    assert (wrong > 0).all()
    assert wrong[kinds == "moved"].min() > np.median(wrong[kinds == ""])


def test_without_errors_the_drawn_masks_are_the_reference():
    made = simulate_hearts(n_patients=1, n_frames=6, noise=0, broken=0)
    assert np.array_equal(made.masks["H0001"], made.reference["H0001"])


def test_a_patient_is_the_same_whatever_the_number(made):
    fewer = simulate_hearts(n_patients=1, n_frames=12, broken=0.5, random_state=3)
    assert np.array_equal(fewer.masks["H0001"], made.masks["H0001"])
    other = simulate_hearts(n_patients=1, n_frames=12, broken=0.5, random_state=4)
    assert not np.array_equal(other.masks["H0001"], made.masks["H0001"])


def test_hearts_are_written_as_a_cohort_with_a_case_a_frame(tmp_path):
    made = simulate_hearts(n_patients=2, n_frames=5)
    drawn = made.write(tmp_path / "drawn")
    true = made.write(tmp_path / "true", reference=True)
    assert len(drawn.cases) == 2 * 5 * 3
    assert drawn.cases["timepoint"].nunique() == 5
    compared = rl.compare_cohorts(drawn, true)
    assert compared.table["dice"].between(0.5, 1).all()
    assert made.write(tmp_path / "drawn").key == drawn.key
    scores = rl.masks.score(true, rules="apical_12")
    assert scores.quality["valid"].all()


def test_what_is_out_of_range_is_told_at_once():
    with pytest.raises(CohortError, match=r"n_frames is 2.*broken is 2"):
        simulate_hearts(n_frames=2, broken=2)


def test_one_heart_is_drawn_of_its_attributes():
    about = {
        "lv_area": 2600.0,
        "lv_base_width": 40.0,
        "lv_length": 78.0,
        "lv_orientation": 0.0,
        "myo_area": 1900.0,
        "epi_center_x": 64.0,
        "epi_center_y": 56.0,
    }
    labels = render_apical(about)
    assert np.array_equal(labels[:, 1:65], labels[:, 64:][:, ::-1][:, :64])
    assert (labels == 1).sum() == pytest.approx(2600, rel=0.01)
