"""Kernels are compiled once a machine, told once, and shared without harm."""

import os
import subprocess
import sys

import pytest

#: Measures a small lesion, and says how many kernels were compiled for it.
CODE = """
import logging
logging.basicConfig(level=logging.WARNING, format="%(message)s")
from numba.core import event
with event.install_recorder("numba:compile") as compiled:
    import numpy as np
    from radlatent.handcrafted import read_settings
    from radlatent.handcrafted.engine import native
    from radlatent.imaging import Volume
    image = np.random.default_rng(0).normal(size=(9, 9, 9))
    mask = np.indices(image.shape).sum(axis=0) < 12
    settings = read_settings({"imageType": {"Original": None, "LoG": {"sigma": [1]}}})
    grid = (1.0, 1.0, 1.0)
    found = native.measure(Volume(image, grid), Volume(mask, grid), settings)
print(len(compiled.buffer), *map(repr, map(float, found.values())))
"""


def start(cache):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", CODE],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Return kernels compiled, values and what was told."""
    out, told = process.communicate()
    assert process.returncode == 0, told
    n_compiled, *values = out.split()
    return int(n_compiled), values, told


@pytest.mark.long
def test_eight_processes_share_an_empty_cache(tmp_path):
    all_at_once = [finish(process) for process in [start(tmp_path) for _ in range(8)]]
    values = {tuple(found) for _, found, _ in all_at_once}
    assert len(values) == 1
    assert any("once on this machine" in told for *_, told in all_at_once)
    n_compiled, later, told = finish(start(tmp_path))
    assert tuple(later) in values
    assert (n_compiled, told) == (0, "")
    for path in tmp_path.rglob("*.nbi"):
        path.write_bytes(b"")  # as after a power cut
    n_compiled, again, told = finish(start(tmp_path))
    assert n_compiled > 0
    assert tuple(again) in values
    assert "EOFError" in told


@pytest.mark.long
def test_without_a_folder_to_write_to_kernels_still_run(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder", "utf-8")
    n_compiled, values, told = finish(start(blocked))
    assert n_compiled > 0
    assert len(values) == 107 + 93
    assert "set NUMBA_CACHE_DIR" in told
