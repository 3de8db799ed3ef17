"""The gate: how near a correction has to stay so that few come to harm."""

import numpy as np
import pytest

pytest.importorskip("torch")

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
