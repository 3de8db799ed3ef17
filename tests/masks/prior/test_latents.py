"""Banks of latents: of valid masks, judged as they decode."""

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from radlatent.errors import RadlatentError  # noqa: E402
from radlatent.masks.prior.frame import Frame  # noqa: E402
from radlatent.masks.prior.latents import valid_latents  # noqa: E402
from radlatent.masks.prior.parzen import draw_latents  # noqa: E402
from radlatent.masks.rules.rules import rule_set  # noqa: E402

RULES = rule_set("short_axis_16")


def maps_of(plane):
    maps = torch.nn.functional.one_hot(torch.from_numpy(plane.astype(np.int64)), 4)
    return maps.permute(2, 0, 1).float()


@pytest.fixture
def prior(drawn, rng):
    """Return a prior that decodes z > 0 to a heart, z < -3 to nothing, else a hole."""
    heart = drawn.draw_heart(rng, n_slices=1)[0]
    holed = heart.copy()
    middle = np.argwhere(heart == 3).mean(axis=0).astype(int)
    holed[middle[0] - 2 : middle[0] + 2, middle[1] - 2 : middle[1] + 2] = 0
    whole, broken = maps_of(heart), maps_of(holed)
    empty = maps_of(np.zeros_like(heart))

    def decode(z):
        return torch.stack(
            [whole if v > 0 else empty if v < -3 else broken for v in z[:, 0]]
        )

    latents = np.array([[1, 0], [-1, 0], [2, 2], [-2, 5], [-4, 1.0]], np.float32)
    return SimpleNamespace(
        structures_=("RV", "MYO", "LV"),
        frame_=Frame(spacing_mm=2.0),
        latents_=latents,
        bandwidth_=0.5,
        decode=decode,
    )


def test_bank_holds_the_training_latents_that_decode_to_valid_masks(prior):
    bank, share = valid_latents(prior, RULES, 0, 0)
    np.testing.assert_array_equal(bank, [[1, 0], [2, 2]])
    assert bank.dtype == np.float32
    # a hole breaks rules, and an empty mask is of no use
    assert share == 2 / 5


@pytest.mark.slow
def test_draws_of_the_density_come_to_it(prior):
    bank, share = valid_latents(prior, RULES, 520, 7)
    drawn = draw_latents(prior.latents_, 0.5, 520, 7)
    tried = np.concatenate([prior.latents_, drawn])
    np.testing.assert_array_equal(bank, tried[tried[:, 0] > 0].astype(np.float32))
    assert share == pytest.approx(np.mean(tried[:, 0] > 0))


def test_draws_follow_the_seed(prior):
    one, two, three = (valid_latents(prior, RULES, 20, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert one.shape != three.shape or not np.array_equal(one, three)


def test_no_valid_latent_at_all(prior):
    prior.latents_ = prior.latents_[[1, 3]]
    with pytest.raises(RadlatentError, match="not one of 2 latents decodes to a mask"):
        valid_latents(prior, RULES, 0, 0)
