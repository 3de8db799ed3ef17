"""Masks of a network as a derived cohort: files, card, resume, and whom it has seen."""

import hashlib
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("monai")

import radlatent as rl
from radlatent.cohort import Cohort
from radlatent.cohort.labels import mask_files, read_label_map
from radlatent.errors import CohortError, LeakageError, SchemaError
from radlatent.imaging import read_volume
from radlatent.segmentation import derive as module

SHAPE = {
    "imageType": {"Original": {}},
    "featureClass": {"shape": ["MeshVolume"], "firstorder": ["Mean"]},
}


def hashes(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).digest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def arrays(cohort):
    return {
        file.patient_id: read_label_map(file.path, file.structures).array
        for file in mask_files(cohort)
    }


@pytest.fixture(scope="module")
def derived(segmenter, others, tmp_path_factory):
    out = tmp_path_factory.mktemp("derived") / "out"
    return segmenter.predict(others, out=out)


class TestPredict:
    def test_writes_what_the_network_draws(self, derived, segmenter, others):
        for patient, array in arrays(derived).items():
            image = read_volume(others.files(f"{patient}_LV", "mr")[0])
            np.testing.assert_array_equal(array, segmenter.segment(image).array)
            assert set(np.unique(array)) <= {0, 1, 2, 3}

    def test_same_cases_other_masks(self, derived, others, tmp_path):
        assert derived.name == "others_unet"
        columns = ["image_mr", "mask_label", "lesion_id", "exclude"]
        pd.testing.assert_frame_equal(derived.cases[columns], others.cases[columns])
        places = [Path(p).name for p in derived.cases["mask"].unique()]
        assert places == ["00000_q00_mask.nii.gz", "00001_q01_mask.nii.gz"]

    def test_originals_are_untouched(self, segmenter, others, tmp_path):
        before = hashes(others.root)
        segmenter.predict(others, out=tmp_path / "out")
        assert hashes(others.root) == before

    def test_card_names_the_network_and_whom_it_was_fitted_on(self, derived, segmenter):
        [step] = derived.card.derived
        assert step.made_by.name == "Segmenter unet"
        assert len(step.made_by.key) == 64
        [fit] = step.made_by.fitted_on
        assert fit.cohort == "hearts"
        assert list(fit.patients) == segmenter.fitted_on_["patients"]
        assert list(fit.applied_to) == ["q00", "q01"]
        assert not derived.located["in_sample"].any()

    def test_folder_reads_back(self, derived):
        folder = Path(derived.cases["mask"].iloc[0]).parents[1]
        assert Cohort.read(folder).key == derived.key

    def test_labels_are_those_of_the_cohort_that_gets_the_masks(
        self, segmenter, others, tmp_path, drawn
    ):
        values = {"RV": 9, "MYO": 4, "LV": 7}
        folder = tmp_path / "relabeled"
        rng = np.random.default_rng(1)
        rename = np.zeros(4, np.uint8)
        for name, label in drawn.STRUCTURES.items():
            rename[label] = values[name]
        drawn.write_hearts(
            folder, 2, rng, name="relabeled", prefix="q", change=lambda x, _: rename[x]
        )
        cases = pd.read_csv(folder / "cases.csv")
        cases["mask_label"] = cases["lesion_id"].map(values)
        cases.to_csv(folder / "cases.csv", index=False)
        found = segmenter.predict(Cohort.read(folder), out=tmp_path / "out")
        plain = segmenter.predict(others, out=tmp_path / "plain")
        for patient, array in arrays(found).items():
            np.testing.assert_array_equal(array, rename[arrays(plain)[patient]])

    def test_probabilities_are_written_where_asked_for(
        self, segmenter, others, tmp_path
    ):
        segmenter.predict(others, out=tmp_path / "out", probabilities=True)
        folder = tmp_path / "out" / "probabilities"
        assert len(list(folder.iterdir())) == 6
        stored = read_volume(folder / "00001_q01_mask_LV.nii.gz")
        image = read_volume(others.files("q01_LV", "mr")[0])
        expected = segmenter.predict_probabilities(image)["LV"]
        np.testing.assert_allclose(stored.array, expected, atol=1e-6)


class TestResume:
    def test_finished_masks_are_not_drawn_again(
        self, segmenter, others, tmp_path, monkeypatch
    ):
        out, drawn = tmp_path / "out", []
        original = module.segment_file

        def counted(file, *rest):
            drawn.append(file.mask.patient_id)
            if drawn == ["q00", "q01"]:
                raise KeyboardInterrupt
            return original(file, *rest)

        monkeypatch.setattr(module, "segment_file", counted)
        with pytest.raises(KeyboardInterrupt):
            segmenter.predict(others, out=out, jobs=1)
        segmenter.predict(others, out=out, jobs=1)
        assert drawn == ["q00", "q01", "q01"]
        again = segmenter.predict(others, out=out, jobs=1)
        assert drawn == ["q00", "q01", "q01"]
        (out / "masks" / "00000_q00_mask.nii.gz").unlink()
        lost = segmenter.predict(others, out=out, jobs=1)
        assert drawn == ["q00", "q01", "q01", "q00"]
        assert lost.key == again.key

    def test_other_network_is_refused_the_folder(
        self, segmenter, small, hearts, others, tmp_path
    ):
        segmenter.predict(others, out=tmp_path / "out")
        other = small(random_state=5).fit(hearts)
        with pytest.raises(CohortError, match="of other masks"):
            other.predict(others, out=tmp_path / "out")


class TestFailures:
    @pytest.fixture
    def broken(self, tmp_path, drawn, rng):
        folder = drawn.write_hearts(tmp_path / "b", 3, rng, name="broken", prefix="b")
        (folder / "b01_image.nii.gz").write_bytes(b"nothing")
        return Cohort.read(folder)

    def test_keep_their_row_with_the_reason(self, segmenter, broken, tmp_path, caplog):
        with caplog.at_level(logging.WARNING, "radlatent"):
            found = segmenter.predict(broken, out=tmp_path / "out")
        assert "3 cases are excluded" in caplog.text
        assert len(found.cases) == 9
        excluded = found.cases[found.cases["exclude"]]
        assert excluded["patient_id"].tolist() == ["b01"] * 3
        assert excluded["exclude_reason"].str.startswith("segmentation failed: ").all()
        assert Cohort.read(tmp_path / "out").key == found.key

    def test_all_of_them(self, segmenter, broken, tmp_path):
        for number in (0, 2):
            path = broken.root / f"b0{number}_image.nii.gz"
            path.write_bytes(b"nothing")
        with pytest.raises(SchemaError, match="none of 3 images could be segmented"):
            segmenter.predict(broken, out=tmp_path / "out")

    def test_other_structures(self, segmenter, others, tmp_path):
        cases = others.cases.replace({"lesion_id": {"RV": "LA"}})
        cohort = Cohort(others.card, others.root, cases, others.patients)
        with pytest.raises(SchemaError, match=r"draws \['RV', 'MYO', 'LV'\].*'LA'"):
            segmenter.predict(cohort, out=tmp_path / "out")

    def test_other_modality(self, segmenter, tiny_cohort, tmp_path):
        with pytest.raises(SchemaError, match="modality is 'mr'"):
            segmenter.predict(tiny_cohort, out=tmp_path / "out")


class TestLeakage:
    def test_training_patients_are_refused(self, segmenter, hearts, tmp_path):
        with pytest.raises(LeakageError, match=r"4 patients .*\(p00, p01"):
            segmenter.predict(hearts, out=tmp_path / "out")
        assert not (tmp_path / "out" / "masks").exists()

    def test_one_training_patient_among_others(self, small, hearts, tmp_path):
        fitted = small().fit(hearts, patients=["p00", "p01"])
        with pytest.raises(LeakageError, match=r"2 patients .*\(p00, p01\)"):
            fitted.predict(hearts, out=tmp_path / "out")

    def test_allowed_ones_are_told_and_not_tested(self, small, hearts, tmp_path):
        fitted = small().fit(hearts, patients=["p00", "p01"])
        out = tmp_path / "out"
        found = fitted.predict(hearts, out=out, allow_training_patients=True)
        located = Cohort.read(out).located
        seen = located.query("in_sample")["patient_id"].unique().tolist()
        assert seen == found.masks_fitted_on == ["p00", "p01"]

    def test_masks_carry_it_into_features_and_models(
        self, segmenter, drawn, tmp_path, rng
    ):
        cohort = _with_outcome(drawn, tmp_path, rng)
        known = {"cohort": "cohort", "patients": ["p00", "p01"]}
        segmenter = _fitted_on(segmenter, known)
        folds = rl.make_folds(cohort.endpoint("group"), n_folds=2, n_repeats=1)
        told = segmenter.predict(
            cohort, out=tmp_path / "told", name="told", allow_training_patients=True
        )
        with pytest.raises(LeakageError, match=r"masks.*p00"):
            _validated(told, folds)
        other = _fitted_on(segmenter, {"cohort": "elsewhere", "patients": ["p00"]})
        fine = other.predict(cohort, out=tmp_path / "fine", name="fine")
        assert len(_validated(fine, folds).predictions) == 8


def _with_outcome(drawn, tmp_path, rng):
    """Return eight hearts of two groups."""
    folder = drawn.write_hearts(tmp_path / "cohort", 8, rng, name="cohort")
    card = (folder / "cohort.yml").read_text("utf-8")
    endpoints = "endpoints:\n  group: {kind: class, column: group}\n"
    (folder / "cohort.yml").write_text(card + endpoints, "utf-8")
    patients = [f"p{number:02d}" for number in range(8)]
    table = pd.DataFrame({"patient_id": patients, "group": ["a", "b"] * 4})
    table.to_csv(folder / "endpoints.csv", index=False)
    return Cohort.read(folder)


def _fitted_on(segmenter, known):
    """Return a copy of a segmenter that says that it was fitted on others."""
    import copy

    other = copy.copy(segmenter)
    other.fitted_on_ = known
    return other


def _validated(cohort, folds):
    features = rl.extract(cohort, settings=SHAPE).features
    table = rl.aggregate(features, cohort.located)
    return rl.cross_validate(rl.logistic(), table, cohort.endpoint("group"), folds)
