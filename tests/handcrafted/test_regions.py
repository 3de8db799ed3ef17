"""A region of several labels is measured as if both were one label."""

import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Cohort, check
from radlatent.errors import CohortError, EmptyMaskError, SchemaError
from radlatent.handcrafted import extract, lesion_centroids
from radlatent.imaging import read_pair, read_volume, write_volume
from radlatent.masks import mask_files, score
from radlatent.schema import check_table


def nested(path):
    """Write a ball as label 2 whose upper half is 1 and whose core is 4."""
    volume = read_volume(path)
    inside = volume.array > 0
    labels = 2 * inside.astype(np.uint8)
    labels[8:][inside[8:]] = 1
    labels[7:9, 7:9, 7:9] = 4
    write_volume(volume.with_array(labels), path)
    return labels


@pytest.fixture
def regions(tiny_folder):
    for path in tiny_folder.glob("p*/*_mask.nii.gz"):
        nested(path)
    return tiny_folder


def name_labels(folder, labels):
    cases = pd.read_csv(folder / "cases.csv", dtype=str)
    cases["mask_label"] = labels
    cases.to_csv(folder / "cases.csv", index=False)
    return folder


def test_a_region_is_measured_as_one_label(regions):
    found = extract(Cohort.read(name_labels(regions, "4 + 1")))
    places = lesion_centroids(Cohort.read(regions), "pet")
    assert found.failures.empty
    assert set(found.provenance["mask_label"]) == {"1+4"}
    check_table(found.provenance, "provenance")
    for path in regions.glob("p*/*_mask.nii.gz"):
        mask = read_volume(path)
        one = np.isin(mask.array, (1, 4)).astype(np.uint8) * 7
        write_volume(mask.with_array(one), path)
    single = Cohort.read(name_labels(regions, "7"))
    pd.testing.assert_frame_equal(extract(single).features, found.features)
    pd.testing.assert_frame_equal(lesion_centroids(single, "pet"), places)


def test_labels_beside_a_region_keep_their_values(regions):
    alone = extract(Cohort.read(name_labels(regions, "2")))
    mixed = Cohort.read(name_labels(regions, ["2", "1+4", ""]))
    assert mixed.cases["mask_label"].tolist() == ["2", "1+4", None]
    found = extract(mixed)
    pd.testing.assert_series_equal(found.features.loc["p1"], alone.features.loc["p1"])
    keys = [one.provenance.set_index("case_id")["key"]["p1"] for one in (alone, found)]
    assert keys[0].tolist() == keys[1].tolist()


def test_whole_numbers_stay_whole_numbers(regions):
    cases = Cohort.read(name_labels(regions, ["2", "", "2.0"])).cases
    assert cases["mask_label"].dtype == "Int64"
    assert extract(Cohort.read(regions)).provenance["mask_label"].dtype == "Int64"


def test_a_region_without_one_of_its_labels_is_refused(regions):
    cohort = Cohort.read(name_labels(regions, ["1+3+4", "1+4", "1+4"]))
    problems = check(regions).problems
    assert problems["problem"].str.contains(r"1\+3\+4: 3 is absent; labels pr").all()
    assert set(problems["case_id"]) == {"p1"}
    failures = extract(cohort).failures
    assert set(failures["error"]) == {"EmptyMaskError"}
    assert failures["message"].str.contains(r"has label 3 of the region 1\+3\+4").all()
    with pytest.raises(EmptyMaskError, match=r"label 8\+9 of the region 8\+9"):
        read_pair(*cohort.files("p1", "ct"), mask_label=(8, 9))


@pytest.mark.parametrize("cell", ["1,4", "1;4", "1.4", "0+1", "1+70000", "+4+"])
def test_the_message_says_what_is_possible(regions, cell):
    problem = check(name_labels(regions, cell)).problems.iloc[0]
    assert problem["column"] == "mask_label"
    assert "one label (2), the labels of one region (1+4), or noth" in problem["remedy"]
    with pytest.raises(CohortError):
        Cohort.read(regions)


def test_label_maps_refuse_regions_and_rules_of_lesions_take_them(regions):
    cohort = Cohort.read(name_labels(regions, "1+4"))
    with pytest.raises(SchemaError, match=r"'p1' is the region 1\+4 of .*one label"):
        mask_files(cohort, modality="ct")
    assert score(cohort, rules="lesion", modality="ct").failures.empty


def test_a_derived_cohort_keeps_its_regions(regions, tmp_path):
    cohort = Cohort.read(name_labels(regions, "1+4"))
    drawn = tmp_path / "again.nii.gz"
    drawn.write_bytes(cohort.files("p1", "ct")[1].read_bytes())
    masks = pd.DataFrame({"mask_ct": {"p1": drawn}})
    again = cohort.with_masks(masks, name="B", made_by={"name": "B"})
    read = Cohort.read(again.write(tmp_path / "B"))
    assert set(read.cases["mask_label"]) == {"1+4"}
    first, second = (extract(one).features for one in (cohort, read))
    np.testing.assert_array_equal(first, second)
