"""Another hospital asks how good the model is with its own patients."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.errors import SchemaError


def there(draw, n=80):
    return draw(n, seed=7, prefix="n")


def estimates(result):
    return result.metrics.set_index("metric")["estimate"]


def test_it_finds_what_external_validation_finds(model, draw):
    X, endpoint = there(draw)
    found = estimates(model.validate(model.predict(X), endpoint))
    wanted = rl.validate_externally(rl.logistic(), *draw(120), (X, endpoint))
    pd.testing.assert_series_equal(found, estimates(wanted), rtol=1e-9)


def test_of_numbers_as_well(numbered, draw_numbers):
    X, endpoint = there(draw_numbers)
    result = numbered.validate(numbered.predict(X), endpoint)
    wanted = rl.validate_externally(rl.ridge(), *draw_numbers(120), (X, endpoint))
    pd.testing.assert_series_equal(estimates(result), estimates(wanted), rtol=1e-9)
    assert (result.metrics["unit"].dropna() == "%").all()


def test_of_survival_on_the_days_that_were_told(timed, draw_times):
    X, endpoint = there(draw_times)
    found = estimates(timed.validate(timed.predict(X), endpoint))
    wanted = rl.validate_externally(rl.cox(), *draw_times(120), (X, endpoint))
    for metric in ("c_harrell", "c_uno", "auc_at_quartiles"):
        assert found[metric] == pytest.approx(estimates(wanted)[metric], abs=1e-12)
    assert 0.7 < found["observed_expected"] < 1.4


def test_of_competing_events_rivals_are_no_censoring(draw_times):
    def drawn(n, **options):
        X, endpoint = draw_times(n, **options)
        frame = endpoint.frame.assign(what="none")
        died = np.random.default_rng(n).random(n) < 0.6
        frame.loc[frame["event"] == 1, "what"] = "death"
        frame.loc[(frame["event"] == 1) & died, "what"] = "relapse"
        names = {"time": "time", "event": "what", "censored": "none"}
        return X, rl.Endpoint.competing(frame, **names, positive="relapse")

    ours, (X, endpoint) = drawn(60), there(drawn)
    # two folds are quick: what is promised of the model is not looked at here
    folds = rl.make_folds(ours[1], n_folds=2, n_repeats=1)
    quick = rl.cross_validate(rl.fine_gray(), *ours, folds)
    model = rl.fit(rl.fine_gray(), *ours, result=quick)
    result = model.validate(model.predict(X), endpoint)
    wanted = rl.validate_externally(rl.fine_gray(), *ours, (X, endpoint))
    assert [*result.metrics["metric"]] == [*wanted.metrics["metric"]]
    for metric in ("c_harrell", "c_uno", "auc_at_quartiles"):
        assert estimates(result)[metric] == pytest.approx(
            estimates(wanted)[metric], abs=1e-12
        )
    columns = ["time", "event", "cause", "positive"]
    told = [r.predictions.set_index("patient_id")[columns] for r in (result, wanted)]
    pd.testing.assert_frame_equal(*told, check_dtype=False)
    assert len(result.predictions.filter(regex="^incidence_").columns)
    with pytest.raises(SchemaError, match="events of interest are 'relapse' and 'dea"):
        model.validate(model.predict(X), replace(endpoint, positive="death"))


def test_units_of_numbers_are_compared(numbered, draw_numbers):
    X, endpoint = there(draw_numbers)
    said = numbered.predict(X)
    with pytest.raises(SchemaError, match="units are '%' and 'ml'"):
        numbered.validate(said, replace(endpoint, unit="ml"))
    assert len(numbered.validate(said, replace(endpoint, unit=None)).metrics)


def test_predictions_of_another_model_are_told(numbered, model, draw, draw_numbers):
    said = model.predict(there(draw)[0])
    with pytest.raises(
        SchemaError, match=r"no columns \['predicted'\]: they may be of"
    ):
        numbered.validate(said, there(draw_numbers)[1])


def test_no_prediction_needs_a_reason(model, draw):
    X, endpoint = there(draw)
    said = model.predict(X)
    said.loc["n0003", "probability_yes"] = np.nan
    told = r"1 patients have no prediction and no reason: \['n0003'\]"
    with pytest.raises(SchemaError, match=told):
        model.validate(said, endpoint)
    said.loc["n0003", "refused"] = "infinite values"
    assert (model.validate(said, endpoint).metrics["n"] == 79).all()


def test_who_was_refused_is_left_out_and_counted(model, draw, tmp_path, caplog):
    X, endpoint = there(draw)
    X.iloc[:2] = np.nan
    said = model.predict(X)
    result = model.validate(said, endpoint)
    assert (result.metrics["n"] == 78).all()
    assert "2 of 80 patients were refused, and are not validated" in caplog.text
    # of a file it is the same
    said.to_csv(tmp_path / "said.csv")
    again = model.validate(pd.read_csv(tmp_path / "said.csv"), endpoint)
    pd.testing.assert_frame_equal(again.metrics, result.metrics)


def test_a_page_of_the_other_hospital_alone(model, draw, tmp_path):
    X, endpoint = there(draw)
    result = model.validate(model.predict(X), endpoint)
    page = rl.report.write([], tmp_path / "page", title="Hospital B", external=result)
    text = page.read_text("utf-8")
    assert "LogisticRegression on all: the final model of 120 patients." in text
    assert '<section id="external">' in text
    assert '<section id="performance">' not in text
    assert "this is an update, and no validation" in text


def test_what_cannot_validate_it_is_told_at_once(model, draw, draw_times):
    X, endpoint = there(draw)
    said = model.predict(X)
    with pytest.raises(SchemaError, match="its kind is 'survival', not 'class'"):
        model.validate(said, there(draw_times)[1])
    other = rl.Endpoint.classes(endpoint.frame["class"].replace("yes", "ja"))
    with pytest.raises(SchemaError, match=r"classes \['ja'\] were not in training"):
        model.validate(said, other)
    with pytest.raises(SchemaError, match=r"1 patients have no row: \['n0000'\]"):
        model.validate(said.iloc[1:], endpoint)
    with pytest.raises(SchemaError, match="no column 'refused'"):
        model.validate(said.drop(columns="refused"), endpoint)
    nobody = said.assign(refused="the site is new")
    with pytest.raises(SchemaError, match="none of 80 patients has a prediction"):
        model.validate(nobody, endpoint)
