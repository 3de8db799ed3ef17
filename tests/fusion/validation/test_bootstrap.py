"""Optimism and .632+ are those of R, and no inner part has a patient on both sides."""

import numpy as np
import pandas as pd
import pytest
from lifelines.datasets import load_rossi
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LinearRegression, LogisticRegression

import radlatent as rl
from radlatent.errors import LeakageError, SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.features.folds import whose_rows
from radlatent.fusion.solvers.calibrated import predict_unseen
from radlatent.fusion.solvers.cox import CoxRegression
from radlatent.fusion.validation.bootstrap import validate_draws
from radlatent.fusion.validation.tuning import InnerFolds

COLUMNS = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]


def r_draws(n, n_draws, seed=1):
    """Return what R (3.6 on) draws: set.seed(seed), then sample(n, replace = TRUE).

    The Mersenne Twister, seeded as R does, and its rejection sampling; rows from 0,
    shape (n_draws, n).
    """
    for _ in range(50):
        seed = (69069 * seed + 1) % 2**32
    words = []
    for _ in range(625):
        seed = (69069 * seed + 1) % 2**32
        words.append(seed)
    state = np.random.RandomState()
    state.set_state(("MT19937", np.array(words[1:], dtype=np.uint32), 624))
    bits, found = int(np.ceil(np.log2(n))), []
    while len(found) < n * n_draws:
        value = 0
        for _ in range(0, bits + 1, 16):
            word = int(state.randint(0, 2**32, dtype=np.uint64))
            value = value * 65536 + int(word * 2.3283064365386963e-10 * 65536)
        value &= (1 << bits) - 1
        if value < n:
            found.append(value)
    return np.array(found).reshape(n_draws, n)


def rossi(n=432):
    """Return standardized columns and the frame of lifelines' recidivism data."""
    frame = load_rossi().iloc[:n]
    frame.index = pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id")
    table = frame[COLUMNS]
    table = (table - table.mean()) / table.std()
    return rl.features(table, block="clinical"), frame


def validate(model, features, endpoint, n=432):
    """Return summary, and means of draws, by metric, in R's 40 draws."""
    names = features.index.to_numpy()
    draws = [names[rows].tolist() for rows in r_draws(n, 40)]
    found = validate_draws(model, features, endpoint, draws, jobs=1)
    means = found.draws.groupby("metric")[["in_draw", "of_all"]].mean()
    return found.summary.set_index("metric"), means


#: No penalty to speak of, and steps until R's digits are reached.
UNPENALIZED = LogisticRegression(C=1e10, max_iter=100_000, tol=1e-10)


def test_the_draws_are_those_of_r():
    # R 4.2.2: set.seed(1); head(sample(432, replace = TRUE))
    assert (r_draws(432, 1)[0, :6] + 1).tolist() == [324, 167, 129, 418, 299, 270]


def test_optimism_of_classes_is_that_of_rms():
    """R 4.2.2, rms 6.5-0 on rossi (Rossi et al. 1980).

    f <- lrm(arrest ~ fin+age+race+wexp+mar+paro+prio, data=d, x=TRUE, y=TRUE)
    set.seed(1); validate(f, B=40)
    """
    features, frame = rossi()
    endpoint = rl.Endpoint.binary(frame, "arrest", positive=1)
    found, means = validate(UNPENALIZED, features, endpoint)
    # index.orig, training, test, optimism, index.corrected
    dxy = [0.32227187, 0.35531610, 0.29900006, 0.05631604, 0.26595583]
    b = [0.18046575, 0.17552649, 0.18354005, -0.00801356, 0.18847931]
    slope = [1, 1, 0.83246734, 0.16753266, 0.83246734]
    for metric, wanted in (("auc", dxy), ("brier", b), ("calibration_slope", slope)):
        row = found.loc[metric]
        told = [row["apparent"], *means.loc[metric], row["optimism"], row["corrected"]]
        if metric == "auc":  # Dxy is 2 AUC - 1, of differences 2 AUC
            told = [2 * value - (at != 3) for at, value in enumerate(told)]
        np.testing.assert_allclose(told, wanted, atol=1e-6, err_msg=metric)


def test_optimism_of_survival_is_that_of_rms():
    """R 4.2.2, rms 6.5-0 on rossi.

    f <- cph(Surv(week, arrest) ~ fin+age+race+wexp+mar+paro+prio, data=d, x=TRUE,
             y=TRUE, surv=TRUE, time.inc=26); set.seed(1); validate(f, B=40)
    """
    features, frame = rossi()
    about = {"time": "week", "event": "arrest", "unit": "weeks"}
    endpoint = rl.Endpoint.survival(frame, **about)
    found, means = validate(CoxRegression(0.0), features, endpoint)
    row = found.loc["c_harrell"]
    # cph ends its steps at a relative change of the likelihood of 1e-4
    told = [2 * row["apparent"] - 1, *(2 * means.loc["c_harrell"] - 1)]
    np.testing.assert_allclose(told, [0.28065849, 0.30637742, 0.26168921], atol=1e-5)
    told = [2 * row["optimism"], 2 * row["corrected"] - 1]
    np.testing.assert_allclose(told, [0.04468820, 0.23597029], atol=1e-5)


def test_optimism_of_numbers_is_that_of_rms():
    """R 4.2.2, rms 6.5-0 on rossi.

    f <- ols(prio ~ fin+age+race+wexp+mar+paro, data=d, x=TRUE, y=TRUE)
    set.seed(1); validate(f, B=40)
    """
    features, frame = rossi()
    endpoint = rl.Endpoint.continuous(frame, "prio")
    features = features.drop(columns="clinical__prio")
    found, means = validate(LinearRegression(), features, endpoint)
    r2 = [0.09207984, 0.10405354, 0.07784797, 0.02620557, 0.06587427]
    slope = [1, 1, 0.90896513, 0.09103487, 0.90896513]
    for metric, wanted in (("r2", r2), ("calibration_slope", slope)):
        row = found.loc[metric]
        told = [row["apparent"], *means.loc[metric], row["optimism"], row["corrected"]]
        np.testing.assert_allclose(told, wanted, atol=1e-8, err_msg=metric)


@pytest.mark.parametrize(
    ("n", "apparent", "left_out", "plus"),
    [(432, 0.25925926, 0.26638239, 0.26430529), (100, 0.19, 0.24917610, 0.23906357)],
)
def test_632_plus_is_that_of_ipred(n, apparent, left_out, plus):
    """R 4.2.2, ipred 0.9-13: errorest(..., estimator = c("632plus", "boot")).

    The model is glm(binomial) of the first n rows of rossi, whoever is above 0.5 an
    event; draws are set.seed(1) and 40 times sample(n, replace = TRUE), by list.tindx.
    """
    features, frame = rossi(n)
    endpoint = rl.Endpoint.binary(frame, "arrest", positive=1)
    found, _ = validate(UNPENALIZED, features, endpoint, n)
    row = 1 - found.loc["accuracy", ["apparent", "left_out", "plus_632"]]
    np.testing.assert_allclose(row.tolist(), [apparent, left_out, plus], atol=1e-8)


def test_632_plus_of_a_rule_that_knows_all_of_training():
    """Efron & Tibshirani 1997, section 3: 1-NN and a coin, where .632 gives 0.316.

    Training error 0, no information 0.5, left out 0.5: overfitting and weight are 1, so
    that .632+ says 0.5.
    """
    rng = np.random.default_rng(0)
    index = pd.Index([f"p{i:03d}" for i in range(60)], name="patient_id")
    X = rl.features(pd.DataFrame({"a": rng.normal(size=60)}, index), block="ct")
    frame = pd.DataFrame({"y": np.arange(60) % 2}, index)
    endpoint = rl.Endpoint.binary(frame, "y", positive=1)
    found = rl.bootstrap_validate(_Memory(), X, endpoint, n_boot=20, jobs=1)
    row = found.summary.set_index("metric").loc["brier"]
    assert row["apparent"] == 0
    assert row["no_information"] == 0.5
    assert row["left_out"] == pytest.approx(0.5)
    assert row["weight"] == pytest.approx(1)
    assert row["plus_632"] == pytest.approx(0.5)


class _Memory(ClassifierMixin, BaseEstimator):
    """Knows who it was fitted on, and is right in half of all others."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.known_ = dict(zip(X.index, np.asarray(y), strict=True))
        return self

    def predict_proba(self, X):
        guess = {who: str(int(who[1:]) // 2 % 2) for who in X.index} | self.known_
        second = np.array([guess[who] == "1" for who in X.index], dtype=float)
        return np.column_stack([1 - second, second])


def test_rows_of_a_patient_have_one_number():
    twice = pd.DataFrame({"a": range(4)}, index=["b", "a", "b", "c"])
    assert whose_rows(twice).tolist() == [0, 1, 0, 2]
    assert whose_rows(twice.to_numpy()).tolist() == [0, 1, 2, 3]
    assert whose_rows(twice.index.to_numpy()).tolist() == [0, 1, 0, 2]


@pytest.fixture
def drawn():
    """Return features and classes of a draw of 40 patients."""
    rng = np.random.default_rng(3)
    index = pd.Index([f"p{i:02d}" for i in range(40)], name="patient_id")
    table = pd.DataFrame(rng.normal(size=(40, 3)), index).add_prefix("ct__f")
    y = pd.Series(np.where(np.arange(40) % 2, "b", "a"), index)
    who = rng.choice(index, 40)
    return table.loc[who], y.loc[who]


def test_parts_inside_a_draw_have_no_patient_on_both_sides(drawn):
    X, y = drawn
    survival = np.empty(40, dtype=[("event", bool), ("time", float)])
    survival["event"], survival["time"] = True, np.arange(1, 41)
    for parts in (
        InnerFolds(4).split(X, y),
        InnerFolds(4).split(X.index.to_numpy(), y),
        rl.svm()[-1].cv.split(X, y),
    ):
        held = []
        for inside, outside in parts:
            assert not set(X.index[inside]) & set(X.index[outside])
            held += list(outside)
        assert sorted(held) == list(range(40))

    def fit(X, y):
        seen = set(X.index)
        return lambda X: np.array([who in seen for who in X.index], dtype=float)

    told = predict_unseen(fit, X, survival, (survival["time"],))
    assert not told.any()


@pytest.mark.parametrize(
    "model",
    [
        rl.tune(rl.logistic(n_features=2), {"classify__C": [0.1, 1.0]}, n_folds=2),
        rl.sign_average(kind="class"),
    ],
)
def test_noise_is_no_better_than_chance(model):
    rng = np.random.default_rng(5)
    index = pd.Index([f"p{i:02d}" for i in range(60)], name="patient_id")
    X = pd.DataFrame(rng.normal(size=(60, 12)), index)
    X.columns = [f"{'ct' if n < 6 else 'pet'}__f{n:02d}" for n in range(12)]
    frame = pd.DataFrame({"y": rng.permutation(np.arange(60) % 2)}, index)
    endpoint = rl.Endpoint.binary(frame, "y", positive=1)
    found = rl.bootstrap_validate(model, X, endpoint, n_boot=15, jobs=1)
    row = found.summary.set_index("metric").loc["auc"]
    assert row["apparent"] > 0.65
    assert row["corrected"] < row["apparent"] - 0.05
    assert row["plus_632"] < row["apparent"] - 0.1
    assert row["lower"] < row["corrected"] < row["upper"]
    assert {"corrected", ".632+"} <= set(repr(found).split())


@pytest.mark.parametrize("family", ["cox", "survival_forest"])
def test_survival_is_scored_on_days_that_every_draw_knows(make_survival, family):
    risk = np.random.default_rng(0).normal(size=60)
    endpoint = make_survival(60, risk)
    X = pd.DataFrame({"ct__f": risk, "ct__g": risk[::-1]}, endpoint.frame.index)
    model = rl.cox() if family == "cox" else rl.survival_forest(n_estimators=5)
    found = rl.bootstrap_validate(model, X, endpoint, n_boot=6, jobs=1).summary
    found = found.set_index("metric")
    assert found["plus_632"].drop("observed_expected").notna().all()
    assert found.loc["c_harrell", "no_information"] == 0.5
    assert found.loc["c_harrell", "corrected"] > 0.6


def test_a_model_a_block_is_stacked_in_every_draw():
    features, frame = rossi(80)
    endpoint = rl.Endpoint.binary(frame, "arrest", positive=1)
    both = features.join(features.add_prefix("other_"))
    blocks = {"clinical": rl.logistic(), "other_clinical": rl.logistic()}
    model = rl.late_fusion(blocks, n_folds=2)
    found = rl.bootstrap_validate(model, both, endpoint, n_boot=4, jobs=1)
    assert found.summary["n_boot"].eq(4).all()


def test_training_below_chance_is_no_overfitting():
    """Platt's sigmoid may fall on noise: then ranking in training is reversed."""
    rng = np.random.default_rng(5)
    index = pd.Index([f"p{i:02d}" for i in range(60)], name="patient_id")
    X = rl.features(pd.DataFrame(rng.normal(size=(60, 12)), index), block="ct")
    frame = pd.DataFrame({"y": rng.permutation(np.arange(60) % 2)}, index)
    endpoint = rl.Endpoint.binary(frame, "y", positive=1)
    model = rl.svm(n_features=2, n_folds=2)
    found = rl.bootstrap_validate(model, X, endpoint, n_boot=5, jobs=1)
    row = found.summary.set_index("metric").loc["auc"]
    assert row["apparent"] < 0.5
    assert row["overfitting"] == 0
    assert row["weight"] == 0.632


def test_draws_of_a_seed_are_the_same():
    features, frame = rossi(80)
    endpoint = rl.Endpoint.binary(frame, "arrest", positive=1)
    one, two, three = (
        rl.bootstrap_validate(
            rl.logistic(), features, endpoint, n_boot=3, random_state=seed, jobs=1
        ).summary
        for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(one, two)
    assert not one.equals(three)


def test_what_cannot_be_drawn_is_told():
    features, frame = rossi(80)
    endpoint = rl.Endpoint.binary(frame, "arrest", positive=1)
    with pytest.raises(SchemaError, match="n_boot=1"):
        rl.bootstrap_validate(rl.logistic(), features, endpoint, n_boot=1)
    with pytest.raises(SchemaError, match="1 patients have no features"):
        rl.bootstrap_validate(rl.logistic(), features.iloc[1:], endpoint)
    with pytest.raises(SchemaError, match="not for endpoint"):
        rl.bootstrap_validate(rl.ridge(), features, endpoint)
    latent = features.add_prefix("ct_latent__")
    with pytest.raises(LeakageError, match="do not tell whom"):
        rl.bootstrap_validate(rl.logistic(), latent, endpoint)
    folded = FoldedFeatures({(0, 0): features}, {(0, 0): ["p000"]})
    with pytest.raises(SchemaError, match="fold by fold"):
        rl.bootstrap_validate(rl.logistic(), folded, endpoint)
