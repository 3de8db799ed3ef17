"""Image and mask on grids of their own: our engine against pyradiomics 3.0.1.

    python benchmarks/grids.py
    python benchmarks/grids.py --pairs 20 --start 100

Pairs are drawn by their number: a mask on a grid that is finer or coarser than that of
the image, turned, shifted, or larger than the image; without resampling, or by linear,
B-spline or nearest interpolation to a spacing that may keep an axis (0). Files are
written and both tools read them: ours as `extract` does, pyradiomics with correctMask,
which without resampling brings a mask onto the grid of its image. Values are equal
within 1e-9 of themselves, or within what rounding leaves of a value near 0
(tests/handcrafted/conftest.py). What is refused on one side alone is told with its
reason.
"""

import argparse
import importlib.util
import logging
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from radlatent.handcrafted import read_settings
from radlatent.handcrafted.lesion import Lesion, measure_lesion
from radlatent.imaging import Volume, write_volume

KINDS = ("finer", "coarser", "oblique", "shifted", "cut")
HOW = (None, "sitkLinear", "sitkBSpline", "sitkNearestNeighbor")
CLASSES = ("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
SEED = 20261128
CONFTEST = Path(__file__).parents[1] / "tests" / "handcrafted" / "conftest.py"


@dataclass(frozen=True)
class Case:
    """An image, a mask on a grid of its own, and how they are measured."""

    kind: str
    how: str | None
    image: Volume
    mask: Volume
    content: dict


def draw(number: int) -> Case:
    """Return the pair of a number: always the same."""
    rng = np.random.default_rng([SEED, number])
    kind, how = KINDS[number % len(KINDS)], HOW[number // len(KINDS) % len(HOW)]
    image_mm, mask_mm = _spacings(kind, rng)
    direction = _turned(rng, 40) if rng.random() < 0.3 else np.eye(3)[:, ::-1]
    image = _noise(image_mm, direction, rng)
    mask = _lesion(kind, image, mask_mm, rng)
    setting = {"binWidth": 25}
    if how is not None:
        wanted = np.round(rng.uniform(0.8, 4.0, 3), 2)
        if rng.random() < 0.3:
            wanted[rng.integers(3)] = 0
        if rng.random() < 0.15:  # the spacing of the image: no interpolation
            wanted = np.array(image.spacing_mm[::-1])
        setting |= {"resampledPixelSpacing": wanted.tolist(), "interpolator": how}
    content = {"setting": setting, "imageType": {"Original": {}}}
    content["featureClass"] = dict.fromkeys(CLASSES)
    return Case(kind, how, image, mask, content)


def _spacings(kind, rng):
    image_mm = rng.uniform(1.2, 3.5, 3)
    factor = {"finer": (0.3, 0.8), "coarser": (1.2, 1.9)}.get(kind, (0.6, 1.5))
    mask_mm = image_mm * rng.uniform(*factor, 3)
    if kind == "shifted" and rng.random() < 0.5:
        mask_mm = image_mm  # the same lattice, by a fraction of a voxel elsewhere
    return image_mm, mask_mm


def _turned(rng, degrees):
    angle = np.deg2rad(rng.uniform(2, degrees))
    axis = rng.normal(size=3)
    rotation = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis))
    return rotation.as_matrix()[:, ::-1]


def _noise(spacing_mm, direction, rng):
    shape = np.ceil(rng.uniform(45, 65, 3) / spacing_mm).astype(int)
    values = gaussian_filter(rng.normal(size=shape), 0.8) * 300 + 40
    kind = rng.choice(["i2", "f4", "f8"])
    values = np.rint(values) if kind == "i2" else values
    origin = rng.uniform(-300, 300, 3)
    return Volume(values.astype(kind), tuple(spacing_mm), tuple(origin), direction)


def _lesion(kind, image, spacing_mm, rng):
    """Return an ellipsoid on a grid of its own, that the image holds or cuts."""
    center = image.to_world([(np.array(image.shape) - 1) / 2])[0]
    direction = image.direction
    if kind == "oblique":
        direction = _turned(rng, 35)
    extent = np.array(image.shape) * image.spacing_mm * rng.uniform(0.75, 1.3, 3)
    if kind == "cut":
        extent = extent * rng.uniform(1.0, 1.6, 3)
    shape = np.maximum(np.ceil(extent / spacing_mm), 4).astype(int)
    offset = rng.uniform(-4, 4, 3)
    grid_center = center + offset
    origin = grid_center - direction @ ((shape - 1) / 2 * spacing_mm)
    empty = Volume(np.zeros(shape, bool), tuple(spacing_mm), tuple(origin), direction)
    at = center + rng.uniform(-4, 4, 3)
    if kind == "cut" and rng.random() < 0.7:  # so that it reaches out, a bit or more
        half = np.array(image.shape) * image.spacing_mm / 2
        side, axis = rng.choice([-1, 1]), rng.integers(3)
        at = center + side * image.direction[:, axis] * (half[axis] - rng.uniform(4, 9))
    radii = rng.uniform(5, 10, 3)
    points = empty.to_world(np.argwhere(np.ones(shape, bool))) - at
    inside = ((points @ image.direction / radii) ** 2).sum(axis=1) <= 1
    return empty.with_array(inside.reshape(shape))


def ours(case: Case, image: Path, mask: Path) -> dict | str:
    """Return name to value, or why the lesion is refused; as `extract` measures it."""
    settings = read_settings(case.content)
    lesion = Lesion("p", image, mask, None, True, settings, "radlatent")
    try:
        values = measure_lesion(lesion)["features"]
    except ValueError as error:
        return str(error)
    pairs = zip(settings.names, values, strict=True)
    return {name: np.nan if value is None else value for name, value in pairs}


def theirs(case: Case, image: Path, mask: Path) -> dict | str:
    """Return pyradiomics' values of two files, or why it refuses them."""
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    logging.getLogger("radiomics").setLevel(logging.CRITICAL + 1)
    setting = case.content["setting"] | {"correctMask": True, "additionalInfo": False}
    extractor = RadiomicsFeatureExtractor(case.content | {"setting": setting})
    try:
        with np.errstate(all="ignore"):
            values = extractor.execute(str(image), str(mask), label=1)
    except (ValueError, RuntimeError, IndexError) as error:
        return " ".join(str(error).split())
    return {name: float(np.real(np.squeeze(v))) for name, v in values.items()}


def same_values():
    """Return the function that tells what differs by more than rounding."""
    spec = importlib.util.spec_from_file_location("floors", CONFTEST)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.differences


def compare(number: int, folder: Path, differences) -> dict:
    """Return one row: what both tools made of a pair."""
    case = draw(number)
    image, mask = folder / "image.nrrd", folder / "mask.nrrd"
    write_volume(case.image, image)
    write_volume(case.mask, mask)
    here, there = ours(case, image, mask), theirs(case, image, mask)
    row = {"pair": number, "kind": case.kind, "how": case.how or "none"}
    row |= {"here": isinstance(here, dict), "there": isinstance(there, dict)}
    row["reason here"] = "" if row["here"] else here.split("): ")[-1][:200]
    row["reason there"] = "" if row["there"] else there[:90]
    if row["here"] and row["there"]:
        wrong = differences(here, there)
        row["n"] = len(here.keys() & there.keys())
        row["missing"] = len(here.keys() ^ there.keys())
        row["equal"] = not wrong and not row["missing"]
        row["worst"] = ", ".join(f"{k} {a:.6g}/{b:.6g}" for k, (a, b) in wrong.items())
    return row


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the counts of pairs by interpolation, and of all."""
    parts = {how: rows[rows["how"] == how] for how in rows["how"].unique()}
    parts["all"] = rows
    equal = "equal" if "equal" in rows else "here"
    counts = {
        how: {
            "pairs": len(part),
            "served by pyradiomics": int(part["there"].sum()),
            "served by both": int((part["here"] & part["there"]).sum()),
            "equal": int((part[equal] == True).sum()),  # noqa: E712 (may be missing)
            "refused by both": int((~part["here"] & ~part["there"]).sum()),
            "refused here alone": int((~part["here"] & part["there"]).sum()),
            "refused there alone": int((part["here"] & ~part["there"]).sum()),
        }
        for how, part in parts.items()
    }
    return pd.DataFrame(counts).T


def reasons(rows: pd.DataFrame) -> list[str]:
    """Return why pairs were refused on one side alone, and what differed."""
    lines = []
    for side, other in (("here", "there"), ("there", "here")):
        alone = rows[~rows[side] & rows[other]]
        texts = alone[f"reason {side}"].str.replace(r"[-\d.]+", "#", regex=True)
        for text, n in Counter(texts.str[:120]).most_common():
            lines.append(f"refused {side} alone, {n} times: {text}")
    if "worst" in rows:
        for _, row in rows[rows["equal"] == False].iterrows():  # noqa: E712
            lines.append(
                f"pair {row['pair']} ({row['kind']}, {row['how']}): "
                f"{row['worst'][:300]}; {row['missing']} on one side alone"
            )
    return lines


def main():
    """Compare the tools on every pair and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--start", type=int, default=0, help="number of the first")
    options = parser.parse_args()
    differences = same_values()
    numbers = range(options.start, options.start + options.pairs)
    with tempfile.TemporaryDirectory() as folder:
        found = [compare(number, Path(folder), differences) for number in numbers]
    rows = pd.DataFrame(found)
    print(table(rows).to_string())
    print("\n".join(["", *reasons(rows)]))


if __name__ == "__main__":
    main()
