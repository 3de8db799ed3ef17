import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from radlatent.errors import SchemaError
from radlatent.fusion.steps import combat as module
from radlatent.fusion.steps.combat import Combat

FOLDER = "combat_reference/Testing"
DEFAULT = Path(__file__).parents[3] / ".." / "shared" / "data"
DATA = Path(os.environ.get("RADLATENT_DATA", DEFAULT)) / FOLDER / "outputData"
FILES = sorted(path.stem for path in DATA.glob("testdata*.csv"))


def read(folder, name):
    """Return a published table, patients by columns; those of R have a header."""
    header = 0 if name.endswith(("_r", "testdata")) else None
    return pd.read_csv(folder / FOLDER / f"{name}.csv", header=header).T.to_numpy()


@pytest.fixture
def published(real_data, make_features):
    X = make_features(read(real_data, "inputData/testdata"), [*"abcdefghij"])
    site = pd.Series([*"11111", *"22222"], X.index)
    return X, site, pd.DataFrame({"sex": [1.0, 0.0] * 5}, X.index)


@pytest.mark.real
@pytest.mark.parametrize("name", FILES)
def test_outputs_of_r_python_and_matlab_are_met(
    name, published, real_data, monkeypatch
):
    X, site, covariates = published
    words = name.split("_")
    if words[-1] == "matlab":
        # its program stops at this change; with 1e-4 it is up to 2e-4 away
        monkeypatch.setattr(module, "_TOLERANCE", 1e-3)
    combat = Combat(
        site,
        covariates=covariates if "adjusted" in words else None,
        parametric="parametric" in words,
        # one file is named meanonl
        mean_only=any(word.startswith("meanonl") for word in words),
        empirical_bayes="noeb" not in words,
        reference="1" if "batchref" in words else None,
    )
    expected = read(real_data, f"outputData/{name}")
    # R printed 15 digits of numbers up to 17; weights of likelihoods lose two more
    np.testing.assert_allclose(combat.fit_transform(X), expected, rtol=0, atol=1e-12)


@pytest.mark.real
def test_stopping_later_than_matlab_moves_its_values_by_2e_4(published, real_data):
    X, site, _ = published
    expected = read(
        real_data, "outputData/testdata_combat_parametric_unadjusted_matlab"
    )
    gap = np.abs(Combat(site).fit_transform(X).to_numpy() - expected).max()
    assert 1e-4 < gap < 2e-4


@pytest.mark.real
@pytest.mark.parametrize("program", ["r", "python"])
def test_new_patients_are_those_of_neurocombat_from_training(
    program, published, real_data
):
    X, site, covariates = published
    places = [0, 1, 5, 6]
    new = X.iloc[places].set_axis(pd.Index([*"wxyz"], name="patient_id"))
    # that program knows no covariates of new patients and takes the training mean
    known = pd.DataFrame({"sex": 0.5}, new.index)
    both = pd.concat([site, site.iloc[places].set_axis(new.index)])
    combat = Combat(both, covariates=pd.concat([covariates, known])).fit(X)
    expected = read(real_data, f"outputData/training_test_scenario2_{program}")
    np.testing.assert_allclose(combat.transform(new), expected, rtol=0, atol=1e-12)


@pytest.fixture
def simulated(make_features):
    """Return 90 patients of three sites that move and scale six of eight columns."""
    rng = np.random.default_rng(3)
    number = np.repeat([0, 1, 2], 30)
    age = rng.normal(60, 10, 90)
    values = rng.normal(size=(90, 8)) + 0.1 * age[:, None]
    values[:, :6] += np.array([0.0, 3.0, -2.0])[number, None]
    values[:, :6] *= np.array([1.0, 2.0, 0.5])[number, None]
    X = make_features(values, [f"p{i:02d}" for i in range(90)])
    site = pd.Series(np.array(["a", "b", "c"])[number], X.index)
    return X, site, pd.DataFrame({"age": age}, X.index)


def test_nothing_fitted_or_harmonized_depends_on_test_patients(simulated):
    X, site, covariates = simulated
    train, test = X.iloc[::2], X.iloc[1::2]
    before = Combat(site, covariates=covariates).fit(train)
    other, old = site.copy(), covariates.copy()
    other[test.index[0]], old.loc[test.index[0]] = "b", 99.0
    after = Combat(other, covariates=old).fit(train)
    pd.testing.assert_frame_equal(before.site_effects_, after.site_effects_)
    alone = before.transform(test.iloc[[4]])
    pd.testing.assert_frame_equal(alone, before.transform(test * 1.0).iloc[[4]])
    # the fit of all patients is another one
    everyone = Combat(site, covariates=covariates).fit(X)
    assert not before.site_effects_.equals(everyone.site_effects_)


def test_sites_agree_afterwards_and_the_covariate_stays(simulated):
    X, site, covariates = simulated
    out = Combat(site, covariates=covariates, empirical_bayes=False).fit_transform(X)
    slopes = np.polyfit(covariates["age"], out.to_numpy(), 1)[0]
    rest = out - np.outer(covariates["age"], slopes)
    means = rest.groupby(site).mean()
    # 30 patients a site: three standard errors of a difference, about SD 2 / 30^0.5
    assert np.ptp(means.to_numpy(), axis=0).max() < 1
    assert np.ptp((X.groupby(site).mean()).to_numpy(), axis=0)[:6].min() > 3
    assert (slopes > 0.05).all()


def test_table_says_what_was_taken_out(simulated):
    X, site, _ = simulated
    combat = Combat(site, empirical_bayes=False, reference="a").fit(X)
    table = combat.site_effects_.set_index(["site", "column"])
    column = X.columns[0]
    means, deviations = X.groupby(site).mean()[column], X.groupby(site).std()[column]
    shift, ratio = table.loc[("b", column), ["shift", "ratio"]]
    assert shift == pytest.approx(means["b"] - means["a"])
    # the pooled SD of the reference divides by n, the spread of a site by n - 1
    assert ratio == pytest.approx(
        deviations["b"] / (deviations["a"] * (29 / 30) ** 0.5)
    )
    assert table.loc[("a", column)].tolist() == [30, 0, 1]
    out = combat.transform(X)
    pd.testing.assert_frame_equal(out[site == "a"], X[site == "a"], check_exact=True)


def test_missing_values_stay_and_a_column_is_that_of_its_patients(simulated):
    X, site, covariates = simulated
    holes = X.copy()
    holes.iloc[::7, 0] = np.nan
    holes.iloc[:30, 1] = np.nan  # a site without a value
    holes.iloc[1:30, 2] = np.nan  # a site with one
    holes.iloc[:, 3], holes.iloc[:, 4] = np.nan, 5.0
    settings = {"covariates": covariates, "empirical_bayes": False}
    out = Combat(site, **settings).fit_transform(holes)
    assert out.isna().equals(holes.isna())
    assert (out.iloc[:, 4] == 5).all()
    for place in range(2):
        rows = holes.iloc[:, place].notna()
        alone = Combat(site, **settings).fit_transform(holes.loc[rows])
        np.testing.assert_allclose(out.iloc[:, place][rows], alone.iloc[:, place])
    assert np.isfinite(Combat(site).fit_transform(holes).iloc[0, 2])
    fitted = Combat(site, parametric=False).fit(holes)
    # a site without values is moved as the other columns of it are on average
    assert fitted.transform(X).iloc[:30, 1].ne(X.iloc[:30, 1]).all()
    assert set(fitted.site_effects_["column"]) == set(X.columns[[0, 1, 2, 5, 6, 7]])


def test_site_of_one_patient_is_moved_but_not_scaled(simulated):
    X, site, _ = simulated
    X = X.iloc[29:]
    table = Combat(site).fit(X).site_effects_.set_index("site")
    assert (table.loc["a", "ratio"] == 1).all()
    assert (table.loc["b", "ratio"] != 1).all()
    # drawn to the mean of its columns as in mean_only: less far apart than they were
    shift = table.loc["a"].set_index("column")["shift"]
    assert 0 < shift.std() < (X.iloc[0] - X.mean()).std()
    with pytest.raises(SchemaError, match=r"\['a'\] have one training patient each"):
        Combat(site, empirical_bayes=False).fit(X)
    with pytest.raises(SchemaError, match="'a' has one patient only"):
        Combat(site, reference="a").fit(X)


def test_unseen_site_is_refused_or_left_as_it_is(simulated):
    X, site, _ = simulated
    combat = Combat(site).fit(X.iloc[:60])
    with pytest.raises(SchemaError, match=r"sites \['c'\] have no training patient"):
        combat.transform(X)
    pooled = combat.set_params(unseen="pool").transform(X)
    assert pooled.iloc[60:].equals(X.iloc[60:])
    assert (pooled.iloc[:60] != X.iloc[:60]).all(axis=None)


def test_covariates_that_follow_from_sites_are_named(simulated):
    X, site, covariates = simulated
    covariates["scanner"] = site.map({"a": "old", "b": "new", "c": "new"})
    with pytest.raises(SchemaError, match=r"\['scanner'\] follow from the site"):
        Combat(site, covariates=covariates).fit(X)
    covariates["scanner"] = covariates["age"] * 2 + (site == "a")
    with pytest.raises(SchemaError, match="follow from each other and the site"):
        Combat(site, covariates=covariates).fit(X)


def test_categories_are_those_of_training(simulated):
    X, site, covariates = simulated
    covariates["sex"] = ["f", "m", "f"] * 30
    as_numbers = covariates.assign(sex=(covariates["sex"] == "m") * 1)
    texts = Combat(site, covariates=covariates).fit(X.iloc[:80])
    numbers = Combat(site, covariates=as_numbers).fit(X.iloc[:80])
    pd.testing.assert_frame_equal(texts.transform(X), numbers.transform(X))
    covariates.iloc[85, 1] = "x"
    with pytest.raises(SchemaError, match=r"sex 'x'.*of no training patient"):
        texts.set_params(covariates=covariates).transform(X)


def test_everything_wrong_with_the_patients_is_listed_at_once(simulated):
    X, site, covariates = simulated
    covariates.iloc[2] = np.nan
    with pytest.raises(SchemaError, match=r"'p00'.*'p02'") as error:
        Combat(site.iloc[1:], covariates=covariates, unseen="keep").fit(X)
    assert "unseen is 'keep'" in str(error.value)
    with pytest.raises(SchemaError, match="not a DataFrame indexed by patient_id"):
        Combat(site).fit(X.to_numpy())
    with pytest.raises(SchemaError, match="all training patients are from"):
        Combat(site).fit(X.iloc[:30])
    with pytest.raises(SchemaError, match="learns from many"):
        Combat(site).fit(X.iloc[:, :1])


def test_it_is_an_estimator(simulated):
    X, site, covariates = simulated
    combat = clone(Combat(site, covariates=covariates)).set_params(mean_only=True)
    assert combat.get_params()["site"].equals(site)
    pipeline = make_pipeline(combat, StandardScaler()).set_output(transform="pandas")
    out = pipeline.fit_transform(X)
    assert out.columns.equals(X.columns)
    assert out.index.equals(X.index)
    assert pipeline.get_feature_names_out().tolist() == [*X.columns]
    order = np.random.default_rng(1).permutation(len(X))
    shuffled = combat.fit_transform(X.iloc[order]).loc[X.index]
    pd.testing.assert_frame_equal(shuffled, combat.fit(X).transform(X))


def test_new_patients_of_an_unknown_site_are_refused_or_left_as_they_are(
    simulated, caplog
):
    X, site, _ = simulated
    known = site.iloc[:88]
    combat = Combat(known).fit(X.iloc[:80])
    with pytest.raises(SchemaError, match=r"2 patients lack site: .*unseen='pool'"):
        combat.transform(X)
    out = combat.set_params(unseen="pool").transform(X)
    assert "2 patients as they are, whose site is not known" in caplog.text
    pd.testing.assert_frame_equal(out.iloc[88:], X.iloc[88:])
    pd.testing.assert_frame_equal(out.iloc[:88], combat.transform(X.iloc[:88]))
    # a training patient without a site is refused in any case
    with pytest.raises(SchemaError, match="2 patients lack site"):
        combat.fit(X)
