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


SMALLER = Augmentation(
    rotation_deg=0.0,
    scale=(0.8, 0.8),
    elastic=0.0,
    gamma=(1.0, 1.0),
    noise=0.0,
    low_resolution=(1.0, 1.0),
    probability=1.0,
)


def ramp(shape):
    """Return an image that tells its columns, under one structure everywhere."""
    columns = np.broadcast_to(np.arange(shape[-1], dtype=np.float16), shape).copy()
    told = (np.zeros((2, 3)),) * 3
    return PreparedImage(columns, np.ones(shape, np.uint8), *told)


def test_a_patch_made_smaller_shows_what_lies_around_it():
    source = PatchSource([ramp((1, 48, 48))], Patch((24, 24), (1, 1)), SMALLER)
    assert source.margin.tolist() == [4, 4]
    torch.manual_seed(2)
    found = source.minibatch(torch.zeros(32, dtype=torch.int64), CPU, augment=True)
    assert found.x.shape == (32, 1, 24, 24)
    whole = found.target.flatten(1).all(dim=1)
    # those at a border show what is beyond it, others nothing
    assert 0 < whole.float().mean() < 1
    steps = found.x[whole].diff(dim=-1)
    torch.testing.assert_close(steps, torch.full_like(steps, 1 / 0.8))


def test_where_a_patch_is_all_there_is_nothing_is_cut_around_it():
    source = PatchSource([ramp((1, 24, 24))], Patch((24, 24), (1, 1)), SMALLER)
    assert source.margin.tolist() == [0, 0]
    found = source.minibatch(torch.zeros(2, dtype=torch.int64), CPU, augment=True)
    assert not found.target.flatten(1).all(dim=1).any()
    # of slices that are coarse along z nothing is cut above and below
    volumes = PatchSource([ramp((16, 24, 24))], Patch((8, 16, 16), (6, 1, 1)), SMALLER)
    assert volumes.margin.tolist() == [0, 3, 3]
    found = volumes.minibatch(torch.tensor([0]), CPU, augment=True)
    assert found.x.shape == (1, 1, 8, 16, 16)
    assert PatchSource([], Patch((8, 8), (1, 1)), SMALLER).margin.tolist() == [0, 0]


def test_images_smaller_than_others_are_padded_and_distances_go_on():
    images = [image((2, 12, 12), distance=True), image((2, 40, 40), distance=True)]
    source = PatchSource(images, Patch((12, 12), (1.0, 1.0)), Augmentation.none())
    found = source.minibatch(torch.arange(4), CPU, augment=True)
    assert found.x.shape == (4, 1, 12, 12)
    np.testing.assert_array_equal(found.x[0, 0], images[0].image[0])
    np.testing.assert_array_equal(found.distance[0], images[0].distance[:, 0])
