import logging

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import LeakageError, SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.features.origin import (
    declare_fitted_on,
    declare_measured,
    mark_measured,
    origins,
)
from radlatent.fusion import (
    aggregate,
    check_inputs,
    coefficient_shares,
    cross_validate,
    join,
    learning_curve,
    logistic,
    make_folds,
    permutation_importance,
    permute_outcomes,
    select_blocks,
    validate_externally,
)
from radlatent.fusion.validation.validate import fit_folds


@pytest.fixture
def setup(make_endpoint, make_features):
    """A latent table of forty patients, hand-crafted features, endpoint and folds."""
    endpoint = make_endpoint("ab" * 20)
    rng = np.random.default_rng(3)
    tables = []
    for block in ("ct_latent", "ct_handcrafted"):
        values = rng.normal(size=(40, 3))
        values[1::2, 0] += 1.5
        tables.append(make_features(values, endpoint.frame.index, block))
    return *tables, endpoint, make_folds(endpoint, n_folds=2, n_repeats=2)


def told(table, cohort, patients, encoded="here"):
    table = table.copy()
    entry = {"cohort": cohort, "patients": list(patients)}
    table.attrs = {"fitted_on": {"ct_latent": entry}, "cohort": encoded}
    return table


def fold_by_fold(table, folds):
    """Return a table of each fold that depends on whom it is fitted on.

    Squares, since the scaler of a model takes back whatever is linear.
    """
    tables, fitted_on = {}, {}
    for (repeat, fold), part in folds.groupby(["repeat", "fold"]):
        train = table.index.difference(part["patient_id"])
        tables[repeat, fold] = table + (table - table.loc[train].mean()) ** 2
        fitted_on[repeat, fold] = frozenset(train)
    return FoldedFeatures(tables, fitted_on)


def test_each_fold_is_fitted_on_its_own_table(setup):
    latent, _, endpoint, folds = setup
    folded = fold_by_fold(latent, folds)
    table = cross_validate(logistic(), folded, endpoint, folds).predictions
    assert len(table) == 80
    for (repeat, fold), part in table.groupby(["repeat", "fold"]):
        own = folded.at(repeat, fold)
        train = own.index.difference(part["patient_id"], sort=False)
        model = logistic().fit(own.loc[train], endpoint.strata.loc[train])
        expected = model.predict_proba(own.loc[part["patient_id"]])[:, 1]
        # lbfgs sees the patients in another order, so that sums are rounded otherwise
        np.testing.assert_allclose(part["probability_b"], expected, atol=1e-6)
    shared = cross_validate(
        logistic(), folded.map(lambda _: folded.at(0, 0)), endpoint, folds
    )
    assert not np.allclose(shared.predictions["probability_b"], table["probability_b"])


def test_folds_that_were_not_encoded_are_leakage(setup):
    latent, _, endpoint, folds = setup
    folded = fold_by_fold(latent, folds[folds["repeat"] == 0])
    with pytest.raises(LeakageError, match=r"2 of 4 .* own: \[\(1, 0\), \(1, 1\)\]"):
        cross_validate(logistic(), folded, endpoint, folds)
    first = folds[folds["repeat"] == 0]
    assert len(cross_validate(logistic(), folded, endpoint, first).predictions) == 40


def test_folds_of_another_seed_are_leakage(setup):
    latent, _, endpoint, folds = setup
    other = make_folds(endpoint, n_folds=2, n_repeats=2, random_state=1)
    with pytest.raises(LeakageError, match="test patients were among those"):
        cross_validate(logistic(), fold_by_fold(latent, other), endpoint, folds)


def test_one_test_patient_in_one_fit_is_leakage(setup):
    latent, _, endpoint, folds = setup
    folded = fold_by_fold(latent, folds)
    patient = folds[(folds["repeat"] == 1) & (folds["fold"] == 0)]["patient_id"].min()
    seen = folded.fitted_on | {(1, 0): folded.fitted_on[1, 0] | {patient}}
    with pytest.raises(LeakageError, match=rf"repeat 1, fold 0: 1 test .*'{patient}'"):
        check_inputs(FoldedFeatures(folded.tables, seen), endpoint, folds)


def test_patients_without_an_outcome_may_be_fitted_on(setup):
    latent, _, endpoint, folds = setup
    folded = fold_by_fold(latent, folds)
    seen = {key: {*patients, "unlabeled"} for key, patients in folded.fitted_on.items()}
    assert check_inputs(FoldedFeatures(folded.tables, seen), endpoint, folds)


def test_block_joined_to_folds_must_tell_its_origin(setup):
    latent, hand, endpoint, folds = setup
    folded = fold_by_fold(latent, folds)
    assert check_inputs(folded.map(lambda t: join(hand, t)), endpoint, folds)
    # what the folds know is not lost with the attrs
    both = folded.map(lambda t: pd.concat([hand, t], axis=1))
    assert check_inputs(both, endpoint, folds)
    other = latent.rename(columns=lambda c: c.replace("ct_", "pet_"))
    with pytest.raises(LeakageError, match=r"\['pet_latent'\] do not tell"):
        check_inputs(folded.map(lambda t: join(t, other)), endpoint, folds)
    known = declare_fitted_on(other, "pet_latent", cohort="far", encoded="here")
    assert check_inputs(folded.map(lambda t: join(t, known)), endpoint, folds)
    near = declare_fitted_on(other, "pet_latent", cohort="here", patients=["p003"])
    with pytest.raises(LeakageError, match=r"'pet_latent'.* 1 of 20 .*\['p003'\]"):
        check_inputs(folded.map(lambda t: join(t, near)), endpoint, folds)


def test_latent_block_without_origin_is_leakage(setup):
    latent, hand, endpoint, folds = setup
    for features in (latent, join(latent, hand)):
        with pytest.raises(LeakageError, match=r"(?s)\['ct_latent'\].*encode_folds.*"):
            cross_validate(logistic(), features, endpoint, folds)
    assert check_inputs(hand, endpoint, folds)


def test_encoder_of_another_cohort_passes(setup):
    latent, hand, endpoint, folds = setup
    features = join(hand, told(latent, "elsewhere", ["x1", "x2"]))
    result = cross_validate(logistic(), features, endpoint, folds)
    assert len(result.predictions) == 80


def test_patients_of_one_name_in_two_cohorts_are_logged(setup, caplog):
    latent, _, endpoint, folds = setup
    with caplog.at_level(logging.WARNING, "radlatent.fusion"):
        check_inputs(told(latent, "elsewhere", ["p001", "x2"]), endpoint, folds)
    assert "share 1 names of patients: ['p001']" in caplog.text


def test_names_that_two_cohorts_share_are_logged_once_a_call(setup, caplog):
    latent, hand, endpoint, folds = setup
    features = join(hand, told(latent, "elsewhere", ["p001", "p004", "x2"]))
    seen = dict(fold_by_fold(latent, folds).fitted_on)
    folded = FoldedFeatures(dict.fromkeys(seen, features), seen)
    with caplog.at_level(logging.WARNING, "radlatent.fusion"):
        check_inputs(folded, endpoint, folds)
    told_of = [t for t in caplog.messages if "share 2 names of patients" in t]
    assert len(told_of) == 1
    assert "['p001', 'p004']" in told_of[0]


@pytest.mark.parametrize(
    "call",
    [
        cross_validate,
        lambda *args: list(fit_folds(*args)),
        lambda *args: permute_outcomes(*args, n_permutations=2),
        learning_curve,
        permutation_importance,
        coefficient_shares,
    ],
)
def test_a_table_by_hand_is_told_once_a_call(setup, caplog, call):
    _, hand, endpoint, folds = setup
    by_hand = pd.concat([hand, hand.add_suffix("_again")], axis=1)
    with caplog.at_level(logging.WARNING, "radlatent.fusion"):
        call(logistic(), by_hand, endpoint, folds)
    assert sum("do not tell" in text for text in caplog.messages) == 1


def test_encoder_of_the_same_cohort_passes_on_disjoint_patients_only(setup):
    latent, _, endpoint, folds = setup
    assert check_inputs(told(latent, "here", ["p900", "p901"]), endpoint, folds)
    with pytest.raises(LeakageError, match=r"fitted on 2 of 40 .*\['p004', 'p005'\]"):
        check_inputs(told(latent, "here", ["p900", "p005", "p004"]), endpoint, folds)


def test_encoder_of_several_cohorts_is_judged_by_patients_if_one_is_shared(setup):
    latent, _, endpoint, folds = setup
    assert check_inputs(told(latent, "east, west", ["p000"]), endpoint, folds)
    assert check_inputs(told(latent, "here, west", ["x1"]), endpoint, folds)
    for names in (("here, west", "here"), ("here", "here, west")):
        with pytest.raises(LeakageError, match=r"\['p000'\]"):
            check_inputs(told(latent, names[0], ["p000"], names[1]), endpoint, folds)


@pytest.mark.parametrize("encoded", ["here", None])
def test_origin_without_patients_of_no_other_cohort_is_leakage(setup, encoded):
    latent, _, endpoint, folds = setup
    with pytest.raises(LeakageError, match="no patient is named"):
        check_inputs(told(latent, "here", [], encoded), endpoint, folds)


def test_origin_without_the_name_of_the_cohort_is_judged_by_patients(setup):
    latent, _, endpoint, folds = setup
    assert check_inputs(told(latent, "far", ["x1"], None), endpoint, folds)
    with pytest.raises(LeakageError, match=r"\['p000'\]"):
        check_inputs(told(latent, "far", ["p000"], None), endpoint, folds)


def test_origin_of_a_block_of_any_name_is_judged(setup):
    _, hand, endpoint, folds = setup
    features = declare_fitted_on(hand, "ct_handcrafted", cohort="c", patients=["p007"])
    with pytest.raises(LeakageError, match=r"'ct_handcrafted'.*\['p007'\]"):
        check_inputs(features, endpoint, folds)


def test_origin_lost_by_pandas_is_refused_until_declared(setup):
    latent, hand, endpoint, folds = setup
    features = pd.concat([told(latent, "elsewhere", ["x1"]), hand], axis=1)
    with pytest.raises(LeakageError, match="declare_fitted_on"):
        check_inputs(features, endpoint, folds)
    origin = {"cohort": "elsewhere", "encoded": "here"}
    features = declare_fitted_on(features, "ct_latent", **origin)
    assert check_inputs(features, endpoint, folds)


def test_own_functions_keep_origins(setup):
    latent, hand, _, _ = setup
    latent = told(latent, "elsewhere", ["x1"])
    expected = origins(latent)
    latent, hand = latent.rename_axis("case_id"), hand.rename_axis("case_id")
    cases = pd.DataFrame({"patient_id": latent.index, "exclude": False}, latent.index)
    cases["timepoint"] = np.where(np.arange(40) % 2, "ED", "ES")
    cases["patient_id"] = np.repeat(cases["patient_id"].to_numpy()[::2], 2)
    for how in ("inner", "outer"):
        joined = join(hand, latent, how=how)
        assert origins(joined) == expected
    for how in ("pivot", "largest", "sum", "volume_weighted_mean"):
        volume = "ct_handcrafted__mu0000"
        assert origins(aggregate(joined, cases, how=how, volume=volume)) == expected
    assert origins(select_blocks(joined, "*_latent")) == expected
    assert origins(select_blocks(joined, "*_handcrafted")) == {}
    assert "fitted_on" not in select_blocks(joined, "*_handcrafted").attrs


def corrected(table, *patients):
    table = table.copy()
    table.attrs = {"in_sample": {"corrected": [*patients]}}
    return table


def test_masks_that_were_fitted_on_a_tested_patient_are_leakage(setup):
    latent, hand, endpoint, folds = setup
    features = corrected(hand, "p003", "p900")
    told = r"1 of 40 test patients have masks .cohort 'corrected'. .*\['p003'\]"
    with pytest.raises(LeakageError, match=told):
        cross_validate(logistic(), features, endpoint, folds)
    folded = fold_by_fold(latent, folds).map(lambda t: join(t, features))
    with pytest.raises(LeakageError, match=r"1 of 20 .*\['p003'\]"):
        cross_validate(logistic(), folded, endpoint, folds)
    plain = corrected(hand, "p900")
    expected = cross_validate(logistic(), hand, endpoint, folds).metrics
    found = cross_validate(logistic(), plain, endpoint, folds).metrics
    pd.testing.assert_frame_equal(found, expected)


def test_masks_that_were_fitted_on_a_patient_of_another_cohort_are_leakage(
    setup, make_endpoint
):
    _, hand, endpoint, _ = setup
    outside = make_endpoint("ab" * 20, "q")
    other = hand.set_axis(outside.frame.index)
    about = logistic(), hand, endpoint
    with pytest.raises(LeakageError, match=r"1 of 40 .*\['q003'\]"):
        validate_externally(*about, (corrected(other, "q003"), outside))
    # those of training patients are no matter of leakage
    about = logistic(), corrected(hand, "p003"), endpoint
    result = validate_externally(*about, (other, outside))
    assert len(result.predictions) == 40


def test_other_checks_hold_for_folds_too(setup):
    latent, _, endpoint, folds = setup
    folded = fold_by_fold(latent, folds)
    with pytest.raises(SchemaError, match=r"1 patients have no features: \['p000'\]"):
        check_inputs(folded.map(lambda t: t.iloc[1:]), endpoint, folds)
    with pytest.raises(SchemaError, match="aggregate"):
        check_inputs(folded.map(lambda t: t.rename_axis("case_id")), endpoint, folds)


def test_patient_empty_in_one_fold_is_logged(setup, caplog):
    latent, _, endpoint, folds = setup
    folded = fold_by_fold(latent, folds)
    tables = dict(folded.tables)
    tables[1, 1] = tables[1, 1].copy()
    tables[1, 1].loc["p004"] = np.nan
    with caplog.at_level(logging.INFO, "radlatent.fusion"):
        folded = FoldedFeatures(tables, folded.fitted_on)
        cross_validate(logistic(), folded, endpoint, folds)
    assert "1 patients have no feature at all and are imputed: ['p004']" in caplog.text


# What pandas does to tables that a person joins in a notebook. Refused, or told: in the
# log and in the column ``origin`` of the fits, never taken for measured.


def renamed(table, block="ct_deep"):
    return table.rename(columns=lambda c: c.replace("ct_latent", block))


def origin_of(features, endpoint, folds):
    [origin] = (
        cross_validate(logistic(), features, endpoint, folds).fits["origin"].unique()
    )
    return origin


def by_hand(one, other, path):
    """Yield the ways to put tables together that drop what one of them tells."""
    index = {"left_index": True, "right_index": True}
    yield "concat", pd.concat([one, other], axis=1)
    yield "concat, the other first", pd.concat([other, one], axis=1)
    yield "merge", one.merge(other, **index)
    yield "join of pandas", one.join(other)
    one.to_csv(path)
    yield "csv", pd.read_csv(path, index_col=0)


@pytest.mark.parametrize("told", [True, False])
def test_masks_in_sample_that_pandas_forgot_are_told(setup, tmp_path, caplog, told):
    _, hand, endpoint, folds = setup
    features = corrected(mark_measured(hand), *hand.index)
    for same in (features, features * 1, np.log1p(features.abs()), features.iloc[::-1]):
        with pytest.raises(LeakageError, match="40 of 40 test patients have masks"):
            cross_validate(logistic(), same, endpoint, folds)
    other = hand.rename(columns=lambda c: c.replace("ct_", "mr_"))
    other = mark_measured(other) if told else other
    for name, table in by_hand(features, other, tmp_path / "x.csv"):
        # DataFrame.join keeps what the left one tells, which is refused
        caplog.clear()
        if table.attrs:
            with pytest.raises(LeakageError, match="40 of 40 test patients have"):
                cross_validate(logistic(), table, endpoint, folds)
            continue
        assert origin_of(table, endpoint, folds) == "not told", name
        assert "'ct_handcrafted'" in caplog.text, name
        assert "declare_measured" in caplog.text, name


def test_what_the_library_puts_together_is_measured(setup, caplog):
    _, hand, endpoint, folds = setup
    features = mark_measured(hand)
    other = mark_measured(hand.rename(columns=lambda c: c.replace("ct_", "mr_")))
    joined = join(features, other)
    for table in (features, joined, select_blocks(joined, "mr_*"), joined.iloc[::-1]):
        assert origin_of(table, endpoint, folds) == "measured"
    assert "do not tell" not in caplog.text
    with pytest.raises(LeakageError, match=r"\['p003'\]"):
        check_inputs(join(corrected(features, "p003"), other), endpoint, folds)


def test_a_declaration_mends_what_pandas_forgot(setup, caplog):
    _, hand, endpoint, folds = setup
    other = hand.rename(columns=lambda c: c.replace("ct_", "mr_"))
    table = pd.concat([mark_measured(hand), other], axis=1)
    half = declare_measured(table, "mr_handcrafted")
    told = "not told (ct_handcrafted); measured (mr_handcrafted)"
    assert origin_of(half, endpoint, folds) == told
    caplog.clear()
    assert origin_of(declare_measured(half), endpoint, folds) == "measured"
    assert caplog.text == ""


def test_a_latent_block_under_another_name_is_refused(setup):
    latent, hand, endpoint, folds = setup
    latent = told(latent, "here", latent.index)
    seen = r"'ct_deep' does not tell .* 'ct_latent', .* 40 of 40 test .*declare_measur"
    deep = renamed(latent)
    marked = mark_measured(hand)
    for table in (
        deep,
        join(marked, deep),
        select_blocks(join(marked, deep), "*_deep"),
        renamed(join(marked, latent)),
    ):
        with pytest.raises(LeakageError, match=seen):
            cross_validate(logistic(), table, endpoint, folds)
    # what it was joined to is known, and may go its way
    own = select_blocks(join(marked, deep), "*_handcrafted")
    assert origin_of(own, endpoint, folds) == "measured"
    own = renamed(join(marked, latent))[[*hand]]
    assert origin_of(own, endpoint, folds) == "measured"
    nobody = renamed(told(latent, "here", []))
    with pytest.raises(LeakageError, match="this cohort, nobody named"):
        check_inputs(nobody, endpoint, folds)


def test_a_latent_block_under_the_name_of_another_is_refused(setup):
    latent, hand, endpoint, folds = setup
    hidden = renamed(
        join(mark_measured(hand), told(latent, "here", latent.index)), "ct_handcrafted"
    )
    hidden.columns = [*hand, *(f"ct_handcrafted__mu{k}" for k in range(3))]
    with pytest.raises(LeakageError, match="'ct_handcrafted' does not tell"):
        cross_validate(logistic(), hidden, endpoint, folds)


def test_a_latent_block_that_saw_nobody_is_told_under_another_name(setup):
    latent, _, endpoint, folds = setup
    for cohort, patients in (("elsewhere", ["x1"]), ("here", ["p900"])):
        table = renamed(told(latent, cohort, patients))
        assert origin_of(table, endpoint, folds) == "not told"


def test_a_latent_block_that_pandas_forgot_is_refused(setup, tmp_path):
    latent, hand, endpoint, folds = setup
    latent = told(latent, "elsewhere", ["x1"])
    for _, table in by_hand(latent, mark_measured(hand), tmp_path / "x.csv"):
        if table.attrs:  # of the left one
            words = "other cohort elsewhere (ct_latent); not told (ct_handcrafted)"
            assert origin_of(table, endpoint, folds) == words
            continue
        with pytest.raises(LeakageError, match=r"\['ct_latent'\] do not tell"):
            cross_validate(logistic(), table, endpoint, folds)


def test_fits_tell_where_their_features_come_from(setup, make_endpoint):
    latent, hand, endpoint, folds = setup
    hand = mark_measured(hand)
    far = told(latent, "elsewhere, abroad", ["x1"])
    near = told(latent, "here", ["p900"])
    assert origin_of(far, endpoint, folds) == "other cohort abroad, elsewhere"
    assert origin_of(near, endpoint, folds) == "other patients of here"
    folded = fold_by_fold(latent, folds)
    assert origin_of(folded, endpoint, folds) == "fitted in the fold"
    both = folded.map(lambda table: join(hand, table))
    words = "measured (ct_handcrafted); fitted in the fold (ct_latent)"
    assert origin_of(both, endpoint, folds) == words
    outside = make_endpoint("ab" * 20, "q")
    other = hand.set_axis(outside.frame.index)
    about = logistic(), hand, endpoint
    found = validate_externally(*about, (other, outside)).fits["origin"]
    assert found.tolist() == ["measured"]
    other.attrs = {}
    found = validate_externally(*about, (other, outside)).fits["origin"]
    assert found.tolist() == ["not told"]
