"""Metrics of masks against MedPy, MONAI and surface-distance: values, then times.

    python benchmarks/overlap.py
    python benchmarks/overlap.py --peers /tmp/peers/bin/python --only equality
    python benchmarks/overlap.py --write tests/data/overlap

MedPy is GPL: peers run in an environment of their own, which is made where `--peers`
names none (torch comes from the environment that runs this). A process a tool, one
thread, the median of some calls after a warm-up on a small mask; masks are in memory.
A ratio is printed only where values agree under the definition of the peer.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np
import pandas as pd
from overlap_pairs import many, pairs, spheres

from radlatent.masks.overlap.compare import compare_masks
from radlatent.masks.overlap.label_boxes import find_labels

HERE = Path(__file__).parent
PEERS = ("MedPy==0.5.2", "surface-distance-based-measures==0.1", "monai==1.6.1")
SECTIONS = ("equality", "seg", "scaling")
SHAPE = (120, 512, 512)
#: What counts as equal: relative to the value, or to 1 mm below that.
EQUAL = 1e-6
#: Wanted ratios to HD95 and ASSD of MedPy, and to all of surface-distance, in a case.
BARRED = "spheres r 30, speck, 120x512x512"
BARS = {"medpy": 200, "surface_distance": 2}
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
#: Seed of the pairs that are stored, and how many: five of each kind.
STORED = 6, 70


class Bench:
    """A folder of arrays, and how a tool is started.

    Parameters
    ----------
    folder
        Where arrays are kept for the time of the run.
    options
        The command line.
    """

    def __init__(self, folder, options):
        self.folder, self.options = folder, options

    def start(self, tool, work, arrays, **task):
        """Run one task in a fresh process and return what it found."""
        path = str(self.folder / "arrays.npz")
        if arrays is not None:
            np.savez(path, **arrays)
        task |= {"tool": tool, "work": work, "arrays": path}
        task.setdefault("repeats", self.options.repeats)
        python = sys.executable if tool == "radlatent" else self.options.peers
        done = subprocess.run(
            [python, str(HERE / "overlap_worker.py"), json.dumps(task)],
            env=os.environ | ONE_THREAD,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{tool}: {done.stderr[-4000:]}")
        return json.loads(done.stdout.splitlines()[-1])


def make_peers(home):
    """Return the Python of a new environment with the peers."""
    venv.create(home, with_pip=True)
    python = str(home / "bin" / "python")
    packages = [f"numpy=={np.__version__}", *PEERS]
    install = [python, "-m", "pip", "install", "-q"]
    # no second copy of torch: the packages of this environment come last
    site = next(home.glob("lib/python*/site-packages"))
    here = next(Path(p) for p in sys.path if p.endswith("site-packages"))
    (site / "zz_torch.pth").write_text(f"{here}\n", "utf-8")
    subprocess.run([*install, "--no-deps", packages[-1]], check=True)
    subprocess.run([*install, "scipy", "absl-py", *packages[:-1]], check=True)
    return python


def arrays_of(drawn):
    """Return pairs as the arrays of one file."""
    arrays = {}
    for i, (_, spacing_mm, mask, reference) in enumerate(drawn):
        arrays |= {f"mask_{i}": mask, f"reference_{i}": reference}
        arrays[f"spacing_{i}"] = np.array(spacing_mm)
    return arrays


def ours_of(drawn):
    """Return our values of pairs, one row a pair."""
    rows = []
    for kind, spacing_mm, mask, reference in drawn:
        table = compare_masks(
            mask, reference, structures={"mask": 1}, spacing_mm=spacing_mm
        )
        row = table.iloc[0].rename({"area_mm2": "volume_mm3"})
        about = {
            "kind": kind,
            "axes": mask.ndim,
            "diagonal": np.linalg.norm(spacing_mm),
        }
        rows.append(row.to_dict() | about)
    return pd.DataFrame(rows)


def difference(ours, theirs):
    """Return how far values are apart, relative to them or to 1 below that."""
    return np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1)


def equality(bench):
    """Print how many of the pairs agree with each peer, metric by metric."""
    drawn = pairs(bench.options.pairs, 0)
    ours, arrays = ours_of(drawn), arrays_of(drawn)
    both = ours["state"] == "both"
    print(f"{len(ours)} pairs: {ours['state'].value_counts().to_dict()}")
    print(pd.crosstab(ours["axes"], ours["kind"]).to_string())
    rows = []
    for tool in ("medpy_all", "monai_all", "surface_distance"):
        found = bench.start(tool, "values", arrays, n=len(drawn))
        theirs = pd.DataFrame(found["rows"])
        for metric in theirs.columns.drop("raised", errors="ignore"):
            a, b = ours.loc[both, metric.split()[0]], theirs.loc[both, metric]
            worst = difference(a, b)
            row = {"peer": tool, "metric": metric, "pairs": len(a)}
            row |= {"within 1e-6": int((worst <= EQUAL).sum())}
            row["largest difference"] = f"{worst.max():.2g}"
            if tool == "surface_distance":
                voxels = ((a - b).abs() / ours.loc[both, "diagonal"]).max()
                row["in voxel diagonals"] = f"{voxels:.3g}" if "mm" in metric else ""
            else:
                row["verdict"] = "equal" if row["within 1e-6"] == len(a) else "DIFFERS"
            rows.append(row)
        print(f"{found['versions']}, where a mask is empty:")
        for state, part in theirs.groupby(ours["state"]):
            if state != "both":
                print("  ", state, part.iloc[0].dropna().to_dict(), f"({len(part)})")
    table = pd.DataFrame(rows).fillna("")
    print(table.to_string(index=False))
    return table


def seg(bench):
    """Print times on two spheres and a speck."""
    far = tuple(n - 8 for n in SHAPE)
    cases = {
        BARRED: (SHAPE, {}, (1.0, 1.0, 1.0)),
        "the same, 5 x 1 x 1 mm": (SHAPE, {}, (5.0, 1.0, 1.0)),
        "the same in 128x128x128": ((128,) * 3, {}, (1.0, 1.0, 1.0)),
        "speck in the far corner of 120x512x512": (SHAPE, {"speck": far}, (1.0,) * 3),
        "spheres r 55, speck, 120x512x512": (SHAPE, {"radius": 55}, (1.0,) * 3),
    }
    rows = []
    for case, (shape, options, spacing_mm) in cases.items():
        mask, reference = spheres(shape, **options)
        arrays = {"mask": mask, "reference": reference}
        task = {"spacing_mm": spacing_mm}
        ours = bench.start("radlatent", "timed", arrays, **task)
        for tool in ("medpy", "surface_distance", "monai"):
            # a call of MedPy takes some ten seconds
            repeats = 1 if tool == "medpy" else bench.options.peer_repeats
            theirs = bench.start(tool, "timed", None, repeats=repeats, **task)
            bar = BARS.get(tool) if case == BARRED else None
            rows.append({"case": case} | compared(tool, ours, theirs, bar))
    table = pd.DataFrame(rows)
    print(table.to_string(index=False))
    return table


def compared(tool, ours, theirs, bar):
    """Return a line of the table of times."""
    names = ["dice"] if tool == "surface_distance" else [*theirs["values"]]
    a, b = (np.array([one["values"][n] for n in names]) for one in (ours, theirs))
    worst = difference(a, b).max()
    ratio = theirs["seconds"] / ours["seconds"]
    line = {
        "peer": " ".join(f"{k} {v}" for k, v in theirs["versions"].items()),
        "ours s": f"{ours['seconds']:.4g}",
        "theirs s": f"{theirs['seconds']:.4g}",
        "ours CPU s": f"{ours['cpu']:.4g}",
        "ratio": f"{ratio:.4g}x",
        "by CPU time": f"{theirs['cpu'] / ours['cpu']:.4g}x",
        "bar": f">= {bar}x" if bar else "-",
        "verdict": "stated"
        if not bar
        else "holds"
        if ratio >= bar
        else "DOES NOT HOLD",
        "largest difference": f"{worst:.2g} ({', '.join(names)})",
    }
    if worst > EQUAL:
        line |= {"ratio": "-", "by CPU time": "-", "verdict": "VALUES DIFFER"}
    return line


def best(function, repeats):
    """Return the median CPU time of a call in seconds: other work does not count."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return float(np.median(times))


def scaling(bench):
    """Print how the time grows with structures, their size and the volume."""
    rows = []
    for n, radius, shape in (
        (1, 12, SHAPE),
        (8, 12, SHAPE),
        (32, 12, SHAPE),
        (32, 24, SHAPE),
        (32, 12, (240, 512, 512)),
        (32, 12, (240, 1024, 512)),
    ):
        mask, reference = many(shape, radius, n)
        structures = {str(k): k for k in range(1, n + 1)}
        options = {"structures": structures, "spacing_mm": (1, 1, 1)}
        table = compare_masks(mask, reference, **options)
        arrays, repeats = (mask, reference), bench.options.repeats
        whole = best(lambda: compare_masks(*arrays, **options), repeats)  # noqa: B023
        scan = best(lambda: [find_labels(one) for one in arrays], repeats)  # noqa: B023
        row = {"structures": n, "radius": radius, "volume": "x".join(map(str, shape))}
        row |= {"million voxels": f"{mask.size / 1e6:.1f}"}
        row |= {"in boxes": f"{n * (2 * radius + 3) ** 3 / 1e6:.2f}"}
        row |= {"CPU s": f"{whole:.4g}", "of it to find them": f"{scan:.4g}"}
        rows.append(row | {"ms a structure": f"{1e3 * (whole - scan) / n:.3g}"})
        if (n, radius, shape) == (32, 24, SHAPE):
            against = {"n": n, "spacing_mm": (1, 1, 1), "crop": False}
            files = {"mask": mask, "reference": reference}
            found = bench.start("surface_distance", "each", files, **against)
            rows[-1]["surface-distance, label by label"] = f"{found['seconds']:.4g}"
            found = bench.start("medpy_all", "each", None, **against | {"crop": True})
            names = ["dice", "hd_mm", "hd95_pooled_mm", "assd_pooled_mm"]
            theirs = pd.DataFrame(found["rows"])[names].to_numpy()
            apart = difference(table[names].to_numpy(), theirs).max()
            rows[-1]["MedPy on each box"] = (
                f"{found['seconds']:.4g} ({apart:.1g} apart)"
            )
    table = pd.DataFrame(rows).fillna("")
    print(table.to_string(index=False))
    slices(bench)
    return table


def slices(bench):
    """Print the rate on slices of three structures."""
    mask, reference = (np.zeros((256, 216), np.uint8) for _ in range(2))
    for label, radius in ((2, 30), (3, 20)):
        for array, shift in ((mask, 2), (reference, 0)):
            y, x = np.ogrid[:256, :216]
            array[(y - 120 - shift) ** 2 + (x - 100) ** 2 <= radius**2] = label
    mask[90:150, 135:160], reference[92:150, 136:161] = 1, 1
    options = {"structures": {"RV": 1, "MYO": 2, "LV": 3}, "spacing_mm": (1.4, 1.4)}
    seconds = best(lambda: compare_masks(mask, reference, **options), 100)
    print(f"a slice of 256x216, 3 structures: {1e3 * seconds:.2f} ms")


def write(bench):
    """Write the pairs of the tests and the values of MedPy and MONAI."""
    seed, n = STORED
    drawn = pairs(n, seed)
    arrays = arrays_of(drawn)
    tools = ("medpy_all", "monai_all")
    found = {tool: bench.start(tool, "values", arrays, n=n) for tool in tools}
    frame = pd.DataFrame({"kind": [kind for kind, *_ in drawn]})
    for tool in tools:
        values = pd.DataFrame(found[tool]["rows"]).drop(
            columns="raised", errors="ignore"
        )
        frame = frame.join(values.add_prefix(tool.replace("all", "")))
    folder = bench.options.write
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "pairs.npz", **arrays)
    frame.to_csv(folder / "reference.csv", index_label="pair", float_format="%.17g")
    print({tool: one["versions"] for tool, one in found.items()})


def machine():
    """Return a line about the machine."""
    text = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    names = [
        line.split(":")[1].strip() for line in text if line.startswith("model name")
    ]
    load = os.getloadavg()[0]
    return (
        f"{names[0]}, {len(names)} cores, load {load:.2f}, {platform.python_version()}"
    )


def main():
    """Run the sections asked for, or write the reference values."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="comma-separated")
    parser.add_argument("--peers", help="Python with MedPy, MONAI and surface-distance")
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=9, help="calls of ours")
    parser.add_argument(
        "--peer-repeats", type=int, default=3, help="calls of a peer, one of MedPy"
    )
    parser.add_argument("--write", type=Path, help="folder for stored reference values")
    parser.add_argument("--out", type=Path, help="folder for the tables")
    options = parser.parse_args()
    work = dict(zip(SECTIONS, (equality, seg, scaling), strict=True))
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        options.peers = options.peers or make_peers(Path(name) / "peers")
        bench = Bench(Path(name), options)
        if options.write:
            write(bench)
            return
        for section in options.only.split(","):
            table = work[section](bench)
            if options.out:
                options.out.mkdir(parents=True, exist_ok=True)
                table.to_csv(options.out / f"{section}.csv", index=False)


if __name__ == "__main__":
    main()
