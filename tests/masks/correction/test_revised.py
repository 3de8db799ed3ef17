"""What a reviser says: structures come and go as probably as it is sure of them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

torch = pytest.importorskip("torch")

from radlatent.cohort import Cohort  # noqa: E402
from radlatent.cohort.labels import LabelMap  # noqa: E402
from radlatent.errors import LeakageError, SchemaError  # noqa: E402
from radlatent.imaging import Volume  # noqa: E402
from radlatent.masks.correction.candidates import Proposal  # noqa: E402
from radlatent.masks.correction.corrector import load_corrector  # noqa: E402
from radlatent.masks.correction.derive import correct  # noqa: E402
from radlatent.masks.correction.revised import (  # noqa: E402
    expected_dice,
    judged,
    revised_columns,
    revised_planes,
    revised_repairs,
)
from radlatent.masks.prior.frame import Frame  # noqa: E402
from radlatent.masks.revision.reviser import MaskReviser, Revision  # noqa: E402
from radlatent.nn import Training  # noqa: E402

NAMES = ["LV", "MYO", "RV"]
VALUES = {"LV": 3, "MYO": 2, "RV": 1}


@pytest.fixture
def truth(drawn, rng):
    """Return a heart of four slices below an empty one."""
    labels = np.pad(drawn.draw_heart(rng, n_slices=4), ((1, 0), (0, 0), (0, 0)))
    return LabelMap(Volume(labels, drawn.SPACING_MM), VALUES)


def revision_of(truth, present=0.97):
    """Return a revision that has the truth, in its own order of classes, surely."""
    labels = truth.array
    channels = [labels == value for value in (0, *(VALUES[n] for n in NAMES))]
    shares = torch.from_numpy(np.stack(channels, axis=1).astype(np.float32))
    there = {n: (labels == VALUES[n]).any(axis=(1, 2)) for n in NAMES}
    index = pd.Index(range(len(labels)), name="slice")
    table = pd.DataFrame(there, index)
    presence = table * present + ~table * (1 - present)
    return Revision(np.arange(len(labels)), labels, shares, presence)


def changed(truth, place, function):
    array = truth.array.copy()
    function(array[place])
    return truth.with_array(array)


class TestRepairs:
    def test_where_both_agree_nothing_is_asked(self, truth):
        assert revised_repairs(truth, revision_of(truth)) == {}

    @pytest.mark.parametrize("name", NAMES)
    def test_what_the_mask_lacks_is_brought_in(self, truth, name):
        def drop(plane):
            plane[plane == VALUES[name]] = 0

        mask = changed(truth, 2, drop)
        [(place, repair)] = revised_repairs(mask, revision_of(truth, 0.92)).items()
        assert place == 2
        assert repair.sure == pytest.approx(0.92)
        assert repair.reason == f"{name} is brought in: present with 0.92"
        np.testing.assert_array_equal(repair.labels, truth.array[2])

    def test_what_only_the_mask_has_is_taken_away(self, truth):
        def draw(plane):
            plane[20:26, 4:10] = VALUES["RV"]

        mask = changed(truth, 0, draw)
        [(place, repair)] = revised_repairs(mask, revision_of(truth, 0.95)).items()
        assert place == 0
        assert not repair.labels.any()
        assert repair.sure == pytest.approx(0.95)
        assert "RV is taken away: present with 0.05" in repair.reason

    def test_a_whole_slice_comes_back_as_sure_as_its_least(self, truth):
        mask = changed(truth, 4, lambda plane: plane.fill(0))
        revision = revision_of(truth, 0.98)
        revision.presence.loc[4, "MYO"] = 0.91
        [(place, repair)] = revised_repairs(mask, revision).items()
        assert (place, repair.sure) == (4, pytest.approx(0.91))
        np.testing.assert_array_equal(repair.labels, truth.array[4])

    def test_what_is_not_probable_enough_is_not_asked_for(self, truth):
        mask = changed(truth, 4, lambda plane: plane.fill(0))
        revision = revision_of(truth, 0.95)
        revision.presence.loc[4, "RV"] = 0.89
        [(_, repair)] = revised_repairs(mask, revision).items()
        assert sorted(np.unique(repair.labels)) == [0, 2, 3]
        assert revised_repairs(mask, revision_of(truth, 0.89)) == {}

    def test_borders_are_left_alone(self, truth):
        def shrink(plane):
            plane[:, : np.argwhere(plane == 1)[:, 1].min() + 4] = 0

        mask = changed(truth, 2, shrink)
        assert revised_repairs(mask, revision_of(truth)) == {}

    def test_a_slice_that_is_expected_to_gain_much_is_redrawn(self, truth):
        def shift(plane):
            plane[:] = np.roll(plane, 8, axis=1)

        mask, revision = changed(truth, 2, shift), revision_of(truth, 0.99)
        [(place, repair)] = revised_repairs(mask, revision).items()
        assert place == 2
        assert "redrawn: Dice 0.99 is expected, not" in repair.reason
        np.testing.assert_array_equal(repair.labels, truth.array[2])
        rows = np.array([2])
        values = [VALUES[name] for name in NAMES]
        [own] = expected_dice(mask.array[rows], revision, rows, values)
        gain = 0.99 - own
        assert gain > 0.1
        assert repair.sure == pytest.approx(1 - 10 ** (-gain / 0.1))

    def test_what_is_redrawn_is_as_sure_as_its_structures(self, truth):
        # a heart where the reviser draws none
        mask = changed(truth, 0, lambda plane: np.copyto(plane, truth.array[2]))
        assert revised_repairs(mask, revision_of(truth, 0.85)) == {}
        [(place, repair)] = revised_repairs(mask, revision_of(truth, 0.93)).items()
        assert (place, repair.sure) == (0, pytest.approx(0.93))
        assert not repair.labels.any()

    def test_presence_without_a_place_asks_nothing(self, truth):
        def drop(plane):
            plane[plane == 1] = 0

        mask = changed(truth, 2, drop)
        revision = revision_of(mask)
        revision.presence.loc[2, "RV"] = 0.99
        assert revised_repairs(mask, revision) == {}


class TestJudged:
    def test_what_is_expected_counts_and_not_how_near_it_stays(self, truth):
        """Of two slices that a mend may lead to, the reviser's own is the surer."""
        revision = revision_of(truth, 1.0)
        mask = changed(truth, 2, lambda plane: np.copyto(plane, np.roll(plane, 3, 1)))
        examined = SimpleNamespace(revision=revision)
        better = Proposal(truth.array[2], 0, 0.5, 0.4)
        found = judged(mask, examined, 2, better)
        assert (found.kept_least, found.kept_dice, found.n_broken) == (1, 0.5, 0)
        assert "breaks fewer rules; Dice 1.00 is expected" in found.reason
        # one pixel farther from the reviser is worse, though near the mask
        rolled = np.roll(mask.array[2], 1, axis=1)
        found = judged(mask, examined, 2, Proposal(rolled, 0, 0.98, 0.98))
        rows, values = np.array([2, 2]), [VALUES[name] for name in NAMES]
        planes = np.stack([mask.array[2], rolled])
        before, after = expected_dice(planes, revision, rows, values)
        assert 0.01 < before - after < 0.1
        assert found.kept_least == pytest.approx(1 - (before - after) / 0.1)
        far = np.roll(truth.array[2], 25, axis=1)
        assert judged(mask, examined, 2, Proposal(far, 0, 0.1, 0.1)).kept_least == 0


class TestColumns:
    def test_of_equal_masks(self, truth):
        found = revised_columns(truth, revision_of(truth, 1.0), np.arange(1, 5))
        for name in ("revised_dice", *(f"revised_dice_{n}" for n in NAMES)):
            np.testing.assert_allclose(found[name], 1)
        np.testing.assert_allclose(found["expected_dice"], 1)
        np.testing.assert_allclose(found["least_presence"], 1)

    def test_expected_dice_by_hand(self, truth):
        def drop(plane):
            plane[plane == 1] = 0

        mask = changed(truth, 2, drop)
        revision = revision_of(truth, 0.9)
        found = revised_columns(mask, revision, np.array([1, 2]))
        # three structures that are there with 0.9 and fit
        np.testing.assert_allclose(found["expected_dice"][0], 0.9)
        # two of these, beside one that is missing with 0.9
        np.testing.assert_allclose(found["expected_dice"][1], 2 * 0.9 / 2.9)
        # none, where each of the three is absent with 0.9
        values = [VALUES[name] for name in NAMES]
        [own] = expected_dice(truth.array[:1], revision, np.array([0]), values)
        assert own == pytest.approx(0.9)
        assert found["revised_dice"][1] == pytest.approx(2 / 3)
        assert found["revised_dice_RV"].tolist() == [1, 0]

    def test_planes(self, truth):
        revision = revision_of(truth)
        np.testing.assert_array_equal(
            revised_planes(revision, np.array([2, 4])), truth.array[[2, 4]]
        )


@pytest.fixture(scope="module")
def reviser(cohorts, part):
    """Return a reviser of four patients, which has hardly learned anything."""
    training = Training(epochs=1, minibatch_size=8, learning_rate=1e-2)
    made = MaskReviser(width=4, frame=Frame(size=32, spacing_mm=4.0), training=training)
    return made.fit(cohorts["network", "other"], cohorts["reader", "other"])


@pytest.fixture(scope="module")
def revised(hearts_corrector, cohorts, reviser):
    """Return a corrector that asks the reviser, set on a poor network."""
    pair = cohorts["network", "set"], cohorts["reader", "set"]
    return hearts_corrector.corrector.calibrate(*pair, risk=1, reviser=reviser)


class TestCorrector:
    def test_gate_and_prediction_know_the_reviser(self, revised, reviser, corrector):
        assert revised.reviser_ is reviser
        assert revised.sees_image
        assert {"expected_dice", "revised_dice"} <= set(revised.predictor_.columns_)
        assert reviser.fitted_on_ in revised.fits_
        assert corrector.reviser_ is None
        assert not corrector.sees_image

    def test_whom_the_reviser_saw_is_refused(
        self, corrector, reviser, revised, cohorts, tmp_path
    ):
        pair = cohorts["network", "other"], cohorts["reader", "other"]
        with pytest.raises(LeakageError, match=r"4 patients .*its reviser"):
            corrector.calibrate(*pair, risk=1, reviser=reviser)
        with pytest.raises(LeakageError, match="4 patients"):
            correct(pair[0], revised, out=tmp_path / "out", jobs=1)

    def test_a_reviser_that_learned_nothing_is_refused(self, corrector, cohorts):
        pair = cohorts["network", "set"], cohorts["reader", "set"]
        with pytest.raises(NotFittedError):
            corrector.calibrate(*pair, risk=1, reviser=MaskReviser())

    def test_another_reviser_needs_other_patients_too(self, revised, cohorts):
        pair = cohorts["network", "set"], cohorts["reader", "set"]
        with pytest.raises(LeakageError, match=r"24 patients .*its gate"):
            revised.calibrate(*pair, risk=1)

    def test_a_stack_of_one_slice(self, revised, corrector, truth):
        one = Volume(truth.array[2:3], truth.spacing_mm)
        mask = LabelMap(one, VALUES)
        image = one.with_array(one.array.astype(np.float32))
        for each in (revised, corrector):
            found = each.correct(mask, image)
            assert found.slices.index.tolist() == [0]
            assert found.mask.array.shape == mask.array.shape
        with pytest.raises(SchemaError, match="looks at images, and there is none"):
            revised.correct(mask)

    def test_a_probable_change_passes_and_a_doubtful_one_does_not(
        self, revised, truth, monkeypatch
    ):
        mask = changed(truth, 2, lambda plane: np.place(plane, plane == 1, 0))
        image = mask.volume
        for sure in (0.98, 0.92):
            made = revision_of(truth, sure)
            monkeypatch.setattr(MaskReviser, "revise", lambda *_, made=made: made)
            monkeypatch.setattr(revised, "least_dice_", 0.95)
            found = revised.correct(mask, image)
            row = found.slices.loc[2]
            if sure > 0.95:
                assert row["decision"] == "corrected"
                assert row["reason"] == "RV is brought in: present with 0.98"
                np.testing.assert_array_equal(found.mask.array, truth.array)
            else:
                assert row["decision"] == "refused"
                told = "not sure enough (0.92 is below 0.95): RV is brought in"
                assert row["reason"].startswith(told)
                np.testing.assert_array_equal(found.mask.array, mask.array)

    def test_without_a_gate_the_revision_is_what_is_drawn(
        self, revised, truth, monkeypatch
    ):
        made = revision_of(truth)
        monkeypatch.setattr(MaskReviser, "revise", lambda *_: made)
        monkeypatch.setattr(revised, "gated", False)
        mask = changed(truth, 2, lambda plane: np.place(plane, plane == 3, 2))
        found = revised.correct(mask, mask.volume)
        # slices are numbered as in the mask, whose first is empty
        np.testing.assert_array_equal(found.mask.array, truth.array)

    def test_derived_cohort_is_shown_the_images(
        self, revised, drawn, tmp_path, monkeypatch
    ):
        folder = drawn.write_hearts(
            tmp_path / "new", 2, np.random.default_rng(5), name="new", prefix="n"
        )
        seen, revise = [], MaskReviser.revise

        def watched(self, mask, image=None):
            seen.append(image)
            return revise(self, mask, image)

        monkeypatch.setattr(MaskReviser, "revise", watched)
        found = correct(Cohort.read(folder), revised, out=tmp_path / "out", jobs=1)
        assert found.failures.empty
        assert len(seen) == 2
        assert all(image.array.max() > 100 for image in seen)

    def test_saved_it_is_the_same(self, revised, cohorts, tmp_path, truth):
        revised.save(tmp_path)
        again = load_corrector(tmp_path)
        assert again.fits_ == revised.fits_
        assert again.sees_image
        image = truth.volume.with_array(truth.array.astype(np.float32))
        one, two = (each.correct(truth, image) for each in (revised, again))
        pd.testing.assert_frame_equal(one.slices, two.slices)
        pd.testing.assert_frame_equal(one.plausibility, two.plausibility)
