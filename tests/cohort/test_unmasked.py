"""Cohorts without masks: ``masks: false`` of the card."""

import pandas as pd
import pytest

from radlatent.cohort import Cohort, check, index
from radlatent.cohort.labels import by_structure
from radlatent.errors import CohortError, SchemaError
from radlatent.handcrafted import extract


def tell(folder):
    """Say in the card of a cohort that there are no masks."""
    card = folder / "cohort.yml"
    card.write_text(card.read_text("utf-8") + "masks: false\n", "utf-8")
    return folder


def rewrite(folder, change):
    """Rewrite the cases after a change to their frame of text."""
    path = folder / "cases.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    change(table).to_csv(path, index=False)


@pytest.fixture
def bare(tiny_folder):
    """Return a cohort folder of images of two modalities; there is no mask."""
    for path in tiny_folder.rglob("*_mask.nii.gz"):
        path.unlink()
    columns = ["mask_ct", "mask_pet", "mask_label"]
    rewrite(tiny_folder, lambda t: t.drop(columns=columns, errors="ignore"))
    return tell(tiny_folder)


class TestRead:
    def test_images_are_found_and_checked(self, bare):
        cohort = Cohort.read(bare)
        assert cohort.cases.index.tolist() == ["p1", "p2", "p3"]
        assert not cohort.card.masks
        found = check(bare, deep=True)
        assert found.problems.empty
        found.raise_if_any()

    def test_a_broken_image_is_found(self, bare):
        (bare / "p2" / "ct_image.nii.gz").write_bytes(b"nothing")
        [problem] = check(bare).problems.to_dict("records")
        assert (problem["case_id"], problem["column"]) == ("p2", "image_ct")

    def test_an_image_that_is_not_there_is_told(self, bare):
        (bare / "p2" / "ct_image.nii.gz").unlink()
        with pytest.raises(CohortError, match=r"p2/ct_image\.nii\.gz"):
            Cohort.read(bare)

    def test_without_the_word_masks_are_wanted(self, bare):
        card = bare / "cohort.yml"
        card.write_text(card.read_text("utf-8").replace("masks: false\n", ""), "utf-8")
        with pytest.raises(CohortError) as caught:
            Cohort.read(bare)
        assert "masks: false in cohort.yml" in str(caught.value)

    def test_a_mask_that_is_named_contradicts_it(self, tiny_folder):
        with pytest.raises(CohortError, match=r"is a mask, and cohort\.yml says"):
            Cohort.read(tell(tiny_folder))

    def test_folder_that_is_written_reads_back(self, bare, tmp_path):
        cohort = Cohort.read(bare)
        again = Cohort.read(cohort.write(tmp_path / "copy"))
        assert again.key == cohort.key
        assert not again.card.masks

    def test_what_needs_masks_says_what_to_do(self, bare):
        cohort = Cohort.read(bare)
        with pytest.raises(CohortError, match="Let a network draw"):
            cohort.files("p1", "ct")
        with pytest.raises(CohortError, match="Let a network draw"):
            extract(cohort)


class TestIndex:
    def test_an_image_is_a_case(self, bare, tmp_path):
        image = "{patient_id}/{modality}_image.nii.gz"
        index(bare, tmp_path / "found", layout="pattern", image=image, mask="")
        cohort = Cohort.read(tmp_path / "found")
        assert cohort.cases.index.tolist() == ["p1", "p2", "p3"]
        assert not cohort.card.masks
        assert cohort.located["mask_ct"].isna().all()

    def test_labels_cannot_be_asked_for(self, bare, tmp_path):
        image = "{patient_id}/{modality}_image.nii.gz"
        about = {"layout": "pattern", "image": image, "mask": "", "labels": True}
        with pytest.raises(CohortError, match="there are none"):
            index(bare, tmp_path / "found", **about)


class TestByStructure:
    def test_a_case_becomes_one_a_structure(self, bare):
        found = by_structure(Cohort.read(bare), "ct", ["RV", "LV"])
        cases = found.included
        assert cases.index[:3].tolist() == ["p1_RV", "p1_LV", "p2_RV"]
        assert cases["lesion_id"].tolist() == ["RV", "LV"] * 3
        assert cases["mask_label"].tolist() == [1, 2] * 3
        assert cases["patient_id"].tolist() == ["p1", "p1", "p2", "p2", "p3", "p3"]

    def test_a_case_without_the_image_is_excluded(self, bare):
        rewrite(bare, lambda t: t.assign(image_pet=["", *t["image_pet"][1:]]))
        found = by_structure(Cohort.read(bare), "pet", ["RV"])
        [row] = found.cases[found.cases["exclude"]].to_dict("index").items()
        assert row[0] == "p1"
        assert row[1]["exclude_reason"] == "no image of 'pet'"

    def test_lesions_are_refused(self, bare):
        rewrite(bare, lambda t: t.assign(lesion_id=["a", "", ""]))
        with pytest.raises(SchemaError, match=r"1 cases name a lesion_id.*\['p1'\]"):
            by_structure(Cohort.read(bare), "ct", ["RV"])


class TestMasksOfOthers:
    def test_come_in_as_a_derived_cohort(self, bare, tiny_cohort, tmp_path):
        from radlatent.imaging import Volume, read_volume, write_volume

        cohort, places = Cohort.read(bare), {}
        for case in cohort.cases.index:
            image = read_volume(bare / case / "ct_image.nii.gz")
            mask = (image.array > image.array.mean()).astype("uint8")
            places[case] = tmp_path / f"{case}.nii.gz"
            write_volume(Volume(mask, image.spacing_mm), places[case])
        cases = cohort.cases.assign(image_pet=None)
        cohort = Cohort(cohort.card, cohort.root, cases, cohort.patients)
        masks = pd.DataFrame({"mask": pd.Series(places)}).rename_axis("case_id")
        derived = cohort.with_masks(masks, name="B", made_by={"name": "reader B"})
        again = Cohort.read(derived.write(tmp_path / "derived"))
        assert again.key == derived.key
        assert again.card.masks
        assert again.files("p1", "ct")[1] == places["p1"].resolve()
