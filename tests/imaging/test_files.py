import gzip
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from radlatent.errors import GeometryError
from radlatent.imaging import (
    Volume,
    collapse_warnings,
    geometry_difference,
    header_warnings,
    read_geometry,
    read_volume,
    to_sitk,
    write_volume,
)

FORMATS = [".nii", ".nii.gz", ".nrrd", ".mha"]
DIAGONAL = np.diag([1.5, 2.0, 3.0, 1.0])
VOXELS = np.arange(60, dtype=np.int16).reshape(3, 4, 5)  # x, y, z

TURN = np.eye(4)
TURN[:3, :3] = [[0.8, -0.36, 0.48], [0.6, 0.48, -0.64], [0, 0.8, 0.6]]
TURN[:3, 3] = [-40.5, 12, 7.25]


def save_nifti(path, affine=DIAGONAL, voxels=VOXELS):
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def save_acdc_like(path):
    """As ACDC's files: sform scales of 1 mm beside another pixdim, no qform."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(VOXELS.shape)
    header["pixdim"][1:4] = 1.5625, 1.5625, 10
    header["sform_code"] = 2
    header["srow_x"], header["srow_y"] = [-1, 0, 0, 0], [0, -1, 0, 0]
    header["srow_z"] = [0, 0, 1, 0]
    nib.save(nib.Nifti1Image(VOXELS, None, header), path)
    return path


@pytest.mark.parametrize(
    "affine",
    [
        DIAGONAL,
        DIAGONAL @ np.diag([-1, 1, 1, 1]),
        DIAGONAL @ np.diag([-1, -1, -1, 1]),
        TURN @ DIAGONAL,
        TURN @ DIAGONAL @ np.diag([1, -1, 1, 1]),
        DIAGONAL[[2, 0, 1, 3]],  # stored x along the body's y, and so on
    ],
    ids=["anisotropic", "left-handed", "three-flips", "oblique", "both", "permuted"],
)
def test_nifti_lies_where_nibabel_puts_it(tmp_path, all_indices, affine):
    volume = read_volume(save_nifti(tmp_path / "a.nii.gz", affine))
    ijk = all_indices(VOXELS.shape)
    ras = nib.affines.apply_affine(affine, ijk)
    # the file holds float32: 1e-5 mm of 50 mm
    np.testing.assert_allclose(
        volume.to_world(ijk[:, ::-1]), ras * (-1, -1, 1), atol=1e-5
    )
    np.testing.assert_array_equal(volume.array, VOXELS.T)


@pytest.mark.parametrize("suffix", FORMATS)
def test_written_volume_reads_back(tmp_path, oblique, suffix):
    path = tmp_path / "new" / f"a{suffix}"
    assert write_volume(oblique, path) == path
    back = read_volume(path)
    np.testing.assert_array_equal(back.array, oblique.array)
    # NIfTI keeps float32, NRRD about 16 digits
    tolerance_mm = 1e-4 if ".nii" in suffix else 1e-10
    assert geometry_difference(back, oblique, tolerance_mm=tolerance_mm) == ""
    assert geometry_difference(read_geometry(path), back, tolerance_mm=0) == ""


def test_failed_writing_leaves_the_old_file_and_nothing_else(tmp_path, oblique):
    path = write_volume(oblique, tmp_path / "a.mha")
    before = path.read_bytes()
    with pytest.raises(TypeError, match="float16"):
        write_volume(oblique.with_array(oblique.array.astype(np.float16)), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_format_is_not_written(tmp_path, oblique):
    with pytest.raises(ValueError, match=r"'\.png'.*\.nii\.gz"):
        write_volume(oblique, tmp_path / "a.png")


def test_stored_scaling_is_applied(tmp_path):
    image = nib.Nifti1Image(VOXELS, DIAGONAL)
    image.header.set_slope_inter(0.5, 3)
    nib.save(image, tmp_path / "scaled.nii")
    # nibabel stores integers as they are
    scaled = read_volume(tmp_path / "scaled.nii").array
    np.testing.assert_array_equal(scaled, VOXELS.T * 0.5 + 3)


@pytest.mark.parametrize("suffix", FORMATS)
def test_nan_and_infinity_are_written_and_read(tmp_path, oblique, suffix):
    array = oblique.array.copy()
    array[0, 0, :3] = np.nan, np.inf, -np.inf
    path = write_volume(oblique.with_array(array), tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read_volume(path).array, array)


@pytest.mark.parametrize("name", ["A.NII", "A.NII.GZ"])
def test_nan_is_kept_whatever_the_case_of_the_ending(tmp_path, oblique, name):
    array = oblique.array.copy()
    array[0, 0, 0] = np.nan
    suffix = ".nii.gz" if name.lower().endswith(".gz") else ".nii"
    write_volume(oblique.with_array(array), tmp_path / f"a{suffix}").rename(
        tmp_path / name
    )
    np.testing.assert_array_equal(read_volume(tmp_path / name).array, array)


@pytest.mark.parametrize("name", ["a.mhd", "a.nhdr", "a.hdr", "a.txt", "a"])
def test_what_is_not_one_file_of_a_known_format_is_refused(tmp_path, name):
    (tmp_path / name).write_text("hello")
    with pytest.raises(OSError, match=rf"{name}: not a volume in one file"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize(
    ("source", "name"), [("a.mhd", "b.mha"), ("a.nhdr", "b.nrrd"), ("a.mha", "b.mha")]
)
def test_a_header_that_names_another_file_is_refused(tmp_path, oblique, source, name):
    sitk.WriteImage(to_sitk(oblique), str(tmp_path / source))
    (tmp_path / source).rename(tmp_path / name)
    if source == "a.mha":
        assert read_geometry(tmp_path / name).shape == oblique.shape
        return
    with pytest.raises(OSError, match="names another file for its voxels"):
        read_geometry(tmp_path / name)


def test_big_endian_voxels_are_read_in_native_order(tmp_path):
    header = nib.Nifti1Header(endianness=">")
    nib.save(nib.Nifti1Image(VOXELS, DIAGONAL, header), tmp_path / "a.nii")
    assert (tmp_path / "a.nii").read_bytes()[:4] == (348).to_bytes(4, "big")
    array = read_volume(tmp_path / "a.nii").array
    assert array.dtype.isnative
    assert array.flags.c_contiguous
    assert array.flags.writeable
    np.testing.assert_array_equal(array, VOXELS.T)


def test_dtype_is_given_or_refused_never_wrapped(tmp_path):
    path = save_nifti(tmp_path / "a.nii", voxels=VOXELS * 5)  # up to 295
    assert read_volume(path, dtype=np.float64).array.max() == 295.0
    with pytest.raises(ValueError, match=r"a\.nii: voxels from 0 to 295 .*uint8"):
        read_volume(path, dtype=np.uint8)
    with pytest.raises(ValueError, match="bool"):
        read_volume(path, dtype=bool)


def test_acdc_like_header_is_reported_and_pixdim_used(tmp_path):
    path = save_acdc_like(tmp_path / "a.nii.gz")
    assert read_geometry(path).spacing_mm == (10, 1.5625, 1.5625)
    assert header_warnings(path) == (
        "sform scales (1, 1, 1) mm disagree with pixdim (1.5625, 1.5625, 10) mm "
        "(x, y, z); pixdim is used",
    )


def test_reading_prints_nothing(tmp_path):
    path = str(save_acdc_like(tmp_path / "a.nii.gz"))
    reads = (
        "from radlatent.imaging import header_warnings, read_geometry, read_volume\n"
        f"for read in (read_volume, read_geometry, header_warnings): read({path!r})\n"
    )
    plain = f"import SimpleITK\nSimpleITK.ReadImage({path!r})"

    def printed(code):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        return done.stdout + done.stderr

    # the second line shows that there is something to hide, and that it is put back
    assert printed(reads) == ""
    assert "unexpected scales in sform" in printed(reads + plain)


def test_two_forms_that_disagree_are_reported_with_the_one_read(tmp_path):
    shifted = DIAGONAL.copy()
    shifted[0, 3] = 20
    image = nib.Nifti1Image(VOXELS, DIAGONAL)
    for sform_code, used, x in [(1, "sform", 0), (2, "qform", -20)]:
        image.set_qform(shifted, 1)
        image.set_sform(DIAGONAL, sform_code)
        path = tmp_path / f"{used}.nii"
        nib.save(image, path)
        assert header_warnings(path) == (
            f"sform and qform place the grid up to 20 mm apart; {used} is used",
        )
        assert read_geometry(path).origin == (x, 0, 0)


def test_header_without_orientation_is_reported(tmp_path):
    header = nib.Nifti1Header()
    header.set_data_shape(VOXELS.shape)
    nib.save(nib.Nifti1Image(VOXELS, None, header), tmp_path / "a.nii")
    (warning,) = header_warnings(tmp_path / "a.nii")
    assert warning == ("neither sform nor qform is set; axes taken to run to L, P, S")
    # LPS columns of z, y, x
    direction = read_geometry(tmp_path / "a.nii").direction
    assert direction.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_warnings_alike_are_counted():
    texts = ["a (1, -2e-05) mm", "b", "a (1.5, 3) mm", "c 1", "c 1", "a (2, 2) mm"]
    assert collapse_warnings(texts) == (
        "a (1, -2e-05) mm (3 times, the numbers vary)",
        "b",
        "c 1 (2 times)",
    )
    assert collapse_warnings([]) == ()


@pytest.mark.parametrize("suffix", FORMATS)
def test_clean_header_gives_no_warning(tmp_path, oblique, suffix):
    assert header_warnings(write_volume(oblique, tmp_path / f"a{suffix}")) == ()


def test_single_frame_is_one_volume(tmp_path):
    path = save_nifti(tmp_path / "a.nii", voxels=VOXELS[..., None])
    np.testing.assert_array_equal(read_volume(path).array, VOXELS.T)
    image = sitk.JoinSeries([sitk.GetImageFromArray(VOXELS.T)])
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    np.testing.assert_array_equal(read_volume(tmp_path / "a.mha").array, VOXELS.T)


RGB = np.zeros((3, 4, 5), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])


@pytest.mark.parametrize(
    ("voxels", "found"),
    [
        (np.zeros((3, 4), np.int16), "2D image of 3 x 4"),
        (np.zeros((3, 4, 5, 7), np.int16), "4D with 7 frames. Give one frame per file"),
        (RGB, "3 values per voxel"),
        (np.zeros((3, 4, 5), np.complex64), "2 values per voxel"),
    ],
)
@pytest.mark.parametrize("read", [read_volume, read_geometry])
def test_other_than_one_volume_is_refused(tmp_path, read, voxels, found):
    path = save_nifti(tmp_path / "a.nii", voxels=voxels)
    with pytest.raises(GeometryError, match=rf"a\.nii: .*{found}"):
        read(path)


def test_sheared_axes_are_refused_and_the_remedy_works(tmp_path):
    sheared = DIAGONAL.copy()
    sheared[0, 1] = 0.001  # a cosine of 0.0005 with the first axis
    path = save_nifti(tmp_path / "a.nii", sheared)
    with pytest.raises(GeometryError, match=r"a\.nii: .*cosine of 0.0005 .*set_qform"):
        read_volume(path)
    image = nib.load(path)
    image.set_qform(image.affine, 1)
    image.set_sform(None)
    nib.save(image, tmp_path / "mended.nii")
    # half of the shear goes to each of the two axes
    direction = read_geometry(tmp_path / "mended.nii").direction
    np.testing.assert_allclose(direction[0, 1], -0.00025, atol=1e-6)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_sheared_axes_of_other_formats_are_refused(tmp_path, suffix):
    image = sitk.Image([3, 4, 5], sitk.sitkUInt8)
    image.SetDirection([1, 0.2, 0, 0, 1, 0, 0, 0, 1])
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(image, str(path))
    with pytest.raises(GeometryError, match=rf"a\{suffix}: the axes .* not orthogonal"):
        read_geometry(path)


def test_missing_file_is_named(tmp_path):
    for read in (read_volume, read_geometry, header_warnings):
        with pytest.raises(FileNotFoundError, match=r"a\.nii: there is no such file"):
            read(tmp_path / "a.nii")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha"])
def test_file_that_is_no_image_is_refused(tmp_path, name):
    (tmp_path / name).write_text("hello")
    with pytest.raises(OSError, match=rf"{name}: no image, or a damaged one"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_truncated_file_is_refused(tmp_path, oblique, suffix):
    volume = Volume(np.random.default_rng(0).normal(size=(9, 9, 9)), (1, 1, 1))
    path = write_volume(volume, tmp_path / f"a{suffix}")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(OSError, match="damaged"):
        read_volume(path)


def test_gzip_stream_with_a_changed_byte_is_refused(tmp_path):
    path = tmp_path / "a.nii.gz"
    # large enough that reading the header does not reach the checksum
    voxels = np.zeros((99, 99, 99), np.int16)
    raw = nib.Nifti1Image(voxels, DIAGONAL).to_bytes()
    stored = bytearray(gzip.compress(raw, compresslevel=0))
    stored[-2000] ^= 255  # a voxel; only the checksum can tell
    path.write_bytes(stored)
    with pytest.raises(OSError, match=r"a\.nii\.gz: .*CRC"):
        read_volume(path)


@pytest.mark.real
def test_acdc_patient_has_the_spacing_of_pixdim(real_data):
    path = real_data / "acdc/training/patient001/patient001_frame01.nii.gz"
    volume = read_volume(path)
    assert volume.spacing_mm == (10, 1.5625, 1.5625)
    assert volume.shape == (10, 256, 216)
    (warning,) = header_warnings(path)
    assert "pixdim is used" in warning
    mask = path.with_name("patient001_frame01_gt.nii.gz")
    assert geometry_difference(volume, read_geometry(mask)) == ""
