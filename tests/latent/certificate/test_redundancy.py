"""The certificate on blocks that are independent, redundant, or in between."""

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.latent.certificate.redundancy import redundancy

ESTIMATORS = [
    "r2_linear",
    "r2_trees",
    "distance_correlation_squared",
    "hsic",
    "mutual_information",
    "discriminator_auc",
]


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
    numbers = features.drop(columns=["feature", "active", "level"])
    assert numbers.loc[2].isna().all()
    assert numbers.drop(2).notna().all(axis=None)
    assert overall["estimator"].tolist() == ESTIMATORS
    assert set(overall["n_features"]) == {3}
    assert set(overall["n_cases"]) == {60}
    assert set(overall["n_patients"]) == {40}
    assert set(overall["n_movable"]) == {60}
    assert overall["expected_if_independent"].tolist() == [0] * 5 + [0.5]
    assert found.summary["estimator"].tolist() == ESTIMATORS
    assert repr(found).startswith("Redundancy(60 cases, 40 patients, 3 of 4 features")
    assert "r2_linear" in found._repr_html_()


def test_means_are_over_active_features(small):
    found, _ = small
    overall = found.overall.set_index("estimator")
    for name in ("r2_linear", "r2_trees", "mutual_information"):
        expected = found.features[name].mean()
        assert overall.loc[name, "estimate"] == pytest.approx(expected)
    for name in ESTIMATORS[:5]:
        count = (found.features[f"{name}_p_adjusted"] <= 0.05).sum()
        assert overall.loc[name, "n_dependent"] == count


def test_the_redundant_feature_is_found_and_the_others_are_not(small):
    features = small[0].features
    for name in ESTIMATORS[:5]:
        assert features[f"{name}_p_adjusted"].idxmin() == 0
        assert features.loc[0, f"{name}_p_adjusted"] <= 0.05, name
        assert (features.loc[[1, 3], f"{name}_p_adjusted"] > 0.05).all(), name
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
    assert (rows.loc[ESTIMATORS[:4], "n_dependent"] >= 5).all()


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
