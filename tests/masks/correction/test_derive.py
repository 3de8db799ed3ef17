"""Derived cohorts: originals stay, no fit meets its own patients, runs resume."""

import copy
import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from sklearn.exceptions import NotFittedError  # noqa: E402

from radlatent.cohort import Cohort  # noqa: E402
from radlatent.cohort.labels import mask_files, read_label_map  # noqa: E402
from radlatent.errors import (  # noqa: E402
    CohortError,
    LeakageError,
    SchemaError,
)
from radlatent.imaging import write_volume  # noqa: E402
from radlatent.masks.correction import derive as module  # noqa: E402
from radlatent.masks.correction.corrector import MaskCorrector  # noqa: E402
from radlatent.masks.correction.derive import (  # noqa: E402
    correct,
    draw_alternatives,
    write_alternatives,
)
from radlatent.masks.overlap.dice import label_dice  # noqa: E402
from radlatent.masks.rules.rules import rule_set  # noqa: E402

STRUCTURES = ("RV", "MYO", "LV")


def fitted_on(corrector, cohort, patients):
    other = copy.copy(corrector)
    other.fitted_on_ = {"cohort": cohort, "patients": sorted(patients)}
    return other


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


def under_other_masks(cohort, flawed, folder, name, fitted_on=()):
    """Return a cohort derived from this one, under masks of the flawed hearts."""
    folder.mkdir()
    masks = {}
    for file, other in zip(mask_files(cohort), mask_files(flawed), strict=False):
        volume = read_label_map(other.path, other.structures).volume
        path = folder / f"{file.patient_id}.nii.gz"
        write_volume(volume, path)
        masks |= dict.fromkeys(file.case_ids, str(path))
    made_by = {"name": "flawed", "fitted_on": [*fitted_on]}
    return cohort.with_masks(pd.Series(masks), name=name, made_by=made_by)


class TestDerived:
    @pytest.fixture
    def found(self, flawed, corrector, tmp_path):
        return correct(flawed, corrector, out=tmp_path / "out", jobs=1)

    def test_flaws_are_corrected_and_sound_masks_kept(self, found, flawed, corrector):
        before, after = arrays(flawed), arrays(found.cohort)
        for file in mask_files(flawed):
            mask = read_label_map(file.path, file.structures)
            expected = corrector.correct(mask).mask.array
            np.testing.assert_array_equal(after[file.patient_id], expected)
        same = [np.array_equal(before[p], after[p]) for p in sorted(before)]
        assert same == [True, False, False, False]
        # only the middle slice had a flaw
        for patient, array in before.items():
            np.testing.assert_array_equal(after[patient][[0, 2]], array[[0, 2]])

    def test_originals_are_untouched(self, flawed, corrector, tmp_path):
        before, cases = hashes(flawed.root), flawed.cases.copy()
        correct(flawed, corrector, out=tmp_path / "out", jobs=1)
        assert hashes(flawed.root) == before
        pd.testing.assert_frame_equal(flawed.cases, cases)

    def test_only_changed_masks_are_written_and_named(self, found, flawed, tmp_path):
        written = sorted(path.name for path in (tmp_path / "out" / "masks").iterdir())
        assert written == [f"0000{k}_q0{k}_mask.nii.gz" for k in (1, 2, 3)]
        changed = found.cohort.cases["mask"] != flawed.cases["mask"]
        assert sorted(set(flawed.cases.loc[changed, "patient_id"])) == [
            "q01",
            "q02",
            "q03",
        ]
        assert changed.sum() == 9
        for column in ("image_mr", "mask_label", "lesion_id"):
            pd.testing.assert_series_equal(
                found.cohort.cases[column], flawed.cases[column]
            )

    def test_says_what_made_the_masks(self, found, flawed, hearts_corrector):
        assert found.cohort.name == "flawed_corrected"
        [step] = found.cohort.card.derived
        assert step.source == "flawed"
        assert step.made_by.name == "MaskCorrector"
        [fit] = step.made_by.fitted_on
        assert fit.cohort == "hearts"
        assert list(fit.patients) == sorted(hearts_corrector.fitted)
        assert list(fit.applied_to) == ["q00", "q01", "q02", "q03"]
        assert found.cohort.masks_fitted_on is None

    def test_folder_is_the_cohort(self, found, tmp_path):
        read = Cohort.read(tmp_path / "out")
        assert read.key == found.cohort.key
        pd.testing.assert_frame_equal(
            pd.DataFrame(arrays(read)["q01"][1]),
            pd.DataFrame(arrays(found.cohort)["q01"][1]),
        )

    def test_quality_counts_the_slices(self, found):
        quality = found.quality
        assert quality.index.name == "case_id"
        assert len(quality) == 12
        for column in quality:
            per_file = quality[column].groupby(quality.index.str[:3]).nunique()
            assert (per_file == 1).all(), column
        lv = quality.loc[[f"q0{k}_LV" for k in range(4)]]
        assert lv["n_slices"].tolist() == [3, 3, 3, 3]
        assert lv["n_broken"].tolist() == [0, 1, 1, 1]
        assert lv["n_broken_after"].tolist() == [0, 0, 0, 0]
        assert lv["n_corrected"].tolist() == [0, 1, 1, 1]
        assert lv["n_refused"].tolist() == [0, 0, 0, 0]
        assert lv["valid"].all()
        assert lv["corrected"].tolist() == [False, True, True, True]
        mean = found.slices.groupby("mask")["predicted_dice"].mean()
        np.testing.assert_allclose(lv["predicted_dice"], mean)
        assert found.summary.to_dict() == {"valid": 9, "corrected": 3}
        assert repr(found) == (
            "CorrectedCohort(slices: 9 valid, 3 corrected; 0 cases failed; "
            "set on drawn errors: nothing is promised of a network's masks)"
        )

    def test_sound_cohort_is_returned_as_it_is(
        self, corrector, hearts_corrector, tmp_path
    ):
        found = correct(hearts_corrector.rest, corrector, out=tmp_path / "out", jobs=1)
        assert found.cohort is hearts_corrector.rest
        assert not (tmp_path / "out" / "cohort.yml").exists()

    def test_name_is_the_callers(self, flawed, corrector, tmp_path):
        found = correct(
            flawed.root, corrector, out=tmp_path / "out", name="mended", jobs=1
        )
        assert found.cohort.name == "mended"


class TestRuns:
    def test_again_gives_the_same_without_work(
        self, flawed, corrector, tmp_path, monkeypatch
    ):
        one = correct(flawed, corrector, out=tmp_path / "out", jobs=1)
        before = hashes(tmp_path / "out")
        monkeypatch.setattr(module, "correct_file", None)
        two = correct(flawed, corrector, out=tmp_path / "out", jobs=1)
        assert two.failures.empty
        assert two.cohort.key == one.cohort.key
        pd.testing.assert_frame_equal(one.slices, two.slices)
        pd.testing.assert_frame_equal(one.quality, two.quality)
        assert hashes(tmp_path / "out") == before

    def test_lost_mask_is_made_again(self, flawed, corrector, tmp_path, monkeypatch):
        one = correct(flawed, corrector, out=tmp_path / "out", jobs=1)
        expected = arrays(one.cohort)
        (tmp_path / "out" / "masks" / "00002_q02_mask.nii.gz").unlink()
        done, real = [], module.correct_file

        def counted(file, *rest):
            done.append(file.patient_id)
            return real(file, *rest)

        monkeypatch.setattr(module, "correct_file", counted)
        two = correct(flawed, corrector, out=tmp_path / "out", jobs=1)
        assert done == ["q02"]
        assert two.cohort.key == one.cohort.key
        for patient, array in arrays(two.cohort).items():
            np.testing.assert_array_equal(array, expected[patient])

    def test_run_that_was_killed_goes_on(
        self, flawed, corrector, tmp_path, monkeypatch
    ):
        real = module.correct_file

        def killed(file, *rest):
            if file.patient_id == "q02":
                raise KeyboardInterrupt
            return real(file, *rest)

        monkeypatch.setattr(module, "correct_file", killed)
        with pytest.raises(KeyboardInterrupt):
            correct(flawed, corrector, out=tmp_path / "out", jobs=1)
        done = []

        def counted(file, *rest):
            done.append(file.patient_id)
            return real(file, *rest)

        monkeypatch.setattr(module, "correct_file", counted)
        found = correct(flawed, corrector, out=tmp_path / "out", jobs=1)
        assert done == ["q02", "q03"]
        assert found.summary.to_dict() == {"valid": 9, "corrected": 3}

    def test_changed_mask_is_corrected_anew(self, flawed, corrector, tmp_path):
        correct(flawed, corrector, out=tmp_path / "out", jobs=1)
        places = sorted(set(flawed.cases["mask"]))
        sound = (flawed.root / places[0]).read_bytes()
        (flawed.root / places[1]).write_bytes(sound)
        with pytest.raises(CohortError, match=r"of other masks or another\s+corrector"):
            correct(flawed, corrector, out=tmp_path / "out", jobs=1)
        found = correct(flawed, corrector, out=tmp_path / "other", jobs=1)
        assert found.quality.loc["q01_LV", "n_corrected"] == 0

    def test_another_corrector_does_not_take_what_the_first_did(
        self, flawed, corrector, tmp_path
    ):
        correct(flawed, corrector, out=tmp_path / "out", jobs=1)
        strict = copy.copy(corrector)
        strict.least_dice_ = 1.01
        found = correct(flawed, strict, out=tmp_path / "out", jobs=1)
        assert found.summary.to_dict() == {"valid": 9, "refused": 3}

    def test_failing_file_keeps_its_cases(self, flawed, corrector, tmp_path):
        place = flawed.cases.loc["q01_LV", "mask"]
        (flawed.root / place).write_bytes(b"no mask")
        found = correct(flawed, corrector, out=tmp_path / "out", jobs=1)
        cases = [f"q01_{name}" for name in STRUCTURES]
        assert found.failures["case_id"].tolist() == cases
        assert set(found.failures["stage"]) == {"masks mr"}
        assert found.failures["message"].str.contains("q01_mask").all()
        assert (found.cohort.cases.loc[cases, "mask"] == place).all()
        assert found.quality.loc[cases].isna().all(axis=None)
        assert found.quality.loc["q02_LV", "n_corrected"] == 1
        assert "3 cases failed" in repr(found)

    def test_file_that_is_gone_keeps_its_cases(self, flawed, corrector, tmp_path):
        place = flawed.cases.loc["q01_LV", "mask"]
        (flawed.root / place).unlink()
        found = correct(flawed, corrector, out=tmp_path / "out", jobs=1)
        assert found.failures["case_id"].nunique() == 3
        assert found.quality.loc["q02_LV", "n_corrected"] == 1

    def test_all_files_fail(self, flawed, corrector, tmp_path):
        for place in set(flawed.cases["mask"]):
            (flawed.root / place).write_bytes(b"no mask")
        found = correct(flawed, corrector, out=tmp_path / "out", jobs=1)
        assert found.cohort is flawed
        assert len(found.failures) == 12
        assert found.slices.empty
        assert found.quality.isna().all(axis=None)
        assert found.summary.empty

    def test_empty_mask_has_no_slices(self, flawed, corrector, tmp_path):
        [file, *_] = mask_files(flawed)
        mask = read_label_map(file.path, file.structures)
        empty = mask.volume.with_array(np.zeros_like(mask.array))
        write_volume(empty, file.path)
        found = correct(flawed, corrector, out=tmp_path / "out", jobs=1)
        assert found.failures.empty
        assert "q00_mask.nii.gz" not in set(found.slices["mask"])
        assert found.quality.loc["q00_LV"].isna().all()

    def test_relative_folder(self, flawed, corrector, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        found = correct(flawed, corrector, out="out", jobs=1)
        place = Path(found.cohort.cases.loc["q01_LV", "mask"])
        assert place == tmp_path / "out" / "masks" / "00001_q01_mask.nii.gz"
        monkeypatch.chdir(tmp_path.parent)
        assert arrays(Cohort.read(tmp_path / "out"))["q01"].shape == (3, 64, 64)

    def test_two_processes_give_the_same(self, flawed, corrector, tmp_path):
        one = correct(flawed, corrector, out=tmp_path / "one", jobs=1)
        two = correct(flawed, corrector, out=tmp_path / "two", jobs=2)
        assert two.failures.empty
        for name, array in arrays(one.cohort).items():
            np.testing.assert_array_equal(arrays(two.cohort)[name], array)


class TestLeakage:
    def test_patients_of_the_fit_are_refused(self, hearts_corrector, tmp_path):
        cohort, corrector = hearts_corrector.cohort, hearts_corrector.corrector
        with pytest.raises(LeakageError, match=r"56 patients of cohort 'hearts' \(p00"):
            correct(cohort, corrector, out=tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_one_such_patient_is_enough(self, hearts_corrector, tmp_path):
        rest, fitted = hearts_corrector.rest, hearts_corrector.fitted
        patients = [*fitted, rest.patients.index[2]]
        leaking = fitted_on(hearts_corrector.corrector, "hearts", patients)
        with pytest.raises(LeakageError, match="1 patients of cohort 'hearts'"):
            correct(rest, leaking, out=tmp_path / "out")

    def test_masks_of_patients_whom_their_network_saw_are_refused(
        self, flawed, corrector, tmp_path
    ):
        names = sorted(flawed.patients.index)

        def drawn(name, *fits):
            told = [
                {"cohort": flawed.name, "patients": seen, "applied_to": applied}
                for seen, applied in fits
            ]
            return under_other_masks(flawed, flawed, tmp_path / name, name, told)

        unfair = drawn("unfair", (names[:1], names))
        with pytest.raises(LeakageError, match=rf"masks of 1 patients .*{names[0]}"):
            correct(unfair, corrector, out=tmp_path / "out", jobs=1)
        assert not (tmp_path / "out").exists()
        # networks of other folds have seen them: that is stacking, and told
        one, two = names[:2], names[2:]
        crossed = drawn("crossed", (two, one), (one, two))
        found = correct(crossed, corrector, out=tmp_path / "out", jobs=1)
        assert found.summary["corrected"] == 3

    def test_derived_cohorts_are_of_the_same_people(
        self, hearts_corrector, flawed, tmp_path
    ):
        cohort, corrector = hearts_corrector.cohort, hearts_corrector.corrector
        one = under_other_masks(cohort, flawed, tmp_path / "a", "hearts_a")
        two = under_other_masks(one, flawed, tmp_path / "b", "hearts_b")
        for derived in (one, two):
            with pytest.raises(LeakageError, match="fitted on their own masks"):
                correct(derived, corrector, out=tmp_path / "out")
        # and the other way round: fitted on what derives from this cohort
        assert two.card.label == "hearts, hearts_a, hearts_b"
        own = fitted_on(corrector, two.card.label, hearts_corrector.fitted)
        for each in (cohort, one):
            with pytest.raises(LeakageError, match="fitted on their own masks"):
                correct(each, own, out=tmp_path / "out")
        # two cohorts that derive from one
        sister = under_other_masks(cohort, flawed, tmp_path / "c", "hearts_c")
        own = fitted_on(corrector, one.card.label, hearts_corrector.fitted)
        with pytest.raises(LeakageError, match="fitted on their own masks"):
            correct(sister, own, out=tmp_path / "out")

    def test_other_people_may_have_the_same_names(
        self, flawed, corrector, tmp_path, caplog
    ):
        alike = fitted_on(corrector, "hearts", ["q00", "q01", "p00"])
        with caplog.at_level(logging.WARNING):
            found = correct(flawed, alike, out=tmp_path / "out", jobs=1)
        assert found.summary["corrected"] == 3
        # whoever gave two people one name is told
        assert "they share 2 names of patients" in caplog.text

    def test_correctors_fold_by_fold(self, flawed, corrector, tmp_path):
        one = fitted_on(corrector, "flawed", ["q02", "q03"])
        two = fitted_on(corrector, "flawed", ["q00", "q01"])
        mapping = {"q00": one, "q01": one, "q02": two, "q03": two}
        found = correct(flawed, mapping, out=tmp_path / "out", jobs=1)
        [step] = found.cohort.card.derived
        told = {tuple(f.applied_to): tuple(f.patients) for f in step.made_by.fitted_on}
        assert told == {
            ("q00", "q01"): ("q02", "q03"),
            ("q02", "q03"): ("q00", "q01"),
        }
        assert found.cohort.card.in_sample == []
        assert found.cohort.masks_fitted_on == ["q00", "q01", "q02", "q03"]
        with pytest.raises(
            LeakageError, match=r"1 patients of cohort 'flawed' \(q02\)"
        ):
            correct(flawed, mapping | {"q02": one}, out=tmp_path / "other")

    def test_every_patient_needs_a_corrector(self, flawed, corrector, tmp_path):
        mapping = dict.fromkeys(["q00", "q01", "q02"], corrector)
        with pytest.raises(SchemaError, match=r"patients \['q03'\] have no corrector"):
            correct(flawed, mapping, out=tmp_path / "out")

    def test_another_part_of_the_cohort_fitted_on_may_be_corrected(
        self, hearts_corrector, flawed, tmp_path
    ):
        rest = under_other_masks(
            hearts_corrector.rest, flawed, tmp_path / "a", "hearts_a"
        )
        found = correct(rest, hearts_corrector.corrector, out=tmp_path / "o", jobs=1)
        assert found.summary["corrected"] == 3
        [fit] = found.cohort.card.derived[-1].made_by.fitted_on
        assert fit.cohort == "hearts (other patients)"
        assert list(fit.patients) == sorted(hearts_corrector.fitted)
        assert list(fit.applied_to) == ["p56", "p57", "p58", "p59"]
        assert found.cohort.card.in_sample == []


def test_corrector_that_is_not_fitted(flawed, tmp_path):
    with pytest.raises(NotFittedError):
        correct(flawed, MaskCorrector(), out=tmp_path / "out")


def test_mask_of_other_structures_is_a_failure(flawed, corrector, tmp_path):
    cases = flawed.cases.copy()
    cases.loc["q01_LV", "lesion_id"] = "cavity"
    found = correct(
        replace(flawed, cases=cases), corrector, out=tmp_path / "out", jobs=1
    )
    assert set(found.failures["error"]) == {"SchemaError"}
    assert found.failures["message"].str.contains("q01_mask.nii.gz: has the").all()


@pytest.fixture
def masks(flawed):
    return [read_label_map(file.path, file.structures) for file in mask_files(flawed)]


def draw(cohort, corrector, out, **settings):
    return draw_alternatives(cohort, corrector, out=out, jobs=1, n=2, **settings)


class TestAlternatives:
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
