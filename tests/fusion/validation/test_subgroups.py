import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from radlatent import Endpoint, cox, cross_validate, make_folds, ridge
from radlatent.errors import SchemaError
from radlatent.figures import forest_by_group
from radlatent.fusion import evaluate, subgroups
from radlatent.fusion.validation.subgroups import grouped
from radlatent.report import tables


@pytest.fixture
def predicted(make_predictions):
    """Return predictions of two classes: scores of shape (n_repeats, n)."""

    def make(truth, scores):
        scores = np.atleast_2d(np.asarray(scores, dtype=float))
        return make_predictions(truth, np.stack([1 - scores, scores], axis=2))

    return make


def patients(n):
    return pd.Index([f"p{i:04d}" for i in range(n)], name="patient_id")


def draw(rng, n, shift=1.0):
    truth = np.where(np.arange(n) % 2, "b", "a")
    score = rng.normal(size=(2, n)) + shift * (truth == "b")
    return truth, 1 / (1 + np.exp(-score))


def test_estimates_are_those_of_the_patients_of_the_group_alone(predicted):
    rng = np.random.default_rng(0)
    truth, scores = draw(rng, 60)
    table = predicted(truth, scores)
    by = pd.DataFrame({"site": rng.choice(["x", "y"], 60)}, patients(60))
    found = subgroups(table, by, n_boot=20).set_index("group")
    for group, rows in by.groupby("site"):
        alone = evaluate(table[table["patient_id"].isin(rows.index)], n_boot=1)
        alone = alone.set_index("metric").loc["auc"]
        assert found.loc[group, "estimate"] == pytest.approx(alone["estimate"])
        assert found.loc[group, ["n", "n_events"]].tolist() == [
            alone["n"],
            alone["n_events"],
        ]
    whole = evaluate(table, n_boot=1).set_index("metric").loc["auc", "estimate"]
    assert found.loc["all patients", "estimate"] == pytest.approx(whole)
    assert (found["lower"] <= found["estimate"]).all()
    assert (found["estimate"] <= found["upper"]).all()


def q_of(values, everything):
    apart = values - everything.mean(axis=0)
    variance = everything.var(axis=0)
    middle = (apart / variance).sum() / (1 / variance).sum()
    return ((apart - middle) ** 2 / variance).sum()


def test_p_is_that_of_all_arrangements_of_groups(predicted):
    truth = np.array(list("aaaabbbb"))
    scores = np.array([0.1, 0.2, 0.3, 0.6, 0.25, 0.65, 0.7, 0.8])
    labels = np.array(list("xxyyxxyy"))
    areas, halves = [], [*itertools.combinations(range(4), 2)]
    for negatives, positives in itertools.product(halves, halves):
        inside = np.zeros(8, dtype=bool)
        inside[[*negatives, *(4 + place for place in positives)]] = True
        pair = (roc_auc_score(truth[i], scores[i]) for i in (inside, ~inside))
        areas.append([*pair])
    areas = np.array(areas)
    seen = np.array(
        [roc_auc_score(truth[labels == g], scores[labels == g]) for g in "xy"]
    )
    q = np.array([q_of(one, areas) for one in areas])
    exact = (q >= q_of(seen, areas) - 1e-9).mean()
    by = pd.Series(labels, patients(8), name="site")
    found = subgroups(predicted(truth, scores), by, n_boot=20_000)
    # 36 arrangements drawn at random: four standard errors
    error = 4 * np.sqrt(exact * (1 - exact) / 20_000)
    assert found["p_interaction"].iloc[1] == pytest.approx(exact, abs=error)


def test_a_model_that_fails_in_one_group_is_found(predicted):
    rng = np.random.default_rng(1)
    truth, scores = draw(rng, 160, 2.0)
    site = np.where(np.arange(160) < 80, "x", "y")
    scores[:, site == "y"] = rng.random((2, 80))
    by = pd.DataFrame({"site": site, "sex": rng.choice(["f", "m"], 160)}, patients(160))
    found = subgroups(predicted(truth, scores), by, n_boot=500)
    p = found.groupby("subgroup")[["p_interaction", "p_adjusted"]].first()
    assert p.loc["site", "p_adjusted"] == pytest.approx(2 / 501)
    assert p.loc["sex", "p_interaction"] > 0.05
    assert found["p_interaction"].isna().sum() == 1  # of all patients


@pytest.mark.long
@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_the_level_is_kept_where_groups_are_alike(predicted, shift):
    # a group whose scores are all higher is alike within itself
    rng, low = np.random.default_rng(2), 0
    for _ in range(200):
        truth, _ = draw(rng, 60)
        site = rng.choice(["x", "y", "z"], 60)
        score = rng.normal(size=60) + (truth == "b") + shift * (site == "x")
        by = pd.Series(site, patients(60), name="site")
        found = subgroups(predicted(truth, 1 / (1 + np.exp(-score))), by, n_boot=99)
        low += found["p_interaction"].iloc[1] <= 0.05
    # less than one run in a thousand is outside where the level is 5 %
    assert low <= binom.ppf(0.999, 200, 0.05)
    assert shift or low >= binom.ppf(0.001, 200, 0.05)


def test_several_classes_and_survival_have_groups_too(make_predictions, make_survival):
    rng = np.random.default_rng(3)
    truth = np.tile(list("abc"), 20)
    chances = rng.dirichlet([1, 1, 1], (1, 60))
    by = pd.Series(rng.choice(["x", "y"], 60), patients(60), name="site")
    found = subgroups(make_predictions(truth, chances), by, n_boot=50)
    assert found["metric"].unique().tolist() == ["auc"]
    assert found["p_interaction"].iloc[1] > 0

    column = rng.normal(size=80)
    endpoint = make_survival(80, column)
    features = pd.DataFrame({"ct__x": column}, endpoint.frame.index)
    folds = make_folds(endpoint, n_folds=3, n_repeats=1)
    result = cross_validate(cox(), features, endpoint, folds)
    by = pd.Series(np.arange(80) % 2, endpoint.frame.index, name="scanner")
    found = subgroups(result.predictions, by, n_boot=50)
    assert found["metric"].unique().tolist() == ["c_harrell"]
    assert found["group"].tolist() == ["all patients", "0", "1"]
    assert found["n_events"].iloc[1:].sum() == endpoint.frame["event"].sum()


def test_numbers_have_groups_and_no_events(make_predictions):
    rng = np.random.default_rng(5)
    index = patients(80)
    value = rng.normal(size=80)
    endpoint = Endpoint.continuous(pd.DataFrame({"ef": value}, index), "ef", unit="%")
    features = pd.DataFrame({"ct__x": value + rng.normal(size=80)}, index)
    folds = make_folds(endpoint, n_folds=3, n_repeats=1)
    result = cross_validate(ridge(), features, endpoint, folds)
    by = pd.Series(np.arange(80) % 2, index, name="scanner")
    found = subgroups(result.predictions, by, n_boot=50)
    assert found["metric"].unique().tolist() == ["r2"]
    assert found["n"].tolist() == [80, 40, 40]
    assert found["n_events"].isna().all()
    assert found["method"].str.contains("among all patients").all()
    assert found["p_interaction"].iloc[1] > 0
    assert "Events" not in tables.subgroups(found)
    labels = [tick.get_text() for tick in forest_by_group(found).get_yticklabels()]
    assert "all patients, 80" in labels


def test_a_group_without_events_and_patients_without_a_group_are_told(predicted):
    truth, scores = draw(np.random.default_rng(4), 40)
    site = np.where(truth == "a", "only a", "both").astype(object)
    site[:10], site[10:14] = "both", None
    by = pd.Series(site, patients(40), name="site")
    found = subgroups(predicted(truth, scores), by, n_boot=50).set_index("group")
    assert found.loc["only a", ["estimate", "lower", "upper"]].isna().all()
    assert found.loc["only a", "n_events"] == 0
    assert found.loc["not known", "n"] == 4
    assert found["n"].iloc[1:].sum() == 40
    assert np.isnan(found["p_interaction"]).all()  # one group is left


def test_numbers_are_cut_where_the_user_says():
    ages = pd.Series([40, 50, 64, 65, np.nan], patients(5), name="age")
    groups = grouped(ages, {"age": [50, 65]})["age"]
    assert groups.tolist()[:4] == ["< 50", "50 to < 65", "50 to < 65", ">= 65"]
    assert pd.isna(groups.iloc[4])
    # as a table of text holds them
    texts = pd.Series(["40", "50", "64", "65", None], patients(5), name="age")
    assert grouped(texts, {"age": [50, 65]})["age"].tolist()[:4] == groups.tolist()[:4]


@pytest.mark.parametrize(
    ("values", "cuts", "words"),
    [
        (np.arange(40.0), None, r"cuts=\{'age': \["),
        ([f"x{i}" for i in range(40)], None, "no groups"),
        (np.arange(40.0), {"age": [3, 2]}, "do not rise"),
        (["a", "b"] * 20, {"age": [3]}, "has to be numbers"),
        (["a", "b"] * 20, {"ages": [3]}, "did you mean"),
    ],
)
def test_what_makes_no_groups_is_refused(values, cuts, words):
    with pytest.raises(SchemaError, match=words):
        grouped(pd.DataFrame({"age": values}, patients(40)), cuts)


def test_tested_patients_need_a_row(predicted):
    truth, scores = draw(np.random.default_rng(5), 40)
    by = pd.Series("x", patients(39), name="site")
    with pytest.raises(SchemaError, match=r"1 tested patients are not in by: \['p0039"):
        subgroups(predicted(truth, scores), by)
    with pytest.raises(SchemaError, match="brier"):
        subgroups(predicted(truth, scores), by, metric="brie")
