"""CAMUS and TED as they are released, written by hand."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from scipy.ndimage import label as label_components

import radlatent as rl
from radlatent.cohort.layouts.echo import largest_components
from radlatent.errors import CohortError, SchemaError
from radlatent.imaging import read_volume

INFO = "ED: 1\nES: 3\nNbFrame: 3\nSex: F\nAge: 56\nImageQuality: Good\nEF: 54.5\n"


def apex(shift=0):
    """Return labels of 40 rows and 30 columns: LV in MYO, LA below."""
    labels = np.zeros((40, 30), np.uint8)
    labels[4 + shift : 24, 6:24] = 2
    labels[8 + shift : 24, 10:20] = 1
    labels[24:34, 11:19] = 3
    return labels


def write_nifti(path, planes, spacing=(0.5, 0.25)):
    """Write (n, rows, columns) or (rows, columns), spacing of (rows, columns)."""
    image = nib.Nifti1Image(planes.T, np.eye(4))
    zooms = (spacing[1], spacing[0], 1.0)[: planes.ndim]
    image.header.set_zooms(zooms)
    image.set_sform(np.diag([spacing[1], spacing[0], 1, 1]), 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)


def write_mhd(path, planes, spacing=(0.154, 0.308)):
    image = sitk.GetImageFromArray(planes, isVector=False)
    image.SetSpacing((spacing[1], spacing[0], 1.0)[: planes.ndim])
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def write_png(path, plane):
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(plane), str(path))


def nifti_release(root, patient="patient0001", views=("2CH", "4CH")):
    folder = root / "database_nifti" / patient
    for view in views:
        for phase, shift in (("ED", 0), ("ES", 4)):
            labels = apex(shift)
            write_nifti(folder / f"{patient}_{view}_{phase}.nii.gz", labels * 60)
            write_nifti(folder / f"{patient}_{view}_{phase}_gt.nii.gz", labels)
        stack = np.stack([apex(0), apex(2), apex(4)])
        write_nifti(folder / f"{patient}_{view}_half_sequence.nii.gz", stack * 60)
        write_nifti(folder / f"{patient}_{view}_half_sequence_gt.nii.gz", stack)
        (folder / f"Info_{view}.cfg").write_text(INFO)


def test_the_nifti_release_gives_ed_and_es_of_both_views(tmp_path):
    nifti_release(tmp_path / "camus")
    cases = rl.index(tmp_path / "camus", tmp_path / "out", layout="camus")
    assert [*cases.index] == [
        f"patient0001_{phase}_{name}"
        for phase in ("ED", "ES")
        for name in ("LV", "MYO", "LA")
    ]
    cohort = rl.Cohort.read(tmp_path / "out")
    assert [*cohort.modalities] == ["us_2ch", "us_4ch"]
    assert cohort.modalities["us_4ch"].in_mm
    image, mask = cohort.files("patient0001_ES_LV", "us_4ch")
    assert np.array_equal(read_volume(mask).array[0], apex(4))
    assert np.array_equal(read_volume(image).array[0], apex(4) * 60)
    assert read_volume(mask).spacing_mm == (1.0, 0.5, 0.25)
    assert cohort.patients.loc["patient0001"].to_dict() == {
        "age": 56.0,
        "ef": 54.5,
        "sex": "F",
        "quality_2ch": "Good",
        "quality_4ch": "Good",
    }
    assert {*cohort.card.covariates, *cohort.card.categories} == {
        *cohort.patients.columns
    }
    frames = pd.read_csv(tmp_path / "out" / "frames.csv")
    assert frames["phase"].tolist() == ["ED", "ES"] * 2
    assert rl.check(tmp_path / "out").problems.empty


def test_half_sequences_are_cases_a_frame_with_their_phases(tmp_path):
    nifti_release(tmp_path / "camus", views=("4CH",))
    about = {"layout": "camus", "sequences": True}
    rl.index(tmp_path / "camus", tmp_path / "out", **about)
    cohort = rl.Cohort.read(tmp_path / "out")
    assert cohort.cases["timepoint"].unique().tolist() == ["f001", "f002", "f003"]
    frames = pd.read_csv(tmp_path / "out" / "frames.csv", keep_default_na=False)
    assert frames["phase"].tolist() == ["ED", "", "ES"]
    mask = cohort.files("patient0001_f002_MYO", "us_4ch")[1]
    assert np.array_equal(read_volume(mask).array[0], apex(2))


def test_the_mhd_release_is_read_with_its_own_keys(tmp_path):
    folder = tmp_path / "camus" / "training" / "patient0007"
    for phase in ("ED", "ES"):
        stem = f"patient0007_2CH_{phase}"
        write_mhd(folder / f"{stem}.mhd", apex()[None] * 60)
        write_mhd(folder / f"{stem}_gt.mhd", apex()[None])
    (folder / "Info_2CH.cfg").write_text("ED: 1\nES: 9\nNbFrame: 9\nLVef: 40\n")
    rl.index(tmp_path / "camus", tmp_path / "out", layout="camus")
    cohort = rl.Cohort.read(tmp_path / "out")
    assert cohort.card.covariates == ("ef",)
    volume = read_volume(cohort.files("patient0007_ED_LA", "us_2ch")[1])
    assert volume.spacing_mm == pytest.approx((1.0, 0.154, 0.308))
    assert np.array_equal(volume.array[0], apex())


def test_ted_has_sequences_of_two_structures(tmp_path):
    folder = tmp_path / "ted" / "patient001"
    stack = np.stack([apex(k) for k in (0, 3, 5, 3)])
    stack[stack == 3] = 0
    write_mhd(folder / "patient001_4CH_sequence.mhd", stack * 60)
    write_mhd(folder / "patient001_4CH_sequence_gt.mhd", stack)
    (folder / "patient001_4CH_info.cfg").write_text("ED: 1\nES: 3\n")
    cases = rl.index(tmp_path / "ted", tmp_path / "out", layout="ted")
    assert cases["lesion_id"].unique().tolist() == ["LV", "MYO"]
    assert cases["timepoint"].unique().tolist() == ["f001", "f002", "f003", "f004"]


@pytest.fixture
def pngs(tmp_path):
    root = tmp_path / "png"
    labels = apex()
    labels[2, 2], labels[15, 15] = 1, 2  # a speck outside, one in the cavity
    for name in ("patient0006_4CH_ED", "patient0006_4CH_ES"):
        write_png(root / "images" / f"{name}.png", labels * 60)
        write_png(root / "labels" / f"{name}.png", labels)
    (root / "patients_info.csv").write_text(
        "Patient,ED,ES,NbFrame,Sex,Age,ImageQuality,EF,FrameRate\n"
        "patient0006,1,18,18,M,74,Poor,49,55.4\n"
    )
    return root


def test_png_frames_lose_specks_and_say_how_many(pngs, tmp_path):
    rl.index(pngs, tmp_path / "out", layout="camus")
    cohort = rl.Cohort.read(tmp_path / "out")
    labels = read_volume(cohort.files("patient0006_ED_LV", "us_4ch")[1]).array[0]
    assert np.array_equal(labels, apex())
    assert "4 pixels of 2 of 2 frames" in cohort.card.description
    assert "keep_largest" in cohort.card.description
    frames = pd.read_csv(tmp_path / "out" / "frames.csv")
    assert frames["n_removed"].tolist() == [2, 2]
    rl.index(pngs, tmp_path / "raw", layout="camus", keep_largest=False)
    raw = rl.Cohort.read(tmp_path / "raw")
    labels = read_volume(raw.files("patient0006_ED_LV", "us_4ch")[1]).array[0]
    assert labels[2, 2] == 1
    assert "as released" in raw.card.description


def test_an_unknown_pixel_size_is_said_where_millimeters_are_needed(pngs, tmp_path):
    rl.index(pngs, tmp_path / "out", layout="camus")
    cohort = rl.Cohort.read(tmp_path / "out")
    assert not cohort.modalities["us_4ch"].in_mm
    found = rl.compare_cohorts(cohort, cohort)
    assert found.table["dice"].tolist() == [1.0] * 6
    assert found.table[["hd_mm", "volume_mm3", "nsd"]].isna().all(axis=None)
    assert "pixel size is unknown" in found.notes[0]
    assert rl.masks.score(cohort, rules="apical_12").quality["valid"].all()
    with pytest.raises(SchemaError, match=r"concavity_lv.*pixel size.*unknown"):
        rl.masks.score(cohort, rules="short_axis_16")
    settings = {
        "setting": {"force2D": True},
        "featureClass": {"shape2D": None, "firstorder": ["Mean"]},
    }
    measured = rl.extract(cohort, settings=settings)
    means = measured.features.filter(like="firstorder_Mean")
    assert means.notna().all(axis=None)
    assert measured.features.drop(columns=means).isna().all(axis=None)
    assert measured.failures["message"].str.contains("pixel size is unknown").all()
    with pytest.raises(SchemaError, match="thickness of a wall needs millimeters"):
        rl.wall_thickness(cohort, myocardium="MYO", cavity="LV", modality="us_4ch")
    with pytest.raises(SchemaError, match="centroid needs millimeters"):
        rl.lesion_centroids(cohort, "us_4ch")
    settings["setting"]["resampledPixelSpacing"] = [1, 1, 1]
    with pytest.raises(SchemaError, match="resampledPixelSpacing needs millimeters"):
        rl.extract(cohort, settings=settings)


def test_every_broken_frame_is_told_at_once(pngs, tmp_path):
    write_png(pngs / "labels" / "patient0006_4CH_ED.png", apex() * 50)
    write_png(pngs / "labels" / "patient0006_4CH_ES.png", apex()[:-1])
    with pytest.raises(CohortError) as raised:
        rl.index(pngs, tmp_path / "out", layout="camus")
    for text in ("holds the labels [50, 100, 150]", "rows, columns (1, 39, 30)"):
        assert text in str(raised.value)
    assert not (tmp_path / "out" / "cases.csv").exists()


def test_a_table_of_patients_that_cannot_be_looked_up_is_told(pngs, tmp_path):
    table, stray = pngs / "patients_info.csv", pngs / "images" / "stray.png"
    write_png(stray, apex())
    whole = table.read_text()
    table.write_text(whole + whole.splitlines()[1])
    with pytest.raises(CohortError) as raised:
        rl.index(pngs, tmp_path / "out", layout="camus")
    for text in ("line 3", "'patient0006' has more than one row", "images/stray.png"):
        assert text in str(raised.value)
    table.write_text(whole.replace("Patient,", "Who,"))
    with pytest.raises(CohortError, match=r"no column Patient; found \['Who'"):
        rl.index(pngs, tmp_path / "out", layout="camus")


@pytest.mark.parametrize("layout", ["camus", "ted"])
def test_a_folder_of_something_else_is_refused_with_what_it_holds(tmp_path, layout):
    (tmp_path / "root" / "notes").mkdir(parents=True)
    with pytest.raises(CohortError, match=r"_gt here; found \['notes'\]"):
        rl.index(tmp_path / "root", tmp_path / "out", layout=layout)


def test_masks_of_floats_are_written_as_labels_or_refused_with_their_file(tmp_path):
    nifti_release(tmp_path / "camus", views=("4CH",))
    folder = tmp_path / "camus" / "database_nifti" / "patient0001"
    broken = folder / "patient0001_4CH_ED_gt.nii.gz"
    write_nifti(broken, apex().astype(np.float32))
    about = {"layout": "camus", "keep_largest": True}
    rl.index(tmp_path / "camus", tmp_path / "out", **about)
    cohort = rl.Cohort.read(tmp_path / "out")
    written = read_volume(cohort.files("patient0001_ED_LV", "us_4ch")[1]).array
    assert np.issubdtype(written.dtype, np.integer)
    assert np.array_equal(written[0], apex())
    for value in (1.5, np.nan):
        labels = apex().astype(np.float32)
        labels[15, 15] = value
        write_nifti(broken, labels)
        with pytest.raises(CohortError, match=f"4CH_ED_gt.*labels \\[{value}\\]"):
            rl.index(tmp_path / "camus", tmp_path / f"no{value}", **about)


def test_options_of_apical_frames_are_refused_elsewhere(tmp_path):
    with pytest.raises(CohortError, match="keep_largest belong to the layouts"):
        rl.index(tmp_path, tmp_path / "out", layout="sts", keep_largest=True)


def test_a_speck_takes_the_label_around_it():
    labels = apex()
    labels[12:14, 12:14] = 2
    assert np.array_equal(largest_components(labels), apex())


def test_a_speck_does_not_take_the_label_of_another_speck():
    labels = apex()
    labels[14:17, 13:16], labels[15, 14] = 2, 3
    assert np.array_equal(largest_components(labels), apex())


@pytest.mark.parametrize("density", [0.3, 0.6, 0.95])
def test_each_structure_of_any_map_is_left_in_one_component(rng, density):
    for _ in range(60):
        shape = rng.integers(1, 25, 2)
        labels = rng.integers(1, 4, shape, dtype=np.uint8)
        labels[rng.random(shape) > density] = 0
        kept = largest_components(labels)
        assert np.array_equal(np.unique(kept[kept > 0]), np.unique(labels[labels > 0]))
        for value in np.unique(kept[kept > 0]):
            assert label_components(kept == value, np.ones((3, 3)))[1] == 1


#: Frames of CAMUS that break one of the twelve rules, by the rules that they break.
#: Holes are of one to three pixels and come from the recovery of the classes out of
#: gray values; frontiers are contours of the readers, whose atrium is narrower than the
#: valve or wider.
STRAYS = {
    "frontier_lv_background": 30,
    "frontier_myo_la": 10,
    "holes_epicardium": 4,
    "holes_lv, holes_epicardium": 2,
}


@pytest.mark.real
@pytest.mark.slow
def test_expert_frames_of_camus_by_the_twelve_rules(real_data, tmp_path):
    rl.index(real_data / "camus", tmp_path / "out", layout="camus")
    cohort = rl.Cohort.read(tmp_path / "out")
    assert cohort.cases["patient_id"].nunique() == 204
    scores = [
        rl.masks.score(cohort, rules="apical_12", modality=name)
        for name in cohort.modalities
    ]
    slices = pd.concat([one.slices for one in scores])
    assert len(slices) == 271
    assert slices["valid"].sum() == 225
    rules = scores[0].rules
    kept = rl.masks.keeps(slices[rules.names].to_numpy(), rules)
    broken = [", ".join(np.array(rules.names)[~row]) for row in kept if not row.all()]
    assert pd.Series(broken).value_counts().to_dict() == STRAYS
    holes = slices.loc[~kept[:, rules.names.index("holes_epicardium")]]
    assert holes["holes_epicardium"].max() <= 3
