"""Metrics of masks: closed forms, values of MedPy and MONAI, empties, bad input."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import GeometryError, SchemaError
from radlatent.masks.overlap.compare import METRICS, compare_masks, summarize_overlap

DATA = Path(__file__).parents[2] / "data" / "overlap"
ONE = {"structures": {"LV": 1}}
DISTANCES = ["hd_mm", "hd95_max_mm", "hd95_pooled_mm", "assd_pooled_mm", "assd_mean_mm"]
REFERENCE = pd.read_csv(DATA / "reference.csv", index_col="pair")


@pytest.fixture(scope="module")
def stored():
    with np.load(DATA / "pairs.npz") as arrays:
        return dict(arrays)


def row_of(mask, reference, spacing_mm, **options):
    table = compare_masks(mask, reference, **ONE, spacing_mm=spacing_mm, **options)
    return table.loc["LV"]


def squares(inner=3, outer=7, size=9):
    """Return a square and a larger one around it, of one slice."""
    arrays = np.zeros((2, size, size), np.uint8)
    for array, side in zip(arrays, (inner, outer), strict=True):
        start = (size - side) // 2
        array[start : start + side, start : start + side] = 1
    return arrays


@pytest.mark.parametrize("pair", REFERENCE.index)
def test_values_are_those_of_medpy_and_monai(pair, stored):
    mask, reference, spacing = (
        stored[f"{name}_{pair}"] for name in ("mask", "reference", "spacing")
    )
    ours, theirs = row_of(mask, reference, spacing), REFERENCE.loc[pair]
    if ours["state"] != "both":
        assert theirs["kind"] == ours["state"]
        return
    for column in REFERENCE.columns.drop("kind"):
        if column == "monai_hd95_max_mm":
            continue  # its rank is rounded to float32; the one in float64 is beside it
        metric = column.partition("_")[2].split()[0]
        # MedPy is float64 and agrees to the last digits; MONAI adds up float32
        tolerance = 1e-12 if column.startswith("medpy") else 5e-7
        wanted = pytest.approx(theirs[column], rel=tolerance, abs=tolerance)
        assert ours[metric] == wanted, column


def test_the_stored_pairs_have_every_metric_and_kind():
    n = REFERENCE.drop(columns="kind").notna().sum()
    assert (n[n.index.str.startswith("medpy")] == 55).all()
    assert REFERENCE["kind"].value_counts().eq(5).all()
    # the variants differ, so that none can stand for the other
    gap = REFERENCE["medpy_assd_mean_mm"] - REFERENCE["medpy_assd_pooled_mm"]
    assert (gap.abs() > 1e-3).sum() > 20


def test_a_square_in_a_square_has_the_distances_counted_by_hand():
    found = row_of(*squares(), (1.0, 1.0))
    # the ring of the inner one is 2 from the outer; of the outer ring 12 pixels are 2
    # from the inner, 8 are sqrt(5) and the 4 corners sqrt(8)
    outer = 12 * 2 + 8 * np.sqrt(5) + 4 * np.sqrt(8)
    wanted = {
        "dice": 2 * 9 / (9 + 49),
        "jaccard": 9 / 49,
        "hd_mm": np.sqrt(8),
        "hd95_max_mm": np.sqrt(8),
        "hd95_pooled_mm": np.sqrt(8),
        "assd_pooled_mm": (8 * 2 + outer) / (8 + 24),
        "assd_mean_mm": (2 + outer / 24) / 2,
        "nsd": (8 + 12) / (8 + 24),
        "area_mm2": 9,
        "reference_area_mm2": 49,
        "area_difference_mm2": -40,
        "area_difference_percent": -100 * 40 / 49,
    }
    assert found.drop("state").to_dict() == pytest.approx(wanted, rel=1e-12)
    assert found["state"] == "both"
    wider = row_of(*squares(), (1.0, 1.0), tolerance_mm=2.3)
    assert wider["nsd"] == pytest.approx((8 + 20) / 32, rel=1e-12)


def test_single_voxels_are_their_distance_in_mm_apart():
    mask, reference = np.zeros((2, 5, 6, 7), np.uint8)
    mask[0, 1, 2], reference[3, 1, 6] = 1, 1
    found = row_of(mask, reference, (2.5, 1.0, 0.5))
    wanted = np.hypot(3 * 2.5, 4 * 0.5)
    np.testing.assert_allclose(found[DISTANCES].astype(float), wanted, rtol=1e-12)
    assert found[["dice", "jaccard", "nsd"]].tolist() == [0, 0, 0]
    assert found["volume_mm3"] == 2.5 * 1.0 * 0.5


def test_equal_masks_agree(rng):
    mask = (rng.random((6, 7, 8)) < 0.4).astype(np.uint8)
    found = row_of(mask, mask, (3.0, 0.9, 0.9))
    assert found[["dice", "jaccard", "nsd"]].tolist() == [1, 1, 1]
    assert (found[DISTANCES] == 0).all()
    assert found["volume_difference_percent"] == 0


def test_a_speck_far_away_moves_what_it_should():
    reference = np.zeros((12, 60, 60), np.uint8)
    reference[4:8, 10:30, 10:30] = 1
    mask = reference.copy()
    mask[11, 59, 59] = 1
    found = row_of(mask, reference, (1, 1, 1))
    assert found["hd_mm"] == pytest.approx(np.sqrt(4**2 + 30**2 + 30**2), rel=1e-12)
    assert found["hd95_max_mm"] == found["hd95_pooled_mm"] == 0


def test_structures_do_not_depend_on_each_other(rng):
    structures = {"RV": 7, "MYO": 2, "LV": 300}
    arrays = [
        rng.choice([0, 7, 2, 300], (5, 8, 9), p=[0.7, 0.1, 0.1, 0.1]) for _ in range(2)
    ]
    together = compare_masks(*arrays, structures=structures, spacing_mm=(4, 1, 1))
    assert together.index.tolist() == ["RV", "MYO", "LV"]
    for name, label in structures.items():
        alone = [(array == label).astype(np.uint8) for array in arrays]
        one = compare_masks(*alone, structures={name: 1}, spacing_mm=(4, 1, 1))
        pd.testing.assert_series_equal(one.loc[name], together.loc[name])


def test_exchanged_masks_have_the_same_distances(rng):
    mask, reference = (rng.random((2, 6, 9, 9)) < 0.2).astype(np.uint8)
    there, back = (
        row_of(*pair, (2, 1, 1)) for pair in ((mask, reference), (reference, mask))
    )
    symmetric = ["dice", "jaccard", *DISTANCES, "nsd"]
    # means of the two directions are added in another order
    assert there[symmetric].to_dict() == pytest.approx(
        back[symmetric].to_dict(), rel=1e-12
    )
    assert there["volume_difference_mm3"] == -back["volume_difference_mm3"] != 0


def test_exchanged_axes_and_a_larger_image_change_nothing(rng):
    mask, reference = (rng.random((2, 6, 9, 8)) < 0.2).astype(np.uint8)
    wanted = row_of(mask, reference, (3, 1, 2)).drop("state").to_dict()
    turned = row_of(mask.T, reference.T, (2, 1, 3)).drop("state").to_dict()
    assert turned == pytest.approx(wanted, rel=1e-12)
    larger = [np.pad(one, ((2, 5), (3, 0), (0, 7))) for one in (mask, reference)]
    assert row_of(*larger, (3, 1, 2)).drop("state").to_dict() == wanted


def test_nothing_given_is_changed():
    mask, reference = squares()
    mask.flags.writeable = reference.flags.writeable = False
    row_of(mask, reference, [1.0, 1.0])


@pytest.mark.parametrize(
    ("filled", "state", "overlap"),
    [
        ((False, True), "mask_empty", 0.0),
        ((True, False), "reference_empty", 0.0),
        ((False, False), "both_empty", np.nan),
    ],
)
def test_empty_masks_have_a_stated_result(filled, state, overlap):
    pair = np.zeros((2, 4, 5, 6), np.uint8)
    for array, full in zip(pair, filled, strict=True):
        array[1:3, 1:3, 1:3] = full
    found = row_of(*pair, (3, 1, 1))
    worst = row_of(*pair, (3, 1, 1), empty="worst")
    for one in (found, worst):
        np.testing.assert_array_equal(
            one[["dice", "jaccard", "nsd"]].astype(float), overlap
        )
        assert one["state"] == state
    assert found[DISTANCES].isna().all()
    diagonal = np.sqrt(12**2 + 5**2 + 6**2) if any(filled) else np.nan
    np.testing.assert_allclose(worst[DISTANCES].astype(float), diagonal, rtol=1e-12)
    volumes = found[["volume_mm3", "reference_volume_mm3"]].tolist()
    assert volumes == [24.0 * full for full in filled]
    percent = found["volume_difference_percent"]
    assert percent == -100 if state == "mask_empty" else np.isnan(percent)


def test_a_result_carries_its_definitions():
    table = compare_masks(*squares(), **ONE, spacing_mm=(1, 1), tolerance_mm=1.5)
    definitions = table.attrs["definitions"]
    assert list(definitions) == [name for name in table if name != "state"]
    assert "within 1.5 mm" in definitions["nsd"]
    assert definitions["hd95_max_mm"] != definitions["hd95_pooled_mm"]
    assert definitions.items() - METRICS.items() == {("nsd", definitions["nsd"])}
    assert table.attrs["empty"] == "nan"
    assert pd.concat([table, table]).attrs == table.attrs


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"reference": np.zeros((9, 8), int)}, GeometryError, r"\(9, 9\), the ref"),
        ({"mask": np.zeros((9, 9))}, SchemaError, "mask is of type float64"),
        ({"reference": np.zeros((9, 9))}, SchemaError, "reference is of type float64"),
        ({"spacing_mm": (1, -1)}, GeometryError, "Give 2 positive numbers"),
        ({"spacing_mm": (1, 1, 1)}, GeometryError, "Give 2 positive numbers"),
        ({"structures": {"LV": 1, "RV": 1}}, SchemaError, "a whole label of its own"),
        ({"structures": {"LV": 3}}, SchemaError, "the mask holds the label 1, which"),
        (
            {"reference": np.full((9, 9), 4)},
            SchemaError,
            r"the reference holds the label 4.*unknown labels of both: \[4\]",
        ),
        ({"tolerance_mm": -1}, ValueError, "tolerance_mm is -1"),
        ({"tolerance_mm": np.nan}, ValueError, "tolerance_mm is nan"),
        ({"empty": "worse"}, ValueError, "did you mean 'worst'"),
    ],
)
def test_bad_input_is_named(change, error, message):
    mask, reference = squares()
    given = {"mask": mask, "reference": reference, "spacing_mm": (1, 1)} | ONE | change
    with pytest.raises(error, match=message):
        compare_masks(**given)


@pytest.fixture
def four_cases():
    """Return two that agree, one not segmented, one in neither."""
    full, none = np.ones((2, 3), np.uint8), np.zeros((2, 3), np.uint8)
    half = full.copy()
    half[:, 2] = 0
    pairs = (full, full), (half, full), (none, full), (none, none)
    options = ONE | {"spacing_mm": (1.0, 1.0)}
    return pd.concat([compare_masks(*pair, **options) for pair in pairs])


def test_every_mean_has_its_n_and_the_empties_beside_it(four_cases):
    found = summarize_overlap(four_cases).set_index("metric")
    dice, hd = found.loc["dice"], found.loc["hd_mm"]
    # 2 * 4 / (4 + 6) = 0.8, and 0 where the mask is empty
    assert dice[["mean", "median", "n"]].tolist() == pytest.approx([0.6, 0.8, 3])
    assert dice["sd"] == pytest.approx(np.std([1, 0.8, 0], ddof=1), rel=1e-12)
    assert hd[["mean", "n"]].tolist() == [0.5, 2]
    counts = ["n_rows", "both_empty", "mask_empty", "reference_empty", "failed"]
    assert (found[counts] == [4, 1, 1, 0, 0]).all(axis=None)
    np.testing.assert_allclose(found["percent_not_segmented"], 100 / 3, rtol=1e-12)
    assert found.loc["nsd", "definition"] == four_cases.attrs["definitions"]["nsd"]


def test_groups_are_those_of_a_column(four_cases):
    phases = four_cases.assign(phase=["ED", "ES", "ES", "ED"])
    found = summarize_overlap(phases, by="phase")
    dice = found[found["metric"] == "dice"].set_index("phase")
    assert dice["mean"].to_dict() == pytest.approx({"ED": 1.0, "ES": 0.4})
    assert dice["both_empty"].to_dict() == {"ED": 1, "ES": 0}
    assert dice.loc["ED", "percent_not_segmented"] == 0


def test_without_a_reference_nothing_can_be_missed():
    none = np.zeros((2, 3), np.uint8)
    table = compare_masks(none, none, **ONE, spacing_mm=(1, 1))
    found = summarize_overlap(table).set_index("metric")
    assert found["percent_not_segmented"].isna().all()
    assert found.loc["dice", "n"] == 0
    assert np.isnan(found.loc["dice", "mean"])


def test_a_table_without_groups_or_metrics_is_refused(four_cases):
    with pytest.raises(SchemaError, match=r"lacks \['phase'\]"):
        summarize_overlap(four_cases, by="phase")
    with pytest.raises(SchemaError, match="lacks metrics"):
        summarize_overlap(four_cases[["state"]])
