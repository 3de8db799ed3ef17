"""Dice without a reference: intervals and flags keep what they promise to patients."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from radlatent.errors import LeakageError, SchemaError
from radlatent.masks.dice.predictor import DicePredictor


def masks(rng, n_patients=40, n_masks=12, first=0):
    """Return columns, Dice, patients; masks of one look better, or worse, alike."""
    patients = np.repeat(np.arange(first, first + n_patients), n_masks)
    n = len(patients)
    dice = 1 - rng.beta(1.2, 3.5, n)
    effect = np.repeat(0.06 * rng.standard_normal(n_patients), n_masks)
    seen = dice + effect + 0.08 * (1.2 - dice) * rng.standard_normal(n)
    X = pd.DataFrame({"reconstruction": seen, "broken": rng.poisson(5 * (1 - dice))})
    X["area"] = np.where(rng.random(n) < 0.1, np.nan, rng.uniform(5, 20, n))
    names = [f"p{number:05d}" for number in patients]
    return X, pd.Series(dice), pd.Series(names)


@pytest.fixture
def fitted(rng):
    return DicePredictor().fit(*masks(rng))


@pytest.mark.slow
def test_intervals_and_flags_keep_their_promises_to_new_patients(rng):
    shares = []
    for _ in range(60):
        X, dice, patients = masks(rng, 30, 6)
        predictor = DicePredictor(sensitivity=0.9).fit(X, dice, patients)
        X, dice, patients = masks(rng, 40, 6, first=1000)
        found = predictor.predict(X)
        bad, by = dice < 0.7, patients.to_numpy()
        covered = dice.between(found["lower"], found["upper"])
        # each patient weighs the same, as promised
        caught = found["flagged"][bad].groupby(by[bad]).mean().mean()
        shares.append([covered.mean(), caught])
    mean, error = np.mean(shares, axis=0), np.std(shares, axis=0) / np.sqrt(60)
    # not below by more than chance; above by what 30 patients cost: 1 / 31 on each side
    assert (mean > 0.9 - 3 * error).all(), (mean, error)
    assert mean[0] < 0.9 + 2 / 31 + 3 * error[0]
    assert mean[1] < 0.9 + 1 / 20 + 3 * error[1]


def test_intervals_are_wider_where_masks_are_worse(rng, fitted):
    found = fitted.predict(masks(rng, first=100)[0])
    width = found["upper"] - found["lower"]
    low = found["predicted_dice"] < 0.7
    assert width[low].mean() > 1.3 * width[~low].mean()
    assert found["lower"].ge(0).all()
    assert found["upper"].le(1).all()


def test_what_was_fitted_is_apart_from_what_calibrates(fitted):
    known = fitted.calibration_
    assert known.groupby("patient_id")["fold"].nunique().eq(1).all()
    assert known.groupby("fold")["patient_id"].nunique().tolist() == [4] * 10


def test_one_patient_moves_no_prediction_of_its_own(rng):
    X, dice, patients = masks(rng, 20)
    mine = patients == "p00003"
    first = DicePredictor(sensitivity=0.9).fit(X, dice, patients)
    other = dice.where(~mine, 0.05)
    second = DicePredictor(sensitivity=0.9).fit(X, other, patients)
    columns = ["predicted_dice", "spread"]
    pd.testing.assert_frame_equal(
        first.calibration_.loc[mine, columns], second.calibration_.loc[mine, columns]
    )
    assert not first.calibration_[~mine].equals(second.calibration_[~mine])


def test_the_order_of_masks_changes_nothing(rng):
    X, dice, patients = masks(rng)
    new = masks(rng, 5, first=100)[0]
    order = rng.permutation(len(X))
    first = DicePredictor().fit(X, dice, patients)
    second = DicePredictor().fit(X.iloc[order], dice.iloc[order], patients.iloc[order])
    # sums in another order
    pd.testing.assert_frame_equal(
        first.predict(new), second.predict(new), atol=1e-9, rtol=0
    )


def test_the_order_of_columns_changes_nothing(rng, fitted):
    X = masks(rng, 5, first=100)[0]
    pd.testing.assert_frame_equal(fitted.predict(X[X.columns[::-1]]), fitted.predict(X))


def test_each_mask_is_predicted_by_itself(rng, fitted):
    X = masks(rng, 5, first=100)[0]
    every = fitted.predict(X)
    # products of matrices of another shape
    pd.testing.assert_frame_equal(
        fitted.predict(X.iloc[[7]]), every.iloc[[7]], atol=1e-12, rtol=0
    )


def test_arguments_are_left_as_they_were(rng):
    X, dice, patients = masks(rng)
    before = X.copy(), dice.copy(), patients.copy()
    DicePredictor().fit(X, dice, patients).predict(X)
    pd.testing.assert_frame_equal(X, before[0])
    pd.testing.assert_series_equal(dice, before[1])
    pd.testing.assert_series_equal(patients, before[2])


def test_the_threshold_finds_the_share_asked_for(rng, fitted):
    found = fitted.detection_.loc["sensitivity"]
    # a limit of 40 patients: 0.95 and at most two masks or 1 / 41 more
    assert 0.95 <= found["estimate"] < 0.95 + 2 / 41
    assert found["lower"] < 0.95
    assert found["n_patients"] == 40
    low = DicePredictor(sensitivity=0.5).fit(*masks(rng))
    assert low.threshold_ < fitted.threshold_


def test_judgments_are_those_of_other_libraries(rng, fitted):
    X, dice, patients = masks(rng, 15, first=100)
    found, judged = fitted.predict(X), fitted.judge(X, dice, patients, n_boot=200)
    center, bad = found["predicted_dice"], dice < 0.7
    expected = {
        "mae": (center - dice).abs().mean(),
        "pearson": stats.pearsonr(center, dice)[0],
        "spearman": stats.spearmanr(center, dice)[0],
        "auc": roc_auc_score(bad, -center),
        # as many masks of each patient: means over patients are means over masks
        "coverage": dice.between(found["lower"], found["upper"]).mean(),
    }
    for name, by in (("sensitivity", bad), ("specificity", ~bad)):
        right = found["flagged"] == bad
        expected[name] = right[by].groupby(patients[by]).mean().mean()
    assert judged["estimate"].to_dict() == pytest.approx(expected, rel=1e-12)
    assert judged.loc["mae":"coverage", "n"].eq(180).all()
    assert judged.loc["sensitivity", "n"] == bad.sum()
    assert judged.loc["specificity", "n"] == (~bad).sum()
    assert (judged["lower"] <= judged["estimate"]).all()
    assert (judged["estimate"] <= judged["upper"]).all()


def test_repeating_masks_makes_no_interval_shorter(rng, fitted):
    X, dice, patients = masks(rng, 15, first=100)
    once = fitted.judge(X, dice, patients, n_boot=100)
    rows = np.repeat(np.arange(len(X)), 4)
    table = [part.iloc[rows].reset_index(drop=True) for part in (X, dice, patients)]
    often = fitted.judge(*table, n_boot=100)
    ends = ["estimate", "lower", "upper"]
    # sums in another order
    pd.testing.assert_frame_equal(once[ends], often[ends], rtol=1e-9)


def test_masks_without_a_bad_one_have_no_sensitivity(rng, fitted):
    X, dice, patients = masks(rng, 15, first=100)
    good = dice > 0.75
    judged = fitted.judge(X[good], dice[good], patients[good], n_boot=50)
    nothing = judged.loc[["auc", "sensitivity"], ["estimate", "lower", "upper"]]
    assert nothing.isna().all(axis=None)
    assert judged.loc["sensitivity", "n"] == 0
    assert judged.loc["specificity", "estimate"] > 0


def test_a_saved_predictor_predicts_the_same(rng, fitted, tmp_path):
    X, dice, patients = masks(rng, 5, first=100)
    fitted.save(tmp_path / "quality" / "dice.json")
    again = DicePredictor.load(tmp_path / "quality" / "dice.json")
    pd.testing.assert_frame_equal(again.predict(X), fitted.predict(X), check_exact=True)
    assert again.get_params() == fitted.get_params()
    pd.testing.assert_frame_equal(again.detection_, fitted.detection_)
    with pytest.raises(LeakageError, match="p00000"):
        again.judge(X, dice, patients.replace("p00100", "p00000"))


def test_files_of_something_else_are_refused(fitted, tmp_path):
    path = tmp_path / "dice.json"
    fitted.save(path)
    state = json.loads(path.read_text("utf-8"))

    def rewritten(**changes):
        path.write_text(json.dumps(state | changes), "utf-8")
        return path

    with pytest.raises(SchemaError, match="format 99"):
        DicePredictor.load(rewritten(format=99))
    with pytest.raises(SchemaError, match="can be rebuilt"):
        DicePredictor.load(rewritten(columns=["reconstruction"]))
    with pytest.raises(SchemaError, match="can be rebuilt"):
        DicePredictor.load(rewritten(regressions=state["regressions"][:3]))
    with pytest.raises(SchemaError, match="can be rebuilt"):
        DicePredictor.load(rewritten(parameters={"levle": 0.9}))
    with pytest.raises(SchemaError, match="of a 'ShapePrior'"):
        DicePredictor.load(rewritten(**{"class": "ShapePrior"}))
    del state["threshold"]
    with pytest.raises(SchemaError, match=r"lacks .*threshold"):
        DicePredictor.load(rewritten())
    path.write_text("no", "utf-8")
    with pytest.raises(SchemaError, match="is not JSON"):
        DicePredictor.load(path)
    with pytest.raises(FileNotFoundError):
        DicePredictor.load(tmp_path / "absent.json")


def test_few_patients_are_refused(rng):
    with pytest.raises(SchemaError, match="9 patients are too few"):
        DicePredictor().fit(*masks(rng, 9))


def test_a_sensitivity_that_cannot_be_promised_is_refused(rng):
    X, dice, patients = masks(rng, 18)
    with pytest.raises(SchemaError, match=r"18 patients have .* 19 are needed"):
        DicePredictor().fit(X, dice, patients)
    assert DicePredictor(sensitivity=0.9).fit(X, dice, patients).threshold_ < 1
    with pytest.raises(SchemaError, match=r"^0 patients have a mask with Dice below"):
        DicePredictor(sensitivity=0.5).fit(X, dice.clip(0.7), patients)


def test_dice_that_is_missing_is_refused(rng):
    X, dice, patients = masks(rng)
    with pytest.raises(SchemaError, match=r"1 masks have a Dice .* row \[4\]"):
        DicePredictor().fit(X, dice.where(dice.index != 4), patients)
    with pytest.raises(SchemaError, match="not from 0 to 1"):
        DicePredictor().fit(X, 100 * dice, patients)
    with pytest.raises(SchemaError, match="1 no patient"):
        DicePredictor().fit(X, dice, patients.where(patients.index != 4))


def test_rows_that_do_not_belong_together_are_refused(rng):
    X, dice, patients = masks(rng)
    with pytest.raises(SchemaError, match="index of dice is not that of X"):
        DicePredictor().fit(X, dice[::-1], patients)
    with pytest.raises(SchemaError, match="one Dice and one patient for each row"):
        DicePredictor().fit(X, dice.to_numpy()[1:], patients)


def test_columns_that_were_not_fitted_on_are_refused(rng, fitted):
    X = masks(rng, 2, first=100)[0]
    with pytest.raises(SchemaError, match=r"lacks the columns \['area'\]"):
        fitted.predict(X.drop(columns="area"))
    with pytest.raises(SchemaError, match=r"has \['other'\] besides"):
        fitted.predict(X.assign(other=1.0))
    with pytest.raises(SchemaError, match=r"\['area'\] are infinite"):
        fitted.predict(X.assign(area=np.inf))
    with pytest.raises(SchemaError, match=r"\['area'\] of X are no numbers"):
        fitted.predict(X.assign(area="large"))
    with pytest.raises(SchemaError, match="each of another name"):
        DicePredictor().fit(X.to_numpy(), [0.5] * 24, ["a"] * 24)


def test_judging_patients_fitted_on_is_refused(rng, fitted):
    X, dice, patients = masks(rng, 2)
    with pytest.raises(LeakageError, match="2 of the patients were fitted on"):
        fitted.judge(X, dice, patients)


@pytest.mark.parametrize(
    "parameters", [{"level": 1.0}, {"flag_below": 0.0}, {"sensitivity": 95}]
)
def test_shares_that_are_none_are_refused(rng, parameters):
    with pytest.raises(SchemaError, match="numbers between 0 and 1"):
        DicePredictor(**parameters).fit(*masks(rng))
