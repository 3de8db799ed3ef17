"""What a corrector is set on: pairs of masks and truth, drawn or of a network."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from radlatent.cohort import Cohort  # noqa: E402
from radlatent.cohort.labels import LabelMap  # noqa: E402
from radlatent.errors import (  # noqa: E402
    CohortError,
    LeakageError,
    SchemaError,
)
from radlatent.imaging import Volume  # noqa: E402
from radlatent.masks.correction.calibration import (  # noqa: E402
    N_DRAWN,
    drawn_pairs,
    observe,
)
from radlatent.masks.correction.corrector import load_corrector  # noqa: E402
from radlatent.masks.correction.derive import correct  # noqa: E402
from radlatent.masks.overlap.dice import slice_dice  # noqa: E402
from radlatent.masks.revision.pairs import Pair, read_pair, real_pairs  # noqa: E402


def heart_map(drawn, rng, name="heart", n_slices=4):
    volume = Volume(drawn.draw_heart(rng, n_slices=n_slices), drawn.SPACING_MM)
    return LabelMap(volume, drawn.STRUCTURES, name)


class TestDrawn:
    @pytest.fixture
    def pairs(self, drawn, rng):
        masks = [heart_map(drawn, rng, f"heart {k}") for k in range(12)]
        names = [f"p{k}" for k in range(12)]
        return masks, list(drawn_pairs(masks, names, random_state=0))

    def test_every_mask_has_as_many(self, pairs):
        masks, found = pairs
        assert len(found) == N_DRAWN * len(masks)
        assert [p.patient for p in found[::N_DRAWN]] == [f"p{k}" for k in range(12)]
        # what has a network's share of broken slices sets the gate
        assert sum(p.sets_gate for p in found) == 2 * len(masks)

    def test_smooth_ones_are_as_far_from_the_reader_as_a_network(self, pairs):
        _, found = pairs
        smooth = [p for k, p in enumerate(found) if k % N_DRAWN >= N_DRAWN - 3]
        dice = [
            slice_dice(a, b, [1, 2, 3])
            for p in smooth
            for a, b in zip(p.mask.array, p.truth.array, strict=True)
            if a.any()
        ]
        assert 0.75 < np.mean(dice) < 0.92

    def test_some_readers_have_stopped_a_slice_earlier(self, pairs):
        masks, found = pairs
        left = [p.truth.array.any(axis=(1, 2)) for p in found if not p.sets_gate]
        stopped = [held for held in left if not held.all()]
        assert 0 < len(stopped) < len(left)
        assert {tuple(held) for held in stopped} == {
            (False, True, True, True),
            (True, True, True, False),
        }
        assert masks[0].array.any(axis=(1, 2)).all()

    def test_are_the_same_again(self, pairs):
        masks, found = pairs
        again = drawn_pairs(masks[:1], ["p0"], random_state=0)
        for one, two in zip(found, again, strict=False):
            np.testing.assert_array_equal(one.mask.array, two.mask.array)
            np.testing.assert_array_equal(one.truth.array, two.truth.array)


class TestObserved:
    def test_counts_and_dice_by_hand(self, drawn, rng):
        truth = heart_map(drawn, rng)
        array = truth.array.copy()
        array[3] = 0
        mask = truth.with_array(array)
        empty = truth.with_array(np.zeros_like(array))
        proposal = SimpleNamespace(labels=np.zeros_like(array[0]), kept_least=0.3)

        def examine(mask, image):
            assert image is None
            places = np.flatnonzero(mask.array.any(axis=(1, 2)))
            table = pd.DataFrame({"n": 1.0}, index=places)
            broken = np.zeros((len(places), 2), bool)
            broken[:1] = True
            return SimpleNamespace(places=places, broken=broken, table=table)

        pairs = [
            Pair(mask, truth, "a"),
            Pair(mask, empty, "b"),
            Pair(empty, truth, "c"),
            Pair(mask, truth, "d", sets_gate=False),
        ]
        found = observe(pairs, 4, examine=examine, offer=lambda *_: [(1, proposal)])
        assert len(found.table) == len(found.dice) == 9
        assert found.dice.tolist() == [1] * 3 + [0] * 3 + [1] * 3
        assert found.patients.tolist() == [*"aaabbbddd"]
        # an empty slice is right where the reader left it empty
        expected = [[0, 0.3, 1, 0], [1, 0.3, 0, 1]]
        assert found.effects.to_numpy().tolist() == expected
        assert found.masks.to_numpy().tolist() == [["a", 3, 1], ["b", 3, 1]]
        with pytest.raises(SchemaError, match="no mask holds a structure"):
            observe(pairs[2:3], 1, examine=examine, offer=lambda *_: [])


@pytest.fixture(scope="module")
def made(hearts_corrector, cohorts):
    """Return the corrector of the other tests, set on the masks of a poor network."""
    pair = cohorts["network", "set"], cohorts["reader", "set"]
    return hearts_corrector.corrector.calibrate(*pair, risk=0.2)


class TestCalibrated:
    def test_gate_and_prediction_are_set_on_these(self, made, corrector):
        setting = made.setting_
        assert setting.set_on == "network_set"
        assert setting.patients == tuple(f"s{k:02d}" for k in range(24))
        assert setting.n_slices == 72
        assert (setting.risk, setting.confidence) == (0.2, 0.95)
        # three slices have no quarter
        assert setting.most == 1
        assert min(setting.broken) >= 1 / 3
        known = made.predictor_.calibration_
        assert set(known["patient_id"]) == set(setting.patients)
        assert "at most 20 % of slices" in setting.text
        # the one it was made of is as it was
        assert corrector.setting_.set_on == "drawn errors"
        assert corrector.calibrated_on_ is None
        assert corrector.predictor_ is not made.predictor_

    def test_correction_says_so(self, made, corrector, cohorts):
        pair = read_pair(
            real_pairs(cohorts["network", "other"], cohorts["reader", "other"])[0]
        )
        assert "at most 20 % of slices" in repr(made.correct(pair.mask))
        assert "set on drawn errors: nothing is promised" in repr(
            corrector.correct(pair.mask)
        )

    def test_prediction_is_of_such_masks(self, made, corrector, cohorts):
        files = real_pairs(cohorts["network", "other"], cohorts["reader", "other"])
        errors = []
        for pair in map(read_pair, files):
            found = made.correct(pair.mask).slices
            true = [
                slice_dice(pair.mask.array[k], pair.truth.array[k], [1, 2, 3])
                for k in found.index
            ]
            errors += list(found["predicted_dice"] - true)
            assert found.loc[2, "flagged"]
        assert np.abs(errors).mean() < 0.1

    def test_derived_cohort_and_its_card_say_so(self, made, cohorts, tmp_path):
        found = correct(cohorts["network", "other"], made, out=tmp_path / "out", jobs=1)
        [row] = found.settings.to_dict("records")
        assert row["text"] == made.setting_.text
        assert (row["set_on"], row["n_patients"]) == ("network_set", 24)
        assert row["n_here"] == 4
        assert row["broken_here"] >= 1 / 3
        assert not row["shifted"]
        assert made.setting_.text in repr(found)
        [step] = Cohort.read(tmp_path / "out").card.derived
        assert step.made_by.promise == made.setting_.text
        told = [set(fit.patients) for fit in step.made_by.fitted_on]
        assert told == [set(f["patients"]) for f in made.fits_]

    def test_worse_masks_are_told(self, made, cohorts, tmp_path, caplog):
        better = replace(made.setting_, broken=(0.01,) * 12 + (0.0,) * 12)
        changed = load_of(made, tmp_path)
        changed.setting_ = better
        many = cohorts["network", "set"]
        changed.calibrated_on_ = None
        found = correct(many, changed, out=tmp_path / "out", jobs=1)
        assert found.settings.loc[0, "shifted"]
        assert "what it promises may not hold of these masks" in caplog.text

    def test_saved_it_is_the_same(self, made, tmp_path, cohorts):
        again = load_of(made, tmp_path)
        assert again.setting_ == made.setting_
        assert again.calibrated_on_ == made.calibrated_on_
        assert again.least_dice_ == made.least_dice_
        assert again.fits_ == made.fits_

    def test_its_patients_are_refused(self, made, network, reader, tmp_path):
        with pytest.raises(LeakageError, match="24 patients"):
            correct(network, made, out=tmp_path / "out", jobs=1)
        with pytest.raises(LeakageError, match="had a part in this corrector"):
            made.calibrate(network, reader, risk=1)

    def test_patients_of_the_fit_are_refused(self, hearts_corrector):
        cohort = hearts_corrector.cohort
        with pytest.raises(LeakageError, match="56 patients"):
            hearts_corrector.corrector.calibrate(cohort, cohort, risk=1)

    def test_too_few_patients_are_told(self, corrector, network, reader, monkeypatch):
        # before a mask is looked at
        with monkeypatch.context() as patched:
            patched.setattr(type(corrector), "_observe", None)
            with pytest.raises(CohortError, match=r"24 patients.*takes at least 149"):
                corrector.calibrate(network, reader)
        # masks of three slices: a quarter of them is none
        with pytest.raises(CohortError, match=r"24 patients.*it takes \d+ without"):
            corrector.calibrate(network, reader, risk=0.05)
        for wrong in ({"risk": 0}, {"risk": 1.5}, {"confidence": 1}):
            with pytest.raises(SchemaError, match="Give shares"):
                corrector.calibrate(network, reader, **wrong)

    def test_without_a_promise(self, corrector, network, reader):
        made = corrector.calibrate(network, reader, risk=1)
        assert "nothing is promised of others" in made.setting_.text
        assert made.setting_.most == 1


def load_of(corrector, folder):
    corrector.save(folder / "corrector")
    return load_corrector(folder / "corrector")
