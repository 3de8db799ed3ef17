"""A drafted study says what the cohort can answer, and nothing that it cannot."""

import pandas as pd
import pytest

import radlatent as rl
from radlatent.errors import CohortError, SchemaError
from radlatent.study import read_study

CARD = """\
name: {name}
root: .
modalities:
  pet: {{unit: SUV, preset: suv}}
  ct: {{unit: HU, preset: hu}}
endpoints:
  rare: {{kind: class, column: rare}}
  {endpoint}
covariates: {covariates}
"""


def write(folder, lesions=("a",), name="lung", endpoint=None, covariates="[age]"):
    folder.mkdir()
    rows = [
        {"case_id": f"{p}{i}", "patient_id": f"p{p}", "lesion_id": lesion}
        for p in range(8)
        for i, lesion in enumerate(lesions(p) if callable(lesions) else lesions)
    ]
    cases = pd.DataFrame(rows)
    for modality in ("pet", "ct"):
        cases[f"image_{modality}"] = cases["case_id"] + f"_{modality}.nii.gz"
    cases.assign(mask="mask.nii.gz").to_csv(folder / "cases.csv", index=False)
    for file in {"mask.nii.gz", *cases["image_pet"], *cases["image_ct"]}:
        (folder / file).touch()
    patients = pd.DataFrame({"patient_id": [f"p{p}" for p in range(8)]})
    patients = patients.assign(age=60, rare=["x"] * 7 + ["y"], well=["n", "y"] * 4)
    patients.assign(t=100, e=[0, 1] * 4).to_csv(folder / "endpoints.csv", index=False)
    endpoint = endpoint or "well: {kind: class, column: well}"
    card = CARD.format(name=name, endpoint=endpoint, covariates=covariates)
    (folder / "cohort.yml").write_text(card, "utf-8")
    return folder


@pytest.mark.parametrize(
    ("lesions", "how"),
    [
        (("a",), "pivot"),
        (("LV", "MYO"), "pivot"),
        (lambda p: [f"L{i}" for i in range(p % 3 + 1)], "largest"),
    ],
)
def test_a_draft_is_a_study_of_the_cohort(tmp_path, lesions, how):
    cohort = write(tmp_path / "cohort", lesions)
    out = rl.draft_study(cohort, tmp_path / "studies" / "first.yml")
    study = read_study(out)
    assert (out.parent / study.cohort).resolve() == cohort
    # "rare" has one patient of a class
    assert study.endpoint == "well"
    assert study.folds.n_folds == 4
    assert study.aggregate == how
    assert (study.volume is None) == (how == "pivot")
    blocks = [spec.blocks for spec in study.models]
    both = ("clinical", "pet_handcrafted", "ct_handcrafted")
    assert blocks == [("clinical",), ("pet_handcrafted",), ("ct_handcrafted",), both]


def test_a_draft_for_survival_without_covariates(tmp_path):
    survival = "os: {kind: survival, time: t, event: e}"
    cohort = write(tmp_path / "c", endpoint=survival, covariates="[]")
    study = read_study(rl.draft_study(cohort, tmp_path / "study.yaml"))
    assert {spec.model for spec in study.models} == {"cox"}
    assert "clinical" not in {block for spec in study.models for block in spec.blocks}


@pytest.mark.parametrize("name", ["'a: \"b\" {c} # d'", "Ärzte", '"two\\nlines"'])
def test_names_that_mean_something_in_yaml(tmp_path, name):
    cohort = write(tmp_path / "a: {b}", name=name)
    study = read_study(rl.draft_study(cohort, tmp_path / "study.yml"))
    assert study.cohort == "a: {b}"
    assert study.title.startswith("well of ")


def test_what_the_comments_offer_can_be_said(tmp_path):
    out = rl.draft_study(write(tmp_path / "c"), tmp_path / "study.yml")
    lines = out.read_text("utf-8").splitlines()
    keys = ("latent:", "  modal", "  size", "  spac", "  n_lat", "import", "permut")
    said = [line.removeprefix("# ") for line in lines]
    opened = [
        new if line.startswith("# ") and new.startswith(keys) else line
        for line, new in zip(lines, said, strict=True)
    ]
    out.write_text("\n".join(opened), "utf-8")
    study = read_study(out)
    assert study.latent.modalities == ("pet",)
    assert (study.importance, study.permutations) == (5, 100)


def test_a_draft_is_refused_where_there_is_nothing_to_ask(tmp_path):
    cohort = write(tmp_path / "c", endpoint="odd: {kind: class, column: rare}")
    with pytest.raises(CohortError, match="no endpoint that models can be tested on"):
        rl.draft_study(cohort, tmp_path / "study.yml")
    with pytest.raises(SchemaError, match=r"ends in .yml"):
        rl.draft_study(cohort, tmp_path / "study.txt")
    (tmp_path / "there.yml").write_text("mine")
    with pytest.raises(FileExistsError, match="may have been edited"):
        rl.draft_study(cohort, tmp_path / "there.yml")
    assert (tmp_path / "there.yml").read_text() == "mine"
    assert not (tmp_path / "study.yml").exists()
