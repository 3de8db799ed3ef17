"""Simulated whole bodies: anatomy in the world, tables, and what the styles promise."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from scipy.spatial.distance import pdist
from sklearn.metrics import roc_auc_score

from radlatent.cohort import Cohort, check, index, simulate
from radlatent.errors import CohortError
from radlatent.imaging import (
    Volume,
    maximum_intensity_projection,
    read_volume,
    write_volume,
)

ANALYSIS = Path(__file__).parents[2] / "analyses" / "petct_latent_space"
sys.path.insert(0, str(ANALYSIS))

from anatomy import STYLES  # noqa: E402
from body import (  # noqa: E402
    MIN_SEMI_MM,
    SHAPE,
    SPACING_MM,
    draw_body,
    render_body,
)
from wholebody import (  # noqa: E402
    _draw_outcome,
    _log_hazard,
    simulate_body,
    simulate_wholebody,
)

N_PATIENTS = 6
SEEDS = range(8)


@pytest.fixture(scope="module", params=list(STYLES))
def style(request):
    return request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("wholebody") / "remarc"
    simulate_wholebody(out, n_patients=N_PATIENTS, random_state=0)
    return out


@pytest.fixture(scope="module")
def truth(folder):
    return pd.read_csv(folder / "truth.csv", index_col="patient_id")


@pytest.fixture(scope="module")
def bodies():
    """Eight patients of each style."""
    return {s: [simulate_body(seed, style=s) for seed in SEEDS] for s in STYLES}


def organ_mean(body, name):
    """Mean SUV within half the radius of an organ, found by its world position."""
    drawn, image = body.drawn, body.image
    organ = drawn.organs[name]
    top_z = drawn.center_mm[2] + SHAPE[0] * SPACING_MM / 2 - drawn.top_mm
    z, y, x = organ.center
    world = np.array([drawn.center_mm[0] + x, drawn.center_mm[1] + y, top_z - z])
    places = image.to_world(np.argwhere(np.ones(SHAPE, bool))) - world
    semi = np.array(organ.semi)[::-1]
    near = (np.sum((places / semi) ** 2, axis=1) < 0.25).reshape(SHAPE)
    return image.array[near].mean() / drawn.calibration


def test_both_slice_orders_occur(bodies):
    for of_style in bodies.values():
        assert {b.drawn.slice_order for b in of_style} == {"feet_first", "head_first"}


@pytest.mark.parametrize("view", ["coronal", "sagittal"])
def test_the_brain_is_at_the_top_of_the_picture(bodies, style, view):
    for body in bodies[style]:
        picture = maximum_intensity_projection(body.image, view).array
        hot = picture > 3 * body.drawn.calibration
        # brain from 12 + 20 to 32 + 140 mm below the border, at least 100 x 110 mm
        assert hot[4:22].sum() * SPACING_MM**2 > 100 * 110 * np.pi / 4
        # above it there is air, and the arms
        assert not hot[:2].any()


def test_the_array_alone_does_not_say_where_the_head_is(bodies):
    for body in bodies["remarc"]:
        # no bladder and no mass is as large as a brain
        hot = (body.image.array > 3 * body.drawn.calibration).sum(axis=(1, 2))
        head_first = hot[4:22].sum() > hot[-22:-4].sum()
        assert head_first == (body.drawn.slice_order == "head_first")


def test_the_liver_is_on_the_right(bodies, style):
    for body in bodies[style]:
        liver = body.drawn.organs["liver"]
        assert liver.center[2] < 0
        picture = maximum_intensity_projection(body.image, "coronal").array
        # column 0 is the patient's right
        row = int((liver.center[0] + body.drawn.top_mm) / SPACING_MM)
        column = int(SHAPE[2] / 2 + liver.center[2] / SPACING_MM)
        patch = np.s_[row - 1 : row + 2, column - 1 : column + 2]
        assert picture[patch].mean() > 1.4 * body.drawn.calibration


@pytest.mark.parametrize(
    ("name", "low", "high"),
    # of the mean of eight; clinical ranges: liver 1.5-3, brain cortex above 6, lung
    # below 1, blood pool 1-2.5
    [("liver", 1.8, 2.8), ("brain", 5, 10), ("lung_right", 0.2, 1.0)],
)
def test_uptake_is_in_the_clinical_range(bodies, name, low, high):
    clear = []
    for body in bodies["remarc"]:
        suv = organ_mean(body, name)
        lesions = body.drawn.lesions
        center = np.array(body.drawn.organs[name].center)
        gaps = [np.linalg.norm(np.array(x.center) - center) for x in lesions]
        if min(gaps) > 120:
            clear.append(suv)
    assert len(clear) >= 2
    assert low < np.mean(clear) < high


def test_volumes_are_finite_suv(bodies, style):
    for body in bodies[style]:
        assert body.image.array.dtype == np.float32
        assert body.image.shape == SHAPE
        assert np.isfinite(body.image.array).all()
        assert body.image.array.min() == 0
        assert body.image.spacing_mm == (SPACING_MM,) * 3
        # the center of the voxels, whatever the storage order
        middle = body.image.to_world([(np.array(SHAPE) - 1) / 2])[0]
        np.testing.assert_allclose(middle, body.drawn.center_mm, atol=1e-9)


def test_lesions_lie_in_the_body_and_are_hotter_than_it(bodies, style):
    for body in bodies[style]:
        suv, mask = body.image.array, body.mask.array
        assert set(np.unique(mask)) == {0, 1}
        tissue = np.median(suv[(suv > 0.3 * body.drawn.calibration) & (mask == 0)])
        assert suv[mask > 0].mean() > 3 * tissue
        assert np.median(suv[mask > 0]) > 3 * body.drawn.calibration
        shell = ndimage.binary_dilation(mask, iterations=3) & (mask == 0)
        assert suv[mask > 0].mean() > suv[shell].mean()
        # air, from the front and back of the volume inward, never reaches a lesion
        air = suv < 0.12 * body.drawn.calibration
        outside = ndimage.binary_opening(air, np.ones((3, 3, 3)))
        assert not (outside & (mask > 0)).any()


@pytest.mark.parametrize("seed", range(8, 20))
def test_no_lesion_falls_between_voxels(seed, style):
    drawn = draw_body(np.random.default_rng(seed), STYLES[style])
    # half the diagonal of a voxel, the farthest from a center that a point can be
    assert np.sqrt(3) / 2 * SPACING_MM < MIN_SEMI_MM
    _, mask = render_body(drawn, STYLES[style])
    _, n_components = ndimage.label(mask, np.ones((3, 3, 3)))
    assert 1 <= n_components <= len(drawn.lesions)


def test_rendering_draws_nothing():
    drawn = draw_body(np.random.default_rng(0), STYLES["remarc"])
    one, two = (render_body(drawn, STYLES["remarc"]) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])


def test_files_keep_arrays_and_place(folder):
    root = np.random.SeedSequence(0, spawn_key=(0,))
    body = simulate_body(root.spawn(1)[0].spawn(2)[0])
    case = pd.read_csv(folder / "cases.csv").iloc[0]
    for wanted, column in ((body.image, "image_pet"), (body.mask, "mask_pet")):
        found = read_volume(folder / case[column])
        assert np.array_equal(found.array, wanted.array)
        # NIfTI keeps the grid in float32
        np.testing.assert_allclose(found.affine, wanted.affine, atol=1e-3)


def test_the_cohort_has_one_case_a_patient(folder):
    cohort = Cohort.read(folder)
    assert cohort.included.index.tolist() == [f"R{k:04d}" for k in range(1, 7)]
    assert set(cohort.included["lesion_id"]) == {"total"}
    assert list(cohort.clinical()) == ["clinical__age"]
    assert check(folder, jobs=1).problems.empty


def test_truth_can_be_measured_again(folder, truth):
    for case in pd.read_csv(folder / "cases.csv").to_dict("records"):
        known = truth.loc[case["patient_id"]]
        suv = read_volume(folder / case["image_pet"]).array
        mask = read_volume(folder / case["mask_pet"])
        label, n = ndimage.label(mask.array, np.ones((3, 3, 3)))
        centers = [
            mask.to_world(np.argwhere(label == k)).mean(axis=0) for k in range(1, n + 1)
        ]
        volume = (mask.array > 0).sum() * 0.512
        assert known["n_lesions"] == n
        assert known["tumor_volume_ml"] == pytest.approx(volume)
        # the grid of the file is float32
        farthest = pdist(centers).max(initial=0)
        assert known["dispersion_mm"] == pytest.approx(farthest, abs=0.01)
        assert known["suv_max"] == suv.max()
        glycolysis = volume * suv[mask.array > 0].mean(dtype=float)
        assert known["total_lesion_glycolysis"] == pytest.approx(glycolysis, rel=1e-5)
        hazard = 0.5 * np.log(volume / 220) + 0.2 * (farthest - 400) / 100
        assert known["linear_predictor"] == pytest.approx(hazard, abs=1e-4)


def test_patients_do_not_depend_on_their_number(folder, truth, tmp_path):
    simulate_wholebody(tmp_path, n_patients=2)
    for table in ("endpoints.csv", "truth.csv", "cases.csv"):
        few, many = (pd.read_csv(path / table) for path in (tmp_path, folder))
        pd.testing.assert_frame_equal(few, many.head(2))
    for path in sorted((tmp_path / "images").rglob("*.nii.gz")):
        other = folder / path.relative_to(tmp_path)
        assert path.read_bytes() == other.read_bytes()


def test_styles_and_seeds_share_no_patient(tmp_path):
    kinds = {("remarc", 0), ("remarc", 1), ("lnh073b", 0)}
    found = set()
    for style, seed in kinds:
        out = tmp_path / f"{style}{seed}"
        simulate_wholebody(out, n_patients=2, style=style, random_state=seed)
        truth = pd.read_csv(out / "truth.csv")
        found |= set(zip(truth["height_cm"], truth["weight_kg"], strict=True))
    assert len(found) == 6


def test_an_interrupted_run_is_finished_bit_by_bit(tmp_path):
    simulate_wholebody(tmp_path, n_patients=2, style="lnh073b")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    record = json.loads((tmp_path / "truth.json").read_text())
    started = {key: record[key] for key in ("generator_version", "arguments")}
    (tmp_path / "truth.partial.json").write_text(json.dumps(started))
    (tmp_path / "truth.json").unlink()
    shutil.rmtree(tmp_path / "images" / "L0002")
    simulate_wholebody(tmp_path, n_patients=2, style="lnh073b")
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert after == before


def test_an_earlier_run_is_returned_and_another_refused(tmp_path):
    simulate_wholebody(tmp_path, n_patients=2)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    assert len(simulate_wholebody(tmp_path, n_patients=np.int64(2)).included) == 2
    with pytest.raises(FileExistsError, match="'n_patients': 2"):
        simulate_wholebody(tmp_path, n_patients=3)
    with pytest.raises(FileExistsError, match="'style': 'remarc'"):
        simulate_wholebody(tmp_path, n_patients=2, style="lnh073b")
    with pytest.raises(FileExistsError, match="holds a simulation"):
        simulate(tmp_path, n_patients=2)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_another_folder_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileExistsError, match="did not write"):
        simulate_wholebody(tmp_path, n_patients=2)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_wrong_arguments_are_named_together(tmp_path):
    with pytest.raises(CohortError) as caught:
        simulate_wholebody(
            tmp_path / "out", n_patients=True, style="remark", random_state=-1
        )
    message = str(caught.value)
    assert "n_patients is True" in message
    assert "random_state is -1" in message
    assert "did you mean 'remarc'?" in message
    assert not (tmp_path / "out").exists()
    with pytest.raises(CohortError, match="style is None"):
        simulate_body(0, style=None)


def test_the_hazard_of_the_reference_patient_is_the_baseline():
    at_zero = {"tumor_volume_ml": 220.0, "dispersion_mm": 400.0}
    assert _log_hazard(at_zero) == 0
    rng = np.random.default_rng(0)
    n = 4000
    drawn = pd.DataFrame([_draw_outcome(rng, 0.0) for _ in range(n)])
    # S(730) = 0.75; four standard errors
    error = 4 * np.sqrt(0.25 * 0.75 / n)
    assert drawn["progression"].mean() == pytest.approx(0.25, abs=error)
    # hazard ratio 2 squares the survival
    doubled = pd.DataFrame([_draw_outcome(rng, np.log(2)) for _ in range(n)])
    wanted = 1 - 0.75**2
    assert doubled["progression"].mean() == pytest.approx(wanted, abs=0.032)
    # nobody is lost before two years
    early = drawn[(drawn["pfs_time"] <= 730) & (drawn["pfs_event"] == 0)]
    assert len(early) <= (drawn["pfs_time"] == 730).sum()
    agree = (drawn["pfs_time"] <= 730) & (drawn["pfs_event"] == 1)
    assert (agree == (drawn["progression"] == 1)).all()


@pytest.mark.slow
def test_bodies_are_drawn_as_the_style_says():
    """Draws only, without images: bladder, deposits, calibration and arms."""
    n = 150
    drawn = {
        name: [draw_body(np.random.default_rng(seed), s) for seed in range(n)]
        for name, s in STYLES.items()
    }
    for name, bodies in drawn.items():
        s = STYLES[name]
        calibration = np.log([b.calibration for b in bodies])
        # four standard errors of a standard deviation and of a share
        error = 4 * s.calibration / np.sqrt(2 * n)
        assert calibration.std() == pytest.approx(s.calibration, abs=error)
        for share, wanted in (
            (np.mean(["deposit" in b.organs for b in bodies]), s.extravasation),
            (np.mean([b.arms == "down" for b in bodies]), s.arms_down),
        ):
            assert share == pytest.approx(wanted, abs=4 * 0.5 / np.sqrt(n))
    log_urine = {
        name: np.log([b.organs["bladder"].suv for b in bodies])
        for name, bodies in drawn.items()
    }
    assert log_urine["lnh073b"].mean() > log_urine["remarc"].mean()
    assert log_urine["lnh073b"].std() > 1.2 * log_urine["remarc"].std()


@pytest.mark.slow
def test_lnh073b_has_the_heavier_tail_and_log_takes_most_of_it_away():
    """Squared z-score of the hottest pixel, with mean and deviation of REMARC."""
    n = 40
    pictures = {
        name: np.array(
            [
                maximum_intensity_projection(body.image, "coronal").array
                for body in (simulate_body(1000 + k, style=name) for k in range(n))
            ]
        )
        for name in STYLES
    }
    ratio = {}
    for scale, f in (("linear", np.asarray), ("log", np.log1p)):
        own, other = (f(pictures[name]) for name in ("remarc", "lnh073b"))
        squares = [
            ((cohort.max(axis=(1, 2)) - own.mean()) / own.std()) ** 2
            for cohort in (own, other)
        ]
        ratio[scale] = squares[1].mean() / squares[0].mean()
    # 284 and 101 patients: 8.8 and 1.5; the tail of 40 decides how large, not which
    assert ratio["linear"] > 3
    assert 1 < ratio["log"] < ratio["linear"] / 2
    above_100 = {k: (p.max(axis=(1, 2)) > 100).sum() for k, p in pictures.items()}
    assert above_100["lnh073b"] >= 2
    assert above_100["lnh073b"] > above_100["remarc"]


@pytest.mark.slow
def test_volume_and_dispersion_rank_the_outcome(tmp_path):
    cohort = simulate_wholebody(tmp_path, n_patients=80, random_state=3)
    truth = pd.read_csv(tmp_path / "truth.csv", index_col="patient_id")
    found = cohort.endpoint("progression").frame["class"].astype(int)
    oracle = json.loads((tmp_path / "truth.json").read_text())["oracle"]
    for name in ("linear_predictor", "tumor_volume_ml", "dispersion_mm"):
        auc = roc_auc_score(found, truth.loc[found.index, name])
        assert oracle["auc"][name] == pytest.approx(auc, abs=1e-12)
    # chance is 0.5 with a standard error of 0.07
    assert oracle["auc"]["linear_predictor"] > 0.6
    assert oracle["c_index"]["linear_predictor"] > 0.55


@pytest.mark.parametrize("name", ["remarc", "lnh073b"])
def test_the_data_cards_read_the_simulated_patients(name, tmp_path, project_root):
    # enough patients that both endpoints hold both outcomes
    simulate_wholebody(tmp_path, n_patients=4, style=name)
    cohort = Cohort.read(project_root / "cohorts" / name, root=tmp_path)
    assert cohort.name == name
    assert len(cohort.included) == 4
    assert len(cohort.endpoint("pfs").frame) == 4
    assert check(cohort, jobs=1).problems.empty


@pytest.fixture
def trial(folder, tmp_path):
    """The images as a trial hands them over: no tables, names that say nothing."""
    root = tmp_path / "trial"
    for number, patient in enumerate(sorted((folder / "images").iterdir())):
        for kind, name in (("pet", "suv"), ("gt", "tumor")):
            source = next((patient / kind).iterdir())
            into = root / patient.name / (kind.upper() if number % 2 else kind)
            into.mkdir(parents=True)
            shutil.copy(source, into / f"{name}{number}.nii.gz")
    shutil.copy(folder / "endpoints.csv", root / "endpoints.csv")
    return root


def test_index_reads_the_folders_of_a_trial(folder, trial, tmp_path):
    cases = index(trial, tmp_path / "mine", layout="pet_gt")
    assert cases.loc["R0001", "image_pet"] == "R0001/pet/suv0.nii.gz"
    assert cases.loc["R0002", "mask_pet"] == "R0002/GT/tumor1.nii.gz"
    cohort = Cohort.read(tmp_path / "mine")
    assert check(cohort, jobs=1).problems.empty
    for case_id in cohort.included.index:
        for mine, other in zip(
            cohort.files(case_id, "pet"),
            Cohort.read(folder).files(case_id, "pet"),
            strict=True,
        ):
            assert mine.read_bytes() == other.read_bytes()


def test_the_card_reads_the_folders_of_a_trial(trial, project_root):
    cohort = Cohort.read(project_root / "cohorts" / "remarc", root=trial)
    assert len(cohort.endpoint("pfs").frame) == N_PATIENTS


def test_placeholders_read_file_names_that_follow_from_the_patient(folder, tmp_path):
    cases = index(
        folder / "images",
        tmp_path / "mine",
        image="{patient_id}/{modality}/{patient_id}_pet.nii.gz",
        mask="{patient_id}/gt/{patient_id}_gt.nii.gz",
    )
    assert cases.loc["R0002", "image_pet"] == "R0002/pet/R0002_pet.nii.gz"
    assert check(tmp_path / "mine", jobs=1).problems.empty


def test_a_mask_stored_the_other_way_around_is_reported(trial, tmp_path):
    index(trial, tmp_path / "mine", layout="pet_gt")
    path = trial / "R0001" / "gt" / "tumor0.nii.gz"
    mask = read_volume(path)
    last = mask.to_world([(SHAPE[0] - 1, 0, 0)])[0]
    direction = mask.direction * (-1, 1, 1)
    turned = Volume(mask.array[::-1], mask.spacing_mm, tuple(last), direction)
    write_volume(turned, path)
    found = check(tmp_path / "mine", jobs=1).problems
    assert found["case_id"].tolist() == ["R0001"]
    assert "grids differ" in found["problem"][0]
    card = tmp_path / "mine" / "cohort.yml"
    text = card.read_text().replace("preset: suv}", "preset: suv, resample_mask: true}")
    card.write_text(text)
    assert check(tmp_path / "mine", jobs=1).problems.empty
