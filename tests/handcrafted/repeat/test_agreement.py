"""Coefficients of agreement against published values, verdicts and tiers."""

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.handcrafted.repeat.agreement import (
    count_verdicts,
    icc,
    quality_tiers,
    within_case_cv,
)

#: Shrout and Fleiss 1979, table 2: 6 targets, 4 judges.
SHROUT_FLEISS = [
    [9, 2, 5, 8],
    [6, 1, 3, 2],
    [8, 4, 6, 8],
    [7, 1, 2, 6],
    [10, 5, 6, 9],
    [6, 2, 4, 7],
]

#: The data set ``anxiety`` of the R package irr 0.84.1: 20 subjects, 3 raters.
ANXIETY = np.transpose(
    [
        [3, 3, 3, 4, 5, 5, 2, 3, 5, 2, 2, 6, 1, 5, 2, 2, 1, 2, 4, 3],
        [3, 6, 4, 6, 2, 4, 2, 4, 3, 3, 2, 3, 3, 3, 2, 2, 1, 3, 3, 4],
        [2, 1, 4, 4, 3, 2, 1, 6, 1, 1, 1, 2, 3, 3, 1, 1, 3, 3, 2, 2],
    ]
)

#: Bland and Altman 1996, table 1: four peak flows of 20 children, within-subject
#: standard deviation 21.5 l/min (doi:10.1136/bmj.313.7059.744).
PEAK_FLOWS = [
    *([190, 220, 200, 200], [220, 200, 240, 230], [260, 260, 240, 280]),
    *([210, 300, 280, 265], [270, 265, 280, 270], [280, 280, 270, 275]),
    *([260, 280, 280, 300], [275, 275, 275, 305], [280, 290, 300, 290]),
    *([320, 290, 300, 290], [300, 300, 310, 300], [270, 250, 330, 370]),
    *([320, 330, 330, 330], [335, 320, 335, 375], [350, 320, 340, 365]),
    *([360, 320, 350, 345], [330, 340, 380, 390], [335, 385, 360, 370]),
    *([400, 420, 425, 420], [430, 460, 480, 470]),
]


def long(values, name="x"):
    """Return a table of ratings from an array (targets, raters)."""
    n, k = np.shape(values)
    who = {"case_id": np.repeat(np.arange(n), k), "perturbation": np.tile(range(k), n)}
    return pd.DataFrame(who | {name: np.ravel(values).astype(float)})


def rows(values, **options):
    return icc(long(values), **options).set_index("icc")


@pytest.mark.parametrize(
    ("values", "name", "expected", "digits"),
    [
        # the estimates are those of the paper; R: psych::ICC(sf), psych 2.4
        (SHROUT_FLEISS, "ICC(2,1)", (0.290, 0.019, 0.761), 3),
        (SHROUT_FLEISS, "ICC(3,1)", (0.715, 0.342, 0.946), 3),
        # R: irr::icc(anxiety, model = "twoway", type = "agreement")
        (ANXIETY, "ICC(2,1)", (0.198, -0.039, 0.494), 3),
        (ANXIETY, "ICC(3,1)", (0.216, -0.046, 0.522), 3),
        # McGraw and Wong 1996, p. 33: pairs that differ by 2
        ([[2, 4], [4, 6], [6, 8]], "ICC(2,1)", (0.67,), 2),
        ([[2, 4], [4, 6], [6, 8]], "ICC(3,1)", (1.00,), 2),
    ],
)
def test_published_values(values, name, expected, digits):
    found = rows(values).loc[name, ["estimate", "lower", "upper"]]
    assert tuple(found.astype(float).round(digits))[: len(expected)] == expected


def test_mean_squares_by_hand():
    # table 4 of Shrout and Fleiss: BMS 11.24, JMS 32.49, EMS 1.02
    found = rows(SHROUT_FLEISS)["estimate"]
    bms, jms, ems = 11.2416667, 32.4861111, 1.0194444
    agreement = (bms - ems) / (bms + 3 * ems + 4 * (jms - ems) / 6)
    assert found["ICC(2,1)"] == pytest.approx(agreement, rel=1e-7)
    assert found["ICC(3,1)"] == pytest.approx((bms - ems) / (bms + 3 * ems), rel=1e-7)


def test_pingouin_agrees(rng):
    pingouin = pytest.importorskip("pingouin")
    ratings = long(rng.standard_normal((15, 4)) + np.arange(15)[:, None] / 5)
    theirs = pingouin.intraclass_corr(
        ratings, targets="case_id", raters="perturbation", ratings="x"
    ).set_index("Type")["ICC"]
    ours = icc(ratings)["estimate"].tolist()
    assert ours == pytest.approx([theirs["ICC2"], theirs["ICC3"]], rel=1e-9)


def test_many_features_are_as_one_by_one(rng):
    table = long(rng.standard_normal((12, 4)), "f0")
    for number in range(1, 6):
        table[f"f{number}"] = rng.standard_normal(48) * 10.0**number + table["case_id"]
    table.loc[5, "f1"] = np.nan
    table.loc[[0, 7], "f3"] = np.nan
    together = icc(table)
    alone = [icc(table[["case_id", "perturbation", f"f{n}"]]) for n in range(6)]
    pd.testing.assert_frame_equal(
        together, pd.concat(alone, ignore_index=True), rtol=1e-12
    )
    assert together.groupby("feature")["n"].first().tolist() == [12, 11, 12, 10, 12, 12]


def test_rows_in_any_order_give_the_same(rng):
    table = long(rng.standard_normal((8, 3)))
    shuffled = table.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(icc(table), icc(shuffled), rtol=1e-12)


def test_values_given_to_other_targets_are_noticed(rng):
    truth = rng.standard_normal(200)
    values = truth[:, None] + 0.1 * rng.standard_normal((200, 2))
    assert rows(values).loc["ICC(2,1)", "lower"] > 0.98
    values[:, 1] = rng.permutation(values[:, 1])
    assert abs(rows(values).loc["ICC(2,1)", "estimate"]) < 0.2


def test_agreement_sees_a_shift_that_consistency_does_not(rng):
    values = rng.standard_normal((30, 1)) + np.array([0.0, 5.0])
    found = rows(values)["estimate"]
    assert found["ICC(3,1)"] == pytest.approx(1, abs=1e-12)
    assert found["ICC(2,1)"] < 0.2


def test_scale_and_offset_change_nothing():
    one = rows(SHROUT_FLEISS)
    other = rows(1e6 + 1e-3 * np.array(SHROUT_FLEISS))
    # the offset leaves six digits of the values
    pd.testing.assert_frame_equal(one, other, rtol=1e-5)


def test_raters_that_agree_on_all_have_a_coefficient_of_one_exactly():
    values = np.repeat(np.array([[0.1], [0.3], [1 / 3], [2e9]]), 7, axis=1)
    found = rows(values)
    assert (found[["estimate", "lower", "upper"]] == 1.0).all(axis=None)


@pytest.mark.parametrize(
    "values",
    [
        np.full((5, 3), 0.1),
        # every rater gives all targets the same
        np.tile([0.1, 0.2, 0.3], (5, 1)),
        # one target
        [[1.0, 2.0, 3.0]],
        # one target with all ratings
        [[1.0, 2.0, 3.0], [2.0, np.nan, 4.0], [np.inf, 1.0, 1.0]],
        # none
        [[1.0, np.nan], [np.nan, 2.0]],
    ],
)
def test_what_cannot_be_told_is_nan(values):
    found = rows(values)
    assert found[["estimate", "lower", "upper"]].isna().all(axis=None)
    complete = np.isfinite(np.asarray(values)).all(axis=1).sum()
    assert found["n"].tolist() == [complete] * 2


def test_disagreement_about_equal_targets_is_negative():
    found = rows([[1.0, 3.0], [3.0, 1.0]])["estimate"]
    assert found["ICC(3,1)"] == -1.0


@pytest.mark.slow
def test_intervals_cover_as_often_as_they_say(rng):
    # two-way random: targets 1, raters 0.5, error 0.5 of variance
    n, k, n_draws = 20, 5, 2000
    targets = rng.standard_normal((n_draws, n, 1))
    raters = np.sqrt(0.5) * rng.standard_normal((n_draws, 1, k))
    values = targets + raters + np.sqrt(0.5) * rng.standard_normal((n_draws, n, k))
    table = long(np.zeros((n, k)))[["case_id", "perturbation"]]
    draws = pd.DataFrame(values.reshape(n_draws, -1).T).add_prefix("draw")
    found = icc(pd.concat([table, draws], axis=1)).set_index("icc")
    for name, truth in (("ICC(2,1)", 1 / 2), ("ICC(3,1)", 1 / 1.5)):
        one = found.loc[name]
        covered = ((one["lower"] <= truth) & (truth <= one["upper"])).mean()
        # three standard errors of 2000 draws are 0.015; Satterthwaite is approximate
        assert covered == pytest.approx(0.95, abs=0.02)


def test_the_level_widens_the_interval():
    narrow, wide = rows(SHROUT_FLEISS, level=0.8), rows(SHROUT_FLEISS, level=0.99)
    assert (wide["lower"] < narrow["lower"]).all()
    assert (wide["upper"] > narrow["upper"]).all()
    assert wide["level"].tolist() == [0.99] * 2


def test_tables_without_an_answer_are_refused():
    table = long(SHROUT_FLEISS)
    with pytest.raises(SchemaError, match=r"no column \['rater'\]"):
        icc(table, rater="rater")
    with pytest.raises(SchemaError, match="1 rows rate a target again"):
        icc(pd.concat([table, table.tail(1)]))
    with pytest.raises(SchemaError, match="1 raters"):
        icc(table[table["perturbation"] == 0])
    with pytest.raises(SchemaError, match=r"\['x'\] are not numeric"):
        icc(table.astype({"x": str}))


def test_the_lower_limit_is_judged_and_its_edge_belongs_to_the_better_verdict():
    table = pd.DataFrame({"feature": [f"ct_handcrafted__f{n}" for n in range(6)]})
    table["lower"] = [0.49, 0.5, 0.75, 0.9, -0.2, np.nan]
    [counts] = count_verdicts(table.assign(icc="ICC(2,1)")).to_dict("records")
    names = ["poor", "moderate", "good", "excellent", "undefined"]
    assert [counts[name] for name in names] == [2, 1, 1, 1, 1]
    assert counts["block"] == "ct_handcrafted"


def test_the_peak_flows_of_bland_and_altman():
    values = np.array(PEAK_FLOWS, float)[:, :, None]
    cv = within_case_cv(values)
    assert (cv * values.mean()).round(1) == 21.5


def test_a_coefficient_of_variation_needs_one_sign():
    values = np.array(
        [
            # one sign; negative; both; both but equal; zeros; missing in one mask
            [[1.0, -1.0, -1.0, -1.0, 0.0, 1.0], [3.0, -3.0, 2.0, -1.0, 0.0, np.nan]],
            [[2.0, -2.0, 2.0, 2.0, 0.0, 2.0], [2.0, -2.0, 2.0, 2.0, 0.0, 4.0]],
        ]
    )
    one = np.sqrt((2 + 0) / 2) / 2
    two = np.sqrt(2) / 3
    expected = [one, one, np.nan, 0.0, 0.0, two]
    np.testing.assert_allclose(within_case_cv(values), expected, rtol=1e-12)
    nothing = np.full((2, 2, 1), np.nan)
    assert np.isnan(within_case_cv(nothing)).all()


def test_a_coefficient_of_variation_has_no_unit(rng):
    values = rng.uniform(1, 2, (6, 3, 4))
    np.testing.assert_allclose(
        within_case_cv(values), within_case_cv(-1000 * values), rtol=1e-12
    )


def test_values_that_agree_to_the_last_digit_do_not_vary():
    # the mean of three times 0.1 is not 0.1
    assert within_case_cv(np.full((5, 3, 1), 0.1)) == 0.0


def test_tiers_are_as_large_as_ties_allow():
    scores = pd.Series(np.linspace(0, 1, 9), [f"c{n}" for n in range(9)])
    tiers = quality_tiers(scores)
    assert tiers.tolist() == ["low"] * 3 + ["middle"] * 3 + ["high"] * 3
    assert tiers.cat.ordered
    assert quality_tiers(scores, n_tiers=4).cat.categories.tolist() == [
        *("low", "middle 1", "middle 2", "high")
    ]
    best = pd.Series([0.2, 0.4, 1.0, 1.0, 1.0, 1.0, np.nan])
    assert quality_tiers(best).tolist()[:6] == ["low", "low", *["high"] * 4]
    assert quality_tiers(best).isna().tolist() == [False] * 6 + [True]
    assert quality_tiers(pd.Series([np.nan])).isna().all()


@pytest.mark.parametrize(("scores", "n_tiers"), [(["good", "bad"], 3), ([0.1, 0.2], 1)])
def test_scores_that_give_no_tiers_are_refused(scores, n_tiers):
    with pytest.raises(SchemaError, match="Give numbers, and two tiers or more"):
        quality_tiers(pd.Series(scores), n_tiers=n_tiers)
