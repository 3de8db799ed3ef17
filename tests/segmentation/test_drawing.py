"""Several networks that draw together, and images that have no masks yet."""

import logging

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("monai")

import radlatent as rl
from radlatent.cohort import Cohort
from radlatent.cohort.labels import mask_files, read_label_map
from radlatent.errors import LeakageError, SchemaError
from radlatent.imaging import read_volume
from radlatent.segmentation.drawing import SegmenterEnsemble
from radlatent.segmentation.patch import Patch
from radlatent.segmentation.segmenter import load_segmenter


@pytest.fixture(scope="module")
def two(small, hearts, others):
    """Return two segmenters of other patients, of two cohorts."""
    return [small().fit(hearts), small(random_state=1).fit(others)]


@pytest.fixture(scope="module")
def strangers(drawn, tmp_path_factory):
    """Return a cohort of two hearts that nobody has seen, ``r00`` and ``r01``."""
    folder = tmp_path_factory.mktemp("strangers") / "strangers"
    about = {"name": "strangers", "prefix": "r"}
    return Cohort.read(drawn.write_hearts(folder, 2, np.random.default_rng(7), **about))


@pytest.fixture
def bare(strangers, tmp_path):
    """Return the folder of the same images, a row each, without masks."""
    cases = strangers.cases.reset_index()[["patient_id", "image_mr"]].drop_duplicates()
    folder = tmp_path / "bare"
    folder.mkdir()
    cases.insert(0, "case_id", cases["patient_id"])
    cases.to_csv(folder / "cases.csv", index=False)
    card = (strangers.root / "cohort.yml").read_text("utf-8")
    card = card.replace("name: strangers", "name: bare")
    card = "\n".join(line for line in card.splitlines() if not line.startswith("root"))
    card += f"\nroot: {strangers.root.as_posix()}\nmasks: false\n"
    (folder / "cohort.yml").write_text(card, "utf-8")
    return folder


def image_of(cohort, case_id):
    return read_volume(cohort.files(case_id, "mr")[0])


def arrays(cohort):
    return {
        file.patient_id: read_label_map(file.path, file.structures).array
        for file in mask_files(cohort)
    }


class TestEnsemble:
    def test_probabilities_are_the_mean(self, two, strangers):
        image = image_of(strangers, "r00_LV")
        found = SegmenterEnsemble(two).predict_probabilities(image)
        each = [one.predict_probabilities(image) for one in two]
        for name in ("RV", "MYO", "LV"):
            mean = (each[0][name] + each[1][name]) / 2
            np.testing.assert_allclose(found[name], mean, rtol=1e-6)

    def test_masks_say_that_all_of_them_were_fitted(self, two, strangers, tmp_path):
        both = SegmenterEnsemble(two)
        found = both.predict(strangers, out=tmp_path / "out")
        assert found.name == "strangers_unet_x2"
        [step] = found.card.derived
        assert step.made_by.name == "Segmenter unet_x2"
        [fit] = step.made_by.fitted_on
        assert list(fit.patients) == ["p00", "p01", "p02", "p03", "q00", "q01"]
        image = image_of(strangers, "r01_LV")
        np.testing.assert_array_equal(arrays(found)["r01"], both.segment(image).array)

    def test_whoever_trained_one_of_them_is_refused(
        self, two, hearts, others, tmp_path
    ):
        for seen in (hearts, others):
            with pytest.raises(LeakageError, match="would get masks of a network"):
                SegmenterEnsemble(two).predict(seen, out=tmp_path / "out")

    def test_order_of_structures_may_differ(self, two, strangers):
        import copy

        turned = copy.copy(two[1])
        turned.structures_ = two[1].structures_[::-1]
        image = image_of(strangers, "r00_LV")
        found = SegmenterEnsemble([two[0], turned])
        assert found.structures_ == ["RV", "MYO", "LV"]
        mean = two[0].predict_probabilities(image)["RV"]
        mean = (mean + turned.predict_probabilities(image)["RV"]) / 2
        np.testing.assert_allclose(found.predict_probabilities(image)["RV"], mean)

    def test_others_are_refused(self, two, small):
        import copy

        with pytest.raises(SchemaError, match="there is none"):
            SegmenterEnsemble([])
        other = copy.copy(two[1])
        other.structures_ = ["RV", "MYO", "LA"]
        with pytest.raises(SchemaError, match=r"several structures.*'LA'"):
            SegmenterEnsemble([two[0], other])
        other = copy.copy(two[1])
        other.modality_ = "ct"
        with pytest.raises(SchemaError, match=r"several modalities: \['ct', 'mr'\]"):
            SegmenterEnsemble([two[0], other])
        with pytest.raises(ValueError, match="not fitted"):
            SegmenterEnsemble([two[0], small()])

    def test_another_member_is_another_network(self, two):
        from radlatent.segmentation.derive import _state_of

        keys = {_state_of(SegmenterEnsemble(each)) for each in (two, two[:1], two[1:])}
        assert len(keys) == 3
        assert _state_of(SegmenterEnsemble(two)) in keys


class TestLoad:
    def test_several_folders_draw_together(self, two, strangers, tmp_path):
        folders = [tmp_path / "a", tmp_path / "b"]
        for each, folder in zip(two, folders, strict=True):
            each.save(folder)
        found = load_segmenter(*folders)
        assert repr(found) == "SegmenterEnsemble(unet_x2, fitted on 6 patients)"
        image = image_of(strangers, "r00_LV")
        expected = SegmenterEnsemble(two).segment(image).array
        np.testing.assert_array_equal(found.segment(image).array, expected)

    def test_a_folder_of_folds_is_all_of_them(self, small, hearts, strangers, tmp_path):
        folded = rl.fit_folds(hearts, small(), 2, out=tmp_path / "out", jobs=1)
        found = load_segmenter(tmp_path / "out")
        assert found.fitted_on_["patients"] == ["p00", "p01", "p02", "p03"]
        image = image_of(strangers, "r00_LV")
        expected = folded.ensemble.segment(image).array
        np.testing.assert_array_equal(found.segment(image).array, expected)
        alone = load_segmenter(tmp_path / "out" / "fold_1")
        assert alone.fitted_on_ == folded.segmenters[1].fitted_on_

    def test_a_folder_of_nothing_is_told(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"segmenter\.json"):
            load_segmenter(tmp_path)


class TestImagesWithoutMasks:
    def test_masks_are_those_of_the_same_images_with_masks(
        self, segmenter, strangers, bare, tmp_path, caplog
    ):
        with caplog.at_level(logging.WARNING, "radlatent"):
            found = segmenter.predict(bare, out=tmp_path / "out")
        assert "of each of 2 images the network sees all of the image" in caplog.text
        plain = segmenter.predict(strangers, out=tmp_path / "plain")
        assert found.cases.index.tolist() == plain.cases.index.tolist()
        assert found.cases["mask_label"].tolist() == [1, 2, 3] * 2
        for patient, array in arrays(plain).items():
            np.testing.assert_array_equal(arrays(found)[patient], array)

    def test_folder_reads_back_and_has_features(self, segmenter, bare, tmp_path):
        found = segmenter.predict(bare, out=tmp_path / "out")
        again = Cohort.read(tmp_path / "out")
        assert again.key == found.key
        assert again.card.masks
        assert again.name == "bare_unet"
        shape = {"featureClass": {"shape": ["MeshVolume"]}}
        assert len(rl.extract(again, settings=shape).features) == 6

    def test_card_tells_where_it_looked(self, small, hearts, bare, tmp_path):
        patch = Patch((32, 32), (4.0, 4.0), field_mm=(128.0, 128.0))
        fitted = small(patch=patch).fit(hearts)
        found = fitted.predict(bare, out=tmp_path / "out")
        promise = found.card.derived[0].made_by.promise
        assert promise == "looked at: 128 x 128 mm about the middle of the image"

    def test_training_patients_are_refused(self, segmenter, bare, tmp_path):
        import copy

        other = copy.copy(segmenter)
        other.fitted_on_ = {"cohort": "bare", "patients": ["r01"]}
        with pytest.raises(LeakageError, match=r"1 patients .*\(r01\)"):
            other.predict(bare, out=tmp_path / "out")

    def test_a_broken_image_keeps_its_rows(self, segmenter, bare, tmp_path):
        cases = pd.read_csv(bare / "cases.csv")
        (Cohort.read(bare).root / "broken.nii.gz").write_bytes(b"nothing")
        row = {"case_id": "r02", "patient_id": "r02", "image_mr": "broken.nii.gz"}
        pd.concat([cases, pd.DataFrame([row])]).to_csv(bare / "cases.csv", index=False)
        found = segmenter.predict(bare, out=tmp_path / "out")
        excluded = found.cases[found.cases["exclude"]]
        assert excluded.index.tolist() == ["r02_RV", "r02_MYO", "r02_LV"]
        assert excluded["exclude_reason"].str.startswith("segmentation failed: ").all()

    def test_nothing_is_learned_from_them(self, small, bare, tmp_path):
        with pytest.raises(SchemaError, match="2 cases have an image but no mask"):
            small().fit(bare)
        with pytest.raises(SchemaError, match="2 cases have an image but no mask"):
            rl.fit_folds(bare, small(), 2, out=tmp_path / "out")
