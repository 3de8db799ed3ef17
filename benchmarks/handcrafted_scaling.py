"""The cost of a lesion against its volume; a section of `handcrafted.py`."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from handcrafted_bench import difference_of, settings
from lesions import noise, sphere

#: Voxels of the spheres whose cost is compared.
VOLUMES = (1e3, 1e4, 1e5, 1e6, 1e7)
#: pyradiomics is left out above: its 3D diameter looks at every pair of surface points.
PEER_VOLUME = 1e6


def scaling(bench):
    """Fit the cost of a sphere to its volume, on logarithmic axes."""
    radii = [(3 * volume / (4 * np.pi)) ** (1 / 3) for volume in VOLUMES]
    largest = 2 * int(radii[-1] + 5)
    image = noise((largest, largest, largest))
    lines = []
    for volume, radius in zip(VOLUMES, radii, strict=True):
        half = int(radius + 5)  # just large enough, with a margin of four voxels
        cube = (slice(largest // 2 - half, largest // 2 + half),) * 3
        mask = sphere((2 * half,) * 3, radius)
        task = bench.save(image=np.ascontiguousarray(image[cube]), mask=mask)
        task |= {"settings": settings()}
        ours = bench.start("measure", tool="radlatent", **task)
        line = {"voxels": int(mask.sum()), "ours_s": ours["seconds"]}
        line |= {"calls": ours["calls"], "ours_peak_mib": round(ours["peak_mib"])}
        if volume <= PEER_VOLUME:
            peer = {"tool": "pyradiomics", "additional_info": False, "repeats": 1}
            theirs = bench.start("measure", **(task | peer))
            wrong, text = difference_of(ours["values"], theirs["values"])
            # a time next to another one is a ratio, too
            line["pyradiomics_s"] = np.nan if wrong else theirs["seconds"]
            line["largest_difference"] = text
        lines.append(line)
    table = pd.DataFrame(lines)
    print(f"\nSpheres, original\n{table.to_string(index=False)}\n")
    if bench.options.out:
        table.to_csv(bench.options.out / "scaling.csv", index=False)
        draw(table, bench.options.out / "scaling.png")
    # below 1e5 voxels what every lesion costs, 2 ms, is more than what its voxels do
    return [slope_row(table, 1e5, (0.85, 1.15)), slope_row(table, 1e3, None)]


def slope_row(table, lowest, bar):
    """Return the row of the slope of log time over log volume from a volume on."""
    part = table[table["voxels"] >= 0.9 * lowest]
    slopes = {
        name: np.polyfit(np.log(known["voxels"]), np.log(known[name]), 1)[0]
        for name in ("ours_s", "pyradiomics_s")
        for known in [part.dropna(subset=name)]
    }
    slope = slopes["ours_s"]
    verdict = "stated"
    if bar:
        verdict = "holds" if bar[0] <= slope <= bar[1] else "DOES NOT HOLD"
    return {
        "case": f"slope of cost, {lowest:.0e} voxels and more",
        "peer": f"pyradiomics, to {PEER_VOLUME:.0e}, additionalInfo=False",
        "ours": f"{slope:.3f}",
        "theirs": f"{slopes['pyradiomics_s']:.3f}",
        "ratio": "-",
        "bar": f"{bar[0]} to {bar[1]}" if bar else "-",
        "verdict": verdict,
    }


def draw(table, path):
    """Draw the cost over the volume, with a line of slope 1."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots(figsize=(5, 4), layout="constrained")
    ax.loglog(table["voxels"], table["ours_s"], "o-", label="radlatent")
    ax.loglog(table["voxels"], table["pyradiomics_s"], "s-", label="pyradiomics")
    middle = table.iloc[len(table) // 2]
    straight = table["voxels"] / middle["voxels"] * middle["ours_s"]
    ax.loglog(table["voxels"], straight, "k:", label="slope 1")
    ax.set(xlabel="Voxels of the lesion", ylabel="Seconds, original features")
    ax.legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
