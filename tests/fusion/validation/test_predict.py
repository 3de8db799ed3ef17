"""What of a table a model looks at; a block that no fit looks at is told."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import radlatent as rl
from radlatent.cohort.manifest import Endpoint
from radlatent.fusion.validation.predict import columns_used


@pytest.fixture(scope="module")
def planted():
    """Return 12 copies of one factor, 8 noisy ones of another, and their outcome."""
    rng, n = np.random.default_rng(1), 250
    index = pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id")
    size, other = rng.normal(size=(2, n))
    death = rng.random(n) < 1 / (1 + np.exp(-1.2 * size - 0.9 * other))
    copies = {
        f"ct_handcrafted__h{k:02d}": size + 0.3 * rng.normal(size=n) for k in range(12)
    }
    noisy = {f"ct_fm__e{k}": other + 1.5 * rng.normal(size=n) for k in range(8)}
    truth = pd.DataFrame({"class": np.where(death, "dead", "alive")}, index)
    endpoint = Endpoint("death", "class", truth, "dead")
    return pd.DataFrame(copies, index), pd.DataFrame(noisy, index), endpoint


def runs(planted, model):
    handcrafted, embedding, endpoint = planted
    folds = rl.make_folds(endpoint, n_folds=5, n_repeats=1)
    tables = {"H": handcrafted, "H+E": rl.join(handcrafted, embedding)}
    return [
        rl.cross_validate(model, table, endpoint, folds, blocks=blocks, jobs=1)
        for blocks, table in tables.items()
    ]


def test_a_block_of_which_no_column_is_selected_is_told(planted, caplog):
    without, both = runs(planted, rl.logistic(n_features=10))
    used = [json.loads(text) for text in both.fits["n_columns_used"]]
    assert used == [{"ct_handcrafted": 10, "ct_fm": 0}] * 5
    assert "no column of blocks ['ct_fm'] is in any of 5 fits" in caplog.text
    row = rl.compare(pd.concat([without.predictions, both.predictions])).iloc[0]
    assert row["difference"] == 0
    assert row[["p", "p_corrected", "p_adjusted", "p_delong"]].isna().all()
    assert row["method"].startswith("the same predictions of every patient")


def test_a_block_that_is_used_is_not_told(planted, caplog):
    without, both = runs(planted, rl.logistic(C=0.1))
    used = [json.loads(text) for text in both.fits["n_columns_used"]]
    assert used == [{"ct_handcrafted": 12, "ct_fm": 8}] * 5
    assert "no column" not in caplog.text
    row = rl.compare(pd.concat([without.predictions, both.predictions])).iloc[0]
    assert row["difference"] > 0.03
    assert row["p"] < 0.05


def test_columns_with_a_coefficient_of_zero_do_not_count(planted):
    handcrafted, embedding, endpoint = planted
    table = rl.join(handcrafted, embedding)
    model = LogisticRegression(l1_ratio=1, C=1e-3, solver="saga", max_iter=5000)
    model.fit(table, endpoint.frame["class"])
    model.coef_[:] = 0
    model.coef_[0, -1] = 1
    assert json.loads(columns_used(model, table)) == {"ct_handcrafted": 0, "ct_fm": 1}


def test_models_without_coefficients_look_at_what_enters_them(planted):
    handcrafted, _, endpoint = planted
    model = RandomForestClassifier(n_estimators=2, random_state=0)
    model.fit(handcrafted, endpoint.frame["class"])
    assert json.loads(columns_used(model, handcrafted)) == {"ct_handcrafted": 12}


def test_a_model_that_mixes_columns_does_not_tell(planted):
    handcrafted, _, endpoint = planted
    model = make_pipeline(PCA(2), LogisticRegression())
    model.fit(handcrafted, endpoint.frame["class"])
    assert columns_used(model, handcrafted) == ""
