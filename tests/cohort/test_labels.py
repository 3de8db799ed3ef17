"""Label maps: structures by name, whatever their values, and the files of a cohort."""

import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Cohort
from radlatent.cohort.labels import LabelMap, mask_files, modality_of, read_label_map
from radlatent.errors import LabelError, SchemaError
from radlatent.imaging import Volume, write_volume

STRUCTURES = {"RV": 4, "LV": 9}


def volume(values, dtype=np.uint8):
    return Volume(np.array(values, dtype).reshape(1, 1, -1), (8.0, 1.5, 1.25))


def rewritten(folder, change):
    """Change the cases of a cohort of hearts, and read it."""
    cases = pd.read_csv(folder / "cases.csv", dtype=object)
    change(cases)
    cases.to_csv(folder / "cases.csv", index=False)
    return Cohort.read(folder)


@pytest.fixture
def hearts(tmp_path, drawn, rng):
    return drawn.write_hearts(tmp_path / "hearts", 3, rng)


class TestLabelMap:
    def test_holds_array_spacing_and_name(self):
        found = LabelMap(volume([0, 4, 9]), STRUCTURES, "p1")
        assert found.array.tolist() == [[[0, 4, 9]]]
        assert found.spacing_mm == (8.0, 1.5, 1.25)
        assert found.name == "p1"

    def test_other_array_keeps_grid_structures_and_the_original(self):
        one = LabelMap(volume([0, 4, 9]), STRUCTURES, "p1")
        two = one.with_array(np.zeros((1, 1, 3), np.int16))
        assert two.array.sum() == 0
        assert (two.structures, two.name, two.spacing_mm) == (
            STRUCTURES,
            "p1",
            one.spacing_mm,
        )
        assert one.array.sum() == 13

    def test_whole_floats_become_integers(self):
        found = LabelMap(volume([0.0, 4.0], np.float32), STRUCTURES)
        assert found.array.dtype == np.int32
        assert found.array.tolist() == [[[0, 4]]]

    def test_a_structure_may_be_missing(self):
        assert LabelMap(volume([0, 0]), STRUCTURES).array.sum() == 0

    def test_no_integers(self):
        with pytest.raises(SchemaError, match=r"p1: labels are bool\. Give integers"):
            LabelMap(volume([0, 1], bool), STRUCTURES, "p1")

    def test_fractions_are_refused_with_what_was_found(self):
        with pytest.raises(LabelError, match=r"p1 holds .*: 0\.5 at \[0, 0, 0\]"):
            LabelMap(volume([0.5, 4], np.float64), STRUCTURES, "p1")

    @pytest.mark.parametrize("value", [np.float32(3.9999998), 4.0000001])
    def test_labels_that_are_whole_but_for_rounding_are_whole(self, value):
        found = LabelMap(volume([0, value], type(value)), STRUCTURES)
        assert found.array.tolist() == [[[0, 4]]]

    def test_label_without_structure_is_named(self):
        with pytest.raises(SchemaError, match=r"p1: holds the labels \[5\] besides"):
            LabelMap(volume([0, 4, 5]), STRUCTURES, "p1")

    @pytest.mark.parametrize(
        "structures", [{"RV": 4, "LV": 4}, {"RV": 0, "LV": 4}, {"RV": -1, "LV": 4}]
    )
    def test_structures_need_one_label_each_from_one(self, structures):
        with pytest.raises(SchemaError, match="one label of its own, from 1"):
            LabelMap(volume([0, 4]), structures)


class TestFiles:
    def test_one_row_a_file_in_the_order_of_the_cases(self, hearts, drawn):
        cohort = Cohort.read(hearts)
        found = mask_files(cohort)
        assert [file.patient_id for file in found] == ["p00", "p01", "p02"]
        assert [file.place for file in found] == [
            f"p0{k}_mask.nii.gz" for k in range(3)
        ]
        assert found[1].case_ids == ("p01_RV", "p01_MYO", "p01_LV")
        assert dict(found[1].structures) == drawn.STRUCTURES
        mask = read_label_map(found[1].path, found[1].structures)
        assert sorted(np.unique(mask.array)) == [0, 1, 2, 3]

    def test_excluded_cases_lend_their_structure_and_are_not_served(self, hearts):
        def exclude(cases):
            cases["exclude"] = cases["case_id"].isin(["p00_RV"])
            cases.loc[cases["patient_id"] == "p02", "exclude"] = True
            cases["exclude_reason"] = np.where(cases["exclude"], "blurred", None)

        found = mask_files(rewritten(hearts, exclude))
        assert [file.patient_id for file in found] == ["p00", "p01"]
        assert found[0].case_ids == ("p00_MYO", "p00_LV")
        assert set(found[0].structures) == {"RV", "MYO", "LV"}

    def test_an_excluded_case_may_have_the_name_of_another(self, hearts):
        def second_reader(cases):
            cases["exclude"] = cases["case_id"].isin(["p00_RV", "p01_MYO"])
            cases["exclude_reason"] = np.where(cases["exclude"], "reader 2", None)
            cases.loc[cases["exclude"], "lesion_id"] = "LV"

        found = mask_files(rewritten(hearts, second_reader))
        # RV, MYO, LV: the included one has the name, wherever it stands
        assert dict(found[0].structures) == {"p00_RV": 1, "MYO": 2, "LV": 3}
        assert dict(found[1].structures) == {"RV": 1, "p01_MYO": 2, "LV": 3}
        assert found[0].case_ids == ("p00_MYO", "p00_LV")

    def test_a_file_without_labels_is_one_structure(self, tiny_cohort, tmp_path):
        found = mask_files(tiny_cohort, modality="ct")
        assert [dict(file.structures) for file in found] == 3 * [{"lesion": None}]
        path = tmp_path / "mask.nii.gz"
        write_volume(volume([0, 3, 255]), path)
        mask = read_label_map(path, found[0].structures)
        assert dict(mask.structures) == {"lesion": 1}
        assert mask.array.tolist() == [[[0, 1, 1]]]

    def test_label_of_a_file_that_no_case_has(self, tmp_path):
        path = tmp_path / "mask.nii.gz"
        write_volume(volume([0, 4, 7]), path)
        with pytest.raises(SchemaError, match=r"mask\.nii\.gz: holds the labels \[7\]"):
            read_label_map(str(path), STRUCTURES)

    def test_file_of_two_patients(self, hearts):
        def share(cases):
            cases.loc[cases["patient_id"] == "p01", "mask"] = "p00_mask.nii.gz"
            other = cases["patient_id"] == "p01"
            cases.loc[other, "mask_label"] = ["4", "5", "6"]
            cases.loc[other, "lesion_id"] = ["A", "B", "C"]

        with pytest.raises(SchemaError, match=r"serves the patients \['p00', 'p01'\]"):
            mask_files(rewritten(hearts, share))

    def test_file_of_two_cases_with_one_structure(self, hearts):
        cohort = Cohort.read(hearts)
        cohort.cases.loc["p00_MYO", "lesion_id"] = "RV"
        with pytest.raises(SchemaError, match="a name and a label of its own"):
            mask_files(cohort)

    def test_file_of_several_cases_without_labels(self, hearts):
        cohort = Cohort.read(hearts)
        cohort.cases.loc["p00_MYO", "mask_label"] = None
        with pytest.raises(SchemaError, match="a name and a label of its own"):
            mask_files(cohort)


def test_modality_is_needed_where_there_are_two(tiny_cohort):
    assert modality_of(tiny_cohort, "pet") == "pet"
    for wrong in (None, "mr"):
        with pytest.raises(SchemaError, match=r"has \['ct', 'pet'\]"):
            modality_of(tiny_cohort, wrong)
    with pytest.raises(SchemaError, match="did you mean"):
        modality_of(tiny_cohort, "pett")


def test_the_only_modality_need_not_be_named(hearts):
    assert modality_of(Cohort.read(hearts), None) == "mr"
