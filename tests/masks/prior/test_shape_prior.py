"""The shape prior: what it is fitted on, what it encodes, what it refuses."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from torch.distributions import (  # noqa: E402
    Independent,
    Normal,
    kl_divergence,
)

from radlatent.cohort.labels import LabelMap  # noqa: E402
from radlatent.errors import RadlatentError, SchemaError  # noqa: E402
from radlatent.imaging import Volume  # noqa: E402
from radlatent.masks.overlap.dice import label_dice  # noqa: E402
from radlatent.masks.prior.frame import Frame, classes_of, place, to_frame  # noqa: E402
from radlatent.masks.prior.parzen import parzen_bandwidth  # noqa: E402
from radlatent.masks.prior.shape_prior import (  # noqa: E402
    ShapePrior,
    check_structures,
    nearest_latents,
    redraw,
)
from radlatent.nn import Training  # noqa: E402

SHORT = Training(epochs=2, minibatch_size=16, learning_rate=4e-3)


def prior_of(**kwargs):
    defaults = {
        "n_latent": 4,
        "n_degraded": 1,
        "frame": Frame(size=16, spacing_mm=8.0),
        "training": SHORT,
    }
    return ShapePrior(**(defaults | kwargs))


def hearts_of(drawn, n, n_slices=3):
    random = np.random.default_rng(3)
    return [
        LabelMap(
            Volume(drawn.draw_heart(random, n_slices=n_slices), drawn.SPACING_MM),
            drawn.STRUCTURES,
            f"p{number}",
        )
        for number in range(n)
    ]


@pytest.fixture(scope="module")
def hearts(drawn):
    return hearts_of(drawn, 8)


@pytest.fixture(scope="module")
def fitted(hearts):
    torch.set_num_threads(1)
    return prior_of().fit(hearts, patients=[f"q{k // 2}" for k in range(8)])


def relabeled(mask, structures):
    table = np.zeros(4, np.uint8)
    for name, value in structures.items():
        table[mask.structures[name]] = value
    return LabelMap(mask.volume.with_array(table[mask.array]), structures, mask.name)


def same_weights(one, two):
    pairs = zip(
        one.model_.state_dict().values(), two.model_.state_dict().values(), strict=True
    )
    return all(torch.equal(a, b) for a, b in pairs)


def test_fit_tells_what_it_was_fitted_on(fitted):
    assert fitted.structures_ == ("LV", "MYO", "RV")
    assert fitted.fitted_on_ == ["q0", "q1", "q2", "q3"]
    assert fitted.history_["epoch"].tolist() == [0, 1]
    assert fitted.history_["total"].iloc[1] < fitted.history_["total"].iloc[0]
    assert not fitted.model_.training


def test_latents_are_the_posterior_means_of_the_expert_slices(fitted, hearts):
    assert fitted.latents_.shape == (24, 4)
    encoded = [fitted.encode(mask) for mask in hearts]
    np.testing.assert_array_equal(
        fitted.latents_, np.concatenate([each.mean for each in encoded])
    )
    whose = np.repeat([f"q{k // 2}" for k in range(8)], 3)
    assert fitted.bandwidth_ == parzen_bandwidth(fitted.latents_, whose)


def test_encoding_is_that_of_the_model(fitted, hearts):
    encoded = fitted.encode(hearts[0])
    with torch.no_grad():
        posterior = fitted.model_.encode(encoded.maps)
    np.testing.assert_array_equal(encoded.mean, posterior.mean.numpy())
    np.testing.assert_array_equal(encoded.scale, posterior.stddev.numpy())
    standard = Independent(Normal(torch.zeros(3, 4), torch.ones(3, 4)), 1)
    # float32
    np.testing.assert_allclose(
        encoded.kl, kl_divergence(posterior, standard).numpy(), rtol=1e-4, atol=1e-5
    )
    assert encoded.placement.slices.tolist() == [0, 1, 2]


def test_slices_are_encoded_alike_however_many_there_are(fitted, hearts):
    stack = np.concatenate([mask.array for mask in hearts] * 6)
    # 144 slices: two parts
    volume = hearts[0].volume
    many = LabelMap(Volume(stack, volume.spacing_mm), hearts[0].structures, "many")
    encoded = fitted.encode(many)
    assert encoded.mean.shape == (144, 4)
    one = fitted.encode(many.with_array(stack * (np.arange(144) == 140)[:, None, None]))
    # each slice is turned by the whole volume: the middle ones are compared by maps
    maps = encoded.maps[140:141]
    with torch.no_grad():
        own = fitted.model_.encode(maps).mean.numpy()
    # float32, another order of sums in minibatches of another size
    np.testing.assert_allclose(encoded.mean[140:141], own, rtol=1e-4, atol=1e-5)
    assert one.mean.shape == (1, 4)


def test_decoding_gives_probabilities(fitted):
    found = fitted.decode(np.zeros((130, 4)))
    assert found.shape == (130, 4, 16, 16)
    # float32
    torch.testing.assert_close(found.sum(dim=1), torch.ones(130, 16, 16))
    assert fitted.decode(np.zeros((0, 4))).shape == (0, 4, 16, 16)


def test_values_of_labels_do_not_count_names_do(fitted, hearts):
    other = relabeled(hearts[0], {"LV": 40, "RV": 9, "MYO": 200})
    np.testing.assert_array_equal(
        fitted.encode(other).mean, fitted.encode(hearts[0]).mean
    )
    named = replace(hearts[0], structures={"RV": 1, "MYO": 2, "cavity": 3})
    with pytest.raises(SchemaError, match=r"p0: has .*'cavity'.*fitted on.*'LV'"):
        fitted.encode(named)


def test_mask_of_more_structures_is_refused(fitted, hearts):
    more = replace(hearts[0], structures={**hearts[0].structures, "LA": 4})
    with pytest.raises(SchemaError, match="names count, not labels"):
        check_structures(more, fitted.structures_)


def test_empty_structure_and_empty_mask(fitted, hearts):
    array = hearts[0].array.copy()
    array[array == 1] = 0
    assert np.isfinite(fitted.encode(hearts[0].with_array(array)).mean).all()
    nothing = fitted.encode(hearts[0].with_array(np.zeros_like(array)))
    assert nothing.mean.shape == nothing.scale.shape == (0, 4)
    assert nothing.kl.shape == (0,)


def test_one_seed_one_prior(fitted, hearts):
    whose = [f"q{k // 2}" for k in range(8)]
    again = clone(fitted).fit(hearts, patients=whose)
    assert same_weights(again, fitted)
    np.testing.assert_array_equal(again.latents_, fitted.latents_)
    other = prior_of(random_state=1).fit(hearts, patients=whose)
    assert not same_weights(other, fitted)


def test_fit_leaves_the_generators_alone(hearts):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    prior_of().fit(hearts[:2])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_without_patients_every_mask_is_of_another(hearts):
    assert prior_of().fit(hearts[:3]).fitted_on_ == ["0", "1", "2"]


@pytest.mark.slow
def test_it_learns_hearts_that_it_has_not_seen(drawn):
    masks = hearts_of(drawn, 50, n_slices=2)
    frame = Frame(size=32, spacing_mm=4.0)
    training = Training(epochs=25, minibatch_size=16, learning_rate=4e-3)
    prior = prior_of(n_latent=8, n_degraded=0, frame=frame, training=training)
    prior.fit(masks[:40])
    encoded = [prior.encode(mask) for mask in masks[40:]]
    entered = classes_of(torch.cat([each.maps for each in encoded]))
    decoded = classes_of(prior.decode(np.concatenate([e.mean for e in encoded])))
    dice = [label_dice(a, b) for a, b in zip(entered, decoded, strict=True)]
    # one heart for another gives this
    chance = [label_dice(a, b) for a, b in zip(entered, decoded[::-1], strict=True)]
    assert np.mean(dice) > 0.85
    assert np.mean(dice) > np.mean(chance) + 0.1


def test_not_fitted():
    with pytest.raises(NotFittedError):
        prior_of().decode(np.zeros((1, 4)))


class TestRefused:
    def test_no_mask(self):
        with pytest.raises(SchemaError, match="no mask is given"):
            prior_of().fit([])

    def test_masks_of_other_structures(self, hearts):
        named = replace(hearts[1], structures={"RV": 1, "MYO": 2, "cavity": 3})
        with pytest.raises(SchemaError, match="p1: has the structures"):
            prior_of().fit([hearts[0], named])

    def test_masks_of_one_that_hold_something(self, hearts):
        array = hearts[0].array * np.reshape([0, 1, 0], (3, 1, 1)).astype(np.uint8)
        masks = [hearts[0].with_array(array), hearts[1].with_array(0 * array)]
        with pytest.raises(
            SchemaError, match=r"2 masks hold slices of the patients \['0'\]"
        ):
            prior_of().fit(masks)

    def test_one_patient_before_the_training(self, hearts, monkeypatch):
        monkeypatch.setattr("radlatent.masks.prior.shape_prior.train", None)
        with pytest.raises(SchemaError, match=r"of the patients \['p1'\]"):
            prior_of().fit(hearts, patients=8 * ["p1"])

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"frame": Frame(size=20)}, "frame: size is 20"),
            ({"training": replace(SHORT, epochs=0)}, "epochs is 0"),
            ({"training": replace(SHORT, validation_fraction=0.2)}, "no validation"),
            ({"training": replace(SHORT, patience=3)}, "no patience"),
        ],
    )
    def test_faulty_settings(self, hearts, settings, message):
        with pytest.raises(RadlatentError, match=message):
            prior_of(**settings).fit(hearts)

    def test_patients_of_other_masks(self, hearts):
        with pytest.raises(RadlatentError, match="8 masks, but 2 patients"):
            prior_of().fit(hearts, patients=["a", "b"])


@pytest.mark.parametrize("n_latent", [5, 500])
def test_nearest_latent_is_that_of_all_distances(rng, n_latent):
    bank, mean = (rng.standard_normal((n, n_latent)) for n in (300, 40))
    distances = np.linalg.norm(mean[:, None] - bank, axis=2)
    np.testing.assert_array_equal(
        nearest_latents(mean, bank), bank[distances.argmin(axis=1)]
    )
    np.testing.assert_array_equal(nearest_latents(bank, bank), bank)


def test_nearest_of_no_latents():
    assert nearest_latents(np.zeros((0, 5)), np.ones((3, 5))).shape == (0, 5)


def decoding(maps):
    """Return a prior whose latents are numbers of maps."""
    return SimpleNamespace(
        structures_=("LV", "MYO", "RV"),
        decode=lambda z: maps[np.rint(z[:, 0]).astype(int)],
    )


class TestRedraw:
    @pytest.fixture
    def scene(self, drawn, rng):
        """Return two hearts as one mask, with other labels, and maps of its slices."""
        structures = {"LV": 50, "RV": 7, "MYO": 60}
        labels = np.array([0, 7, 60, 50], np.uint8)[drawn.draw_heart(rng)]
        mask = LabelMap(Volume(labels, drawn.SPACING_MM), structures)
        known = {"structures": structures, "spacing_mm": drawn.SPACING_MM}
        placement = place(labels, Frame(), **known)
        maps = to_frame(labels, placement, [50, 60, 7])
        encoded = SimpleNamespace(placement=placement, mean=np.array([[0], [1.0], [2]]))
        return mask, maps, encoded

    def test_own_latents_come_back_on_the_grid_with_the_labels(self, scene):
        mask, maps, encoded = scene
        found = redraw(mask, decoding(maps), encoded, [2, 0], None)
        assert found.dtype == mask.array.dtype
        assert set(np.unique(found)) == {0, 7, 50, 60}
        for drawn, row in zip(found, (2, 0), strict=True):
            # through pixels of 2.5 mm and back, on pixels of 2 mm
            assert label_dice(drawn, mask.array[row]) > 0.95

    def test_of_a_bank_the_nearest_is_decoded(self, scene):
        mask, maps, encoded = scene
        bank = np.array([[2.4], [0.8]])
        found = redraw(mask, decoding(maps), encoded, [0, 1, 2], bank)
        own = redraw(mask, decoding(maps), encoded, [0, 1, 2], None)
        # 0 is nearest to 0.8, which is the map of 1; it lies where slice 0 does
        assert label_dice(found[0], own[1]) > 0.9
        np.testing.assert_array_equal(found[1:], own[1:])

    def test_no_rows(self, scene):
        mask, maps, encoded = scene
        found = redraw(mask, decoding(maps), encoded, [], np.zeros((2, 1)))
        assert found.shape == (0, 64, 64)
