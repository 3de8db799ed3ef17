"""TransUNet: tokens at 1/16, which see the whole image."""

import pytest

torch = pytest.importorskip("torch")

from radlatent.segmentation.networks.transunet import TransUNet  # noqa: E402


def network():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return TransUNet(1, 2, (64, 96), 8, layers=2).eval()


def test_a_token_a_patch_of_sixteen_pixels():
    found, seen = network(), []
    found.transformer.register_forward_hook(lambda *io: seen.append(io[2].shape))
    with torch.inference_mode():
        found(torch.zeros(2, 1, 64, 96))
    assert seen == [(2, 4 * 6, 12 * 8)]


def test_every_pixel_sees_every_other():
    found = network()
    x = torch.randn(1, 1, 64, 96, requires_grad=True)
    found(x)[0, 1, 2, 2].backward()
    # the far corner is out of reach of the convolutions of the decoder and of skips
    assert x.grad[0, 0, 60:, 90:].abs().max() > 0


def test_places_are_told_apart():
    found = network()
    positions = found.positions[0]
    assert len(positions.unique(dim=0)) == len(positions)
