"""Names of structures without names of people: they were typed by hand.

What files say of people enters, and the names of the structures of all patients; names
without words of people leave. Nicknames, initials and typing errors are not found.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from radlatent.imaging.dicom import DicomSeries

__all__ = ["People"]

_PATIENT = """
PatientName PatientID OtherPatientNames OtherPatientIDs PatientBirthName
PatientBirthDate AccessionNumber
"""
_STAFF = """
ReferringPhysicianName PerformingPhysicianName PhysiciansOfRecord OperatorsName
NameOfPhysiciansReadingStudy RequestingPhysician ReviewerName ContentCreatorName
"""

_WORD = re.compile(r"[^\W_]+")

#: Letters from which on a word is found inside of another, "GTVMiller"; of writing
#: without spaces, and of what stands alone.
_INSIDE, _INSIDE_CJK, _ALONE = 4, 2, 2

#: Numbers below are those of lesions.
_DIGITS = 4

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})


class People:
    """Who is named in the files of a folder.

    Parameters
    ----------
    every
        The series of all patients.

    Notes
    -----
    A word of a patient's names and numbers stays where structures of another patient,
    who is not called so, have it too (a Mr. Lung), or most patients are called so
    (LUNG-001). Words of staff always go, but for those of two or three letters that
    structures of a patient have in whose files nobody is called so (LN).
    """

    def __init__(self, every: Sequence["DicomSeries"]):
        self.n_cleaned = 0
        #: Words of staff that `clean` took out.
        self.staff_cleaned = set()
        self._patients, self._used = defaultdict(set), defaultdict(set)
        staff = defaultdict(set)
        for series in every:
            drawn = {id(one.header): one.header for one in series.structures}
            headers = [*series.headers[:1], *drawn.values()]
            self._patients[series.patient_id] |= _words(headers, _PATIENT)
            staff[series.patient_id] |= _words(headers, _STAFF)
            for structure in series.structures:
                forms = map(_forms, _WORD.findall(structure.name))
                self._used[series.patient_id] |= set().union(*forms)
        counts = Counter(word for words in self._patients.values() for word in words)
        n = len(self._patients)
        self._common = {word for word, k in counts.items() if n > 2 and k > n / 2}
        every_staff = set().union(*staff.values()) - self._common
        named = {one: words | staff[one] for one, words in self._patients.items()}
        self._staff = {
            word
            for word in every_staff
            if not (word.isascii() and len(word) < _INSIDE)
            or not self._is_used_elsewhere(word, named)
        }

    def clean(self, patient: str, name: str) -> str:
        """Return the name of a structure without words of people.

        Parameters
        ----------
        patient
            ``patient_id`` of the series.
        name
            Of the structure.
        """
        words = _WORD.findall(name)
        kept = [self._without(word, self._patients[patient]) for word in words]
        if kept == words:
            return name
        self.n_cleaned += 1
        return "_".join(filter(None, kept))

    def _without(self, word, patient):
        """Return what is left of a word, itself where it has nothing of people."""
        for form in sorted(_forms(word)):
            gone = [one for one in self._staff if _is_in(one, form)]
            self.staff_cleaned.update(gone)
            gone += [one for one in patient if _is_in(one, form) and self._tells(one)]
            if gone:
                inside = "|".join(map(re.escape, sorted(gone, key=len, reverse=True)))
                return re.sub(inside, "", form)
        return word

    def _tells(self, word):
        """Return whether a word of a name is used by those only who are called so."""
        return word not in self._common and not self._is_used_elsewhere(
            word, self._patients
        )

    def _is_used_elsewhere(self, word, named):
        """Return whether structures of a patient have it whose tags do not name it."""
        return any(
            _is_in(word, used)
            for patient, words in self._used.items()
            if word not in named[patient]
            for used in words
        )


def _words(headers, tags):
    """Return the words of tags that may name a person, in all spellings."""
    found = set()
    for header in headers:
        for word in _WORD.findall(" ".join(map(header.text, tags.split()))):
            long = len(word) >= (_DIGITS if word.isdigit() else _ALONE)
            found |= _forms(word) if long else set()
    return found


def _forms(word):
    """Return a word in lower case, without accents and with umlauts as two letters."""
    low = word.casefold()
    return {_plain(low), _plain(low.translate(_UMLAUTS))}


def _plain(text):
    parts = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(filter(_is_letter, parts)))


def _is_letter(character):
    # voiced marks of kana are letters, accents are none
    return not ("\u0300" <= character <= "\u036f")


def _is_in(word, other):
    least = _INSIDE_CJK if word[:1] >= "\u2e80" else _INSIDE
    return word == other or (len(word) >= least and word in other)
