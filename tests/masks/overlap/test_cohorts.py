"""Masks of two cohorts: one row a case, files read once, no row lost."""

import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Cohort
from radlatent.errors import CohortError, SchemaError
from radlatent.imaging import Volume, read_volume, write_volume
from radlatent.masks.overlap import label_boxes
from radlatent.masks.overlap.cohorts import compare_cohorts
from radlatent.masks.overlap.compare import compare_masks, summarize_overlap
from radlatent.schema import check_failures

STRUCTURES = {"RV": 1, "MYO": 2, "LV": 3}
SPACING = (8.0, 1.5, 1.25)
CARD = """\
name: {name}
freeze: "2026-11-26"
modalities:
  mr: {{unit: arbitrary, preset: mr}}
"""


def labels(random):
    array = np.zeros((4, 12, 14), np.uint8)
    for label in STRUCTURES.values():
        z, y, x = random.integers(0, (2, 8, 10))
        array[z : z + 2, y : y + 4, x : x + 4] = label
    return array


@pytest.fixture
def make_cohort(tmp_path):
    def make(name, arrays, spacing_mm=SPACING, **columns):
        folder = tmp_path / name
        rows = []
        for patient, array in arrays.items():
            image = Volume(np.zeros(array.shape, np.int16), spacing_mm)
            write_volume(image, folder / f"{patient}_image.nii.gz")
            write_volume(image.with_array(array), folder / f"{patient}.nii.gz")
            about = {"patient_id": patient, "image_mr": f"{patient}_image.nii.gz"}
            about["mask"] = f"{patient}.nii.gz"
            for lesion, label in STRUCTURES.items():
                row = {"case_id": f"{patient}_{lesion}", "lesion_id": lesion}
                rows.append(row | about | {"mask_label": label})
        pd.DataFrame(rows).assign(**columns).to_csv(folder / "cases.csv", index=False)
        (folder / "cohort.yml").write_text(CARD.format(name=name), "utf-8")
        return Cohort.read(folder)

    return make


@pytest.fixture
def arrays(rng):
    return tuple({p: labels(rng) for p in ("p1", "p2")} for _ in range(2))


@pytest.fixture
def both(make_cohort, arrays):
    return make_cohort("network", arrays[0]), make_cohort("expert", arrays[1])


def test_each_case_has_the_metrics_of_its_structure(both, arrays):
    found = compare_cohorts(*both, tolerance_mm=3)
    assert found.failures.empty
    assert found.table.index.equals(both[0].included.index)
    assert found.table.index.name == "case_id"
    for patient in ("p1", "p2"):
        pair = [one[patient] for one in arrays]
        wanted = compare_masks(
            *pair, structures=STRUCTURES, spacing_mm=SPACING, tolerance_mm=3
        )
        ours = found.table[found.table["patient_id"] == patient]
        ours = ours.drop(columns="patient_id").set_index("structure")
        # the file keeps the spacing in float32
        pd.testing.assert_frame_equal(ours, wanted, rtol=1e-6)
    assert "within 3 mm" in found.definitions["nsd"]


def test_files_that_cases_share_are_read_once(both, monkeypatch):
    read = []

    def count(path, **options):
        read.append(str(path))
        return read_volume(path, **options)

    monkeypatch.setattr(label_boxes, "read_volume", count)
    compare_cohorts(*both)
    assert len(read) == len(set(read)) == 4


@pytest.mark.slow
def test_workers_and_no_workers_agree(both):
    one, two = (compare_cohorts(*both, jobs=jobs).table for jobs in (1, 2))
    pd.testing.assert_frame_equal(one, two)


def test_a_case_that_fails_keeps_its_row(make_cohort, arrays):
    network = make_cohort("network", arrays[0])
    (network.root / "p1.nii.gz").unlink()
    found = compare_cohorts(network, make_cohort("expert", arrays[1]))
    assert len(found.table) == 6
    failed = found.table["patient_id"] == "p1"
    assert found.table.loc[failed, "dice":"state"].isna().all(axis=None)
    assert found.table.loc[~failed, "dice":"state"].notna().all(axis=None)
    check_failures(found.failures)
    assert found.failures["case_id"].tolist() == ["p1_RV", "p1_MYO", "p1_LV"]
    assert set(found.failures["error"]) == {"FileNotFoundError"}
    assert repr(found) == "MaskComparison(6 cases, 3 structures, 3 cases failed)"
    dice = found.summary.query("metric == 'dice'")
    assert dice["n"].tolist() == dice["failed"].tolist() == [1, 1, 1]
    assert dice["n_rows"].tolist() == [2, 2, 2]


def test_other_grids_fail_by_name(make_cohort, arrays):
    moved = make_cohort("network", arrays[0], spacing_mm=(8.0, 1.5, 1.5))
    found = compare_cohorts(moved, make_cohort("expert", arrays[1]))
    assert found.table["dice"].isna().all()
    messages = found.failures["message"]
    assert messages.str.contains(r"case 'p\d_RV': the mask grid differs").all()
    # an empty table of numbers can be summarized still
    assert (found.summary["n"] == 0).all()


def test_a_mask_that_is_not_whole_numbers_fails(make_cohort, arrays):
    soft = {p: array + np.float32(0.5) for p, array in arrays[0].items()}
    found = compare_cohorts(make_cohort("a", soft), make_cohort("b", arrays[1]))
    assert set(found.failures["error"]) == {"LabelError"}
    assert found.failures["message"].str.contains("voxels between whole").all()


@pytest.mark.parametrize("factor", [0.9999999, 1.0000001])
def test_labels_that_are_whole_but_for_rounding_are_labels(make_cohort, arrays, factor):
    off = {p: array * np.float32(factor) for p, array in arrays[1].items()}
    found = compare_cohorts(make_cohort("a", arrays[1]), make_cohort("b", off))
    assert (found.table["dice"] == 1).all()


@pytest.mark.parametrize("odd", [-3, 70_000])
def test_a_label_that_no_case_asks_for_spoils_no_other(make_cohort, arrays, odd):
    other = {p: array.astype(np.int32) for p, array in arrays[1].items()}
    for array in other.values():
        array[tuple(np.argwhere(array == 0)[0])] = odd
    found = compare_cohorts(make_cohort("a", arrays[1]), make_cohort("b", other))
    assert (found.table["dice"] == 1).all()


def test_a_region_is_compared_as_one_structure(make_cohort, arrays):
    first, second = (
        make_cohort(name, one, mask_label="3+1")
        for name, one in zip("ab", arrays, strict=True)
    )
    assert set(first.cases["mask_label"]) == {"1+3"}
    region = [np.isin(one["p1"], (1, 3)) for one in arrays]
    wanted = compare_masks(*region, structures={"core": 1}, spacing_mm=SPACING)
    found = compare_cohorts(first, second).table.loc["p1_RV", "dice":"state"]
    pd.testing.assert_series_equal(
        found, wanted.loc["core"], rtol=1e-6, check_names=False
    )


def test_whole_numbers_stored_as_floats_are_labels(make_cohort, arrays):
    floats = {p: array.astype(np.float32) for p, array in arrays[1].items()}
    found = compare_cohorts(make_cohort("a", arrays[1]), make_cohort("b", floats))
    assert (found.table["dice"] == 1).all()


def test_structures_that_were_missed_are_counted(make_cohort, arrays):
    missed = {p: np.where(a == 2, 0, a) for p, a in arrays[1].items()}
    network = make_cohort("network", missed)
    found = compare_cohorts(network, make_cohort("expert", arrays[1]), empty="worst")
    myo = found.table[found.table["structure"] == "MYO"]
    assert (myo["state"] == "mask_empty").all()
    diagonal = np.linalg.norm(np.multiply((4, 12, 14), SPACING))
    # the file keeps the spacing in float32
    np.testing.assert_allclose(myo["hd_mm"], diagonal, rtol=1e-6)
    percent = found.summary.set_index(["structure", "metric"])["percent_not_segmented"]
    assert percent["MYO", "dice"] == 100
    assert percent["LV", "dice"] == 0
    assert found.failures.empty


def test_without_a_label_every_voxel_above_0_counts(make_cohort, arrays):
    one = {"mask_label": "", "lesion_id": "", "exclude": ["", "1", "1"] * 2}
    one["exclude_reason"] = ["", "one is enough", "one is enough"] * 2
    cohorts = [make_cohort(n, a, **one) for n, a in zip("ab", arrays, strict=True)]
    found = compare_cohorts(*cohorts).table
    assert found["structure"].tolist() == ["mask", "mask"]
    for patient in ("p1", "p2"):
        a, b = (one[patient] > 0 for one in arrays)
        dice = 2 * (a & b).sum() / (a.sum() + b.sum())
        assert found.loc[f"{patient}_RV", "dice"] == pytest.approx(dice, rel=1e-12)


def test_labels_of_the_two_may_differ(make_cohort, arrays):
    other = {p: np.where(a, 10 * a, 0) for p, a in arrays[1].items()}
    network = make_cohort("network", other, mask_label=[10, 20, 30] * 2)
    found = compare_cohorts(network, make_cohort("expert", arrays[1]))
    assert (found.table["dice"] == 1).all()


def test_other_cases_are_refused(make_cohort, arrays):
    fewer = make_cohort("fewer", {"p1": arrays[0]["p1"]})
    with pytest.raises(CohortError, match=r"\[\] are in the first only \(0\).*'p2_LV'"):
        compare_cohorts(fewer, make_cohort("expert", arrays[1]))


def test_what_was_left_out_of_the_first_keeps_its_row(make_cohort, arrays):
    left_out = {"exclude": ["", "1", ""] + [""] * 3}
    left_out["exclude_reason"] = ["", "segmentation failed: no image", ""] + [""] * 3
    network = make_cohort("network", arrays[0], **left_out)
    expert = make_cohort("expert", arrays[1])
    found = compare_cohorts(network, expert)
    whole = compare_cohorts(make_cohort("all", arrays[0]), expert).table
    lost = expert.included.index[1]
    assert found.table.index.tolist() == whole.index.tolist()
    assert found.table.loc[lost, "dice":"hd_mm"].isna().all()
    pd.testing.assert_frame_equal(found.table.drop(lost), whole.drop(lost))
    assert found.failures["case_id"].tolist() == [lost]
    assert "no image" in found.failures["message"][0]
    # the other way round there is nothing to judge by
    with pytest.raises(CohortError, match="in the first only"):
        compare_cohorts(expert, network)


def test_a_modality_is_asked_for_where_masks_differ(tiny_cohort):
    with pytest.raises(SchemaError, match=r"Give one of \['ct', 'pet'\]"):
        compare_cohorts(tiny_cohort, tiny_cohort)
    with pytest.raises(SchemaError, match="no modality 'pte'; did you mean 'pet'"):
        compare_cohorts(tiny_cohort, tiny_cohort, modality="pte")
    with pytest.raises(ValueError, match="tolerance_mm is -1"):
        compare_cohorts(tiny_cohort, tiny_cohort, modality="ct", tolerance_mm=-1)


def test_a_case_without_the_modality_fails(tiny_folder):
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases.loc[0, ["image_pet", "mask_pet"]] = ""
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    cohort = Cohort.read(tiny_folder)
    found = compare_cohorts(cohort, cohort, modality="pet")
    assert found.table["dice"].isna().tolist() == [True, False, False]
    [message] = found.failures["message"]
    assert message.startswith("case 'p1' has no mask in the cohort. Name it in cases")


@pytest.mark.real
@pytest.mark.slow
def test_hearts_agree_with_themselves(real_data, project_root):
    cohort = Cohort.read(project_root / "cohorts" / "acdc", root=real_data / "acdc")
    found = compare_cohorts(cohort, cohort)
    assert found.failures.empty
    assert len(found.table) == len(cohort.included)
    present = found.table[found.table["state"] == "both"]
    assert (present[["dice", "jaccard", "nsd"]] == 1).all(axis=None)
    assert (present[["hd_mm", "assd_mean_mm"]] == 0).all(axis=None)
    # expert volumes of the left ventricle at end-diastole: 60 to 400 ml in adults
    lv = summarize_overlap(found.table).set_index(["structure", "metric"])
    assert 60e3 < lv.loc[("LV", "volume_mm3"), "median"] < 400e3
