"""Perturbations: drawn once, applied the same everywhere, and as large as they say."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from radlatent.errors import EmptyMaskError
from radlatent.handcrafted.repeat.contours import near_box
from radlatent.handcrafted.repeat.perturb import (
    KINDS,
    Perturbation,
    _noise_level,
    draw_perturbations,
    perturb,
)
from radlatent.imaging import Volume, crop


def ball(radius_mm, shape=(40, 40, 40), spacing_mm=(1.0, 1.0, 1.0)):
    axes = [
        (np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing_mm, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    return np.sqrt(z**2 + y**2 + x**2) <= radius_mm


def lesion(rng, inside, spacing_mm=(1.0, 1.0, 1.0), noise=10.0):
    """Return a lesion of 100 in a background of 0, with noise."""
    values = 100.0 * inside + noise * rng.standard_normal(inside.shape)
    return Volume(values, spacing_mm), Volume(inside, spacing_mm)


def gaussian(shape, center):
    """Return a blob of 3 voxels that a cubic spline moves without loss."""
    grid = np.indices(shape)
    squares = ((grid - np.reshape(center, (3, 1, 1, 1))) ** 2).sum(axis=0)
    return np.exp(-squares / 18)


def test_the_identity_gives_equal_values(rng):
    image, mask = lesion(rng, ball(8))
    same = perturb(image, mask, Perturbation())
    np.testing.assert_array_equal(same[0].array, image.array)
    np.testing.assert_array_equal(same[1].array, mask.array)
    assert same[0].spacing_mm == image.spacing_mm
    assert same[0].origin == image.origin


def test_the_same_perturbation_gives_identical_bytes(rng):
    image, mask = lesion(rng, ball(8))
    [drawn] = draw_perturbations(1)
    again = Perturbation(**json.loads(json.dumps(asdict(drawn))))
    assert again == drawn
    first, second = perturb(image, mask, drawn), perturb(image, mask, again)
    for one, other in zip(first, second, strict=True):
        assert one.array.tobytes() == other.array.tobytes()
        assert one.array.dtype == other.array.dtype
    other = perturb(image, mask, replace(drawn, seed=drawn.seed + 1))
    assert not np.array_equal(other[0].array, first[0].array)
    assert not np.array_equal(other[1].array, first[1].array)


def test_arguments_are_left_as_they_were(rng):
    image, mask = lesion(rng, ball(8))
    before = image.array.copy(), mask.array.copy()
    for drawn in draw_perturbations(2):
        perturb(image, mask, drawn)
    np.testing.assert_array_equal(image.array, before[0])
    np.testing.assert_array_equal(mask.array, before[1])


@pytest.mark.parametrize("change", [-0.5, -0.2, -0.01, 0.0, 0.1, 0.2, 1.0])
@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (3.0, 0.8, 0.7)])
def test_the_volume_changes_by_that_fraction_to_the_voxel(rng, change, spacing_mm):
    image, mask = lesion(rng, ball(9, spacing_mm=spacing_mm), spacing_mm)
    _, changed = perturb(image, mask, Perturbation(volume_change=change))
    n = mask.array.sum()
    assert changed.array.sum() == round(n * (1 + change))
    both = changed.array & mask.array
    # it only grows, or only shrinks
    np.testing.assert_array_equal(both, mask.array if change >= 0 else changed.array)


def test_a_mask_grows_as_far_in_mm_along_every_axis(rng):
    spacing_mm = (4.0, 1.0, 1.0)
    inside = ball(12, (20, 60, 60), spacing_mm)
    image, mask = lesion(rng, inside, spacing_mm)
    _, grown = perturb(image, mask, Perturbation(volume_change=0.3))
    assert np.count_nonzero(inside.any(axis=(1, 2))) == 6
    # a slice is 4 mm away: all goes in plane, where 12 * 1.3 ** 0.5 is 13.7 mm
    assert np.count_nonzero(grown.array.any(axis=(1, 2))) == 6
    assert np.count_nonzero(grown.array.any(axis=(0, 1))) == 28


def test_a_quarter_turn_keeps_the_voxels_of_a_cube(rng):
    inside = np.zeros((16, 16, 16), bool)
    inside[4:10, 5:11, 3:9] = True
    image, mask = lesion(rng, inside)
    turned = perturb(image, mask, Perturbation(rotation_deg=90.0))
    np.testing.assert_array_equal(turned[1].array, inside)
    # from y to x: the voxel ahead in y lies ahead in x afterwards
    found = turned[0].array[4:10, 5:11, 3:9]
    expected = np.rot90(image.array[4:10, 5:11, 3:9], k=1, axes=(1, 2))
    np.testing.assert_allclose(found, expected, atol=1e-9)  # spline coefficients


def test_turns_are_turns_of_millimeters():
    # 24 mm x 8 mm in plane, on voxels of 1 mm and 2 mm
    inside = np.zeros((5, 60, 30), bool)
    inside[1:4, 18:42, 13:17] = True
    spacing_mm = (3.0, 1.0, 2.0)
    image = Volume(np.zeros(inside.shape), spacing_mm)
    turn = Perturbation(rotation_deg=90.0)
    _, turned = perturb(image, Volume(inside, spacing_mm), turn)
    assert turned.array.any(axis=(0, 2)).sum() == 8
    assert turned.array.any(axis=(0, 1)).sum() == 12
    assert turned.array.sum() == inside.sum()


def test_content_moves_by_the_fraction_of_a_voxel():
    shape, shift = (30, 31, 32), (0.25, 0.5, 0.75)
    image = Volume(gaussian(shape, (15, 15, 15)), (2.0, 1.0, 1.0))
    mask = Volume(image.array > 0.5, image.spacing_mm)
    moved, _ = perturb(image, mask, Perturbation(translation=shift))
    expected = gaussian(shape, np.add((15, 15, 15), shift))
    # error of a cubic spline on a blob of 3 voxels
    np.testing.assert_allclose(moved.array, expected, atol=1e-3)


def test_a_mask_moves_by_whole_voxels_at_one_half(rng):
    image, mask = lesion(rng, ball(8))
    inside = mask.array

    def moved(*shift):
        return perturb(image, mask, Perturbation(translation=shift))[1].array

    np.testing.assert_array_equal(moved(0.49, 0, 0), inside)
    np.testing.assert_array_equal(moved(0, 0, 0.51), np.roll(inside, 1, axis=2))
    # half covered is in, as IBSI has it
    both = inside | np.roll(inside, 1, axis=1)
    np.testing.assert_array_equal(moved(0, 0.5, 0), both)


def test_noise_is_as_strong_as_what_was_there(rng):
    image, mask = lesion(rng, ball(8), noise=25.0)
    noisy, same = perturb(image, mask, Perturbation(noise=True, seed=3))
    added = (noisy.array - image.array).std()
    # 64000 normal values; the median of 8000 coefficients has an error of 1.3 %
    assert added == pytest.approx(25.0, rel=0.05)
    np.testing.assert_array_equal(same.array, mask.array)


@pytest.mark.parametrize("shape", [(40, 40, 40), (1, 200, 200), (3, 120, 120)])
def test_the_level_of_pure_noise_is_found(rng, shape):
    values = 7.0 * rng.standard_normal(shape)
    assert _noise_level(values) == pytest.approx(7.0, rel=0.05)


def test_an_image_of_few_voxels_has_no_level_of_noise():
    image = Volume(np.zeros((4, 5, 5)), (1.0, 1.0, 1.0))
    mask = Volume(np.ones((4, 5, 5), bool), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="noise cannot be estimated"):
        perturb(image, mask, Perturbation(noise=True))


def test_a_clear_edge_holds_the_contour_and_a_blurred_one_does_not(rng):
    inside = ball(10)
    image, mask = lesion(rng, inside, noise=1.0)
    flat = image.with_array(rng.standard_normal(inside.shape))

    def overlaps(volume):
        for seed in range(4):
            drawn = Perturbation(contour=True, seed=seed)
            other = perturb(volume, mask, drawn)[1].array
            yield 2 * (other & inside).sum() / (other.sum() + inside.sum())

    clear, blurred = list(overlaps(image)), list(overlaps(flat))
    # what the supervoxels of half a milliliter leave of one of four
    assert min(clear) > 0.7 > max(blurred) > 0.4
    assert len(set(blurred)) == 4


def test_a_lesion_inside_one_supervoxel_keeps_a_contour(rng):
    image, mask = lesion(rng, ball(1.5), noise=1.0)
    _, drawn = perturb(image, mask, Perturbation(contour=True))
    assert drawn.array.any()


def test_a_crop_with_room_around_it_changes_nothing(rng):
    image, mask = lesion(rng, ball(5, (90, 90, 90)), noise=20.0)
    box = (slice(8, 82),) * 3  # 15 mm and the reach of the spline
    drawn = Perturbation(9.0, (0.3, 0.7, 0.1), volume_change=0.1, contour=True)
    whole = perturb(image, mask, drawn)
    part = perturb(crop(image, box), crop(mask, box), drawn)
    near = near_box(whole[1].array, image.spacing_mm)
    shifted = tuple(slice(p.start - 8, p.stop - 8) for p in near)
    np.testing.assert_array_equal(part[1].array[shifted], whole[1].array[near])
    # what is left of an edge after 12 voxels, of values of 100
    np.testing.assert_allclose(
        part[0].array[shifted], whole[0].array[near], atol=1e-4, rtol=0
    )


def test_draws_depend_on_the_seed_alone():
    drawn = draw_perturbations(3, random_state=5)
    assert drawn == draw_perturbations(5, random_state=5)[:3]
    assert drawn != draw_perturbations(3, random_state=6)
    # numpy.random.default_rng(0).random(), on every machine
    first = 0.6369616873214543
    angle = draw_perturbations(1)[0].rotation_deg
    assert angle == pytest.approx(15 * (2 * first - 1), rel=1e-12)


def test_kinds_left_out_change_nothing_else():
    every = draw_perturbations(4)
    for number, one in enumerate(draw_perturbations(4, kinds=["volume", "noise"])):
        expected = Perturbation(
            noise=True, volume_change=every[number].volume_change, seed=one.seed
        )
        assert one == expected
        assert one.seed == every[number].seed
    assert all(-15 <= one.rotation_deg <= 15 for one in draw_perturbations(50))
    assert all(-0.2 <= one.volume_change <= 0.2 for one in draw_perturbations(50))


def test_lesions_have_seeds_of_their_own():
    [drawn] = draw_perturbations(1)
    assert drawn.for_lesion("a", 1) == drawn.for_lesion("a", 1)
    seeds = {drawn.for_lesion(*names).seed for names in (("a", 1), ("a", 2), ("b", 1))}
    assert len(seeds) == 3
    assert replace(drawn.for_lesion("a", 1), seed=drawn.seed) == drawn


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"n": 0}, "n is 0"),
        ({"n": 2, "kinds": ["rotatoin"]}, "did you mean 'rotation'"),
        ({"n": 2, "kinds": "noise"}, "Draw 1 or more"),
        ({"n": 2, "kinds": []}, str(KINDS[0])),
    ],
)
def test_draws_that_make_no_sense_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        draw_perturbations(**arguments)


@pytest.mark.parametrize(
    "fields",
    [
        {"volume_change": -1.0},
        {"rotation_deg": float("nan")},
        {"translation": (0.1, 0.2)},
        {"seed": -1},
    ],
)
def test_perturbations_that_cannot_be_are_refused(fields):
    with pytest.raises(ValueError, match="give finite numbers"):
        Perturbation(**fields)


def test_a_lesion_that_vanishes_is_told_with_the_remedy(rng):
    inside = np.zeros((20, 20, 20), bool)
    inside[10, 10, 10] = True
    image, mask = lesion(rng, inside)
    with pytest.raises(EmptyMaskError, match=r"no voxel is left .* smaller"):
        perturb(image, mask, Perturbation(volume_change=-0.6))
    with pytest.raises(EmptyMaskError, match="no voxel is left"):
        perturb(image, mask, Perturbation(translation=(0, 0, 40)))
    empty = mask.with_array(np.zeros_like(inside))
    with pytest.raises(EmptyMaskError, match="left of a lesion of 0 voxels"):
        perturb(image, empty, Perturbation())


def test_a_mask_without_room_is_told(rng):
    inside = np.ones((10, 10, 10), bool)
    inside[0, 0, 0] = False
    image, mask = lesion(rng, inside)
    with pytest.raises(ValueError, match="no room to change by"):
        perturb(image, mask, Perturbation(volume_change=0.1))


@pytest.mark.parametrize("kinds", [["rotation"], ["translation"], [*KINDS]])
def test_a_lesion_on_a_finer_grid_moves_with_its_image(rng, kinds):
    # a ball beside the middle: image of 1 mm, mask of 0.25 mm over the same box
    middle, radius = np.array([9.5, 14.0, 22.0]), 6.0

    def away(volume):
        points = volume.to_world(np.argwhere(np.ones(volume.shape)))[:, ::-1]
        return np.linalg.norm(points - middle, axis=1).reshape(volume.shape)

    image = Volume(np.zeros((20, 36, 40)), (1.0, 1.0, 1.0))
    edge = np.clip(radius + 0.5 - away(image), 0, 1)
    image = image.with_array(100 * edge + rng.normal(0, 1, image.shape))
    mask = Volume(np.zeros((80, 144, 160)), (0.25,) * 3, (-0.375,) * 3)
    mask = mask.with_array(away(mask) <= radius)
    for each in draw_perturbations(3, kinds=kinds, random_state=4):
        moved, inside = perturb(image, mask, replace(each, contour=False))
        assert inside.shape == mask.shape
        assert moved.shape == image.shape
        bright = moved.to_world(np.argwhere(moved.array > 50)).mean(axis=0)
        held = inside.to_world(np.argwhere(inside.array)).mean(axis=0)
        # centers of mass of voxels of 1 mm and of 0.25 mm
        np.testing.assert_allclose(held, bright, atol=0.1)
        assert np.linalg.norm(held[::-1] - middle) > 0.05 or each.rotation_deg


def test_one_grid_and_its_copy_elsewhere_give_the_same(rng):
    image, mask = lesion(rng, ball(8))
    apart = Volume(mask.array, mask.spacing_mm, (1e-9, 0.0, 0.0))
    for each in draw_perturbations(3, kinds=["rotation", "translation", "volume"]):
        together, other = perturb(image, mask, each), perturb(image, apart, each)
        np.testing.assert_allclose(other[0].array, together[0].array, atol=1e-5)
        np.testing.assert_array_equal(other[1].array, together[1].array)
