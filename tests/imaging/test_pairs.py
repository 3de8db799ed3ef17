"""A pair of files is read once while it stays the same, and never when it changed."""

import os
import weakref
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from radlatent.cohort import Cohort
from radlatent.errors import GeometryError
from radlatent.handcrafted import extract
from radlatent.imaging import (
    Pair,
    Volume,
    forget_pair,
    open_pair,
    pairs,
    read_pair,
    read_volume,
    resampled_note,
    share_outside,
    write_volume,
)

SHAPE = (6, 7, 8)


@pytest.fixture(autouse=True)
def nothing_in_memory():
    forget_pair()
    yield
    forget_pair()


@pytest.fixture
def paths(tmp_path):
    """Return an image and a mask of two lesions, uncompressed."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:3, 1:5, 1:5], mask[4:6, 1:5, 2:7] = 1, 2
    return write(tmp_path / "image.nii", 1.5), write(tmp_path / "mask.nii", mask)


def write(path, array):
    array = np.broadcast_to(array, SHAPE)
    write_volume(Volume(np.ascontiguousarray(array), (2.0, 1.0, 1.0)), path)
    return path


@pytest.fixture
def reads(monkeypatch):
    """Return how often each file was read."""
    n_reads, whole = Counter(), pairs.read_volume

    def count(path):
        n_reads[os.path.basename(path)] += 1
        return whole(path)

    monkeypatch.setattr(pairs, "read_volume", count)
    return n_reads


@pytest.mark.parametrize("same_time", [False, True])
def test_a_file_that_was_rewritten_is_read_again(paths, same_time):
    image, mask = paths
    before = os.stat(image)
    assert read_pair(*paths, mask_label=1)[0].array.max() == 1.5
    write(image, 2.5)
    if same_time:
        # as rsync and tar do
        os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(image).st_size == before.st_size
    assert read_pair(*paths, mask_label=1)[0].array.min() == 2.5
    write(mask, np.indices(SHAPE, np.uint8)[2] % 2)
    assert read_pair(*paths, mask_label=1)[1].array.sum() == np.prod(SHAPE) / 2


def test_labels_of_one_mask_share_what_was_read(paths, reads):
    first, second = (read_pair(*paths, mask_label=label) for label in (1, 2))
    assert reads == {"image.nii": 1, "mask.nii": 1}
    assert (first[1].array.sum(), second[1].array.sum()) == (32, 40)
    assert np.shares_memory(first[0].array, second[0].array)


def test_what_is_shared_cannot_be_changed(paths):
    image, _ = read_pair(*paths, mask_label=1)
    with pytest.raises(ValueError, match="read-only"):
        image.array[0, 0, 0] = 0
    with pytest.raises(ValueError, match="read-only"):
        image.array += 1


def test_a_pair_that_is_forgotten_is_freed(paths, reads):
    image, mask = read_pair(*paths, mask_label=1)
    seen = weakref.ref(image)
    del image, mask
    assert seen() is not None
    forget_pair()
    assert seen() is None
    read_pair(*paths, mask_label=1)
    assert reads == {"image.nii": 2, "mask.nii": 2}


def test_another_pair_takes_the_place_of_the_last(paths, tmp_path):
    seen = weakref.ref(read_pair(*paths, mask_label=1)[0])
    read_pair(write(tmp_path / "other.nii", 0.5), paths[1], mask_label=1)
    assert seen() is None


def test_an_extraction_reads_each_file_once(tmp_path, reads, rng):
    labels = np.zeros((10, 12, 12), np.uint8)
    for label in range(1, 5):
        labels[2 * label - 1 : 2 * label + 1, 2:9, 2:9] = label
    for modality in ("ct", "pet"):
        values = 50 * rng.standard_normal(labels.shape)
        for role, array in (("image", values), ("mask", labels)):
            volume = Volume(array, (2.0, 1.0, 1.0))
            write_volume(volume, tmp_path / f"{modality}_{role}.nii.gz")
    card = "name: four\nmodalities: {ct: {unit: HU}, pet: {unit: SUV}}\n"
    (tmp_path / "cohort.yml").write_text(card, "utf-8")
    files = [f"{m}_{role}.nii.gz" for m in ("ct", "pet") for role in ("image", "mask")]
    rows = ["case_id,patient_id,mask_label,image_ct,mask_ct,image_pet,mask_pet"]
    rows += [",".join([f"p-{k}", "p", str(k), *files]) for k in range(1, 5)]
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n", "utf-8")
    settings = {"featureClass": {"shape": ["VoxelVolume"], "firstorder": ["Mean"]}}
    extraction = extract(Cohort.read(tmp_path), settings=settings, jobs=1)
    assert extraction.failures.empty
    assert extraction.features.shape == (4, 4)
    assert extraction.features.notna().all(axis=None)
    assert reads == dict.fromkeys(files, 1)
    # and nothing stays behind
    assert pairs._read_both.cache_info().currsize == 0


@pytest.fixture
def ball_files(tmp_path):
    """Return a function: slices of the image in, paths of image and mask out."""

    def write(n_slices, spacing_mm=(1.0, 1.0, 1.0)):
        grid = np.indices((40, 48, 44))
        ball = ((grid - np.reshape((20, 24, 22), (3, 1, 1, 1))) ** 2).sum(axis=0) <= 81
        noise = np.random.default_rng(0).normal(0, 60, ball.shape)
        image = Volume(noise[:n_slices].astype(np.float32), spacing_mm)
        paths = tmp_path / "image.nrrd", tmp_path / "mask.nrrd"
        write_volume(image, paths[0])
        write_volume(Volume(ball, (1.0, 1.0, 1.0)), paths[1])
        return paths

    return write


def test_a_lesion_inside_of_its_image_is_whole(ball_files):
    pair = open_pair(*ball_files(40), resample_mask=True)
    assert (pair.one_grid, pair.outside, pair.notes) == (True, 0.0, ())


@pytest.mark.parametrize("n_slices", [27, 22, 16, 13])
def test_a_lesion_that_the_image_cuts_is_refused_with_its_share(ball_files, n_slices):
    # discs of a ball of radius 9 around plane 20, counted apart
    plane = np.indices((19, 19)) - 9
    sizes = [((plane**2).sum(axis=0) <= 81 - z**2).sum() for z in range(-9, 10)]
    share = sum(sizes[max(n_slices - 11, 0) :]) / sum(sizes)
    with pytest.raises(GeometryError, match=f"{share:.0%} of it lie outside"):
        open_pair(*ball_files(n_slices), resample_mask=True)


def test_a_little_outside_is_told(ball_files):
    pair = open_pair(*ball_files(29), resample_mask=True)
    assert pair.outside == pytest.approx(1 / pair.lesion.array.sum())
    [flag] = pair.flags
    assert flag.startswith("cut: 0.03% of the lesion")


def test_the_share_outside_is_that_of_the_planes_left_out(ball_files):
    image, mask = (read_volume(path) for path in ball_files(22))
    inside = mask.array[:22].sum() / mask.array.sum()
    lesion = mask.with_array(mask.array > 0)
    assert share_outside(lesion, image) == pytest.approx(1 - inside, rel=1e-12)


def test_a_volume_that_a_coarse_grid_changes_is_told(ball_files):
    pair = open_pair(*ball_files(40, (1.0, 1.0, 1.0)), resample_mask=True)
    assert pair.on_image_grid() == (pair.lesion, ())
    speck = pair.lesion.array.copy()
    speck[:] = False
    speck[19:21, 23:25, 20:23] = True
    coarse = Volume(np.zeros((10, 12, 11), np.float32), (4.0, 4.0, 4.0))
    changed = replace(
        pair, image=coarse, lesion=pair.lesion.with_array(speck), one_grid=False
    )
    mask, notes = changed.on_image_grid()
    before, after = 12.0, 64.0 * mask.array.sum()
    assert f"{after / before - 1:+.0%}" in notes[0]


@pytest.mark.parametrize("seed", range(6))
def test_what_the_grid_of_an_image_does_to_a_volume_is_known_before(seed):
    rng = np.random.default_rng(seed)
    grid = np.indices((24, 24, 24)) - rng.uniform(8, 16, (3, 1, 1, 1))
    ball = (grid**2).sum(axis=0) <= rng.uniform(1.5, 6) ** 2
    lesion = Volume(ball, (1.0, 1.0, 1.0))
    spacing = tuple(rng.uniform(0.7, 5, 3))
    image = Volume(np.zeros((8, 9, 10), np.int16), spacing, tuple(rng.uniform(0, 4, 3)))
    pair = Pair(image, lesion, False, 0.0, (), "the lesion")
    try:
        (told,) = pair.on_image_grid()[1] or ("",)
    except GeometryError:
        assert resampled_note(lesion, image).startswith("nothing is left of a lesion")
        return
    said = resampled_note(lesion, image)
    assert said.removeprefix("a lesion has ") == told.removeprefix(
        "resampled: the mask has "
    )
