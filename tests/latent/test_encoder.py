"""The encoder: the contract of scikit-learn, one seed one table, a resumed training."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils import estimator_checks  # noqa: E402

import radlatent as rl  # noqa: E402
from radlatent.errors import RadlatentError, SchemaError  # noqa: E402
from radlatent.features.origin import origins  # noqa: E402
from radlatent.latent.encoder import LatentEncoder, load_encoder  # noqa: E402
from radlatent.latent.inputs import Box, Projections  # noqa: E402
from radlatent.latent.network import Network  # noqa: E402
from radlatent.latent.prepared import hold_out  # noqa: E402
from radlatent.nn import Schedule, Training  # noqa: E402

BOX = Box(("ct",), size_mm=(8, 8, 8), spacing_mm=(1, 1, 1))
FILES = Box(("ct",), size_mm=(24, 24, 24), spacing_mm=(4, 4, 4))
SHORT = Training(epochs=2, minibatch_size=4)
NONE = {"validation_fraction": 0.0}


def encoder_of(inputs=BOX, **kwargs):
    defaults = {"n_latent": 2, "network": Network(width=2), "training": SHORT}
    return LatentEncoder(inputs, **(defaults | kwargs))


@pytest.fixture
def prepared(worlds):
    return worlds.blobs(10)


@pytest.fixture
def handcrafted(prepared, rng):
    index = prepared.cases.index
    return pd.DataFrame(rng.normal(5, 3, (10, 3)), index, ["hc__a", "hc__b", "hc__c"])


def latents(encoder, prepared):
    return encoder.encode_prepared(prepared).mean


class TestContract:
    # The checks of scikit-learn that need no arrays. All others of
    # parametrize_with_checks fit on random matrices, which are no images; what they
    # ask for is asked below.
    @pytest.mark.parametrize(
        "check",
        [
            estimator_checks.check_no_attributes_set_in_init,
            estimator_checks.check_get_params_invariance,
            estimator_checks.check_set_params,
            estimator_checks.check_estimator_repr,
            estimator_checks.check_estimator_cloneable,
            estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
            estimator_checks.check_mixin_order,
        ],
        ids=lambda check: check.__name__,
    )
    def test_checks_of_scikit_learn(self, check):
        check("LatentEncoder", encoder_of())

    def test_clone_is_unfitted_and_equal(self, prepared):
        encoder = encoder_of(beta=3.0).fit_prepared(prepared)
        twin = clone(encoder)
        assert twin.get_params() == encoder.get_params()
        assert not hasattr(twin, "model_")
        again = latents(twin.fit_prepared(prepared), prepared)
        pd.testing.assert_frame_equal(
            again, latents(encoder, prepared), check_exact=True
        )

    def test_parameters_are_set_by_name(self):
        encoder = encoder_of().set_params(beta=4.0, n_latent=3)
        assert (encoder.beta, encoder.n_latent) == (4.0, 3)
        assert len(encoder.get_feature_names_out()) == 3
        with pytest.raises(ValueError, match="Invalid parameter 'gamma'"):
            encoder.set_params(gamma=1)

    @pytest.mark.parametrize(
        "call",
        [
            lambda e, x: e.transform(x),
            lambda e, x: e.encode(x),
            lambda e, x: e.reconstruct(x),
            lambda e, x: e.traverse(),
            lambda e, x: e.save("never"),
        ],
        ids=["transform", "encode", "reconstruct", "traverse", "save"],
    )
    def test_nothing_works_before_fit(self, tiny_cohort, call):
        with pytest.raises(NotFittedError):
            call(encoder_of(FILES), tiny_cohort)

    def test_fit_returns_itself_and_forgets_the_last_fit(self, prepared, handcrafted):
        encoder = encoder_of(network=Network(width=2, classification_weight=1.0))
        y = pd.Series(["a", "b"] * 5, prepared.cases.index)
        assert encoder.fit_prepared(prepared, y, handcrafted) is encoder
        encoder.set_params(network=Network(width=2))
        encoder.fit_prepared(prepared.take(prepared.cases.index[:5]))
        assert encoder.scaling_ is None
        assert encoder.classes_ == []
        assert encoder.fitted_on_["patients"] == [f"p0{k}" for k in range(5)]
        fresh = encoder_of().fit_prepared(prepared.take(prepared.cases.index[:5]))
        pd.testing.assert_frame_equal(
            latents(encoder, prepared), latents(fresh, prepared), check_exact=True
        )

    def test_a_fit_that_fails_leaves_no_encoder_of_two_halves(self, prepared):
        encoder = encoder_of().fit_prepared(prepared)
        encoder.set_params(training=replace(SHORT, epochs=9, learning_rate=1e30))
        with pytest.raises(RadlatentError, match="diverged"):
            encoder.fit_prepared(prepared)
        with pytest.raises(NotFittedError):
            encoder.encode_prepared(prepared)

    def test_y_is_optional_and_not_looked_at_without_a_head(self, prepared):
        y = pd.Series(["a", "b"] * 5, prepared.cases.index)
        found = [
            latents(encoder_of().fit_prepared(prepared, v), prepared) for v in (None, y)
        ]
        pd.testing.assert_frame_equal(*found, check_exact=True)


class TestTable:
    @pytest.fixture
    def encoder(self, tiny_cohort):
        return encoder_of(FILES).fit(tiny_cohort)

    def test_is_a_features_table_of_named_columns(self, encoder, tiny_cohort):
        found = encoder.transform(tiny_cohort)
        assert list(found.columns) == ["ct_latent__mu000", "ct_latent__mu001"]
        assert list(encoder.get_feature_names_out()) == list(found.columns)
        assert list(found.index) == ["p1", "p2", "p3"]
        assert found.index.name == "case_id"
        assert (found.dtypes == np.float64).all()
        assert found.attrs["cohort"] == "tiny"
        patients = {"cohort": "tiny", "patients": ["p1", "p2", "p3"]}
        assert origins(found) == {"ct_latent": patients | {"encoded": "tiny"}}

    def test_rows_follow_the_table_given(self, encoder, tiny_cohort):
        cases = tiny_cohort.located
        found, turned = encoder.transform(cases), encoder.transform(cases[::-1])
        assert list(turned.index) == ["p3", "p2", "p1"]
        pd.testing.assert_frame_equal(turned[::-1], found, rtol=1e-5, atol=1e-6)
        alone = pd.concat(
            [encoder.transform(cases.loc[[name]]) for name in cases.index]
        )
        pd.testing.assert_frame_equal(alone, found, rtol=1e-5, atol=1e-6)
        assert found.nunique().min() == 3

    def test_a_case_that_cannot_be_read_is_a_row_of_nan(self, encoder, tiny_cohort):
        cases = tiny_cohort.located
        cases.loc["p2", "image_ct"] = None
        found = encoder.encode(cases)
        assert list(found.features.index) == ["p1", "p2", "p3"]
        assert found.features.isna().all(axis=1).tolist() == [False, True, False]
        assert found.failures["case_id"].tolist() == ["p2"]
        pd.testing.assert_frame_equal(encoder.transform(cases), found.features)
        assert found.summary["count"].tolist() == [2, 2]
        assert "3 cases, 2 features, 1 failures" in repr(found)

    def test_set_output_and_pipelines(self, encoder, tiny_cohort):
        plain = encoder.transform(tiny_cohort)
        framed = encoder.set_output(transform="pandas").transform(tiny_cohort.located)
        pd.testing.assert_frame_equal(framed, plain)
        pipe = make_pipeline(encoder_of(FILES), StandardScaler())
        scaled = pipe.set_output(transform="pandas").fit_transform(tiny_cohort.located)
        assert list(scaled.columns) == list(plain.columns)
        assert list(scaled.index) == list(plain.index)
        np.testing.assert_allclose(scaled.mean(), 0, atol=1e-6)

    def test_fit_transform_is_fit_then_transform(self, encoder, tiny_cohort):
        found = encoder_of(FILES).fit_transform(tiny_cohort)
        pd.testing.assert_frame_equal(found, encoder.transform(tiny_cohort))

    def test_other_masks_of_the_same_cases_are_raters(
        self, encoder, tiny_cohort, tmp_path
    ):
        masks = pd.DataFrame({"mask_ct": {"p1": tmp_path / "p1.nii.gz"}})
        masks.loc["p1", "mask_ct"].write_bytes(
            tiny_cohort.files("p2", "ct")[1].read_bytes()
        )
        made_by = {"name": "a reader"}
        other = tiny_cohort.with_masks(masks, name="other", made_by=made_by)
        found = encoder.encode_masks(tiny_cohort, [other])
        assert found["masks"].tolist() == ["tiny"] * 3 + ["other"] * 3
        by_masks = found.set_index("case_id").groupby("masks")
        first, second = (by_masks.get_group(name) for name in ("tiny", "other"))
        columns = list(encoder.get_feature_names_out())
        changed = (first[columns] != second[columns]).any(axis=1)
        assert changed.to_dict() == {"p1": True, "p2": False, "p3": False}
        ratings = rl.icc(found, rater="masks")
        assert set(ratings["n"]) == {3}
        with pytest.raises(SchemaError, match="a name of its own"):
            encoder.encode_masks(tiny_cohort, [tiny_cohort])

    def test_block_names_every_modality(self, tiny_cohort):
        both = Box(("ct", "pet"), (24, 24, 24), (4, 4, 4))
        found = encoder_of(both).fit_transform(tiny_cohort)
        assert list(found.columns) == ["ct_pet_latent__mu000", "ct_pet_latent__mu001"]

    def test_projections_are_encoded_too(self, tiny_cohort):
        inputs = Projections("pet", (64, 48), spacing_mm=4.0)
        encoder = encoder_of(inputs).fit(tiny_cohort)
        assert list(encoder.statistics_.index) == ["coronal", "sagittal"]
        assert encoder.transform(tiny_cohort).notna().all(axis=None)


class TestFitted:
    def test_statistics_do_not_depend_on_patients_left_out(
        self, worlds, prepared, handcrafted
    ):
        other = worlds.blobs(10)
        other.images[7:] += 1000
        some, told = prepared.cases.index[:7], handcrafted.copy()
        told.iloc[7:] *= 100
        first = encoder_of().fit_prepared(prepared.take(some), None, handcrafted)
        second = encoder_of().fit_prepared(other.take(some), None, told)
        pd.testing.assert_frame_equal(first.statistics_, second.statistics_)
        pd.testing.assert_frame_equal(first.scaling_, second.scaling_)
        pd.testing.assert_frame_equal(
            latents(first, prepared), latents(second, prepared), check_exact=True
        )

    def test_posterior_is_no_draw(self, prepared):
        encoder = encoder_of(network=Network(width=2, dropout=0.5)).fit_prepared(
            prepared
        )
        first, second = (encoder.encode_prepared(prepared) for _ in range(2))
        pd.testing.assert_frame_equal(first.mean, second.mean, check_exact=True)
        assert (first.log_variance.abs() < 10).all(axis=None)

    def test_validation_keeps_patients_together(self, prepared):
        patients = np.repeat(["p0", "p1", "p2", "p3", "p4"], 2)
        cases = prepared.cases.assign(patient_id=patients)
        paired = replace(prepared, cases=cases)
        training = replace(SHORT, validation_fraction=0.4)
        encoder = encoder_of(training=training).fit_prepared(paired)
        rows = encoder.history_.groupby("split").size()
        assert rows.to_dict() == {"train": 2, "validation": 2}
        parts = [set(part.cases["patient_id"]) for part in hold_out(paired, 0.4, 5)]
        assert [len(part) for part in parts] == [3, 2]
        assert parts[0].isdisjoint(parts[1])

    def test_validation_patients_are_in_no_statistic(self, prepared, handcrafted):
        training = replace(SHORT, validation_fraction=0.4)
        encoder = encoder_of(training=training)
        encoder.fit_prepared(prepared, None, handcrafted)
        seed = int(np.random.default_rng(encoder.random_state).integers(2**31))
        kept, out = hold_out(prepared, 0.4, seed)
        images = prepared.images.copy()
        images[prepared.cases.index.isin(out.cases.index)] *= 100
        other = handcrafted.copy()
        other.loc[out.cases.index] += 100
        changed = encoder_of(training=training)
        changed.fit_prepared(replace(prepared, images=images), None, other)
        pd.testing.assert_frame_equal(changed.statistics_, encoder.statistics_)
        pd.testing.assert_frame_equal(changed.scaling_, encoder.scaling_)
        quantiles = np.sort(handcrafted.loc[kept.cases.index], axis=0).T
        np.testing.assert_allclose(encoder.scaling_, quantiles)

    def test_many_patients_stop_where_those_kept_out_are_best(self, worlds):
        many, few = worlds.blobs(30), worlds.blobs(29)
        training = replace(SHORT, epochs=3)
        encoder = encoder_of(training=training).fit_prepared(many)
        losses = encoder.history_.query("split == 'validation'")["total"]
        assert len(losses) == 3
        assert encoder.best_epoch_ == losses.argmin()
        # 0.15 of 30
        assert encoder.explained_.cases["held_out"].sum() == 4
        assert len(encoder.fitted_on_["patients"]) == 30
        assert set(encoder.summary["held_out"]) == {False, True}
        for other, prepared in ((training, few), (replace(training, **NONE), many)):
            encoder = encoder_of(training=other).fit_prepared(prepared)
            assert set(encoder.history_["split"]) == {"train"}
            assert encoder.explained_.verdict.startswith("Not known")

    def test_one_that_learned_its_patients_only_is_told_after_fit(
        self, worlds, caplog, monkeypatch
    ):
        prepared = worlds.blobs(30)
        home = "radlatent.latent.encoder"
        monkeypatch.setattr(f"{home}.prepare_cases", lambda *_: prepared)
        monkeypatch.setattr(f"{home}.check_fit", lambda *_: None)
        encoder_of(training=replace(SHORT, epochs=1)).fit(prepared.cases)
        assert "No better than PCA on new patients" in caplog.text

    def test_the_decoder_is_told_how_lesions_were_scaled(self, prepared, handcrafted):
        scales = np.linspace(1, 3, 10)
        scaled = replace(prepared, scales=scales)
        encoder = encoder_of().fit_prepared(scaled, None, handcrafted)
        assert list(encoder.scaling_.index) == [*handcrafted, "box__log_scale"]
        told = encoder.told(scaled, handcrafted)
        assert (np.diff(told[:, -1]) > 0).all()
        # a box that fits is the smallest scale there was
        assert encoder.told(prepared, handcrafted)[:, -1] == pytest.approx(told[0, -1])
        errors = encoder.reconstruct_prepared(scaled, handcrafted).errors
        assert not np.allclose(
            errors, encoder.reconstruct_prepared(prepared, handcrafted).errors
        )
        plain = encoder_of().fit_prepared(prepared, None, handcrafted)
        assert list(plain.scaling_.index) == list(handcrafted)
        assert plain.told(scaled, handcrafted).shape == (10, 3)

    def test_lesions_count_alike_unless_voxels_shall(self, prepared):
        found = []
        for per_lesion in (True, False):
            network = Network(width=2, per_lesion=per_lesion)
            encoder = encoder_of(network=network).fit_prepared(prepared)
            found.append(encoder.history_["reconstruction"].iloc[0])
        assert found[0] != pytest.approx(found[1], rel=1e-3)

    def test_salient_latents_are_told_from_common_ones(self, prepared):
        network = Network(width=2, n_salient=1)
        y = pd.Series(["healthy", "tumor"] * 5, prepared.cases.index)
        encoder = encoder_of(network=network, n_latent=3).fit_prepared(prepared, y)
        found = latents(encoder, prepared)
        names = ["common000", "common001", "salient000"]
        assert list(found) == [f"{encoder.block}__{name}" for name in names]
        assert encoder.classes_ == ["healthy", "tumor"]
        assert {"kl_common", "kl_salient", "mutual_information"} <= set(
            encoder.history_
        )
        decoded = encoder.reconstruct_prepared(prepared).decoded
        assert decoded.shape == prepared.images.shape
        assert len(encoder.traverse(n_steps=3).images) == 3

    def test_salient_latents_need_two_classes_and_no_features(
        self, prepared, handcrafted
    ):
        network = Network(width=2, n_salient=2)
        three = pd.Series(list("abcab") * 2, prepared.cases.index)
        with pytest.raises(SchemaError) as caught:
            encoder_of(network=network, n_latent=2).fit_prepared(
                prepared, three, handcrafted
            )
        for part in ("give 1 to 1", "are both given", "takes background and target"):
            assert part in str(caught.value)

    def test_history_holds_the_parts_of_the_loss(self, prepared, handcrafted):
        encoder = encoder_of().fit_prepared(prepared, None, handcrafted)
        assert set(encoder.history_.columns) == {
            "epoch", "split", "total", "reconstruction", "kl", "mutual_information",
            "discriminator_loss", "discriminator_accuracy", "seconds",
        }  # fmt: skip
        assert len(encoder.history_) == 2

    def test_kappa_of_zero_has_no_discriminator(self, prepared, handcrafted):
        encoder = encoder_of(kappa=0.0).fit_prepared(prepared, None, handcrafted)
        assert "mutual_information" not in encoder.history_

    def test_reconstructions_and_their_errors(self, prepared, handcrafted):
        encoder = encoder_of().fit_prepared(prepared, None, handcrafted)
        found = encoder.reconstruct_prepared(prepared, handcrafted)
        assert found.originals.shape == found.decoded.shape == (10, 1, 8, 8, 8)
        wanted = [
            ((a - b)[m > 0].astype(float) ** 2).mean()
            for a, b, m in zip(found.originals, found.decoded, found.masks, strict=True)
        ]
        np.testing.assert_allclose(found.errors, wanted, rtol=1e-5)
        turned = encoder.reconstruct_prepared(
            prepared.take(prepared.cases.index[::-1]), handcrafted
        )
        np.testing.assert_allclose(turned.decoded[::-1], found.decoded, atol=1e-5)
        with pytest.raises(SchemaError, match="takes 3 hand-crafted features"):
            encoder.reconstruct_prepared(prepared)

    def test_decoder_that_sees_no_features_asks_for_none(self, prepared, handcrafted):
        network = Network(width=2, conditional=False)
        encoder = encoder_of(network=network).fit_prepared(prepared, None, handcrafted)
        found = [
            encoder.reconstruct_prepared(prepared, h).decoded
            for h in (None, handcrafted)
        ]
        np.testing.assert_array_equal(*found)

    @pytest.mark.parametrize("with_features", [False, True])
    def test_traversals_move_one_latent_at_a_time(
        self, prepared, handcrafted, with_features
    ):
        h = handcrafted if with_features else None
        encoder = encoder_of().fit_prepared(prepared, None, h)
        found = encoder.traverse(limit=2.0, n_steps=5)
        assert found.images.shape == (2, 5, 1, 8, 8, 8)
        assert found.steps.tolist() == [-2, -1, 0, 1, 2]
        # float32: ten images at once are summed in another order than one
        np.testing.assert_allclose(found.images[0, 2], found.images[1, 2], atol=1e-5)
        z = torch.tensor([[0.0, 2.0]])
        told = (torch.zeros(1, 3),) if with_features else ()
        with torch.no_grad():
            wanted = encoder.model_.decode(z, *told).numpy()
        np.testing.assert_allclose(found.images[1, 4], wanted[0], atol=1e-5)
        assert found.summary["change"].gt(0).all()

    def test_training_helps(self, worlds):
        prepared = worlds.blobs(24)
        errors = []
        for epochs in (1, 30):
            training = Training(epochs=epochs, minibatch_size=8, learning_rate=0.01)
            encoder = encoder_of(training=training).fit_prepared(prepared)
            errors.append(encoder.reconstruct_prepared(prepared).errors.mean())
        assert errors[1] < 0.9 * errors[0]


class TestClasses:
    NETWORK = Network(width=2, classification_weight=1e4)

    def test_order_and_missing_classes(self, prepared):
        y = pd.Series(
            ["b", "c", "a", None, "b", "c", "a", np.nan, "b", "a"], prepared.cases.index
        )
        encoder = encoder_of(network=self.NETWORK)
        encoder.fit_prepared(prepared, y[::-1])
        assert encoder.classes_ == ["a", "b", "c"]
        source = encoder._source(prepared, None, y[::-1])
        assert source.y.tolist() == [1, 2, 0, -1, 1, 2, 0, -1, 1, 0]
        assert "classification" in encoder.history_

    def test_classes_are_those_of_training_cases(self, prepared):
        y = pd.Series(["a", "b"] * 4 + ["z", "z"], prepared.cases.index)
        encoder = encoder_of(network=self.NETWORK)
        encoder.fit_prepared(prepared.take(prepared.cases.index[:8]), y)
        assert encoder.classes_ == ["a", "b"]

    def test_the_head_brings_classes_into_the_latents(self, worlds):
        prepared = worlds.blobs(30)
        level = pd.Series(
            [
                image[mask].mean()
                for image, mask in zip(prepared.images, prepared.masks, strict=True)
            ],
            prepared.cases.index,
        )
        y = (level > level.median()).map({True: "high", False: "low"})
        training = Training(epochs=40, minibatch_size=10, learning_rate=0.01)
        encoder = encoder_of(network=self.NETWORK, training=training)
        encoder.fit_prepared(prepared, y)
        losses = encoder.history_["classification"]
        assert losses.iloc[-1] < 0.5 * np.log(2) < losses.iloc[0]
        with torch.no_grad():
            z = torch.tensor(latents(encoder, prepared).to_numpy(np.float32))
            guess = encoder.model_.head(z).argmax(dim=1).numpy()
        assert (np.array(encoder.classes_)[guess] == y).mean() > 0.9


class TestDeterminism:
    def test_same_seed_same_table_other_seed_another(self, prepared, handcrafted):
        box = replace(BOX, rotation_degrees=20, shift_mm=1)
        tables = [
            latents(
                encoder_of(box, random_state=seed).fit_prepared(
                    prepared, None, handcrafted
                ),
                prepared,
            )
            for seed in (3, 3, 4)
        ]
        pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=True)
        assert not np.allclose(tables[0], tables[2])

    def test_generator_is_a_seed(self, prepared):
        tables = []
        for _ in range(2):
            encoder = encoder_of(random_state=np.random.default_rng(5))
            tables.append(latents(encoder.fit_prepared(prepared), prepared))
        pd.testing.assert_frame_equal(*tables, check_exact=True)

    def test_generators_of_the_caller_are_left_alone(self, tiny_cohort):
        before = torch.get_rng_state()
        encoder_of(FILES).fit(tiny_cohort).transform(tiny_cohort)
        assert torch.equal(before, torch.get_rng_state())

    def test_checkpoint_is_gone_at_the_end(self, prepared, tmp_path):
        path = tmp_path / "state"
        encoder = encoder_of().fit_prepared(prepared, checkpoint=path)
        assert not path.exists()
        plain = encoder_of().fit_prepared(prepared)
        pd.testing.assert_frame_equal(
            latents(encoder, prepared), latents(plain, prepared), check_exact=True
        )

    @pytest.mark.parametrize("change", ["seed", "h", "images", "cases", "beta", "y"])
    def test_checkpoint_of_another_training_is_refused(
        self, prepared, handcrafted, tmp_path, monkeypatch, change
    ):
        path = tmp_path / "state"
        network = Network(width=2, classification_weight=1.0)
        y = pd.Series(["a", "b"] * 5, prepared.cases.index)

        def attempt(*, seed=0, beta=1.0, h=handcrafted, cases=prepared, y=y):
            encoder = encoder_of(random_state=seed, beta=beta, network=network)
            return encoder.fit_prepared(cases, y, h, checkpoint=path)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", lambda *args, **kwargs: None)
            attempt()
        assert path.exists()
        images = replace(prepared, images=prepared.images * 2)
        changed = {
            "seed": {"seed": 1},
            "beta": {"beta": 2.0},
            "h": {"h": handcrafted * 2},
            "images": {"cases": images},
            "cases": {"cases": prepared.take(prepared.cases.index[:9])},
            "y": {"y": y[::-1].set_axis(y.index)},
        }
        with pytest.raises(SchemaError, match="checkpoint of another training"):
            attempt(**changed[change])
        attempt()


class TestRefusals:
    def test_everything_is_told_at_once(self, tiny_cohort):
        box = Box(("ct", "mr"), (-1, 2, 3), (1, 1, 1))
        training = Training(epochs=0, schedule=Schedule("phrases"))
        h = pd.DataFrame(
            {"hc__a": [1.0, 1, 1], "hc__b": [1, np.nan, 2]}, ["p1", "p2", "p3"]
        ).rename_axis("case_id")
        encoder = encoder_of(box, n_latent=3, beta=-1.0, training=training)
        with pytest.raises(SchemaError) as caught:
            encoder.fit(tiny_cohort, handcrafted=h)
        for part in (
            "n_latent is 3 with 3 training patients", "beta is -1.0",
            "size_mm is [-1.0",
            "no column 'image_mr'", "epochs is 0", "kind is 'phrases'",
            "constant in the 3 training cases: ['hc__a']", "1 missing values",
        ):  # fmt: skip
            assert part in str(caught.value)

    def test_x_that_is_no_table(self):
        with pytest.raises(SchemaError, match="X is a ndarray; give a Cohort"):
            encoder_of().fit(np.zeros((3, 4)))

    def test_cases_lost_in_preparation_are_counted(self, tiny_cohort):
        cases = tiny_cohort.located
        cases.loc["p2", "image_ct"] = None
        with pytest.raises(SchemaError, match="n_latent is 2 with 2 training patients"):
            encoder_of(FILES).fit(cases)


SCRIPT = """
import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, {folder!r})
from conftest import blobs
from test_encoder import LONG, long_encoder, long_features

out = Path(sys.argv[1])
children = []
for kind in LONG:
    child = os.fork()
    if not child:
        prepared = blobs(12)
        encoder = long_encoder(kind)
        h = None if kind == "vae" else long_features(prepared)
        encoder.fit_prepared(prepared, None, h, checkpoint=out / f"{{kind}}.state")
        encoder.save(out / kind)
        table = encoder.encode_prepared(prepared).mean
        np.save(out / f"{{kind}}.npy", table.to_numpy())
        os._exit(0)
    children.append(child)
    print(kind, child, flush=True)
for child in children:
    os.waitpid(child, 0)
"""

LONG = ("vae", "phases", "steps", "stopping")
EPOCHS = 60


def long_encoder(kind):
    """Return an encoder that trains long enough to be killed in the middle."""
    schedule = Schedule("steps" if kind == "steps" else "phases", 10, 5)
    training = Training(epochs=EPOCHS, minibatch_size=6, schedule=schedule)
    if kind == "stopping":
        training = replace(training, validation_fraction=0.3, patience=EPOCHS - 5)
    box = replace(BOX, rotation_degrees=10)
    network = Network(width=2, dropout=0.1)
    return LatentEncoder(
        box, n_latent=2, network=network, training=training, random_state=7
    )


def long_features(prepared):
    """Return hand-crafted features of prepared cases."""
    values = np.random.default_rng(1).normal(size=(len(prepared), 3))
    return pd.DataFrame(values, prepared.cases.index, ["hc__a", "hc__b", "hc__c"])


def start(tmp_path, out):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(folder=str(Path(__file__).parent)))
    out.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, str(script), str(out)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def epoch_of(path):
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["numbers"])["epoch"]


@pytest.mark.long
def test_killed_trainings_go_on_to_the_same_and_files_work_in_a_new_process(
    tmp_path, worlds
):
    out = tmp_path / "killed"
    killed = start(tmp_path, out)
    with killed.stdout:
        waiting = dict(killed.stdout.readline().split() for _ in LONG)
    while waiting:
        # one that ended by itself was not killed; no limit, a machine may be slow
        assert killed.poll() is None
        for kind in list(waiting):
            path = out / f"{kind}.state"
            # written anew: not only the state after the first epoch
            if path.exists() and epoch_of(path) > 4:
                os.kill(int(waiting.pop(kind)), signal.SIGKILL)
        time.sleep(0.005)
    assert killed.wait() == 0
    for kind in LONG:
        assert 4 < epoch_of(out / f"{kind}.state") < EPOCHS
        assert not (out / kind).exists()
    resumed = start(tmp_path, out)
    resumed.communicate()
    assert resumed.returncode == 0
    prepared = worlds.blobs(12)
    for kind in LONG:
        assert not (out / f"{kind}.state").exists()
        features = None if kind == "vae" else long_features(prepared)
        whole = long_encoder(kind).fit_prepared(prepared, None, features)
        loaded = load_encoder(out / kind)
        # trained in three processes and in one: the same to the last bit
        for name, tensor in whole.model_.state_dict().items():
            assert torch.equal(tensor, loaded.model_.state_dict()[name]), (kind, name)
        pd.testing.assert_frame_equal(
            loaded.history_.drop(columns="seconds"),
            whole.history_.drop(columns="seconds"),
            check_exact=True,
        )
        there = np.load(out / f"{kind}.npy")
        np.testing.assert_array_equal(latents(whole, prepared), there)
        np.testing.assert_allclose(latents(loaded, prepared), there, atol=1e-6)


DEVICES = """
import os
import sys
from pathlib import Path

sys.path.insert(0, {folder!r})
from conftest import blobs
from test_encoder import encoder_of, long_features

prepared = blobs(12)
encoder = encoder_of().fit_prepared(prepared, None, long_features(prepared))
encoder.save(Path(sys.argv[1]) / os.environ["LOCAL_RANK"])
"""


@pytest.mark.long
def test_fit_under_fabric_run(tmp_path, worlds, free_port):
    script = tmp_path / "script.py"
    script.write_text(DEVICES.format(folder=str(Path(__file__).parent)))
    command = [sys.executable, "-m", "lightning.fabric.cli", "--accelerator=cpu"]
    command += ["--devices=2", "--strategy=ddp", f"--main-port={free_port}"]
    run = subprocess.run(
        [*command, str(script), str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, re.sub(r"\n\s+", "\n", run.stderr)[-3000:]
    prepared = worlds.blobs(12)
    first, second = (load_encoder(tmp_path / rank) for rank in "01")
    pd.testing.assert_frame_equal(
        latents(first, prepared), latents(second, prepared), check_exact=True
    )
    pd.testing.assert_series_equal(first.history_["total"], second.history_["total"])
