"""The corrector: valid slices stay, others are mended or refused, with the reason."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.utils import estimator_checks  # noqa: E402

from radlatent.cohort import Cohort  # noqa: E402
from radlatent.cohort.labels import LabelMap, mask_files, read_label_map  # noqa: E402
from radlatent.errors import CohortError, SchemaError  # noqa: E402
from radlatent.imaging import Volume, write_volume  # noqa: E402
from radlatent.masks.correction.candidates import Proposal  # noqa: E402
from radlatent.masks.correction.corrector import MaskCorrector  # noqa: E402
from radlatent.masks.degradation.apply import degrade  # noqa: E402
from radlatent.masks.degradation.draws import degradation_mix  # noqa: E402
from radlatent.masks.overlap.dice import label_dice, slice_dice  # noqa: E402
from radlatent.masks.prior import shape_prior  # noqa: E402
from radlatent.masks.prior.shape_prior import ShapePrior  # noqa: E402
from radlatent.masks.rules.rules import broken_rules, rule_set  # noqa: E402

RULES = rule_set("short_axis_16")


@pytest.fixture
def masks(hearts_corrector):
    """Return the masks of the patients that nothing was fitted on."""
    return [
        replace(read_label_map(file.path, file.structures), name=file.place)
        for file in mask_files(hearts_corrector.rest)
    ]


@pytest.fixture
def bad(masks):
    """Return degraded masks of these patients."""
    drawn = degradation_mix(2 * len(masks), random_state=11)
    known = {"structures": masks[0].structures, "spacing_mm": masks[0].spacing_mm}
    return [
        mask.with_array(degrade(mask.array, each, **known))
        for mask, each in zip(masks * 2, drawn, strict=True)
    ]


def under(corrector, **changes):
    """Return the fitted corrector with other settings."""
    other = copy.copy(corrector)
    for name, value in changes.items():
        setattr(other, name, value)
    return other


def broken(mask, places=...):
    known = {"structures": mask.structures, "spacing_mm": mask.spacing_mm[1:]}
    return broken_rules(mask.array[places], RULES, **known)


class TestGated:
    def test_valid_slices_are_returned_to_the_bit(self, corrector, bad):
        n_valid = 0
        for mask in bad:
            found = corrector.correct(mask)
            for place, row in found.slices.iterrows():
                if row["decision"] == "corrected":
                    continue
                np.testing.assert_array_equal(
                    found.mask.array[place], mask.array[place]
                )
                assert row["kept_dice"] == 1
                assert row["n_broken_after"] == row["n_broken"]
                n_valid += row["decision"] == "valid"
            empty = np.setdiff1d(np.arange(len(mask.array)), found.slices.index)
            assert not found.mask.array[empty].any()
        assert n_valid >= 5

    def test_sound_masks_stay_as_they_are(self, corrector, masks):
        for mask in masks:
            found = corrector.correct(mask)
            np.testing.assert_array_equal(found.mask.array, mask.array)
            assert (found.slices["decision"] == "valid").all()
            assert (found.slices["reason"] == "breaks no rule").all()

    def test_every_decision_tells_the_truth_and_its_reason(self, corrector, bad):
        told = []
        for mask in bad:
            found = corrector.correct(mask)
            places = found.slices.index
            before, after = broken(mask, places), broken(found.mask, places)
            np.testing.assert_array_equal(found.slices["n_broken"], before.sum(axis=1))
            np.testing.assert_array_equal(
                found.slices["n_broken_after"], after.sum(axis=1)
            )
            names = [", ".join(np.array(RULES.names)[row]) for row in before]
            assert found.slices["broken"].tolist() == names
            assert (found.slices["reason"].str.len() > 0).all()
            valid = found.slices["decision"] == "valid"
            np.testing.assert_array_equal(valid, ~before.any(axis=1))
            told.append(found.slices)
        told = pd.concat(told)
        assert set(told["decision"]) <= {"valid", "corrected", "refused"}
        assert (told["decision"] == "corrected").sum() >= 5

    def test_corrected_slices_break_fewer_rules_and_stay_near(self, corrector, bad):
        for mask in bad:
            found = corrector.correct(mask)
            for place, row in found.slices.iterrows():
                if row["decision"] != "corrected":
                    continue
                assert row["n_broken_after"] < row["n_broken"]
                own = label_dice(found.mask.array[place], mask.array[place])
                assert row["kept_dice"] == own
                assert own >= corrector.least_dice_
                assert row["sure"] >= corrector.least_dice_
            held = found.slices.query("decision == 'refused' and sure == sure")
            assert (held["sure"] < corrector.least_dice_).all()
            assert found.slices.query("decision == 'valid'")["sure"].isna().all()

    def test_what_it_corrects_comes_closer_to_the_truth(self, corrector, masks, bad):
        values = list(masks[0].structures.values())
        gains = []
        for truth, mask in zip(masks * 2, bad, strict=True):
            found = corrector.correct(mask)
            for place in found.slices.index[found.slices["decision"] == "corrected"]:
                before = slice_dice(mask.array[place], truth.array[place], values)
                after = slice_dice(found.mask.array[place], truth.array[place], values)
                gains.append(after - before)
        # harmed slices are few, and the others win more than those lose
        assert np.mean(gains) > 0
        assert np.mean(np.array(gains) < -0.02) < 0.2

    def test_nothing_passes_where_no_dice_is_enough(self, corrector, bad):
        strict = under(corrector, least_dice_=1.01)
        refused = []
        for mask in bad:
            found = strict.correct(mask)
            np.testing.assert_array_equal(found.mask.array, mask.array)
            refused += found.slices.loc[
                found.slices["decision"] == "refused", "reason"
            ].tolist()
        assert "too far from the mask: Dice below 1.010" in refused
        assert "corrected" not in found.slices["decision"].tolist()

    def test_what_cannot_be_mended_is_refused(self, corrector, masks, monkeypatch):
        array = masks[0].array.copy()
        array[0][array[0] == 2] = 3
        mask = masks[0].with_array(array)
        monkeypatch.setattr(
            "radlatent.masks.correction.offers.mend",
            lambda plane, _, wrong, *__, **___: Proposal(
                plane, int(wrong.sum()), 1.0, 1.0
            ),
        )
        found = corrector.correct(mask)
        assert found.slices.loc[0, "decision"] == "refused"
        assert found.slices.loc[0, "reason"] == "no candidate breaks fewer rules"

    def test_what_reaches_out_of_the_frame_is_refused(self, corrector, masks):
        source = masks[0]
        array = np.zeros((3, 160, 64), np.uint8)
        array[:, 90:154] = source.array
        # a piece of a wall 200 mm away
        array[1, 2:12, 20:40] = source.structures["MYO"]
        mask = LabelMap(Volume(array, source.spacing_mm), source.structures)
        found = corrector.correct(mask)
        assert found.slices.loc[1, "decision"] == "refused"
        assert found.slices.loc[1, "reason"] == "reaches out of the canonical frame"
        assert found.plausibility.loc[1, "outside_share"] > 0.02
        np.testing.assert_array_equal(found.mask.array[1], array[1])
        assert found.slices.loc[[0, 2], "decision"].tolist() == ["valid", "valid"]

    def test_a_stray_island_does_not_move_the_frame(self, corrector, masks):
        source = masks[0]
        sound = np.zeros((3, 160, 64), np.uint8)
        sound[:, 90:154] = source.array
        array = sound.copy()
        array[1, 2:6, 20:24] = source.structures["MYO"]
        mask = LabelMap(Volume(array, source.spacing_mm), source.structures)
        found = corrector.correct(mask)
        assert found.slices.loc[1, "decision"] == "corrected"
        assert found.plausibility.loc[1, "outside_share"] == 0
        np.testing.assert_array_equal(found.mask.array, sound)

    def test_what_both_slices_beside_show_comes_back(self, corrector, masks):
        for value in (1, 2, 3):
            array = masks[0].array.copy()
            array[1][array[1] == value] = 0
            found = corrector.correct(masks[0].with_array(array))
            assert found.slices.loc[1, "decision"] == "corrected"
            assert "is brought back" in found.slices.loc[1, "reason"]
            assert label_dice(found.mask.array[1], masks[0].array[1]) > 0.9

    def test_a_slice_that_was_empty_comes_back_without_a_prediction(
        self, corrector, masks
    ):
        array = masks[0].array.copy()
        array[1] = 0
        found = corrector.correct(masks[0].with_array(array))
        row = found.slices.loc[1]
        assert found.slices.index.tolist() == [0, 1, 2]
        assert (row["decision"], row["n_broken"], row["kept_dice"]) == (
            "corrected",
            0,
            0,
        )
        assert np.isnan(row["predicted_dice"])
        assert not row["flagged"]
        assert found.plausibility.index.tolist() == [0, 2]
        assert label_dice(found.mask.array[1], masks[0].array[1]) > 0.8

    def test_no_more_than_a_share_is_corrected_where_it_promises(
        self, corrector, masks
    ):
        array = masks[0].array.copy()
        for plane in array:
            row, column = np.argwhere(plane == 3).mean(axis=0).round().astype(int)
            plane[row, column] = 0
        mask = masks[0].with_array(array)
        assert corrector.correct(mask).summary["corrected"] == 3
        few = under(corrector, setting_=replace(corrector.setting_, most=0.34))
        found = few.correct(mask)
        assert found.summary.to_dict() == {"refused": 2, "corrected": 1}
        refused = found.slices[found.slices["decision"] == "refused"]
        told = "more than 34% of the slices would be corrected"
        assert (refused["reason"] == told).all()

    def test_the_mask_that_enters_is_left_alone(self, corrector, bad):
        before = bad[0].array.copy()
        corrector.correct(bad[0])
        np.testing.assert_array_equal(bad[0].array, before)

    def test_is_deterministic(self, corrector, bad):
        one, two = corrector.correct(bad[1]), corrector.correct(bad[1])
        np.testing.assert_array_equal(one.mask.array, two.mask.array)
        pd.testing.assert_frame_equal(one.slices, two.slices)
        pd.testing.assert_frame_equal(one.plausibility, two.plausibility)

    def test_predicted_dice_is_of_the_mask_that_entered(self, corrector, bad):
        found = corrector.correct(bad[0])
        expected = corrector.predictor_.predict(found.plausibility)
        pd.testing.assert_frame_equal(found.slices[list(expected)], expected)

    @pytest.mark.parametrize("method", ["nearest", "nearest_drawn"])
    def test_methods_by_the_bank(self, corrector, bad, method, monkeypatch):
        given = []

        def redraw(mask, prior, encoded, rows, bank):
            given.append(bank)
            return shape_prior.redraw(mask, prior, encoded, rows, bank)

        monkeypatch.setattr("radlatent.masks.correction.corrector.redraw", redraw)
        found = under(corrector, method=method).correct(bad[0])
        assert len(given) == 1
        assert given[0] is corrector.bank_
        given.clear()
        corrector.correct(bad[0])
        # the own latent first, then the nearest valid one
        assert given[0] is None
        assert given[1] is corrector.bank_
        assert (found.slices["n_broken_after"] <= found.slices["n_broken"]).all()


class TestUngated:
    def test_every_slice_is_replaced_by_what_the_prior_decodes(self, corrector, masks):
        mask = masks[0]
        found = under(corrector, gated=False).correct(mask)
        assert (found.slices["decision"] == "corrected").all()
        assert (found.slices["reason"] == "there is no gate").all()
        assert (found.mask.array != mask.array).any(axis=(1, 2)).all()
        after = broken(found.mask, found.slices.index).sum(axis=1)
        np.testing.assert_array_equal(found.slices["n_broken_after"], after)
        kept = [
            label_dice(*pair) for pair in zip(found.mask.array, mask.array, strict=True)
        ]
        assert found.slices["kept_dice"].tolist() == kept
        assert min(kept) > 0.7

    def test_nearest_gives_masks_of_the_bank(self, corrector, masks):
        own = under(corrector, gated=False).correct(masks[0])
        other = under(corrector, gated=False, method="nearest").correct(masks[0])
        assert (own.mask.array != other.mask.array).any()


class TestMasks:
    def test_values_of_labels_do_not_count(self, corrector, bad):
        mask = bad[0]
        other = {"MYO": 30, "LV": 4, "RV": 250}
        table = np.zeros(4, np.uint8)
        table[[mask.structures[name] for name in other]] = list(other.values())
        relabeled = LabelMap(mask.volume.with_array(table[mask.array]), other)
        one, two = corrector.correct(mask), corrector.correct(relabeled)
        np.testing.assert_array_equal(table[one.mask.array], two.mask.array)
        pd.testing.assert_frame_equal(one.slices, two.slices)

    def test_other_names_are_refused(self, corrector, masks):
        named = replace(masks[0], structures={"RV": 1, "MYO": 2, "cavity": 3})
        with pytest.raises(SchemaError, match=r"has the structures .*'cavity'"):
            corrector.correct(named)

    def test_empty_structure(self, corrector, masks):
        array = masks[0].array.copy()
        array[array == 1] = 0
        found = corrector.correct(masks[0].with_array(array))
        # a mask without a right ventricle breaks no rule: apical slices look so
        assert (found.slices["decision"] == "valid").all()
        assert found.slices["predicted_dice"].between(0, 1).all()

    def test_one_slice(self, corrector, masks):
        array = masks[0].array[1:2].copy()
        rows = np.flatnonzero((array[0] == 3).any(axis=1))
        array[0, rows[len(rows) // 2]] = 0
        mask = LabelMap(Volume(array, masks[0].spacing_mm), masks[0].structures)
        found = corrector.correct(mask)
        assert found.slices.index.tolist() == [0]
        assert found.slices.loc[0, "decision"] == "corrected"
        assert np.isnan(found.plausibility.loc[0, "neighbor_dice"])
        assert found.mask.array.shape == array.shape

    @pytest.mark.parametrize("gated", [True, False])
    def test_empty_volume(self, corrector, masks, gated):
        empty = masks[0].with_array(np.zeros_like(masks[0].array))
        found = under(corrector, gated=gated).correct(empty)
        assert len(found.slices) == len(found.plausibility) == 0
        assert not found.mask.array.any()
        assert found.summary.empty

    def test_pixels_that_are_not_square(self, corrector, masks):
        mask = masks[0]
        array = np.repeat(mask.array, 2, axis=2)
        spacing = (mask.spacing_mm[0], mask.spacing_mm[1], mask.spacing_mm[2] / 2)
        rows = np.flatnonzero((array[1] == 3).any(axis=1))
        array[1, rows[len(rows) // 2]] = 0
        wide = LabelMap(Volume(array, spacing), mask.structures)
        found = corrector.correct(wide)
        assert found.slices.loc[1, "decision"] == "corrected"
        truth = np.repeat(mask.array, 2, axis=2)[1]
        assert label_dice(found.mask.array[1], truth) > label_dice(array[1], truth)

    def test_floats_that_are_whole(self, corrector, bad):
        array = bad[0].array.astype(np.float32)
        mask = LabelMap(Volume(array, bad[0].spacing_mm), bad[0].structures)
        found = corrector.correct(mask)
        np.testing.assert_array_equal(
            found.mask.array, corrector.correct(bad[0]).mask.array
        )


class TestFit:
    def test_gate_and_prior_are_fitted_on_different_patients(self, hearts_corrector):
        corrector = hearts_corrector.corrector
        own = set(corrector.predictor_.calibration_["patient_id"])
        assert own.isdisjoint(corrector.prior_.fitted_on_)
        assert own | set(corrector.prior_.fitted_on_) == set(hearts_corrector.fitted)
        assert len(own) == round(0.35 * 56)
        assert corrector.fitted_on_ == {
            "cohort": "hearts",
            "patients": sorted(hearts_corrector.fitted),
        }

    def test_bank_is_of_valid_latents(self, corrector):
        n = round(corrector.valid_share_ * len(corrector.prior_.latents_))
        assert len(corrector.bank_) == n > 50

    def test_masks_of_other_patients_change_nothing(
        self, hearts_corrector, fit_hearts, tmp_path, drawn, rng
    ):
        """Fitted again, with other masks of the patients that are left out."""
        copied = tmp_path / "hearts"
        drawn.write_hearts(copied, 60, np.random.default_rng(6))
        for name in sorted(set(hearts_corrector.rest.cases["mask"])):
            labels = drawn.draw_heart(rng)[::-1]
            write_volume(Volume(labels.copy(), drawn.SPACING_MM), copied / name)
        one = hearts_corrector.corrector
        two = fit_hearts(Cohort.read(copied), hearts_corrector.fitted)
        assert two.least_dice_ == one.least_dice_
        assert two.valid_share_ == one.valid_share_
        np.testing.assert_array_equal(two.bank_, one.bank_)
        assert two.prior_.bandwidth_ == one.prior_.bandwidth_
        states = (each.prior_.model_.state_dict() for each in (one, two))
        assert all(map(torch.equal, *(state.values() for state in states)))
        pd.testing.assert_frame_equal(
            two.predictor_.calibration_, one.predictor_.calibration_
        )
        assert two.predictor_.threshold_ == one.predictor_.threshold_


class TestContract:
    @pytest.mark.parametrize(
        "check",
        [
            estimator_checks.check_no_attributes_set_in_init,
            estimator_checks.check_get_params_invariance,
            estimator_checks.check_set_params,
            estimator_checks.check_estimator_repr,
            estimator_checks.check_estimator_cloneable,
            estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
        ],
        ids=lambda check: check.__name__,
    )
    @pytest.mark.parametrize("estimator", [MaskCorrector(), ShapePrior()])
    def test_checks_of_scikit_learn(self, check, estimator):
        check(type(estimator).__name__, estimator)

    def test_clone_has_the_settings_and_is_not_fitted(self, corrector, masks):
        twin = clone(under(corrector, method="nearest", n_draws=7))
        assert (twin.method, twin.n_draws) == ("nearest", 7)
        assert twin.get_params()["prior__n_latent"] == 8
        with pytest.raises(NotFittedError):
            twin.correct(masks[0])
        with pytest.raises(NotFittedError):
            twin.save("nowhere")


class TestRefused:
    @pytest.fixture(autouse=True)
    def no_training(self, monkeypatch):
        """Fail where a prior is trained: what is refused is refused before."""

        def fit(*_, **__):
            raise AssertionError("a prior was trained")

        monkeypatch.setattr(ShapePrior, "fit", fit)

    def test_unknown_method(self, hearts):
        with pytest.raises(
            SchemaError, match=r"method is 'nearst'; did you mean 'nearest'"
        ):
            MaskCorrector(method="nearst").fit(hearts.cohort)

    def test_unknown_rules(self, hearts):
        with pytest.raises(SchemaError, match="there is no rule set 'short_axis'"):
            MaskCorrector(rules="short_axis").fit(hearts.cohort)

    def test_rules_of_volumes(self, hearts):
        with pytest.raises(SchemaError, match="rules 'lesion' are of volumes"):
            MaskCorrector(rules="lesion").fit(hearts.cohort)

    def test_rules_whose_structures_the_cohort_lacks(self, hearts):
        with pytest.raises(SchemaError, match=r"without the structures \['LA'\]"):
            MaskCorrector(rules="apical_12").fit(hearts.cohort)

    def test_too_few_patients(self, hearts):
        cohort, patients = hearts.cohort, hearts.fitted[:40]
        with pytest.raises(CohortError, match=r"of 40 patients, 14 would be left"):
            MaskCorrector().fit(cohort, patients=patients)
        with pytest.raises(AssertionError, match="was trained"):
            MaskCorrector(calibration_fraction=0.5).fit(cohort, patients=patients)

    def test_too_few_patients_beside_those_of_a_fitted_prior(self, hearts_corrector):
        corrector = hearts_corrector.corrector
        own = corrector.prior_.fitted_on_
        others = sorted(set(hearts_corrector.fitted).difference(own))
        patients = [*own, *others[:18]]
        with pytest.raises(CohortError, match=r"18 would be left to set the gate on"):
            MaskCorrector(corrector.prior_).fit(
                hearts_corrector.cohort, patients=patients
            )

    def test_patients_that_are_not_there(self, hearts):
        with pytest.raises(CohortError, match=r"no masks of the patients \['p99'\]"):
            MaskCorrector().fit(hearts.cohort, patients=["p00", "p99"])

    def test_modality_that_is_not_there(self, hearts):
        with pytest.raises(SchemaError, match="modality is 'ct'"):
            MaskCorrector().fit(hearts.cohort, modality="ct")
