"""Both engines on whole volumes of patients: the table of docs/equality.md.

    python benchmarks/equality.py --data ../shared/data
    python benchmarks/equality.py --few

For each data set the number of values, and the largest relative difference of each
feature class. The row of random lesions is not among them.
"""

import argparse
import ast
import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd

from radlatent.cohort import Cohort
from radlatent.handcrafted import read_settings
from radlatent.handcrafted.lesion import engine_of
from radlatent.handcrafted.names import FEATURES
from radlatent.imaging import read_pair, single_thread

COHORTS = Path(__file__).parents[1] / "cohorts"
DATA = Path(__file__).parents[2] / "shared" / "data"
#: Cases of pyradiomics' baselines, and the slice that shape2D is measured in.
CASES = {"brain1": 16, "brain2": 8, "breast1": 9}
EIGHT_TYPES = dict.fromkeys(["Original", "Wavelet", "Square", "SquareRoot"])
EIGHT_TYPES |= dict.fromkeys(["Logarithm", "Exponential", "Gradient"])
EIGHT_TYPES |= {"LoG": {"sigma": [2.0]}}
TWELVE_IMAGES = dict.fromkeys(["Original", "Wavelet", "Gradient"])
TWELVE_IMAGES |= {"LoG": {"sigma": [1.0, 3.0]}}
PROSTATE = {"one_label.nii.gz": [1], "two_labels.nii.gz": [1, 2]}
PROSTATE |= {"multilabel.nrrd": [1, 2], "dilated_10mm.nii.gz": [1]}
#: Rounding noise in pyradiomics where a mask is flat: 0 in ours.
OF_FLAT_MASKS = ("LeastAxisLength", "MinorAxisLength", "Flatness", "Elongation")
NOISE = 1e-7


def baseline_settings(folder):
    """Return JSON of the settings of the baselines to whether shape2D is measured."""
    found = {}
    for path in sorted(folder.glob("baseline_*.csv")):
        table = pd.read_csv(path, dtype=str, index_col=0)
        # lung1 and lung2 come without an image
        for column in (c for c in table if not c.startswith("lung")):
            text = table.loc["diagnostics_Configuration_Settings", column]
            options = {k: v for k, v in ast.literal_eval(text).items() if v is not None}
            options.pop("correctMask", None)  # the grids are the same
            key = json.dumps(options, sort_keys=True)
            found[key] = found.get(key, False) or path.stem.endswith("shape2D")
    return found


def baselines(data, images):
    """Yield lesions and settings of pyradiomics' baselines; shape2D in one slice."""
    folder = data / "pyradiomics_data" / "data"
    for options, flat in baseline_settings(folder / "baseline").items():
        classes = [name for name in FEATURES if flat or name != "shape2D"]
        content = {"setting": json.loads(options), "imageType": images}
        settings = read_settings(content | {"featureClass": dict.fromkeys(classes)})
        for case, number in CASES.items():
            paths = (folder / f"{case}_{role}.nrrd" for role in ("image", "label"))
            image, mask = read_pair(*paths, mask_label=1)
            if flat:
                kept = np.zeros_like(mask.array)
                kept[number] = mask.array[number]
                mask = mask.with_array(kept)
            yield image, mask, settings


def cohort_lesions(cohort, case_ids):
    """Yield lesions and settings of some cases of a cohort, in every modality."""
    for case_id in case_ids:
        label = cohort.cases.loc[case_id, "mask_label"]
        label = None if pd.isna(label) else int(label)
        for modality, about in cohort.modalities.items():
            pair = read_pair(*cohort.files(case_id, modality), mask_label=label)
            yield *pair, read_settings(about.preset)


def acdc(data):
    """Yield lesions and settings of 60 cases, drawn at random."""
    cohort = Cohort.read(COHORTS / "acdc", root=data / "acdc")
    rng = np.random.default_rng(20261120)
    chosen = sorted(rng.choice(len(cohort.cases), 60, replace=False))
    return cohort_lesions(cohort, cohort.cases.index[chosen])


def sts(data):
    """Yield lesions and settings of 10 patients in three modalities."""
    cohort = Cohort.read(COHORTS / "sts", root=data / "sts")
    return cohort_lesions(cohort, cohort.cases.index[:10])


def prostate(data, masks, content):
    """Yield the labels of masks of one prostate, and settings."""
    folder = data / "autoradiomics_prostate" / "tests" / "testing_data" / "nifti"
    folder = folder / "prostate"
    settings = read_settings(content)
    for name, labels in masks.items():
        for label in labels:
            paths = folder / "img.nii.gz", folder / f"seg_{name}"
            yield *read_pair(*paths, mask_label=label), settings


def data_sets(data):
    """Return title to lesions and settings, which are read when they are asked for."""
    labels = {"setting": {"binCount": 32}, "imageType": TWELVE_IMAGES}
    flat = {"setting": {"force2D": True}, "featureClass": dict.fromkeys(FEATURES)}
    flat |= {"imageType": {"Original": None, "Wavelet": None}}
    title = "brain1, brain2, breast1: 8 settings of pyradiomics' baselines"
    return {
        title: baselines(data, {"Original": None}),
        "the same with 8 image types": baselines(data, EIGHT_TYPES),
        "ACDC, 60 cases": acdc(data),
        "STS, 10 patients, PET, CT, MR": sts(data),
        "prostate, labels of six masks, 12 images": prostate(data, PROSTATE, labels),
        "prostate, a single slice": prostate(data, {"single_slice.nii.gz": [1]}, flat),
    }


def differences(image, mask, settings):
    """Return the relative difference of each value of one lesion, by its name.

    NaN where pyradiomics' value is noise of a flat mask; infinite where a value is on
    one side only, or 0 in pyradiomics alone.
    """
    ours, theirs = (
        pd.Series(engine_of(name).measure(image, mask, settings), dtype=float)
        for name in ("radlatent", "pyradiomics")
    )
    names = [n for n in settings.names if n in ours.index or n in theirs.index]
    ours, theirs = ours.reindex(names), theirs.reindex(names)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = (ours - theirs).abs() / theirs.abs()
    relative[ours.isna() != theirs.isna()] = np.inf
    relative[(ours == theirs) | (ours.isna() & theirs.isna())] = 0
    ends = relative.index.str.endswith(tuple(f"_{name}" for name in OF_FLAT_MASKS))
    relative[ends & (theirs.abs() < NOISE)] = np.nan
    return relative


def line_of(title, lesions):
    """Return one line of the table, the name of the worst value and those left out."""
    with single_thread():
        found = pd.concat([differences(*lesion) for lesion in lesions])
    classes = found.groupby(found.index.str.split("_").str[1]).max()
    texts = {name: f"{value:.0e}" for name, value in classes.dropna().items()}
    about = f"{title}: worst is {found.idxmax()}, {found.max():.2e}; "
    about += f"{found.isna().sum()} values of flat masks left out"
    return {"data": title, "values": len(found)} | texts, about


def main():
    """Compare the engines on every data set and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of patients")
    parser.add_argument("--few", action="store_true", help="two lesions of each")
    options = parser.parse_args()
    lines, notes = [], []
    for title, lesions in data_sets(options.data).items():
        chosen = itertools.islice(lesions, 2) if options.few else lesions
        line, about = line_of(title, chosen)
        lines.append(line)
        notes.append(about)
    columns = ["data", "values", *FEATURES]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for line in lines:
        print("| " + " | ".join(str(line.get(name, "")) for name in columns) + " |")
    print("\n" + "\n".join(notes))


if __name__ == "__main__":
    main()
