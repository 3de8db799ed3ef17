"""Plain and packed pixels are the same; what cannot be read is said."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from radlatent.errors import DicomError
from radlatent.imaging.dicom.pixels import read_pixels


@pytest.fixture
def values(rng):
    return rng.integers(-1000, 1000, (1, 16, 20)).astype(np.int16)


@pytest.fixture
def path(write):
    def save(dataset):
        return write.save([dataset]) / "slice000.dcm"

    return save


def test_big_endian_values_are_read(write, values):
    [made] = write.slices(values)
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    made.PixelData = values.astype(">i2").tobytes()
    to = write.folder / "big.dcm"
    write.folder.mkdir(parents=True)
    made.save_as(to, implicit_vr=False, little_endian=False, enforce_file_format=True)
    np.testing.assert_array_equal(read_pixels(to), values[0])


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEGLSLossless"])
def test_packed_values_are_read_without_their_slope(write, path, values, syntax):
    [made] = write.slices(values, RescaleSlope="2.5", RescaleIntercept="7")
    made.compress(getattr(pydicom.uid, syntax))
    np.testing.assert_array_equal(read_pixels(path(made)), values[0])


def test_jpeg_2000_is_read(values, tmp_path):
    image = sitk.GetImageFromArray(values[0])
    packed = tmp_path / "packed.dcm"
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(packed))
    writer.SetCompressor("JPEG2000")
    writer.UseCompressionOn()
    writer.Execute(image)
    with pydicom.dcmread(packed) as there:
        assert there.file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(read_pixels(packed), values[0])


def test_a_syntax_that_is_not_read_is_named(write, path, values):
    [made] = write.slices(values)
    made.PixelData = pydicom.encaps.encapsulate([b"0000"])
    made["PixelData"].is_undefined_length = True
    made.file_meta.TransferSyntaxUID = pydicom.uid.MPEG2MPML
    with pytest.raises(DicomError, match=r"MPEG2.*not read\. Unpack the series"):
        read_pixels(path(made))


def test_a_packed_stream_that_is_none_is_told(write, path, values):
    [made] = write.slices(values)
    made.PixelData = pydicom.encaps.encapsulate([b"not a jpeg at all"])
    made["PixelData"].is_undefined_length = True
    made.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLosslessSV1
    with pytest.raises(DicomError, match="cannot be unpacked"):
        read_pixels(path(made))


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({"Rows": 17}, "take 680 bytes, found 640"),
        ({"Rows": 0}, "says 0 x 20 pixels"),
        ({"BitsStored": 17}, "BitsStored 17"),
        ({"HighBit": 3}, "HighBit 3"),
        ({"SamplesPerPixel": 3}, "colors"),
        ({"NumberOfFrames": "2"}, "several frames"),
    ],
)
def test_headers_that_contradict_the_voxels_are_refused(
    write, path, values, tags, told
):
    [made] = write.slices(values, **tags)
    with pytest.raises(DicomError, match=told):
        read_pixels(path(made))
