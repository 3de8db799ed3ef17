import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")

import radlatent as rl
from radlatent.errors import LeakageError, SchemaError
from radlatent.latent import redundancy_folds
from radlatent.schema import check_table

BOX = rl.Box(("pet",), (40.0, 40.0, 40.0), (5.0, 5.0, 5.0))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds") / "cohort"
    return rl.simulate(folder, n_patients=44, random_state=5)


@pytest.fixture(scope="module")
def handcrafted(cohort):
    rng = np.random.default_rng(0)
    index = cohort.included.index.rename("case_id")
    names = [f"pet_handcrafted__f{k}" for k in range(4)]
    return pd.DataFrame(rng.standard_normal((len(index), 4)), index, names)


@pytest.fixture(scope="module")
def folds(cohort):
    endpoint = cohort.endpoint("response")
    return rl.make_folds(endpoint, n_folds=2, n_repeats=1)


@pytest.fixture(scope="module")
def encoder():
    training = rl.Training(epochs=2, minibatch_size=16)
    return rl.LatentEncoder(
        BOX, n_latent=3, network=rl.Network(width=2), training=training
    )


@pytest.fixture(scope="module")
def encoding(cohort, handcrafted, folds, encoder):
    return rl.encode_folds(encoder, cohort, folds, handcrafted=handcrafted)


def test_every_fold_has_the_features_of_its_own_encoder(
    cohort, handcrafted, folds, encoder, encoding
):
    tested = folds.query("fold == 1")["patient_id"]
    cases = cohort.located
    train = cases[~cases["patient_id"].isin(tested)]
    by_hand = rl.LatentEncoder(**encoder.get_params(deep=False))
    by_hand.fit(train, handcrafted=handcrafted)
    found = encoding.features.at(0, 1)
    pd.testing.assert_frame_equal(
        found, by_hand.transform(cohort), rtol=1e-3, atol=1e-4
    )
    assert not np.allclose(found, encoding.features.at(0, 0))
    assert set(encoding.features.fitted_on[0, 1]) == set(train["patient_id"])


def test_images_of_test_patients_change_nothing_that_is_fitted(
    cohort, handcrafted, folds, encoder, encoding
):
    tested = folds.query("fold == 0")["patient_id"].iloc[0]
    other = folds.query("fold == 1")["patient_id"].iloc[0]
    cases = cohort.located
    rows = cases["patient_id"] == tested
    for column in ("image_pet", "mask_pet"):
        cases.loc[rows, column] = cases.loc[cases["patient_id"] == other, column].iloc[
            0
        ]
    cases.loc[rows, "mask_label"] = 1
    changed = rl.encode_folds(encoder, cases, folds, handcrafted=handcrafted)
    kept = cases.index[~rows]
    before, after = (e.features.at(0, 0).loc[kept] for e in (encoding, changed))
    pd.testing.assert_frame_equal(before, after)
    # where that patient was trained on, everything changes
    before, after = (e.features.at(0, 1).loc[kept] for e in (encoding, changed))
    assert not np.allclose(before, after)


def test_processes_and_cache_give_the_same_table(
    cohort, handcrafted, folds, encoder, encoding, tmp_path
):
    about = {"handcrafted": handcrafted, "cache": tmp_path}
    first = rl.encode_folds(encoder, cohort, folds, jobs=2, **about)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    assert len(files) == 2
    again = rl.encode_folds(encoder, cohort, folds, **about)
    assert {path: path.stat().st_mtime_ns for path in files} == files
    for key in ((0, 0), (0, 1)):
        pd.testing.assert_frame_equal(first.features.at(*key), again.features.at(*key))
        # one thread each, however many processes: the same to the last bit
        pd.testing.assert_frame_equal(
            again.features.at(*key), encoding.features.at(*key), check_exact=True
        )


def test_errors_and_history_are_told_by_fold(encoding, cohort, folds):
    assert len(encoding.history) == 4  # two epochs of two folds
    sizes = encoding.errors.groupby(["fold", "tested"]).size()
    assert sizes.groupby("fold").sum().tolist() == [len(cohort.included)] * 2
    tested = encoding.errors.query("fold == 0 and tested")["case_id"]
    patients = cohort.included.loc[tested, "patient_id"]
    assert set(patients) == set(folds.query("fold == 0")["patient_id"])
    means = encoding.errors.groupby(["fold", "tested"])["mean_squared_error"].mean()
    summary = check_table(encoding.summary, "encoders").set_index("fold")
    assert summary["error_test"].tolist() == pytest.approx(
        [means[0, True], means[1, True]]
    )


def test_what_test_patients_show_is_told_beside_pca(encoding, cohort, folds, caplog):
    summary = encoding.summary.set_index("fold")
    tested = encoding.errors.query("fold == 1 and tested")
    for name, method in (("explained_test", "encoder"), ("pca_test", "pca")):
        share = 1 - tested[method].sum() / tested["total"].sum()
        assert summary.loc[1, name] == pytest.approx(share)
    # two epochs are no match for components
    assert encoding.verdict.startswith("No better than PCA: on test patients")
    linear = rl.PcaEncoder(BOX, n_latent=3)
    found = rl.encode_folds(linear, cohort, folds).summary
    assert "No better" not in caplog.text
    pd.testing.assert_series_equal(
        found["explained_test"], found["pca_test"], check_names=False, rtol=1e-4
    )
    assert found["pca_test"].tolist() == pytest.approx(
        summary["pca_test"].tolist(), rel=1e-3
    )


def test_cross_validation_takes_the_features_of_the_folds(
    encoding, cohort, folds, handcrafted
):
    endpoint = cohort.endpoint("response")
    volume = "pet_handcrafted__f0"
    patients = encoding.features.map(
        lambda t: rl.aggregate(
            rl.join(handcrafted, t), cohort.cases, how="largest", volume=volume
        )
    )
    result = rl.cross_validate(rl.logistic(), patients, endpoint, folds)
    assert len(result.predictions) == len(endpoint.frame)
    others = rl.make_folds(endpoint, n_folds=2, n_repeats=1, random_state=9)
    with pytest.raises(LeakageError, match="test patients were among those"):
        rl.cross_validate(rl.logistic(), patients, endpoint, others)


def test_an_encoder_of_all_patients_is_leakage(cohort, encoder, folds):
    fitted = rl.LatentEncoder(**encoder.get_params(deep=False)).fit(cohort)
    table = rl.aggregate(
        fitted.transform(cohort),
        cohort.cases,
        how="largest",
        volume="pet_latent__mu000",
    )
    with pytest.raises(LeakageError, match="fitted on 44 of 44 test patients"):
        rl.cross_validate(rl.logistic(), table, cohort.endpoint("response"), folds)


def test_too_few_training_patients_are_told_with_the_fold(cohort, encoder, folds):
    many = rl.LatentEncoder(BOX, n_latent=30, training=encoder.training)
    with pytest.raises(
        SchemaError, match=r"repeat 0, fold 0: .*n_latent is 30 with 22"
    ):
        rl.encode_folds(many, cohort, folds)


def test_patients_of_another_cohort_are_told(cohort, encoder, folds):
    foreign = folds.assign(patient_id="X" + folds["patient_id"])
    with pytest.raises(SchemaError, match="44 patients of the folds have no case"):
        rl.encode_folds(encoder, cohort, foreign)


def test_a_fold_whose_encoder_saw_its_patients_is_not_certified(
    encoding, handcrafted, cohort, folds
):
    turned = folds.assign(fold=1 - folds["fold"])
    about = (handcrafted, encoding.features, cohort.included["patient_id"], turned)
    with pytest.raises(LeakageError, match="fold 0: 22 tested patients were among"):
        redundancy_folds(*about, n_permutations=9)


@pytest.mark.slow
def test_each_fold_is_certified_on_its_test_patients(
    encoding, handcrafted, cohort, folds
):
    patients = cohort.included["patient_id"]
    about = (handcrafted, encoding.features, patients, folds)
    found = redundancy_folds(*about, n_permutations=9)
    counts = found.overall.groupby("fold")["n_patients"].first()
    assert counts.tolist() == [22, 22]
    tested = folds.query("fold == 1")["patient_id"]
    rows = patients.index[patients.isin(tested)]
    seed = int(np.random.default_rng(0).integers(2**31, size=len(folds))[1])
    alone = rl.redundancy(
        handcrafted.loc[rows],
        encoding.features.at(0, 1).loc[rows],
        patients.loc[rows],
        n_permutations=9,
        random_state=seed,
    )
    second = found.overall.query("fold == 1")["estimate"].to_numpy()
    np.testing.assert_allclose(second, alone.overall["estimate"].to_numpy())
    check_table(found.features, "certificate_features")
    summary = check_table(found.summary, "certificate").set_index("estimator")
    pooled = found.overall.groupby("estimator")
    assert summary["estimate"].to_dict() == pytest.approx(
        pooled["estimate"].mean().to_dict()
    )
    expected = (2 * pooled["p"].median()).clip(upper=1).to_dict()
    assert summary["p"].to_dict() == pytest.approx(expected)
    row = summary.loc["r2_trees"]
    worst = found.overall.query("estimator == 'r2_trees'")["worst_estimate"]
    assert row["worst_estimate"] == worst.max()
    assert row["worst"].split(": ")[0] == f"repeat 0, fold {worst.argmax()}"
    assert row["n_features"] == found.features["active"].sum()
    p = summary.loc["any", "p"]
    said = "Dependent" if p <= 0.05 else "No dependence found"
    assert found.verdict.startswith(f"{said}: p = {p:.2g} of all")
