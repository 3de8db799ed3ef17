import pytest

torch = pytest.importorskip("torch")

from radlatent.nn.blocks import (  # noqa: E402
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    strides_of,
)

SIZES = [(16, 16, 16), (7, 9, 11), (5, 32, 24), (2, 3, 3), (1, 16, 16), (33, 20)]


def test_strides_are_those_of_the_paper():
    # Vetil et al. 2023, figure 5: (1, 2, 2), then 2 everywhere
    assert strides_of((64, 128, 192)) == [(1, 2, 2), *[(2, 2, 2)] * 4]


@pytest.mark.parametrize("size", [(7, 7), (4, 7, 5), (2, 3, 3)])
def test_what_is_below_eight_voxels_is_not_halved(size):
    assert strides_of(size) == []


def test_short_axes_are_halved_last():
    assert strides_of((5, 32, 8)) == [(1, 2, 1), (1, 2, 1), (1, 2, 2)]


@pytest.mark.parametrize("size", SIZES)
def test_last_stage_has_four_to_eight_voxels_along_what_was_halved(size):
    last = ConvolutionalEncoder(size, 1, 2).sizes[-1]
    for before, after in zip(size, last, strict=True):
        assert after == before if before < 8 else 4 <= after <= 8


@pytest.mark.parametrize("size", SIZES)
def test_any_size_goes_in_and_comes_out(size):
    encoder = ConvolutionalEncoder(size, 2, 2)
    decoder = ConvolutionalDecoder(size, 3, 5, 2)
    features = encoder(torch.zeros(2, 2, *size))
    assert features.shape == (2, encoder.n_out)
    assert decoder(torch.zeros(2, 5)).shape == (2, 3, *size)
    assert encoder.sizes == decoder.sizes


def test_published_encoder_ends_in_6144_features():
    # Vetil et al. 2023, figure 5: 64 channels of 4 x 4 x 6; level and scale are ours
    assert ConvolutionalEncoder((64, 128, 192), 1, 4).n_out == 6144 + 2


def test_an_encoder_tells_an_image_from_its_double():
    encoder, x = ConvolutionalEncoder((8, 8), 2, 4), torch.randn(3, 2, 8, 8)
    change = (encoder(2 * x) - encoder(x)).abs().amax(dim=0)
    # instance norm makes the stages blind to scale, up to its epsilon
    assert change[:-4].max() < 1e-3
    torch.testing.assert_close(encoder(x)[:, -4:-2], x.mean((2, 3)))
    torch.testing.assert_close(encoder(x)[:, -2:], x.std((2, 3), correction=0))


def test_channels_stop_at_320_as_in_nnunet():
    encoder = ConvolutionalEncoder((512, 4), 1, 32)
    channels = [
        module.out_channels
        for module in encoder.modules()
        if isinstance(module, torch.nn.Conv2d)
    ]
    assert channels[::2] == [32, 32, 64, 128, 256, 320, 320, 320]


@pytest.mark.parametrize("size", [(16, 16, 16), (33, 20)])
def test_every_voxel_reaches_the_features_and_every_entry_every_voxel(size):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = ConvolutionalEncoder(size, 1, 2)
        decoder = ConvolutionalDecoder(size, 1, 3, 2)
        x = torch.randn(1, 1, *size, requires_grad=True)
        weights = torch.randn(encoder.n_out)
        (encoder(x) * weights).sum().backward()
        assert torch.all(x.grad != 0)
        z = torch.randn(1, 3)
        for entry in torch.eye(3):
            assert torch.all(decoder(z) != decoder(z + entry))


def test_output_is_not_bounded():
    decoder = ConvolutionalDecoder((8, 8), 1, 2, 2)
    with torch.no_grad():
        decoder.last.bias.fill_(-50.0)
        assert decoder(torch.zeros(1, 2)).max() < -40


def test_features_are_leaky():
    features = ConvolutionalEncoder((16, 16), 1, 8)(torch.randn(4, 1, 16, 16))[:, :-2]
    # a hundredth of what is below zero is let through; a norm alone is symmetric
    assert -0.1 < features.min() < 0
    assert features.max() > 1
