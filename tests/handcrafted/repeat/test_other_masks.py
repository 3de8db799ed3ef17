"""Stability over given masks: volumes are drawn, so that coefficients are known."""

import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Cohort, simulate
from radlatent.errors import CohortError, SchemaError
from radlatent.fusion import Preparation, aggregate
from radlatent.fusion.steps.filters import StableColumns
from radlatent.handcrafted import extract
from radlatent.handcrafted.repeat.agreement import icc, quality_tiers
from radlatent.handcrafted.repeat.other_masks import stability_between
from radlatent.imaging import Volume, read_volume, write_volume

SPACING_MM = (3.0, 2.0, 2.0)
VOLUME = "mr_handcrafted__original_shape_VoxelVolume"
MEAN = "mr_handcrafted__original_firstorder_Mean"
SETTINGS = {
    "featureClass": {"shape": ["VoxelVolume"], "firstorder": ["Mean"]},
    "setting": {"binCount": 16},
}
CARD = "name: drawn\nmodalities: {mr: {unit: arbitrary, preset: mr}}\n"

#: Voxels of structures A and B of each patient, and what readers add to all of them.
SIZES = {
    "A": {"p1": 150, "p2": 180, "p3": 240, "p4": 170},
    "B": {"p1": 350, "p2": 330, "p3": 360, "p4": 390},
}
ADDED = {"B1": 10, "B2": -20}
ALL_ADDED = (0, *ADDED.values())


def labels_of(n_voxels):
    """Return labels 1, 2, ... with so many voxels each."""
    labels = np.zeros((5 * len(n_voxels) + 1, 12, 12), np.uint8)
    for number, n in enumerate(n_voxels):
        part = np.zeros(400, np.uint8)
        part[:n] = number + 1
        labels[5 * number + 1 : 5 * number + 5, 1:-1, 1:-1] = part.reshape(4, 10, 10)
    return labels


def write_masks(folder, sizes, added=0):
    """Write the mask of each patient, and return their paths."""
    paths = {}
    for patient in sizes["A"]:
        labels = labels_of([of[patient] + added for of in sizes.values()])
        paths[patient] = folder / f"{patient}_mask.nii.gz"
        write_volume(Volume(labels, SPACING_MM), paths[patient])
    return paths


def write_drawn(folder, sizes, timepoints=("",)):
    """Write and read a cohort of structures of known sizes."""
    generator = np.random.default_rng(0)
    rows = []
    for patient, mask in write_masks(folder, sizes).items():
        image = folder / f"{patient}_image.nii.gz"
        shape = labels_of([1] * len(sizes)).shape
        write_volume(Volume(generator.normal(100, 10, shape), SPACING_MM), image)
        rows += [
            {
                "case_id": f"{patient}{timepoint}_{structure}",
                "patient_id": patient,
                "lesion_id": structure,
                "timepoint": timepoint,
                "image_mr": image.name,
                "mask": mask.name,
                "mask_label": number,
            }
            for timepoint in timepoints
            for number, structure in enumerate(sizes, start=1)
        ]
    pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
    (folder / "cohort.yml").write_text(CARD, "utf-8")
    return Cohort.read(folder)


def derive(cohort, folder, name, sizes=SIZES, added=0):
    """Return the cohort under the masks of a reader who adds voxels to each lesion."""
    paths = write_masks(folder / name, sizes, added)
    masks = cohort.included["patient_id"].map(paths)
    return cohort.with_masks(masks, name=name, made_by={"name": "reader"})


def rows_of(table, feature=VOLUME):
    return table[table["feature"] == feature].set_index("icc")


def added_to_all(n_voxels, added=ALL_ADDED):
    """Return ICC(2,1) and CV where each mask adds as much to every lesion.

    There is no error then: MS of cases is k var(cases), of masks n var(masks).
    """
    of_cases, of_masks = np.var(n_voxels, ddof=1), np.var(added, ddof=1)
    mean = np.mean(n_voxels) + np.mean(added)
    return of_cases / (of_cases + of_masks), np.sqrt(of_masks) / mean


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return write_drawn(tmp_path_factory.mktemp("drawn"), SIZES)


@pytest.fixture(scope="module")
def readers(drawn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("readers")
    return [derive(drawn, folder, name, added=more) for name, more in ADDED.items()]


@pytest.fixture(scope="module")
def of_readers(drawn, readers):
    return stability_between(drawn, readers, settings=SETTINGS)


def test_volumes_have_the_coefficients_that_were_drawn(of_readers, drawn):
    found = rows_of(of_readers.table)
    agreement, cv = added_to_all([n for of in SIZES.values() for n in of.values()])
    assert found.loc["ICC(2,1)", "estimate"] == pytest.approx(agreement, rel=1e-12)
    assert found.loc["ICC(3,1)", "estimate"] == pytest.approx(1.0, rel=1e-12)
    assert found["cv"].to_numpy() == pytest.approx(cv, rel=1e-12)
    assert (found["n"] == 8).all()
    assert (found["k"] == 3).all()
    assert found.loc["ICC(2,1)", "lower"] < agreement < found.loc["ICC(2,1)", "upper"]
    volumes = of_readers.features.set_index(["case_id", "masks"])[VOLUME]
    n_voxels = volumes["p3_A"] / np.prod(SPACING_MM)
    assert n_voxels.to_dict() == {"drawn": 240, "B1": 250, "B2": 220}
    assert of_readers.failures.empty


def test_the_table_is_that_of_icc(of_readers):
    ratings = of_readers.features[["case_id", "masks", VOLUME, MEAN]]
    expected = icc(ratings, rater="masks").sort_values(["feature", "icc"])
    found = of_readers.table.drop(columns="cv").sort_values(["feature", "icc"])
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), expected.reset_index(drop=True)
    )


def test_structures_apart_are_less_stable_than_mixed(of_readers, drawn, readers):
    apart = stability_between(drawn, readers, settings=SETTINGS, by="lesion_id")
    assert apart.table.columns[0] == "lesion_id"
    mixed = rows_of(of_readers.table).loc["ICC(2,1)", "estimate"]
    for structure, sizes in SIZES.items():
        table = apart.table[apart.table["lesion_id"] == structure]
        agreement, cv = added_to_all([*sizes.values()])
        found = rows_of(table).loc["ICC(2,1)"]
        assert found["estimate"] == pytest.approx(agreement, rel=1e-12)
        assert found["cv"] == pytest.approx(cv, rel=1e-12)
        assert found["n"] == 4
        assert found["estimate"] < mixed
    counted = apart.summary
    assert counted.columns[:3].tolist() == ["lesion_id", "block", "icc"]
    assert len(counted) == 4
    assert (counted.iloc[:, 3:].sum(axis=1) == 2).all()


def test_copies_of_the_mask_agree_exactly(drawn, tmp_path):
    copies = [derive(drawn, tmp_path, name) for name in ("one", "two", "three")]
    table = stability_between(drawn, copies, settings=SETTINGS).table
    assert (table[["estimate", "lower", "upper"]] == 1.0).all(axis=None)
    assert (table["cv"] == 0.0).all()


def test_the_order_of_the_alternatives_does_not_matter(of_readers, drawn, readers):
    found = stability_between(drawn, readers[::-1], settings=SETTINGS)
    # sums in another order
    pd.testing.assert_frame_equal(found.table, of_readers.table, rtol=1e-12)
    swapped = stability_between(readers[0], [drawn, readers[1]], settings=SETTINGS)
    pd.testing.assert_frame_equal(swapped.table, of_readers.table, rtol=1e-12)


def test_a_mask_that_fails_leaves_its_row_and_a_reason(drawn, readers, tmp_path):
    smaller = {key: dict(of) for key, of in SIZES.items()}
    smaller["A"]["p2"] = 0
    broken = derive(drawn, tmp_path, "broken", sizes=smaller)
    found = stability_between(drawn, [readers[0], broken], settings=SETTINGS)
    rows = found.features.set_index(["case_id", "masks"])
    assert len(rows) == 24
    assert rows.loc[("p2_A", "broken")].isna().all()
    assert rows.drop(("p2_A", "broken")).notna().all(axis=None)
    failure = found.failures.iloc[0]
    assert len(found.failures) == 1
    assert failure["case_id"] == "p2_A"
    assert failure["stage"] == "stability mr"
    assert failure["error"] == "EmptyMaskError"
    assert failure["message"].startswith("masks 'broken': case 'p2_A': no voxel of")
    assert (found.table["n"] == 7).all()
    sizes = [n for key, of in SIZES.items() for p, n in of.items() if key + p != "Ap2"]
    agreement, cv = added_to_all(sizes, added=(0, 10, 0))
    row = rows_of(found.table).loc["ICC(2,1)"]
    assert row["estimate"] == pytest.approx(agreement, rel=1e-12)
    assert row["cv"] == pytest.approx(cv, rel=1e-12)
    assert repr(found) == (
        "MaskStability(8 cases, 3 masks each, 2 features, 1 cases failed)"
    )


def test_a_case_may_lack_a_modality(tiny_folder):
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases.loc[0, ["image_pet", "mask_pet"]] = ""
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    cohort = Cohort.read(tiny_folder)
    copied = tiny_folder / "copied.nii.gz"
    copied.write_bytes(cohort.files("p2", "pet")[1].read_bytes())
    masks = pd.DataFrame({"mask_pet": {"p2": copied}})
    other = cohort.with_masks(masks, name="copied", made_by={"name": "a copy"})
    shape = {"featureClass": {"shape": ["VoxelVolume"]}}
    found = stability_between(cohort, [other], settings=shape)
    assert found.failures.empty
    n = found.table.set_index("feature")["n"]
    assert set(n.filter(like="pet_")) == {2}
    assert set(n.filter(like="ct_")) == {3}


def test_the_cache_is_that_of_extract(drawn, readers, tmp_path):
    options = {"settings": SETTINGS, "cache": tmp_path}
    one = extract(readers[0], **options).features
    assert len(list(tmp_path.rglob("*.json"))) == 8
    found = stability_between(drawn, readers[:1], **options)
    assert len(list(tmp_path.rglob("*.json"))) == 16
    rows = found.features[found.features["masks"] == "B1"]
    rows = rows.set_index("case_id").drop(columns="masks")
    pd.testing.assert_frame_equal(rows, one, check_exact=True)
    stability_between(drawn, readers[:1], **options)
    assert len(list(tmp_path.rglob("*.json"))) == 16


def test_folders_of_derived_cohorts_are_measured_alike(of_readers, drawn, tmp_path):
    folders = []
    for name, more in ADDED.items():
        derived = derive(drawn, tmp_path / "masks", name, added=more)
        folders.append(derived.write(tmp_path / name))
    found = stability_between(drawn.write(tmp_path / "own"), folders, settings=SETTINGS)
    pd.testing.assert_frame_equal(found.table, of_readers.table)
    assert found.alternatives["made_by"].to_dict() == {
        "drawn": "",
        "B1": "reader",
        "B2": "reader",
    }
    assert found.alternatives["key"].is_unique


def test_a_pivot_is_filtered_by_the_names_it_has(tmp_path):
    cohort = write_drawn(tmp_path / "cohort", SIZES, timepoints=("ED", "ES"))
    worse = {key: dict(of) for key, of in SIZES.items()}
    # volumes of A in another order between patients
    worse["A"] = dict(zip(worse["A"], (240, 170, 150, 180), strict=True))
    other = derive(cohort, tmp_path, "other", sizes=worse)
    found = stability_between(cohort, [other], settings=SETTINGS)
    table = found.pivoted
    pivot = aggregate(extract(cohort, settings=SETTINGS).features, cohort.cases)
    assert set(table["feature"]) == set(pivot)
    assert (table["n"] == 4).all()
    kept = StableColumns(table).fit(pivot).get_feature_names_out()
    assert f"{VOLUME}__B_ED" in kept
    assert f"{VOLUME}__A_ED" not in kept
    assert Preparation(stability=table).stability is table


def test_a_pivot_of_one_lesion_has_plain_names(tmp_path):
    cohort = write_drawn(tmp_path / "cohort", {"A": SIZES["A"]})
    other = derive(cohort, tmp_path, "other", sizes={"A": SIZES["A"]}, added=5)
    found = stability_between(cohort, [other], settings=SETTINGS)
    pd.testing.assert_frame_equal(found.pivoted, found.table)


def test_tiers_tell_good_masks_from_bad_ones(drawn, tmp_path):
    # readers agree on p3 and p4 alone
    changed = {
        key: {p: n + (40 if p in ("p1", "p2") else 0) for p, n in of.items()}
        for key, of in SIZES.items()
    }
    other = derive(drawn, tmp_path, "other", sizes=changed)
    found = stability_between(drawn, [other], settings=SETTINGS)
    dice = drawn.included["patient_id"].map({"p1": 0.5, "p2": 0.6, "p3": 0.9, "p4": 1})
    tiers = quality_tiers(dice, n_tiers=2)
    table = found.by_tier(tiers)
    assert table["tier"].unique().tolist() == ["low", "high"]
    high = rows_of(table[table["tier"] == "high"])
    assert high["estimate"].tolist() == [1.0, 1.0]
    assert high["cv"].tolist() == [0.0, 0.0]
    low = rows_of(table[table["tier"] == "low"])
    agreement, cv = added_to_all([150, 180, 350, 330], added=(0, 40))
    assert low.loc["ICC(2,1)", "estimate"] == pytest.approx(agreement, rel=1e-12)
    assert low.loc["ICC(2,1)", "cv"] == pytest.approx(cv, rel=1e-12)
    some = found.by_tier(tiers[tiers == "high"])
    assert some["tier"].unique().tolist() == ["high"]


@pytest.mark.parametrize(
    ("tiers", "match"),
    [
        ({"p9_A": "high"}, r"1 cases are not known: \['p9_A'\]"),
        ({"p1_A": None}, "0 have a tier"),
    ],
)
def test_tiers_of_other_cases_are_refused(of_readers, tiers, match):
    with pytest.raises(SchemaError, match=match):
        of_readers.by_tier(pd.Series(tiers, dtype=object))


def test_alternatives_of_another_cohort_are_refused(drawn, readers, tmp_path):
    elsewhere = write_drawn(tmp_path / "twin", SIZES)
    twin = derive(elsewhere, tmp_path / "masks", "twin")
    fewer = write_drawn(tmp_path / "fewer", {"A": SIZES["A"]})
    fewer = derive(fewer, tmp_path / "masks", "fewer", sizes={"A": SIZES["A"]})
    with pytest.raises(CohortError) as caught:
        stability_between(drawn, [twin, fewer, readers[0], readers[0]])
    for expected in (
        "the names ['B1'] occur more than once",
        "'twin' has other images in 8 cases ['p1_A', 'p1_B', 'p2_A']",
        "'fewer' lacks 4 included cases ['p1_B', 'p2_B', 'p3_B'] and has 0 others",
        "cohort.with_masks",
    ):
        assert expected in str(caught.value)


def test_a_cohort_of_other_modalities_is_refused(drawn, tiny_cohort):
    with pytest.raises(CohortError, match="'tiny' lacks 8 included cases"):
        stability_between(drawn, [tiny_cohort])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"alternatives": []}, "there is no alternative"),
        ({"by": "lesion"}, "did you mean 'lesion_id'"),
    ],
)
def test_misuse_is_refused(drawn, readers, options, match):
    with pytest.raises(SchemaError, match=match):
        stability_between(drawn, **{"alternatives": readers} | options)


@pytest.mark.slow
def test_processes_give_what_one_gives(of_readers, drawn, readers):
    there = stability_between(drawn, readers, settings=SETTINGS, jobs=2)
    pd.testing.assert_frame_equal(there.features, of_readers.features, check_exact=True)


@pytest.mark.slow
def test_textures_of_simulated_lesions_suffer_where_masks_shrink(tmp_path):
    cohort = simulate(tmp_path / "cohort", n_patients=4)
    paths = {}
    for case_id in cohort.included.index:
        for modality in cohort.modalities:
            mask = read_volume(cohort.files(case_id, modality)[1])
            inside = mask.array * (np.roll(mask.array, 1, axis=1) == mask.array)
            path = tmp_path / "new" / f"{case_id}_{modality}.nii.gz"
            write_volume(mask.with_array(inside), path)
            paths.setdefault(f"mask_{modality}", {})[case_id] = path
    made_by = {"name": "shaved"}
    other = cohort.with_masks(pd.DataFrame(paths), name="shaved", made_by=made_by)
    settings = {"featureClass": {"glcm": ["Idm"]}, "setting": {"binCount": 16}}
    found = stability_between(cohort, [other], settings=settings)
    assert found.failures.empty
    assert found.table["estimate"].between(0, 0.9999).all()
    assert (found.table["cv"] > 0).all()
