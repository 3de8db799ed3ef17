"""Names of structures do not tell who the patient is."""

from types import SimpleNamespace

import pytest

from radlatent.cohort.from_dicom.people import People


class Header:
    """What a header says, without a file."""

    def __init__(self, **tags):
        self.tags = tags

    def text(self, name):
        return self.tags.get(name, "")


def series(patient, *names, drawn=(), **tags):
    header = Header(PatientID=patient, **tags)
    drawn = Header(**dict(drawn))
    structures = [SimpleNamespace(name=name, header=drawn) for name in names]
    return SimpleNamespace(
        patient_id=patient, headers=(header,), structures=tuple(structures)
    )


@pytest.mark.parametrize(
    ("who", "name", "kept"),
    [
        ("Miller^Anna", "GTV_Miller", "GTV"),
        ("Miller^Anna", "anna's GTV", "s_GTV"),
        ("Miller^Anna", "GTVMILLER 2", "gtv_2"),
        ("Müller^Jürgen", "GTV Mueller", "GTV"),
        ("Mueller^J", "Müller", ""),
        ("Le^Wei", "GTV_Le", "GTV"),
        ("Le^Wei", "left lung", "left lung"),
        ("Núñez^José", "nunez GTV", "GTV"),
        ("Yamada^Taro=山田^太郎", "山田GTV", "gtv"),
        ("Miller^Anna", "GTV, left/1", "GTV, left/1"),
        ("Mass^Tom", "GTV_Mass", "GTV_Mass"),
    ],
)
def test_words_of_the_patient_are_taken_out(who, name, kept):
    # another patient has a mass, and is not called so
    others = series("002", "GTV_Mass", PatientName="Doe^John")
    people = People([series("0012345", name, PatientName=who), others])
    assert people.clean("0012345", name) == kept
    assert people.n_cleaned == (kept != name)


def test_numbers_of_the_patient_are_taken_out_and_those_of_lesions_stay():
    people = People([series("12345", "GTV 12345", "GTV 12", AccessionNumber="12")])
    assert people.clean("12345", "GTV 12345") == "GTV"
    assert people.clean("12345", "GTV 12") == "GTV 12"


def test_who_drew_it_is_taken_out():
    drawn = {"OperatorsName": "Smith^Eva", "ReviewerName": "Jones"}
    people = People([series("1", "GTV_smith", "GTV_Jones_2", drawn=drawn)])
    assert people.clean("1", "GTV_smith") == "GTV"
    assert people.clean("1", "GTV_Jones_2") == "GTV_2"


def test_short_words_of_staff_stay_where_others_have_them():
    staff = {"OperatorsName": "LN^Kim", "ReviewerName": "KJ"}
    every = [series("1", "GTV_LN", "GTV_KJ", **staff), series("2", "GTV_LN")]
    people = People(every)
    assert people.clean("1", "GTV_LN") == people.clean("2", "GTV_LN") == "GTV_LN"
    assert people.clean("1", "GTV_KJ") == "GTV"
    assert people.staff_cleaned == {"kj"}
    # nobody tells that it is anatomy
    assert People(every[:1]).clean("1", "GTV_LN") == "GTV"


def test_what_most_patients_are_called_is_no_name():
    every = [series(f"LUNG-{k:03d}", "Lung-Left") for k in range(4)]
    assert People(every).clean("LUNG-001", "Lung-Left") == "Lung-Left"
