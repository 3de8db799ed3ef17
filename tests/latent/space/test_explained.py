"""What is explained of patients that were kept out, beside simple rivals."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.latent.results import Reconstructions
from radlatent.latent.space.explained import ExplainedVariance, explained_variance

N, SIZE = 30, (4, 4, 4)
CASES = pd.DataFrame(
    {"patient_id": [f"p{k:02d}" for k in range(N)]},
    pd.Index([f"c{k:02d}" for k in range(N)], name="case_id"),
)


def planted(rng):
    """Return images of two factors and little noise, in masks of all voxels but one."""
    factors = rng.normal(size=(N, 2)) @ rng.normal(size=(2, 64))
    images = (factors + 0.1 * rng.normal(size=(N, 64))).reshape(N, 1, *SIZE)
    masks = np.ones(images.shape, bool)
    masks[:, 0, 0, 0, 0] = False
    return images, masks


def encoder(images, decoded, masks, fitted=20, n_latent=2):
    """Return what answers as an encoder of the first patients does."""
    made = Reconstructions(CASES, images, decoded, masks, ("ct",))
    return SimpleNamespace(
        reconstruct=lambda cohort, handcrafted: made,
        fitted_on_={"patients": CASES["patient_id"].tolist()[:fitted]},
        get_feature_names_out=lambda: np.arange(n_latent),
    )


def test_an_encoder_of_its_training_patients_only_is_told(rng, caplog):
    images, masks = planted(rng)
    decoded = images.copy()
    decoded[20:] = 0  # of others it knows nothing
    found = explained_variance(encoder(images, decoded, masks), None)
    rows = found.summary.set_index(["held_out", "method"])
    assert rows.loc[(False, "encoder"), "explained"] == 1
    assert rows.loc[(True, "encoder"), "explained"] == pytest.approx(0, abs=0.1)
    # two factors are two components
    assert rows.loc[(True, "pca"), "explained"] > 0.95
    assert rows["n_patients"].tolist() == [20] * 3 + [10] * 3
    assert found.verdict.startswith("No better than PCA on new patients")
    assert "No better than PCA" in caplog.text
    again = ExplainedVariance.of(found.state())
    pd.testing.assert_frame_equal(again.summary, found.summary)
    assert again.verdict == found.verdict
    # it goes to other hospitals with a model
    told = str(found.state())
    assert not any(name in told for name in [*CASES.index, *CASES["patient_id"]])


def test_one_that_holds_on_new_patients_is_not_told(rng, caplog):
    images, masks = planted(rng)
    found = explained_variance(encoder(images, images + 1e-3, masks), None)
    assert found.verdict.startswith("Generalises: 1.00")
    assert not caplog.text


def test_the_share_is_that_of_squares_inside_of_the_mask(rng):
    images, masks = planted(rng)
    images[:, 0, 0, 0, 0] = 1e6  # outside
    decoded = np.zeros_like(images)
    cases = explained_variance(encoder(images, decoded, masks), None).cases
    inside = images.reshape(N, -1)[:, 1:]
    np.testing.assert_allclose(cases["encoder"], (inside**2).sum(axis=1))
    level = inside[:20].mean()
    np.testing.assert_allclose(cases["total"], ((inside - level) ** 2).sum(axis=1))
    own = inside - inside.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(cases["own_mean"], (own**2).sum(axis=1))


@pytest.mark.parametrize("fitted", [0, N])
def test_a_cohort_without_one_of_both_is_refused(rng, fitted):
    images, masks = planted(rng)
    with pytest.raises(SchemaError, match="kept out of"):
        explained_variance(encoder(images, images, masks, fitted), None)
