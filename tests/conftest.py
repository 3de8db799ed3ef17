"""Fixtures that several folders of tests share."""

import importlib.util
import logging
import socket
from pathlib import Path

import numpy as np
import pandas as pd
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


@pytest.fixture
def free_port():
    """Return a port on which nobody listens, for processes that train together."""
    with socket.socket() as opened:
        opened.bind(("localhost", 0))
        return opened.getsockname()[1]


@pytest.fixture
def make_endpoint():
    """Return an endpoint of classes, of patients p000, p001, ...."""
    from radlatent.features.endpoint import Endpoint

    def make(classes, prefix="p"):
        index = pd.Index([f"{prefix}{i:03d}" for i in range(len(classes))])
        series = pd.Series(list(classes), index.rename("patient_id"), name="class")
        return Endpoint("diagnosis", "class", series.to_frame())

    return make


@pytest.fixture
def make_features():
    """Return a **features** table of one block, a row a patient."""

    def make(values, index, block="ct_handcrafted"):
        values = np.asarray(values, dtype=float)
        columns = [f"{block}__mu{i:04d}" for i in range(values.shape[1])]
        return pd.DataFrame(values, pd.Index(index, name="patient_id"), columns)

    return make
