"""The engine of hand-crafted features against pyradiomics 3.0.1 and Nyxus, in one run.

    python benchmarks/handcrafted.py
    python benchmarks/handcrafted.py --only small,filters --repeats 7 --out reports

Every case runs in a fresh process per tool with one thread. Images and masks are in
memory, whole; making the objects of a tool from them is not timed. The median of some
calls counts, after a warm-up on another lesion (radius 8 in 128 voxels cubed, of
another spacing), which is not counted. Values are compared before times: a ratio is
printed only where every feature agrees. The image is that of PEERS.md 7.1: smoothed
normal noise from 0 to 1000, int16, 1 mm; bin width 25.
"""

import argparse
import importlib.metadata
import itertools
import os
import platform
import subprocess
import tempfile
import time
import venv
from pathlib import Path

import pandas as pd
from handcrafted_bench import HERE, Bench, ellipsoid, last_line, row, settings
from handcrafted_scaling import scaling
from handcrafted_worker import SPACING_MM
from lesions import RADIUS, SHAPE, SMALL, noise, sphere, write_cohort

from radlatent.imaging import Volume, bounding_box, expand_box, write_volume

SECTIONS = ("small", "filters", "organ", "scaling", "pool", "compile")
#: An ellipsoid of 760,000 voxels about the center, half-axes in voxels (z, y, x).
ORGAN = (45.0, 51.84, 77.76)
#: Fields of view of the organ: the more there is around it, the more pyradiomics
#: filters, while ours crops by itself. In the middle one it takes the 27 s of PEERS.md.
FIELDS = ("120 x 512 x 512", "120 x 340 x 340", "its box and 20 voxels")
ORGAN_BAR = 20
#: Two processes against one, in memory and with `extract`.
POOL_BAR = 1.9
#: Seconds from starting a process to its first lesion measured, by numba's cache.
START_BARS_S = {"empty": 60, "filled": 2}
VERSIONS = ("radlatent", "pyradiomics", "numpy", "scipy", "numba", "SimpleITK")


def small(bench):
    """Compare one lesion of radius 15 in 120 x 512 x 512 voxels."""
    task = bench.save(image=noise(SHAPE), mask=sphere(SHAPE, RADIUS))
    case = "lesion r 15, original"
    return bench.against_pyradiomics(case, task | {"settings": settings()}, 80)[0]


def filters(bench):
    """Compare the same lesion with wavelets and LoG."""
    task = bench.save(image=noise(SHAPE), mask=sphere(SHAPE, RADIUS))
    task |= {"settings": settings(1.0, 3.0)}
    return bench.against_pyradiomics("lesion r 15, wavelet, LoG 1 3", task, 40)[0]


def organ(bench):
    """Compare an organ with and without filters, its memory, and Nyxus."""
    image, mask = noise(SHAPE), ellipsoid(SHAPE, ORGAN)
    case = f"organ of {mask.sum():,} voxels"
    filtered = {"settings": settings(1.0, 2.0, 3.0)}
    middle = (slice(None), slice(86, 426), slice(86, 426))
    near = expand_box(bounding_box(mask), (20, 20, 20), SHAPE)
    rows = []
    for box, field in zip((..., middle, near), FIELDS, strict=True):
        task = bench.save(image=image[box], mask=mask[box]) | filtered
        title = f"{case}, wavelet, LoG 1 2 3, in {field}"
        found, ours = bench.against_pyradiomics(title, task, ORGAN_BAR)
        rows += [*found, memory_row(ours)]
    whole = bench.save(image=image, mask=mask)
    plain = whole | {"settings": settings()}
    rows += bench.against_pyradiomics(f"{case}, original", plain, None)[0]
    if not bench.options.no_nyxus:
        rows += against_nyxus(bench, image, mask)
    return rows


def memory_row(ours):
    """Return the row of the memory of an organ with filters."""
    peak, before = ours["peak_mib"], ours["before_mib"]
    return {
        "case": "  its memory, whole process at its peak",
        "peer": f"pyradiomics; ours less image and imports {peak - before:.0f} MiB",
        "ours": f"{peak:.0f} MiB",
        "theirs": f"{ours['peer_peak_mib']:.0f} MiB",
        "ratio": f"{ours['peer_peak_mib'] / peak:.3g}x",
        "bar": "< 1024 MiB",
        "verdict": "holds" if peak < 1024 else "DOES NOT HOLD",
    }


def against_nyxus(bench, image, mask):
    """Return a row for each file format; reading is timed on both sides.

    Values are not compared: the definitions are others (gray levels are not binned).
    """
    home = bench.folder / "nyxus"
    venv.create(home, with_pip=True)
    python = str(home / "bin" / "python")
    install = [python, "-m", "pip", "install", "nyxus"]
    subprocess.run(install, check=True, capture_output=True)
    rows = []
    for suffix in (".nii.gz", ".nii"):
        paths = [str(bench.folder / f"{name}{suffix}") for name in ("image", "mask")]
        for array, path in zip((image, mask), paths, strict=True):
            write_volume(Volume(array, SPACING_MM), path)
        script = str(HERE / "handcrafted_nyxus.py")
        found = last_line([python, script, *paths, str(bench.options.peer_repeats)])
        task = dict(zip(("image", "mask"), paths, strict=True))
        ours = bench.start("files", settings=settings(), **task)
        peer = f"Nyxus3D {found['version']}, *3D_ALL*, {found['n_features']} values"
        case = f"organ, original, read from {suffix}"
        rows.append(row(case, peer, ours, found, 1))
        rows[-1]["largest difference"] = (
            f"not compared; Nyxus finds {found['voxels']:,.0f} voxels, a mesh of "
            f"{found['mesh_volume']:,.0f} mm3, "
            f"mean level {found['glcm_mean_level']:.0f}"
        )
    return rows


def pool(bench):
    """Compare two processes with one: the engine by itself, and `extract` on files.

    The second one reads and hashes files, which the memory of the machine limits.
    """
    n = bench.options.copies
    folder = bench.folder / "cohort"
    folder.mkdir()
    write_cohort(folder, SMALL, n)
    lesion = bench.save(image=noise(SMALL), mask=sphere(SMALL, RADIUS))
    rows = []
    for name, chosen, times in (("original", (), 100), ("filters", (1.0, 3.0), 8)):
        about = {"settings": settings(*chosen)}
        for where, task in (
            (f"{8 * times} lesions in memory", lesion | {"times": times}),
            (f"extract, {n} files", {"cohort": str(folder)}),
        ):
            found = bench.start("pool", **(about | task))
            one, two = ({"seconds": found[jobs]} for jobs in ("1", "2"))
            case = f"2 processes, {name}, {where}"
            rows.append(row(case, "radlatent, 1 process", two, one, POOL_BAR))
    return rows


def compilation(bench):
    """Compare to its bar how long a new process takes to its first lesion measured.

    From before the process is started: interpreter, imports, kernels compiled or
    loaded, one small lesion made and measured. The parts are for information.
    """
    cache = bench.folder / "numba"
    cache.mkdir()
    rows = []
    for state, bar in START_BARS_S.items():
        found = []
        for _ in range(1 if state == "empty" else bench.options.repeats):
            start = time.monotonic()
            one = bench.start(
                "compile",
                environment={"NUMBA_CACHE_DIR": str(cache)},
                settings=settings(1.0),
            )
            whole, python = one["ready"] - start, one["started"] - start
            found.append(one | {"whole": whole, "python": python})
        middle = sorted(found, key=lambda one: one["whole"])[len(found) // 2]
        names = ("python", "engine", "lesion", "first", "second")
        parts = ", ".join(f"{name} {middle[name]:.2g}" for name in names)
        rows.append(
            {
                "case": f"new process to first lesion, numba's cache {state}",
                "peer": f"radlatent; parts in s: {parts}",
                "ours": f"{middle['whole']:.3g} s",
                "bar": f"< {bar} s",
                "verdict": "holds" if middle["whole"] < bar else "DOES NOT HOLD",
            }
        )
    return rows


def machine():
    """Return lines about the machine and the versions."""
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    ]
    found = []
    for name in VERSIONS:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} absent")
    return (
        f"{names[0]}, {len(names)} cores; load {os.getloadavg()[0]:.2f} at the start\n"
        f"Python {platform.python_version()}, {', '.join(found)}"
    )


def read_options():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="comma-separated")
    parser.add_argument("--repeats", type=int, default=5, help="calls of ours")
    parser.add_argument("--peer-repeats", type=int, default=3, help="calls of a peer")
    parser.add_argument("--copies", type=int, default=120, help="lesions of the pool")
    parser.add_argument("--no-nyxus", action="store_true")
    parser.add_argument("--out", type=Path, help="folder for tables and the figure")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(SECTIONS):
        parser.error(f"unknown: {sorted(unknown)}; sections are {list(SECTIONS)}")
    return options


def main():
    """Run the sections asked for and print one table."""
    options = read_options()
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    print(machine())
    print(
        "One thread a process; a process a tool and case; a warm-up on a small lesion "
        f"is left out; median of at least {options.repeats} calls of ours and "
        f"{options.peer_repeats} of a peer."
    )
    work = dict(
        zip(SECTIONS, (small, filters, organ, scaling, pool, compilation), strict=True)
    )
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), options)
        rows = itertools.chain(*(work[section](bench) for section in options.only))
        table = pd.DataFrame(list(rows)).fillna("")
    print(table.to_string(index=False))
    if options.out:
        table.to_csv(options.out / "table.csv", index=False)


if __name__ == "__main__":
    main()
