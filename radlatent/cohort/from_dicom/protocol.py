"""What the tags of a series say of how it was made: columns for Table 1 and ComBat.

A series enters, a mapping of column to text or number leaves.
"""

import re
from typing import TYPE_CHECKING

from radlatent.errors import DicomError

if TYPE_CHECKING:
    from radlatent.imaging.dicom import DicomSeries

__all__ = ["OLDEST", "person_of", "protocol_of", "scanner_of"]

#: Years: older patients are so few that their age names them.
OLDEST = 90.0

#: Column to the tag, of every image and of one modality; numbers in the unit of the
#: tag, which the name tells.
_ALL = {
    "manufacturer": "Manufacturer",
    "scanner": "ManufacturerModelName",
    "software": "SoftwareVersions",
    "slice_thickness_mm": "SliceThickness",
}
_OF = {
    "ct": {
        "kvp": "KVP",
        "kernel": "ConvolutionKernel",
        "tube_current_ma": "XRayTubeCurrent",
        "contrast": "ContrastBolusAgent",
    },
    "mr": {
        "field_strength_t": "MagneticFieldStrength",
        "repetition_time_ms": "RepetitionTime",
        "echo_time_ms": "EchoTime",
        "sequence": "ScanningSequence",
    },
    "pet": {
        "tracer": "Radiopharmaceutical",
        "reconstruction": "ReconstructionMethod",
        "frame_ms": "ActualFrameDuration",
    },
}
_NUMBERS = re.compile(r".*_(mm|ma|t|ms)|kvp")

_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


def protocol_of(series: "DicomSeries") -> dict[str, str | float | None]:
    """Return column to value; None where the tag is absent or no number."""
    tags = _ALL | _OF[series.modality]
    found = {
        column: _number(series, tag)
        if _NUMBERS.fullmatch(column)
        else series.tag(tag) or None
        for column, tag in tags.items()
    }
    if series.modality == "pet":
        found["uptake_min"] = series.uptake_min
    return found


def scanner_of(series: "DicomSeries") -> str:
    """Return manufacturer and model as one text, or an empty one."""
    named = (series.tag("Manufacturer"), series.tag("ManufacturerModelName"))
    return " ".join(filter(None, named))


def person_of(series: "DicomSeries") -> dict[str, str | float | None]:
    """Return sex, age in years, weight in kg and height in m, as far as told."""
    age = re.fullmatch(r"(\d{1,3})([YMWD])", series.tag("PatientAge"))
    return {
        "sex": series.tag("PatientSex") or None,
        "age": round(int(age[1]) * _YEARS[age[2]], 1) if age else None,
        "weight_kg": _number(series, "PatientWeight"),
        "height_m": _number(series, "PatientSize"),
    }


def _number(series, tag):
    try:
        return series.headers[0].number(tag)
    except DicomError:  # of what nothing depends on, the image may be read
        return None
