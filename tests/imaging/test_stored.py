"""Files against their headers: nothing is read, nothing damaged passes."""

import gzip
import os
import struct
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from radlatent.errors import GeometryError
from radlatent.imaging import (
    Volume,
    check_stored,
    read_volume,
    stored,
    write_volume,
)
from radlatent.imaging.stored import gzip_length

FORMATS = [".nii", ".nii.gz", ".nrrd", ".mha"]


@pytest.fixture
def volume(rng):
    return Volume(rng.normal(size=(9, 10, 11)).astype(np.float32), (3, 1, 1))


@pytest.fixture(params=FORMATS)
def path(request, volume, tmp_path):
    return write_volume(volume, tmp_path / f"image{request.param}")


def claim(path, shape, at=40):
    """Write another shape into the header of a NIfTI-1 file."""
    stored = bytearray(path.read_bytes())
    struct.pack_into("<4h", stored, at, len(shape), *shape)
    path.write_bytes(stored)


def test_an_intact_file_passes(path):
    check_stored(path)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_is_found_without_reading_it(path, share):
    stored = path.read_bytes()
    path.write_bytes(stored[: int(share * len(stored))])
    with pytest.raises(OSError, match="was cut"):
        check_stored(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_bytes_behind_a_compressed_stream_are_found(volume, tmp_path, suffix):
    path = write_volume(volume, tmp_path / f"image{suffix}")
    with path.open("ab") as file:
        file.write(b"from another file")
    with pytest.raises(OSError, match="damaged or was cut"):
        check_stored(path)
    with pytest.raises(OSError, match="image"):
        read_volume(path)


def test_a_line_break_behind_the_stream_of_an_nrrd_is_no_damage(volume, tmp_path):
    # as files of the field have it
    path = write_volume(volume, tmp_path / "image.nrrd")
    with path.open("ab") as file:
        file.write(b"\r\n\n")
    check_stored(path)
    np.testing.assert_array_equal(read_volume(path).array, volume.array)


def test_zeros_behind_a_stream_are_no_damage(volume, tmp_path):
    path = write_volume(volume, tmp_path / "image.nii.gz")
    with path.open("ab") as file:
        file.write(bytes(3 * 2**20))
    check_stored(path)
    np.testing.assert_array_equal(read_volume(path).array, volume.array)


def test_a_stream_of_several_members_is_whole(volume, tmp_path):
    # as parallel compressors write it: the last length is that of the last member
    path = write_volume(volume, tmp_path / "image.nii")
    stored = path.read_bytes()
    parts = tmp_path / "parts.nii.gz"
    parts.write_bytes(gzip.compress(stored[:500]) + gzip.compress(stored[500:]))
    assert gzip_length(parts) != len(stored)
    check_stored(parts)
    np.testing.assert_array_equal(read_volume(parts).array, volume.array)
    parts.write_bytes(gzip.compress(stored[:500]) + gzip.compress(stored[500:-40]))
    with pytest.raises(OSError, match=r"claims 11 x 10 x 9 .* holds 3,920 bytes"):
        check_stored(parts)


def test_a_header_that_claims_a_trillion_voxels_costs_no_memory(volume, tmp_path):
    path = write_volume(volume, tmp_path / "image.nii")
    claim(path, (10000, 10000, 10000))
    with pytest.raises(OSError, match=r"10000 x 10000 x 10000 voxels .*990 voxels"):
        check_stored(path)
    with pytest.raises(OSError, match="10000 x 10000 x 10000"):
        read_volume(path)
    packed = tmp_path / "image.nii.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(OSError, match="10000 x 10000 x 10000"):
        check_stored(packed)


@pytest.mark.parametrize(
    ("suffix", "old", "new"),
    [
        (".nrrd", b"sizes: 11 10 9", b"sizes: 99999 99999 999"),
        (".mha", b"DimSize = 11 10 9", b"DimSize = 99999 99999 999"),
    ],
)
def test_text_headers_that_claim_too_much_are_refused(
    volume, tmp_path, suffix, old, new
):
    path = write_volume(volume, tmp_path / f"image{suffix}")
    stored = path.read_bytes()
    assert old in stored
    path.write_bytes(stored.replace(old, new))
    with pytest.raises(OSError, match="99999 x 99999 x 999 voxels"):
        read_volume(path)


def test_bits_that_contradict_the_data_type_are_refused(volume, tmp_path):
    path = write_volume(volume, tmp_path / "image.nii")
    stored = bytearray(path.read_bytes())
    struct.pack_into("<h", stored, 72, 16)  # bitpix; the type stays float32
    path.write_bytes(stored)
    with pytest.raises(OSError, match=r"float32 \(32 bits .* 16 bits a voxel"):
        read_volume(path)


@pytest.mark.parametrize("side", [0.0, np.nan, np.inf])
def test_voxels_of_no_size_are_refused(volume, tmp_path, side):
    path = write_volume(volume, tmp_path / "image.nii")
    stored = bytearray(path.read_bytes())
    struct.pack_into("<f", stored, 84, side)  # pixdim[2]
    path.write_bytes(stored)
    with pytest.raises(OSError, match=r"voxels of|header"):
        read_volume(path)


def test_a_stream_that_unpacks_to_too_much_is_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "zeros.nii.gz"
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((1024, 1024, 600))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header.binaryblock + bytes(4))
        for _ in range(600):
            file.write(bytes(2**20))
    code = (
        "import resource, sys; limit = 1_100_000_000; "
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "from radlatent.imaging.stored import check_stored\n"
        "try: check_stored(sys.argv[1])\n"
        "except OSError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    assert "1024 x 1024 x 600 voxels take 0.6 GiB" in done.stdout


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_next_to_nothing_that_unpacks_to_gibibytes_is_refused(
    tmp_path, monkeypatch, rng, suffix, dtype
):
    # what is refused at 2 GiB is shown at 100 KiB
    monkeypatch.setattr(stored, "_MOST_OF_DENSE", 100_000)
    empty = Volume(np.zeros((60, 60, 60), dtype), (3, 1, 1))
    bomb = write_volume(empty, tmp_path / f"bomb{suffix}")
    with pytest.raises(OSError, match="times the size of the file"):
        read_volume(bomb)
    noise = empty.with_array(rng.integers(0, 200, empty.shape).astype(dtype))
    image = write_volume(noise, tmp_path / f"image{suffix}")
    assert read_volume(image).array.any()
    if suffix == ".nii.gz":  # the remedy
        plain = write_volume(empty, tmp_path / "plain.nii")
        assert not read_volume(plain).array.any()
    monkeypatch.setattr(stored, "_MOST_OF_DENSE", 2 * 2**30)
    assert not read_volume(bomb).array.any()


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_an_intact_stream_is_unpacked_once(tmp_path, monkeypatch, rng, suffix, dtype):
    values = rng.integers(0, 200, (9, 10, 11)).astype(dtype)
    path = write_volume(Volume(values, (3, 1, 1)), tmp_path / f"image{suffix}")
    for again in ("_streamed", "_check_zlib"):
        monkeypatch.setattr(stored, again, None)
    np.testing.assert_array_equal(read_volume(path).array, values)


def test_a_stream_that_cannot_be_compared_is_unpacked_again(volume, tmp_path):
    # its bytes are in the other order
    path = write_volume(volume, tmp_path / "image.nrrd")
    head, _, packed = path.read_bytes().partition(b"\n\n")
    plain = np.frombuffer(gzip.decompress(packed), "<f4").astype(">f4").tobytes()
    head = head.replace(b"endian: little", b"endian: big")
    path.write_bytes(head + b"\n\n" + gzip.compress(plain))
    np.testing.assert_array_equal(read_volume(path).array, volume.array)
    damaged = bytearray(gzip.compress(plain))
    damaged[-6] ^= 1  # of the checksum
    path.write_bytes(head + b"\n\n" + damaged)
    with pytest.raises(OSError, match="damaged or was cut"):
        read_volume(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_2_lies_where_nifti_1_lies(tmp_path, rng, suffix):
    voxels = rng.integers(-100, 100, (5, 6, 7)).astype(np.int16)
    turned = np.array(
        [[0.8, -0.72, 1.44, -40], [0.6, 0.96, -1.92, 12], [0, 1.6, 1.8, 7], [0] * 4]
    )
    turned[3, 3] = 1
    for kind, name in ((nib.Nifti1Image, "one"), (nib.Nifti2Image, "two")):
        image = kind(voxels, turned)
        image.header.set_slope_inter(1, 0)
        nib.save(image, tmp_path / f"{name}{suffix}")
    one, two = (read_volume(tmp_path / f"{n}{suffix}") for n in ("one", "two"))
    np.testing.assert_array_equal(two.array, voxels.T)
    # NIfTI-1 keeps float32
    np.testing.assert_allclose(two.affine, one.affine, atol=1e-5)


@pytest.mark.parametrize("shape", [(10, 10, 9), (11, 10, 1), (11, 5, 9)])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_header_that_claims_less_than_the_file_holds_is_found(
    volume, tmp_path, suffix, shape
):
    path = write_volume(volume, tmp_path / "image.nii")
    claim(path, shape)
    if suffix == ".nii.gz":
        path = tmp_path / "image.nii.gz"
        path.write_bytes(gzip.compress((tmp_path / "image.nii").read_bytes()))
    with pytest.raises(OSError, match=r"or more\. Its header is damaged"):
        check_stored(path)
    with pytest.raises(OSError, match="header is damaged"):
        read_volume(path)


@pytest.mark.parametrize(
    ("suffix", "field"), [(".nrrd", b"sizes: "), (".mha", b"DimSize = ")]
)
def test_fewer_voxels_than_a_text_header_claims_are_found(
    volume, tmp_path, suffix, field
):
    path = write_volume(volume, tmp_path / f"image{suffix}")
    stored = path.read_bytes()
    path.write_bytes(stored.replace(field + b"11 10 9", field + b"11 10 8", 1))
    with pytest.raises(OSError, match="header is damaged"):
        read_volume(path)


def test_some_bytes_after_the_voxels_change_none(volume, tmp_path):
    path = write_volume(volume, tmp_path / "image.nii")
    with path.open("ab") as file:
        file.write(bytes(64))
    np.testing.assert_array_equal(read_volume(path).array, volume.array)


@pytest.mark.parametrize("value", [b"1 x 2", b"1 2", b"nan 0 0"])
def test_numbers_of_a_metaimage_header_are_numbers(volume, tmp_path, value):
    path = write_volume(volume, tmp_path / "image.mha")
    path.write_bytes(path.read_bytes().replace(b"Offset = 0 0 0", b"Offset = " + value))
    with pytest.raises(OSError, match=r"not 3 numbers|damaged"):
        read_volume(path)


@pytest.mark.parametrize("at", [-1, -40])
@pytest.mark.parametrize("suffix", [".mha", ".nrrd", ".nii.gz"])
def test_a_changed_byte_in_a_packed_file_is_found(volume, tmp_path, at, suffix):
    path = write_volume(volume, tmp_path / f"image{suffix}")
    stored = bytearray(path.read_bytes())
    stored[at] ^= 1
    path.write_bytes(stored)
    with pytest.raises(OSError, match="damaged"):
        read_volume(path)


def test_an_offset_without_end_is_refused(volume, tmp_path):
    path = write_volume(volume, tmp_path / "image.nii")
    stored = bytearray(path.read_bytes())
    struct.pack_into("<f", stored, 108, float("inf"))
    path.write_bytes(stored)
    with pytest.raises(OSError, match=r"image\.nii"):
        read_volume(path)


@pytest.mark.parametrize("start", [0.0, 1e-30, 348.0, -1.0, np.nan])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_voxels_that_begin_inside_of_the_header_are_refused(
    volume, tmp_path, start, suffix
):
    # nibabel reads the header's own bytes as voxels, ITK goes on to its end
    path = write_volume(volume, tmp_path / f"image{suffix}")
    opened = gzip.open if suffix == ".nii.gz" else open
    with opened(path, "rb") as file:
        stored = bytearray(file.read())
    struct.pack_into("<f", stored, 108, start)
    with opened(path, "wb") as file:
        file.write(stored)
    with pytest.raises(OSError, match="inside of the header"):
        read_volume(path)


@pytest.mark.parametrize("order", ["<", ">"])
def test_voxels_of_nifti_2_begin_behind_its_longer_header(tmp_path, rng, order):
    header = nib.Nifti2Header(endianness=order)
    header.set_data_dtype(np.dtype(f"{order}f8"))
    header.set_data_shape((5, 6, 7))
    header.set_data_offset(544)
    path = tmp_path / "image.nii"
    voxels = rng.normal(size=210).astype(f"{order}f8").tobytes()
    path.write_bytes(header.binaryblock + bytes(4) + voxels)
    check_stored(path)
    stored = bytearray(path.read_bytes())
    struct.pack_into(f"{order}q", stored, 168, 352)
    path.write_bytes(stored)
    with pytest.raises(OSError, match="544 bytes"):
        check_stored(path)


@pytest.mark.parametrize(("at", "value"), [(76 + 4, 1e9), (268, 1e20), (268, 3e7)])
def test_places_that_no_scanner_gives_are_refused(volume, tmp_path, at, value):
    path = write_volume(volume, tmp_path / "image.nii")
    stored = bytearray(path.read_bytes())
    struct.pack_into("<f", stored, at, value)
    struct.pack_into("<h", stored, 254, 0)  # no sform
    path.write_bytes(stored)
    with pytest.raises(GeometryError, match=r"spacings from 1e-06 to 1000 mm"):
        read_volume(path)
