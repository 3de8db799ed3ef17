"""A lesion from its files to the engine: from its own grid to the last one, once."""

import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Cohort, check
from radlatent.handcrafted import Perturbation, extract, stability
from radlatent.imaging import Volume, read_volume, resample_to, write_volume
from radlatent.latent.inputs import Box

RADIUS_MM = 8.0
VOLUME_MM3 = 4 / 3 * np.pi * RADIUS_MM**3
SHAPE = {"featureClass": {"shape": ["VoxelVolume"]}}
COLUMN = "ct_handcrafted__original_shape_VoxelVolume"

#: Voxels of the image and of the mask, z, y, x in mm: a coarse image, slices far apart.
GRIDS = {
    "coarse": ((4.0, 4.0, 4.0), (0.5, 0.5, 0.5)),
    "thick slices": ((5.0, 4.07, 4.07), (0.75, 0.7, 0.7)),
}


@pytest.fixture(params=GRIDS)
def ball(request, tmp_path, rng):
    """Return the folder of a cohort: a ball drawn on a finer grid than its image."""
    of_image, of_mask = GRIDS[request.param]
    shapes = [np.ceil(60 / np.array(mm)).astype(int) for mm in (of_image, of_mask)]
    values = rng.normal(0, 40, shapes[0]).astype(np.float32)
    at = np.indices(shapes[1]) * np.reshape(of_mask, (3, 1, 1, 1)) - 29.6
    inside = (at**2).sum(axis=0) <= RADIUS_MM**2
    write_volume(Volume(values, of_image), tmp_path / "image.nii.gz")
    write_volume(Volume(inside.astype(np.uint8), of_mask), tmp_path / "mask.nii.gz")
    (tmp_path / "cohort.yml").write_text(
        "name: ball\nroot: .\nmodalities:\n"
        "  ct: {unit: a.u., preset: mr, resample_mask: true}\n"
    )
    (tmp_path / "endpoints.csv").write_text("patient_id\na\n")
    (tmp_path / "cases.csv").write_text(
        "case_id,patient_id,image_ct,mask\na,a,image.nii.gz,mask.nii.gz\n"
    )
    return tmp_path


def of_settings(folder):
    setting = {"resampledPixelSpacing": [1, 1, 1], "interpolator": "sitkLinear"}
    return extract(Cohort.read(folder), settings=SHAPE | {"setting": setting})


def of_ibsi(folder):
    content = SHAPE | {"setting": {"resampledPixelSpacing": [1, 1, 1]}, "ibsi": {}}
    return extract(Cohort.read(folder), settings=content)


def of_stability(folder):
    setting = {"resampledPixelSpacing": [1, 1, 1], "interpolator": "sitkLinear"}
    return stability(
        Cohort.read(folder),
        settings=SHAPE | {"setting": setting},
        perturbations=[Perturbation(), Perturbation(seed=1)],
    )


def of_box(folder):
    case = Cohort.read(folder).located.loc["a"]
    mask = Box(("ct",), (40, 40, 40), (1, 1, 1)).prepare(case, "a").mask[0]
    return float(mask.sum())


@pytest.mark.parametrize("path", [of_settings, of_ibsi, of_stability, of_box])
def test_a_ball_drawn_on_a_finer_grid_has_its_volume(ball, path):
    found = path(ball)
    volumes = [found] if path is of_box else found.features[COLUMN]
    np.testing.assert_allclose(volumes, VOLUME_MM3, rtol=0.025)
    # by way of the grid of the image it would be another
    drawn, image = (read_volume(ball / f"{n}.nii.gz") for n in ("mask", "image"))
    twice = resample_to(
        resample_to(drawn, image, interpolation="nearest", fill=0),
        drawn,
        interpolation="nearest",
        fill=0,
    )
    volume = (twice.array > 0).sum() * np.prod(twice.spacing_mm)
    assert abs(volume / VOLUME_MM3 - 1) > 0.04


def probabilities(ball):
    return ball * np.float32(0.7) + np.float32(0.01)


def percent(ball):
    return ball * np.float32(66.6)


def distances(ball):
    """Signed distances, negative inside, as segmentation by level sets gives them."""
    return (0.5 - ball) * np.float32(3.7)


@pytest.mark.parametrize("soft", [probabilities, percent, distances])
def test_what_is_no_mask_is_never_measured_as_above_0(tiny_folder, soft):
    path = tiny_folder / "p2" / "ct_mask.nii.gz"
    mask = read_volume(path)
    write_volume(mask.with_array(soft(mask.array)), path)
    done = extract(tiny_folder, settings=SHAPE)
    assert done.features[COLUMN].isna().to_dict() == {"p1": 0, "p2": 1, "p3": 0}
    assert done.failures["case_id"].tolist() == ["p2"]
    assert done.failures["error"].tolist() == ["LabelError"]
    assert not done.provenance.set_index(["case_id", "modality"])["measured"][
        "p2", "ct"
    ]
    assert len(check(tiny_folder).problems) == 1


def test_percentages_in_whole_numbers_are_told_as_labels(tiny_folder):
    # a mask of labels 1 to 100 looks like this: nobody can know
    path = tiny_folder / "p2" / "ct_mask.nii.gz"
    mask = read_volume(path)
    shades = np.indices(mask.shape)[2] + 20
    write_volume(mask.with_array((mask.array * shades).astype(np.uint8)), path)
    notes = extract(tiny_folder, settings=SHAPE).provenance.set_index("case_id")[
        "notes"
    ]
    assert "are measured as one lesion" in " ".join(notes["p2"])
    assert any("mask_label is empty" in note for note in check(tiny_folder).notes)


@pytest.mark.parametrize(
    ("modality", "change", "said"),
    [
        ("pet", lambda a: a * 2489.6, "Bq/ml?"),
        ("ct", lambda a: a + 1024, "RescaleIntercept"),
        ("ct", lambda a: a.astype(np.float32).view(np.int32), "data type"),
    ],
    ids=["becquerels", "no intercept", "another type"],
)
def test_values_that_their_unit_does_not_have_are_flagged(
    tiny_folder, modality, change, said
):
    path = tiny_folder / "p1" / f"{modality}_image.nii.gz"
    image = read_volume(path)
    write_volume(image.with_array(change(image.array)), path)
    rows = extract(tiny_folder, settings=SHAPE).provenance
    flags = pd.Series(rows["flags"].to_numpy(), rows["case_id"] + rows["modality"])
    told = flags[flags.str.contains(said, regex=False)]
    assert told.index.tolist() == [f"p1{modality}"]
