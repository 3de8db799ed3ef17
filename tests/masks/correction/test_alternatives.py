"""Plausible alternatives: other contours, as valid as the mask, by seed."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sklearn.exceptions import NotFittedError  # noqa: E402

from radlatent.cohort import Cohort  # noqa: E402
from radlatent.errors import CohortError, SchemaError  # noqa: E402
from radlatent.imaging import Volume, write_volume  # noqa: E402
from radlatent.masks import MaskCorrector  # noqa: E402
from radlatent.masks.correction import alternatives as module  # noqa: E402
from radlatent.masks.correction.alternatives import (  # noqa: E402
    alternatives_of,
    draw_alternatives,
    write_alternatives,
)
from radlatent.masks.labels import LabelMap, mask_files, read_label_map  # noqa: E402
from radlatent.masks.overlap.dice import label_dice  # noqa: E402
from radlatent.masks.rules.rules import broken_rules, rule_set  # noqa: E402

RULES = rule_set("short_axis_16")


@pytest.fixture
def masks(flawed):
    return [read_label_map(file.path, file.structures) for file in mask_files(flawed)]


def n_broken(mask):
    known = {"structures": mask.structures, "spacing_mm": mask.spacing_mm[1:]}
    return broken_rules(mask.array, RULES, **known).sum(axis=1)


class TestOfAMask:
    def test_differ_from_the_mask_and_from_each_other(self, corrector, masks):
        drawn = alternatives_of(masks[0], corrector, n=4)
        arrays = [masks[0].array, *(each.array for each in drawn)]
        for k, one in enumerate(arrays):
            for other in arrays[k + 1 :]:
                assert 0.6 < label_dice(one, other) < 1
        for each in drawn:
            assert each.array.dtype == masks[0].array.dtype
            assert each.structures == masks[0].structures

    def test_break_no_more_rules_than_the_mask(self, corrector, masks):
        for mask in masks:
            for other in alternatives_of(mask, corrector, n=3):
                assert (n_broken(other) <= n_broken(mask)).all()

    def test_draw_that_breaks_rules_is_shortened_at_last_to_nothing(
        self, corrector, masks, monkeypatch
    ):
        whole = alternatives_of(masks[0], corrector, n=1)[0]
        assert (whole.array != masks[0].array).any()
        asked = []

        def broken(planes, rules, **_):
            # the mask is judged first, all slices at once; then draw by draw
            asked.append(len(planes))
            return np.full((len(planes), 16), len(asked) > 1)

        monkeypatch.setattr(module, "broken_rules", broken)
        found = alternatives_of(masks[0], corrector, n=1)[0]
        np.testing.assert_array_equal(found.array, masks[0].array)
        # three shares of each of three slices
        assert asked == [3, *9 * [1]]

    def test_follow_their_seed(self, corrector, masks):
        one, two, three = (
            alternatives_of(masks[0], corrector, n=2, random_state=seed)
            for seed in (5, 5, 6)
        )
        for a, b, c in zip(one, two, three, strict=True):
            np.testing.assert_array_equal(a.array, b.array)
            assert (a.array != c.array).any()
        more = alternatives_of(masks[0], corrector, n=5, random_state=5)
        np.testing.assert_array_equal(more[1].array, one[1].array)

    def test_slices_move_together(self, corrector, masks):
        # one slice three times: one move gives one contour
        array = np.repeat(masks[0].array[1:2], 3, axis=0)
        mask = masks[0].with_array(array)
        for other in alternatives_of(mask, corrector, n=3):
            assert (other.array[0] != array[0]).any()
            for plane in other.array[1:]:
                np.testing.assert_array_equal(plane, other.array[0])

    def test_moves_are_those_of_the_posterior(self, corrector, masks):
        encoded = corrector.prior_.encode(masks[0])
        given, real = [], corrector.prior_.decode
        prior = copy.copy(corrector.prior_)
        prior.decode = lambda z: given.append(z) or real(z)
        other = copy.copy(corrector)
        other.prior_ = prior
        alternatives_of(masks[0], other, n=20, random_state=1)
        moves = (np.array(given[1:]) - encoded.mean) / encoded.scale
        # one normal vector a mask, the same in all its slices; float32
        np.testing.assert_allclose(moves[:, 1:], moves[:, :1].repeat(2, 1), atol=1e-3)
        expected = np.random.default_rng(1).standard_normal((20, 8))
        np.testing.assert_allclose(moves[:, 0], expected, atol=1e-3)

    def test_values_of_labels_do_not_count(self, corrector, masks):
        other = {"MYO": 30, "LV": 4, "RV": 250}
        table = np.zeros(4, np.uint8)
        table[[masks[0].structures[name] for name in other]] = list(other.values())
        relabeled = LabelMap(masks[0].volume.with_array(table[masks[0].array]), other)
        one = alternatives_of(masks[0], corrector, n=1)[0]
        two = alternatives_of(relabeled, corrector, n=1)[0]
        np.testing.assert_array_equal(table[one.array], two.array)

    def test_empty_mask_and_empty_slices(self, corrector, masks):
        empty = masks[0].with_array(np.zeros_like(masks[0].array))
        assert not alternatives_of(empty, corrector, n=1)[0].array.any()
        array = masks[0].array.copy()
        array[1] = 0
        found = alternatives_of(masks[0].with_array(array), corrector, n=1)[0]
        assert found.array.any(axis=(1, 2)).tolist() == [True, False, True]

    def test_one_slice(self, corrector, masks):
        mask = LabelMap(
            Volume(masks[0].array[:1], masks[0].spacing_mm), masks[0].structures
        )
        assert (alternatives_of(mask, corrector, n=1)[0].array != mask.array).any()

    def test_other_names_are_refused(self, corrector, masks):
        named = replace(masks[0], structures={"RV": 1, "MYO": 2, "cavity": 3})
        with pytest.raises(SchemaError, match=r"has the structures .*'cavity'"):
            alternatives_of(named, corrector, n=1)


def draw(cohort, corrector, out, **settings):
    return draw_alternatives(cohort, corrector, out=out, jobs=1, n=2, **settings)


class TestOfACohort:
    def test_cohorts_of_the_same_cases_under_other_masks(
        self, flawed, corrector, masks, tmp_path, hearts_corrector
    ):
        found = draw(flawed, corrector, tmp_path / "out")
        assert [each.name for each in found] == [
            "flawed_alternative_0",
            "flawed_alternative_1",
        ]
        for number, cohort in enumerate(found):
            assert cohort.cases.index.equals(flawed.cases.index)
            assert (cohort.cases["mask"] != flawed.cases["mask"]).all()
            assert cohort.cases["image_mr"].equals(flawed.cases["image_mr"])
            read = Cohort.read(tmp_path / "out" / f"alternative_{number}")
            assert read.key == cohort.key
            [step] = cohort.card.derived
            assert step.made_by.name == "draw_alternatives"
            [fit] = step.made_by.fitted_on
            assert list(fit.patients) == sorted(hearts_corrector.fitted)
            for file, mask in zip(mask_files(cohort), masks, strict=True):
                other = read_label_map(file.path, file.structures)
                assert 0.6 < label_dice(mask.array, other.array) < 1
                assert other.spacing_mm == mask.spacing_mm

    def test_who_was_fitted_on_is_carried(self, hearts_corrector, tmp_path):
        cohort, patients = hearts_corrector.cohort, hearts_corrector.fitted[:2]
        part = replace(
            cohort,
            cases=cohort.cases[cohort.cases["patient_id"].isin(patients)],
            patients=cohort.patients.loc[patients],
        )
        found = draw(part, hearts_corrector.corrector, tmp_path / "out")
        assert found[0].card.derived[-1].made_by.fitted_on[0].cohort == "hearts"
        assert set(patients) <= set(found[0].card.in_sample)
        assert found[0].located["in_sample"].all()

    def test_masks_are_drawn_apart_from_each_other_and_by_seed(
        self, flawed, corrector, masks, tmp_path
    ):
        # all masks alike: the draws are not
        sound = (flawed.root / flawed.cases.loc["q00_LV", "mask"]).read_bytes()
        for place in set(flawed.cases["mask"]):
            (flawed.root / place).write_bytes(sound)
        found = {
            seed: [
                read_label_map(file.path, file.structures).array
                for file in mask_files(
                    draw(flawed, corrector, tmp_path / name, random_state=seed)[0]
                )
            ]
            for seed, name in ((0, "a"), (1, "b"))
        }
        again = mask_files(draw(flawed, corrector, tmp_path / "c", random_state=1)[0])
        for one, two, file in zip(found[0], found[1], again, strict=True):
            assert (one != two).any()
            array = read_label_map(file.path, file.structures).array
            np.testing.assert_array_equal(two, array)
        assert (found[0][0] != found[0][1]).any()

    def test_originals_are_untouched(self, flawed, corrector, tmp_path):
        places = sorted(flawed.root.iterdir())
        before = [path.read_bytes() for path in places]
        draw(flawed, corrector, tmp_path / "out")
        assert [path.read_bytes() for path in places] == before
        assert sorted(flawed.root.iterdir()) == places

    def test_again_gives_the_same_without_work(
        self, flawed, corrector, tmp_path, monkeypatch
    ):
        one = draw(flawed, corrector, tmp_path / "out")
        monkeypatch.setattr(module, "write_alternatives", None)
        two = draw(flawed, corrector, tmp_path / "out")
        assert [each.key for each in two] == [each.key for each in one]

    def test_lost_mask_is_drawn_again(self, flawed, corrector, tmp_path, monkeypatch):
        one = draw(flawed, corrector, tmp_path / "out")
        lost = tmp_path / "out" / "alternative_1" / "masks" / "00002_q02_mask.nii.gz"
        lost.unlink()
        done, real = [], write_alternatives

        def counted(file, *rest):
            done.append(file.patient_id)
            return real(file, *rest)

        monkeypatch.setattr(module, "write_alternatives", counted)
        two = draw(flawed, corrector, tmp_path / "out")
        assert done == ["q02"]
        assert [each.key for each in two] == [each.key for each in one]

    def test_rules_of_another_corrector_are_not_taken_for_these(
        self, flawed, corrector, tmp_path, monkeypatch
    ):
        draw(flawed, corrector, tmp_path / "out")
        other = copy.copy(corrector)
        other.rules, other.rules_ = "short_axis_7", rule_set("short_axis_7")
        done, real = [], write_alternatives

        def counted(file, *rest):
            done.append(file.patient_id)
            return real(file, *rest)

        monkeypatch.setattr(module, "write_alternatives", counted)
        for path in (tmp_path / "out").glob("alternative_*/*.*"):
            path.unlink()
        draw(flawed, other, tmp_path / "out")
        assert done == ["q00", "q01", "q02", "q03"]

    def test_relative_folder(self, flawed, corrector, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        [first, _] = draw(flawed, corrector, "out")
        masks = tmp_path / "out" / "alternative_0" / "masks"
        assert Path(first.cases.loc["q01_LV", "mask"]).parent == masks

    def test_mask_that_cannot_be_read(self, flawed, corrector, tmp_path):
        place = flawed.cases.loc["q01_LV", "mask"]
        (flawed.root / place).write_bytes(b"no mask")
        with pytest.raises(CohortError, match=r"1 masks have no .*, q01_mask\.nii\.gz"):
            draw(flawed, corrector, tmp_path / "out")

    def test_empty_mask_is_its_own_alternative(self, flawed, corrector, tmp_path):
        [file, *_] = mask_files(flawed)
        mask = read_label_map(file.path, file.structures)
        write_volume(mask.volume.with_array(np.zeros_like(mask.array)), file.path)
        target = str(tmp_path / "alternative.nii.gz")
        assert write_alternatives(file, corrector, [target], 0) == [1.0]
        assert not read_label_map(target, file.structures).array.any()

    def test_dice_is_told(self, flawed, corrector, tmp_path, masks):
        [file, *_] = mask_files(flawed)
        targets = [str(tmp_path / f"{k}.nii.gz") for k in range(2)]
        found = write_alternatives(file, corrector, targets, 0)
        expected = [
            label_dice(read_label_map(t, file.structures).array, masks[0].array)
            for t in targets
        ]
        assert found == expected

    def test_corrector_that_is_not_fitted(self, flawed, tmp_path):
        with pytest.raises(NotFittedError):
            draw(flawed, MaskCorrector(), tmp_path / "out")
