"""Plausibility: each column is what it says, whatever the slices are."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.neighbors import KernelDensity

torch = pytest.importorskip("torch")

from radlatent.cohort.labels import LabelMap  # noqa: E402
from radlatent.imaging import Volume  # noqa: E402
from radlatent.masks.correction.plausibility import (  # noqa: E402
    plausibility,
    restored_dice,
)
from radlatent.masks.prior.frame import Frame, classes_of, place, to_frame  # noqa: E402

NAMES = ("LV", "MYO", "RV")


def scene_of(mask, decoded=None):
    """Return a prior that decodes maps, by default what entered, and its encodings."""
    known = {"structures": mask.structures, "spacing_mm": mask.spacing_mm}
    placement = place(mask.array, Frame(size=48, spacing_mm=3.0), **known)
    maps = to_frame(mask.array, placement, [mask.structures[name] for name in NAMES])
    n = len(maps)
    random = np.random.default_rng(0)
    encoded = SimpleNamespace(
        placement=placement,
        maps=maps,
        mean=random.standard_normal((n, 2)),
        kl=np.arange(n) + 0.5,
        kl_by_group={},
    )
    prior = SimpleNamespace(
        structures_=NAMES,
        latents_=random.standard_normal((9, 2)),
        bandwidth_=0.6,
        decode=lambda z: maps if decoded is None else decoded(maps),
    )
    return prior, encoded


def table_of(mask, decoded=None):
    prior, encoded = scene_of(mask, decoded)
    return plausibility(mask, prior, encoded, np.arange(len(encoded.maps)))


def other_grid(mask, array):
    return LabelMap(Volume(array, mask.spacing_mm), mask.structures)


@pytest.fixture
def heart(drawn, rng):
    return LabelMap(
        Volume(drawn.draw_heart(rng, n_slices=4), (8.0, 2.0, 1.5)), drawn.STRUCTURES
    )


def test_one_row_a_slice_that_holds_something(heart):
    array = heart.array.copy()
    array[[0, 2]] = 0
    found = table_of(heart.with_array(array))
    assert found.index.tolist() == [1, 3]
    assert found.index.name == "slice"
    assert (found.dtypes == np.float64).all()


def test_what_is_restored_whole_has_a_dice_of_one(heart):
    found = table_of(heart).filter(like="restored_dice")
    assert list(found) == ["restored_dice", *(f"restored_dice_{n}" for n in NAMES)]
    assert (found == 1).all(axis=None)
    assert (table_of(heart)["volume_dice"] == 1).all()


def test_restored_dice_is_that_of_entered_and_decoded_classes(heart):
    prior, encoded = scene_of(heart, lambda maps: maps.roll(2, dims=3))
    found = restored_dice(prior, encoded)
    a, b = classes_of(encoded.maps), classes_of(encoded.maps.roll(2, dims=3))
    each = []
    for channel, name in enumerate(NAMES, start=1):
        expected = [
            2
            * ((x == channel) & (y == channel)).sum()
            / ((x == channel).sum() + (y == channel).sum())
            for x, y in zip(a, b, strict=True)
        ]
        np.testing.assert_allclose(found[f"restored_dice_{name}"], expected)
        each.append(expected)
    np.testing.assert_allclose(found["restored_dice"], np.mean(each, axis=0))
    assert 0.5 < found["restored_dice"].min() < found["restored_dice"].max() < 0.95


def test_structure_that_neither_has_does_not_count(heart):
    array = heart.array.copy()
    array[1][array[1] == heart.structures["RV"]] = 0
    found = table_of(heart.with_array(array))
    assert found["restored_dice_RV"].isna().tolist() == [False, True, False, False]
    assert (found["restored_dice"] == 1).all()


def test_structure_that_is_made_up_counts_nothing(heart):
    array = heart.array.copy()
    array[array == heart.structures["RV"]] = 0

    def invented(maps):
        maps = maps.clone()
        maps[:, :, :4, :4] = torch.tensor([0.0, 0, 0, 1]).reshape(1, 4, 1, 1)
        return maps

    found = table_of(heart.with_array(array), invented)
    assert (found["restored_dice_RV"] == 0).all()
    np.testing.assert_allclose(found["restored_dice"], 2 / 3)


def test_nothing_entered_and_nothing_decoded(heart):
    array = np.zeros_like(heart.array)
    # two pixels vanish between those of the frame
    array[1, 30, 30] = heart.structures["LV"]
    empty = torch.zeros(1, 4, 48, 48)
    empty[:, 0] = 1
    mask = heart.with_array(array)
    prior, encoded = scene_of(mask, lambda _: empty)
    encoded.maps = empty
    found = plausibility(mask, prior, encoded, [0])
    assert found["restored_dice"].isna().all()
    assert found["volume_dice"].tolist() == [0]


def test_densities_are_of_the_latents(heart):
    prior, encoded = scene_of(heart)
    found = plausibility(heart, prior, encoded, np.zeros(4))
    density = KernelDensity(bandwidth=0.6).fit(prior.latents_)
    np.testing.assert_allclose(
        found["log_density"], density.score_samples(encoded.mean)
    )
    assert found["kl"].tolist() == [0.5, 1.5, 2.5, 3.5]
    assert table_of(heart)["n_broken"].tolist() == [0, 1, 2, 3]


def test_neighbor_dice_is_the_mean_with_the_slices_beside(heart):
    array = np.zeros((5, 8, 8), np.uint8)
    array[0, :4], array[1, :2], array[2, :2], array[4, :1] = 3, 3, 3, 3
    found = table_of(other_grid(heart, array))
    # 32, 16, 16, 0 and 8 pixels
    expected = [2 * 16 / 48, (2 * 16 / 48 + 1) / 2, (1 + 0) / 2, 0]
    np.testing.assert_allclose(found["neighbor_dice"], expected)


def test_position_runs_over_the_slices_that_hold_something(heart):
    array = heart.array.copy()
    array[1] = 0
    found = table_of(heart.with_array(array))
    assert found["position"].tolist() == [0, 0.5, 1]


def test_areas_are_mm2(heart):
    found = table_of(heart)
    for name, value in heart.structures.items():
        pixels = (heart.array == value).sum(axis=(1, 2))
        np.testing.assert_allclose(found[f"area_{name}_mm2"], 3.0 * pixels)


def test_outside_share_is_of_the_frame(heart):
    assert (table_of(heart)["outside_share"] == 0).all()
    array = np.zeros((1, 200, 64), np.uint8)
    array[0, 68:132] = heart.array[0]
    array[0, :2] = heart.structures["MYO"]
    found = table_of(other_grid(heart, array))["outside_share"]
    # two rows of 128 pixels, 130 mm above
    assert found[0] > 0.9 * 128 / np.count_nonzero(array)


def test_one_slice_has_no_neighbor(heart):
    found = table_of(other_grid(heart, heart.array[:1]))
    assert found["neighbor_dice"].isna().all()
    assert found["position"].tolist() == [0]
    assert found.drop(columns="neighbor_dice").notna().all(axis=None)


def test_empty_volume_has_no_rows_and_all_columns(heart):
    found = table_of(heart.with_array(np.zeros_like(heart.array)))
    assert len(found) == 0
    assert list(found) == list(table_of(heart))


def test_values_of_labels_do_not_count(heart):
    other = {"LV": 70, "RV": 20, "MYO": 5}
    table = np.zeros(4, np.uint8)
    table[[heart.structures[name] for name in other]] = list(other.values())
    volume = heart.volume.with_array(table[heart.array])
    found = table_of(LabelMap(volume, other))
    # rows of the table by name
    expected = table_of(heart)[list(found)]
    np.testing.assert_allclose(found, expected)
