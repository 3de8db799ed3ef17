"""One factor makes SUV of PET; what is missing for it is named."""

import numpy as np
import pytest

from radlatent.errors import DicomError
from radlatent.imaging.dicom.stack import stack
from radlatent.imaging.dicom.suv import lean_body_mass, suv_of

#: 70 kg in g, by 370 MBq after an hour of 109.77 min.
EXPECTED = 70_000 / (370e6 * 2 ** (-3600 / 6586.2))

ZEROS = np.zeros((2, 4, 4), np.int16)


@pytest.fixture
def suv(write, headers_of):
    def make(method="bw", private=(), **tags):
        made = write.pet(ZEROS, **tags)
        for one in made:
            for tag, value in dict(private).items():
                kind = "LO" if tag[1] < 0x100 else "DT" if tag[0] == 9 else "DS"
                one.add_new(tag, kind, value)
        return suv_of(headers_of(write.save(made)), method)

    return make


def test_the_dose_decays_to_the_start_of_the_series(suv):
    made = suv()
    assert made.factor == pytest.approx(EXPECTED, rel=1e-12)
    assert "3600 s from injection to SeriesTime" in made.how


def test_times_of_slices_are_not_what_values_are_of(write, headers_of):
    made = write.pet(ZEROS)
    made[1].AcquisitionTime = "112500"
    assert suv_of(headers_of(write.save(made))).factor == pytest.approx(EXPECTED)


@pytest.mark.parametrize(
    "drug",
    [
        {"RadiopharmaceuticalStartDateTime": "20200102100000.00"},
        # dates were moved, times were not
        {"RadiopharmaceuticalStartDateTime": "20190706100000.00+0100"},
        {"RadiopharmaceuticalStartTime": "10:00:00"},
    ],
)
def test_injection_times_are_found(suv, drug):
    assert suv(drug=drug).factor == pytest.approx(EXPECTED)


def test_who_was_injected_before_midnight_is_scanned_after(suv):
    times = {"SeriesTime": "003000", "AcquisitionTime": "003000"}
    made = suv(drug={"RadiopharmaceuticalStartTime": "233000"}, **times)
    assert made.factor == pytest.approx(EXPECTED)


def test_a_slow_nuclide_is_injected_days_before(suv):
    drug = {"RadiopharmaceuticalStartDateTime": "20191230110000"}
    made = suv(drug=drug | {"RadionuclideHalfLife": "282280"})
    left = 2 ** (-3 * 86400 / 282280)
    assert made.factor == pytest.approx(70_000 / (370e6 * left))


def test_values_of_the_time_of_injection_need_no_time(suv):
    made = suv(DecayCorrection="ADMIN", SeriesTime=None)
    assert made.factor == pytest.approx(70_000 / 370e6)


def test_a_series_that_was_made_again_has_another_time(suv):
    with pytest.raises(DicomError, match="after the first acquisition"):
        suv(SeriesTime="140000")


def test_dates_that_were_moved_by_themselves_are_no_fault(suv):
    moved = suv(SeriesDate="20210612", AcquisitionDate="20191101")
    assert moved.factor == pytest.approx(EXPECTED)
    with pytest.raises(DicomError, match="after the first acquisition"):
        suv(SeriesDate="20210612", SeriesTime="140000", AcquisitionDate="20191101")


AGAIN = {"StudyDate": "20200101", "AcquisitionDate": "20200101"}
AGAIN |= {"AcquisitionTime": "140000", "SeriesDate": "20200103", "SeriesTime": "133000"}
INJECTED = {"RadiopharmaceuticalStartDateTime": "20200101130000"}


@pytest.mark.parametrize(
    ("tags", "drug"),
    [
        ({}, INJECTED),
        ({}, {"RadiopharmaceuticalStartTime": "130000"}),
        ({"StudyDate": "20200103"}, INJECTED),
        ({"AcquisitionDate": None}, INJECTED),
    ],
)
def test_what_was_made_again_days_later_at_an_earlier_time_is_refused(suv, tags, drug):
    with pytest.raises(DicomError, match=r"made on another day \(2020-01-03"):
        suv(drug=drug, **AGAIN | tags)


def test_ge_tells_the_scan_of_what_was_made_again_days_later(suv):
    private = {(9, 0x10): "GEMS_PETD_01", (9, 0x100D): "20200101140000.00"}
    slow = INJECTED | {"RadionuclideHalfLife": "360000"}
    made = suv(drug=slow, private=private, **AGAIN)
    assert made.factor == pytest.approx(70_000 / (370e6 * 2**-0.01))


def test_where_all_dates_contradict_each_other_the_record_says_so(suv):
    dates = {"StudyDate": "20180101", "AcquisitionDate": "20190101"}
    assert suv(**dates).how.endswith(
        "(dates contradict each other: times of day count)"
    )
    assert "contradict" not in suv().how


def test_ge_keeps_the_time_of_the_scan_in_a_private_tag(suv):
    private = {(9, 0x10): "GEMS_PETD_01", (9, 0x100D): "20200102110000.00"}
    made = suv(SeriesTime="140000", private=private)
    assert made.factor == pytest.approx(EXPECTED)
    assert "GE's" in made.how


PHILIPS = (0x7053, 0x10), "Philips PET Private Group"


@pytest.mark.parametrize(
    ("private", "factor"),
    [
        ({(0x7053, 0x1000): "0.000551"}, 0.000551),
        ({(0x7053, 0x1009): "1.5"}, 1.5 * EXPECTED),
        ({(0x7053, 0x1000): "0", (0x7053, 0x1009): "1.5"}, 1.5 * EXPECTED),
        # the factor to SUV is what the scanner shows
        ({(0x7053, 0x1000): "0.000551", (0x7053, 0x1009): "1.5"}, 0.000551),
    ],
)
def test_counts_of_philips_have_their_own_factors(suv, private, factor):
    private = dict([PHILIPS]) | private
    made = suv(Units="CNTS", private=private, Manufacturer="Philips")
    assert made.factor == pytest.approx(factor)


def test_counts_alone_tell_nothing(suv):
    with pytest.raises(DicomError, match=r"Units is CNTS.*7053,1000.*7053,1009"):
        suv(Units="CNTS")


def test_what_is_suv_already_stays(suv):
    made = suv(Units="GML", PatientWeight=None)
    assert made.factor == 1.0
    assert made.how == "Units GML, SUVType (none: BW): as given"


def test_suv_by_weight_become_those_by_lean_mass(suv):
    mass = lean_body_mass("lbm_janmahasatian", sex="F", weight=70, height=1.75)
    made = suv("lbm_janmahasatian", Units="GML")
    assert made.factor == pytest.approx(mass / 70)


@pytest.mark.parametrize(
    ("method", "sex", "mass"),
    [
        # by hand; weight by height is 0.4 kg/cm
        ("lbm_james", "M", 56.52),
        ("lbm_james", "F", 51.22),
        # the index of body mass is 22.857
        ("lbm_janmahasatian", "M", 55.8571),
        ("lbm_janmahasatian", "F", 45.1962),
    ],
)
def test_lean_body_mass_is_that_of_its_authors(suv, method, sex, mass):
    found = lean_body_mass(method, sex=sex, weight=70, height=1.75)
    assert found == pytest.approx(mass, abs=1e-3)
    made = suv(method, PatientSex=sex)
    assert made.factor == pytest.approx(EXPECTED * mass / 70, rel=1e-4)
    assert made.method == method


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({"Units": None}, "has no Units"),
        ({"Units": "PROPCNT"}, "Units is 'PROPCNT'"),
        ({"PatientWeight": None}, "PatientWeight is missing"),
        ({"PatientWeight": "0"}, "PatientWeight is missing"),
        ({"PatientWeight": "70000"}, "PatientWeight is 70000 kg"),
        ({"DecayCorrection": None}, "DecayCorrection is missing"),
        ({"DecayCorrection": "NONE"}, "DecayCorrection is 'NONE'"),
        ({"CorrectedImage": ["DECY", "SCAT"]}, "not attenuation corrected"),
        ({"CorrectedImage": ["ATTN"]}, "not decay corrected"),
        ({"SeriesTime": None}, "SeriesTime is missing"),
        ({"SeriesTime": "noon"}, "SeriesTime is '20200102noon', no time"),
        ({"drug": {"RadionuclideTotalDose": None}}, "TotalDose is missing"),
        ({"drug": {"RadionuclideTotalDose": "370"}}, "370 Bq: are these MBq"),
        ({"drug": {"RadionuclideHalfLife": None}}, "HalfLife is missing"),
        ({"drug": {"RadionuclideHalfLife": "0.1"}}, "HalfLife is 0.1 s"),
        ({"drug": {"RadiopharmaceuticalStartTime": None}}, "StartTime and Radio"),
        # after the scan
        ({"drug": {"RadiopharmaceuticalStartTime": "111500"}}, "begins 23.8 h after"),
    ],
)
def test_what_is_missing_or_cannot_be_is_named(suv, tags, told):
    with pytest.raises(DicomError, match=told):
        suv(**tags)


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({"PatientSize": None}, "needs the height, and PatientSize is missing"),
        ({"PatientSize": "175"}, "PatientSize is 175 m"),
        ({"PatientSex": "O"}, "needs the sex"),
    ],
)
def test_lean_mass_needs_height_and_sex(suv, tags, told):
    with pytest.raises(DicomError, match=told):
        suv("lbm_james", **tags)


def test_a_tag_that_varies_is_refused(write, headers_of):
    made = write.pet(ZEROS)
    made[1].PatientWeight = "80"
    with pytest.raises(DicomError, match="PatientWeight varies"):
        suv_of(headers_of(write.save(made)))


@pytest.mark.real
@pytest.mark.slow
def test_a_real_pet_has_the_suv_of_ibsi(real_data, headers_of):
    from radlatent.imaging import read_volume

    folder = "sts_raw_dicom/test/data/sts_images_raw/STS_001/FDG_PET/image"
    headers = headers_of(real_data / folder)
    made = suv_of(headers)
    assert made.factor == pytest.approx(2.429030e-4, rel=1e-6)
    volume = stack(headers).read(made.factor)
    reference = read_volume(real_data / "sts/STS_001/PET_image.nii.gz")
    corners = [[0, 0, 0], np.array(reference.shape) - 1]
    ends = np.rint(volume.to_index(reference.to_world(corners))).astype(int)
    lower, upper = ends.min(axis=0), ends.max(axis=0) + 1
    found = volume.array[tuple(map(slice, lower, upper))]
    flips = [slice(None, None, 1 if b > a else -1) for a, b in ends.T]
    expected = reference.array[tuple(flips)]
    # the slope has six digits in the file that IBSI started from
    np.testing.assert_allclose(found, expected, rtol=0, atol=2.5e-4)
    assert found.max() == pytest.approx(7.9107, abs=5e-5)
