"""What is found under the name of an image, and is none."""

import shutil

import numpy as np
import pytest

from radlatent.errors import RadlatentError
from radlatent.imaging import Volume, read_geometry, write_volume


def refusal(path):
    with pytest.raises((OSError, RadlatentError)) as caught:
        read_geometry(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["x.nii.gz", "x.nii", "x.nrrd", "x.mha"])
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs"),
        (b"/annex/objects/MD5E-s1--0.nii.gz\n", "git annex get"),
        (b"<!DOCTYPE html><html>404</html>", "Download the image again"),
        (b"PK\x03\x04" + bytes(60), "a ZIP archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(60), "HDF5"),
        (bytes(128) + b"DICM" + bytes(300), "DICOM"),
    ],
)
def test_what_is_no_image_is_called_by_its_name(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    assert kind in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("made", "named"),
    [("x.nii", "y.nii.gz"), ("x.nii.gz", "y.nii"), ("x.nrrd", "y.mha")],
)
def test_an_intact_file_with_the_ending_of_another_is_not_called_damaged(
    tmp_path, rng, made, named
):
    image = Volume(rng.normal(0, 30, (6, 7, 8)).astype("f4"), (1.0, 1.0, 1.0))
    write_volume(image, tmp_path / made)
    shutil.move(tmp_path / made, tmp_path / named)
    said = refusal(tmp_path / named)
    assert f"Name it as it is: {made[1:]}" in said
    assert "damaged" not in said


@pytest.mark.parametrize("size", [0, -5])
def test_sizes_that_are_none_are_told_by_us(tmp_path, capfd, size):
    image = Volume(np.zeros((6, 7, 8), np.int16), (1.0, 1.0, 1.0))
    path = write_volume(image, tmp_path / "x.nii")
    content = bytearray(path.read_bytes())
    content[42:44] = np.int16(size).tobytes()
    path.write_bytes(content)
    assert f"3 axes of sizes [{size}, 7, 6]" in refusal(path)
    # ITK's reader would write to the terminal
    assert capfd.readouterr().err == ""
