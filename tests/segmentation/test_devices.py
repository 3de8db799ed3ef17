"""The parts of segmentation on a device: a GPU gives what the CPU gives."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from radlatent.nn import Sources, Training, train  # noqa: E402
from radlatent.segmentation import (  # noqa: E402
    LOSSES,
    Augmentation,
    augment,
    build_loss,
    build_network,
    signed_distances,
)
from radlatent.segmentation.objective import SegmentationModel  # noqa: E402
from radlatent.segmentation.source import PatchMinibatch  # noqa: E402

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        yield
    torch.set_num_threads(before)


def squares(n=8, size=32):
    target = torch.zeros(n, size, size, dtype=torch.long)
    for case in range(n):
        target[case, 5 + case : 17 + case, 8:24] = 1
    return target.unsqueeze(1) + 0.3 * torch.randn(n, 1, size, size), target


def maps_of(target):
    return torch.from_numpy(
        np.stack([signed_distances(one.numpy(), 2, (1, 1)) for one in target])
    )


class Squares:
    """A source of minibatches that lie in memory."""

    def __init__(self):
        self.x, self.target = squares()

    def __len__(self):
        return len(self.x)

    def minibatch(self, rows, device, *, augment):
        return PatchMinibatch(self.x[rows].to(device), self.target[rows].to(device))


@pytest.mark.parametrize("device", DEVICES)
def test_trains_in_half_precision(device):
    network = build_network("unet", in_channels=1, n_classes=2, size=(32, 32), width=4)
    model = SegmentationModel(network, build_loss("dice_cross_entropy"))
    training = Training(
        epochs=12,
        minibatch_size=4,
        learning_rate=0.01,
        device=device,
        precision="bf16-mixed",
    )
    history = train(model, Sources(Squares()), training).history
    assert history[-1]["total"] < 0.6 * history[0]["total"]
    assert {one.dtype for one in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_those_of_the_cpu(device, name):
    _, target = squares()
    logits, loss = torch.randn(8, 2, 32, 32), build_loss(name)
    expected, _ = loss(logits, target, distance=maps_of(target), progress=0.5)
    there = (one.to(device) for one in (logits, target))
    found, parts = loss.to(device)(
        *there, distance=maps_of(target).to(device), progress=0.5
    )
    assert found.device.type == device
    assert {one.device.type for one in parts.values()} == {device}
    # float32 sums in another order
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_augmentation_makes_the_choices_of_the_cpu(device):
    x, target = squares()
    settings = Augmentation(probability=0.6, noise=0.0, flips=True)
    found = []
    for where in ("cpu", device):
        torch.manual_seed(9)
        distance = maps_of(target).to(where)
        found.append(
            augment(x.to(where), target.to(where), settings, distance=distance)
        )
        assert {one.device.type for one in found[-1]} == {where}
    here, there = found
    # labels of voxels whose source lies half-way between two may fall either way
    assert (here.target != there.target.cpu()).float().mean() < 1e-3
    # coordinates are float32: 1e-6 of the image, times the noise between two pixels
    torch.testing.assert_close(here.x, there.x.cpu(), rtol=0, atol=1e-3)
    torch.testing.assert_close(here.distance, there.distance.cpu(), rtol=0, atol=1e-3)
