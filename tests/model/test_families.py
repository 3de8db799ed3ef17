"""Every family says the same in memory, from its folder, and in another process."""

import functools
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.errors import SchemaError
from radlatent.fusion.models.prepare import pipeline
from radlatent.model.freezing import PARTS, check_known, freeze

SITES = ("A", "B", "C")


def patients(n, seed, *, prefix="p", missing=True):
    """Return features of two blocks; six columns tell."""
    rng = np.random.default_rng(seed)
    index = pd.Index([f"{prefix}{i:03d}" for i in range(n)], name="patient_id")
    names = [f"ct__f{k:02d}" for k in range(12)] + [f"pet__f{k:02d}" for k in range(8)]
    X = pd.DataFrame(rng.normal(size=(n, 20)) * 3 + 5, index, names)
    X["ct__f03"] = X["ct__f00"] + 0.01 * rng.normal(size=n)
    X["ct__constant"] = 1.0
    if missing:
        X = X.mask(rng.random(X.shape) < 0.03)
        X.iloc[::9, 12:20] = np.nan  # who lacks the block
    return rl.declare_measured(X)


def outcome(X, seed, *, classes=2):
    rng = np.random.default_rng(seed)
    score = (X[["ct__f00", "ct__f01", "pet__f00"]].fillna(5) - 5).sum(axis=1) / 4
    noisy = score + rng.logistic(size=len(X))
    cuts = pd.qcut(noisy, classes, labels=["no", "some", "yes"][-classes:]).astype(str)
    return rl.Endpoint.classes(cuts.rename("response"))


def survival(X, seed):
    rng = np.random.default_rng(seed)
    risk = (X[["ct__f00", "pet__f01"]].fillna(5) - 5).sum(axis=1).to_numpy() / 3
    time = np.ceil(1000 * rng.exponential(size=len(X)) / np.exp(risk))
    end = np.ceil(rng.uniform(100, 3000, len(X)))
    frame = pd.DataFrame({"t": np.minimum(time, end), "e": time <= end}, X.index)
    return rl.Endpoint.survival(frame, time="t", event="e", name="death")


def competing(X, seed):
    frame = survival(X, seed).frame
    rng = np.random.default_rng(seed)
    died = np.where(rng.random(len(X)) < 0.6, "relapse", "death")
    frame = frame.assign(what=np.where(frame["event"] == 1, died, "none"))
    names = {"time": "time", "event": "what", "censored": "none"}
    return rl.Endpoint.competing(frame, **names, positive="relapse", name="first")


def number(X, seed):
    rng = np.random.default_rng(seed)
    score = (X[["ct__f00", "ct__f01", "pet__f00"]].fillna(5) - 5).sum(axis=1)
    ef = 60 + 4 * score + rng.normal(0, 3, len(X))
    return rl.Endpoint.continuous(ef.rename("ef"), unit="%")


def combat(X, **options):
    return rl.Combat(
        pd.Series([SITES[i % 3] for i in range(len(X))], X.index), **options
    )


CLASSES = {
    "logistic": lambda X: rl.logistic(),
    "lasso": lambda X: rl.logistic(penalty="lasso", C=0.3),
    "selected": lambda X: rl.logistic(
        n_features=5,
        prepare={"select": "mrmr", "correlation": 0.9, "near_constant": 0.95},
    ),
    "svm": lambda X: rl.svm(n_features=6, C=2),
    "svm auto": lambda X: rl.svm(gamma="auto"),
    "forest": lambda X: rl.forest(n_estimators=20, n_features=8),
    "boosted": lambda X: rl.boosted(n_estimators=20),
    "combat": lambda X: rl.logistic(prepare={"combat": combat(X, unseen="pool")}),
    "tuned": lambda X: rl.tune(rl.logistic(), {"classify__C": [0.1, 1]}, n_folds=2),
    "tuned trees": lambda X: rl.tune(
        rl.boosted(n_estimators=9), {"classify__n_estimators": [4, 9]}, n_folds=2
    ),
    "late": lambda X: rl.late_fusion(
        {"ct": rl.logistic(), "pet": rl.forest(n_estimators=9)}, n_folds=2
    ),
}
TWO = {"sign_average": lambda X: rl.sign_average(kind="class", n_features=6)}
SURVIVAL = {
    "cox": lambda X: rl.cox(n_features=8),
    "aft": lambda X: rl.aft(),
    "boosted_survival": lambda X: rl.boosted_survival(n_estimators=15),
    "boosted aft": lambda X: rl.boosted_survival(objective="aft", n_estimators=15),
    "survival_forest": lambda X: rl.survival_forest(n_estimators=15),
    "sign_average": lambda X: rl.sign_average(n_features=6, n_estimators=3),
    "combat": lambda X: rl.cox(prepare={"combat": combat(X)}),
    "late": lambda X: rl.late_fusion({"ct": rl.cox(), "pet": rl.aft()}, n_folds=2),
    "tuned": lambda X: rl.tune(
        rl.cox(), {"risk__penalty_strength": [0.1, 1]}, n_folds=2
    ),
}

NUMBERS = {
    "ridge": lambda X: rl.ridge(),
    "elastic_net": lambda X: rl.elastic_net(n_features=8),
    "svm": lambda X: rl.svm(kind="continuous", n_features=6),
    "svm auto": lambda X: rl.svm(kind="continuous", gamma="auto", C=3),
    "forest": lambda X: rl.forest(kind="continuous", n_estimators=20),
    "boosted": lambda X: rl.boosted(kind="continuous", n_estimators=20),
    "combat": lambda X: rl.ridge(prepare={"combat": combat(X, unseen="pool")}),
    "tuned": lambda X: rl.tune(
        rl.ridge(), {"regress__penalty_strength": [0.1, 1]}, n_folds=2
    ),
    "tuned trees": lambda X: rl.tune(
        rl.boosted(kind="continuous", n_estimators=9),
        {"regress__n_estimators": [4, 9]},
        n_folds=2,
    ),
    "late": lambda X: rl.late_fusion(
        {"ct": rl.ridge(), "pet": rl.forest(kind="continuous", n_estimators=9)},
        n_folds=2,
    ),
}

COMPETING = {
    "fine_gray": lambda X: rl.fine_gray(n_features=8),
    "cause_specific_cox": lambda X: rl.cause_specific_cox(),
    "combat": lambda X: rl.cause_specific_cox(prepare={"combat": combat(X)}),
    "late": lambda X: rl.late_fusion(
        {"ct": rl.fine_gray(), "pet": rl.cause_specific_cox()}, n_folds=2
    ),
    "tuned": lambda X: rl.tune(
        rl.fine_gray(), {"risk__penalty_strength": [0.1, 1]}, n_folds=2
    ),
}


def sites_of(X):
    return pd.Series([SITES[i % 3] for i in range(len(X))], X.index)


@functools.cache
def validated(kind, n_classes):
    """Return patients, outcome and a validation; that of one model serves all here."""
    X = patients(90, 1)
    quick = rl.logistic()
    if kind == "class":
        endpoint = outcome(X, 2, classes=n_classes)
    elif kind == "survival":
        endpoint, quick = survival(X, 2), rl.cox()
    elif kind == "competing":
        endpoint, quick = competing(X, 2), rl.fine_gray()
    else:
        endpoint, quick = number(X, 2), rl.ridge()
    folds = rl.make_folds(endpoint, n_folds=2, n_repeats=1)
    return X, endpoint, rl.cross_validate(quick, X, endpoint, folds)


def fitted(make, kind="class", n_classes=2):
    X, endpoint, result = validated(kind, n_classes)
    return X, rl.fit(make(X), X, endpoint, result=result)


def with_sites(model, new):
    """Let the estimator know the sites of new patients, as it needs them inside."""
    steps = getattr(model, "steps", ())
    for _, step in steps:
        if isinstance(step, rl.Combat):
            step.site = pd.concat([step.site, sites_of(new)])
    return model


class TestWhatIsKeptIsTheModel:
    @pytest.mark.parametrize("name", [*CLASSES])
    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_of_classes(self, name, n_classes, tmp_path):
        if "tuned" in name and n_classes == 3:
            pytest.skip("what is tuned is of the same classes")
        _, model = fitted(CLASSES[name], n_classes=n_classes)
        self.compare_classes(model, tmp_path)

    def test_of_two_classes_only(self, tmp_path):
        _, model = fitted(TWO["sign_average"])
        self.compare_classes(model, tmp_path)

    def compare_classes(self, model, tmp_path):
        new = patients(40, 7, prefix="q")
        estimator = with_sites(model.estimator, new)
        wanted = estimator.predict_proba(new)
        model.save(tmp_path / "model")
        for one in (model, rl.load_model(tmp_path / "model")):
            said = one.predict(new, sites=sites_of(new))
            found = said.filter(like="probability_").to_numpy()
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
            assert (said["refused"] == "").all()

    @pytest.mark.parametrize("name", [*SURVIVAL])
    def test_of_survival(self, name, tmp_path):
        _, model = fitted(SURVIVAL[name], "survival")
        new = patients(40, 7, prefix="q")
        estimator = with_sites(model.estimator, new)
        days = [100, 400, 1000]
        wanted = estimator.predict(new), estimator.predict_survival(new, days)
        model.save(tmp_path / "model")
        for one in (model, rl.load_model(tmp_path / "model")):
            said = one.predict(new, sites=sites_of(new), days=days)
            near = {"rtol": 1e-12, "atol": 1e-12}
            np.testing.assert_allclose(said["risk"], wanted[0], **near)
            chances = said.filter(like="survival_").to_numpy()
            np.testing.assert_allclose(chances, wanted[1], **near)

    @pytest.mark.parametrize("name", [*COMPETING])
    def test_of_competing_events(self, name, tmp_path):
        _, model = fitted(COMPETING[name], "competing")
        new = patients(40, 7, prefix="q")
        estimator = with_sites(model.estimator, new)
        days = [100, 400, 1000]
        wanted = estimator.predict(new), estimator.predict_incidence(new, days)[0]
        model.save(tmp_path / "model")
        for one in (model, rl.load_model(tmp_path / "model")):
            said = one.predict(new, sites=sites_of(new), days=days)
            near = {"rtol": 1e-12, "atol": 1e-12}
            np.testing.assert_allclose(said["risk"], wanted[0], **near)
            chances = said.filter(like="incidence_").to_numpy()
            np.testing.assert_allclose(chances, wanted[1], **near)
        assert one.about.positive == "relapse"
        assert [*one.about.outcome] == ["relapse", "death", "censored"]
        far = one.predict(new, sites=sites_of(new), days=[1e6])
        assert far["incidence_1e+06"].isna().all()
        card = (tmp_path / "model" / "card.md").read_text("utf-8")
        assert "A risk of relapse, higher meaning more often" in card

    @pytest.mark.parametrize("name", [*NUMBERS])
    def test_of_numbers(self, name, tmp_path):
        _, model = fitted(NUMBERS[name], "continuous")
        new = patients(40, 7, prefix="q")
        wanted = with_sites(model.estimator, new).predict(new)
        model.save(tmp_path / "model")
        for one in (model, rl.load_model(tmp_path / "model")):
            said = one.predict(new, sites=sites_of(new))
            np.testing.assert_allclose(said["predicted"], wanted, rtol=1e-12, atol=0)
            assert (said["refused"] == "").all()
            assert (said["interval_n"] == 90).all()


def test_a_family_without_a_writer_says_so_in_one_line():
    from sklearn.gaussian_process import GaussianProcessClassifier

    model = pipeline("classify", GaussianProcessClassifier())
    with pytest.raises(SchemaError, match="GaussianProcessClassifier cannot be kept"):
        check_known(model)
    with pytest.raises(SchemaError, match="cannot be kept"):
        freeze(GaussianProcessClassifier())


def test_every_part_is_in_the_list_and_every_name_is_its_own():
    from radlatent.model import outcomes, parts, trees

    kinds = {
        kind
        for module in (outcomes, parts, trees)
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, parts.Part)
        and kind is not parts.Part
    }
    assert kinds == set(PARTS.values())


def test_every_family_of_a_study_can_be_kept():
    for families in rl.fusion.FAMILIES.values():
        for build in families.values():
            check_known(build())


@pytest.mark.slow
def test_another_process_says_the_same(tmp_path):
    new = patients(10, 7, prefix="q")
    new.to_csv(tmp_path / "new.csv")
    wanted, told = {}, "probability|risk|surv|predicted|lower|upper"
    for name, make, of in (
        ("svm", CLASSES["svm"], "class"),
        ("boosted", CLASSES["boosted"], "class"),
        ("cox", SURVIVAL["cox"], "survival"),
        ("late", NUMBERS["late"], "continuous"),
    ):
        _, model = fitted(make, of)
        model.save(tmp_path / name)
        wanted[name] = model.predict(new).filter(regex=told)
    code = (
        "import sys, json, pandas as pd, radlatent as rl; from pathlib import Path; "
        "where = Path(sys.argv[1]); new = pd.read_csv(where / 'new.csv'); "
        "said = {n: rl.load_model(where / n).predict(new)"
        f".filter(regex={told!r}).to_numpy().tolist()"
        " for n in sys.argv[2:]}; print(json.dumps(said)); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), *wanted],
        capture_output=True,
        text=True,
        check=True,
    )
    for name, found in json.loads(done.stdout).items():
        near = {"rtol": 1e-12, "atol": 1e-12}
        np.testing.assert_allclose(found, wanted[name].to_numpy(float), **near)
