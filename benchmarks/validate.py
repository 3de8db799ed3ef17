"""Nested validation of wide data against the same protocol in scikit-learn, in one run.

    python benchmarks/validate.py
    python benchmarks/validate.py --quick
    python benchmarks/validate.py --only boosted --outer 1 --jobs 1
    python benchmarks/validate.py --only boosted --side radlatent

400 patients x 20,000 columns that go along, 20 of which tell the class; five outer and
five inner folds, six candidates of an elastic net, four of boosted trees. One side is
`cross_validate(tune(...), jobs=2)`, the other a loop over a Pipeline in GridSearchCV
with n_jobs=2: same folds, same seeds, same settings of the solvers. `--outer K` leaves
both sides the first K of the outer folds. Every side runs in a fresh process; values
are compared before times. The verdict is by CPU time of the process and its workers,
imports and the making of the data included: others may share the machine, and wall
time is theirs too. Memory is the sum over the same processes, in which pages that they
share count several times.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import sklearn
import xgboost
from handcrafted_bench import HERE, ONE_THREAD

MODELS = ("elastic net", "boosted")
SIDES = ("radlatent", "scikit-learn")
#: Outer folds of the whole protocol.
FOLDS = 5
#: Wanted ratio of CPU times, and the most memory, in GiB.
BAR, MEMORY = 1.0, 4.0
#: Largest difference of the AUC: trees are the same, but the elastic net of
#: scikit-learn stops, with its own tolerance of 1e-4, farther from the optimum.
TOLERANCE = 0.01


def watch(process):
    """Return peak memory in GiB and CPU seconds of a process and its workers."""
    root, peak, cpu = psutil.Process(process.pid), 0, {}
    while process.poll() is None:
        resident = 0
        try:
            for one in [root, *root.children(recursive=True)]:
                resident += one.memory_info().rss
                times = one.cpu_times()
                cpu[one.pid] = times.user + times.system
        except psutil.NoSuchProcess:
            continue
        peak = max(peak, resident)
        time.sleep(0.2)
    return peak / 2**30, sum(cpu.values())


def start(**task):
    """Run one side in a fresh process and return what it found."""
    command = [sys.executable, str(HERE / "validate_worker.py"), json.dumps(task)]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as told:
        environment = os.environ | ONE_THREAD
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=told)
        peak, cpu = watch(process)
        for file in (out, told):
            file.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}\n{told.read()[-4000:]}")
        found = json.loads(out.read().splitlines()[-1]) | {"peak": peak, "cpu": cpu}
    # the whole run may take an hour
    print(f"{task['model']}, {task['side']}: {found['seconds']:.0f} s", file=sys.stderr)
    return found


def row_of(model, side, found):
    """Return the row of one side."""
    return {
        "model": model,
        "side": side,
        "wall s": round(found["seconds"], 1),
        "search s": round(found["search"], 1),
        "fit, predict s": round(found["seconds"] - found["search"], 1),
        "CPU s": round(found["cpu"], 1),
        "peak GiB": round(found["peak"], 2),
        "AUC": round(found["auc"], 4),
        "load": found["load"],
    }


def compared(mine, theirs):
    """Return what both sides together say: values first, then times."""
    gap = np.abs(np.subtract(mine["probability"], theirs["probability"])).max()
    pairs = list(zip(mine["chosen"], theirs["chosen"], strict=True))
    same, n = sum(a == b for a, b in pairs), len(pairs)
    equal = abs(mine["auc"] - theirs["auc"]) <= TOLERANCE
    holds = theirs["cpu"] >= BAR * mine["cpu"] and mine["peak"] < MEMORY
    verdict = "holds" if holds else "DOES NOT HOLD"
    verdict = verdict if equal else "VALUES DIFFER"
    part = "" if n == FOLDS else f" on {n} of {FOLDS} outer folds"
    first = {
        "wall": f"{theirs['seconds'] / mine['seconds']:.2f}x",
        "by CPU time": f"{theirs['cpu'] / mine['cpu']:.2f}x",
        "verdict": verdict + part,
    }
    values = f"{same} of {n} choices equal, probabilities within {gap:.1g}"
    return first, {"verdict": values}


def rows_of(model, options):
    """Return a row a side of one model."""
    task = {"model": model, "patients": options.patients, "columns": options.columns}
    task |= {"outer": options.outer, "jobs": options.jobs}
    sides = [options.side] if options.side else SIDES
    found = [start(side=side, **task) for side in sides]
    rows = [row_of(model, *pair) for pair in zip(sides, found, strict=True)]
    if len(found) < len(SIDES):
        return rows
    return [a | b for a, b in zip(rows, compared(*found), strict=True)]


def read_options():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--columns", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=MODELS, help="one of the models")
    parser.add_argument("--side", choices=SIDES, help="one of the sides, not compared")
    parser.add_argument(
        "--outer",
        type=int,
        default=FOLDS,
        choices=range(1, FOLDS + 1),
        help="only the first of the five outer folds, on both sides",
    )
    parser.add_argument("--quick", action="store_true", help="2,000 columns")
    parser.add_argument("--out", type=Path, help="folder for the table")
    options = parser.parse_args()
    if options.quick:
        options.columns = 2000
    return options


def main():
    """Run both sides of the models and print one table."""
    options = read_options()
    part = f", the first {options.outer} outer folds only"
    part = part if options.outer < FOLDS else ""
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, scikit-learn {sklearn.__version__}, xgboost "
        f"{xgboost.__version__}\n{options.patients} patients x {options.columns} "
        f"columns, nested {FOLDS} x 5{part}, {options.jobs} processes"
    )
    models = [options.only] if options.only else MODELS
    table = pd.DataFrame([row for m in models for row in rows_of(m, options)])
    print(table.fillna("").to_string(index=False))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.out / "validate.csv", index=False)


if __name__ == "__main__":
    main()
