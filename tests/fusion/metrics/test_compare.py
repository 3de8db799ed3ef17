from math import erfc, sqrt
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, norm
from sklearn.metrics import roc_auc_score

from radlatent.errors import SchemaError
from radlatent.fusion import compare, evaluate
from radlatent.fusion.metrics.arrays import read_runs
from radlatent.fusion.metrics.classes import delong
from radlatent.fusion.metrics.compare import holm
from radlatent.fusion.metrics.evaluate import METRICS

TRUTH = ["a", "a", "b", "b"]
#: Two negatives, two positives; the placements are worked out in the first test.
ONE, TWO = [0.1, 0.3, 0.4, 0.2], [0.1, 0.3, 0.4, 0.3]


@pytest.fixture
def join_models(make_predictions):
    """Return the predictions of models: name to scores, shape (n_repeats, n)."""

    def make(truth, **models):
        parts = []
        for name, scores in models.items():
            scores = np.atleast_2d(np.asarray(scores, dtype=float))
            chances = np.stack([1 - scores, scores], axis=2)
            parts.append(make_predictions(truth, chances, name))
        return pd.concat(parts, ignore_index=True)

    return make


def binormal(rng, n, shifts, noise=1.0):
    """Return truth and scores, their AUC being the normal CDF at shift / sqrt 2.

    The scores share half of the variance of each class.
    """
    truth = np.where(np.arange(n) % 2, "b", "a")
    common = rng.normal(size=n)
    scores = {
        name: (common + noise * rng.normal(size=n)) / sqrt(1 + noise**2)
        + shift * (truth == "b")
        for name, shift in shifts.items()
    }
    return truth, {name: 1 / (1 + np.exp(-s)) for name, s in scores.items()}


def test_delong_by_hand():
    # ONE: placements of positives 1 and 1/2, of negatives 1 and 1/2
    # TWO: 1 and 3/4, 1 and 3/4; so both differ by 0 and -1/4, of variance 1/32
    positive = np.array(TRUTH) == "b"
    difference, variance = delong(positive, np.array(ONE), np.array(TWO))
    # sums of halves and quarters are exact in float64
    assert (difference, variance) == (-1 / 8, 1 / 32)


@pytest.mark.parametrize("n_folds", [1, 5])
def test_p_corrected_is_that_of_nadeau_and_bengio(make_predictions, n_folds):
    rng = np.random.default_rng(3)
    truth = np.array(["a", "b"] * 40)
    tables = []
    for model, shift in (("one", 0.9), ("two", 0.4)):
        score = rng.normal(size=(2, 80)) + shift * (truth == "b")
        chance = 1 / (1 + np.exp(-score))
        table = make_predictions(truth, np.stack([1 - chance, chance], axis=2), model)
        fold = np.arange(len(table)) % 80 % n_folds
        tables.append(table.assign(fold=fold))
    table = pd.concat(tables, ignore_index=True)
    row = compare(table, n_boot=200).iloc[0]
    # 2.25 = 1 + 5 / 4; with two repeats half of the draws are of each
    runs = read_runs(table)
    seed = np.random.default_rng(0).integers(2**63)
    weights = runs[0].draw_weights(200, seed)
    variances = []
    for repeat in (0, 1):
        draws = [roc_auc_score_of(run, repeat, weights[repeat::2]) for run in runs]
        variances.append(np.var(draws[1] - draws[0], ddof=1))
    wanted = np.mean(variances) * (2.25 if n_folds == 5 else 1)
    z = abs(row["difference"]) / np.sqrt(wanted)
    assert norm.isf(row["p_corrected"] / 2) == pytest.approx(z, rel=1e-9)


def roc_auc_score_of(run, repeat, weights):
    """Return weighted AUCs by scikit-learn."""
    scores = run.probability[repeat][:, 1]
    return np.array(
        [roc_auc_score(run.truth, scores, sample_weight=w) for w in weights]
    )


def test_p_delong_by_hand(join_models):
    row = compare(join_models(TRUTH, two=TWO, one=ONE)).iloc[0]
    assert row["difference"] == -1 / 8
    # z is 1/8 divided by the root of 1/32; float64
    assert row["p_delong"] == pytest.approx(erfc(1 / 2), abs=1e-12)


def test_p_delong_of_repeats_is_rubins(join_models):
    table = join_models(TRUTH, two=[TWO, TWO], one=[ONE, TWO])
    # repeats differ by -1/8 and 0: mean -1/16, W = 1/64, V = 1/128, W + 3/2 V = 7/256
    expected = erfc(1 / sqrt(14))
    assert compare(table)["p_delong"][0] == pytest.approx(expected, abs=1e-12)


def test_delong_variance_is_the_published_one():
    # ratings of 58 normal and 51 abnormal CT images, Hanley & McNeil 1982, table 1;
    # Stata 18, `roctab disease rating`, prints 0.8932, 0.0307, 0.83295, 0.95339;
    # Delong_test of MLstatkit 0.1.91 gives the interval 0.8329523 to 0.9533898
    ratings = np.arange(1.0, 6.0)
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    score = np.r_[np.repeat(ratings, normal), np.repeat(ratings, abnormal)]
    positive = np.arange(109) >= 58
    # a constant score has placements of 1/2 only: what is left is that of one curve
    difference, variance = delong(positive, score, np.zeros(109))
    area, error = difference + 0.5, sqrt(variance)
    assert (round(area, 4), round(error, 4)) == (0.8932, 0.0307)
    z = NormalDist().inv_cdf(0.975)
    assert round(area - z * error, 5) == 0.83295
    assert round(area + z * error, 5) == 0.95339


#: Albumin, total protein, 10 minus the K-G score and the outcome of 43 patients with
#: ovarian cancer: DeLong et al. 1988, as printed in SAS/STAT, example "Comparing
#: Receiver Operating Characteristic Curves" of PROC LOGISTIC.
OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0
2.5 5.7  8 0  1.6 5.6 5 1  3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1
4.1 6.6  5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6  6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1
3.1 6.6  6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1
3.3 6.8  6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7  9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
3.6 6.6  5 1
"""


def test_p_delong_of_delongs_patients_is_that_of_mlstatkit(join_models):
    table = np.array(OVARIAN.split(), dtype=float).reshape(43, 4)
    albumin, protein, score = table[:, :3].T / 10
    predictions = join_models(
        np.where(table[:, 3] == 1, "b", "a"),
        score=1 - score,
        albumin=albumin,
        protein=protein,
    )
    found = compare(predictions, reference=("score", "all"), n_boot=9)
    # pip install MLstatkit==0.1.91; areas and p of its Delong_test
    areas = np.array([0.7365591397849462, 0.6478494623655915])
    np.testing.assert_allclose(found["difference"], areas - 0.7258064516129032)
    expected = [0.9102063472010351, 0.45613970750747357]
    np.testing.assert_allclose(found["p_delong"], expected, atol=1e-12)


def test_identical_models_do_not_differ(join_models, rng):
    truth, scores = binormal(rng, 50, {"a": 1.0})
    table = join_models(truth, one=scores["a"], two=scores["a"]).assign(threshold=0.5)
    for metric in METRICS:
        row = compare(table, metric=metric, n_boot=50).iloc[0]
        assert row[["difference", "lower", "upper"]].tolist() == [0, 0, 0]
        # one model twice: no test says that another would not differ from it
        assert row[["p", "p_corrected", "p_adjusted", "p_delong"]].isna().all()
        assert row["method"].startswith("the same predictions of every patient")


def test_models_that_rank_alike_do_not_differ_in_auc(join_models, rng):
    truth, scores = binormal(rng, 50, {"a": 1.0})
    table = join_models(truth, one=scores["a"], two=scores["a"] ** 3)
    row = compare(table, n_boot=50).iloc[0]
    assert row[["difference", "lower", "upper"]].tolist() == [0, 0, 0]
    assert row[["p", "p_adjusted", "p_delong"]].tolist() == [1, 1, 1]


def test_planted_difference_is_found(join_models, rng):
    truth, scores = binormal(rng, 400, {"weak": 0.8, "strong": 2.0})
    row = compare(join_models(truth, **scores), n_boot=999).iloc[0]
    areas = [NormalDist().cdf(shift / sqrt(2)) for shift in (0.8, 2.0)]
    assert (row["model"], row["reference_model"]) == ("strong", "weak")
    assert row["lower"] < areas[1] - areas[0] < row["upper"]
    assert row["lower"] > 0
    assert row["p"] == 2 / 1000
    assert row["p_delong"] < 1e-6


def test_p_tells_what_the_interval_tells(join_models, rng):
    outside = []
    for shift in np.linspace(1.0, 2.5, 16):
        truth, scores = binormal(rng, 80, {"one": 1.0, "two": shift})
        row = compare(join_models(truth, **scores), n_boot=999).iloc[0]
        # the ends of the interval lie between two draws
        if abs(row["p"] - 0.05) > 0.004:
            outside.append(row["lower"] > 0 or row["upper"] < 0)
            assert outside[-1] == (row["p"] < 0.05)
    assert 0 < sum(outside) < len(outside)


def test_difference_without_variance_has_no_delong(join_models):
    scores = [0.1, 0.2, 0.8, 0.9]
    row = compare(join_models(TRUTH, one=scores, two=scores[::-1]), n_boot=99).iloc[0]
    assert row["difference"] == -1
    assert np.isnan(row["p_delong"])


def test_draws_are_those_of_evaluate(join_models, rng):
    truth, scores = binormal(rng, 60, {"one": 1.0})
    table = join_models(truth, constant=np.full(60, 0.5), one=scores["one"])
    options = {"n_boot": 200, "level": 0.8, "random_state": 7}
    row = compare(table, **options).iloc[0]
    metrics = evaluate(table, **options).set_index(["model", "metric"])
    alone = metrics.loc[("one", "auc"), ["estimate", "lower", "upper"]]
    # the AUC of a constant is 1/2 in every draw; float64
    found = row[["difference", "lower", "upper"]].astype(float)
    np.testing.assert_allclose(found.to_numpy() + 0.5, alone.astype(float), atol=1e-12)
    assert row["level"] == 0.8


def test_all_pairs_or_each_against_a_reference(join_models, rng):
    truth, scores = binormal(rng, 40, {"one": 1.0, "two": 1.2, "three": 1.5})
    table = join_models(truth, **scores)
    names = ["reference_model", "model"]
    pairs = compare(table, n_boot=20)[names].to_numpy().tolist()
    assert pairs == [["one", "two"], ["one", "three"], ["two", "three"]]
    against = compare(table, n_boot=20, reference=("two", "all"))
    expected = [["two", "one"], ["two", "three"]]
    assert against[names].to_numpy().tolist() == expected
    first = compare(table, n_boot=20).iloc[0]
    assert against["difference"][0] == -first["difference"]
    # a quantile is interpolated from the left or from the right
    assert against["upper"][0] == pytest.approx(-first["lower"], abs=1e-12)


def test_holm_is_over_all_rows(join_models, rng):
    truth, scores = binormal(rng, 60, {"one": 1.0, "two": 2.5, "three": 1.2})
    table = compare(join_models(truth, **scores), n_boot=200)
    np.testing.assert_array_equal(table["p_adjusted"], holm(table["p_corrected"]))
    assert (table["p_adjusted"] > table["p_corrected"]).any()


def test_holm_values():
    # R 4: p.adjust(c(0.04, 0.01, 0.03, 0.02), "holm")
    expected = [0.06, 0.04, 0.06, 0.06]
    # products of decimals are rounded in float64
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03, 0.02]), expected, atol=1e-12)
    np.testing.assert_array_equal(holm([0.5, np.nan, 0.6]), [1, np.nan, 1])


def test_endpoints_are_compared_each_by_itself(join_models, rng):
    truth, scores = binormal(rng, 40, {"one": 1.0, "two": 1.5})
    table = join_models(truth, **scores)
    both = pd.concat([table, table.assign(endpoint="relapse")])
    found = compare(both, n_boot=20)
    assert found["endpoint"].tolist() == ["diagnosis", "relapse"]
    assert found["model"].tolist() == ["two", "two"]


def test_delong_is_for_the_auc_of_two_classes(join_models, make_predictions, rng):
    truth, scores = binormal(rng, 40, {"one": 1.0, "two": 1.5})
    table = join_models(truth, **scores)
    assert np.isnan(compare(table, metric="brier", n_boot=20)["p_delong"][0])
    chances = rng.dirichlet(np.ones(3), size=(2, 30))
    three = [
        make_predictions(np.arange(30) % 3, c[None], n)
        for c, n in zip(chances, "ab", strict=True)
    ]
    table = pd.concat([part.assign(truth=part["truth"].astype(str)) for part in three])
    row = compare(table, n_boot=20).iloc[0]
    assert np.isnan(row["p_delong"])
    assert row["difference"] != 0


def test_one_positive_is_too_few_for_delong(join_models):
    table = join_models(["a", "a", "a", "b"], one=ONE, two=TWO)
    row = compare(table, n_boot=40).iloc[0]
    assert np.isnan(row["p_delong"])
    # draws without the positive are left out
    assert "40 of 40" not in row["method"]


def unpaired(table, what):
    two = table["model"] == "two"
    if what == "patients":
        return table[~(two & (table["patient_id"] == "p0001"))]
    if what == "repeats":
        return pd.concat([table, table[two].assign(repeat=1)])
    if what == "truth":
        swapped = table["truth"].map({"a": "b", "b": "a"})
        return table.assign(truth=table["truth"].where(~two, swapped))
    renamed = table[two].assign(truth=lambda t: t["truth"].replace("b", "c"))
    renamed = renamed.rename(columns={"probability_b": "probability_c"})
    return pd.concat([table[~two], renamed])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("patients", r"1 patients are in one only: \['p0001'\]"),
        ("repeats", r"1 repeats are in one only: \[1\]"),
        ("truth", r"the truth of \['p0000'.*\] differs"),
        ("classes", r"2 classes are in one only: \['b', 'c'\]"),
    ],
)
def test_models_of_other_patients_are_refused(join_models, what, message):
    table = unpaired(join_models(TRUTH, one=ONE, two=TWO), what)
    with pytest.raises(SchemaError, match=message):
        compare(table)


def test_calibration_of_models_is_compared(join_models, rng):
    truth, scores = binormal(rng, 300, {"one": 1.0})
    logits = np.log(scores["one"] / (1 - scores["one"]))
    twice = 1 / (1 + np.exp(-2 * logits))
    table = join_models(truth, one=scores["one"], twice=twice)
    row = compare(table, metric="calibration_slope", n_boot=200).iloc[0]
    slope = evaluate(table, n_boot=5).set_index(["model", "metric"])["estimate"]
    # logits twice as far apart have half the slope; Newton's steps end at 1e-9
    expected = -slope["one", "calibration_slope"] / 2
    assert row["difference"] == pytest.approx(expected, abs=1e-6)
    assert row["upper"] < 0


def test_survival_models_are_compared(join_models, rng):
    table = join_models(TRUTH * 10, one=np.tile(ONE, 10), two=np.tile(TWO, 10))
    time = np.tile(rng.exponential(500, 40), 2)
    risks = {"risk": -time, "time": time, "event": 1.0, "endpoint": "death"}
    columns = ["model", "blocks", "repeat", "fold", "patient_id"]
    survival = table[columns].assign(**risks)
    noise = rng.normal(0, 500, 80) * (survival["model"] == "one")
    survival["risk"] += noise
    row = compare(pd.concat([table, survival]), metric="c_harrell", n_boot=200)
    assert row["endpoint"].tolist() == ["death"]
    one, two = (
        evaluate(survival[survival["model"] == model], n_boot=5).iloc[0]
        for model in ("one", "two")
    )
    assert two["estimate"] == 1
    assert row["difference"][0] == two["estimate"] - one["estimate"]
    assert row["lower"][0] > 0
    assert np.isnan(row["p_delong"][0])


def test_a_model_without_the_metric_is_refused(join_models):
    table = join_models(TRUTH, one=ONE, two=TWO)
    with pytest.raises(SchemaError, match="metric='sensitivity' is not one"):
        compare(table, metric="sensitivity")
    one = table.assign(threshold=np.where(table["model"] == "one", 0.3, np.nan))
    with pytest.raises(SchemaError, match=r"\('two', 'all'\) has no 'sensitivity'"):
        compare(one, metric="sensitivity")
    both = table.assign(threshold=0.3)
    row = compare(both, metric="sensitivity", n_boot=20).iloc[0]
    # of the positives 0.4 and 0.2 reach it once, 0.4 and 0.3 twice
    assert row["difference"] == 1 / 2


def test_what_cannot_be_compared_is_refused(join_models):
    table = join_models(TRUTH, one=ONE, two=TWO)
    with pytest.raises(SchemaError, match="did you mean 'auc'"):
        compare(table, metric="auk")
    with pytest.raises(SchemaError, match=r"\('two', 'all'\)"):
        compare(table, reference=("two", "latent"))
    with pytest.raises(SchemaError, match="no two models"):
        compare(table[table["model"] == "one"])
    with pytest.raises(SchemaError, match="n_boot=0"):
        compare(table, n_boot=0)


@pytest.mark.long
def test_equal_models_differ_as_often_as_the_level_says(join_models):
    n_studies = 400
    found = []
    for seed in range(n_studies):
        rng = np.random.default_rng(seed)
        truth, scores = binormal(rng, 100, {"one": 1.0, "two": 1.0})
        table = join_models(truth, **scores)
        row = compare(table, n_boot=300, random_state=seed).iloc[0]
        found.append([row["p"] < 0.05, row["p_delong"] < 0.05])
    low, high = binom.ppf([0.005, 0.995], n_studies, 0.05)
    counts = np.sum(found, axis=0)
    assert (counts >= low).all()
    assert (counts <= high).all()
