"""Priors with an NVAE: fitted, kept, refused; context and groups."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

torch = pytest.importorskip("torch")

from radlatent.cohort.labels import LabelMap  # noqa: E402
from radlatent.errors import RadlatentError, SchemaError  # noqa: E402
from radlatent.imaging import Volume  # noqa: E402
from radlatent.masks import NVAESettings  # noqa: E402
from radlatent.masks.correction.plausibility import examine  # noqa: E402
from radlatent.masks.prior.frame import Frame, classes_of  # noqa: E402
from radlatent.masks.prior.latents import valid_latents  # noqa: E402
from radlatent.masks.prior.models import defaults_of  # noqa: E402
from radlatent.masks.prior.shape_prior import ShapePrior, redraw  # noqa: E402
from radlatent.masks.rules.rules import rule_set  # noqa: E402
from radlatent.nn import NVAE, Hierarchy, Penalties, Training  # noqa: E402

SMALL = NVAESettings(
    Hierarchy(n_groups=(2, 1), n_channels=(8, 12), n_latent=(2, 3), factor=4),
    Penalties(warm_up=0.5),
)
TRAINING = Training(epochs=2, minibatch_size=8, learning_rate=5e-3, optimizer="adamax")
NAMES = ("4_1", "4_2", "2")


def prior_of(**kwargs):
    defaults = {
        "model": SMALL,
        "n_degraded": 0,
        "frame": Frame(size=16, spacing_mm=8.0),
        "training": TRAINING,
    }
    return ShapePrior(**(defaults | kwargs))


@pytest.fixture(scope="module")
def hearts(drawn):
    random = np.random.default_rng(3)
    volumes = [Volume(drawn.draw_heart(random), drawn.SPACING_MM) for _ in range(4)]
    return [LabelMap(each, drawn.STRUCTURES, f"p{k}") for k, each in enumerate(volumes)]


@pytest.fixture(scope="module", params=[False, True], ids=["alone", "context"])
def fitted(request, hearts):
    frame = Frame(size=16, spacing_mm=8.0, context=request.param)
    return prior_of(frame=frame, n_degraded=1).fit(hearts)


def test_by_name_it_has_the_defaults_of_the_model():
    frame, training = defaults_of("nvae")
    assert (frame.size, frame.spacing_mm) == (128, 1.25)
    assert training.optimizer == "adamax"
    frame, training = defaults_of("vae")
    assert frame == Frame()
    assert training == Training(epochs=15, minibatch_size=128, learning_rate=4e-3)


def test_latents_are_in_units_of_their_prior(fitted, hearts):
    encoded = fitted.encode(hearts[0])
    assert isinstance(fitted.model_, NVAE)
    assert encoded.mean.shape == encoded.scale.shape == (3, 76)
    assert encoded.maps.shape == (3, 4, 16, 16)
    assert tuple(encoded.kl_by_group) == NAMES
    groups = sum(encoded.kl_by_group.values())
    # float32 sums in another order
    np.testing.assert_allclose(groups, encoded.kl, rtol=1e-4)
    assert fitted.decode(encoded.mean).shape == (3, 4, 16, 16)
    # the top alone, 12 values, with the others at the mean of their prior
    outline = np.where(np.arange(76) < 12, encoded.mean, 0)
    torch.testing.assert_close(
        fitted.decode(encoded.mean[:, :12]), fitted.decode(outline)
    )


def test_samples(fitted):
    one, two = (fitted.sample(3, temperature=0.7, random_state=k) for k in (1, 2))
    assert one.shape == (3, 4, 16, 16)
    assert torch.equal(one, fitted.sample(3, temperature=0.7, random_state=1))
    assert not torch.equal(one, two)
    torch.testing.assert_close(one.sum(dim=1), torch.ones(3, 16, 16))


def test_it_serves_where_a_vae_does(fitted, hearts):
    examined = examine(hearts[0], fitted, rule_set("short_axis_16"))
    columns = [f"kl_{name}" for name in NAMES]
    total = examined.table[columns].sum(axis=1)
    np.testing.assert_allclose(total, examined.table["kl"], rtol=1e-4)
    assert np.isfinite(examined.table["log_density"]).all()
    for bank in (None, fitted.latents_):
        planes = redraw(hearts[0], fitted, examined.encoded, [0, 2], bank)
        assert planes.shape == (2, 64, 64)
        assert set(np.unique(planes)) <= {0, 1, 2, 3}
    empty = fitted.encode(hearts[0].with_array(0 * hearts[0].array))
    assert empty.mean.shape == (0, 76)
    assert {term.shape for term in empty.kl_by_group.values()} == {(0,)}


def test_a_bank_of_valid_latents(fitted, monkeypatch):
    monkeypatch.setattr(
        "radlatent.masks.prior.latents.broken_rules",
        lambda planes, rules, **legend: np.zeros((len(planes), 1), bool),
    )
    monkeypatch.setattr(fitted, "decode", lambda z: torch.eye(4)[:, :, None, None])
    latents = np.zeros((4, 76), np.float32)
    monkeypatch.setattr(fitted, "latents_", latents)
    bank, share = valid_latents(fitted, rule_set("short_axis_16"), 0, 0)
    # the first of four decodes to background alone
    assert (len(bank), share) == (3, 0.75)


def test_kept_and_read_it_gives_the_same(fitted, hearts):
    record, tensors = fitted.state()
    again = ShapePrior.of(json.loads(json.dumps(record)), tensors)
    assert again.model == SMALL
    assert again.frame_ == fitted.frame_
    assert again.training_ == fitted.training_
    one, other = fitted.encode(hearts[1]), again.encode(hearts[1])
    np.testing.assert_array_equal(one.mean, other.mean)
    assert torch.equal(fitted.decode(one.mean), again.decode(one.mean))


@pytest.mark.parametrize("context", [False, True])
def test_neighbors_count_with_context_alone(hearts, context):
    frame = Frame(size=16, spacing_mm=8.0, context=context)
    prior = prior_of(frame=frame).fit(hearts)
    array = hearts[0].array.copy()
    # the cavity of the last slice becomes wall: the frame stays where it was
    array[2][array[2] == 3] = 2
    before, after = (
        prior.encode(hearts[0].with_array(a)) for a in (hearts[0].array, array)
    )
    assert torch.equal(before.maps[:2], after.maps[:2])
    is_same = [np.array_equal(before.mean[k], after.mean[k]) for k in (0, 1, 2)]
    assert is_same == [True, not context, False]


def test_one_slice_between_two_ends(hearts):
    frame = Frame(size=16, spacing_mm=8.0, context=True)
    prior = prior_of(frame=frame).fit(hearts)
    alone = hearts[0].array * np.reshape([0, 1, 0], (3, 1, 1)).astype(np.uint8)
    encoded = prior.encode(hearts[0].with_array(alone))
    single = Volume(alone[1:2], hearts[0].spacing_mm)
    single = LabelMap(single, hearts[0].structures)
    assert np.array_equal(encoded.mean, prior.encode(single).mean)
    assert np.isfinite(encoded.mean).all()


def test_one_seed_one_prior(hearts):
    one, two = (prior_of().fit(hearts[:2]) for _ in range(2))
    np.testing.assert_array_equal(one.latents_, two.latents_)


def test_of_lesions(hearts):
    lesions = [
        LabelMap(each.volume.with_array((each.array == 3).astype(np.uint8)), {"L": 1})
        for each in hearts[:2]
    ]
    prior = prior_of().fit(lesions)
    assert prior.decode(prior.latents_).shape == (6, 2, 16, 16)


def test_of_apical_views(hearts):
    views = [replace(each, structures={"LA": 1, "MYO": 2, "LV": 3}) for each in hearts]
    frame = Frame(size=16, spacing_mm=8.0, toward="LA")
    prior = prior_of(frame=frame).fit(views)
    assert prior.structures_ == ("LA", "LV", "MYO")
    encoded = prior.encode(views[0])
    # the atrium was turned to the left, as the ventricle is on the short axis
    columns = torch.arange(16.0)
    middles = [
        (part.sum(0) * columns).sum() / part.sum()
        for part in (encoded.maps[1, 1], encoded.maps[1, 2])
    ]
    assert middles[0] < middles[1]


@pytest.mark.parametrize("context", [False, True])
def test_of_twelve_structures(context):
    labels = np.zeros((2, 128, 128), np.uint8)
    for value in range(1, 13):
        row, column = divmod(value - 1, 4)
        labels[:, 24 * row + 16 :, 24 * column + 16 :][:, :20, :20] = value
    names = {f"s{k:02d}": k for k in range(1, 13)}
    masks = [
        LabelMap(Volume(np.roll(labels, k, axis=2), (8.0, 1.0, 1.0)), names)
        for k in range(3)
    ]
    frame = Frame(size=16, spacing_mm=8.0, toward="s01", context=context)
    prior = prior_of(frame=frame).fit(masks)
    encoded = prior.encode(masks[0])
    decoded = prior.decode(encoded.mean)
    assert decoded.shape == (2, 13, 16, 16)
    torch.testing.assert_close(decoded.sum(dim=1), torch.ones(2, 16, 16))
    seen = classes_of(encoded.maps)
    assert set(np.unique(seen)) == set(range(13))


class TestRefused:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"model": "nvea"}, "model is 'nvea'.*nvae"),
            ({"constraint": 5.0}, "constraint: that of the position"),
            ({"beta": (1.0, 2.0)}, "or 3, one a group"),
            ({"model": "vae", "beta": (1.0, 2.0)}, "the VAE has no groups"),
            ({"model": "vae", "frame": Frame(context=True)}, "context is for"),
        ],
    )
    def test_faulty_settings(self, hearts, settings, message):
        with pytest.raises(RadlatentError, match=message):
            prior_of(**settings).fit(hearts)

    def test_scales_that_do_not_fit_the_frame(self, hearts):
        model = replace(SMALL, hierarchy=replace(SMALL.hierarchy, factor=16))
        with pytest.raises(RadlatentError, match="a multiple of 32"):
            prior_of(model=model, frame=Frame(size=16)).fit(hearts)

    def test_a_loss_that_explodes_leaves_the_last_good_weights(self, hearts):
        prior = prior_of(training=replace(TRAINING, learning_rate=1e30, epochs=4))
        with pytest.raises(RadlatentError, match=r"diverged: in epoch \d.*last good"):
            prior.fit(hearts)
        weights = prior.model_.state_dict().values()
        assert all(torch.isfinite(value).all() for value in weights)
        with pytest.raises(NotFittedError):
            prior.encode(hearts[0])

    def test_masks_of_other_structures(self, fitted, hearts):
        named = replace(hearts[0], structures={"RV": 1, "MYO": 2, "cavity": 3})
        with pytest.raises(SchemaError, match="names count, not labels"):
            fitted.encode(named)
