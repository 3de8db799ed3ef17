"""Principal components with the interface of an encoder."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")

from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

import radlatent as rl
from radlatent.errors import SchemaError
from radlatent.features.origin import origins
from radlatent.latent.inputs import Box
from radlatent.latent.source import fit_statistics

BOX = Box(("ct",), size_mm=(8, 8, 8), spacing_mm=(1, 1, 1))


@pytest.fixture
def prepared(worlds):
    return worlds.blobs(16)


def standardized(prepared):
    about = fit_statistics(prepared, BOX).loc["ct"]
    clipped = prepared.images.clip(about["lower"], about["upper"])
    boxes = (clipped - about["mean"]) / about["standard_deviation"] * prepared.masks
    return boxes.reshape(len(boxes), -1)


def test_latents_are_scores_of_unit_variance(prepared):
    encoder = rl.PcaEncoder(BOX, n_latent=3).fit_prepared(prepared)
    found = encoder.encode_prepared(prepared).mean
    assert list(found) == [f"ct_latent__mu00{k}" for k in range(3)]
    wanted = PCA(3, whiten=True, svd_solver="full").fit_transform(
        standardized(prepared)
    )
    wanted *= np.sign((found * wanted).sum().to_numpy())
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    np.testing.assert_allclose(found.std(), 1, rtol=1e-4)


def test_probabilistic_latents_are_posterior_means(prepared):
    encoder = rl.PcaEncoder(BOX, n_latent=3, probabilistic=True).fit_prepared(prepared)
    found, flat = encoder.encode_prepared(prepared), standardized(prepared)
    own = encoder.principal_
    # Tipping and Bishop 1999: W = U (L - s I)^1/2, M = W'W + s I
    w = own.axes.T * np.sqrt(own.variances - own.rest)
    m = w.T @ w + own.rest * np.eye(3)
    wanted = np.linalg.solve(m, w.T @ (flat - own.mean).T).T
    np.testing.assert_allclose(found.mean, wanted, atol=1e-4)
    doubts = np.log(own.rest * np.diag(np.linalg.inv(m)))
    np.testing.assert_allclose(found.log_variance, np.tile(doubts, (16, 1)), rtol=1e-4)


def test_its_reconstruction_is_what_encoders_are_held_against(prepared):
    encoder = rl.PcaEncoder(BOX, n_latent=3, validation_fraction=0.25)
    encoder.fit_prepared(prepared)
    cases = encoder.explained_.cases
    assert cases["held_out"].sum() == 4
    np.testing.assert_allclose(cases["encoder"], cases["pca"], rtol=1e-3)
    rows = encoder.summary.set_index(["held_out", "method"])["explained"]
    assert rows[False, "encoder"] > rows[True, "encoder"]
    made = encoder.reconstruct_prepared(prepared)
    np.testing.assert_allclose(made.errors, cases["mean_squared_error"])


def test_a_step_along_a_component_is_a_standard_deviation(prepared):
    encoder = rl.PcaEncoder(BOX, n_latent=2).fit_prepared(prepared)
    walk = encoder.traverse(limit=1.0, n_steps=3)
    assert walk.images.shape == (2, 3, 1, 8, 8, 8)
    own = encoder.principal_
    step = (walk.images[1, 2] - walk.images[1, 1]).ravel()
    wanted = own.axes[1] * np.sqrt(own.variances[1])
    np.testing.assert_allclose(step, wanted, atol=1e-5)


def test_comes_back_from_disk(prepared, tmp_path):
    encoder = rl.PcaEncoder(BOX, n_latent=2, validation_fraction=0.25)
    encoder.fit_prepared(prepared).save(tmp_path)
    loaded = rl.load_encoder(tmp_path)
    assert loaded.get_params() == encoder.get_params()
    assert loaded.fitted_on_ == encoder.fitted_on_
    for one, other in zip(
        vars(loaded.encode_prepared(prepared)).values(),
        vars(encoder.encode_prepared(prepared)).values(),
        strict=True,
    ):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    pd.testing.assert_frame_equal(loaded.summary, encoder.summary)


def test_files_are_read_and_features_know_whom_they_are_of(tiny_cohort):
    files = Box(("ct",), size_mm=(24, 24, 24), spacing_mm=(4, 4, 4))
    encoder = rl.PcaEncoder(files, n_latent=2)
    with pytest.raises(NotFittedError):
        encoder.transform(tiny_cohort)
    found = encoder.fit_transform(tiny_cohort)
    assert origins(found)["ct_latent"]["patients"] == ["p1", "p2", "p3"]
    assert not hasattr(clone(encoder), "principal_")
    with pytest.raises(SchemaError, match="n_latent is 3 with 3 training patients"):
        rl.PcaEncoder(files, n_latent=3).fit(tiny_cohort)


def test_of_very_many_voxels_a_part_of_the_cases_says_what_is_explained(
    prepared, monkeypatch
):
    monkeypatch.setattr("radlatent.latent.base.MOST_VOXELS", 16 * 512 // 2)
    encoder = rl.PcaEncoder(BOX, n_latent=3).fit_prepared(prepared)
    assert list(encoder.explained_.cases.index) == list(prepared.cases.index[::2])
    assert len(encoder.fitted_on_["patients"]) == 16
