import numpy as np
import pandas as pd
import pytest
from scipy import stats

from radlatent.errors import SchemaError
from radlatent.fusion import aggregate, fractional_decrease

VOLUME = "ct_handcrafted__original_shape_VoxelVolume"
MEAN = "ct_handcrafted__original_firstorder_Mean"


def cohort(rows):
    """Return features and cases; a row is patient, lesion, timepoint, volume, mean."""
    table = pd.DataFrame(
        rows, columns=["patient_id", "lesion_id", "timepoint", VOLUME, MEAN]
    )
    table.index = pd.Index([f"c{i}" for i in range(len(rows))], name="case_id")
    cases = table[["patient_id", "lesion_id", "timepoint"]].assign(exclude=False)
    return table[[VOLUME, MEAN]].astype(float), cases


@pytest.fixture
def lesions():
    """Two lesions of patient a, one of them in b, no timepoints."""
    return cohort(
        [("a", "2", None, 10, 1), ("a", "1", None, 30, 5), ("b", "1", None, 20, 7)]
    )


def test_pivot_gives_every_lesion_its_columns(lesions):
    table = aggregate(*lesions)
    assert list(table) == [f"{VOLUME}__2", f"{MEAN}__2", f"{VOLUME}__1", f"{MEAN}__1"]
    assert table.index.name == "patient_id"
    assert table.loc["a"].tolist() == [10, 1, 30, 5]
    np.testing.assert_array_equal(table.loc["b"], [np.nan, np.nan, 20, 7])


def test_largest_takes_the_row_of_the_largest_lesion(lesions):
    table = aggregate(*lesions, how="largest")
    assert list(table) == [VOLUME, MEAN]
    assert table.to_numpy().tolist() == [[30, 5], [20, 7]]


def test_volume_weighted_mean_is_weighted(lesions):
    table = aggregate(*lesions, how="volume_weighted_mean")
    assert table[MEAN].tolist() == [(10 * 1 + 30 * 5) / 40, 7]


def test_volume_weighted_mean_leaves_out_missing_values_with_their_weight(lesions):
    features, cases = lesions
    features.loc["c1", MEAN] = np.nan
    table = aggregate(features, cases, how="volume_weighted_mean")
    assert table[MEAN].tolist() == [1, 7]
    assert table.loc["a", VOLUME] == (10**2 + 30**2) / 40


def test_failed_lesion_takes_no_part_in_mean_and_largest(lesions):
    features, cases = lesions
    features.loc["c1"] = np.nan
    features.loc["c2"] = np.nan
    for how in ("largest", "volume_weighted_mean"):
        table = aggregate(features, cases, how=how)
        assert table.loc["a"].tolist() == [10, 1]
        assert table.loc["b"].isna().all()


def test_sum_adds_and_a_missing_lesion_is_no_zero(lesions):
    features, cases = lesions
    assert aggregate(features, cases, how="sum")[VOLUME].tolist() == [40, 20]
    features.loc["c0", VOLUME] = np.nan
    table = aggregate(features, cases, how="sum")
    assert np.isnan(table.loc["a", VOLUME])
    assert table.loc["a", MEAN] == 6


@pytest.fixture
def heart():
    """Two structures at two timepoints, one cell of patient b missing."""
    rows = [
        (p, s, t, v, 0)
        for p, scale in (("a", 1), ("b", 2))
        for s, t, v in (("LV", "ED", 120), ("LV", "ES", 48), ("RV", "ED", 100))
        for v in [v * scale]
    ]
    return cohort(rows[:-1])


def test_pivot_appends_lesion_and_timepoint(heart):
    table = aggregate(*heart)
    expected = [f"{VOLUME}__{cell}" for cell in ("LV_ED", "LV_ES", "RV_ED")]
    assert list(table)[::2] == expected
    assert np.isnan(table.loc["b", f"{VOLUME}__RV_ED"])


def test_other_modes_append_the_timepoint(heart):
    table = aggregate(*heart, how="sum")
    assert table.loc["a", f"{VOLUME}__ED"] == 220
    assert table.loc["b", f"{VOLUME}__ED"] == 240
    assert table.loc["a", f"{VOLUME}__ES"] == 48


def test_one_lesion_and_one_timepoint_append_nothing():
    table = aggregate(*cohort([("a", None, "ED", 1, 2), ("b", None, "ED", 3, 4)]))
    assert list(table) == [VOLUME, MEAN]


def test_excluded_case_is_dropped_even_without_features(lesions):
    features, cases = lesions
    cases.loc["c0", "exclude"] = True
    table = aggregate(features.drop("c0"), cases)
    assert list(table) == [VOLUME, MEAN]


def test_order_of_features_rows_does_not_matter(heart):
    features, cases = heart
    for how in ("pivot", "sum", "largest", "volume_weighted_mean"):
        pd.testing.assert_frame_equal(
            aggregate(features[::-1], cases, how=how),
            aggregate(features, cases, how=how),
        )


def test_two_cases_in_one_cell_are_named():
    features, cases = cohort([("a", "1", None, 1, 1), ("a", "1", None, 2, 2)])
    with pytest.raises(SchemaError, match=r"same patient.*\['c0', 'c1'\]"):
        aggregate(features, cases)


def test_cases_and_features_must_match(lesions):
    features, cases = lesions
    with pytest.raises(SchemaError, match=r"1 cases have no .*\['c0'\]"):
        aggregate(features.drop("c0"), cases)
    with pytest.raises(SchemaError, match=r"1 features rows have no .*\['c0'\]"):
        aggregate(features, cases.drop("c0"))


def test_partly_missing_timepoint_is_refused(lesions):
    features, cases = lesions
    cases.loc["c0", "timepoint"] = "ED"
    with pytest.raises(SchemaError, match="'timepoint' is missing in 2 cases"):
        aggregate(features, cases)


def test_volume_must_be_one_column(lesions):
    features, cases = lesions
    two = features.assign(pet_handcrafted__original_shape_VoxelVolume=[99.0, 1, 1])
    with pytest.raises(SchemaError, match="2 columns could be the volume"):
        aggregate(two, cases, how="largest")
    named = "pet_handcrafted__original_shape_VoxelVolume"
    assert aggregate(two, cases, how="largest", volume=named)[MEAN].tolist() == [1, 7]
    with pytest.raises(SchemaError, match="did you mean 'ct_handcrafted__orig"):
        aggregate(features, cases, how="largest", volume=VOLUME[:-1])


def test_mesh_volume_serves_where_voxel_volume_is_absent(lesions):
    features, cases = lesions
    mesh = features.rename(columns={VOLUME: VOLUME.replace("Voxel", "Mesh")})
    assert aggregate(mesh, cases, how="largest")[MEAN].tolist() == [5, 7]


def test_unknown_how_lists_the_options(lesions):
    with pytest.raises(SchemaError, match="'pivot', 'largest'"):
        aggregate(*lesions, how="mean")


def test_patient_table_is_refused(lesions):
    with pytest.raises(SchemaError, match="of patients already"):
        aggregate(aggregate(*lesions), lesions[1])


EJECTION = {"feature": VOLUME, "lesion_id": "LV", "first": "ED", "last": "ES"}


def test_fractional_decrease_is_the_ejection_fraction(heart):
    fraction = fractional_decrease(*heart, **EJECTION)
    assert fraction.to_dict() == {"a": 0.6, "b": 0.6}
    assert fraction.index.name == "patient_id"


def test_fractional_decrease_is_missing_without_a_timepoint(heart):
    features, cases = heart
    features.loc["c0", VOLUME] = 0.0
    fraction = fractional_decrease(features.drop("c4"), cases.drop("c4"), **EJECTION)
    assert fraction.isna().tolist() == [True, True]


def test_fractional_decrease_names_the_nearest(heart):
    with pytest.raises(SchemaError, match=r"last='EZ' is not .*'ED', 'ES'"):
        fractional_decrease(*heart, **EJECTION | {"last": "EZ"})


PET = "pet_handcrafted__original_firstorder_Maximum"


@pytest.fixture
def hot(lesions):
    """Return the lesions with a PET, and a block that patient b lacks."""
    features, cases = lesions
    features = features.assign(**{PET: [9.0, 4.0, 5.0], "ct_latent__mu0": [1, 2, 3]})
    features.loc["c2", "ct_latent__mu0"] = np.nan
    return features, cases


def test_hottest_takes_the_row_of_the_lesion_with_the_largest_maximum(hot):
    assert aggregate(*hot, how="hottest")[MEAN].tolist() == [1, 7]
    other = aggregate(*hot, how="hottest", intensity=MEAN)
    assert other[MEAN].tolist() == [5, 7]


def test_lesion_without_a_maximum_is_not_the_hottest(hot):
    features, cases = hot
    features.loc[["c0", "c2"], PET] = np.nan
    table = aggregate(features, cases, how="hottest")
    assert table.loc["a", MEAN] == 5
    assert table.loc["b"].isna().all()


def test_hottest_needs_one_pet(hot, lesions):
    with pytest.raises(SchemaError, match=r"0 columns could be the intensity.*ity="):
        aggregate(*lesions, how="hottest")
    two = hot[0].assign(**{PET.replace("pet_", "petlate_"): 1.0})
    with pytest.raises(SchemaError, match="2 columns could be the intensity"):
        aggregate(two, hot[1], how="hottest")
    with pytest.raises(SchemaError, match="did you mean 'pet_handcrafted"):
        aggregate(*hot, how="hottest", intensity=PET[:-1])


@pytest.mark.parametrize(
    ("statistic", "reference"),
    [("std", lambda v: np.std(v, ddof=1)), ("range", np.ptp), ("iqr", stats.iqr)],
)
def test_dispersion_is_that_of_scipy_and_numpy(statistic, reference):
    values = np.random.default_rng(1).normal(size=5)
    rows = [("a", str(i), None, i + 1, v) for i, v in enumerate(values)]
    table = aggregate(*cohort(rows), how="dispersion", statistic=statistic)
    # the same sums in another order
    expected = pytest.approx(reference(values), rel=1e-12)
    assert table.loc["a", f"{MEAN}__{statistic}"] == expected


def test_dispersion_of_one_lesion_is_missing_and_its_number_is_not(hot):
    table = aggregate(*hot, how="dispersion")
    assert table.loc["b", [f"{VOLUME}__std", f"{MEAN}__std"]].isna().all()
    assert table["ct_handcrafted__n_lesions"].tolist() == [2, 1]
    # of b nothing was measured in that block
    np.testing.assert_array_equal(table["ct_latent__n_lesions"], [2, np.nan])


def test_dispersion_leaves_out_a_lesion_without_the_value(hot):
    features, cases = hot
    features.loc["c0", MEAN] = np.nan
    table = aggregate(features, cases, how="dispersion", statistic="range")
    assert np.isnan(table.loc["a", f"{MEAN}__range"])
    assert table.loc["a", f"{VOLUME}__range"] == 20
    assert table.loc["a", "ct_handcrafted__n_lesions"] == 2


def test_dispersion_is_within_a_timepoint(heart):
    table = aggregate(*heart, how="dispersion", statistic="range")
    assert table.loc["a", f"{VOLUME}__range__ED"] == 20
    assert table["ct_handcrafted__n_lesions__ED"].tolist() == [2, 1]
    with pytest.raises(SchemaError, match="'std', 'range', 'iqr'"):
        aggregate(*heart, how="dispersion", statistic="variance")
