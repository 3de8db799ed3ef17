"""One tool on one lesion in a process of its own; started by `handcrafted.py`.

The task comes as JSON on the command line, the result leaves as the last line printed.
"""

import contextlib
import json
import logging
import statistics
import sys
import time
import warnings
from pathlib import Path

import joblib
import numpy as np

from radlatent.cohort import Cohort
from radlatent.handcrafted import extract, read_settings
from radlatent.handcrafted.lesion import engine_of
from radlatent.imaging import Volume, read_volume, single_thread, to_sitk

SPACING_MM = (1.0, 1.0, 1.0)
#: Another one, so that nothing kept for a spacing is ready for the lesion measured.
WARM_UP_SPACING_MM = (1.25, 0.9, 0.9)
#: Calls of a few milliseconds are repeated for this long, so that a median means much.
AT_LEAST_S = 0.5


def memory_mib(field):
    """Return VmRSS (now) or VmHWM (the highest so far) of this process.

    Not `ru_maxrss`: on Linux a started process inherits that of the one it came from.
    """
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    (line,) = [text for text in lines if text.startswith(field)]
    return int(line.split()[1]) / 1024


def arrays(task):
    """Return the voxels of the image and of the mask as volumes."""
    image, mask = (np.load(task[name]) for name in ("image", "mask"))
    return Volume(image, SPACING_MM), Volume(mask.astype(bool), SPACING_MM)


def warm_up_lesion():
    """Return a lesion of radius 8 in 128 voxels cubed, to import and to compile by."""
    values = np.random.default_rng(1).normal(500, 100, (128, 128, 128))
    z, y, x = np.ogrid[-64:64, -64:64, -64:64]
    mask = z**2 + y**2 + x**2 <= 8**2
    arrays = values.astype(np.int16), mask
    return tuple(Volume(array, WARM_UP_SPACING_MM) for array in arrays)


def our_tool(task):
    """Return a function from volumes to what is called, and what is called."""
    settings = read_settings(task["settings"])
    engine = engine_of("radlatent")  # imported here: `compilation` times it
    return (lambda *lesion: lesion), lambda *lesion: engine.measure(*lesion, settings)


def pyradiomics(task):
    """Return a function from volumes to what is called, and what is called."""
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    logging.getLogger("radiomics").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")  # means of nothing in the small lesion
    parameters = read_settings(task["settings"]).parameters
    parameters["setting"]["additionalInfo"] = task["additional_info"]
    extractor = RadiomicsFeatureExtractor(parameters)
    return (lambda *lesion: tuple(map(to_sitk, lesion))), extractor.execute


def timed(function, repeats):
    """Return the median wall and CPU time of calls, and what the last one returned."""
    wall, cpu = [], []
    while len(wall) < repeats or (sum(wall) < AT_LEAST_S and len(wall) < 50):
        start = time.perf_counter(), time.process_time()
        found = function()
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    medians = {"seconds": statistics.median(wall), "cpu": statistics.median(cpu)}
    return medians | {"calls": len(wall)}, found


def measure(task):
    """Time one tool on images in memory, and note the memory it takes."""
    tool = {"radlatent": our_tool, "pyradiomics": pyradiomics}[task["tool"]]
    convert, call = tool(task)
    call(*convert(*warm_up_lesion()))
    lesion = convert(*arrays(task))
    before = memory_mib("VmRSS")
    times, found = timed(lambda: call(*lesion), task["repeats"])
    wanted = read_settings(task["settings"]).names
    # a value that is missing stays missing: the comparison names it
    values = {name: float(found[name]) for name in wanted if name in found}
    return times | {
        "values": values,
        "peak_mib": memory_mib("VmHWM"),
        "before_mib": before,
    }


def files(task):
    """Time our tool from files, reading included."""
    _, call = our_tool(task)
    call(*warm_up_lesion())

    def read_and_measure():
        image, mask = (read_volume(task[name]) for name in ("image", "mask"))
        return call(image, mask.with_array(mask.array > 0))

    return timed(read_and_measure, task["repeats"])[0]


def compilation(task):
    """Say when this process had measured its first lesion, and what took how long.

    The clock is that of the machine, so that the process that started this one can
    take the difference to its own.
    """
    start = time.monotonic()
    _, call = our_tool(task)
    times = [time.monotonic()]
    lesion = warm_up_lesion()
    for _ in range(2):
        times.append(time.monotonic())
        call(*lesion)
    times.append(time.monotonic())
    imported, making, first, second = np.diff([start, *times]).tolist()
    return {
        "started": start,
        "ready": times[2],
        "engine": imported,
        "lesion": making,
        "first": first,
        "second": second,
    }


def measure_often(task, n):
    """Measure one lesion n times, as a worker that has its images in memory."""
    settings = read_settings(task["settings"])
    engine = engine_of("radlatent")
    lesion = arrays(task)
    with single_thread():
        for _ in range(n):
            engine.measure(*lesion, settings)


def pool(task):
    """Time the same work with one and with two processes."""
    if "cohort" in task:
        cohort = Cohort.read(Path(task["cohort"]))

        def work(jobs):
            extraction = extract(cohort, settings=task["settings"], jobs=jobs)
            if not extraction.failures.empty:
                raise RuntimeError(extraction.failures["message"].iloc[0])
    else:
        calls = [joblib.delayed(measure_often)(task, task["times"])] * 8

        def work(jobs):
            joblib.Parallel(n_jobs=jobs, batch_size=1)(calls)

    seconds = {1: [], 2: []}
    for jobs in (1, 2):  # workers start and load the engine once
        work(jobs)
    for jobs in [1, 2] * 3:  # in turn: the machine may have other work
        start = time.perf_counter()
        work(jobs)
        seconds[jobs].append(time.perf_counter() - start)
    return {str(jobs): statistics.median(taken) for jobs, taken in seconds.items()}


def main():
    """Do the task that was given."""
    task = json.loads(sys.argv[1])
    work = {"measure": measure, "files": files, "compile": compilation, "pool": pool}
    # what the tools print goes elsewhere: the last line is the result
    with single_thread(), contextlib.redirect_stdout(sys.stderr):
        result = work[task["work"]](task)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
