"""The exceptions a caller can act on: each a ``ValueError``, of files an ``OSError``.

Nothing enters and nothing leaves; every room raises from here so that a script can
catch one base class.
"""

__all__ = [
    "CohortError",
    "DicomError",
    "EmptyMaskError",
    "GeometryError",
    "LabelError",
    "LeakageError",
    "OutputError",
    "RadlatentError",
    "SchemaError",
]


class RadlatentError(Exception):
    """Base of every error that names its case and its remedy."""


class CohortError(RadlatentError, ValueError):
    """The manifest or the files of a cohort need mending.

    Parameters
    ----------
    message
        What to show a person.
    problems
        The **problems** table behind the message (``file, row, case_id, value,
        problem, remedy``), or None where there is only one.
    """

    def __init__(self, message, problems=None):
        super().__init__(message)
        self.problems = problems


class DicomError(RadlatentError, ValueError):
    """DICOM files are damaged, packed, or lack what is asked of them."""


class GeometryError(RadlatentError, ValueError):
    """Image and mask do not share one grid, or a file is not one 3D volume."""


class LabelError(RadlatentError, ValueError):
    """A mask holds intensities or probabilities where labels are needed."""


class EmptyMaskError(RadlatentError, ValueError):
    """A mask holds no voxel, or too few of them, for what was asked."""


class SchemaError(RadlatentError, ValueError):
    """A table, a settings file or a study file does not have its written form."""


class LeakageError(RadlatentError, ValueError):
    """Something would be fitted on patients it is then tested on."""


class OutputError(RadlatentError, OSError):
    """What was made cannot be written: a disk is full, or closed to this user."""
