"""Fixtures that several folders of tests share."""

import importlib.util
import logging
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


@pytest.fixture(autouse=True)
def _own_logging():
    """Undo what a command line run in this process did to logging.

    Its handler writes to the standard error of one test, or of one fixture, which is
    closed in the next.
    """
    logger = logging.getLogger("radlatent")
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)
