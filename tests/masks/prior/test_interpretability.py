"""Measures of interpretability, where they are known."""

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.masks import interpretability, latent_correlations


@pytest.fixture
def attributes(rng):
    return pd.DataFrame(rng.standard_normal((400, 3)), columns=["a", "b", "c"])


def test_latents_that_are_the_attributes_are_perfect(attributes, rng):
    noise = rng.standard_normal((400, 2))
    latents = np.column_stack([attributes["b"], noise, attributes[["a", "c"]]])
    found = interpretability(latents, attributes)
    assert found["latent"].tolist()[:3] == [3, 0, 4]
    assert found.loc["all", "interpretability"] == pytest.approx(1)
    assert found.loc["all", "scc"] == pytest.approx(1)
    # the information that noise seems to have is not quite 0
    assert found.loc["all", "mig"] > 0.95
    correlations = latent_correlations(latents, attributes)
    assert correlations.loc[3, "a"] == pytest.approx(1)
    assert correlations.loc[[0, 1, 2], "a"].abs().max() < 0.15


def test_a_latent_that_is_told_twice_has_no_gap(attributes):
    latents = np.column_stack([attributes["a"], attributes["a"], attributes["b"]])
    found = interpretability(latents, attributes[["a", "b"]])
    assert found.loc["a", "mig"] == pytest.approx(0, abs=0.02)
    assert found.loc["b", "mig"] > 0.9


def test_modularity_falls_where_latents_mix(attributes):
    pure = interpretability(attributes.to_numpy(), attributes)
    turn = np.array([[1, 1, 0], [-1, 1, 0], [0, 0, 2**0.5]]) / 2**0.5
    mixed = interpretability(attributes.to_numpy() @ turn, attributes)
    assert pure.loc["all", "modularity"] > 0.99
    assert mixed.loc["all", "modularity"] < pure.loc["all", "modularity"]
    # a and b are half of each of two latents
    assert mixed.loc[["a", "b"], "interpretability"].tolist() == pytest.approx(
        [0.5, 0.5], abs=0.1
    )


def test_a_monotone_latent_is_ordered_but_not_linear(attributes):
    latents = np.column_stack([np.exp(2 * attributes["a"]), attributes["b"]])
    found = interpretability(latents, attributes[["a", "b"]])
    assert found.loc["a", "scc"] == pytest.approx(1)
    assert found.loc["a", "interpretability"] < 0.7


def test_rows_that_do_not_fit_are_refused(attributes):
    with pytest.raises(SchemaError, match="399 rows"):
        interpretability(attributes.to_numpy()[1:], attributes)
    gap = attributes.copy()
    gap.loc[3, "a"] = np.nan
    with pytest.raises(SchemaError, match="1 rows lack an attribute"):
        interpretability(attributes.to_numpy(), gap)
    assert latent_correlations(attributes, gap).notna().all(axis=None)
