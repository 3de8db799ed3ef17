"""The writer of DICOM files that the tests of its readers have."""

import importlib.util
from pathlib import Path

if not all(map(importlib.util.find_spec, ("pydicom", "highdicom"))):
    collect_ignore_glob = ["test_*.py"]

# pytest imports tests from their files, so that they cannot import each other
_path = Path(__file__).parents[2] / "imaging" / "dicom" / "conftest.py"
_spec = importlib.util.spec_from_file_location("dicom_writer", _path)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
write = _module.write
