"""The plain U-Net: its size against the paper's."""

import pytest

torch = pytest.importorskip("torch")

from radlatent.segmentation.networks.build import count_parameters  # noqa: E402
from radlatent.segmentation.networks.plain_unet import PlainUNet  # noqa: E402


def test_as_wide_and_deep_as_published_it_has_31_million_parameters():
    # figure 1 of the paper: 23 convolutions, 64 to 1024 channels, one channel in, two
    # classes out; a bias each in the paper, here two numbers of batch norm instead
    network = PlainUNet(1, 2, 64, finest=2)
    stages = [(1, 64), (64, 128), (128, 256), (256, 512), (512, 1024)]
    stages += [(1024, 512), (512, 256), (256, 128), (128, 64)]
    n = sum(9 * (a * b + b * b) + 4 * b for a, b in stages)
    n += sum(4 * a * b + b for a, b in stages[5:]) + 64 * 2 + 2
    assert count_parameters(network) == n
    assert n / 1e6 == pytest.approx(31.04, abs=0.005)
    convolutions = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    assert sum(isinstance(one, convolutions) for one in network.modules()) == 23
