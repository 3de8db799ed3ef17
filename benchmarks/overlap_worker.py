"""One tool on masks in a process of its own; started by `overlap.py`.

Runs in the environment of the tool. The task comes as JSON on the command line, the
result leaves as the last line printed. MedPy, MONAI and surface-distance are imported
here alone.
"""

import importlib.metadata
import json
import statistics
import sys
import time
import warnings

import numpy as np

TOLERANCE_MM = 2.0
#: Calls of a few milliseconds are repeated for this long, so that a median means much.
AT_LEAST_S = 0.5


def radlatent(mask, reference, spacing_mm):
    """Return a call of ours on labels, and the names of what it measures."""
    from radlatent.masks.overlap.compare import compare_masks

    structures = {str(n): n for n in range(1, max(int(mask.max()), 1) + 1)}
    options = {"spacing_mm": spacing_mm, "tolerance_mm": TOLERANCE_MM}

    def call():
        table = compare_masks(mask, reference, structures=structures, **options)
        return table.drop(columns="state").iloc[0].to_dict()

    return call


def medpy(mask, reference, spacing_mm):
    """Return a call of HD95 and ASSD, the ones that are timed."""
    from medpy.metric import binary

    pair = mask.astype(bool), reference.astype(bool)

    def call():
        return {
            "hd95_pooled_mm": binary.hd95(*pair, spacing_mm),
            # of release 0.5.2; up to 0.4.0 it was the mean of the two means
            "assd_pooled_mm": binary.assd(*pair, spacing_mm),
        }

    return call


def medpy_all(mask, reference, spacing_mm):
    """Return a call of all that MedPy has of ours."""
    from medpy.metric import binary

    pair = mask.astype(bool), reference.astype(bool)
    timed_ones = medpy(mask, reference, spacing_mm)

    def call():
        means = binary.asd(*pair, spacing_mm), binary.asd(*pair[::-1], spacing_mm)
        return timed_ones() | {
            "assd_mean_mm": sum(means) / 2,
            "dice": binary.dc(*pair),
            "jaccard": binary.jc(*pair),
            "hd_mm": binary.hd(*pair, spacing_mm),
        }

    return call


def monai(mask, reference, spacing_mm):
    """Return a call of all that MONAI has of ours; it computes in float32."""
    import torch
    from monai import metrics

    torch.set_num_threads(1)
    # one-hot: batch, channel (background, structure), axes
    pair = [
        torch.from_numpy(np.stack([m == 0, m != 0]).astype(np.float32))[None]
        for m in (mask, reference)
    ]
    options = {"spacing": list(spacing_mm)}

    def call():
        hd = metrics.compute_hausdorff_distance
        found = {
            "dice": metrics.compute_dice(*pair, include_background=False),
            "hd_mm": hd(*pair, **options),
            "hd95_max_mm": hd(*pair, percentile=95, **options),
            "assd_pooled_mm": metrics.compute_average_surface_distance(
                *pair, symmetric=True, **options
            ),
            "nsd": metrics.compute_surface_dice(
                *pair, class_thresholds=[TOLERANCE_MM], **options
            ),
        }
        return {name: float(value) for name, value in found.items()}

    return call


def monai_all(mask, reference, spacing_mm):
    """Return a call as `monai`, and the percentile of its distances in float64."""
    import torch
    from monai.metrics.utils import get_edge_surface_distance

    call = monai(mask, reference, spacing_mm)
    pair = [torch.from_numpy(m != 0) for m in (mask, reference)]

    def more():
        options = {"spacing": list(spacing_mm), "symmetric": True}
        _, distances, _ = get_edge_surface_distance(*pair, **options)
        if not all(d.numel() for d in distances):
            return call()
        largest = max(np.percentile(d.double().numpy(), 95) for d in distances)
        return call() | {"hd95_max_mm in float64": largest}

    return more


def surface_distance(mask, reference, spacing_mm):
    """Return a call of all that surface-distance has; its surface is another one."""
    for name, value in {"Inf": np.inf, "NaN": np.nan}.items():
        setattr(np, name, value)  # NumPy 2 dropped them after its last release
    import surface_distance as sd

    pair = reference.astype(bool), mask.astype(bool)

    def call():
        found = sd.compute_surface_distances(*pair, spacing_mm)
        averages = sd.compute_average_surface_distance(found)
        return {
            "dice": sd.compute_dice_coefficient(*pair),
            "hd_mm": sd.compute_robust_hausdorff(found, 100),
            "hd95_max_mm": sd.compute_robust_hausdorff(found, 95),
            "assd_mean_mm": sum(averages) / 2,
            "nsd": sd.compute_surface_dice_at_tolerance(found, TOLERANCE_MM),
        }

    return call


TOOLS = {
    "radlatent": radlatent,
    "medpy": medpy,
    "medpy_all": medpy_all,
    "monai": monai,
    "monai_all": monai_all,
    "surface_distance": surface_distance,
}
VERSIONS = {
    "radlatent": ("radlatent", "scipy", "numpy"),
    "medpy": ("MedPy", "scipy", "numpy"),
    "medpy_all": ("MedPy",),
    "monai": ("monai", "torch"),
    "monai_all": ("monai", "torch"),
    "surface_distance": ("surface-distance-based-measures",),
}


def timed(task):
    """Return median wall and CPU time of calls on two arrays, and the values."""
    arrays = np.load(task["arrays"])
    tool = TOOLS[task["tool"]]
    spacing = tuple(task["spacing_mm"])
    small = np.zeros((2, 12, 12, 12), np.uint8)
    small[:, 3:8, 3:8, 3:8] = 1
    tool(small[0], small[1], spacing)()  # imports
    call = tool(arrays["mask"], arrays["reference"], spacing)
    wall, cpu = [], []
    while len(wall) < task["repeats"] or (sum(wall) < AT_LEAST_S and len(wall) < 50):
        start = time.perf_counter(), time.process_time()
        values = call()
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    return {
        "seconds": statistics.median(wall),
        "cpu": statistics.median(cpu),
        "calls": len(wall),
        "values": {name: float(value) for name, value in values.items()},
    }


def values(task):
    """Return the values of each pair of a file, None where the tool raises."""
    arrays, tool = np.load(task["arrays"]), TOOLS[task["tool"]]
    rows = []
    for i in range(task["n"]):
        pair = arrays[f"mask_{i}"], arrays[f"reference_{i}"]
        pair = [one.astype(np.uint8) for one in pair]
        try:
            found = tool(*pair, tuple(arrays[f"spacing_{i}"].tolist()))()
        except RuntimeError as error:  # what MedPy says of an empty mask
            found = {"raised": str(error)}
        rows.append({k: v if k == "raised" else float(v) for k, v in found.items()})
    return {"rows": rows}


def each(task):
    """Return the values of every label of two arrays, each in the box around it."""
    arrays = np.load(task["arrays"])
    spacing = tuple(task["spacing_mm"])
    start, rows = time.perf_counter(), []
    for label in range(1, task["n"] + 1):
        pair = [arrays[name] == label for name in ("mask", "reference")]
        if task["crop"]:
            at = np.argwhere(pair[0] | pair[1])
            box = tuple(map(slice, at.min(axis=0), at.max(axis=0) + 1))
            pair = [one[box] for one in pair]
        rows.append(TOOLS[task["tool"]](*pair, spacing)())
    seconds = time.perf_counter() - start
    rows = [{k: float(v) for k, v in row.items()} for row in rows]
    return {"seconds": seconds, "rows": rows}


def main():
    """Do the task of the command line."""
    warnings.simplefilter("ignore")
    task = json.loads(sys.argv[1])
    found = {"timed": timed, "values": values, "each": each}[task["work"]](task)
    names = VERSIONS[task["tool"]]
    found["versions"] = {name: importlib.metadata.version(name) for name in names}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
