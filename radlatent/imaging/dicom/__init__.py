"""DICOM in: folders as scanners and archives write them, to volumes, masks and tables.

- `headers`: files to plain tags; whatever is damaged is told with the name of the file.
- `stack`: the slices of a series in order, or why they make no grid.
- `pixels`: the stored values of one slice.
- `suv`: the factor of a PET series, by body weight or lean body mass.
- `regions`, `contours`, `rtstruct`, `seg`: what was drawn, on the grid of a series.
- `folder`: all of it for a folder, as `read_dicom`.

It needs pydicom and highdicom, which are loaded when a name here is first used.
"""

import importlib

_HOMES = {
    "folder": ("DicomFolder", "DicomSeries", "Structure", "read_dicom"),
    "suv": ("METHODS", "Suv", "lean_body_mass", "suv_of"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(
            f"module 'radlatent.imaging.dicom' has no attribute {name!r}"
        )
    try:
        module = importlib.import_module(f"radlatent.imaging.dicom.{_HOME[name]}")
    except ModuleNotFoundError as error:
        if error.name not in ("pydicom", "highdicom"):
            raise
        msg = f'DICOM needs {error.name}: pip install "radlatent[dicom]".'
        raise ImportError(msg) from error
    return getattr(module, name)


def __dir__():
    return __all__
