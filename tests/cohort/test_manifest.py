"""A cohort folder in, a cohort or every problem at once."""

import pandas as pd
import pytest

from radlatent.cohort import Cohort
from radlatent.errors import CohortError, SchemaError


def edit(folder, name, change):
    """Rewrite a CSV file of a cohort after a change to its frame of text."""
    path = folder / name
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    change(table).to_csv(path, index=False)


def problems_of(folder, **kwargs):
    with pytest.raises(CohortError) as caught:
        Cohort.read(folder, **kwargs)
    return caught.value.problems


def test_a_cohort_is_taken_as_it_is_and_a_folder_read(tiny_folder):
    cohort = Cohort.of(str(tiny_folder))
    assert Cohort.of(cohort) is cohort
    with pytest.raises(SchemaError, match="root belongs to the folder"):
        Cohort.of(cohort, root=tiny_folder)


def test_reads_cases_and_endpoints(tiny_folder):
    cohort = Cohort.read(tiny_folder)
    assert cohort.cases.index.tolist() == ["p1", "p2", "p3"]
    assert cohort.flow.to_dict() == {
        "patients": 3,
        "cases": 3,
        "cases included": 3,
        "patients included": 3,
    }
    response = cohort.endpoint("response")
    assert response.frame["class"].to_dict() == {"p1": "no", "p2": "yes", "p3": "no"}
    survival = cohort.endpoint("survival")
    assert survival.frame.loc["p2"].tolist() == [20.5, 0]
    assert survival.strata.tolist() == ["1", "0", "1"]
    assert cohort.clinical().loc["p3", "clinical__age"] == 70


def test_root_can_be_elsewhere(tiny_folder, tmp_path):
    images = tiny_folder.rename(tmp_path / "images")
    card = tmp_path / "card"
    card.mkdir()
    for name in ("cohort.yml", "cases.csv", "endpoints.csv"):
        (images / name).rename(card / name)
    cohort = Cohort.read(card, root=images)
    assert all(path.is_file() for path in cohort.files("p1", "pet"))


def test_files_are_found_from_any_working_directory(tiny_folder, monkeypatch):
    monkeypatch.chdir(tiny_folder.parent)
    cohort = Cohort.read(tiny_folder.name)
    monkeypatch.chdir("/")
    assert cohort.files("p1", "ct")[0].is_file()


def test_absent_root_is_told(tiny_folder):
    with pytest.raises(FileNotFoundError, match="--root"):
        Cohort.read(tiny_folder, root=tiny_folder / "nowhere")


def test_folder_without_card_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="radlatent index"):
        Cohort.read(tmp_path)


def test_key_is_the_content_of_the_manifest(tiny_folder):
    before = Cohort.read(tiny_folder).key
    assert Cohort.read(tiny_folder).key == before
    edit(tiny_folder, "endpoints.csv", lambda t: t.assign(age=["50", "60", "71"]))
    assert Cohort.read(tiny_folder).key != before


def test_unknown_key_of_the_card_suggests_the_nearest(tiny_folder):
    card = tiny_folder / "cohort.yml"
    card.write_text(card.read_text("utf-8").replace("freeze:", "freze:"), "utf-8")
    with pytest.raises(
        SchemaError, match=r"unknown key 'freze'; did you mean 'freeze'"
    ):
        Cohort.read(tiny_folder)


def test_unknown_key_of_a_modality_suggests_the_nearest(tiny_folder):
    card = tiny_folder / "cohort.yml"
    card.write_text(card.read_text("utf-8").replace("unit: HU", "units: HU"), "utf-8")
    with pytest.raises(SchemaError) as caught:
        Cohort.read(tiny_folder)
    assert "'modalities.ct.units'; did you mean 'unit'?" in str(caught.value)
    assert "modalities.ct.unit is missing" in str(caught.value)


def test_every_problem_is_reported_at_once(tiny_folder):
    (tiny_folder / "p1" / "ct_image.nii.gz").unlink()
    edit(tiny_folder, "cases.csv", lambda t: t.assign(case_id=["p1", "p1", "p3"]))
    card = tiny_folder / "cohort.yml"
    text = card.read_text("utf-8").replace("column: response", "column: respons")
    card.write_text(text, "utf-8")
    edit(tiny_folder, "endpoints.csv", lambda t: t.assign(age=["50", "x", "1,75"]))
    found = problems_of(tiny_folder)
    text = " | ".join(found["problem"])
    for expected in (
        "'p1/ct_image.nii.gz' is not there",
        "the case_id occurs twice",
        "names column 'respons', which endpoints.csv does not have; "
        "did you mean 'response'?",
        "'x' is not a number",
        "'1,75' has a decimal comma",
    ):
        assert expected in text
    assert (found["remedy"] != "").all()
    assert found.loc[found["column"] == "case_id", "row"].tolist() == ["3"]


@pytest.mark.parametrize(
    "path",
    ["../secret.nii.gz", "p1/../../x.nii.gz", "/etc/x.nii", "C:\\x.nii", "..\\x.nii"],
)
def test_a_path_that_leaves_the_root_is_refused(tiny_folder, path):
    edit(tiny_folder, "cases.csv", lambda t: t.assign(image_ct=[path, *t.image_ct[1:]]))
    found = problems_of(tiny_folder)
    assert "leaves the root" in found["problem"].item()
    assert found["case_id"].item() == "p1"


def test_an_endpoint_with_one_class_is_refused(tiny_folder):
    edit(tiny_folder, "endpoints.csv", lambda t: t.assign(response="no"))
    assert "'response' has one class only among" in problems_of(tiny_folder).to_csv()


def choose_positive(folder, text, values=None):
    """Name the positive class of the response, with other classes on request."""
    card = folder / "cohort.yml"
    old = "column: response"
    new = f"{old}, positive: {text}"
    card.write_text(card.read_text("utf-8").replace(old, new), "utf-8")
    assert new in card.read_text("utf-8")
    if values:
        edit(folder, "endpoints.csv", lambda t: t.assign(response=values))


def test_the_positive_class_can_be_chosen(tiny_folder):
    assert Cohort.read(tiny_folder).endpoint("response").positive is None
    choose_positive(tiny_folder, "'no'")
    assert Cohort.read(tiny_folder).endpoint("response").positive == "no"
    assert Cohort.read(tiny_folder).endpoint("survival").positive is None


def test_a_number_may_be_the_positive_class(tiny_folder):
    choose_positive(tiny_folder, "0", ["0", "1", "0"])
    assert Cohort.read(tiny_folder).endpoint("response").positive == "0"


def test_a_positive_class_that_no_patient_has_is_refused(tiny_folder):
    choose_positive(tiny_folder, "'No'")
    told = "positive 'No' and the classes ['no', 'yes']"
    assert told in problems_of(tiny_folder)["problem"].item()


def test_a_positive_class_of_three_is_refused(tiny_folder):
    choose_positive(tiny_folder, "a", ["a", "b", "c"])
    assert "Name one of two classes" in problems_of(tiny_folder)["remedy"].item()


def test_a_word_that_yaml_takes_for_true_or_false_is_told(tiny_folder):
    choose_positive(tiny_folder, "no")
    with pytest.raises(SchemaError, match=r"endpoints.response.positive.*need quotes"):
        Cohort.read(tiny_folder)


def test_survival_has_no_positive_class(tiny_folder):
    card = tiny_folder / "cohort.yml"
    text = card.read_text("utf-8").replace(
        "kind: survival", "kind: survival, positive: a"
    )
    card.write_text(text, "utf-8")
    with pytest.raises(SchemaError, match="positive is for endpoints of kind 'class'"):
        Cohort.read(tiny_folder)


def test_an_endpoint_without_events_is_refused(tiny_folder):
    edit(tiny_folder, "endpoints.csv", lambda t: t.assign(survival_event="0"))
    assert "'survival' has no event" in problems_of(tiny_folder).to_csv()


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("survival_time", "-1", "'-1' is below 0"),
        ("survival_time", "0", "time '0' is not above 0"),
        ("survival_event", "2", "event '2' is neither 0 nor 1"),
        ("survival_event", "", "has a time without an event"),
        ("survival_time", "inf", "'inf' is not a number"),
    ],
)
def test_survival_values_are_checked(tiny_folder, column, value, expected):
    def change(table):
        table.loc[0, column] = value
        return table

    edit(tiny_folder, "endpoints.csv", change)
    assert expected in problems_of(tiny_folder)["problem"].item()


def test_patients_missing_from_either_table_are_named(tiny_folder):
    edit(
        tiny_folder,
        "endpoints.csv",
        lambda t: t.assign(patient_id=["p1", "p2", "p9"]),
    )
    found = " | ".join(problems_of(tiny_folder)["problem"])
    assert "patient 'p3' has cases but no row here" in found
    assert "patient 'p9' has no case in cases.csv" in found


def test_a_file_that_is_not_utf8_names_the_line(tiny_folder):
    path = tiny_folder / "endpoints.csv"
    path.write_bytes(path.read_bytes().replace(b"yes", "né".encode("latin-1")))
    found = problems_of(tiny_folder)
    assert found["problem"].item() == "not UTF-8: byte 0xe9"
    assert found["row"].item() == "3"


@pytest.mark.parametrize("word", ["NA", "nan", "NULL", "n/a", "."])
def test_a_word_for_missing_is_no_class(tiny_folder, word):
    edit(tiny_folder, "endpoints.csv", lambda t: t.assign(response=["no", word, "yes"]))
    found = problems_of(tiny_folder)
    assert found["problem"].item() == f"{word!r} would be a class of its own"
    assert found["row"].item() == "3"


def test_backslashes_in_paths_are_read(tiny_folder):
    edit(
        tiny_folder,
        "cases.csv",
        lambda t: t.assign(image_ct=t.image_ct.str.replace("/", "\\")),
    )
    cohort = Cohort.read(tiny_folder)
    assert cohort.files("p1", "ct")[0].is_file()


@pytest.mark.parametrize("name", ["CT", "t1__c", "t1_", "1t", "label", "mr t1"])
def test_a_modality_fits_a_column_name(tiny_folder, name):
    card = tiny_folder / "cohort.yml"
    card.write_text(card.read_text("utf-8").replace("  ct:", f"  '{name}':"), "utf-8")
    with pytest.raises(SchemaError, match="do not fit column names"):
        Cohort.read(tiny_folder)


def test_crlf_and_byte_order_mark_are_read(tiny_folder):
    expected = Cohort.read(tiny_folder).key
    for name in ("cases.csv", "endpoints.csv"):
        path = tiny_folder / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert Cohort.read(tiny_folder).key == expected


def test_semicolons_are_told(tiny_folder):
    path = tiny_folder / "cases.csv"
    path.write_text(path.read_text("utf-8").replace(",", ";"), "utf-8")
    assert "separated by semicolons" in problems_of(tiny_folder)["problem"].item()


def test_an_unquoted_decimal_comma_is_told(tiny_folder):
    path = tiny_folder / "endpoints.csv"
    path.write_text(path.read_text("utf-8").replace("20.5", "20,5"), "utf-8")
    found = problems_of(tiny_folder)
    first = found[found["problem"] == "6 fields where the header has 5"]
    assert first["row"].item() == "3"
    assert "decimals with a point" in first["remedy"].item()


def test_exclusions_need_a_reason_and_are_counted(tiny_folder):
    edit(tiny_folder, "cases.csv", lambda t: t.assign(exclude=["yes", "0", ""]))
    assert "excluded without a reason" in problems_of(tiny_folder)["problem"].item()
    edit(tiny_folder, "cases.csv", lambda t: t.assign(exclude_reason="motion"))
    cohort = Cohort.read(tiny_folder)
    assert cohort.included.index.tolist() == ["p2", "p3"]
    assert cohort.flow["excluded: motion"] == 1
    assert "p1" not in cohort.endpoint("response").frame.index


def test_the_files_of_an_excluded_case_may_be_absent(tiny_folder):
    (tiny_folder / "p1" / "ct_mask.nii.gz").unlink()
    edit(
        tiny_folder,
        "cases.csv",
        lambda t: t.assign(exclude=["1", "", ""], exclude_reason="lost"),
    )
    assert len(Cohort.read(tiny_folder).included) == 2


def test_a_case_may_lack_a_modality(tiny_folder):
    edit(
        tiny_folder,
        "cases.csv",
        lambda t: t.assign(
            image_pet=["", *t.image_pet[1:]], mask_pet=["", *t.mask_pet[1:]]
        ),
    )
    cohort = Cohort.read(tiny_folder)
    assert cohort.files("p1", "pet") is None
    assert cohort.files("p1", "ct") is not None


def test_an_image_without_its_mask_is_told(tiny_folder):
    edit(tiny_folder, "cases.csv", lambda t: t.assign(mask_pet=["", *t.mask_pet[1:]]))
    found = problems_of(tiny_folder)
    assert found["problem"].item() == "the cell is empty though the image is given"


def test_a_misspelled_column_is_told(tiny_folder):
    edit(
        tiny_folder,
        "cases.csv",
        lambda t: t.rename(columns={"patient_id": "patientid"}),
    )
    found = " | ".join(problems_of(tiny_folder)["problem"])
    assert "column 'patient_id' is missing" in found
    assert "unknown column; did you mean 'patient_id'?" in found


def test_an_image_column_of_an_unknown_modality_is_told(tiny_folder):
    edit(tiny_folder, "cases.csv", lambda t: t.assign(image_pett=t.image_pet))
    found = problems_of(tiny_folder)["problem"].item()
    assert found == "modality 'pett' is not in cohort.yml; did you mean 'pet'?"


def test_the_same_lesion_twice_is_told(tiny_folder):
    edit(
        tiny_folder,
        "cases.csv",
        lambda t: t.assign(patient_id=["p1", "p1", "p3"], lesion_id="A"),
    )
    found = " | ".join(problems_of(tiny_folder)["problem"])
    assert "('p1', 'A', '') occur in another case too" in found


@pytest.mark.parametrize("label", ["0", "1.5", "one", "1e20"])
def test_mask_labels_are_whole_numbers_from_one(tiny_folder, label):
    edit(tiny_folder, "cases.csv", lambda t: t.assign(mask_label=label))
    assert len(problems_of(tiny_folder)) == 3


def test_an_unknown_endpoint_suggests_the_nearest(tiny_cohort):
    with pytest.raises(SchemaError, match="did you mean 'survival'"):
        tiny_cohort.endpoint("surival")


def test_a_cohort_without_endpoints_needs_no_table(tiny_folder):
    (tiny_folder / "endpoints.csv").unlink()
    card = tiny_folder / "cohort.yml"
    card.write_text(card.read_text("utf-8").split("endpoints:")[0], "utf-8")
    assert Cohort.read(tiny_folder).patients.index.tolist() == ["p1", "p2", "p3"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "the file is empty"),
        ("case_id\tpatient_id\n", "separated by tabs"),
        ("case_id,case_id\n", "columns ['case_id'] occur twice"),
        ('case_id,patient_id\na,"b' + 200_000 * "x" + "\n", "not CSV"),
        ('case_id,patient_id\na,"b\nc,d\n', "not CSV"),
    ],
)
def test_what_is_no_table_is_told_at_once(tiny_folder, content, expected):
    (tiny_folder / "cases.csv").write_text(content, "utf-8")
    assert expected in problems_of(tiny_folder)["problem"].item()


def test_a_table_without_a_case_is_told(tiny_folder):
    edit(tiny_folder, "cases.csv", lambda t: t.iloc[:0])
    text = " | ".join(problems_of(tiny_folder)["problem"])
    assert "no case is included: there is no row" in text


def test_a_patient_at_two_sites_is_told(tiny_folder):
    edit(
        tiny_folder,
        "cases.csv",
        lambda t: t.assign(patient_id=["p1", "p1", "p3"], site=["A", "B", "A"]),
    )
    text = " | ".join(problems_of(tiny_folder)["problem"])
    assert "patient 'p1' is at the sites ['A', 'B']" in text


def test_a_lesion_id_fits_a_column_name(tiny_folder):
    edit(tiny_folder, "cases.csv", lambda t: t.assign(lesion_id=["L[1]", "L2", "L3"]))
    assert problems_of(tiny_folder)["value"].item() == "L[1]"


def test_an_image_that_is_its_own_mask_is_told(tiny_folder):
    edit(tiny_folder, "cases.csv", lambda t: t.assign(image_ct=t.mask_ct))
    found = problems_of(tiny_folder)["problem"]
    assert found.str.contains("is given as image and as mask").all()


def test_a_table_in_the_folder_counts_before_the_layout(tiny_folder, tmp_path):
    card = tmp_path / "card"
    card.mkdir()
    text = (tiny_folder / "cohort.yml").read_text("utf-8")
    (card / "cohort.yml").write_text(text + "layout: simulated\n", "utf-8")
    endpoints = (tiny_folder / "endpoints.csv").read_text("utf-8")
    (card / "endpoints.csv").write_text(endpoints.replace("50", "51"), "utf-8")
    cohort = Cohort.read(card, root=tiny_folder)
    assert cohort.clinical().loc["p1", "clinical__age"] == 51


def test_objects_say_what_they_are(tiny_cohort):
    assert repr(tiny_cohort).startswith("Cohort('tiny', ct/pet: 3 patients")
    endpoint = tiny_cohort.endpoint("response")
    assert repr(endpoint) == "Endpoint('response', class: {'no': 2, 'yes': 1})"
    assert "patients included" in tiny_cohort._repr_html_()


@pytest.mark.parametrize(
    ("content", "expected"),
    [("", "the file is empty"), ("case_id,image_ct\na,x\n", "'patient_id' is missing")],
)
def test_a_faulty_table_is_told_where_no_endpoint_is_wanted(
    tiny_folder, content, expected
):
    (tiny_folder / "endpoints.csv").unlink()
    card = tiny_folder / "cohort.yml"
    card.write_text(card.read_text("utf-8").split("endpoints:")[0], "utf-8")
    (tiny_folder / "cases.csv").write_text(content, "utf-8")
    assert expected in " | ".join(problems_of(tiny_folder)["problem"])


CATEGORIES = {"sex": ["F", "M", "F"], "stage": ["II", "I", ""]}


def listed(folder, **columns):
    """List columns of text as categories of the cohort."""
    edit(folder, "endpoints.csv", lambda t: t.assign(**columns))
    card = folder / "cohort.yml"
    names = ", ".join(columns)
    card.write_text(f"{card.read_text('utf-8')}\ncategories: [{names}]\n", "utf-8")


def test_categories_are_columns_of_one_and_zero(tiny_folder, tmp_path):
    listed(tiny_folder, **CATEGORIES)
    cohort = Cohort.read(tiny_folder)
    table = cohort.clinical()
    assert list(table)[-2:] == ["clinical__sex=M", "clinical__stage=II"]
    assert table["clinical__sex=M"].tolist() == [0, 1, 0]
    assert table["clinical__stage=II"].isna().tolist() == [False, False, True]
    again = Cohort.read(cohort.write(tmp_path / "again"))
    pd.testing.assert_frame_equal(again.clinical(), table)


def test_categories_that_are_none_are_told(tiny_folder):
    listed(tiny_folder, sex=["F", "f", "F"], stage=["II", "NA", ""])
    problems = problems_of(tiny_folder)["problem"].tolist()
    assert any("category 'sex': ['F', 'f'] differ only in case" in p for p in problems)
    assert any("'NA' would be a class of its own" in p for p in problems)


def test_text_among_the_covariates_is_sent_to_the_categories(tiny_folder):
    edit(tiny_folder, "endpoints.csv", lambda t: t.assign(age=["50", "old", "60"]))
    (remedy,) = problems_of(tiny_folder)["remedy"]
    assert remedy.endswith("text is listed under 'categories' in cohort.yml")


@pytest.mark.parametrize(
    ("classes", "word"),
    [
        (["yes", "Yes", "no"], "differ only in case"),
        (["1", "1.0", "0"], "differ only in case, blanks or the format"),
    ],
)
def test_classes_that_are_one_class_are_told(tiny_folder, classes, word):
    edit(tiny_folder, "endpoints.csv", lambda t: t.assign(response=classes))
    problems = problems_of(tiny_folder)
    assert problems["problem"].str.contains(word).any()
    assert problems["remedy"].str.startswith("Write one of them").any()


def test_a_covariate_may_have_its_unit_in_its_name(tiny_folder):
    edit(tiny_folder, "endpoints.csv", lambda t: t.rename(columns={"age": "Ki [%]"}))
    card = tiny_folder / "cohort.yml"
    text = card.read_text("utf-8").replace("[age]", '["Ki [%]"]')
    card.write_text(text, "utf-8")
    assert list(Cohort.read(tiny_folder).clinical()) == ["clinical__Ki [%]"]


def test_times_may_be_in_years(tiny_folder):
    days = Cohort.read(tiny_folder).endpoint("survival").frame["time"]
    card = tiny_folder / "cohort.yml"
    text = card.read_text("utf-8")
    card.write_text(
        text.replace("kind: survival", "kind: survival, unit: years"), "utf-8"
    )
    years = Cohort.read(tiny_folder).endpoint("survival").frame["time"]
    assert years.tolist() == (365.25 * days).tolist()
    card.write_text(text.replace("kind: class", "kind: class, unit: years"), "utf-8")
    with pytest.raises(SchemaError, match="unit is for endpoints of kind 'survival'"):
        Cohort.read(tiny_folder)


def test_an_endpoint_may_be_a_number_with_a_unit(tiny_folder):
    card = tiny_folder / "cohort.yml"
    spec = '{kind: continuous, column: ef, unit: "%"}'
    text = card.read_text("utf-8").replace(
        "endpoints:\n", f"endpoints:\n  ef: {spec}\n"
    )
    card.write_text(text, "utf-8")
    edit(tiny_folder, "endpoints.csv", lambda t: t.assign(ef=["61", "", "35.5"]))
    faults = problems_of(tiny_folder)["problem"].tolist()
    assert "endpoint 'ef' has 2 different values only" in faults[0]
    edit(tiny_folder, "endpoints.csv", lambda t: t.assign(ef=["61", "48", "35.5"]))
    ef = Cohort.read(tiny_folder).endpoint("ef")
    assert (ef.kind, ef.unit) == ("continuous", "%")
    assert ef.frame["value"].to_dict() == {"p1": 61.0, "p2": 48.0, "p3": 35.5}
    edit(tiny_folder, "endpoints.csv", lambda t: t.assign(ef=["61", "48", "low"]))
    assert "'low' is not a number" in problems_of(tiny_folder)["problem"].tolist()


def test_an_endpoint_may_have_competing_causes(tiny_folder):
    card = tiny_folder / "cohort.yml"
    spec = "{kind: competing, time: years, event: first, positive: 1, unit: years}"
    text = card.read_text("utf-8").replace(
        "endpoints:\n", f"endpoints:\n  relapse: {spec}\n"
    )
    card.write_text(text, "utf-8")
    told = {"years": ["1", "2", "4"], "first": ["1", "0", "0"]}
    edit(tiny_folder, "endpoints.csv", lambda t: t.assign(**told))
    faults = problems_of(tiny_folder)["problem"].tolist()
    assert "endpoint 'relapse' has the causes ['1'] among included" in faults[0]
    told["first"] = ["1", "0", "2"]
    edit(tiny_folder, "endpoints.csv", lambda t: t.assign(**told))
    endpoint = Cohort.read(tiny_folder).endpoint("relapse")
    assert endpoint.causes == ["1", "2"]
    assert endpoint.frame["cause"].tolist() == ["1", "censored", "2"]
    assert endpoint.frame["time"].tolist() == [365.25, 730.5, 1461.0]
    told["years"] = ["1", "", "0"]
    edit(tiny_folder, "endpoints.csv", lambda t: t.assign(**told))
    faults = " ".join(problems_of(tiny_folder)["problem"])
    assert "time '0' is not above 0" in faults
    assert "a time without an event" in faults
    # what the card calls nothing is no missing outcome
    told = {"years": ["1", "2", "4"], "first": ["1", "none", "2"]}
    edit(tiny_folder, "endpoints.csv", lambda t: t.assign(**told))
    assert "'none' would be a class" in problems_of(tiny_folder)["problem"].iloc[0]
    named = text.replace("positive: 1, ", "positive: 1, censored: none, ")
    card.write_text(named, "utf-8")
    endpoint = Cohort.read(tiny_folder).endpoint("relapse")
    assert endpoint.frame["cause"].tolist() == ["1", "censored", "2"]
    card.write_text(text.replace("positive: 1, ", ""), "utf-8")
    with pytest.raises(SchemaError, match="needs \\['positive'\\]"):
        Cohort.read(tiny_folder)
