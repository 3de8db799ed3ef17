"""A folder is sorted out: series, what was drawn on them, and what is left."""

import subprocess
import sys

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2KLossless

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


@pytest.mark.parametrize("implicit", [True, False])
def test_files_without_a_preamble_are_read(write, slices, implicit):
    structures = write.structures({"GTV": [SQUARE]}, on=slices)
    write.folder.mkdir(parents=True)
    expected = np.stack([one.pixel_array for one in slices])
    for k, one in enumerate([*slices, structures]):
        del one.file_meta
        path = write.folder / f"{k}"
        one.save_as(path, implicit_vr=implicit, little_endian=True)
        assert path.read_bytes()[128:132] != b"DICM"
    [series] = rl.read_dicom(write.folder)
    np.testing.assert_array_equal(series.read().array, expected)
    assert series.masks()["GTV"].array.sum() == 9


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("all.zip", b"PK\x03\x04" + bytes(200), "a ZIP archive: unpack it first"),
        ("a.dcm.gz", b"\x1f\x8b" + bytes(200), "a gzip file: unpack it first"),
        ("DICOMDIR", bytes(200), "found in all folders below it, without a DICOMDIR"),
    ],
)
def test_what_is_no_folder_says_what_to_do(write, slices, name, content, told):
    path = write.save(slices) / name
    path.write_bytes(content)
    with pytest.raises(DicomError, match=told):
        rl.read_dicom(path)
    [reason] = rl.read_dicom(write.folder).left_out["reason"]
    if name != "DICOMDIR":
        assert reason == told


def test_a_dicomdir_beside_the_files_is_no_fault(write, slices):
    made = write.file("1.2.840.10008.1.3.10", "1.2.7")
    del made.SOPClassUID, made.SOPInstanceUID
    made.preamble = bytes(128)
    made.save_as(write.save(slices) / "DICOMDIR", implicit_vr=False)
    found = rl.read_dicom(write.folder)
    assert found.summary["n_files"].tolist() == [4]
    [reason] = found.left_out["reason"]
    assert reason.startswith("DICOMDIR: a list of files")


@pytest.mark.parametrize(
    "kind",
    ["2.1", "4.1", "130", "2.2", "4.4", "128.1"],
)
def test_images_of_many_frames_are_refused_by_name(write, slices, kind):
    write.save(slices)
    uid = f"1.2.840.10008.5.1.4.1.1.{kind}"
    many = write.file(uid, "1.2.8", Modality="MR")
    [reason] = rl.read_dicom(write.save([many], "many")).left_out["reason"]
    assert "enhanced" in reason
    assert "all slices in one file. Convert it" in reason


@pytest.mark.parametrize(
    ("study", "series", "date"),
    [
        ("20200102", "20200103", "2020-01-02"),
        ("2020.01.02", None, "2020-01-02"),
        ("00000000", "20200103", "2020-01-03"),
        ("REMOVED", None, ""),
        (None, None, ""),
    ],
)
def test_what_is_no_date_is_none(write, slices, study, series, date):
    for one in slices:
        one.StudyDate = study or ""
        if series:
            one.SeriesDate = series
    [found] = rl.read_dicom(write.save(slices))
    assert found.study_date == date


@pytest.mark.parametrize("charset", ["ISO_IR 192", "ISO_IR 100", "GB18030"])
def test_names_of_structures_are_in_their_alphabet(write, slices, charset):
    name = "肿瘤 1" if charset == "GB18030" else "Läsion é"
    write.save(slices)
    drawn = write.structures({name: [SQUARE]}, on=slices, SpecificCharacterSet=charset)
    [series] = rl.read_dicom(write.save([drawn], "rt"))
    assert [*series.masks()] == [name]


def test_another_frame_of_reference_is_told(write, slices):
    write.save(slices)
    drawn = write.structures({"GTV": [SQUARE]}, on=slices)
    drawn.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.2.3"
    drawn.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = "1.2.3"
    [series] = rl.read_dicom(write.save([drawn], "rt"))
    mask, notes = series.draw(series.structures[0])
    assert mask.array.sum() == 9
    assert "another frame of reference" in notes[-1]


def test_contours_on_oblique_slices_are_those_on_straight_ones(write, slices):
    turn, tip = np.radians([23, 41])
    about_x = np.array(
        [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
    )
    about_z = np.array(
        [[np.cos(tip), -np.sin(tip), 0], [np.sin(tip), np.cos(tip), 0], [0, 0, 1]]
    )
    turned = about_z @ about_x
    triangle = np.array([(-9.4, -19.6, 9), (-5.2, -16.1, 9), (-9.1, -13.3, 9)])
    for one in slices:
        place = turned @ np.array(one.ImagePositionPatient, float)
        one.ImagePositionPatient = [f"{v:.9f}" for v in place]
        one.ImageOrientationPatient = [f"{v:.9f}" for v in turned[:, :2].T.ravel()]
    write.save(slices)
    drawn = write.structures({"straight": [triangle @ turned.T]}, on=slices)
    [series] = rl.read_dicom(write.save([drawn], "rt"))
    index = np.indices((8, 6)).reshape(2, -1).T
    centers = index[:, ::-1] + [-10, -20]
    from matplotlib.path import Path

    inside = Path(triangle[:, :2]).contains_points(centers).reshape(8, 6)
    array = series.masks()["straight"].array
    np.testing.assert_array_equal(array[2], inside)
    assert array.sum() == inside.sum() > 5


def test_values_packed_with_losses_are_noted(write, slices):
    for one in slices:
        one.LossyImageCompression = "01"
    [series] = rl.read_dicom(write.save(slices))
    assert "packed with losses" in series.stack.notes[0]


def test_a_packing_that_is_not_read_is_told_from_headers(write, slices):
    for one in slices:
        one.PixelData = encapsulate([b"0000"])
        one["PixelData"].is_undefined_length = True
        one.file_meta.TransferSyntaxUID = HTJ2KLossless
    [problem] = rl.read_dicom(write.save(slices)).summary["problem"]
    assert "High-Throughput JPEG 2000" in problem
    assert "Unpack the series first" in problem


def test_padding_of_twelve_signed_bits_keeps_its_value(write, rng):
    values = rng.integers(-1000, 2000, (2, 6, 6)).astype(np.int16)
    values[:, :2] = -2000
    stored = values.view(np.uint16) & 0x0FFF
    tags = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 1}
    slices = write.slices(stored, **tags, RescaleIntercept="-24")
    for one in slices:
        one.add_new(0x00280120, "SS", -2000)
    [series] = rl.read_dicom(write.save(slices))
    np.testing.assert_array_equal(series.read().array, values - 24)


def circles(radius_of, z, center=(0.0, 0.0)):
    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    for radius in radius_of(z):
        x, y = radius * np.cos(turn), radius * np.sin(turn)
        yield np.column_stack([x, y, np.full(len(turn), float(z))])


def ball(z):
    return [np.sqrt(18**2 - z**2)] if abs(z) < 18 else []


def torus(z):
    wide = np.sqrt(7.5**2 - z**2) if abs(z) < 7.5 else 0
    return [13 + wide, 13 - wide] if wide else []


def cone(z):
    return [16 * (z + 20.5) / 40] if -20 <= z < 20 else []


def test_solids_in_a_file_have_their_volumes_to_one_percent(write):
    slices = write.slices(np.zeros((45, 45, 45), np.int16), spacing_mm=(1, 1, 1))
    for z, one in enumerate(slices):
        one.ImagePositionPatient = [-22, -22, z - 22]
    write.save(slices)
    solids = {"ball": ball, "torus": torus, "cone": cone}
    drawn = {
        name: [c for z in range(-22, 23) for c in circles(solid, z)]
        for name, solid in solids.items()
    }
    [series] = rl.read_dicom(write.save([write.structures(drawn, on=slices)], "rt"))
    found = {name: mask.array.sum() for name, mask in series.masks().items()}
    assert found == {
        "ball": pytest.approx(4 / 3 * np.pi * 18**3, rel=0.01),
        "torus": pytest.approx(2 * np.pi**2 * 13 * 7.5**2, rel=0.01),
        "cone": pytest.approx(np.pi * 16**2 * 40 / 3, rel=0.01),
    }


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
