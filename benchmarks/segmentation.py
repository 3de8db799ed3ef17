"""Training and inference of segmentation networks, against plain loops and MONAI's.

    python benchmarks/segmentation.py
    python benchmarks/segmentation.py --only networks --out reports

Every measurement runs in a fresh process. Ours and a peer take turns, and which of them
is first alternates; the median of the repeats counts, each of them a median of epochs
after two that warm up. All train the same network from the same weights on the same
slices, nobody augments; the losses before the first step are compared before times. The
peers are a plain loop over a DataLoader with our loss, and MONAI's SupervisedTrainer
with its DiceCELoss. ignite, which that trainer needs, is installed without its
dependencies into a folder of its own.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from handcrafted_bench import HERE, last_line, row
from latent import TOLERANCE, machine, medians

from radlatent.segmentation import NETWORKS

SECTIONS = ("loop", "inference", "networks")
SLICES = {"size": (128, 128), "n": 96, "minibatch": 16}
#: What a network of volumes sees.
VOLUMES = {"size": (12, 96, 96), "minibatch": 2}
BAR = 1.0
#: Slices a second of the U-Net on one core.
SLICES_A_SECOND = 40


class Bench:
    """The options, and how a worker is started."""

    def __init__(self, folder, options):
        self.folder, self.options, self.path = folder, options, None

    def start(self, work, environment=None, **task):
        """Run one task in a fresh process and return what it found."""
        options = self.options
        task |= {"work": work, "device": options.device, "threads": options.threads}
        task.setdefault("repeats", options.repeats)
        threads = {"OMP_NUM_THREADS": str(options.threads)}
        command = [sys.executable, str(HERE / "segmentation_worker.py")]
        command.append(json.dumps(task))
        return last_line(command, threads | (environment or {}))

    def ignite(self):
        """Return the environment in which ignite is found; it is installed once."""
        if self.path is None:
            self.path = self.folder / "ignite"
            install = [sys.executable, "-m", "pip", "install", "--no-deps", "--target"]
            install += [str(self.path), "pytorch-ignite"]
            done = subprocess.run(install, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"ignite is not installed:\n{done.stderr[-2000:]}")
        known = os.environ.get("PYTHONPATH", "")
        return {"PYTHONPATH": os.pathsep.join([str(self.path), known])}

    def against(self, peer, environment=None, **task):
        """Return the row of a training of ours and of a peer that take turns."""
        task = SLICES | {"network": "unet", "epochs": self.options.epochs} | task
        found = {"radlatent": [], peer: []}
        for repeat in range(self.options.repeats):
            order = list(found) if repeat % 2 == 0 else list(found)[::-1]
            for tool in order:
                result = self.start(f"train {tool}", environment, **task)
                found[tool].append(result)
        ours, theirs = (medians(results) for results in found.values())
        precision = task.get("precision", "32-true")
        line = row(f"a step of 16 slices, U-Net, {precision}", peer, ours, theirs, BAR)
        difference = abs(ours["first_loss"] / theirs["first_loss"] - 1)
        line["largest difference"] = f"{difference:.1e} first loss"
        line["steps/s"] = f"{1 / ours['seconds']:.3g} : {1 / theirs['seconds']:.3g}"
        if difference > TOLERANCE:
            line |= {"ratio": "-", "by CPU time": "-", "verdict": "VALUES DIFFER"}
        return line


def loop(bench):
    """Compare training with a plain loop and with MONAI's trainer."""
    return [
        bench.against("plain"),
        bench.against("plain", precision="bf16-mixed"),
        bench.against("monai", bench.ignite()),
    ]


def inference(bench):
    """Return slices a second of the U-Net, from arrays to probabilities."""
    rows = []
    for half in (False, True):
        found = bench.start("infer", network="unet", half=half, **SLICES)
        rate = SLICES["n"] / found["seconds"]
        by_cpu = SLICES["n"] / found["cpu"]
        rows.append(
            {
                "case": f"U-Net, probabilities of a slice, {'bf16' if half else '32'}",
                "peer": "-",
                "ours": f"{rate:.0f} slices/s ({by_cpu:.0f} by CPU time)",
                "bar": f">= {SLICES_A_SECOND} slices/s",
                "verdict": "holds" if rate >= SLICES_A_SECOND else "DOES NOT HOLD",
            }
        )
    return rows


def networks(bench):
    """Return parameters, milliseconds of CPU time and memory of every network."""
    rows = []
    for name, facts in NETWORKS.items():
        shape = SLICES if 2 in facts.dimensions else VOLUMES
        shape = {"size": shape["size"], "minibatch": shape["minibatch"]}
        case = f"{name} ({facts.width}), {' x '.join(map(str, shape['size']))}"
        for half in (False, True):
            found = bench.start("network", network=name, half=half, **shape)
            step, forward = (
                1e3 * found[what]["cpu"] / shape["minibatch"]
                for what in ("step", "forward")
            )
            rows.append(
                {
                    "case": f"{case}, {'bf16' if half else '32'}",
                    "peer": "-",
                    "ours": f"{found['parameters'] / 1e6:.2f} M, a step {step:.1f} ms "
                    f"an image, forward {forward:.1f} ms, {found['mib']:.0f} MiB for "
                    f"{shape['minibatch']} images",
                    "verdict": "stated",
                }
            )
    return rows


def read_options():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="comma-separated")
    parser.add_argument("--repeats", type=int, default=3, help="processes of each")
    parser.add_argument("--epochs", type=int, default=4, help="epochs that are timed")
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
    work = dict(zip(SECTIONS, (loop, inference, networks), strict=True))
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), options)
        rows = itertools.chain(*(work[section](bench) for section in options.only))
        table = pd.DataFrame(list(rows)).fillna("")
    print(table.to_string(index=False))
    print(f"load {os.getloadavg()[0]:.2f} at the end")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.out / "segmentation.csv", index=False)


if __name__ == "__main__":
    main()
