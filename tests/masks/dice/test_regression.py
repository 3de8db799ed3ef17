"""The regression of Dice: near to boosted trees, without tuning, and plain arrays."""

import json

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from radlatent.masks.dice.regression import DiceRegression, fit_dice_regression


def masks(rng, n):
    """Return columns like those of plausibility, and Dice."""
    dice = 1 - rng.beta(1, 4, n)
    columns = [
        0.9 * dice + 0.08 * rng.standard_normal(n),  # of a prior's reconstruction
        np.exp(-4 * dice) + 0.05 * rng.standard_normal(n),  # a distance
        rng.poisson(6 * (1 - dice)),  # broken rules
        rng.standard_normal(n),  # nothing
    ]
    values = np.stack(columns, axis=1).astype(float)
    values[rng.random(n) < 0.2, 1] = np.nan
    return values, dice


def test_errors_are_within_a_tenth_of_those_of_boosted_trees(rng):
    values, dice = masks(rng, 1500)
    train, test = slice(1000), slice(1000, None)
    found = fit_dice_regression(values[train], dice[train])
    trees = HistGradientBoostingRegressor(random_state=0)
    trees.fit(values[train], dice[train])
    errors = [
        np.abs(predicted - dice[test]).mean()
        for predicted in (found.predict(values[test])[0], trees.predict(values[test]))
    ]
    assert errors[0] < 1.1 * errors[1]
    # and far from those of the mean
    assert errors[0] < 0.5 * np.abs(dice - dice.mean()).mean()


def test_a_monotone_curve_is_found(rng):
    values = rng.uniform(0, 1, (3000, 1))
    dice = values[:, 0] ** 3
    found, spread = fit_dice_regression(values, dice).predict(values)
    # five knots and steps: a small part of the range
    assert np.abs(found - dice).mean() < 0.005
    assert (spread > 0).all()


def test_the_spread_is_the_size_of_errors(rng):
    values = rng.uniform(0.2, 1, (4000, 1))
    dice = values[:, 0] + (1 - values[:, 0]) * 0.2 * rng.standard_normal(4000)
    found = fit_dice_regression(values, dice)
    bad, good = found.predict(np.array([[0.3], [0.9]]))[1]
    # the mean absolute value of a normal variable is 0.8 of its sd; 7 %, for the
    # spread is a mean over masks of near Dice
    assert bad == pytest.approx(0.7 * 0.2 * 0.798, rel=0.07)
    assert good == pytest.approx(0.1 * 0.2 * 0.798, abs=0.01)


def test_beyond_what_was_seen_nothing_changes(rng):
    values, dice = masks(rng, 300)
    found = fit_dice_regression(values, dice)
    ends = np.nanmax(values, axis=0, keepdims=True)
    np.testing.assert_array_equal(found.predict(ends + 100), found.predict(ends))
    assert 0 <= found.predict(-100 * np.ones((1, 4)))[0][0] <= 1


def test_a_missing_value_says_something_by_itself(rng):
    values = rng.standard_normal((600, 1))
    values[::3] = np.nan
    dice = np.where(np.isnan(values[:, 0]), 0.4, 0.9)
    found = fit_dice_regression(values, dice)
    np.testing.assert_allclose(found.predict(values)[0], dice, atol=1e-9)


def test_columns_without_values_are_left_out(rng):
    values, dice = masks(rng, 200)
    more = np.c_[values, np.full(200, np.nan), np.full(200, 3.0)]
    found = fit_dice_regression(more, dice)
    assert [len(knots) > 1 for knots in found.knots][-2:] == [False, False]
    assert np.isfinite(found.predict(more)).all()


def test_masks_that_are_all_alike_have_one_prediction():
    found = fit_dice_regression(np.ones((20, 2)), np.full(20, 0.8))
    dice, spread = found.predict(np.zeros((1, 2)))
    assert dice[0] == pytest.approx(0.8, rel=1e-12)
    assert 0 < spread[0] < 1e-6


def test_the_state_survives_json(rng):
    values, dice = masks(rng, 200)
    found = fit_dice_regression(values, dice)
    again = DiceRegression.from_dict(json.loads(json.dumps(found.to_dict())))
    np.testing.assert_array_equal(again.predict(values), found.predict(values))


def test_a_state_that_does_not_fit_is_refused(rng):
    state = fit_dice_regression(*masks(rng, 200)).to_dict()
    with pytest.raises(ValueError, match="weights for"):
        DiceRegression.from_dict(state | {"weights": [1.0, 2.0]})
    with pytest.raises(KeyError):
        DiceRegression.from_dict({"knots": [[0.0, 1.0]]})
