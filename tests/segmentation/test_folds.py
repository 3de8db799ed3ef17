"""A network a fold: each patient's masks are by one that has not seen the patient."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("monai")

from radlatent.cohort import Cohort
from radlatent.cohort.labels import mask_files, read_label_map
from radlatent.errors import RadlatentError, SchemaError
from radlatent.imaging import read_volume
from radlatent.segmentation.folds import fit_folds
from radlatent.segmentation.segmenter import Segmenter, load_segmenter


@pytest.fixture(scope="module")
def found(small, hearts, tmp_path_factory):
    out = tmp_path_factory.mktemp("folded") / "out"
    return fit_folds(hearts, small(), 2, out=out)


def folder_of(found):
    return Path(found.cohort.cases["mask"].iloc[0]).parents[1]


def test_no_network_has_seen_whom_it_draws(found, hearts):
    for fold, segmenter in found.segmenters.items():
        drawn = set(found.folds.loc[found.folds["fold"] == fold, "patient_id"])
        assert len(drawn) == 2
        assert drawn.isdisjoint(segmenter.fitted_on_["patients"])
        assert drawn | set(segmenter.fitted_on_["patients"]) == set(
            hearts.cases["patient_id"]
        )


def test_each_mask_is_by_the_network_of_its_fold(found, hearts):
    fold_of = found.folds.set_index("patient_id")["fold"]
    for file in mask_files(found.cohort):
        segmenter = found.segmenters[fold_of[file.patient_id]]
        image = read_volume(hearts.files(f"{file.patient_id}_LV", "mr")[0])
        mask = read_label_map(file.path, file.structures)
        np.testing.assert_array_equal(mask.array, segmenter.segment(image).array)


def test_card_tells_every_fit_and_whose_masks_it_drew(found):
    [step] = found.cohort.card.derived
    assert len(step.made_by.fitted_on) == 2
    for fit in step.made_by.fitted_on:
        assert set(fit.patients).isdisjoint(fit.applied_to)
        assert len(fit.applied_to) == 2
    assert not found.cohort.located["in_sample"].any()
    assert len(found.cohort.masks_fitted_on) == 4


def test_folder_holds_masks_folds_and_networks(found):
    folder = folder_of(found)
    assert Cohort.read(folder).key == found.cohort.key
    folds = pd.read_csv(folder / "folds.csv")
    assert folds.columns.tolist() == ["patient_id", "repeat", "fold"]
    loaded = load_segmenter(folder / "fold_1")
    assert loaded.fitted_on_ == found.segmenters[1].fitted_on_
    assert found.summary["epochs"].tolist() == [2, 2]
    assert set(found.history["fold"]) == {0, 1}


def test_killed_run_goes_on_fold_by_fold(small, hearts, found, tmp_path, monkeypatch):
    fitted, original = [], Segmenter.fit_chosen

    def fit(self, chosen, **kwargs):
        fitted.append(chosen.patients)
        if len(fitted) == 2:
            raise KeyboardInterrupt
        return original(self, chosen, **kwargs)

    monkeypatch.setattr(Segmenter, "fit_chosen", fit)
    with pytest.raises(KeyboardInterrupt):
        fit_folds(hearts, small(), 2, out=tmp_path / "out", jobs=1)
    again = fit_folds(hearts, small(), 2, out=tmp_path / "out", jobs=1)
    # the first fold was kept, the second was begun twice
    assert [fitted[k] for k in (0, 1)] == [fitted[0], fitted[2]]
    assert len(fitted) == 3
    assert again.cohort.card.derived[0].masks == found.cohort.card.derived[0].masks


def test_given_folds_are_kept(small, hearts, tmp_path):
    folds = pd.DataFrame(
        {"patient_id": ["p03", "p01", "p00", "p02"], "repeat": 0, "fold": [0, 0, 1, 1]}
    )
    found = fit_folds(hearts, small(), folds, out=tmp_path / "out", name="mine")
    assert found.segmenters[0].fitted_on_["patients"] == ["p00", "p02"]
    assert found.cohort.name == "mine"


def test_folds_that_cannot_be(small, hearts, tmp_path):
    for n in (1, 5):
        with pytest.raises(SchemaError, match="give 2 to 4"):
            fit_folds(hearts, small(), n, out=tmp_path / "out")
    folds = pd.DataFrame(
        {"patient_id": ["p00", "p01"] * 2, "repeat": [0, 0, 1, 1], "fold": [0, 1] * 2}
    )
    with pytest.raises(SchemaError, match=r"2 repeats.*2 patients have no fold"):
        fit_folds(hearts, small(), folds, out=tmp_path / "out")


def test_folder_of_other_settings_is_refused(small, hearts, found):
    with pytest.raises(RadlatentError, match="other settings or patients"):
        fit_folds(hearts, small(random_state=9), 2, out=folder_of(found), jobs=1)


@pytest.fixture
def rare(drawn, tmp_path, rng):
    """Return four hearts, of which only ``p03`` has a right ventricle."""

    def without(labels, number):
        return labels if number == 3 else np.where(labels == 1, 0, labels)

    folder = drawn.write_hearts(tmp_path / "rare", 4, rng, name="rare", change=without)
    return Cohort.read(folder)


def test_structure_that_a_fold_would_not_see_is_told_before_any_is_trained(
    small, rare, tmp_path
):
    folds = pd.DataFrame(
        {"patient_id": ["p00", "p01", "p02", "p03"], "repeat": 0, "fold": [0, 0, 1, 1]}
    )
    expected = r"'RV' is in no mask that fold 1 .* 1 of 4 masks, of p03"
    with pytest.raises(SchemaError, match=expected):
        fit_folds(rare, small(), folds, out=tmp_path / "out", jobs=1)
    assert not list((tmp_path / "out").rglob("segmenter.json"))


def test_mask_that_cannot_be_read_hides_no_structure_of_others(
    small, drawn, tmp_path, rng
):
    folder = drawn.write_hearts(tmp_path / "torn", 4, rng, name="torn")
    (folder / "p02_mask.nii.gz").write_bytes(b"nothing")
    found = fit_folds(Cohort.read(folder), small(), 2, out=tmp_path / "out", jobs=1)
    # it was left out of training, and its image was drawn nevertheless
    assert sorted(found.cohort.included["patient_id"].unique()) == [
        *("p00", "p01", "p02", "p03")
    ]
