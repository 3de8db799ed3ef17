"""Masks in another folder than the images: ``masks_root`` of the card."""

import shutil

import pandas as pd
import pytest

from radlatent.cohort import Cohort, check
from radlatent.errors import CohortError


@pytest.fixture
def split(tiny_folder, tmp_path):
    """Return a cohort folder whose masks a network wrote into another folder."""
    for path in sorted(tiny_folder.rglob("*_mask.nii.gz")):
        target = tmp_path / "network" / path.relative_to(tiny_folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    return tiny_folder


def tell(folder, masks_root):
    card = folder / "cohort.yml"
    text = card.read_text("utf-8")
    card.write_text(f"{text}masks_root: {masks_root}\n", "utf-8")
    return folder


def test_masks_are_found_below_their_own_root(split, tmp_path):
    cohort = Cohort.read(tell(split, "../network"))
    image, mask = cohort.files("p2", "ct")
    assert mask == (tmp_path / "network" / "p2" / "ct_mask.nii.gz").resolve()
    assert image == split.resolve() / "p2" / "ct_image.nii.gz"
    assert check(split).problems.empty
    assert cohort.located.loc["p3", "mask_pet"].endswith("network/p3/pet_mask.nii.gz")


def test_key_does_not_depend_on_where_they_lie(split, tmp_path):
    before = Cohort.read(tell(split, "../network")).key
    shutil.copytree(split, tmp_path / "elsewhere" / "cohort")
    shutil.copytree(tmp_path / "network", tmp_path / "elsewhere" / "network")
    assert Cohort.read(tmp_path / "elsewhere" / "cohort").key == before


def test_folder_that_is_written_reads_back(split, tmp_path):
    cohort = Cohort.read(tell(split, "../network"))
    again = Cohort.read(cohort.write(tmp_path / "deep" / "copy"))
    assert again.key == cohort.key
    assert again.files("p1", "pet") == cohort.files("p1", "pet")
    cells = pd.read_csv(tmp_path / "deep" / "copy" / "cases.csv")["mask_ct"]
    assert cells.tolist() == [f"{p}/ct_mask.nii.gz" for p in ("p1", "p2", "p3")]


def test_other_masks_may_be_derived_from_it(split, tmp_path):
    cohort = Cohort.read(tell(split, "../network"))
    drawn = tmp_path / "again.nii.gz"
    shutil.copyfile(cohort.files("p1", "ct")[1], drawn)
    masks = pd.DataFrame({"mask_ct": {"p1": drawn}})
    derived = cohort.with_masks(masks, name="B", made_by={"name": "reader B"})
    again = Cohort.read(derived.write(tmp_path / "derived"))
    assert again.key == derived.key
    assert again.files("p1", "ct")[1] == drawn
    assert again.files("p2", "ct") == cohort.files("p2", "ct")


def test_folder_that_is_not_there(split):
    with pytest.raises(FileNotFoundError, match=r"'masks_root' in cohort\.yml"):
        Cohort.read(tell(split, "../nowhere"))


def test_paths_that_leave_it_are_told(split):
    cases = pd.read_csv(split / "cases.csv", dtype=str)
    cases.loc[1, "mask_ct"] = "../p2/ct_mask.nii.gz"
    cases.to_csv(split / "cases.csv", index=False)
    with pytest.raises(CohortError, match="leaves the folder of masks"):
        Cohort.read(tell(split, "../network"))


def test_without_it_the_way_is_told(split):
    cases = pd.read_csv(split / "cases.csv", dtype=str)
    cases["mask_ct"] = "../network/" + cases["mask_ct"]
    cases.to_csv(split / "cases.csv", index=False)
    with pytest.raises(CohortError, match=r"masks_root of cohort\.yml"):
        Cohort.read(split)
