"""A cohort under other masks: nothing is replaced, and the folder reads back."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest

from radlatent.cohort import Cohort, check
from radlatent.errors import CohortError, SchemaError
from radlatent.imaging import Volume, read_volume, write_volume

READER = {"name": "reader B"}
VAE = {
    "name": "constrained VAE",
    "key": "5e44",
    "fitted_on": {"cohort": "tiny", "patients": ["p3", "p1"]},
}


def copy_mask(cohort, case_id, folder, modality="ct"):
    """Copy a mask of a cohort to a folder, and return where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case_id}_{modality}.nii.gz"
    shutil.copyfile(cohort.files(case_id, modality)[1], path)
    return path


def common_masks(folder):
    """Let the modalities of a cohort share one mask, on one grid."""
    cases = pd.read_csv(folder / "cases.csv", dtype=str)
    cases = cases.rename(columns={"mask_ct": "mask"}).drop(columns="mask_pet")
    cases.to_csv(folder / "cases.csv", index=False)
    card = folder / "cohort.yml"
    text = card.read_text("utf-8").replace(
        "preset: suv", "preset: suv, resample_mask: true"
    )
    card.write_text(text, "utf-8")
    return Cohort.read(folder)


def problems_of(cohort, masks, **options):
    options = {"name": "other", "made_by": READER} | options
    with pytest.raises(CohortError) as caught:
        cohort.with_masks(masks, **options)
    return caught.value.problems


def assert_same(one, other):
    """Compare two cohorts, but for the lines of their files and the layout."""
    pd.testing.assert_frame_equal(
        one.cases.drop(columns="line"), other.cases.drop(columns="line")
    )
    pd.testing.assert_frame_equal(one.patients, other.patients)
    assert one.key == other.key
    assert one.root == other.root
    texts = {"root": "", "layout": None}
    assert one.card.model_copy(update=texts) == other.card.model_copy(update=texts)


def test_named_cases_get_their_mask_and_others_keep_theirs(tiny_cohort, tmp_path):
    before = tiny_cohort.cases.copy()
    mask = copy_mask(tiny_cohort, "p2", tmp_path)
    masks = pd.DataFrame({"mask_ct": {"p2": mask}})
    derived = tiny_cohort.with_masks(masks, name="corrected", made_by=VAE)
    assert derived.name == "corrected"
    assert derived.files("p2", "ct") == (tiny_cohort.files("p2", "ct")[0], mask)
    for case_id, modality in (("p1", "ct"), ("p2", "pet"), ("p3", "ct")):
        assert derived.files(case_id, modality) == tiny_cohort.files(case_id, modality)
    assert derived.located.loc["p2", "mask_ct"] == str(mask)
    pd.testing.assert_frame_equal(tiny_cohort.cases, before)
    pd.testing.assert_frame_equal(derived.patients, tiny_cohort.patients)
    assert check(derived).problems.empty


def test_a_common_mask_takes_a_series(tiny_folder, tmp_path):
    cohort = common_masks(tiny_folder)
    assert cohort.mask_columns == ["mask"]
    mask = copy_mask(cohort, "p1", tmp_path / "new")
    derived = cohort.with_masks(pd.Series({"p1": mask}), name="B", made_by=READER)
    assert {derived.files("p1", m)[1] for m in ("ct", "pet")} == {mask}
    assert derived.files("p2", "pet") == cohort.files("p2", "pet")


def test_empty_cells_keep_the_mask(tiny_cohort, tmp_path):
    masks = pd.DataFrame(
        {"mask_ct": [copy_mask(tiny_cohort, "p1", tmp_path), None], "mask_pet": np.nan},
        index=["p1", "p2"],
    )
    derived = tiny_cohort.with_masks(masks, name="B", made_by=READER)
    changed = (
        derived.cases[["mask_ct", "mask_pet"]]
        != (tiny_cohort.cases[["mask_ct", "mask_pet"]])
    )
    assert changed.to_numpy().sum() == 1
    assert changed.loc["p1", "mask_ct"]


def test_masks_inside_the_root_are_kept_relative_to_it(tiny_folder):
    cohort = Cohort.read(tiny_folder)
    mask = copy_mask(cohort, "p1", tiny_folder / "drawn")
    for given in (mask, "drawn/p1_ct.nii.gz"):
        masks = pd.DataFrame({"mask_ct": {"p1": given}})
        derived = cohort.with_masks(masks, name="B", made_by=READER)
        assert derived.cases.loc["p1", "mask_ct"] == "drawn/p1_ct.nii.gz"
        assert derived.files("p1", "ct")[1] == mask


def test_who_made_the_masks_is_kept(tiny_cohort, tmp_path):
    masks = pd.DataFrame({"mask_ct": {"p2": copy_mask(tiny_cohort, "p2", tmp_path)}})
    derived = tiny_cohort.with_masks(masks, name="corrected", made_by=VAE)
    [step] = derived.card.derived
    assert step.source == "tiny"
    assert step.key == tiny_cohort.key
    assert step.made_by.key == "5e44"
    assert derived.masks_fitted_on == ["p1", "p3"]
    assert tiny_cohort.masks_fitted_on is None
    told = derived.card.model_dump(mode="json", by_alias=True)["derived"]
    assert told[0]["from"] == "tiny"
    assert told[0]["made_by"]["fitted_on"][0]["patients"] == ["p1", "p3"]


def test_a_second_step_does_not_forget_the_first(tiny_cohort, tmp_path):
    first = pd.DataFrame({"mask_ct": {"p2": copy_mask(tiny_cohort, "p2", tmp_path)}})
    second = pd.DataFrame(
        {"mask_ct": {"p1": copy_mask(tiny_cohort, "p1", tmp_path / "more")}}
    )
    third = pd.DataFrame(
        {"mask_ct": {"p3": copy_mask(tiny_cohort, "p3", tmp_path / "last")}}
    )
    corrected = tiny_cohort.with_masks(first, name="corrected", made_by=VAE)
    smoothed = corrected.with_masks(second, name="smoothed", made_by={"name": "median"})
    assert [step.source for step in smoothed.card.derived] == ["tiny", "corrected"]
    assert smoothed.masks_fitted_on == ["p1", "p3"]
    more = VAE | {"fitted_on": {"cohort": "corrected", "patients": ["p2"]}}
    again = corrected.with_masks(second, name="again", made_by=more)
    assert again.masks_fitted_on == ["p1", "p2", "p3"]
    with pytest.raises(SchemaError, match="'tiny' is that of the cohort itself, or of"):
        smoothed.with_masks(third, name="tiny", made_by=READER)


@pytest.mark.parametrize(
    ("cohort", "patients", "expected"),
    [
        ("camus", ["p1"], None),
        ("camus", [], None),
        ("camus, tiny", ["p9", "p1"], ["p1", "p9"]),
    ],
)
def test_only_what_was_fitted_on_this_cohort_counts(
    tiny_cohort, tmp_path, cohort, patients, expected
):
    masks = pd.DataFrame({"mask_ct": {"p2": copy_mask(tiny_cohort, "p2", tmp_path)}})
    made_by = VAE | {"fitted_on": {"cohort": cohort, "patients": patients}}
    derived = tiny_cohort.with_masks(masks, name="corrected", made_by=made_by)
    assert derived.masks_fitted_on == expected


@pytest.mark.parametrize(
    ("made_by", "match"),
    [
        ({"nam": "x"}, "unknown key 'nam'; did you mean 'name'"),
        ({"name": ""}, "name"),
        (VAE | {"fitted_on": {"cohort": "tiny"}}, "no patient is named"),
        (VAE | {"fitted_on": {"cohort": "tiny", "patients": "p1"}}, "not one text"),
    ],
)
def test_a_maker_that_does_not_tell_is_refused(tiny_cohort, tmp_path, made_by, match):
    masks = pd.DataFrame({"mask_ct": {"p2": copy_mask(tiny_cohort, "p2", tmp_path)}})
    with pytest.raises(SchemaError, match=match):
        tiny_cohort.with_masks(masks, name="corrected", made_by=made_by)


def test_every_problem_is_reported_at_once(tiny_folder, tmp_path):
    cohort = Cohort.read(tiny_folder)
    good = copy_mask(cohort, "p1", tmp_path / "new")
    own = cohort.files("p2", "ct")[1]
    masks = pd.DataFrame(
        {
            "mask_ct": [good, own, tmp_path / "nowhere.nii.gz", good, good],
            "mask_pt": good,
        },
        index=["p1", "p2", "p3", "P1", "p1"],
    )
    found = problems_of(cohort, masks)
    text = " | ".join(found["problem"])
    for expected in (
        "the cohort has no masks 'mask_pt'; did you mean 'mask_pet'?",
        "the case is named twice",
        "there is no such case; did you mean 'p1'?",
        f"{str(own)!r} is the mask p2/ct_mask.nii.gz of this cohort",
        "nowhere.nii.gz' is not there",
    ):
        assert expected in text
    assert len(found) == 5
    assert (found["remedy"] != "").all()


@pytest.mark.parametrize(
    "how", ["absolute", "relative", "detour", "symlink", "hardlink"]
)
@pytest.mark.parametrize("owner", ["p1", "p2"])
def test_a_mask_of_the_cohort_is_never_taken_for_a_new_one(
    tiny_folder, tmp_path, how, owner
):
    cohort = Cohort.read(tiny_folder)
    original = cohort.files(owner, "ct")[1]
    path = {
        "absolute": original,
        "relative": f"{owner}/ct_mask.nii.gz",
        "detour": f"p3/../{owner}/ct_mask.nii.gz",
    }.get(how, tmp_path / "link.nii.gz")
    if how == "symlink":
        path.symlink_to(original)
    elif how == "hardlink":
        os.link(original, path)
    found = problems_of(cohort, pd.DataFrame({"mask_ct": {"p1": path}}))
    assert "of this cohort" in found["problem"].item()
    assert "never replaced" in found["remedy"].item()


def test_an_image_is_no_mask(tiny_cohort):
    image = tiny_cohort.files("p1", "ct")[0]
    found = problems_of(tiny_cohort, pd.DataFrame({"mask_ct": {"p1": image}}))
    assert "is the image p1/ct_image.nii.gz" in found["problem"].item()


def test_a_case_without_the_modality_gets_no_mask(tiny_folder, tmp_path):
    cohort = Cohort.read(tiny_folder)
    mask = copy_mask(cohort, "p1", tmp_path / "new", "pet")
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases.loc[0, ["image_pet", "mask_pet"]] = ""
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    masks = pd.DataFrame({"mask_pet": {"p1": mask}})
    found = problems_of(Cohort.read(tiny_folder), masks)
    assert "has no mask in 'mask_pet' to be replaced" in found["problem"].item()


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        (pd.Series({"p1": "x.nii.gz"}), "masks are a Series"),
        ({"p1": "x.nii.gz"}, "masks are a dict"),
        (pd.DataFrame({"mask_ct": {"p1": None}}), "not one mask is given"),
    ],
)
def test_what_is_no_table_of_masks_is_told(tiny_cohort, masks, expected):
    assert expected in problems_of(tiny_cohort, masks)["problem"].iloc[0]


def test_the_key_is_the_content_of_the_masks_and_not_their_place(tiny_cohort, tmp_path):
    here = copy_mask(tiny_cohort, "p2", tmp_path / "here")
    there = copy_mask(tiny_cohort, "p2", tmp_path / "there")

    def key(path, made_by=READER):
        masks = pd.DataFrame({"mask_ct": {"p2": path}})
        return tiny_cohort.with_masks(masks, name="B", made_by=made_by).key

    assert key(here) == key(there)
    assert key(here) != tiny_cohort.key
    assert key(here) != key(here, made_by={"name": "reader C"})
    volume = read_volume(there)
    write_volume(Volume(np.roll(volume.array, 1, 0), volume.spacing_mm), there)
    assert key(here) != key(there)


def test_a_derived_folder_reads_back(tiny_cohort, tmp_path):
    masks = pd.DataFrame({"mask_ct": {"p2": copy_mask(tiny_cohort, "p2", tmp_path)}})
    derived = tiny_cohort.with_masks(masks, name="corrected", made_by=VAE)
    folder = derived.write(tmp_path / "cohort")
    again = Cohort.read(folder)
    assert_same(again, derived)
    assert again.files("p2", "ct") == derived.files("p2", "ct")
    assert again.masks_fitted_on == ["p1", "p3"]
    assert check(folder).problems.empty
    for name in ("response", "survival"):
        pd.testing.assert_frame_equal(
            again.endpoint(name).frame, derived.endpoint(name).frame
        )


def test_excluded_cases_and_columns_of_the_user_read_back(tiny_folder, tmp_path):
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases["exclude"], cases["exclude_reason"] = ["1", "", ""], ["motion, ü", "", ""]
    cases["scanner"], cases["mask_label"] = ["007", "a, b", ""], ["1", "", "1"]
    cases["lesion_id"], cases["site"] = ["1", "2", "3"], ["A", "", "A"]
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    (tiny_folder / "p1" / "ct_mask.nii.gz").unlink()
    patients = pd.read_csv(tiny_folder / "endpoints.csv", dtype=str)
    patients["age"], patients["note"] = ["50.25", "", "7e1"], ["1.50", "", 'a "b"']
    patients.to_csv(tiny_folder / "endpoints.csv", index=False)
    cohort = Cohort.read(tiny_folder)
    again = Cohort.read(cohort.write(tmp_path / "again"))
    assert_same(again, cohort)
    assert again.flow["excluded: motion, ü"] == 1
    third = Cohort.read(again.write(tmp_path / "third"))
    for name in ("cases.csv", "endpoints.csv"):
        texts = [(tmp_path / f / name).read_bytes() for f in ("again", "third")]
        assert texts[0] == texts[1]
    assert third.key == cohort.key


def test_a_folder_that_moves_with_its_images_reads_back(tiny_folder, tmp_path):
    together = tmp_path / "together"
    together.mkdir()
    tiny_folder.rename(together / "images")
    cohort = Cohort.read(together / "images")
    cohort.write(together / "card")
    together.rename(tmp_path / "moved")
    again = Cohort.read(tmp_path / "moved" / "card")
    assert again.key == cohort.key
    assert again.files("p1", "ct")[0].is_file()


def test_a_cohort_of_a_layout_is_written_without_it(tmp_path):
    acdc(tmp_path / "acdc")
    card = tmp_path / "card"
    card.mkdir()
    text = "name: heart\nroot: ../acdc\nlayout: acdc\nmodalities: {mr: {unit: a}}\n"
    text += "endpoints: {group: {kind: class, column: group}}\ncovariates: [height]\n"
    (card / "cohort.yml").write_text(text, "utf-8")
    cohort = Cohort.read(card)
    masks = pd.Series(
        {
            case_id: copy_mask(cohort, case_id, tmp_path / "new", "mr")
            for case_id in cohort.included.index
            if "_ES_" in case_id
        }
    )
    derived = cohort.with_masks(masks, name="heart corrected", made_by=READER)
    again = Cohort.read(derived.write(tmp_path / "derived"))
    assert_same(again, derived)
    assert again.card.layout is None
    assert len(again.included) == 12
    assert again.files("patient001_ES_RV", "mr")[1].parent == tmp_path / "new"
    # nobody takes the masks of the layout for those of the derived cohort
    (tmp_path / "derived" / "cases.csv").unlink()
    with pytest.raises(CohortError, match="the file is missing"):
        Cohort.read(tmp_path / "derived")


def acdc(root):
    """Write two hearts of three structures in the layout of ACDC."""
    array = np.zeros((4, 8, 8), dtype=np.uint8)
    for label in (1, 2, 3):
        array[1:3, 2 * label - 1 : 2 * label + 1, 2:5] = label
    for number, group in ((1, "NOR"), (2, "DCM")):
        folder = root / "training" / f"patient{number:03d}"
        folder.mkdir(parents=True)
        info = f"ED: 1\nES: 2\nGroup: {group}\nHeight: 170.5\nWeight: 70.0\n"
        (folder / "Info.cfg").write_text(info, "utf-8")
        for frame in (1, 2):
            stem = folder / f"{folder.name}_frame{frame:02d}"
            write_volume(Volume(array * 10.0, (8.0, 1.5, 1.5)), f"{stem}.nii.gz")
            write_volume(Volume(array, (8.0, 1.5, 1.5)), f"{stem}_gt.nii.gz")
    return root


def test_tables_that_are_there_are_not_overwritten(tiny_cohort, tiny_folder):
    before = (tiny_folder / "cases.csv").read_bytes()
    with pytest.raises(FileExistsError, match="Move them away"):
        tiny_cohort.write(tiny_folder)
    assert (tiny_folder / "cases.csv").read_bytes() == before


def test_only_masks_of_derived_cohorts_may_lie_anywhere(tiny_cohort, tmp_path):
    mask = copy_mask(tiny_cohort, "p2", tmp_path)
    masks = pd.DataFrame({"mask_ct": {"p2": mask}})
    derived = tiny_cohort.with_masks(masks, name="B", made_by=READER)
    folder = derived.write(tmp_path / "cohort")
    cases = pd.read_csv(folder / "cases.csv", dtype=str, keep_default_na=False)
    cases.loc[0, "image_ct"] = str(tiny_cohort.files("p1", "ct")[0])
    cases.loc[2, "mask_ct"] = "../p1_ct.nii.gz"
    cases.to_csv(folder / "cases.csv", index=False)
    with pytest.raises(CohortError) as caught:
        Cohort.read(folder)
    found = caught.value.problems
    assert found["column"].tolist() == ["image_ct", "mask_ct"]
    assert found["problem"].str.contains("leaves the root").all()
    card = folder / "cohort.yml"
    plain = card.read_text("utf-8").split("derived:")[0]
    rest = "modalities:" + card.read_text("utf-8").split("modalities:")[1]
    card.write_text(plain + rest, "utf-8")
    with pytest.raises(CohortError, match="3 problems found"):
        Cohort.read(folder)


def test_a_derived_mask_that_vanished_is_told(tiny_cohort, tmp_path):
    mask = copy_mask(tiny_cohort, "p2", tmp_path)
    masks = pd.DataFrame({"mask_ct": {"p2": mask}})
    derived = tiny_cohort.with_masks(masks, name="B", made_by=READER)
    folder = derived.write(tmp_path / "cohort")
    mask.unlink()
    for where in (derived, folder):
        problem = check(where).problems.iloc[0]
        assert problem["case_id"] == "p2"
        assert f"{str(mask)!r} is not there" in problem["problem"]


def test_grids_and_labels_of_derived_masks_are_checked(tiny_cohort, tmp_path):
    mask = copy_mask(tiny_cohort, "p2", tmp_path)
    volume = read_volume(mask)
    write_volume(Volume(volume.array[1:], volume.spacing_mm), mask)
    masks = pd.DataFrame({"mask_ct": {"p2": mask}})
    derived = tiny_cohort.with_masks(masks, name="B", made_by=READER)
    problem = check(derived).problems.iloc[0]
    assert problem["problem"].startswith("mask and image grids differ")
    assert problem["value"] == str(mask)
