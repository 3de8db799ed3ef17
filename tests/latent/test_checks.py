"""Bad input is told before training starts, all of it at once."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")

from radlatent.errors import SchemaError
from radlatent.latent.checks import check_fit, check_handcrafted
from radlatent.latent.inputs import Box
from radlatent.nn import Training

SETTINGS = {"n_latent": 2, "beta": 1.0, "kappa": 1.0, "classification_weight": 0.0}


@pytest.fixture
def cases(worlds):
    return worlds.blobs(6).cases


@pytest.fixture
def handcrafted(cases, rng):
    values = rng.standard_normal((6, 3))
    return pd.DataFrame(values, cases.index, ["hc__a", "hc__b", "hc__c"])


def message(*args, **settings):
    with pytest.raises(SchemaError) as caught:
        check_fit(*args, SETTINGS | settings)
    return str(caught.value)


def test_what_is_right_passes(cases, handcrafted):
    y = pd.Series(list("ababab"), cases.index)
    check_fit(cases, handcrafted, y, SETTINGS | {"classification_weight": 1.0})
    check_fit(cases, None, None, SETTINGS)
    check_fit(cases, None, None, SETTINGS | {"n_latent": np.int64(5)})


@pytest.mark.parametrize("n_latent", [6, 600, 0, -1, 2.5, "2"])
def test_latent_size(cases, n_latent):
    told = message(cases, None, None, n_latent=n_latent)
    assert f"n_latent is {n_latent!r} with 6 training patients" in told
    assert "from 1 to 5" in told


def test_patients_are_counted_not_cases(cases):
    paired = cases.assign(patient_id=["p1"] * 3 + ["p2"] * 3)
    assert "with 2 training patients" in message(paired, None, None)
    check_fit(paired, None, None, SETTINGS | {"n_latent": 1})


def test_one_patient(cases):
    told = message(cases.assign(patient_id="p1"), None, None, n_latent=1)
    assert "1 training patients in 6 cases" in told


@pytest.mark.parametrize("name", ["beta", "kappa", "classification_weight"])
@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_weights(cases, name, value):
    assert f"{name} is {value!r}; give 0 or more" in message(
        cases, None, None, **{name: value}
    )


def test_constant_feature_is_named(cases, handcrafted):
    told = message(cases, handcrafted.assign(hc__b=3.0), None)
    assert "1 columns are constant in the 6 training cases: ['hc__b']" in told


def test_a_feature_that_is_constant_among_training_cases_only(cases, handcrafted):
    more = pd.concat(
        [handcrafted.assign(hc__b=3.0), handcrafted.set_axis(list("uvwxyz"))]
    )
    assert "constant" in message(cases, more.rename_axis("case_id"), None)


def test_missing_values_are_placed(cases, handcrafted):
    handcrafted.iloc[2, 1] = np.nan
    told = message(cases, handcrafted, None)
    assert "1 missing values, in cases ['c02'] and columns ['hc__b']" in told


def test_missing_values_of_other_cases_do_not_matter(cases, handcrafted):
    handcrafted.iloc[2, 1] = np.nan
    check_fit(cases.drop("c02"), handcrafted, None, SETTINGS)


def test_features_that_lack_cases_or_are_no_features(cases, handcrafted):
    told = message(cases, handcrafted.drop(["c01", "c04"]), None)
    assert "lacks 2 of 6 cases: ['c01', 'c04']" in told
    assert "has no column" in message(cases, handcrafted[[]], None)
    with pytest.raises(SchemaError, match="infinite"):
        check_fit(
            cases, handcrafted.replace(handcrafted.iloc[0, 0], np.inf), None, SETTINGS
        )


def test_classes(cases):
    weight = {"classification_weight": 1.0}
    y = pd.Series(list("ababab"), cases.index)
    assert "there is no y" in message(cases, None, None, **weight)
    assert "y lacks 1 cases: ['c03']" in message(cases, None, y.drop("c03"), **weight)
    assert "y is a list; give a Series" in message(cases, None, list(y), **weight)
    alone = y.where(y == "a")
    assert "the classes ['a'] in the training cases" in message(
        cases, None, alone, **weight
    )
    more = pd.concat([alone, pd.Series({"z": "b"})])
    assert "the classes ['a']" in message(cases, None, more, **weight)
    check_fit(cases, None, y.drop("c03"), SETTINGS)  # no head, y is not looked at


def test_everything_is_told_at_once(cases, handcrafted):
    handcrafted.iloc[0, 0] = np.nan
    told = message(
        cases,
        handcrafted.assign(hc__c=1.0),
        None,
        n_latent=9,
        beta=-1.0,
        kappa=-2.0,
        classification_weight=1.0,
        inputs=Box(("ct", "mr"), (-8, 8, 8), (1, 1, 1)),
        training=Training(epochs=0, device="cpu"),
    )
    for part in (
        "n_latent is 9", "beta is -1.0", "kappa is -2.0", "missing values", "constant",
        "no y", "size_mm is [-8.0, 8.0, 8.0]", "no column 'image_mr'", "epochs is 0",
    ):  # fmt: skip
        assert part in told


def test_features_for_a_fitted_encoder(cases, handcrafted):
    names = ["hc__c", "hc__a"]
    found = check_handcrafted(handcrafted, cases.index[::-1], names)
    pd.testing.assert_frame_equal(found, handcrafted.loc[cases.index[::-1], names])
    constant = check_handcrafted(handcrafted.assign(hc__a=1.0), cases.index, names)
    assert (constant["hc__a"] == 1).all()  # new cases may well be alike
    with pytest.raises(SchemaError, match="takes 2 hand-crafted features"):
        check_handcrafted(None, cases.index, names)
    with pytest.raises(SchemaError, match=r"lacks 1 columns: \['hc__x'\]"):
        check_handcrafted(handcrafted, cases.index, ["hc__x", "hc__a"])
    with pytest.raises(SchemaError, match="lacks 1 of 6 cases"):
        check_handcrafted(handcrafted.drop("c01"), cases.index, names)
