"""Standardized uptake values: from the tags of a PET series to one factor.

Headers enter, a `Suv` leaves: what voxels after slope and intercept are multiplied by,
and how it was made. Nothing is guessed: a tag that is missing is named.

Sources: the vendor-neutral pseudo-code of QIBA's FDG-PET/CT profile for the tags and
Philips' private factors; James, Research on Obesity, 1976, and Janmahasatian et al.,
Clin Pharmacokinet 44:1051, 2005, for the lean body mass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from radlatent.errors import DicomError
from radlatent.imaging.dicom.headers import Header

__all__ = ["METHODS", "Suv", "lean_body_mass", "suv_of", "uptake_min_of"]

#: What values are divided by: ``bw`` body weight, ``lbm_james``,
#: ``lbm_janmahasatian`` lean body mass.
METHODS = ("bw", "lbm_james", "lbm_janmahasatian")

#: What SUVType says of values that are SUV already (GML), in our words.
_TYPES = {"": "bw", "BW": "bw", "LBM": "lbm", "LBMJAMES128": "lbm_james"}
_TYPES |= {"LBMJANMA": "lbm_janmahasatian"}

#: A clinical dose; smaller numbers are MBq.
_LEAST_BQ = 1e5

_WEIGHTS_KG, _HEIGHTS_M = (1.0, 500.0), (0.3, 2.5)
_SECOND = timedelta(seconds=1)

#: Of the nuclides that are injected; a year.
_LONGEST_S = 3.2e7

#: With a thousandth of the dose left nobody scans: dates or times are wrong.
_MOST_HALF_LIVES = 10


@dataclass(frozen=True)
class Suv:
    """What makes SUV of the values of a PET series.

    Parameters
    ----------
    factor
        What values after slope and intercept are multiplied by.
    method
        One of `METHODS`.
    how
        A sentence for the record.
    """

    factor: float
    method: str
    how: str


def suv_of(headers: Sequence[Header], method: str = "bw") -> Suv:
    """Return what makes SUV of a PET series.

    Parameters
    ----------
    headers
        Of all slices: the units and the times of each count.
    method
        One of `METHODS`.

    Raises
    ------
    DicomError
        A tag that is needed is missing, contradicts others, or says that the values
        are not decay or attenuation corrected.
    """
    if method not in METHODS:
        raise DicomError(f"suv is {method!r}; known are {list(METHODS)}.")
    first = headers[0]
    for name in ("Units", "DecayCorrection", "SUVType", "SeriesTime", *_DOSE):
        values = sorted({header.text(name) for header in headers})
        if len(values) > 1:
            _refuse(first, f"{name} varies within the series: {values[:3]}")
    units = first.text("Units").upper()
    if units == "GML":
        return _given(first, method)
    if units == "CNTS":
        return _philips(headers, method)
    if units != "BQML":
        found = f"Units is {units!r}" if units else "has no Units"
        _refuse(first, f"{found}; BQML, GML and CNTS of Philips are read")
    return _weighed(headers, method, 1.0, "Bq/ml")


def uptake_min_of(headers: Sequence[Header]) -> float | None:
    """Return the minutes from injection to scan, or None where tags do not tell."""
    try:
        start, _ = _start(headers)
        injected = _injection(headers[0], start, timedelta(days=1))
    except DicomError:
        return None
    return round((start - injected).total_seconds() / 60, 2)


_DOSE = ("RadionuclideTotalDose", "RadionuclideHalfLife", "PatientWeight")


def lean_body_mass(method: str, *, sex: str, weight: float, height: float) -> float:
    """Return the lean body mass in kg.

    Parameters
    ----------
    method
        ``"lbm_james"`` or ``"lbm_janmahasatian"``.
    sex
        ``"M"`` or ``"F"``.
    weight
        In kg.
    height
        In m.

    Examples
    --------
    >>> round(lean_body_mass("lbm_james", sex="M", weight=71, height=1.63), 2)
    53.81
    """
    male = sex == "M"
    if method == "lbm_james":
        a, b = (1.10, 128) if male else (1.07, 148)
        return a * weight - b * (weight / (100 * height)) ** 2
    a, b = (6680, 216) if male else (8780, 244)
    return 9270 * weight / (a + b * weight / height**2)


def _refuse(header, reason):
    msg = (
        f"{header.path}: no SUV can be made of the series: {reason}. Mend the tags "
        "from the records of the scan, or read its values as they are (suv: none)."
    )
    raise DicomError(msg)


def _given(header, method):
    """Return the factor of values that are SUV already."""
    said = header.text("SUVType").upper()
    if said not in _TYPES:
        _refuse(header, f"SUVType is {said!r}, known are {[*filter(None, _TYPES)]}")
    have = _TYPES[said]
    # LBM does not tell whose formula
    if have == method or (have == "lbm" and method == "lbm_james"):
        return Suv(1.0, method, f"Units GML, SUVType {said or '(none: BW)'}: as given")
    if have == "lbm":
        _refuse(header, "SUVType LBM does not say by which formula")
    factor = _share(header, method) / _share(header, have)
    return Suv(factor, method, f"Units GML, SUVType {said or '(none: BW)'}, rescaled")


def _share(header, method):
    """Return by how much SUV of a method are smaller than those of body weight."""
    if method == "bw":
        return 1.0
    weight, height = _weight(header), header.number("PatientSize")
    sex = header.text("PatientSex").upper()
    low, high = _HEIGHTS_M
    if height is None or not low <= height <= high:
        found = "is missing" if not height else f"is {height:g} m"
        _refuse(header, f"{method} needs the height, and PatientSize {found}")
    if sex not in ("M", "F"):
        _refuse(header, f"{method} needs the sex, and PatientSex is {sex!r}")
    mass = lean_body_mass(method, sex=sex, weight=weight, height=height)
    return mass / weight


def _weight(header):
    weight = header.number("PatientWeight")
    low, high = _WEIGHTS_KG
    if weight is None or not low <= weight <= high:
        found = "is missing" if not weight else f"is {weight:g} kg"
        _refuse(header, f"PatientWeight {found}")
    return weight


def _philips(headers, method):
    """Return the factor of counts, which only Philips' private tags tell."""
    first = headers[0]
    names = ("PhilipsSUVScaleFactor", "PhilipsActivityScaleFactor")
    for name in names:
        if len({header.text(name) for header in headers}) > 1:
            _refuse(first, f"{name} varies within the series")
    to_suv, to_bqml = (first.number(name) or 0.0 for name in names)
    if min(to_suv, to_bqml) < 0:
        _refuse(first, "a scale factor of Philips is negative")
    if to_suv:
        factor = to_suv * _share(first, method)
        how = f"Units CNTS, Philips' SUV factor (7053,1000) {to_suv:g}"
        return Suv(factor, method, how)
    if to_bqml:
        return _weighed(headers, method, to_bqml, "counts by (7053,1009)")
    _refuse(
        first,
        "Units is CNTS, and the private tags of Philips that tell what a count is, "
        "(7053,1000) and (7053,1009), are missing",
    )


def _weighed(headers, method, to_bqml, unit):
    """Return the factor of activity: weight by dose at the time of the values."""
    first = headers[0]
    if first.text("NumberOfRadiopharmaceuticals") not in ("", "1"):
        _refuse(first, "it names several radiopharmaceuticals")
    corrected = first.text("CorrectedImage").upper().split("\\")
    for word, what in (("ATTN", "attenuation"), ("DECY", "decay")):
        if corrected != [""] and word not in corrected:
            _refuse(first, f"the values are not {what} corrected (CorrectedImage)")
    weight = _weight(first)
    dose = first.number("RadionuclideTotalDose")
    if not dose or dose < _LEAST_BQ:
        found = f"is {dose:g} Bq: are these MBq?" if dose else "is missing"
        _refuse(first, f"RadionuclideTotalDose {found}")
    left, told = _decay(headers)
    factor = to_bqml * 1000 * weight / (dose * left) * _share(first, method)
    how = f"{unit}, {weight:g} kg, {dose:g} Bq, {told}"
    return Suv(factor, method, how)


def _decay(headers):
    """Return the share of the dose that is left when the values are of."""
    first = headers[0]
    correction = first.text("DecayCorrection").upper()
    if correction == "ADMIN":
        return 1.0, "DecayCorrection ADMIN: values of the time of injection"
    if correction != "START":
        found = f"is {correction!r}" if correction else "is missing"
        _refuse(first, f"DecayCorrection {found}; START and ADMIN are read")
    half_life = first.number("RadionuclideHalfLife")
    if not half_life or not 1 <= half_life <= _LONGEST_S:
        found = f"is {half_life:g} s" if half_life else "is missing"
        _refuse(first, f"RadionuclideHalfLife {found}")
    start, name = _start(headers)
    most = timedelta(seconds=_MOST_HALF_LIVES * half_life)
    injected = _injection(first, start, most)
    seconds = (start - injected).total_seconds()
    if seconds > most.total_seconds():
        _refuse(first, f"the scan begins {seconds / 3600:.1f} h after the injection")
    told = f"DecayCorrection START: {seconds:.0f} s from injection to {name}"
    days = _days(headers, "AcquisitionDate")
    given = _days(headers[:1], "RadiopharmaceuticalStartDateTime")
    if any(map(partial(_is_far, start), days)) or given - {injected.date()}:
        # whether the series was made days later cannot be told then
        told += " (dates contradict each other: times of day count)"
    return 2.0 ** (-seconds / half_life), told


def _start(headers):
    """Return when the first bed was scanned, and the tag that tells it."""
    first = headers[0]
    start = _moment(first, "SeriesDate", "SeriesTime")
    if start is None:
        _refuse(first, "SeriesDate or SeriesTime is missing")
    private = first.text("GEScanDateTime")
    if _is_of_another_day(headers, start):
        if private:
            return _parsed(first, "GEScanDateTime", private), "GE's (0009,100D)"
        _refuse(
            first,
            f"the series was made on another day ({start.date()}, SeriesDate) than it "
            "was acquired: SeriesTime is not when the scan began",
        )
    scans = [
        _on_day(start, _moment(header, "AcquisitionDate", "AcquisitionTime"))
        for header in headers
        if header.text("AcquisitionTime")
    ]
    earliest = min(filter(None, scans), default=start)
    if start <= earliest + _SECOND:
        return start, "SeriesTime"
    if private:
        moment = _parsed(first, "GEScanDateTime", private)
        return _on_day(start, moment), "GE's (0009,100D)"
    # one that was reconstructed again has the time of that, and the values have not
    _refuse(
        first,
        f"SeriesTime ({start}) is after the first acquisition ({earliest}): it is not "
        "when the scan began",
    )


def _is_of_another_day(headers, start):
    """Return whether tags agree on days of the scan that are not that of the series."""
    injected = _days(headers[:1], "RadiopharmaceuticalStartDateTime")
    studied = _days(headers, "StudyDate")
    scanned = _days(headers, "AcquisitionDate")
    agreed = scanned & (studied | injected) if scanned else studied & injected
    days = scanned or studied
    return bool(agreed) and all(map(partial(_is_far, start), days))


def _days(headers, name):
    """Return the days that a tag tells, without times."""
    texts = {header.text(name).replace(".", "")[:8] for header in headers} - {""}
    return {_parsed(headers[0], name, text).date() for text in texts}


def _is_far(start, day):
    """Return whether a day is not that of the start, nor across a midnight."""
    return abs(day - start.date()) > timedelta(days=1)


def _on_day(start, moment):
    """Return a moment of a scan; where its date was moved, on the day of the series."""
    if moment is None or not _is_far(start, moment.date()):
        return moment
    return datetime.combine(start.date(), moment.time())


def _injection(header, start, most):
    """Return when the dose was injected, before the start of the scan."""
    told = header.text("RadiopharmaceuticalStartDateTime")
    if told:
        moment = _parsed(header, "RadiopharmaceuticalStartDateTime", told)
        if timedelta(0) <= start - moment <= most:
            return moment
        # dates are moved by what makes files anonymous, times are not
        text = moment.strftime("%H%M%S.%f")
    else:
        text = header.text("RadiopharmaceuticalStartTime")
    if not text:
        _refuse(
            header,
            "RadiopharmaceuticalStartTime and RadiopharmaceuticalStartDateTime are "
            "missing",
        )
    name = "RadiopharmaceuticalStartTime"
    moment = _parsed(header, name, start.strftime("%Y%m%d") + text.replace(":", ""))
    # injected before midnight
    return moment if moment <= start else moment - timedelta(days=1)


def _moment(header, date, time):
    day, clock = header.text(date), header.text(time)
    if not clock or not (day or header.text("SeriesDate")):
        return None
    text = (day or header.text("SeriesDate")).replace(".", "") + clock.replace(":", "")
    return _parsed(header, time, text)


def _parsed(header, name, text):
    """Return a moment of DICOM: digits, perhaps a fraction and an offset."""
    whole, _, fraction = text.partition("&")[0].partition(".")
    for sign in "+-":
        whole, fraction = whole.partition(sign)[0], fraction.partition(sign)[0]
    try:
        moment = datetime.strptime(whole.ljust(14, "0")[:14], "%Y%m%d%H%M%S")
        return moment + timedelta(seconds=float(f"0.{fraction or 0}"))
    except ValueError:
        _refuse(header, f"{name} is {text[:40]!r}, no time")
