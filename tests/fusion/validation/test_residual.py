"""Components and residuals: fitted on training patients, of both kinds alike."""

import numpy as np
import pandas as pd
import pytest

from radlatent.features.origin import declare_measured
from radlatent.fusion.validation.residual import narrowed, residual, side_by_side

N = 80
IDS = pd.Index([f"p{i:02d}" for i in range(N)], name="patient_id")
SPLITS = {(0, 0): (IDS[:60].tolist(), IDS[60:].tolist())}


def table(values, block):
    frame = pd.DataFrame(values, IDS)
    return declare_measured(frame.add_prefix(f"{block}__f"), block)


def test_a_narrow_table_stays_as_it_is(rng):
    features = table(rng.normal(size=(N, 64)), "ct_fm")
    assert narrowed(features, SPLITS) is features


def test_components_of_a_wide_table_are_those_of_training_patients(rng):
    values = rng.normal(size=(N, 3)) @ rng.normal(size=(3, 100))
    found = narrowed(table(values, "ct_fm"), SPLITS)
    found_of = table(np.vstack([[np.nan] * 100, values[1:]]), "ct_fm")
    failed = narrowed(found_of, SPLITS).at(0, 0).isna().all(axis=1)
    assert failed.to_numpy().nonzero()[0].tolist() == [0]
    # one for 8 of 60
    assert list(found.columns) == [f"ct_fm__component{k:03d}" for k in range(7)]
    changed = values.copy()
    changed[60:] = rng.normal(size=(20, 100))
    other = narrowed(table(changed, "ct_fm"), SPLITS)
    np.testing.assert_allclose(
        *(one.at(0, 0).iloc[:60, :3].abs() for one in (found, other))
    )
    assert list(found.fitted_on[0, 0]) == IDS[:60].tolist()


@pytest.mark.parametrize("n_columns", [1, 3])
def test_the_residual_is_what_is_not_predicted(rng, n_columns):
    known = rng.normal(size=(N, 4))
    new = rng.normal(size=(N, n_columns))
    embedding = known @ rng.normal(size=(4, n_columns)) * 3 + new
    embedding[[5, 70]] = np.nan  # cases that the network failed on
    about = table(known, "ct_handcrafted"), table(embedding, "ct_fm")
    found = residual(*about, SPLITS).at(0, 0)
    assert list(found.columns) == [f"ct_fm_residual__f{k}" for k in range(n_columns)]
    there = found.notna().all(axis=1).to_numpy()
    assert (~there).nonzero()[0].tolist() == [5, 70]
    # of tested patients: what least squares of the training patients leaves, as the
    # penalty that suits so strong a relation moves a prediction by a few percent
    with_mean = np.c_[np.ones(N), known]
    train = there & (np.arange(N) < 60)
    slopes = np.linalg.lstsq(with_mean[train], embedding[train], rcond=None)[0]
    expected = (embedding - with_mean @ slopes)[60:][there[60:]]
    np.testing.assert_allclose(found[60:][there[60:]], expected, atol=0.3)
    assert expected.std() > 0.7


def test_residuals_of_training_patients_are_as_large_as_those_of_others(rng):
    known = rng.normal(size=(N, 40))  # many columns fit training patients closely
    noise = rng.normal(size=(N, 10))
    about = table(known, "ct_handcrafted"), table(noise, "ct_fm")
    found = residual(*about, SPLITS).at(0, 0).to_numpy()
    # three standard errors of the logarithm, of 600 and 200 numbers
    limit = 3 * np.sqrt(1 / 1200 + 1 / 400)
    assert abs(np.log(found[:60].std() / found[60:].std())) < limit


def test_sides_of_plain_tables_are_a_plain_table(rng):
    one = table(rng.normal(size=(N, 2)), "ct_handcrafted")
    two = table(rng.normal(size=(N, 3)), "ct_fm")
    assert side_by_side(one, two, SPLITS).shape == (N, 5)
    wide = narrowed(table(rng.normal(size=(N, 99)), "pet_fm"), SPLITS)
    both = side_by_side(one, wide, SPLITS)
    assert both.fitted_blocks == ("pet_fm",)
    assert len(both.columns) == 9
