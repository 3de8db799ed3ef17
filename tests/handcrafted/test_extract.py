"""The extraction loop: every case keeps its row, no row is ever mixed up."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Cohort, check, simulate
from radlatent.errors import SchemaError
from radlatent.handcrafted import extract
from radlatent.handcrafted.engine.native import version
from radlatent.imaging import Volume, hashes, read_volume, write_volume
from radlatent.outputs import _machine
from radlatent.provenance import file_hash


def sphere(radius):
    """Return a sphere of a radius in voxels around the middle of a box of 16."""
    grid = np.indices((16, 16, 16)) - 7.5
    return np.sqrt((grid**2).sum(axis=0)) <= radius


SHAPE = {"featureClass": {"shape": ["MeshVolume", "VoxelVolume"]}}


def rewrite(path, change):
    volume = read_volume(path)
    write_volume(Volume(change(volume.array), volume.spacing_mm), path)


def test_a_row_a_case_and_the_columns_of_the_settings(tiny_cohort):
    extraction = extract(tiny_cohort)
    assert extraction.features.index.tolist() == ["p1", "p2", "p3"]
    assert extraction.features.index.name == "case_id"
    assert extraction.features.shape == (3, 214)
    assert extraction.features.notna().all(axis=None)
    assert extraction.features.columns[0] == (
        "ct_handcrafted__original_shape_Elongation"
    )
    assert extraction.failures.empty


def test_volumes_are_those_of_the_spheres(tiny_cohort):
    features = extract(tiny_cohort, settings=SHAPE).features
    # voxels of 2 mm and 4 mm with the center within 3 voxels of the middle
    for modality, spacing in (("ct", 2), ("pet", 4)):
        column = f"{modality}_handcrafted__original_shape_VoxelVolume"
        n = sphere(3).sum()
        assert features.loc["p1", column] == pytest.approx(n * spacing**3, rel=1e-12)


def test_provenance_names_files_settings_and_engine(tiny_cohort):
    rows = extract(tiny_cohort, settings=SHAPE).provenance
    assert len(rows) == 6
    assert rows["engine"].unique().tolist() == ["radlatent"]
    assert rows["engine_version"].unique().tolist() == [version()]
    for column in ("image_hash", "mask_hash", "settings_key", "key"):
        assert rows[column].str.fullmatch("sha256:[0-9a-f]{64}").all()
    assert rows["n_voxels"].tolist() == [136, 136, 280, 280, 552, 552]


def test_settings_can_differ_by_modality(tiny_cohort):
    features = extract(tiny_cohort, settings={"ct": "hu", "pet": SHAPE}).features
    assert features.filter(like="ct_handcrafted__").shape[1] == 107
    assert features.filter(like="pet_handcrafted__").shape[1] == 2


def test_a_modality_without_preset_is_told(tiny_cohort):
    card = tiny_cohort.card
    bare = {"ct": card.modalities["ct"].model_copy(update={"preset": None})}
    cohort = dataclasses.replace(
        tiny_cohort, card=card.model_copy(update={"modalities": bare})
    )
    with pytest.raises(SchemaError, match="'ct' of cohort 'tiny' has no preset"):
        extract(cohort)


def test_an_unknown_engine_suggests_the_nearest(tiny_cohort):
    with pytest.raises(SchemaError, match="did you mean 'pyradiomics'"):
        extract(tiny_cohort, engine="pyradiomic")


def nothing(array):
    return np.zeros_like(array)


def one_voxel(array):
    array = np.zeros_like(array)
    array[8, 8, 8] = 1
    return array


def with_nan(array):
    array = array.copy()
    array[8, 8, 8:10] = np.nan
    return array


def one_line(array):
    array = np.zeros_like(array)
    array[8, 8, 4:9] = 1
    return array


@pytest.mark.parametrize(
    ("file", "change", "error", "message"),
    [
        ("ct_mask", nothing, "EmptyMaskError", "case 'p2': no voxel"),
        ("ct_mask", one_voxel, "EmptyMaskError", "'p2': the lesion is one voxel (8"),
        ("ct_mask", one_line, "EmptyMaskError", "over [1, 1, 5] voxels (z, y, x), 2"),
        ("ct_mask", np.ones_like, "EmptyMaskError", "fills the whole image"),
        (
            "ct_image",
            with_nan,
            "ValueError",
            "case 'p2': 2 of 280 voxels in the lesion",
        ),
        (
            "ct_mask",
            lambda a: a[1:],
            "GeometryError",
            "case 'p2': the mask grid differs",
        ),
    ],
)
def test_a_case_that_fails_keeps_its_row(tiny_folder, file, change, error, message):
    rewrite(tiny_folder / "p2" / f"{file}.nii.gz", change)
    extraction = extract(tiny_folder, settings=SHAPE)
    failed = extraction.failures.iloc[0]
    assert failed[["case_id", "stage", "error"]].tolist() == [
        "p2",
        "handcrafted ct",
        error,
    ]
    assert message in failed["message"]
    assert extraction.features.filter(like="ct_").loc["p2"].isna().all()
    assert extraction.features.filter(like="pet_").notna().all(axis=None)
    assert extraction.features.drop("p2").notna().all(axis=None)
    assert extraction.summary["failed"].to_dict() == {"ct": 1, "pet": 0}
    assert extraction.summary["measured"].to_dict() == {"ct": 2, "pet": 3}
    assert len(extraction.provenance) == 6


def test_a_file_that_vanished_keeps_its_row(tiny_folder):
    cohort = Cohort.read(tiny_folder)
    (tiny_folder / "p3" / "pet_image.nii.gz").unlink()
    extraction = extract(cohort, settings=SHAPE)
    assert extraction.failures["error"].tolist() == ["FileNotFoundError"]
    assert extraction.features.filter(like="pet_").loc["p3"].isna().all()


def test_a_modality_that_fails_everywhere_is_still_counted(tiny_folder):
    for patient in ("p1", "p2", "p3"):
        rewrite(tiny_folder / patient / "ct_mask.nii.gz", nothing)
    summary = extract(tiny_folder, settings=SHAPE).summary
    assert summary.loc["ct", ["measured", "failed", "features"]].tolist() == [0, 3, 2]
    assert summary.loc["pet", ["measured", "failed"]].tolist() == [3, 0]


def test_a_filter_wider_than_the_image_leaves_a_reason(tiny_folder):
    settings = {
        "imageType": {"Original": None, "LoG": {"sigma": [100]}},
        "featureClass": {"firstorder": ["Mean"]},
    }
    extraction = extract(tiny_folder, settings=settings)
    column = "ct_handcrafted__log-sigma-100-mm-3D_firstorder_Mean"
    assert extraction.features[column].isna().all()
    assert extraction.failures["error"].unique().tolist() == ["MissingValue"]
    assert "1 of 2 features (log-sigma-100" in extraction.failures["message"][0]
    assert extraction.summary["incomplete"].tolist() == [3, 3]


def test_lesions_that_say_little_are_flagged(tiny_folder):
    rewrite(tiny_folder / "p1" / "ct_image.nii.gz", np.ones_like)
    rewrite(tiny_folder / "p1" / "pet_mask.nii.gz", lambda a: a * (np.arange(16) < 6))
    flags = extract(tiny_folder).provenance.set_index(["case_id", "modality"])["flags"]
    assert flags["p1", "ct"] == "flat: every voxel is 1"
    assert flags["p1", "pet"].startswith("tiny: 12 voxels (below 64)")
    assert flags["p3", "pet"] == ""


def test_too_many_gray_levels_are_flagged(tiny_cohort):
    settings = {"setting": {"binWidth": 0.1}, "featureClass": {"shape": ["MeshVolume"]}}
    flags = extract(tiny_cohort, settings=settings).provenance["flags"]
    assert flags[0].startswith("fine: ")


def test_a_mask_label_chooses_its_voxels(tiny_folder):
    rewrite(tiny_folder / "p1" / "ct_mask.nii.gz", lambda a: a.astype(int) * 300)
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    columns = ["case_id", "patient_id", "image_ct", "mask_ct"]
    cases.loc[:0, columns].assign(mask_label="300").to_csv(
        tiny_folder / "cases.csv", index=False
    )
    card = (tiny_folder / "cohort.yml").read_text("utf-8").split("endpoints:")[0]
    card = card.replace("  pet: {unit: SUV, preset: suv}\n", "")
    (tiny_folder / "cohort.yml").write_text(card, "utf-8")
    (tiny_folder / "endpoints.csv").unlink()
    extraction = extract(tiny_folder, settings=SHAPE)
    assert extraction.provenance["n_voxels"].tolist() == [136]


def test_a_common_mask_is_brought_onto_the_grid_on_request(tiny_folder):
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases = cases.rename(columns={"mask_ct": "mask"}).drop(columns="mask_pet")
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    failed = extract(tiny_folder, settings=SHAPE).failures
    assert failed["stage"].tolist() == ["handcrafted pet"] * 3
    card = tiny_folder / "cohort.yml"
    text = card.read_text("utf-8")
    card.write_text(text.replace("preset: suv", "preset: suv, resample_mask: true"))
    extraction = extract(tiny_folder, settings=SHAPE)
    assert extraction.failures.empty
    # the grids share their first voxel: every second voxel of CT is one of PET
    n_voxels = extraction.provenance.set_index(["case_id", "modality"])["n_voxels"]
    assert n_voxels["p3", "pet"] == sphere(5)[::2, ::2, ::2].sum()


def test_a_permuted_and_extended_manifest_mixes_no_row(tiny_folder, tmp_path):
    before = extract(tiny_folder, settings=SHAPE, cache=tmp_path / "cache").features
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    added = cases.iloc[[1]].assign(case_id="new", lesion_id="B")
    for role in ("ct_image", "ct_mask", "pet_image", "pet_mask"):
        source = tiny_folder / "p1" / f"{role}.nii.gz"
        target = tiny_folder / "p2" / f"B_{role}.nii.gz"
        target.write_bytes(source.read_bytes())
        modality, kind = role.split("_")
        added[f"{kind}_{modality}"] = f"p2/B_{role}.nii.gz"
    cases = pd.concat([added, cases.assign(lesion_id="A").iloc[::-1]])
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    after = extract(tiny_folder, settings=SHAPE, cache=tmp_path / "cache").features
    assert after.index.tolist() == ["new", "p3", "p2", "p1"]
    pd.testing.assert_frame_equal(after.loc[before.index], before, check_exact=True)
    assert after.loc["new"].tolist() == before.loc["p1"].tolist()


@pytest.fixture
def hashed(monkeypatch):
    """Files that are hashed, in order; none is too young to be kept."""
    read = []

    def told(path):
        read.append(path.parent.name + path.name)
        return file_hash(path)

    monkeypatch.setattr(hashes, "file_hash", told)
    monkeypatch.setattr(hashes, "_COARSE_NS", -1)
    return read


def test_what_check_read_extract_need_not_hash(tiny_folder, tmp_path, hashed):
    cache = tmp_path / "cache"
    found = check(tiny_folder, deep=True, cache=cache)
    assert found.problems.empty
    # three patients with two images and two masks, each once
    assert len(hashed) == len({*hashed}) == 12
    hashed.clear()
    first = extract(tiny_folder, settings=SHAPE, cache=cache)
    assert hashed == []
    assert first.provenance["image_hash"].str.len().eq(7 + 64).all()
    alone = extract(tiny_folder, settings=SHAPE)
    pd.testing.assert_frame_equal(first.features, alone.features, check_exact=True)
    for column in ("image_hash", "mask_hash", "key"):
        assert first.provenance[column].equals(alone.provenance[column])


def test_a_file_that_changed_since_the_check_is_measured_anew(
    tiny_folder, tmp_path, hashed
):
    cache, path = tmp_path / "cache", tiny_folder / "p2" / "ct_mask.nii.gz"
    check(tiny_folder, deep=True, cache=cache)
    before = extract(tiny_folder, settings=SHAPE, cache=cache)
    hashed.clear()
    about = path.stat()
    rewrite(path, lambda array: array * (np.indices(array.shape)[0] > 10))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    after = extract(tiny_folder, settings=SHAPE, cache=cache)
    assert hashed == ["p2ct_mask.nii.gz"]
    column = "ct_handcrafted__original_shape_VoxelVolume"
    changed = after.features[column] != before.features[column]
    assert changed.to_dict() == {"p1": False, "p2": True, "p3": False}


def test_a_repaired_mask_is_measured_again(tiny_folder, tmp_path):
    mask = tiny_folder / "p2" / "ct_mask.nii.gz"
    sound = mask.read_bytes()
    rewrite(mask, nothing)
    kept = {"settings": SHAPE, "cache": tmp_path / "cache"}
    assert len(extract(tiny_folder, **kept).failures) == 1
    mask.write_bytes(sound)
    extraction = extract(tiny_folder, **kept)
    assert extraction.failures.empty
    assert extraction.features.notna().all(axis=None)


def test_other_settings_are_not_read_from_the_cache(tiny_cohort, tmp_path):
    classes = {"firstorder": ["Uniformity"]}
    values = [
        extract(
            tiny_cohort,
            settings={"setting": {"binWidth": width}, "featureClass": classes},
            cache=tmp_path,
        ).features.iloc[0, 0]
        for width in (5, 50)
    ]
    assert values[0] < values[1]


def test_two_processes_give_the_same_table_as_one(tiny_cohort):
    one = extract(tiny_cohort, settings=SHAPE, jobs=1).features
    two = extract(tiny_cohort, settings=SHAPE, jobs=2).features
    pd.testing.assert_frame_equal(one, two, check_exact=True)


@pytest.mark.long
def test_a_killed_extraction_resumes_to_the_same_table(tmp_path):
    simulate(tmp_path / "cohort", n_patients=40)
    command = [sys.executable, "-m", "radlatent.cli", "extract"]
    command += [str(tmp_path / "cohort")]
    whole = [*command, "--out", str(tmp_path / "whole.parquet")]
    subprocess.run(whole, check=True, capture_output=True)
    cache = tmp_path / "killed.cache"
    killed = [*command, "--out", str(tmp_path / "killed.parquet"), "--jobs", "2"]
    process = subprocess.Popen(
        killed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    while not list(cache.rglob("*.json")):
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    # its workers hold the other end
    assert process.communicate(timeout=300)[0] == b""
    gone = f".{_machine()}-{process.pid}.part"
    drafts = [cache / "ab" / f"abc.json{gone}", tmp_path / f"killed.parquet{gone}"]
    for draft in drafts:
        draft.parent.mkdir(exist_ok=True)
        draft.write_text("half")
    finished = {path: path.stat().st_mtime_ns for path in cache.rglob("*.json")}
    assert 0 < len(finished) < 2 * 40
    assert not (tmp_path / "killed.parquet").exists()
    subprocess.run(killed, check=True, capture_output=True)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert not [draft for draft in drafts if draft.exists()]
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "killed.parquet"),
        pd.read_parquet(tmp_path / "whole.parquet"),
        check_exact=True,
    )


def test_a_label_of_the_settings_holds_for_cases_without_one(tiny_folder):
    # label 2 in the upper half
    for patient in ("p1", "p2", "p3"):
        for modality in ("ct", "pet"):
            path = tiny_folder / patient / f"{modality}_mask.nii.gz"
            rewrite(path, lambda a: a * (1 + (np.arange(16) > 7)[:, None, None]))
    settings = SHAPE | {"setting": {"label": 2}}
    assert extract(tiny_folder, settings=settings).provenance["n_voxels"][0] == 68
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str).assign(mask_label="1")
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    rows = extract(tiny_folder, settings=settings).provenance
    assert rows["n_voxels"][0] == 68
    assert rows["mask_label"].tolist() == [1] * 6


def test_a_cohort_that_was_read_has_its_root(tiny_cohort):
    with pytest.raises(SchemaError, match="root belongs to the folder"):
        extract(tiny_cohort, root="elsewhere")


def test_equal_settings_written_otherwise_share_no_wrong_result(tiny_cohort, tmp_path):
    classes = {"featureClass": {"glcm": ["Contrast"]}, "setting": {"distances": [2]}}
    for own, expected in ((None, [2]), ({"distances": [1]}, [1])):
        content = classes | {"imageType": {"Original": own}}
        kept = extract(tiny_cohort, settings=content, cache=tmp_path).features
        plain = {"setting": {"distances": expected}}
        fresh = extract(tiny_cohort, settings=classes | plain).features
        pd.testing.assert_frame_equal(kept, fresh, check_exact=True)


def test_an_extraction_says_what_it_is(tiny_cohort):
    extraction = extract(tiny_cohort, settings=SHAPE)
    assert repr(extraction) == "Extraction(3 cases, 4 features, 0 cases failed)"
    assert "measured" in extraction._repr_html_()


@pytest.mark.slow
def test_threads_of_one_process_give_the_same_table(tmp_path):
    # in a fresh process: an extractor that was built before hides a race
    simulate(tmp_path / "cohort", n_patients=12)
    code = (
        "import sys, warnings, joblib, pandas as pd, radlatent as rl\n"
        "cohort = rl.Cohort.read(sys.argv[1])\n"
        "with joblib.parallel_config(backend='threading', n_jobs=4):\n"
        "    there = rl.extract(cohort)\n"
        "assert there.failures.empty, there.failures.to_string()\n"
        "silent = [f for f in warnings.filters if f[:3] == ('ignore', None, Warning)]\n"
        "assert not silent, silent\n"
        "here = rl.extract(cohort)\n"
        "pd.testing.assert_frame_equal(\n"
        "    there.features, here.features, check_exact=True)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "cohort")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_copy_in_another_format_is_found_by_its_values(tiny_folder, caplog):
    image = read_volume(tiny_folder / "p1" / "ct_image.nii.gz")
    write_volume(image, tiny_folder / "p3" / "ct_image.nrrd")
    mask = (tiny_folder / "p1" / "ct_mask.nii.gz").read_bytes()
    (tiny_folder / "p3" / "ct_mask.nii.gz").write_bytes(mask)
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases.loc[2, "image_ct"] = "p3/ct_image.nrrd"
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    extraction = extract(tiny_folder)
    (note,) = extraction.shared
    assert note.startswith("patients p1, p3 have one image (their lesions have")
    assert note in caplog.messages
    # by its bytes it is found as well, and told once
    path = tiny_folder / "p3" / "pet_image.nii.gz"
    path.write_bytes((tiny_folder / "p1" / "pet_image.nii.gz").read_bytes())
    told = extract(tiny_folder).shared
    assert [note.partition(" (")[2][:13] for note in told] == ["p1/pet_image."]


def test_one_mask_of_two_patients_is_no_copy_of_an_image(tiny_folder):
    for modality in ("ct", "pet"):
        mask = (tiny_folder / "p1" / f"{modality}_mask.nii.gz").read_bytes()
        (tiny_folder / "p3" / f"{modality}_mask.nii.gz").write_bytes(mask)
    assert extract(tiny_folder).shared == ()


def test_flags_are_told_once_a_kind(tiny_folder, caplog):
    for patient in ("p1", "p2"):
        rewrite(
            tiny_folder / patient / "pet_image.nii.gz",
            lambda a: (a * 5000).astype(np.float32),
        )
    extract(tiny_folder)
    told = [line for line in caplog.messages if line.startswith("flagged, pet: unit")]
    assert len(told) == 1
    assert "Bq/ml" in told[0]
    assert "(2 times" in told[0]
