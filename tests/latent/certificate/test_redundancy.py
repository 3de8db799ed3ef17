"""The certificate on blocks that are independent, redundant, or in between."""

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import LeakageError, SchemaError
from radlatent.features.origin import declare_fitted_on
from radlatent.latent.certificate.redundancy import redundancy

ESTIMATORS = [
    "r2_linear",
    "r2_trees",
    "reverse_linear",
    "reverse_trees",
    "distance_correlation_squared",
    "hsic",
    "mutual_information",
    "discriminator_auc",
    "any",
]
#: Those that look at each feature.
BY_FEATURE = [*ESTIMATORS[:3], *ESTIMATORS[4:7]]


def tables(first, second, patients=None):
    """Return both features tables and the patients of their rows."""
    index = pd.Index([f"c{i:03d}" for i in range(len(first))], name="case_id")
    names = [f"ct_handcrafted__h{i}" for i in range(first.shape[1])]
    handcrafted = pd.DataFrame(first, index, names)
    names = [f"ct_latent__mu{i:03d}" for i in range(second.shape[1])]
    if patients is None:
        patients = np.arange(len(first))
    people = pd.Series([f"p{p:03d}" for p in patients], index, name="patient_id")
    return handcrafted, pd.DataFrame(second, index, names), people


def collinear(n, rng):
    """Return 40 columns made of 8 factors, and the factors."""
    factors = rng.standard_normal((n, 8))
    noise = 0.3 * rng.standard_normal((n, 40))
    return factors @ rng.standard_normal((8, 40)) + noise, factors


@pytest.fixture(scope="module")
def small():
    """Return a certificate of 60 lesions of 40 patients, and what it was made of."""
    rng = np.random.default_rng(4)
    first, second = rng.standard_normal((60, 5)), rng.standard_normal((60, 4))
    second[:, 0] = first[:, 0] + 0.1 * second[:, 0]
    # float32 rounding around a constant
    second[:, 2] = 0.3 + 1e-9 * second[:, 2]
    given = tables(first, second, np.r_[np.arange(40), np.arange(20)])
    return redundancy(*given, n_permutations=99), given


def test_each_active_feature_and_each_estimator_has_a_row(small):
    found, (_, latent, _) = small
    features, overall = found.features, found.overall
    assert features["feature"].tolist() == list(latent)
    assert features["active"].tolist() == [True, True, False, True]
    numbers = features.drop(columns=["feature", "active", "level", "dependent"])
    assert numbers.loc[2].isna().all()
    assert numbers.drop(2).notna().all(axis=None)
    assert overall["estimator"].tolist() == ESTIMATORS
    assert set(overall["n_features"]) == {3}
    assert set(overall["n_cases"]) == {60}
    assert set(overall["n_patients"]) == {40}
    assert set(overall["n_movable"]) == {60}
    expected = overall.set_index("estimator")["expected_if_independent"]
    assert expected["discriminator_auc"] == 0.5
    reverse = ["reverse_linear", "reverse_trees"]
    assert not expected.drop(["discriminator_auc", *reverse]).any()
    assert found.summary["estimator"].tolist() == ESTIMATORS
    assert repr(found).startswith("Redundancy(60 cases, 40 patients, 3 of 4 features")
    assert "r2_linear" in found._repr_html_()


def test_means_are_over_active_features(small):
    found, _ = small
    overall = found.overall.set_index("estimator")
    for name in ("r2_linear", "r2_trees", "mutual_information"):
        expected = found.features[name].mean()
        assert overall.loc[name, "estimate"] == pytest.approx(expected)
    for name in BY_FEATURE:
        count = (found.features[f"{name}_p_adjusted"] <= 0.05).sum()
        assert overall.loc[name, "n_dependent"] == count
        assert overall.loc[name, "worst_estimate"] == found.features[name].max()


def test_the_redundant_feature_is_found_and_the_others_are_not(small):
    features = small[0].features
    for name in BY_FEATURE:
        assert features[f"{name}_p_adjusted"].idxmin() == 0
        assert features.loc[0, f"{name}_p_adjusted"] <= 0.05, name
        assert (features.loc[[1, 3], f"{name}_p_adjusted"] > 0.05).all(), name
    assert features["dependent"].tolist() == [True, False, False, False]
    assert (
        small[0].overall.dropna(subset="worst")["worst"] == "ct_latent__mu000"
    ).all()
    # 1 / 1.01 is known of it
    assert features.loc[0, "r2_linear"] == pytest.approx(1 / 1.01, abs=0.02)
    assert features.loc[0, "r2_linear_lower"] > 0.95
    assert (features["r2_linear_lower"] <= features["r2_linear"]).drop(2).all()


def test_order_of_rows_of_the_other_tables_does_not_matter(small):
    found, (handcrafted, latent, patients) = small
    before = [t.copy() for t in (handcrafted, latent, patients)]
    extra = pd.concat([patients, pd.Series({"other": "p999"})])
    again = redundancy(handcrafted[::-1], latent, extra[::-1], n_permutations=99)
    pd.testing.assert_frame_equal(found.features, again.features)
    pd.testing.assert_frame_equal(found.overall, again.overall)
    for table, copy in zip((handcrafted, latent, patients), before, strict=True):
        assert table.equals(copy)


def test_plot_draws_its_features(small):
    ax = small[0].plot()
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels[0] == "mu000"
    assert labels[-1] == "mu002 (not active)"


@pytest.mark.slow
def test_independent_blocks_are_independent_by_every_estimator(rng):
    first, _ = collinear(150, rng)
    found = redundancy(*tables(first, rng.standard_normal((150, 6))))
    assert (found.overall["p"] > 0.05).all()
    assert (found.overall["n_dependent"].dropna() == 0).all()
    assert found.verdict.startswith("No dependence found in 150 patients")
    rows = found.overall.set_index("estimator")
    assert rows.loc["r2_linear", "lower"] <= 0.01
    assert rows.loc["discriminator_auc", "lower"] < 0.5
    assert rows.loc["discriminator_auc", "upper"] > 0.5


@pytest.mark.slow
def test_redundant_blocks_are_redundant_by_every_estimator(rng):
    first, factors = collinear(150, rng)
    second = factors[:, :6] + 0.7 * rng.standard_normal((150, 6))
    found = redundancy(*tables(first, second), n_permutations=200)
    assert (found.overall["p"] <= 0.05).all()
    rows = found.overall.set_index("estimator")
    # 1 / 1.49 of the variance, less what 150 rows do not teach
    assert 0.5 < rows.loc["r2_linear", "estimate"] < 1 / 1.49
    assert rows.loc["r2_linear", "lower"] > 0.4
    assert rows.loc["discriminator_auc", "lower"] > 0.6
    found_by = ["r2_linear", "r2_trees", "distance_correlation_squared", "hsic"]
    assert (rows.loc[[*found_by, "reverse_linear"], "n_dependent"] >= 5).all()


@pytest.mark.slow
def test_what_a_line_does_not_see_others_do(rng):
    first = rng.standard_normal((300, 3))
    second = rng.standard_normal((300, 2))
    second[:, 0] = first[:, 0] ** 2 + 0.3 * second[:, 0]
    # the spread depends, the mean does not
    second[:, 1] *= np.exp(first[:, 1])
    found = redundancy(*tables(first, second), n_permutations=200)
    p = found.features.filter(regex="_p$")
    assert (p["r2_linear_p"] > 0.05).all()
    seen = ["r2_trees_p", "distance_correlation_squared_p", "hsic_p"]
    assert (p.loc[0, [*seen, "mutual_information_p"]] <= 0.01).all()
    assert (p.loc[1, seen[1:]] <= 0.01).all()
    assert p.loc[1, "r2_trees_p"] > 0.05
    assert found.overall.set_index("estimator").loc["discriminator_auc", "p"] <= 0.01


def shrunken(n, rng, n_latent=8):
    """Return H of 5 factors, and noise that is shrunken where the first is small."""
    size, others = rng.normal(size=n), rng.normal(size=(n, 4))
    first = size[:, None] + 0.3 * rng.normal(size=(n, 12))
    rest = others @ rng.normal(size=(4, 20)) + rng.normal(size=(n, 20))
    noise = np.exp(0.25 * size)[:, None] * rng.normal(size=(n, n_latent))
    return np.hstack([first, rest]), noise


@pytest.mark.slow
def test_latents_whose_length_tells_of_the_lesion_are_found():
    given = tables(*shrunken(140, np.random.default_rng(1)))
    found = redundancy(*given, n_permutations=200)
    rows = found.overall.set_index("estimator")
    # predictions of the latents find nothing, as they see means only
    assert (rows.loc[["r2_linear", "r2_trees", "discriminator_auc"], "p"] > 0.05).all()
    assert rows.loc["reverse_linear", "p"] == pytest.approx(1 / 201)
    assert rows.loc["reverse_linear", "lower"] > 0.1
    # the first 12 columns are the size
    told = rows.loc["reverse_linear", "told"]
    assert told in [f"ct_handcrafted__h{k}" for k in range(12)] + ["component 0"]
    assert rows.loc["any", "p"] <= 0.05
    assert found.verdict.startswith("Dependent: ")
    assert told in found.verdict


@pytest.mark.slow
def test_one_leak_among_many_latents_is_named():
    rng = np.random.default_rng(0)
    first, _ = collinear(120, rng)
    second = rng.standard_normal((120, 12))
    # 0.45 of the variance
    score = (first[:, 0] - first[:, 0].mean()) / first[:, 0].std()
    second[:, 7] = np.sqrt(0.45) * score + np.sqrt(0.55) * second[:, 7]
    found = redundancy(*tables(first, second), n_permutations=200)
    assert found.features["dependent"].to_numpy().nonzero()[0].tolist() == [7]
    row = found.summary.set_index("estimator").loc["any"]
    assert (row["n_dependent"], row["worst"]) == (1, "ct_latent__mu007")
    assert "1 of 12 latent features" in found.verdict
    assert "ct_latent__mu007 most" in found.verdict


@pytest.mark.slow
def test_a_wide_embedding_is_seen_through_components_of_training_rows():
    rng = np.random.default_rng(2)
    first = rng.standard_normal((80, 4))
    spread = rng.standard_normal((3, 300))
    hidden = np.hstack([first[:, :1], rng.standard_normal((80, 2))])
    second = hidden @ spread + 0.3 * rng.standard_normal((80, 300))
    found = redundancy(*tables(first, second), n_permutations=99)
    assert found.features["feature"].tolist() == [
        f"ct_latent__component{k:03d}" for k in range(10)
    ]
    method = found.overall["method"].iloc[0]
    assert "10 principal components of 300 columns, fitted on training rows" in method
    assert found.features["dependent"].any()


def in_sample(rng, cohort):
    """Return tables whose encoder was fitted on the last 10 patients of a cohort."""
    handcrafted, latent, patients = bad(rng)
    about = {"cohort": cohort, "patients": patients[-10:].tolist(), "encoded": "here"}
    return handcrafted, declare_fitted_on(latent, "ct_latent", **about), patients


def test_rows_that_the_encoder_was_fitted_on_are_refused(rng):
    with pytest.raises(LeakageError, match=r"'ct_latent' was fitted on 10 of these 40"):
        redundancy(*in_sample(rng, "here"), n_permutations=1)


def test_an_encoder_of_another_cohort_is_certified(rng):
    found = redundancy(*in_sample(rng, "there"), n_permutations=1)
    assert len(found.features) == 2


def test_a_block_that_does_not_tell_its_encoder_is_told(rng, caplog):
    redundancy(*bad(rng), n_permutations=1)
    assert "['ct_latent'] do not tell whom their encoder was fitted on" in caplog.text


def bad(rng):
    return tables(rng.standard_normal((40, 3)), rng.standard_normal((40, 2)))


def test_rows_that_differ_are_named(rng):
    handcrafted, latent, patients = bad(rng)
    with pytest.raises(SchemaError, match=r"hand-crafted table lacks 2 rows.*'c000'"):
        redundancy(handcrafted[2:], latent, patients)
    with pytest.raises(SchemaError, match=r"latent table lacks 1 rows.*1 rows have no"):
        redundancy(handcrafted, latent[:-1], patients[1:])
    with pytest.raises(SchemaError, match="same index more than once"):
        redundancy(handcrafted, latent, pd.concat([patients, patients[:1]]))


def test_bad_values_are_named_together(rng):
    handcrafted, latent, patients = bad(rng)
    handcrafted["ct_handcrafted__flat"] = 1.0
    handcrafted.iloc[3, 0] = np.nan
    latent.iloc[5, 1] = np.nan
    patients[:] = [f"p{i % 10}" for i in range(40)]
    words = [r"1 hand-crafted rows hold NaN.*c003", r"1 latent rows hold NaN.*c005"]
    words += [r"1 are constant.*__flat", "10 patients and n_folds=5.*20 patients"]
    with pytest.raises(SchemaError, match=".*".join(words)):
        redundancy(handcrafted, latent, patients)


def test_one_patient_with_most_rows_is_refused(rng):
    handcrafted, latent, patients = bad(rng)
    patients[:12] = "p000"
    with pytest.raises(SchemaError, match="'p000' has 12 of 40 rows"):
        redundancy(handcrafted, latent, patients)


def test_a_latent_table_without_variation_is_refused(rng):
    handcrafted, latent, patients = bad(rng)
    with pytest.raises(SchemaError, match="none of 2 latent columns varies"):
        redundancy(handcrafted, 0 * latent + 1, patients)


def test_numbers_out_of_range_are_refused(rng):
    with pytest.raises(SchemaError, match="n_permutations=0"):
        redundancy(*bad(rng), n_permutations=0)
    with pytest.raises(SchemaError, match="level=95"):
        redundancy(*bad(rng), level=95)
    with pytest.raises(SchemaError, match="n_folds=1"):
        redundancy(*bad(rng), n_folds=1)
