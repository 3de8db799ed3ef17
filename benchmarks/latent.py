"""Training and encoding of encoders against pythae and a plain loop, in one run.

    python benchmarks/latent.py
    python benchmarks/latent.py --only 2d,3d --repeats 5 --out reports

Every measurement runs in a fresh process. Ours and a peer take turns, and which of them
is first alternates; the median of the repeats counts, each of them a median of epochs
after two that warm up. The losses of both sides at the start, of the same weights,
cases and draws, are compared before times. Arrays are in memory, those of the peers
standardized already; ours standardizes at every step, clips gradients, and keeps its
history. pythae is installed without its dependencies into a folder of its own and runs
with our torch.

On a machine with CUDA, `--device cuda` adds the share of the time that the device is
busy; float32 on both sides.
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import torch
from handcrafted_bench import HERE, last_line, row
from lesions import noise, sphere

from radlatent.imaging import Volume, write_volume

SECTIONS = ("2d", "3d", "encode", "memory", "busy")
#: Relative difference of the losses at the start: float32 sums of thousands of voxels.
TOLERANCE = 1e-4
#: name: size, channels, cases, cases a minibatch
FLAT = {"128 x 64, 2 views": ((128, 64), 2, 64, 16)}
SOLID = {
    "32 x 32 x 32": ((32, 32, 32), 1, 32, 8),
    "64 x 64 x 64": ((64, 64, 64), 1, 8, 4),
}
MEMORY = ((16,) * 3, (32,) * 3, (64,) * 3, (96,) * 3, (64, 128, 192))
BAR = 1.0


class Bench:
    """The options, and how a worker is started."""

    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        self.path = None

    def start(self, work, environment=None, **task):
        """Run one task in a fresh process and return what it found."""
        options = self.options
        task |= {"work": work, "device": options.device, "threads": options.threads}
        task.setdefault("repeats", options.repeats)
        threads = {"OMP_NUM_THREADS": str(options.threads)}
        command = [sys.executable, str(HERE / "latent_worker.py"), json.dumps(task)]
        return last_line(command, threads | (environment or {}))

    def pythae(self):
        """Return the environment in which pythae is found; it is installed once."""
        if self.path is None:
            self.path = self.folder / "pythae"
            install = [sys.executable, "-m", "pip", "install", "--no-deps", "--target"]
            install += [str(self.path), "pythae", "imageio"]
            done = subprocess.run(install, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"pythae is not installed:\n{done.stderr[-2000:]}")
        return {"PYTHONPATH": str(self.path)}

    def against(self, case, peer, shape, environment=None):
        """Return the row of a training of ours and of a peer that take turns."""
        size, channels, n, minibatch = shape
        task = {"size": size, "channels": channels, "n": n, "minibatch": minibatch}
        task["epochs"] = self.options.epochs
        found = {"radlatent": [], peer: []}
        for repeat in range(self.options.repeats):
            order = list(found) if repeat % 2 == 0 else list(found)[::-1]
            for tool in order:
                result = self.start(f"train {tool}", environment, **task)
                found[tool].append(result)
        ours, theirs = (medians(results) for results in found.values())
        line = row(f"a step, {case}, {minibatch} a minibatch", peer, ours, theirs, BAR)
        difference = abs(ours["first_loss"] / theirs["first_loss"] - 1)
        line["largest difference"] = f"{difference:.1e} first loss"
        line["steps/s"] = f"{1 / ours['seconds']:.3g} : {1 / theirs['seconds']:.3g}"
        if difference > TOLERANCE:
            line |= {"ratio": "-", "by CPU time": "-", "verdict": "VALUES DIFFER"}
        return line


def medians(results):
    """Return the median of every number of some results."""
    return {k: statistics.median(r[k] for r in results) for k in results[0]}


def flat(bench):
    """Compare 2D training with pythae and with a plain loop."""
    rows = []
    for case, shape in FLAT.items():
        rows.append(bench.against(case, "pythae", shape, bench.pythae()))
        rows.append(bench.against(case, "plain", shape))
    return rows


def solid(bench):
    """Compare 3D training with a plain loop."""
    return [bench.against(case, "plain", shape) for case, shape in SOLID.items()]


def encode(bench):
    """Return lesions a second, from arrays and from files."""
    rows = []
    for case, (size, channels, _, minibatch) in {**FLAT, **SOLID}.items():
        n = 64 if len(size) == 2 else 32
        task = {"size": size, "channels": channels, "n": n, "minibatch": minibatch}
        rows.append(
            throughput(f"encode {case}, arrays", n, bench.start("encode", **task))
        )
    n, size = 16, (32, 32, 32)
    files = {"cases": str(write_cases(bench.folder, n))}
    task = {"size": size, "channels": 1, "n": 4, "minibatch": 4} | files
    case = "encode 32 x 32 x 32, files of 128 x 128 x 128"
    rows.append(throughput(case, n, bench.start("encode", **task)))
    return rows


def throughput(case, n, found):
    """Return the row of a throughput, which has no peer."""
    rate = f"{n / found['seconds']:.3g} lesions/s"
    return {"case": case, "peer": "-", "ours": rate, "verdict": "stated"}


def write_cases(folder, n):
    """Write lesions in files of their own and return the path of their table."""
    shape = (128, 128, 128)
    arrays = {"image": noise(shape), "mask": sphere(shape, 15)}
    rows = []
    for k in range(n):
        line = {"case_id": f"c{k}", "patient_id": f"p{k}", "exclude": False}
        for role, array in arrays.items():
            path = folder / f"{role}{k}.nii.gz"
            if k:
                os.link(folder / f"{role}0.nii.gz", path)
            else:
                write_volume(Volume(array, (1.0, 1.0, 1.0)), path)
            line[f"{role}_m0"] = str(path)
        rows.append(line)
    pd.DataFrame(rows).to_json(folder / "cases.json")
    return folder / "cases.json"


def memory(bench):
    """Return the peaks of one training step of two cases and of encoding."""
    rows = []
    for size in MEMORY:
        for what, n, minibatch in (("train", 4, 2), ("encode", 2, 2), ("encode", 8, 8)):
            task = {"size": size, "channels": 1, "n": n, "minibatch": minibatch}
            found = bench.start("memory", what=what, **task)
            own = found["peak_mib"] - found["before_mib"]
            device = found.get("device_mib")
            case = " x ".join(map(str, size))
            rows.append(
                {
                    "case": f"{what} {case}, {minibatch} cases at once",
                    "peer": "-" if device is None else f"device {device:.0f} MiB",
                    "ours": f"{own:.0f} MiB above {found['before_mib']:.0f}",
                    "verdict": "stated",
                }
            )
    return rows


def busy(bench):
    """Return the share of the time that the device computes."""
    if bench.options.device != "cuda":
        line = {"case": "share of time that the device is busy", "peer": "-"}
        return [line | {"ours": "no GPU here", "verdict": "not measured"}]
    rows = []
    for case, (size, channels, n, minibatch) in {**FLAT, **SOLID}.items():
        task = {"size": size, "channels": channels, "n": n, "minibatch": minibatch}
        task["epochs"] = bench.options.epochs
        for precision in ("32-true", "auto"):
            found = bench.start("busy", precision=precision, **task)
            share = found["device_seconds"] / found["seconds"]
            line = {"case": f"device busy, {case}, {precision}", "peer": "-"}
            rows.append(line | {"ours": f"{100 * share:.0f}%", "verdict": "stated"})
    return rows


def machine(options):
    """Return lines about the machine and the versions."""
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    ]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{names[0]}, {len(names)} cores, {gpu}; load {os.getloadavg()[0]:.2f} at the "
        f"start\nPython {platform.python_version()}, torch {torch.__version__}; device "
        f"{options.device}, {options.threads} threads a process, {options.repeats} "
        "repeats"
    )


def read_options():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="comma-separated")
    parser.add_argument("--repeats", type=int, default=5, help="processes of each")
    parser.add_argument("--epochs", type=int, default=6, help="epochs that are timed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--out", type=Path, help="folder for the table")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(SECTIONS):
        parser.error(f"unknown: {sorted(unknown)}; sections are {list(SECTIONS)}")
    return options


def main():
    """Run the sections asked for and print one table."""
    options = read_options()
    print(machine(options))
    work = dict(zip(SECTIONS, (flat, solid, encode, memory, busy), strict=True))
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), options)
        rows = itertools.chain(*(work[section](bench) for section in options.only))
        table = pd.DataFrame(list(rows)).fillna("")
    print(table.to_string(index=False))
    print(f"load {os.getloadavg()[0]:.2f} at the end")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.out / "latent.csv", index=False)


if __name__ == "__main__":
    main()
