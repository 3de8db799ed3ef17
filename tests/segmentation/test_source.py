"""Minibatches: every slice in a pass, changes drawn from torch's generator."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from radlatent.segmentation.augmentation import Augmentation  # noqa: E402
from radlatent.segmentation.patch import Patch  # noqa: E402
from radlatent.segmentation.prepare import PreparedImage  # noqa: E402
from radlatent.segmentation.source import PatchSource, with_neighbors  # noqa: E402

CPU = torch.device("cpu")


def image(shape=(3, 40, 40), *, distance=False):
    """Return an image whose every voxel has its own value, with one labeled square."""
    labels = np.zeros(shape, np.uint8)
    labels[0, 30:34, 6:10] = 2
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 100
    maps = np.stack([labels, labels]).astype(np.float16) if distance else None
    return PreparedImage(array, labels, *(np.zeros((2, 3)),) * 3, maps)


def test_a_pass_is_every_slice_or_as_many_volumes_as_fit():
    assert len(PatchSource([image(), image((5, 40, 40))], Patch((32, 32), (1, 1)))) == 8
    volumes = PatchSource([image((16, 32, 32))], Patch((8, 16, 16), (1, 1, 1)))
    assert len(volumes) == 8


def test_without_augmentation_it_is_the_middle():
    source = PatchSource([image()], Patch((32, 32), (1.0, 1.0)), Augmentation())
    found = source.minibatch(torch.tensor([1, 0]), CPU, augment=False)
    assert found.x.shape == (2, 1, 32, 32)
    assert found.x.dtype == torch.float32
    np.testing.assert_array_equal(found.x[0, 0], source.images[0].image[1, 4:36, 4:36])
    assert found.target.dtype == torch.int64
    np.testing.assert_array_equal(
        found.target[1], source.images[0].labels[0, 4:36, 4:36]
    )
    assert found.distance is None


def test_places_follow_the_generator_and_structures():
    source = PatchSource([image()], Patch((8, 8), (1.0, 1.0)))
    rows = torch.zeros(64, dtype=torch.int64)
    torch.manual_seed(3)
    first = source.minibatch(rows, CPU, augment=True)
    torch.manual_seed(3)
    again = source.minibatch(rows, CPU, augment=True)
    assert torch.equal(first.x, again.x)
    assert len(torch.unique(first.x[:, 0, 0, 0])) > 8
    # half of them lie about the square, of 64 at random next to none
    held = first.target.flatten(1).any(dim=1).float().mean()
    assert held > 0.4
    # the value says where a patch is from: images and targets belong together
    for x, target in zip(first.x[:, 0], first.target, strict=True):
        corner = round(float(x[0, 0]) * 100)
        y, left = divmod(corner, 40)
        np.testing.assert_array_equal(
            target, source.images[0].labels[0, y : y + 8, left : left + 8]
        )


def test_neighbors_are_channels_and_the_ends_repeat():
    array = np.arange(4)[:, None, None] * np.ones((4, 2, 2))
    assert with_neighbors(array, 0, 2)[:, 0, 0].tolist() == [0, 0, 0, 1, 2]
    assert with_neighbors(array, 2, 1)[:, 0, 0].tolist() == [1, 2, 3]
    source = PatchSource([image()], Patch((32, 32), (1.0, 1.0), neighbors=1))
    found = source.minibatch(torch.tensor([2]), CPU, augment=False)
    assert found.x.shape == (1, 3, 32, 32)
    assert torch.equal(found.x[0, 1], found.x[0, 2])


def test_volumes_and_distances_are_cut_alike():
    one = image((16, 32, 32), distance=True)
    source = PatchSource([one], Patch((8, 16, 16), (2.0, 1.0, 1.0)))
    found = source.minibatch(torch.tensor([0, 1, 2]), CPU, augment=True)
    assert found.x.shape == (3, 1, 8, 16, 16)
    assert found.distance.shape == (3, 2, 8, 16, 16)
    np.testing.assert_array_equal(found.distance[:, 1].numpy(), found.target.float())


def test_augmentation_changes_images_and_their_targets_alike():
    patch = Patch((32, 32), (1.0, 1.0), (40.0, 40.0))
    one = image()
    one.image[:] = one.labels
    source = PatchSource([one], patch, Augmentation())
    torch.manual_seed(0)
    found = source.minibatch(torch.zeros(8, dtype=torch.int64), CPU, augment=True)
    plain = PatchSource([one], patch)
    torch.manual_seed(0)
    before = plain.minibatch(torch.zeros(8, dtype=torch.int64), CPU, augment=True)
    assert not torch.equal(found.x, before.x)
    assert found.target.unique().tolist() == [0, 2]
