import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Cohort
from radlatent.errors import SchemaError
from radlatent.features.burden import lesion_burden
from radlatent.handcrafted import extract
from radlatent.handcrafted.centroids import lesion_centroids
from radlatent.imaging import Volume, write_volume

CARD = """\
name: spheres
freeze: 2026-11-20
modalities:
  pet: {unit: SUV, preset: suv}
"""
SETTINGS = {
    "featureClass": {"shape": ["VoxelVolume"], "firstorder": ["Mean", "Maximum"]}
}

#: Patient, center (z, y, x) in mm, radius in mm, SUV of the lesion.
SPHERES = [
    ("a", (30.0, 40.0, 40.0), 12.0, 4.0),
    ("a", (30.0, 100.0, 40.0), 8.0, 10.0),
    ("a", (30.0, 40.0, 120.0), 6.0, 2.0),
    ("b", (30.0, 60.0, 60.0), 10.0, 3.0),
]


@pytest.fixture(scope="module")
def spheres(tmp_path_factory):
    """Return a cohort of two patients, all spheres of one in one labeled mask."""
    folder, spacing = tmp_path_factory.mktemp("spheres"), (2.0, 1.0, 1.0)
    grid = np.indices((32, 130, 150)) * np.reshape(spacing, (3, 1, 1, 1))
    images = {p: [np.ones(grid.shape[1:]), np.zeros(grid.shape[1:])] for p in "ab"}
    rows = []
    for number, (patient, center, radius, suv) in enumerate(SPHERES, start=1):
        offset = grid - np.reshape(center, (3, 1, 1, 1))
        inside = (offset**2).sum(axis=0) <= radius**2
        for array, value in zip(images[patient], (suv, number), strict=True):
            array[inside] = value
        rows.append(
            {"case_id": f"{patient}_{number}", "patient_id": patient}
            | {"lesion_id": str(number), "mask_label": number}
            | {"image_pet": f"{patient}.nii.gz", "mask_pet": f"{patient}_mask.nii.gz"}
        )
    for patient, (image, mask) in images.items():
        write_volume(Volume(image, spacing), folder / f"{patient}.nii.gz")
        mask = Volume(mask.astype(np.uint8), spacing)
        write_volume(mask, folder / f"{patient}_mask.nii.gz")
    pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
    (folder / "cohort.yml").write_text(CARD, "utf-8")
    return Cohort.read(folder)


def test_burden_of_drawn_spheres(spheres):
    features = extract(spheres, settings=SETTINGS).features
    centroids = lesion_centroids(spheres, "pet")
    table = lesion_burden(features, spheres.cases, centroids=centroids)
    ml = [4 / 3 * np.pi * radius**3 / 1000 for _, _, radius, _ in SPHERES]
    a = table.loc["a"].rename(lambda column: column.removeprefix("pet_burden__"))
    # voxels of 2 mm3 make spheres of 900 mm3 and more within 3 %
    assert a["tmtv_ml"] == pytest.approx(sum(ml[:3]), rel=0.03)
    assert a["tlg_suv_ml"] == pytest.approx(
        4 * ml[0] + 10 * ml[1] + 2 * ml[2], rel=0.03
    )
    assert a["largest_ml"] == pytest.approx(ml[0], rel=0.03)
    assert a[["n_lesions", "suvmax"]].tolist() == [3, 10]
    # a triangle of 60, 80 and 100 mm; the bulk is at its right angle
    distances = a[["dmax_mm", "dmax_bulk_mm", "spread_mm", "spread_bulk_mm"]]
    # headers are float32
    np.testing.assert_allclose(distances, [100, 80, 180, 140], rtol=1e-6)
    b = table.loc["b"]
    assert b["pet_burden__n_lesions"] == 1
    assert b.filter(like="_mm").tolist() == [0, 0, 0, 0]
    assert b["pet_burden__tmtv_ml"] == b["pet_burden__largest_ml"]


@pytest.fixture
def lesions():
    """Return features, cases and centroids of two lesions of a and one of b."""
    index = pd.Index(["c0", "c1", "c2"], name="case_id")
    names = ("shape_VoxelVolume", "firstorder_Mean", "firstorder_Maximum")
    columns = [f"pet_handcrafted__original_{name}" for name in names]
    values = [[1000.0, 2, 3], [3000, 4, 9], [2000, 5, 6]]
    cases = pd.DataFrame({"patient_id": list("aab"), "exclude": False}, index)
    places = pd.DataFrame([[0, 0, 0], [3, 0, 4], [1, 1, 1.0]], index, [*"xyz"])
    return (
        pd.DataFrame(values, index, columns, dtype=float),
        cases,
        places.add_suffix("_mm"),
    )


def test_a_lesion_that_was_not_measured_makes_sums_missing(lesions):
    features, cases, centroids = lesions
    features.loc["c0"] = np.nan
    features.loc["c2"] = np.nan
    table = lesion_burden(features, cases, centroids=centroids)
    table = table.rename(columns=lambda column: column.removeprefix("pet_burden__"))
    known = ["n_lesions", "dmax_mm", "spread_mm"]
    assert table.loc["a", known].tolist() == [2, 5, 5]
    # the bulk is not known either
    assert table.loc["a"].drop(known).isna().all()
    assert np.isnan(table.loc["b", "n_lesions"])


def test_without_centroids_there_are_no_distances(lesions):
    features, cases, _ = lesions
    table = lesion_burden(features, cases.assign(timepoint=["t0", "t1", "t0"]))
    assert table.loc["a", "pet_burden__tlg_suv_ml__t1"] == 12
    assert table["pet_burden__suvmax__t0"].tolist() == [3, 6]
    assert np.isnan(table.loc["b", "pet_burden__n_lesions__t1"])
    assert table.filter(like="_mm").empty


def test_what_does_not_fit_is_named(lesions):
    features, cases, centroids = lesions
    with pytest.raises(SchemaError, match=r"'z_mm', 'c2'"):
        lesion_burden(features, cases, centroids=centroids.iloc[:2, :2])
    suv = features.rename(columns=lambda column: column.replace("pet_", "suv_"))
    with pytest.raises(SchemaError, match=r"0 blocks could be the PET.*block="):
        lesion_burden(suv, cases)
    named = lesion_burden(suv, cases, block="suv_handcrafted")
    assert named["suv_burden__tmtv_ml"].tolist() == [4, 2]
    with pytest.raises(SchemaError, match=r"lacks \['original_shape_VoxelVolume'\]"):
        lesion_burden(features.iloc[:, 1:], cases)
