"""Headers are plain texts, and damaged files are told by name."""

import numpy as np
import pydicom
import pytest

from radlatent.errors import DicomError
from radlatent.imaging.dicom.headers import is_dicom, open_dataset, read_header


@pytest.fixture
def path(write):
    def save(**tags):
        made = write.slices(np.zeros((1, 4, 4), np.int16), **tags)
        return write.save(made) / "slice000.dcm"

    return save


def test_tags_are_texts_and_numbers(path):
    header = read_header(path(PixelSpacing=[0.5, 0.25], SeriesDescription="a\\b"))
    assert header.text("Modality") == "CT"
    assert header.numbers("PixelSpacing", 2) == (0.5, 0.25)
    assert header.number("Rows") == 4
    assert header.text("Units") == ""
    assert header.number("Units") is None


def test_a_number_that_is_none_is_named(path):
    there = path()
    stored = there.read_bytes()
    at = stored.index(b"\x28\x00\x53\x10DS") + 8
    there.write_bytes(stored[:at] + b"x " + stored[at + 2 :])
    header = read_header(there)
    with pytest.raises(DicomError, match=r"RescaleSlope is .*not a number"):
        header.number("RescaleSlope")


def test_what_is_no_dicom_is_known(tmp_path):
    (tmp_path / "a.dcm").write_bytes(bytes(200))
    assert not is_dicom(tmp_path / "a.dcm")
    with pytest.raises(DicomError, match=r"a\.dcm: no DICOM file"):
        read_header(tmp_path / "a.dcm")


def test_a_deflated_file_is_not_inflated(write):
    [made] = write.slices(np.zeros((1, 64, 64), np.int16))
    made.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    there = write.save([made]) / "slice000.dcm"
    with pytest.raises(DicomError, match="deflated as a whole"):
        read_header(there)
    # a preamble that looks like tags
    stored = there.read_bytes()
    there.write_bytes(b"\x02\0\0\0UL\x04\0".ljust(128, b"\0") + stored[128:])
    with pytest.raises(DicomError, match="deflated as a whole"):
        read_header(there)


@pytest.mark.parametrize("deflated", [False, True])
def test_a_file_without_preamble_keeps_its_transfer_syntax(write, deflated):
    [made] = write.slices(np.ones((1, 4, 4), np.int16))
    syntax = "1.2.840.10008.1.2.1" + ".99" * deflated
    made.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    there = write.save([made]) / "slice000.dcm"
    there.write_bytes(there.read_bytes()[132:])
    assert is_dicom(there)
    if deflated:
        with pytest.raises(DicomError, match="deflated as a whole"):
            read_header(there)
        return
    assert read_header(there).syntax == syntax
    with open_dataset(there) as dataset:
        assert (dataset.pixel_array == 1).all()


def test_what_fails_inside_of_a_dataset_is_told_with_its_file(path):
    there = path()
    told = r"slice000\.dcm: .*damaged"
    with pytest.raises(DicomError, match=told), open_dataset(there) as dataset:
        _ = dataset.NoSuchThing


@pytest.mark.parametrize("creator", ["Philips PET Private Group", None])
@pytest.mark.parametrize("block", [0x10, 0x11])
def test_private_tags_of_philips_are_found(write, creator, block):
    [made] = write.slices(np.zeros((1, 4, 4), np.int16), Manufacturer="Philips")
    if creator:
        made.add_new((0x7053, block), "LO", creator)
    made.add_new((0x7053, block * 256), "DS", "0.000567")
    header = read_header(write.save([made]) / "slice000.dcm")
    # without its creator a block could be anybody's but where it always lies
    expected = 0.000567 if creator or block == 0x10 else None
    assert header.number("PhilipsSUVScaleFactor") == expected
