"""Fixtures that several folders of tests share."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def drawn():
    """Return the module ``masks/drawn.py``: hearts on the short axis, and cohorts."""
    path = Path(__file__).parent / "masks" / "drawn.py"
    # pytest imports tests from their files, so that they cannot import each other
    spec = importlib.util.spec_from_file_location("drawn", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
