"""How a worker is started and its answer compared; used by `handcrafted.py`."""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
#: Largest relative difference of a feature for which a ratio of times is printed.
TOLERANCE = 1e-9
#: A value that is zero but for rounding is compared to this instead of to itself.
NEARLY_ZERO = 1e-12

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
}


def settings(*sigmas_mm):
    """Return settings: the original image, or with wavelets and LoG."""
    kinds = {"Original": None}
    if sigmas_mm:
        kinds |= {"Wavelet": None, "LoG": {"sigma": list(sigmas_mm)}}
    return {"setting": {"binWidth": 25}, "imageType": kinds}


def ellipsoid(shape, half_axes):
    """Return a centered ellipsoid as uint8."""
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    parts = zip(grid, shape, half_axes, strict=True)
    return (sum(((g - n // 2) / a) ** 2 for g, n, a in parts) <= 1).astype(np.uint8)


@dataclass
class Bench:
    """A folder of volumes, the options, and how a worker is started.

    Parameters
    ----------
    folder
        Where volumes are kept for the time of the run.
    options
        The command line.
    """

    folder: Path
    options: argparse.Namespace

    def save(self, **arrays):
        """Write arrays and return their paths by name."""
        paths = {name: str(self.folder / f"{name}.npy") for name in arrays}
        for name, array in arrays.items():
            np.save(paths[name], array)
        return paths

    def start(self, work, *, environment=None, **task):
        """Run one task in a fresh process and return what it found."""
        task |= {"work": work}
        task.setdefault("repeats", self.options.repeats)
        command = [sys.executable, str(HERE / "handcrafted_worker.py")]
        return last_line([*command, json.dumps(task)], environment)

    def against_pyradiomics(self, case, task, bar):
        """Return rows of one case, and what our tool found.

        Parameters
        ----------
        case
            What is measured, for the table.
        task
            Paths of the image and the mask, and settings.
        bar
            Wanted ratio to pyradiomics as its users call it; None wants none.
        """
        ours = self.start("measure", tool="radlatent", **task)
        rows = []
        for more in (True, False):
            peer = f"pyradiomics, additionalInfo={more}"
            peer_task = task | {"repeats": self.options.peer_repeats}
            peer_task |= {"tool": "pyradiomics", "additional_info": more}
            theirs = self.start("measure", **peer_task)
            wrong, difference = difference_of(ours["values"], theirs["values"])
            wanted = bar if more else None
            line = row(case, peer, ours, theirs, wanted)
            line["largest difference"] = difference
            if wrong:
                line |= {"ratio": "-", "by CPU time": "-", "verdict": "VALUES DIFFER"}
            rows.append(line)
            ours.setdefault("peer_peak_mib", theirs["peak_mib"])
        return rows, ours


def last_line(command, environment=None):
    """Run a command with one thread and return the JSON of its last line."""
    environment = os.environ | ONE_THREAD | (environment or {})
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def difference_of(ours, theirs):
    """Return whether values differ, and the largest relative difference as text."""
    if missing := sorted(set(ours) ^ set(theirs)):
        return True, f"{len(missing)} of one tool only: {missing[0]}"
    a, b = (np.array([values[name] for name in ours]) for values in (ours, theirs))
    relative = np.abs(a - b) / np.maximum(np.abs(b), NEARLY_ZERO)
    relative[np.isnan(a) & np.isnan(b)] = 0
    relative[np.isnan(relative)] = np.inf  # a value on one side only
    worst = int(np.argmax(relative))
    text = f"{relative[worst]:.1e} {list(ours)[worst]} ({len(ours)} values)"
    return bool(relative[worst] > TOLERANCE), text


def row(case, peer, ours, theirs, bar=None):
    """Return one line of the table for what two timings returned.

    The ratio of CPU times stands beside that of wall times: where the two differ,
    the machine had other work.
    """
    ratio = theirs["seconds"] / ours["seconds"]
    verdict = "stated" if bar is None else "holds" if ratio >= bar else "DOES NOT HOLD"
    cpu = "cpu" in ours and f"{theirs['cpu'] / max(ours['cpu'], 1e-6):.4g}x"
    return {
        "case": case,
        "peer": peer,
        "ours": f"{ours['seconds']:.4g} s",
        "theirs": f"{theirs['seconds']:.4g} s",
        "ratio": f"{ratio:.4g}x",
        "by CPU time": cpu or "",
        "bar": "-" if bar is None else f">= {bar:g}x",
        "verdict": verdict,
        "largest difference": "",
    }
