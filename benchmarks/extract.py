"""Hand-crafted extraction against plain pyradiomics, in one run.

    python benchmarks/extract.py

A lesion of 15 voxels radius in a volume of 120 x 512 x 512 voxels: the 107 original
features by `RadiomicsFeatureExtractor.execute` on the files, and by
`radlatent.extract`; values are compared before times. Then a cohort of lesions in one
and in two processes. The image is that of PEERS.md 7.1: smoothed normal noise.
"""

import argparse
import dataclasses
import json
import logging
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from lesions import SHAPE, SMALL, write_cohort
from radiomics.featureextractor import RadiomicsFeatureExtractor

import radlatent as rl
from radlatent.imaging import read_volume, single_thread
from radlatent.provenance import file_hash


def median_seconds(function, repeats):
    """Return the median wall time of some calls; a first one is not counted."""
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def one_lesion(repeats):
    """Time one small lesion in a large volume, files read and hashed included."""
    with tempfile.TemporaryDirectory() as name:
        cohort = write_cohort(Path(name), SHAPE, 1)
        image, mask = cohort.files("c0", "ct")
        extractor = RadiomicsFeatureExtractor(binWidth=25)
        in_memory = sitk.ReadImage(str(image)), sitk.ReadImage(str(mask))
        with single_thread():
            values = extractor.execute(*in_memory)
            ours = rl.extract(cohort).features.loc["c0"]
            theirs = [float(values[c.split("__")[1]]) for c in ours.index]
            seconds = {
                "pyradiomics execute, images in memory (s)": median_seconds(
                    lambda: extractor.execute(*in_memory), repeats
                ),
                "pyradiomics execute, files (s)": median_seconds(
                    lambda: extractor.execute(str(image), str(mask)), repeats
                ),
                "radlatent.extract, files (s)": median_seconds(
                    lambda: rl.extract(cohort), repeats
                ),
                "of which reading and hashing (s)": median_seconds(
                    lambda: [(read_volume(p), file_hash(p)) for p in (image, mask)],
                    repeats,
                ),
            }
    memory, files, ours_files, reading = seconds.values()
    return {
        "features compared": len(ours),
        "largest relative difference": float(np.max(np.abs(ours / theirs - 1))),
        **seconds,
        "ratio, files": files / ours_files,
        "ratio, without reading": memory / (ours_files - reading),
    }


def processes(n_cases, repeats):
    """Time a cohort of small volumes in one and in two processes."""
    with tempfile.TemporaryDirectory() as name:
        cohort = write_cohort(Path(name), SMALL, n_cases)
        warm = dataclasses.replace(cohort, cases=cohort.cases.iloc[:4])
        rl.extract(warm, jobs=2)  # workers start and import once
        seconds, tables = {1: [], 2: []}, {}
        for jobs in [1, 2] * repeats:  # in turn: the machine may have other work
            start = time.perf_counter()
            tables[jobs] = rl.extract(cohort, jobs=jobs).features
            seconds[jobs].append(time.perf_counter() - start)
    pd.testing.assert_frame_equal(tables[1], tables[2], check_exact=True)
    one, two = (statistics.median(seconds[jobs]) for jobs in (1, 2))
    return {
        "cases": n_cases,
        "1 process (s)": one,
        "2 processes (s)": two,
        "speed-up": one / two,
        "every run (s)": {jobs: np.round(s, 2).tolist() for jobs, s in seconds.items()},
    }


def main():
    """Run both benchmarks and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cases", type=int, default=120)
    arguments = parser.parse_args()
    logging.getLogger("radiomics").setLevel(logging.CRITICAL)
    found = {
        "machine": f"{platform.processor() or platform.machine()}, "
        f"Python {platform.python_version()}",
        "versions": rl.doctor().set_index("component")["version"].to_dict(),
        "one lesion of radius 15 in 120x512x512": one_lesion(arguments.repeats),
        "cohort of 128x128x128 volumes": processes(arguments.cases, arguments.repeats),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
