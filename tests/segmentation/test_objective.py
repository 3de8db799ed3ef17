"""Windows as one field: what a network says of a voxel comes back to that voxel."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from radlatent.segmentation.losses.build import build_loss  # noqa: E402
from radlatent.segmentation.objective import (  # noqa: E402
    SegmentationModel,
    probabilities_of,
)
from radlatent.segmentation.patch import Patch  # noqa: E402
from radlatent.segmentation.source import PatchMinibatch  # noqa: E402


class Voxelwise(nn.Module):
    """Two classes, by the value of the voxel alone; of channels the middle one."""

    def __init__(self, slope=1.0):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, x):
        middle = x[:, x.shape[1] // 2]
        return torch.stack([torch.zeros_like(middle), self.slope * middle], dim=1)


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize(
    "patch",
    [
        Patch((16, 16), (1.0, 1.0)),
        Patch((16, 24), (1.0, 1.0), neighbors=1),
        Patch((4, 16, 16), (1.0, 1.0, 1.0), overlap=0.25),
    ],
)
def test_windows_give_what_the_network_gives_of_each_voxel(rng, patch, flips):
    image = rng.normal(0, 1, (5, 37, 29)).astype(np.float32)
    found = probabilities_of(Voxelwise().eval(), image, patch, flips=flips)
    expected = 1 / (1 + np.exp(-image))
    np.testing.assert_allclose(found[1], expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)


def test_flips_average_what_a_network_says_of_mirrored_images():
    class Ramp(nn.Module):
        """The second class grows with the column, whatever the image."""

        def __init__(self):
            super().__init__()
            self.ramp = nn.Parameter(torch.linspace(-2, 2, 16))

        def forward(self, x):
            plane = self.ramp.expand(len(x), *x.shape[2:])
            return torch.stack([torch.zeros_like(plane), plane], dim=1)

    image, patch = np.zeros((1, 16, 16), np.float32), Patch((16, 16), (1.0, 1.0))
    plain = probabilities_of(Ramp(), image, patch)[1, 0, 0]
    assert plain[0] < 0.2 < 0.8 < plain[-1]
    turned = probabilities_of(Ramp(), image, patch, flips=True)[1, 0, 0]
    np.testing.assert_allclose(turned, 0.5, atol=1e-6)


def test_half_precision_is_near(rng):
    image = rng.normal(0, 1, (2, 16, 16)).astype(np.float32)
    patch, model = Patch((16, 16), (1.0, 1.0)), nn.Conv2d(1, 2, 3, padding=1)
    full, half = (
        probabilities_of(model, image, patch, half=half) for half in (False, True)
    )
    assert not np.array_equal(full, half)
    # bfloat16 has eight bits of mantissa; logits here are of the order of 1
    np.testing.assert_allclose(full, half, atol=0.02)


def test_loss_is_by_patch_and_learns(rng):
    torch.manual_seed(0)
    model = SegmentationModel(Voxelwise(0.1), build_loss("dice_cross_entropy"))
    x = torch.randn(4, 1, 8, 8)
    minibatch = PatchMinibatch(x, (x[:, 0] > 0).long())
    loss = model.loss(minibatch, progress=0.5)
    assert loss.total.shape == (4,)
    assert all(part.shape == (4,) for part in loss.parts.values())
    loss.total.mean().backward()
    # the second class is where values are high: a steeper slope is better
    assert model.network.slope.grad < 0
