import json
import logging

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage, stats
from sklearn.metrics import roc_auc_score

from radlatent.cohort import Cohort
from radlatent.cohort.simulation.lesion import GRIDS, draw, has_checkerboard
from radlatent.cohort.simulation.outcome import (
    censoring_limit,
    concordance,
    draw_outcome,
)
from radlatent.cohort.simulation.simulate import simulate, simulate_patient
from radlatent.errors import CohortError
from radlatent.imaging import read_volume

N_PATIENTS = 40
# filters of pyradiomics that treat both directions of an axis alike
SYMMETRIC = ["LoG", "Gradient", "Square", "SquareRoot", "Logarithm", "Exponential"]
BIN_WIDTH = {"pet": 0.25, "ct": 25}
# the first lesion of patient 508 is a second draw: the mesh of the first was not blind
PATIENTS = [0, 1, 508]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("simulated") / "cohort"
    simulate(out, n_patients=N_PATIENTS, random_state=0)
    return out


@pytest.fixture(scope="module")
def truth(folder):
    return pd.read_csv(folder / "truth.csv", index_col="patient_id")


@pytest.fixture(scope="module")
def lesions(folder):
    """One row a lesion and modality: statistics in the mask, slope over world z."""
    rows = []
    for case in pd.read_csv(folder / "cases.csv").to_dict("records"):
        for modality in GRIDS:
            image, mask = (
                read_volume(folder / case[f"{role}_{modality}"])
                for role in ("image", "mask")
            )
            inside = mask.array == case["mask_label"]
            values = image.array[inside].astype(float)
            z = image.to_world(np.argwhere(inside))[:, 2]
            rows.append(
                {
                    "patient_id": case["patient_id"],
                    "modality": modality,
                    "volume": inside.sum() * np.prod(mask.spacing_mm),
                    "voxels": inside.sum(),
                    "levels": len(set(values // BIN_WIDTH[modality])),
                    "mean": values.mean(),
                    "sd": values.std(),
                    "skewness": stats.skew(values),
                    "residual": residual_sd(values, z),
                    "slope": np.polyfit(z, values, 1)[0],
                    "array_slope": np.polyfit(np.nonzero(inside)[0], values, 1)[0],
                }
            )
    return pd.DataFrame(rows)


def residual_sd(values, z):
    return (values - np.polyval(np.polyfit(z, values, 1), z)).std()


@pytest.fixture(scope="module")
def extract():
    radiomics = pytest.importorskip("radiomics")
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    sitk = pytest.importorskip("SimpleITK")
    logger = logging.getLogger(radiomics.__name__)
    level = logger.level
    logger.setLevel(logging.ERROR)

    def run(image, mask, modality, image_types, label=1):
        extractor = RadiomicsFeatureExtractor(binWidth=BIN_WIDTH[modality])
        extractor.disableAllImageTypes()
        for name in image_types:
            custom = {"sigma": [2.0, 4.0]} if name == "LoG" else {}
            extractor.enableImageTypeByName(name, customArgs=custom)
        pair = [
            sitk.GetImageFromArray(np.ascontiguousarray(array))
            for array in (image, mask)
        ]
        for volume in pair:
            volume.SetSpacing(GRIDS[modality].spacing_mm[::-1])
        found = extractor.execute(*pair, label=label)
        features = {k: float(v) for k, v in found.items() if "diagnostics" not in k}
        return pd.Series(features)

    yield run
    logger.setLevel(level)


@pytest.mark.reference
@pytest.mark.parametrize("modality", GRIDS)
@pytest.mark.parametrize("seed", PATIENTS)
def test_the_107_original_features_are_blind_to_the_mirror(extract, seed, modality):
    patient = simulate_patient(seed)
    image, mask = patient.images[modality], patient.masks[modality]
    for label in range(1, len(patient.drawn.lesions) + 1):
        what = modality, ["Original"], label
        upright = extract(image, mask, *what)
        mirrored = extract(image[::-1], mask[::-1], *what)
        assert len(upright) == 107
        # sums run in another order: a few roundings, 1e-16 each
        np.testing.assert_allclose(mirrored, upright, rtol=1e-9, atol=1e-12)


@pytest.mark.reference
@pytest.mark.parametrize("modality", GRIDS)
@pytest.mark.parametrize("image_type", SYMMETRIC)
def test_features_of_symmetric_filters_are_blind_too(extract, image_type, modality):
    patient = simulate_patient(PATIENTS[0])
    image, mask = patient.images[modality], patient.masks[modality]
    upright = extract(image, mask, modality, [image_type])
    mirrored = extract(image[::-1], mask[::-1], modality, [image_type])
    # voxel-wise filters commute with the mirror; so do central differences, and ITK's
    # recursive Gaussian, which runs once in each direction and adds both
    np.testing.assert_allclose(mirrored, upright, rtol=1e-9, atol=1e-12)


@pytest.mark.reference
@pytest.mark.parametrize("modality", GRIDS)
def test_wavelet_features_see_the_mirror_in_the_array(extract, modality):
    patient = simulate_patient(PATIENTS[0])
    image, mask = patient.images[modality], patient.masks[modality]
    upright = extract(image, mask, modality, ["Wavelet"])
    mirrored = extract(image[::-1], mask[::-1], modality, ["Wavelet"])
    changed = ~np.isclose(mirrored, upright, rtol=1e-3, atol=1e-12)
    assert changed.mean() > 0.5


@pytest.mark.parametrize("axis", range(3))
def test_voxels_that_touch_at_an_edge_only_are_found(axis):
    shape = np.zeros((4, 4, 4), dtype=bool)
    shape[1, 1, 1] = True
    assert not has_checkerboard(shape)
    diagonal = shape.copy()
    diagonal[tuple(1 if a == axis else 2 for a in range(3))] = True
    assert has_checkerboard(diagonal)
    assert has_checkerboard(diagonal[::-1])
    assert not has_checkerboard(shape | np.roll(shape, 1, axis))


@pytest.mark.reference
def test_wavelet_features_of_a_mirrored_twin_are_identical(extract):
    found = []
    for mirrored in (False, True):
        patient = simulate_patient(PATIENTS[0], mirrored=mirrored)
        arrays = patient.images["pet"], patient.masks["pet"]
        found.append(extract(*arrays, "pet", ["Wavelet"]))
    pd.testing.assert_series_equal(*found, check_exact=True)


@pytest.mark.parametrize("seed", range(6))
def test_a_mirrored_twin_has_identical_arrays_and_the_other_sign(seed):
    patient, twin = (simulate_patient(seed, mirrored=m) for m in (False, True))
    assert twin.drawn.hidden == -patient.drawn.hidden
    assert twin.drawn.slice_order != patient.drawn.slice_order
    assert twin.drawn.seen == patient.drawn.seen
    for modality in GRIDS:
        assert np.array_equal(twin.images[modality], patient.images[modality])
        assert np.array_equal(twin.masks[modality], patient.masks[modality])
        one, two = (p.volume(modality, "image") for p in (patient, twin))
        assert (one.direction[:, 0] == -two.direction[:, 0]).all()


@pytest.mark.slow
def test_the_factors_do_not_depend_on_each_other():
    table = pd.DataFrame([factors_of(seed) for seed in range(200)])
    correlation = table.corr().to_numpy()[np.triu_indices(len(table.columns), 1)]
    # 10 correlations of 200 pairs: 0.28 is four standard errors
    assert np.abs(correlation).max() < 0.28
    assert table["feet_first"].mean() == pytest.approx(0.5, abs=0.14)
    assert table["hidden"].mean() == pytest.approx(0, abs=0.28)


def factors_of(seed):
    drawn = draw(np.random.default_rng(seed))
    return {
        "seen": drawn.seen,
        "hidden": drawn.hidden,
        "feet_first": drawn.slice_order == "feet_first",
        "site": drawn.site == "A",
        "z": drawn.lesions[0].center_mm[0],
    }


def test_the_slope_over_world_z_recovers_hidden(lesions, truth):
    for modality in GRIDS:
        of_modality = lesions[lesions["modality"] == modality]
        slope = of_modality.groupby("patient_id")["slope"].mean()
        agree = np.sign(slope) == truth["hidden"]
        assert agree.mean() > 0.95


def test_the_slope_along_the_array_does_not_recover_hidden(lesions, truth):
    slope = lesions.groupby("patient_id")["array_slope"].mean()
    agree = (np.sign(slope) == truth["hidden"]).sum()
    assert stats.binomtest(int(agree), len(truth)).pvalue > 0.001


@pytest.mark.parametrize("modality", GRIDS)
def test_seen_drives_volume_and_heterogeneity(lesions, truth, modality):
    mean = per_patient(lesions, modality)
    for statistic in ("volume", "sd", "residual"):
        assert np.corrcoef(mean[statistic], truth["seen"])[0, 1] > 0.5


@pytest.mark.parametrize("modality", GRIDS)
def test_hidden_leaves_statistics_in_the_mask_alone(lesions, truth, modality):
    mean = per_patient(lesions, modality)
    for statistic in ("volume", "mean", "sd", "skewness"):
        assert stats.pearsonr(mean[statistic], truth["hidden"]).pvalue > 0.001


def per_patient(lesions, modality):
    numbers = lesions[lesions["modality"] == modality].drop(columns="modality")
    return numbers.groupby("patient_id").mean()


def test_lesions_are_neither_flat_nor_tiny(lesions):
    assert lesions["levels"].min() > 8
    assert lesions["voxels"].min() > 40


def test_both_modalities_sample_one_shape(lesions):
    pet, ct = (lesions.loc[lesions["modality"] == m, "volume"] for m in GRIDS)
    ratio = pet.to_numpy() / ct.to_numpy()
    # a sphere of 60 voxels is counted to about 10%
    assert np.abs(ratio - 1).max() < 0.2


def test_masks_hold_one_connected_label_a_lesion(folder, truth):
    for patient_id, n_lesions in truth["n_lesions"].head(10).items():
        for modality in GRIDS:
            path = folder / "images" / patient_id / f"{modality}_mask.nii.gz"
            mask = read_volume(path).array
            labels = set(np.unique(mask)) - {0}
            assert labels == set(range(1, n_lesions + 1))
            assert ndimage.label(mask)[1] == n_lesions
            edges = [mask.take(i, axis=a) for a in range(3) for i in (0, -1)]
            assert not any(edge.any() for edge in edges)


def test_files_keep_arrays_and_place(folder):
    patient = simulate_patient(np.random.SeedSequence(0).spawn(1)[0].spawn(2)[0])
    for modality in GRIDS:
        for role in ("image", "mask"):
            wanted = patient.volume(modality, role)
            path = folder / "images" / "P0001" / f"{modality}_{role}.nii.gz"
            found = read_volume(path)
            assert np.array_equal(found.array, wanted.array)
            # NIfTI keeps the grid in float32
            np.testing.assert_allclose(found.affine, wanted.affine, atol=1e-4)


def test_grids_share_their_center():
    patient = simulate_patient(0)
    centers = []
    for modality in GRIDS:
        volume = patient.volume(modality, "image")
        centers.append(volume.to_world([(np.array(volume.shape) - 1) / 2])[0])
    np.testing.assert_allclose(centers[0], centers[1], atol=1e-9)


def test_the_cohort_has_a_case_a_lesion(folder, truth):
    cohort = Cohort.read(folder)
    assert len(cohort.included) == truth["n_lesions"].sum()
    assert sorted(truth["n_lesions"].unique()) == [1, 2, 3]
    assert sorted(cohort.endpoint("response").frame["class"].unique()) == ["0", "1"]
    assert len(cohort.endpoint("survival").frame) == N_PATIENTS
    assert list(cohort.clinical()) == ["clinical__age"]


def test_the_data_card_reads_the_folder(folder, request):
    card = request.config.rootpath / "cohorts" / "simulated"
    cohort = Cohort.read(card, root=folder)
    assert len(cohort.endpoint("survival").frame) == N_PATIENTS


def test_the_oracle_can_be_recomputed(folder, truth):
    lifelines = pytest.importorskip("lifelines.utils")
    endpoints = pd.read_csv(folder / "endpoints.csv", index_col="patient_id")
    oracle = json.loads((folder / "truth.json").read_text())["oracle"]
    lp = 1.5 * truth["seen"] + 1.5 * truth["hidden"]
    np.testing.assert_allclose(truth["linear_predictor"], lp, rtol=1e-12)
    for name in ("linear_predictor", "seen", "hidden"):
        auc = roc_auc_score(endpoints["response"], truth[name])
        c_index = lifelines.concordance_index(
            endpoints["survival_time"], -truth[name], endpoints["survival_event"]
        )
        assert oracle["auc"][name] == pytest.approx(auc, abs=1e-12)
        assert oracle["c_index"][name] == pytest.approx(c_index, abs=1e-12)
    assert oracle["auc"]["linear_predictor"] > oracle["auc"]["seen"]
    assert oracle["c_index"]["linear_predictor"] > oracle["c_index"]["hidden"]


def test_concordance_handles_ties_as_lifelines_does():
    lifelines = pytest.importorskip("lifelines.utils")
    rng = np.random.default_rng(0)
    for _ in range(20):
        time, risk = rng.integers(1, 8, 40), rng.integers(0, 5, 40)
        event = rng.integers(0, 2, 40)
        wanted = lifelines.concordance_index(time, -risk, event)
        assert concordance(time, event, risk) == pytest.approx(wanted, abs=1e-12)


def test_concordance_of_no_comparable_pair_is_undefined():
    assert concordance(*(np.array([v, v]) for v in (1.0, 0, 2.0))) is None


def test_a_null_cohort_has_an_oracle_at_chance(tmp_path):
    simulate(tmp_path, n_patients=12, seen_effect=0, hidden_effect=0)
    oracle = json.loads((tmp_path / "truth.json").read_text())["oracle"]
    assert oracle["auc"]["linear_predictor"] == 0.5
    assert oracle["c_index"]["linear_predictor"] == 0.5


def test_images_depend_neither_on_strengths_nor_on_the_number(folder, tmp_path):
    simulate(tmp_path, n_patients=2, seen_effect=0, hidden_effect=3, censoring=0)
    for patient_id in ("P0001", "P0002"):
        for file in (tmp_path / "images" / patient_id).iterdir():
            other = read_volume(folder / "images" / patient_id / file.name)
            assert np.array_equal(read_volume(file).array, other.array)


def test_patients_do_not_depend_on_their_number(folder, tmp_path):
    simulate(tmp_path, n_patients=3)
    for table in ("endpoints.csv", "truth.csv"):
        few, many = (pd.read_csv(path / table) for path in (tmp_path, folder))
        pd.testing.assert_frame_equal(few, many.head(3))


@pytest.mark.parametrize("censoring", [0, 0.3, 0.6])
@pytest.mark.parametrize("effects", [(0.0, 0.0), (1.5, 1.5)])
def test_the_fraction_of_censored_times_is_as_asked(censoring, effects):
    rng = np.random.default_rng(0)
    n = 4000
    lp = effects[0] * rng.standard_normal(n) + effects[1] * rng.choice((-1, 1), n)
    arguments = dict(zip(("seen_effect", "hidden_effect"), effects, strict=True))
    limit = censoring_limit(arguments | {"censoring": censoring})
    events = [draw_outcome(rng, value, limit)["survival_event"] for value in lp]
    # four standard errors
    assert 1 - np.mean(events) == pytest.approx(censoring, abs=4 * 0.5 / np.sqrt(n))


def test_an_earlier_run_is_returned_as_it_is_if_its_arguments_agree(tmp_path):
    simulate(tmp_path, n_patients=2)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    cohort = simulate(tmp_path, n_patients=np.int64(2))
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
    assert cohort.cases["patient_id"].nunique() == 2
    with pytest.raises(FileExistsError, match="'n_patients': 2"):
        simulate(tmp_path, n_patients=3)


def test_an_interrupted_run_is_finished(tmp_path):
    simulate(tmp_path, n_patients=2)
    record = json.loads((tmp_path / "truth.json").read_text())
    started = {key: record[key] for key in ("generator_version", "arguments")}
    (tmp_path / "truth.partial.json").write_text(json.dumps(started))
    (tmp_path / "truth.json").unlink()
    (tmp_path / "images/P0002/ct_mask.nii.gz").unlink()
    simulate(tmp_path, n_patients=2)
    assert json.loads((tmp_path / "truth.json").read_text()) == record
    assert (tmp_path / "images/P0002/ct_mask.nii.gz").is_file()
    assert not (tmp_path / "truth.partial.json").exists()


def test_another_folder_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileExistsError, match="did not write"):
        simulate(tmp_path, n_patients=2)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_wrong_arguments_are_named_together(tmp_path):
    with pytest.raises(CohortError) as caught:
        simulate(
            tmp_path / "out",
            n_patients=1,
            seen_effect=float("nan"),
            censoring="0.3",
            random_state=0.5,
        )
    message = str(caught.value)
    for name in ("n_patients is 1", "seen_effect is nan", "censoring is '0.3'"):
        assert name in message
    assert "random_state is 0.5" in message
    assert not (tmp_path / "out").exists()
