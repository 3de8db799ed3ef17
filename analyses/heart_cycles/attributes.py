"""Smooth the attributes of beating hearts, without any network, and write a table.

python analyses/heart_cycles/attributes.py
"""

import argparse
from pathlib import Path

import pandas as pd
from steps import OUT, write

import radlatent as rl

#: Name to what `rl.masks.regularize_sequence` is asked, beside fixed frames.
SMOOTHERS = {
    "published": {"steps": 5},
    "least weight": {},
    "second order": {"order": 2},
    "second order, ED and ES fixed": {"order": 2},
}


def attributes_of(made, which):
    """Return patient to attributes of the frames of a sequence."""
    about = {"structures": made.structures, "spacing_mm": made.spacing_mm}
    return {
        name: rl.masks.shape_attributes(frames, **about)
        for name, frames in getattr(made, which).items()
    }


def row_of(frames, true, limits, ends):
    """Return consistency, distance to the truth, and errors of EF of one sequence.

    Parameters
    ----------
    frames, true
        Attributes by frame, as drawn or smoothed, and without errors.
    limits
        Of reference sequences.
    ends
        Frames of end-diastole and end-systole.
    """
    found = rl.masks.sequence_consistency({"one": frames}, limits)
    spans = limits["maximum"] - limits["minimum"]
    away = ((frames - true) / spans) ** 2
    fractions = [
        rl.masks.ejection_fraction(one, ed=ends[0], es=ends[1])
        for one in (frames, true)
    ]
    return {
        "consistent": bool(found["is_consistent"].all()),
        "mean_ratio": found["mean_ratio"].mean(),
        "rms_error": float(away.mean(axis=None) ** 0.5),
        "ef_error": 100 * abs(fractions[0] - fractions[1]),
    }


def main():
    """Write ``attributes``: a row a smoother, means over hearts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--patients", type=int, default=20)
    parser.add_argument("--frames", type=int, default=40)
    options = parser.parse_args()
    size = {"n_patients": options.patients, "n_frames": options.frames}
    references = rl.simulate_hearts(**size, random_state=0)
    limits = rl.masks.reference_limits(attributes_of(references, "reference"))
    tested = rl.simulate_hearts(**size, random_state=1)
    true, rows = attributes_of(tested, "reference"), []
    for name, frames in attributes_of(tested, "masks").items():
        about = tested.patients.loc[name]
        ends = int(about["ed"]), int(about["es"])
        drawn = frames.interpolate(limit_direction="both")
        rows.append({"method": "original"} | row_of(drawn, true[name], limits, ends))
        for method, settings in SMOOTHERS.items():
            fixed = ends if "fixed" in method else ()
            found = rl.masks.regularize_sequence(
                frames, limits, fixed=fixed, **settings
            )
            row = row_of(found.frames, true[name], limits, ends)
            rows.append({"method": method} | row)
    by = pd.DataFrame(rows).groupby("method", sort=False)
    table = by.mean().rename(columns={"consistent": "share_consistent"})
    table.insert(0, "n", by.size())
    write(table.reset_index(), options.out, "attributes")
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
