"""What a final model says of new patients, and of how far to trust it."""

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.errors import LeakageError, SchemaError


@pytest.fixture
def new(draw):
    return draw(30, seed=5, prefix="new")[0]


class TestColumns:
    def test_another_order_and_more_columns_change_nothing(self, model, new):
        said = model.predict(new)
        turned = new[new.columns[::-1]].assign(ct__more=0.0, note="text")
        pd.testing.assert_frame_equal(model.predict(turned), said)

    def test_the_ids_may_be_a_column_or_numbers(self, model, new):
        said = model.predict(new)
        pd.testing.assert_frame_equal(model.predict(new.reset_index()), said)
        numbers = new.set_axis(pd.RangeIndex(len(new), name="patient_id"))
        assert model.predict(numbers).index[1] == "1"

    def test_absent_columns_are_named(self, model, new):
        with pytest.raises(SchemaError, match=r"1 columns are absent: 'ct__size'"):
            model.predict(new.drop(columns="ct__size"))
        renamed = new.rename(columns={"ct__size": "ct__sizes"})
        with pytest.raises(SchemaError, match="did you mean 'ct__sizes'"):
            model.predict(renamed)

    def test_text_and_patients_twice_are_refused(self, model, new):
        with pytest.raises(SchemaError, match=r"hold no numbers: \['ct__size'\]"):
            model.predict(new.assign(ct__size="large"))
        with pytest.raises(SchemaError, match="more than once"):
            model.predict(pd.concat([new, new.iloc[:2]]))
        with pytest.raises(SchemaError, match="not 'patient_id'"):
            model.predict(new.rename_axis("case_id"))

    def test_columns_without_a_say_may_be_absent(self, draw):
        X, endpoint = draw(120)
        model = rl.fit(rl.logistic(n_features=2), X, endpoint)
        assert len(model.columns) == 2
        wanted = model.predict(X)
        found = model.predict(X[model.columns])
        pd.testing.assert_frame_equal(found, wanted)

    def test_categories_are_found_whatever_categories_the_new_patients_have(self):
        rng = np.random.default_rng(0)
        ids = pd.Index([f"p{i}" for i in range(90)], name="patient_id")
        frame = pd.DataFrame({"sex": ["F", "M", "M"] * 30, "age": range(90)}, ids)
        frame["stage"] = ["I", "II", "III"] * 30
        table = rl.features(frame, block="clinical")
        sick = (rng.random(90) < 0.3 + 0.4 * (frame["sex"] == "M")).rename("sick")
        model = rl.fit(rl.logistic(), table, rl.Endpoint.binary(sick))
        assert "clinical__sex=M" in model.columns
        wanted = model.predict(table).loc[["p0"]]
        alone = rl.features(frame.loc[["p0"]], block="clinical")
        text = frame.loc[["p0"]].add_prefix("clinical__")
        for one in (alone, text):
            pd.testing.assert_frame_equal(model.predict(one), wanted)


class TestOutsideTheRange:
    def test_a_patient_of_five_times_the_size_is_flagged(self, model, new):
        new.iloc[0, 0] *= 5
        said = model.predict(new)
        first = said.iloc[0]
        assert not first["inside"]
        assert first["outside"] == "ct__size"
        assert first["percentile"] == 100
        assert first["refused"] == ""
        assert 0 < first["probability_yes"] < 1

    def test_patients_as_those_of_training_are_inside(self, model, draw):
        said = model.predict(draw(2000, seed=6, prefix="like")[0])
        # of 120 patients and four columns, a new one is beyond in 8 of 121
        assert said["inside"].mean() == pytest.approx(1 - 8 / 121, abs=0.03)
        assert said["percentile"].mean() == pytest.approx(50, abs=5)

    def test_percentiles_hold_with_more_columns_than_patients(self):
        from radlatent.model.domain import Domain

        rng = np.random.default_rng(0)
        X = rng.normal(size=(40, 100))
        domain = Domain.of(X, np.ones(100, dtype=bool))
        _, percentile = domain.measure(rng.normal(size=(500, 100)))
        assert percentile.mean() == pytest.approx(50, abs=12)
        _, far = domain.measure(rng.normal(size=(50, 100)) * 3)
        assert (far == 100).all()

    def test_the_distance_is_that_of_mahalanobis(self):
        from radlatent.model.domain import Distance

        rng = np.random.default_rng(0)
        X = rng.normal(size=(20_000, 3)) @ [[1, 0.5, 0], [0, 2, 0], [0, 0, 3]]
        found = Distance.of(X)(X[:50])
        apart = X[:50] - X.mean(axis=0)
        wanted = np.sqrt((apart @ np.linalg.inv(np.cov(X.T)) * apart).sum(axis=1))
        np.testing.assert_allclose(found, wanted, rtol=1e-2)


class TestMissing:
    def test_a_missing_value_is_filled_in_and_told(self, model, new):
        new.iloc[0, 2] = np.nan
        said = model.predict(new)
        assert said.iloc[0]["missing"] == "pet__uptake"
        assert said.iloc[0]["refused"] == ""
        assert said.iloc[1]["missing"] == ""

    def test_a_patient_without_any_value_is_refused_with_the_reason(self, model, new):
        new.iloc[3] = np.nan
        new.iloc[4, 1] = np.inf
        said = model.predict(new)
        assert said["refused"].iloc[3].startswith("no value")
        assert said["refused"].iloc[4] == "infinite values"
        assert said.iloc[[3, 4]]["probability_yes"].isna().all()
        assert (said.drop(index=said.index[[3, 4]])["refused"] == "").all()

    def test_a_missing_block_of_late_fusion_says_nothing(self, draw):
        X, endpoint = draw(120)
        late = rl.late_fusion({"ct": rl.logistic(), "pet": rl.logistic()})
        model = rl.fit(late, X, endpoint)
        one = X.iloc[[0]].copy()
        one[["pet__uptake", "pet__noise"]] = np.nan
        said = model.predict(one)
        assert said["missing"].iloc[0] == "pet__uptake, pet__noise"
        assert 0 < said["probability_yes"].iloc[0] < 1

    def test_nobody_is_nobody(self, model, new):
        assert model.predict(new.iloc[:0]).empty


class TestSites:
    @pytest.fixture
    def sites(self, draw):
        X, _ = draw(120)
        return pd.Series(["A", "B"] * 60, X.index)

    def fit(self, draw, sites, unseen):
        combat = rl.Combat(sites, unseen=unseen)
        return rl.fit(rl.logistic(prepare={"combat": combat}), *draw(120))

    def test_pooled_patients_of_a_new_site_stay_as_they_are(self, draw, sites, new):
        model = self.fit(draw, sites, "pool")
        there = pd.Series("Z", new.index)
        said = model.predict(new, sites=there)
        assert said["remark"].str.startswith("site not of training").all()
        pd.testing.assert_frame_equal(model.predict(new), said)
        pd.testing.assert_frame_equal(model.predict(new.assign(site="Z")), said)

    def test_others_are_refused_one_by_one(self, draw, sites, new):
        model = self.fit(draw, sites, "error")
        there = pd.Series("A", new.index)
        there.iloc[0], there.iloc[1] = "Z", None
        said = model.predict(new, sites=there)
        assert said["refused"].iloc[0].startswith("site 'Z' is new (known are A, B;")
        assert said["refused"].iloc[1].startswith("the site is not told")
        assert (said["refused"].iloc[2:] == "").all()
        assert said["probability_yes"].iloc[2:].notna().all()

    def test_covariates_are_needed_where_they_are_preserved(self, draw, sites, new):
        X, endpoint = draw(120)
        age = pd.DataFrame({"age": np.linspace(40, 80, 120), "sex": "F"}, X.index)
        age.loc[age.index[::3], "sex"] = "M"
        combat = rl.Combat(sites, covariates=age)
        model = rl.fit(rl.logistic(prepare={"combat": combat}), X, endpoint)
        there, theirs = pd.Series("A", new.index), age.iloc[:30].set_axis(new.index)
        theirs.iloc[0, 1] = "X"
        said = model.predict(new, sites=there, covariates=theirs)
        assert said["refused"].iloc[0].startswith("covariate 'sex' is missing or of no")
        assert (said["refused"].iloc[1:] == "").all()
        none = model.predict(new, sites=there)
        assert none["refused"].eq("covariate 'age' is not told").all()

    def test_a_kept_model_names_no_patient(self, draw, sites, tmp_path):
        X, _ = draw(120)
        model = self.fit(draw, sites, "pool")
        model.save(tmp_path / "model")
        content = b"".join(p.read_bytes() for p in (tmp_path / "model").iterdir())
        assert not [name for name in X.index if name.encode() in content]


class TestWhatIsSaid:
    def test_a_class_is_called_from_the_threshold_on(self, draw):
        X, endpoint = draw(150, share=0.2)
        model = rl.fit(rl.logistic(), X, endpoint)
        said = model.predict(X)
        share = (endpoint.frame["class"] == "yes").mean()
        assert model.about.threshold == pytest.approx(share)
        called = np.where(said["probability_yes"] >= share, "yes", "no")
        assert (said["class"] == called).all()

    def test_survival_is_told_on_the_days_that_are_asked_for(self, timed, draw_times):
        new = draw_times(20, seed=4)[0]
        said = timed.predict(new, days=[30, 400, 10_000])
        assert [*said.filter(like="surv")] == [
            "survival_30",
            "survival_400",
            "survival_10000",
        ]
        assert (said["survival_30"] > said["survival_400"]).all()
        # nobody was followed for so long
        assert said["survival_10000"].isna().all()
        assert len([*timed.predict(new).filter(like="survival_")]) == 3

    def test_performance_is_that_of_validation(self, draw):
        X, endpoint = draw(120)
        folds = rl.make_folds(endpoint, n_folds=4, n_repeats=2)
        result = rl.cross_validate(rl.logistic(), X, endpoint, folds, name="mine")
        model = rl.fit(rl.logistic(), X, endpoint, result=result)
        wanted = result.metrics["estimate"].to_numpy()
        np.testing.assert_allclose(model.performance["estimate"], wanted, rtol=1e-12)
        assert model.about.name == "mine"
        assert model.about.validation == "2 x 4 folds by patient"
        assert model.about.origin == "measured"

    def test_two_patients_of_a_class_are_not_validated(self, draw, caplog):
        X, endpoint = draw(20)
        frame = endpoint.frame.assign(**{"class": "no"})
        frame.iloc[0, 0] = "yes"
        few = rl.Endpoint("relapse", "class", frame)
        model = rl.fit(rl.logistic(), X, few)
        assert model.conformal is None
        assert "not validated" in caplog.text
        assert "set" not in model.predict(X)


class TestRefused:
    def test_features_of_folds(self, draw):
        X, endpoint = draw(20)
        folded = rl.FoldedFeatures({(0, 0): X}, {(0, 0): [*X.index[1:]]})
        with pytest.raises(LeakageError, match="fold by fold"):
            rl.fit(rl.logistic(), folded, endpoint)

    def test_a_step_that_cannot_be_kept(self, draw):
        from sklearn.decomposition import PCA
        from sklearn.pipeline import make_pipeline

        odd = make_pipeline(PCA(2), rl.logistic())
        with pytest.raises(SchemaError, match="PCA cannot be kept as a final model"):
            rl.fit(odd, *draw(40))

    def test_a_model_of_another_outcome(self, draw):
        X, _ = draw(40)
        frame = pd.DataFrame({"t": np.arange(40) + 9.0, "what": 0}, X.index)
        frame["what"] = np.arange(40) % 3
        endpoint = rl.Endpoint.competing(frame, time="t", event="what", positive=1)
        with pytest.raises(SchemaError, match=r"CoxRegression is of .*Take fine_gray"):
            rl.fit(rl.cox(), X, endpoint)
        one = frame.assign(what=frame["what"] == 1)
        one = rl.Endpoint.survival(one, time="t", event="what")
        with pytest.raises(SchemaError, match=r"FineGray is of .*take cox"):
            rl.fit(rl.fine_gray(), X, one)

    def test_patients_without_features(self, draw):
        X, endpoint = draw(60)
        with pytest.raises(SchemaError, match="have no features"):
            rl.fit(rl.logistic(), X.iloc[1:], endpoint)


class TestConformal:
    def test_sets_hold_the_true_class_and_tell_n(self, model, draw):
        X, endpoint = draw(1500, seed=9, prefix="n")
        said = model.predict(X)
        held = [
            truth in told.split("|")
            for truth, told in zip(endpoint.frame["class"], said["set"], strict=True)
        ]
        assert np.mean(held) == pytest.approx(0.9, abs=0.06)
        assert (said["set_n"] == min(model.about.outcome.values())).all()
        wider = model.predict(X, level=0.95)["set"].str.len().mean()
        assert wider > said["set"].str.len().mean()

    def test_too_few_patients_give_no_sets(self, draw):
        model = rl.fit(rl.logistic(), *draw(60, share=0.15))
        assert "set" not in model.predict(draw(5, seed=3)[0])
        assert "20 of each class are the fewest" in model.conformal.refusal(0.9)

    @pytest.mark.long
    def test_intervals_cover_as_promised_over_twenty_draws(self, draw_numbers):
        found = []
        for seed in range(20):
            A = draw_numbers(200, seed=100 + seed)
            X, endpoint = draw_numbers(3000, seed=500 + seed, prefix="n")
            said, truth = rl.fit(rl.ridge(), *A).predict(X), endpoint.frame["value"]
            held = (said["lower"] <= truth) & (truth <= said["upper"])
            found.append(held.mean())
        assert 0.88 <= np.mean(found) <= 0.92, found

    @pytest.mark.long
    def test_sets_cover_each_class_as_promised_over_twenty_draws(self, draw):
        covered = {"no": [], "yes": []}
        for seed in range(20):
            A = draw(300, seed=100 + seed, share=0.3)
            X, endpoint = draw(4000, seed=500 + seed, prefix="n", share=0.3)
            said, truth = rl.fit(rl.logistic(), *A).predict(X), endpoint.frame["class"]
            for label, found in covered.items():
                sets = said.loc[truth == label, "set"]
                found.append(sets.str.contains(rf"\b{label}\b").mean())
        for label, found in covered.items():
            assert 0.88 <= np.mean(found) <= 0.92, (label, found)


class TestNumbers:
    def test_the_interval_holds_the_outcome_as_often_as_is_said(
        self, numbered, draw_numbers
    ):
        X, endpoint = draw_numbers(2000, seed=9, prefix="n")
        said, truth = numbered.predict(X), endpoint.frame["value"]
        held = (said["lower"] <= truth) & (truth <= said["upper"])
        assert held.mean() == pytest.approx(0.9, abs=0.05)
        assert (said["interval_n"] == 120).all()
        wide = numbered.predict(X, level=0.95)
        assert (wide["upper"] - said["upper"]).min() > 0
        middle = (said["lower"] + said["upper"]) / 2
        np.testing.assert_allclose(middle, said["predicted"])

    def test_too_few_patients_give_no_interval(self, draw_numbers):
        model = rl.fit(rl.ridge(), *draw_numbers(19))
        said = model.predict(draw_numbers(5, seed=3)[0])
        assert not {"lower", "upper", "interval_n"} & {*said}
        assert "calibrated on 19 patients, and 20 are the" in model.conformal.refusal(
            0.9
        )

    def test_a_number_beyond_those_of_training_is_remarked_on(
        self, numbered, draw_numbers
    ):
        X = draw_numbers(20, seed=3, prefix="n")[0].head(2).copy()
        X.iloc[0] = 10.0, 10.0, 10.0, 10.0
        X.iloc[1, 0] = 100.0
        said = numbered.predict(X)
        assert said["remark"].iloc[0] == ""
        assert said["remark"].iloc[1].startswith("beyond the outcomes of training (")
        assert said["refused"].iloc[1] == ""

    def test_a_repeated_validation_counts_patients_once(self, draw_numbers):
        X, endpoint = draw_numbers(60)
        folds = rl.make_folds(endpoint, n_folds=3, n_repeats=3)
        result = rl.cross_validate(rl.ridge(), X, endpoint, folds)
        model = rl.fit(rl.ridge(), X, endpoint, result=result)
        assert model.conformal.n == 60
        assert len(model.conformal.size) == 180
        assert model.conformal.weights.sum() == pytest.approx(60 / 61)


class TestWithoutMeasurements:
    """Covariates alone do not make a patient of a model of measurements."""

    @pytest.fixture
    def with_age(self, draw):
        X, endpoint = draw(90)
        X = X.assign(clinical__age=np.linspace(40, 80, 90))
        return rl.declare_measured(X), endpoint

    def test_who_has_covariates_alone_is_refused_with_the_reason(self, with_age):
        X, endpoint = with_age
        model = rl.fit(rl.logistic(), X, endpoint)
        one = X.iloc[:3].copy()
        one.iloc[0, :4] = np.nan  # all measurements
        one.iloc[1, 2:4] = np.nan  # those of PET
        one.iloc[2, 4] = np.nan  # the age
        said = model.predict(one)
        assert said["refused"].tolist() == [
            "no value of ct or pet, which the model is of",
            "",
            "",
        ]
        assert said["probability_yes"].isna().tolist() == [True, False, False]
        told = "no value of pet: filled in with medians"
        assert said["remark"].tolist() == ["", told, ""]

    def test_late_fusion_leaves_them_out_and_says_so(self, with_age):
        X, endpoint = with_age
        models = {b: rl.logistic() for b in ("ct", "pet", "clinical")}
        model = rl.fit(rl.late_fusion(models, n_folds=3), X, endpoint)
        one = X.iloc[:1].copy()
        one.iloc[0, :4] = np.nan
        said = model.predict(one).iloc[0]
        assert said["remark"] == "no value of ct, pet: left out"
        assert said["refused"] == ""
        assert 0 < said["probability_yes"] < 1

    def test_a_model_of_covariates_needs_no_more(self, with_age):
        X, endpoint = with_age
        model = rl.fit(rl.logistic(), X[["clinical__age"]], endpoint)
        assert (model.predict(X[["clinical__age"]])["refused"] == "").all()


@pytest.mark.slow
def test_another_cohort_of_the_same_truth_gets_what_validation_promised(draw):
    model = rl.fit(rl.logistic(), *draw(300, seed=1))
    X, endpoint = draw(3000, seed=2, prefix="b")
    said, sick = model.predict(X), endpoint.frame["class"] == "yes"
    ranks = said["probability_yes"].rank()
    n, m = sick.sum(), (~sick).sum()
    auc = (ranks[sick].sum() - n * (n + 1) / 2) / (n * m)
    row = model.performance.set_index("metric").loc["auc"]
    assert row["lower"] <= auc <= row["upper"]
    oracle = ((X - 10) / 2).to_numpy() @ [1.0, -0.7, 0.7, 0.0]
    ranks = pd.Series(oracle, X.index).rank()
    best = (ranks[sick].sum() - n * (n + 1) / 2) / (n * m)
    assert auc == pytest.approx(best, abs=0.02)


class TestHandedCase:
    """New patients, columns in another order or one more, a site that is not known."""

    def test_a_model_with_combat_serves_new_patients(self, tmp_path):
        rng, n = np.random.default_rng(0), 80
        ids = pd.Index([f"p{i}" for i in range(n)], name="patient_id")
        names = [f"ct__f{i}" for i in range(4)]
        X = pd.DataFrame(rng.normal(size=(n, 4)), ids, names)
        c = pd.Series(np.where(rng.random(n) < 0.5, "yes", "no"), ids, name="c")
        site = pd.Series(["A", "B"] * 40, ids)
        X = rl.declare_measured(X)
        prepare = rl.Preparation(combat=rl.Combat(site.iloc[:60], unseen="pool"))
        endpoint = rl.Endpoint.binary(c.iloc[:60])
        rl.fit(rl.logistic(prepare=prepare), X, endpoint).save(tmp_path / "model")
        model = rl.load_model(tmp_path / "model")
        for table in (X.iloc[60:], X.iloc[60:, ::-1], X.iloc[60:].assign(ct__x=0.0)):
            said = model.predict(table)
            assert said["probability_yes"].between(0, 1).all()
        assert not model.predict(X.iloc[60:] * 100)["inside"].any()
