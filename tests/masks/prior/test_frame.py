"""The canonical frame: one heart gives one map, wherever and however it lies."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from radlatent.errors import SchemaError  # noqa: E402
from radlatent.masks.overlap.dice import label_dice  # noqa: E402
from radlatent.masks.prior.frame import (  # noqa: E402
    Frame,
    classes_of,
    from_frame,
    outside_share,
    place,
    to_frame,
)

STRUCTURES = {"RV": 1, "MYO": 2, "LV": 3}
VALUES = [1, 2, 3]
FRAME = Frame()

#: mm, of rows and columns of the images that are drawn unless told.
PIXEL = 0.75


def heart(
    *,
    degrees=0.0,
    shift_mm=(0.0, 0.0),
    spacing_mm=(PIXEL, PIXEL),
    extent_mm=240.0,
    mirrored=False,
    scales=(1.0,),
):
    """Return labels of a heart drawn in mm; its crescent has a horn at one end.

    At 0 degrees the right ventricle lies at lower columns, the horn at lower rows.
    """
    shape = [round(extent_mm / each) for each in spacing_mm]
    grid = np.moveaxis(np.indices(shape), 0, -1) * spacing_mm
    away = grid - (np.array(shape) - 1) * spacing_mm / 2 - shift_mm
    turn = np.deg2rad(degrees)
    rows = np.array([np.cos(turn), np.sin(turn)])
    columns = np.array([-np.sin(turn), np.cos(turn)])
    u, v = away @ rows, away @ columns
    if mirrored:
        u = -u
    planes = []
    for scale in scales:
        plane = np.zeros(shape, np.uint8)
        plane[np.hypot(u, v + 26 * scale) < 30 * scale] = 1
        plane[np.hypot(u + 28 * scale, v + 30 * scale) < 13 * scale] = 1
        plane[np.hypot(u, v) < 30 * scale] = 2
        plane[np.hypot(u, v) < 20 * scale] = 3
        planes.append(plane)
    return np.stack(planes)


def maps_of(labels, *, frame=FRAME, structures=STRUCTURES, spacing_mm=(PIXEL,) * 2):
    known = {"structures": structures, "spacing_mm": (8.0, *spacing_mm)}
    placement = place(labels, frame, **known)
    values = [structures[name] for name in ("RV", "MYO", "LV")]
    return to_frame(labels, placement, values), placement


def dice(a, b):
    return label_dice(classes_of(a), classes_of(b))


UPRIGHT = maps_of(heart())[0]

#: Dice of maps of one heart from two images: the frame has pixels of 2.5 mm, and those
#: that a border cuts in halves may fall to either side. One pixel off is below 0.9.
ALIKE, ALIKE_COARSE = 0.975, 0.96


def test_tolerance_tells_a_pixel():
    for axis in (2, 3):
        assert dice(UPRIGHT.roll(1, axis), UPRIGHT) < 0.9


@pytest.mark.parametrize("shift_mm", [(13.0, -21.0), (-40.3, 8.7), (60.0, 60.0)])
def test_shift_changes_nothing(shift_mm):
    assert dice(maps_of(heart(shift_mm=shift_mm))[0], UPRIGHT) > ALIKE


@pytest.mark.parametrize("degrees", [10, 45, 90, 133, 180, 251, 300])
def test_turn_changes_nothing_and_is_found(degrees):
    maps, placement = maps_of(heart(degrees=degrees))
    assert dice(maps, UPRIGHT) > ALIKE
    turn = np.deg2rad(degrees)
    own = maps_of(heart())[1].axes
    by = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    # centroids 26 mm apart: 0.02 is half a mm
    np.testing.assert_allclose(placement.axes, own @ by, atol=0.02)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (2.2, 2.2), (1.2, 2.0), (2.5, 1)])
def test_other_pixels_change_nothing(spacing_mm):
    labels = heart(degrees=30, shift_mm=(9, 4), spacing_mm=spacing_mm)
    assert dice(maps_of(labels, spacing_mm=spacing_mm)[0], UPRIGHT) > ALIKE_COARSE


def test_nothing_is_ever_mirrored():
    maps, placement = maps_of(heart(mirrored=True))
    # the crescent is on the left again, its horn at the other end
    assert dice(maps.flip(2), UPRIGHT) > ALIKE
    assert dice(maps, UPRIGHT) < 0.96
    for degrees in range(0, 360, 24):
        axes = maps_of(heart(degrees=degrees))[1].axes
        assert np.linalg.det(axes) == pytest.approx(1)
        np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-12)
    assert np.linalg.det(placement.axes) == pytest.approx(1)


def test_structure_toward_lies_on_the_left():
    right_ventricle, cavity = UPRIGHT[0, 1], UPRIGHT[0, 3]
    columns = torch.arange(FRAME.size, dtype=torch.float32)
    middles = [
        float((part.sum(0) * columns).sum() / part.sum())
        for part in (right_ventricle, cavity)
    ]
    # the frame is centered 20 mm, 8 pixels, to the left of the cavity
    assert middles[1] == pytest.approx(31.5 + 8, abs=0.1)
    assert middles[0] < 31.5


def test_maps_are_shares_that_sum_to_one():
    assert UPRIGHT.shape == (1, 4, 64, 64)
    assert UPRIGHT.dtype == torch.float32
    # float32
    torch.testing.assert_close(UPRIGHT.sum(dim=1), torch.ones(1, 64, 64))
    assert UPRIGHT.min() > -1e-6
    area_mm2 = UPRIGHT[0, 3].sum() * 2.5**2
    # the border of a disk of 20 mm, known to a tenth of a pixel, is 2 % of its area
    assert area_mm2 == pytest.approx(np.pi * 20**2, rel=0.02)


def test_values_of_labels_do_not_count():
    other = {"LV": 7, "RV": 90, "MYO": 12}
    labels = heart(degrees=50, scales=(1, 0.7))
    table = np.zeros(4, np.uint8)
    table[[STRUCTURES[name] for name in other]] = list(other.values())
    assert torch.equal(maps_of(table[labels], structures=other)[0], maps_of(labels)[0])


@pytest.mark.parametrize("spacing_mm", [(1.5, 1.5), (1.2, 2.0)])
@pytest.mark.parametrize("degrees", [0, 70])
def test_mask_comes_back_from_the_frame(degrees, spacing_mm):
    labels = heart(degrees=degrees, spacing_mm=spacing_mm, scales=(1.0, 0.8))
    maps, placement = maps_of(labels, spacing_mm=spacing_mm)
    back = from_frame(maps, placement, [0, 1])
    assert back.shape == (2, 4, *labels.shape[1:])
    # float32
    torch.testing.assert_close(back.sum(dim=1), torch.ones(labels.shape))
    found = classes_of(back)
    for value in VALUES:
        assert label_dice(found == value, labels == value) > 0.97


def test_rows_that_come_back_are_those_asked_for():
    labels = heart(scales=(1.0, 0.9, 0.8))
    labels[1] = np.roll(labels[1], (18, -10), (0, 1))
    maps, placement = maps_of(labels)
    found = classes_of(from_frame(maps[[2, 1]], placement, [2, 1]))
    # smaller hearts have more border; rows exchanged share nothing like as much
    assert label_dice(found[0], labels[2]) > 0.96
    assert label_dice(found[1], labels[1]) > 0.96
    assert label_dice(labels[1], labels[2]) < 0.8


def test_outside_of_the_frame_comes_back_as_background():
    labels = heart()
    maps, placement = maps_of(labels)
    full = torch.zeros_like(maps)
    full[:, 3] = 1
    back = from_frame(full, placement, [0])
    inside = classes_of(back)[0] == 3
    # 160 mm of 240; half a pixel of the frame fades on either side
    assert np.sqrt(inside.sum()) * PIXEL == pytest.approx(160, abs=2.5)


def test_slices_are_turned_together_and_centered_each():
    labels = heart(scales=(1.0, 0.9, 0.8))
    labels[1] = np.roll(labels[1], (24, 40), (0, 1))
    labels[2] = heart(degrees=180, scales=(0.5,))[0]
    _, placement = maps_of(labels)
    np.testing.assert_allclose(
        placement.center_mm[1] - placement.center_mm[0], (18, 30), atol=0.1
    )
    # the two larger slices outweigh the one that looks the other way
    alone = maps_of(labels[:2])[1]
    np.testing.assert_allclose(placement.axes, alone.axes, atol=0.02)


def test_slices_turn_the_volume_by_the_size_of_the_structure_toward():
    labels = np.concatenate([heart(), heart(degrees=90, scales=(0.5,))])
    _, placement = maps_of(labels)
    heading = np.zeros(2)
    for plane in labels:
        toward = np.argwhere(plane == 1)
        middle = np.argwhere(plane > 1).mean(axis=0)
        heading += (toward - middle).sum(axis=0)
    # columns of the frame run away from the structure
    np.testing.assert_allclose(
        placement.axes[1], -heading / np.linalg.norm(heading), atol=1e-9
    )


def test_empty_slices_are_left_out():
    labels = heart(scales=(1.0, 0.8, 1.0))
    labels[1] = 0
    maps, placement = maps_of(labels)
    assert placement.slices.tolist() == [0, 2]
    for row in range(2):
        assert torch.equal(maps[row], maps_of(labels[:1])[0][0])


def test_one_slice():
    maps, placement = maps_of(heart(degrees=20, scales=(0.8,)))
    assert maps.shape == (1, 4, 64, 64)
    assert placement.slices.tolist() == [0]


def test_empty_volume():
    maps, placement = maps_of(np.zeros((3, 20, 20), np.uint8))
    assert maps.shape == (0, 4, 64, 64)
    assert placement.center_mm.shape == (0, 2)
    assert outside_share(np.zeros((3, 20, 20), np.uint8), placement).shape == (0,)
    assert classes_of(maps).shape == (0, 64, 64)


def test_without_the_structure_toward_nothing_is_turned():
    labels = heart(degrees=120)
    labels[labels == 1] = 0
    _, placement = maps_of(labels)
    np.testing.assert_array_equal(placement.axes, np.eye(2))
    # and the middle is that of the cavity, not ahead of it
    np.testing.assert_allclose(placement.center_mm, [[119.625, 119.625]], atol=0.01)


def test_toward_none_leaves_slices_as_they_are():
    labels = heart(degrees=120)
    _, placement = maps_of(labels, frame=Frame(toward=None))
    np.testing.assert_array_equal(placement.axes, np.eye(2))


def test_without_a_center_all_structures_count():
    labels = heart()
    labels[labels > 1] = 0
    _, placement = maps_of(labels)
    expected = np.argwhere(labels[0]).mean(axis=0) * PIXEL
    np.testing.assert_allclose(placement.center_mm[0], expected)
    np.testing.assert_array_equal(placement.axes, np.eye(2))
    lesion = {"structures": {"lesion": 1}, "spacing_mm": (8, PIXEL, PIXEL)}
    np.testing.assert_allclose(place(labels, FRAME, **lesion).center_mm[0], expected)


def test_structures_at_the_edge_of_the_image_are_not_smeared():
    whole = heart(degrees=35)
    rows, columns = (np.flatnonzero(whole[0].any(axis=k)) for k in (1, 0))
    tight = whole[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # torch knows no pixel beyond the edge: shares fade within one, as at any border
    torch.testing.assert_close(
        maps_of(np.ascontiguousarray(tight))[0], maps_of(whole)[0], atol=1e-4, rtol=0
    )
    cut = np.ascontiguousarray(whole[:, :, 140:])
    maps, placement = maps_of(cut)
    back = classes_of(from_frame(maps, placement, [0]))
    assert label_dice(back, cut) > 0.97


def test_outside_share_counts_pixels_beyond_the_frame():
    labels = heart()
    _, placement = maps_of(labels)
    assert outside_share(labels, placement).tolist() == [0.0]
    n = np.count_nonzero(labels)
    far = labels.copy()
    # 105 mm to the right of the cavity, whose frame ends after 60
    far[0, 150:170, 300:312] = 1
    assert outside_share(far, placement)[0] == pytest.approx(240 / (n + 240))


def test_small_frame_does_not_hold_the_heart():
    frame = Frame(size=16, spacing_mm=2.5, ahead_mm=0.0)
    labels = heart()
    placement = maps_of(labels, frame=frame)[1]
    half, points = 20.0, np.argwhere(labels[0]) * PIXEL - placement.center_mm[0]
    own = points @ placement.axes.T
    expected = (np.abs(own) > half).any(axis=1).mean()
    assert outside_share(labels, placement)[0] == pytest.approx(expected)
    assert 0.5 < expected < 0.9


@pytest.mark.parametrize("n_classes", [1, 2, 4, 7])
def test_classes_equal_the_argmax_of_torch(n_classes):
    maps = torch.rand(3, n_classes, 9, 11, generator=torch.Generator().manual_seed(0))
    kept = maps.clone()
    np.testing.assert_array_equal(classes_of(maps), maps.argmax(dim=1).numpy())
    assert torch.equal(maps, kept)


def test_a_slice_alone_is_refused():
    with pytest.raises(
        SchemaError, match=r"shape \(20, 20\).*one slice as \(1, y, x\)"
    ):
        place(np.ones((20, 20), int), FRAME, structures=STRUCTURES, spacing_mm=(1, 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 40}, "size is 40; give a multiple of 16"),
        ({"size": 0}, "size is 0"),
        ({"spacing_mm": 0.0}, "spacing_mm is 0.0; give a number above 0"),
        ({"spacing_mm": float("nan")}, "spacing_mm is nan"),
    ],
)
def test_problems_of_the_settings(settings, message):
    [found] = Frame(**settings).problems()
    assert found.startswith("frame: ")
    assert message in found
    assert Frame().problems() == []
