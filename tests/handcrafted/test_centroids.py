import numpy as np
import pytest
import SimpleITK as sitk

from radlatent.cohort import Cohort, index
from radlatent.errors import CohortError, SchemaError
from radlatent.handcrafted.centroids import lesion_centroids
from radlatent.imaging import Volume, read_volume, write_volume


def itk_centroid(path, label=1):
    filter_ = sitk.LabelShapeStatisticsImageFilter()
    filter_.Execute(sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkUInt8))
    return filter_.GetCentroid(label)


def test_centroid_on_an_oblique_grid_is_that_of_itk(tiny_folder):
    rng = np.random.default_rng(4)
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    for name in ("mask", "image"):
        path = tiny_folder / "p2" / f"pet_{name}.nii.gz"
        mask = read_volume(path).array
        mask[:, :, :8] = 0
        write_volume(Volume(mask, (3.0, 1.5, 2.0), (-7.0, 20.0, 5.0), turned), path)
    cohort = Cohort.read(tiny_folder)
    table = lesion_centroids(cohort, "pet")
    assert list(table) == ["x_mm", "y_mm", "z_mm"]
    assert table.index.tolist() == ["p1", "p2", "p3"]
    for case_id, place in table.iterrows():
        expected = itk_centroid(cohort.files(case_id, "pet")[1])
        # headers are float32
        np.testing.assert_allclose(place, expected, atol=1e-4)


def test_every_lesion_that_is_not_there_is_named(tiny_folder):
    for patient in ("p1", "p3"):
        path = tiny_folder / patient / "pet_mask.nii.gz"
        empty = read_volume(path)
        write_volume(empty.with_array(empty.array * 0), path)
    with pytest.raises(CohortError, match=r"2 lesions .*'p1': no voxel.*'p3'"):
        lesion_centroids(Cohort.read(tiny_folder), "pet")


def test_a_case_without_the_modality_keeps_its_row(tiny_folder):
    table = tiny_folder / "cases.csv"
    image = "p2/pet_image.nii.gz,p2/pet_mask.nii.gz"
    table.write_text(table.read_text("utf-8").replace(image, ","), "utf-8")
    places = lesion_centroids(Cohort.read(tiny_folder), "pet")
    assert places.isna().all(axis=1).tolist() == [False, True, False]


def test_unknown_modality_names_the_nearest(tiny_cohort):
    with pytest.raises(SchemaError, match="did you mean 'pet'"):
        lesion_centroids(tiny_cohort, "pets")


@pytest.mark.real
def test_a_sarcoma_lies_in_one_place_on_two_grids(real_data, tmp_path):
    index(real_data / "sts", tmp_path, layout="sts")
    cohort = Cohort.read(tmp_path)
    pet, mr = (lesion_centroids(cohort, modality) for modality in ("pet", "mr_t1"))
    assert len(pet) == 25
    # one contour on voxels of 4.7 mm and of 1 mm
    assert np.linalg.norm(pet - mr, axis=1).max() < 1
    expected = itk_centroid(cohort.files("STS_001", "pet")[1])
    np.testing.assert_allclose(pet.loc["STS_001"], expected, atol=1e-9)
