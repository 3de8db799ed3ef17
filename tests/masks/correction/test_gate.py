"""The gate: how near a correction has to stay so that few come to harm."""

import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from radlatent.errors import CohortError
from radlatent.masks.correction import gate


class TestLeastDice:
    """One of 100 slices may come to harm: of 300 three, of 99 none."""

    KEPT = np.array([0.80, 0.95, 0.70, 0.90, 0.75, 0.85])
    BEFORE = np.full(6, 0.9)

    def harmed(self, *kept):
        return np.where(np.isin(self.KEPT, kept), 0.5, 0.95)

    def test_is_the_lowest_with_few_enough_harmed_above_it(self):
        after = self.harmed(0.90, 0.85, 0.80, 0.75)
        assert gate.least_dice(self.KEPT, self.BEFORE, after, 300) == 0.80
        assert gate.least_dice(self.KEPT, self.BEFORE, after, 99) == 0.95

    def test_is_the_lowest_of_all_where_no_harm_is_done(self):
        after = self.harmed()
        assert gate.least_dice(self.KEPT, self.BEFORE, after, 10) == 0.70

    def test_a_proposal_after_the_last_harmed_counts_again(self):
        after = self.harmed(0.95, 0.75)
        assert gate.least_dice(self.KEPT, self.BEFORE, after, 100) == 0.80
        assert gate.least_dice(self.KEPT, self.BEFORE, after, 200) == 0.70

    def test_equal_proposals_pass_together_or_not_at_all(self):
        kept = np.array([0.95, 0.90, 0.90, 0.90])
        before = np.full(4, 0.9)
        after = before - [0, 0, 0.1, 0.1]
        assert gate.least_dice(kept, before, after, 100) == 0.95
        assert gate.least_dice(kept, before, after, 200) == 0.90

    def test_nothing_passes_where_even_the_nearest_harms(self):
        after = self.harmed(0.95)
        assert gate.least_dice(self.KEPT, self.BEFORE, after, 99) > 1

    def test_nothing_passes_where_nothing_was_proposed(self):
        empty = np.zeros(0)
        assert gate.least_dice(empty, empty, empty, 50) > 1

    def test_harm_begins_beyond_two_hundredths(self):
        kept, before = np.array([0.9]), np.array([0.75])
        for loss, passes in ((0.015, True), (0.025, False)):
            found = gate.least_dice(kept, before, before - loss, 10)
            assert (found == 0.9) == passes

    def test_slices_without_a_reference_count_as_unharmed(self):
        nothing = np.array([np.nan])
        assert gate.least_dice(np.array([0.9]), np.array([0.0]), nothing, 10) == 0.9


def masks_of(n_patients, n_slices=10, n_broken=2):
    """Return two masks of every patient."""
    return pd.DataFrame(
        {
            "patient": np.repeat([f"p{k:03d}" for k in range(n_patients)], 2),
            "n_slices": n_slices,
            "n_broken": n_broken,
        }
    )


def effects_of(*rows):
    """Return proposals (mask, kept, gain) for slices of Dice 0.8."""
    table = pd.DataFrame(rows, columns=["mask", "kept", "gain"])
    return table.assign(before=0.8, after=0.8 + table["gain"]).drop(columns="gain")


class TestRiskBound:
    @pytest.mark.parametrize("n", [1, 20, 149])
    def test_without_a_loss_it_is_that_of_clopper_and_pearson(self, n):
        expected = stats.beta.ppf(0.95, 1, n)
        assert gate.risk_bound(np.zeros(n), 0.95) == pytest.approx(expected)

    def test_grows_with_every_loss_and_falls_with_patients(self):
        def bound(*losses, n=100):
            return gate.risk_bound(np.pad(losses, (0, n - len(losses))), 0.95)

        assert bound() < bound(0.1) < bound(0.1, 0.1) < bound(0.5) < bound(0.999)
        assert bound(1.0) == bound(0.3, 1.0) == 1
        assert bound(0.1, n=200) < bound(0.1)
        assert gate.risk_bound(np.zeros(0), 0.95) == 1

    @pytest.mark.parametrize(("share", "size"), [(0.05, 0.5), (0.2, 0.2), (0.5, 0.1)])
    def test_is_too_low_in_at_most_five_of_a_hundred(self, share, size):
        random = np.random.default_rng(0)
        drawn = size * (random.random((4000, 40)) < share)
        bounds = np.array([gate.risk_bound(losses, 0.95) for losses in drawn])
        # three standard errors of 4000 draws
        assert (bounds < share * size).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4000)


class TestPromised:
    def test_without_harm_the_laxest_is_taken(self):
        effects = effects_of((0, 0.95, 0.1), (3, 0.6, 0.0))
        found = gate.promised(effects, masks_of(149), risk=0.005, confidence=0.95)
        assert found == (0.5, gate.MOST)

    def test_patients_are_counted_before_their_masks_are_seen(self):
        gate.check_promise(149, risk=0.005, confidence=0.95)
        gate.check_promise(1, risk=1, confidence=0.95)
        with pytest.raises(CohortError, match=r"148 .*at least 149.* 0\.006 or more"):
            gate.check_promise(148, risk=0.005, confidence=0.95)

    @pytest.mark.parametrize(("risk", "needed"), [(0.005, 149), (0.01, 74), (0.02, 36)])
    def test_too_few_patients_are_told_how_many_it_takes(self, risk, needed):
        nothing, known = effects_of(), {"risk": risk, "confidence": 0.95}
        gate.promised(nothing, masks_of(needed), **known)
        with pytest.raises(CohortError, match=rf"{needed - 1} patients.* {needed} wi"):
            gate.promised(nothing, masks_of(needed - 1), **known)

    def test_the_risk_that_it_offers_is_granted(self):
        known = {"effects": effects_of(), "masks": masks_of(20), "confidence": 0.95}
        with pytest.raises(CohortError, match=r"ask for a risk of 0\.035") as told:
            gate.promised(risk=0.005, **known)
        assert "or for no promise (a risk of 1)" in str(told.value)
        assert gate.promised(risk=0.035, **known) == (0.5, gate.MOST)

    def test_ends_before_the_first_that_harms_too_much(self):
        harmed = [(number, 0.805, -0.1) for number in (0, 2, 4, 6)]
        # what passes later on would not harm
        effects = effects_of((8, 0.9, 0.1), *harmed, (10, 0.7, 0.1))
        threshold, _ = gate.promised(effects, masks_of(80), risk=0.01, confidence=0.95)
        assert threshold == 0.81

    def test_harm_of_the_nearest_is_refused_at_once(self):
        effects = effects_of(*[(number, 1.0, -0.1) for number in range(0, 40, 2)])
        with pytest.raises(CohortError, match="20 have a slice that the strictest"):
            gate.promised(effects, masks_of(160), risk=0.005, confidence=0.95)

    def test_patients_count_and_not_their_masks(self):
        masks = masks_of(100)
        many = pd.concat([masks] * 4, ignore_index=True)
        for each in (masks, many):
            with pytest.raises(CohortError, match="100 patients"):
                gate.promised(effects_of(), each, risk=0.005, confidence=0.95)

    def test_masks_of_few_slices_have_no_share_of_them(self):
        with pytest.raises(CohortError, match=r"it takes 598 without any harm"):
            gate.promised(effects_of(), masks_of(149, 3), risk=0.005, confidence=0.95)


class TestHarmedShares:
    def test_counts_what_passes_by_patient(self):
        harmed = (0, 0.9, -0.1), (0, 0.8, -0.1), (2, 0.9, -0.1)
        effects = effects_of(*harmed, (1, 0.9, 0.1))
        masks = masks_of(2)
        found = [gate.harmed_shares(effects, masks, t, 1.0) for t in (0.85, 0.7)]
        np.testing.assert_allclose(found, [[0.05, 0.05], [0.1, 0.05]])

    def test_no_more_than_a_share_of_a_mask_is_corrected(self):
        effects = effects_of(*[(0, 0.9 - k / 100, -0.1) for k in range(6)])
        found = gate.harmed_shares(effects, masks_of(1), 0.5, gate.MOST)
        np.testing.assert_allclose(found, [2 / 20])


class TestNearestFew:
    def test_the_nearest_pass(self):
        kept = [0.7, 0.95, 0.8, 0.9, 0.4]
        for limit, expected in ((2.5, [1, 3]), (9, [0, 1, 2, 3]), (0.9, [])):
            assert np.flatnonzero(gate.nearest_few(kept, 0.5, limit)).tolist() == (
                expected
            )
        assert gate.nearest_few([], 0.5, 3).shape == (0,)


class TestSetting:
    def test_says_what_is_promised(self):
        effects = effects_of((0, 0.9, -0.1), (5, 0.9, 0.1))
        threshold, setting = gate.set_gate(effects, masks_of(80), risk=0.01)
        assert threshold == 0.5
        assert replace(setting, set_on="net").text == (
            "at most 1 % of slices lose more than 0.02 Dice, with 95 % confidence (set "
            "on 80 patients of net, where 1 of 1600 slices lost more than 0.02 Dice)"
        )

    def test_says_that_nothing_is_promised(self):
        assert "nothing is promised" in gate.Setting().text
        assert "drawn errors" in gate.Setting().text
        _, setting = gate.set_gate(effects_of((0, 0.9, 0.1)), masks_of(8), risk=1.0)
        told = replace(setting, set_on="net").text
        assert told.endswith(
            "0 of 160 slices lost more than 0.02 Dice; nothing is promised of others"
        )

    def test_is_not_laxer_than_its_floor(self):
        effects, masks = effects_of((0, 0.6, 0.1), (1, 0.8, -0.1)), masks_of(8)
        assert gate.set_gate(effects, masks, risk=1.0)[0] == 0.6
        threshold, setting = gate.set_gate(effects, masks, risk=1.0, floor=0.9)
        assert (threshold, setting.n_harmed) == (0.9, 0)

    def test_comes_back_from_json(self):
        _, setting = gate.set_gate(effects_of(), masks_of(80), risk=0.01)
        assert gate.Setting.of(json.loads(json.dumps(asdict(setting)))) == setting
        assert gate.Setting.of({}) == gate.Setting()


class TestShift:
    def test_is_told_with_an_interval(self):
        random = np.random.default_rng(0)
        there, here = random.beta(2, 18, 40), random.beta(4, 16, 30)
        found = gate.shift_between(here, there)
        expected = stats.ttest_ind(here, there, equal_var=False)
        interval = expected.confidence_interval(0.95)
        np.testing.assert_allclose([found["lower"], found["upper"]], interval)
        assert found["difference"] == here.mean() - there.mean()
        assert found["shifted"]
        assert not gate.shift_between(there[::2], there[1::2])["shifted"]

    def test_few_patients_tell_nothing(self):
        found = gate.shift_between([0.5] * 4, [0.0] * 40)
        assert np.isnan([found["lower"], found["upper"]]).all()
        assert not found["shifted"]
        assert not gate.shift_between([], [])["shifted"]

    def test_equal_shares(self):
        assert not gate.shift_between([0.0] * 9, [0.0] * 9)["shifted"]
        assert gate.shift_between([0.5] * 9, [0.0] * 9)["shifted"]


def test_what_passes_is_what_passes_in_each_mask(rng):
    masks = pd.DataFrame({"patient": ["a", "a", "b"], "n_slices": [9, 4, 8]})
    effects = pd.DataFrame({"mask": rng.permutation([0] * 7 + [1] * 3 + [2] * 5)})
    effects["kept"] = rng.choice([0.5, 0.7, 0.8, 0.9], len(effects))
    for threshold, most in ((0.6, 1.0), (0.6, 0.25), (0.85, 0.5), (0.4, 0.25)):
        found = gate.lets_pass(effects, masks, threshold, most)
        for mask, rows in effects.groupby("mask"):
            limit = most * masks.loc[mask, "n_slices"]
            wanted = gate.nearest_few(rows["kept"], threshold, limit)
            np.testing.assert_array_equal(found[rows.index], wanted)
