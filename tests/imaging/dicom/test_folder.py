"""A folder is sorted out: series, what was drawn on them, and what is left."""

import subprocess
import sys

import numpy as np
import pytest

import radlatent as rl
from radlatent.errors import DicomError, SchemaError

SQUARE = np.array([(-8.5, -17.5, 7), (-5.5, -17.5, 7), (-5.5, -14.5, 7)], float)
SQUARE = np.vstack([SQUARE, [(-8.5, -14.5, 7)]])


@pytest.fixture
def slices(write, rng):
    return write.slices(rng.integers(-1000, 1000, (4, 8, 6)).astype(np.int16))


def test_a_mixed_folder_is_sorted_out(write, slices):
    write.save(slices, "ct")
    write.save(write.pet(np.ones((3, 4, 4), np.int16)), "zz")
    dose = write.file("1.2.840.10008.5.1.4.1.1.481.2", "1.2.9", Modality="RTDOSE")
    enhanced = write.file("1.2.840.10008.5.1.4.1.1.4.1", "1.2.8", Modality="MR")
    write.save([dose, enhanced], "other")
    (write.folder / "notes.txt").write_text("hello", "utf-8")
    structures = write.structures({"GTV, left": [SQUARE], "body": []}, on=slices)
    folder = write.save([structures], "rt")

    found = rl.read_dicom(folder)
    assert found.summary["modality"].tolist() == ["ct", "pet"]
    assert found.summary["n_files"].tolist() == [4, 3]
    assert found.summary["structures"].tolist() == ["GTV, left, body", ""]
    assert found.summary["problem"].tolist() == ["", ""]
    reasons = dict(zip(found.left_out["path"], found.left_out["reason"], strict=True))
    assert {path.rpartition("/")[2]: why[:8] for path, why in reasons.items()} == {
        "notes.txt": "no DICOM",
        "other000.dcm": "RTDOSE: ",
        "other001.dcm": "enhanced",
    }
    ct, pet = found
    masks = ct.masks()
    assert masks["GTV, left"].array.sum() == 9
    assert masks["body"].array.sum() == 0
    assert (ct.unit, pet.unit) == ("HU", "SUV")
    assert pet.read().array.max() == pytest.approx(pet.scale.factor, rel=1e-6)


@pytest.mark.parametrize(
    ("roi", "names"),
    [
        (None, ["GTV_1", "GTV_2", "lung"]),
        ("GTV", ["GTV", "GTV"]),
        (r"GTV_(\d)", ["1", "2"]),
        ("(?i)LUNG", ["lung"]),
        ("none", []),
    ],
)
def test_roi_picks_and_names(write, slices, roi, names):
    write.save(slices)
    regions = {name: [SQUARE] for name in ("GTV_1", "GTV_2", "lung")}
    [series] = rl.read_dicom(write.save([write.structures(regions)], "rt"), roi=roi)
    assert [one.name for one in series.structures] == names
    if len(set(names)) < len(names):
        with pytest.raises(DicomError, match="called 'GTV'"):
            series.masks()


def test_series_are_found_though_uids_match_nothing(write, slices):
    write.save(slices)
    structures = write.structures({"GTV": [SQUARE]}, FrameOfReferenceUID="1.2.3")
    region = structures.StructureSetROISequence[0]
    region.ReferencedFrameOfReferenceUID = "1.2.3.4"
    [series] = rl.read_dicom(write.save([structures], "rt"))
    assert series.masks()["GTV"].array.sum() == 9


def test_what_may_be_of_two_series_is_left_out(write, slices):
    write.save(slices, "ct")
    write.save(write.pet(np.ones((3, 4, 4), np.int16)), "pet")
    found = rl.read_dicom(write.save([write.structures({"GTV": [SQUARE]})], "rt"))
    assert [one.structures for one in found] == [(), ()]
    assert found.left_out["reason"].str.contains("2 series here").all()


def test_one_bad_series_does_not_hide_others(write, slices):
    write.save(slices[:1] + slices[2:], "ct")
    folder = write.save(write.pet(np.ones((3, 4, 4), np.int16), Units="CNTS"), "pet")
    problems = rl.read_dicom(folder).summary["problem"]
    assert "1 slices are missing" in problems[0]
    assert "Units is CNTS" in problems[1]
    [_, pet] = rl.read_dicom(folder, suv=None)
    assert (pet.unit, pet.read().array.max()) == ("CNTS", 1)


def test_what_was_asked_for_is_checked(write, tmp_path):
    with pytest.raises(DicomError, match="is no folder"):
        rl.read_dicom(tmp_path / "nothing")
    with pytest.raises(SchemaError, match="no regular expression"):
        rl.read_dicom(tmp_path, roi="(")
    with pytest.raises(SchemaError, match="suv is 'lean'"):
        rl.read_dicom(tmp_path, suv="lean")
    (tmp_path / "a.txt").write_text("x", "utf-8")
    with pytest.raises(DicomError, match="holds no series"):
        rl.read_dicom(tmp_path)


def test_without_pydicom_the_extra_is_named(tmp_path):
    (tmp_path / "pydicom.py").write_text(
        "raise ModuleNotFoundError('No module', name='pydicom')", "utf-8"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import radlatent as rl\n"
        "try: rl.read_dicom('x')\nexcept ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == 'DICOM needs pydicom: pip install "radlatent[dicom]".\n'


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("patient", ["STS_002", "STS_008"])
def test_real_contours_are_the_masks_of_ibsi(real_data, patient):
    from radlatent.imaging import read_volume

    found = rl.read_dicom(real_data / "sts_dicom" / patient, roi="GTV_Mass")
    assert found.summary["modality"].tolist() == ["ct", "mr", "pet"]
    for series, modality in zip(found, ("CT", "MR_T1", "PET"), strict=True):
        path = real_data / "sts" / patient / f"{modality}_mask.nii.gz"
        compare(series.masks()["GTV_Mass"], read_volume(path))


@pytest.mark.real
@pytest.mark.slow
def test_real_contours_of_a_raw_pet_are_the_mask_of_ibsi(real_data):
    from radlatent.imaging import read_volume

    [series] = rl.read_dicom(real_data / "sts_raw_dicom", roi="GTV_Mass")
    mask = series.masks()["GTV_Mass"]
    assert mask.array.sum() == 5095
    compare(mask, read_volume(real_data / "sts/STS_001/PET_mask.nii.gz"))


def compare(mask, reference):
    """Compare a mask with one that was cropped, voxel by voxel."""
    inside = np.argwhere(reference.array > 0)
    places = np.rint(mask.to_index(reference.to_world(inside))).astype(int)
    expected = np.zeros(mask.shape, np.uint8)
    expected[tuple(places.T)] = 1
    np.testing.assert_array_equal(mask.array, expected)
