"""The segmenter: draws what it learned, tells what is wrong before, is saved."""

import json
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("monai")

import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from radlatent.cohort import Cohort
from radlatent.errors import SchemaError
from radlatent.imaging import Volume, read_volume
from radlatent.nn import Training
from radlatent.segmentation.patch import Patch
from radlatent.segmentation.segmenter import Segmenter, load_segmenter

SHORT = Training(epochs=1, minibatch_size=6)


def image_of(cohort, case_id):
    return read_volume(cohort.files(case_id, "mr")[0])


def weights(segmenter):
    return {k: v.clone() for k, v in segmenter.model_.state_dict().items()}


def same(one, other):
    return all(torch.equal(value, other[key]) for key, value in one.items())


class TestFit:
    def test_draws_what_it_was_shown(self, segmenter, hearts, drawn):
        image = image_of(hearts, "p00_LV")
        mask = read_volume(hearts.files("p00_LV", "mr")[1])
        found = segmenter.segment(image)
        assert found.structures == drawn.STRUCTURES
        for label in (1, 3):
            both = ((found.array == label) & (mask.array == label)).sum()
            dice = (
                2 * both / ((found.array == label).sum() + (mask.array == label).sum())
            )
            # 90 steps; untrained it is below 0.3
            assert dice > 0.6

    def test_tells_what_it_was_fitted_on(self, segmenter):
        assert segmenter.fitted_on_ == {
            "cohort": "hearts",
            "patients": ["p00", "p01", "p02", "p03"],
        }
        assert segmenter.modality_ == "mr"
        assert segmenter.structures_ == ["RV", "MYO", "LV"]
        assert segmenter.history_["epoch"].tolist() == list(range(30))
        assert (
            segmenter.history_["total"].iloc[-1] < segmenter.history_["total"].iloc[0]
        )
        assert segmenter.failures_.empty

    def test_same_seed_same_weights(self, small, hearts):
        first, again, other = (
            small(training=SHORT, random_state=seed).fit(hearts) for seed in (1, 1, 2)
        )
        assert same(weights(first), weights(again))
        assert not same(weights(first), weights(other))

    def test_killed_training_goes_on_to_the_same_weights(
        self, small, hearts, tmp_path, monkeypatch
    ):
        whole = small().fit(hearts)
        path = tmp_path / "training.safetensors"
        from radlatent.nn.training import checkpoint

        monkeypatch.setattr(checkpoint, "_SHARE", np.inf)
        from radlatent.nn.training.fit import _Loop

        run = _Loop.run_epoch

        def killed(self, seed):
            if self.epoch == 1:
                raise KeyboardInterrupt
            run(self, seed)

        with monkeypatch.context() as patch:
            patch.setattr(_Loop, "run_epoch", killed)
            with pytest.raises(KeyboardInterrupt):
                small().fit(hearts, checkpoint=path)
        assert path.is_file()
        resumed = small().fit(hearts, checkpoint=path)
        assert not path.exists()
        assert same(weights(whole), weights(resumed))

    def test_validation_patients_are_watched(self, small, hearts):
        training = replace(SHORT, validation_fraction=0.25)
        found = small(training=training).fit(hearts)
        assert found.history_["split"].tolist() == ["train", "validation"]

    def test_chosen_patients_only(self, small, hearts):
        found = small(training=SHORT).fit(hearts, patients=["p01", "p03"])
        assert found.fitted_on_["patients"] == ["p01", "p03"]

    def test_neighbors_and_volumes(self, small, hearts):
        for name, patch in (
            ("unet", Patch((32, 32), (4.0, 4.0), neighbors=1)),
            ("unet3d", Patch((4, 32, 32), (8.0, 4.0, 4.0))),
        ):
            found = small(network=name, patch=patch, training=SHORT).fit(hearts)
            image = image_of(hearts, "p00_LV")
            assert found.segment(image).array.shape == image.shape

    def test_cut_structures_are_told_and_trained_on(self, small, hearts):
        patch = Patch((32, 32), (2.375, 2.375), (76.0, 76.0))
        found = small(patch=patch, training=SHORT).fit(hearts)
        told = found.failures_
        assert set(told["error"]) == {"StructureCut"}
        assert told["message"].str.startswith("outside of the field").all()


class TestProblems:
    def message(self, segmenter, cohort, **about):
        with pytest.raises(SchemaError) as caught:
            segmenter.fit(cohort, **about)
        assert not hasattr(segmenter, "model_")
        return str(caught.value)

    def test_are_told_all_at_once(self, small, hearts):
        patch = Patch((32, 32), (4.0, -4.0))
        segmenter = small(patch=patch, training=Training(epochs=0))
        found = self.message(segmenter, hearts, patients=["p00", "p09"])
        for text in ("p09", "1 training patients", "spacing_mm", "epochs is 0"):
            assert text in found, text

    def test_unknown_names(self, small, hearts):
        assert "'unet'" in self.message(small(network="unett"), hearts)
        assert "dice_cross_entropy" in self.message(
            small(loss="dice_crossentropy"), hearts
        )
        assert "weigth" in self.message(
            small(loss={"name": "dice_cross_entropy", "weigth": 2}), hearts
        )

    def test_size_that_the_network_cannot_halve(self, small, hearts):
        found = self.message(small(patch=Patch((30, 32), (4.0, 4.0))), hearts)
        assert "(32, 32)" in found

    def test_structure_absent_from_training(self, small, tmp_path, drawn, rng):
        def without_rv(labels, number):
            return np.where(labels == 1, 0, labels).astype(np.uint8)

        folder = drawn.write_hearts(tmp_path / "h", 2, rng, change=without_rv)
        found = self.message(small(), Cohort.read(folder))
        assert "structure 'RV' is in none of 2 images" in found

    def test_patch_smaller_than_the_organ(self, small, hearts):
        patch = Patch((32, 32), (0.5, 0.5))
        found = self.message(small(patch=patch), hearts)
        assert "patch of 16 x 16 mm is smaller than 'MYO'" in found

    def test_field_that_cuts_most_hearts(self, small, hearts):
        patch = Patch((32, 32), (2.0, 2.0), (40.0, 40.0))
        found = self.message(small(patch=patch), hearts)
        assert "lie outside of field_mm" in found

    def test_two_modalities_without_naming_one(self, small, tiny_cohort):
        found = self.message(small(), tiny_cohort)
        assert "Name the one whose masks are meant" in found

    def test_images_without_masks(self, small, hearts):
        cohort = replace(hearts, cases=hearts.cases.copy())
        cohort.cases.loc["p01_LV", "mask"] = None
        assert "1 cases have an image but no mask" in self.message(small(), cohort)

    def test_images_of_other_structures(self, small, hearts):
        cohort = replace(hearts, cases=hearts.cases.drop(index="p01_LV"))
        assert "images have other structures" in self.message(small(), cohort)

    def test_unreadable_images_are_left_out(self, small, tmp_path, drawn, rng, caplog):
        folder = drawn.write_hearts(tmp_path / "h", 3, rng)
        (folder / "p01_image.nii.gz").write_bytes(b"nothing")
        found = small(training=SHORT).fit(Cohort.read(folder))
        assert found.failures_["case_id"].tolist() == ["p01_RV", "p01_MYO", "p01_LV"]

    def test_unfitted_segmenter_draws_nothing(self, small, hearts, tmp_path):
        with pytest.raises(NotFittedError):
            small().segment(image_of(hearts, "p00_LV"))
        with pytest.raises(NotFittedError):
            small().predict(hearts, out=tmp_path / "out")


class TestSaved:
    def test_comes_back_and_draws_the_same(self, segmenter, others, tmp_path):
        segmenter.save(tmp_path / "saved")
        loaded = load_segmenter(tmp_path / "saved")
        assert loaded.get_params() == segmenter.get_params()
        for name in ("structures_", "modality_", "fitted_on_", "best_epoch_"):
            assert getattr(loaded, name) == getattr(segmenter, name), name
        pd.testing.assert_frame_equal(loaded.history_, segmenter.history_)
        image = image_of(others, "q00_LV")
        found = [one.predict_probabilities(image) for one in (segmenter, loaded)]
        for name in segmenter.structures_:
            np.testing.assert_array_equal(found[0][name], found[1][name])

    def test_loss_with_settings_comes_back(self, small, hearts, tmp_path):
        loss = {"name": "dice_cross_entropy"}
        small(loss=loss, training=SHORT).fit(hearts).save(tmp_path)
        assert load_segmenter(tmp_path).loss == loss

    def test_no_file_holds_code(self, segmenter, tmp_path):
        segmenter.save(tmp_path)
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == ["segmenter.json", "segmenter.safetensors"]
        json.loads((tmp_path / "segmenter.json").read_text("utf-8"))

    def test_of_something_else(self, segmenter, tmp_path):
        segmenter.save(tmp_path)
        record = json.loads((tmp_path / "segmenter.json").read_text("utf-8"))
        record["structures"] = ["LV"]
        (tmp_path / "segmenter.json").write_text(json.dumps(record), "utf-8")
        with pytest.raises(SchemaError, match="that can be rebuilt"):
            load_segmenter(tmp_path)


def test_probabilities_are_on_the_grid_of_the_image(segmenter, others, rng):
    image = image_of(others, "q00_LV")
    wide = Volume(
        rng.normal(100, 10, (2, 90, 50)).astype(np.float32), (8.0, 3.0, 1.5), (1, 2, 3)
    )
    for one in (image, wide):
        found = segmenter.predict_probabilities(one, flips=True)
        assert list(found) == ["RV", "MYO", "LV"]
        total = sum(found.values())
        assert total.shape == one.shape
        assert total.min() >= 0
        assert total.max() <= 1 + 1e-5


def test_settings_survive_a_clone(small):
    segmenter = small(loss={"name": "dice_cross_entropy"}, random_state=3)
    assert clone(segmenter).get_params() == segmenter.get_params()
    assert Segmenter().settings["training"].epochs == 30


def test_nothing_is_printed(small, hearts, capfd, caplog):
    with caplog.at_level(logging.WARNING):
        small(training=SHORT).fit(hearts)
    assert capfd.readouterr().out == ""


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_gpu_trains_and_draws_what_the_cpu_draws(small, hearts, precision):
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    training = Training(
        epochs=30,
        minibatch_size=4,
        learning_rate=1e-2,
        device="cuda",
        precision=precision,
    )
    fitted = small(training=training, width=8).fit(hearts)
    image = image_of(hearts, "p00_LV")
    there = fitted.predict_probabilities(image)["LV"]
    here = fitted.set_params(training=replace(training, device="cpu"))
    here = here.predict_probabilities(image)["LV"]
    # eight bits of mantissa in bfloat16, through some twenty layers
    np.testing.assert_allclose(
        there, here, atol=1e-3 if precision == "32-true" else 0.1
    )
    assert there.max() > 0.5
