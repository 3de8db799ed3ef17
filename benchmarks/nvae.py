"""What the NVAE of hearts keeps, what it costs, and whether its draws are hearts.

    python benchmarks/nvae.py [--folds 0] [--epochs 24] [--beta 1] [--degraded 0]
                              [--model nvae] [--data ../shared/data/acdc] [--out FOLDER]

Patients of ACDC are dealt into five parts; priors are fitted on four of them, and
measured on the fifth: ``--folds 0 1 2 3 4`` does so for every part. One thread.

- Dice by volume, on the grid of the masks, of reconstructions by posterior means.
- valid: share of slices that keep the rules, on the grid of the masks: of experts, of
  experts through the frame and back, of reconstructions; of draws in the frame.
- KL by group, from the shallowest to the top, in nats a slice.

With ``--out`` every fold is kept as soon as it is done, and not repeated.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import radlatent as rl
from radlatent.masks import ShapePrior, mask_files, read_label_map, rule_set
from radlatent.masks.prior.frame import classes_of, from_frame
from radlatent.masks.prior.models import defaults_of
from radlatent.masks.prior.shape_prior import redraw
from radlatent.masks.rules.rules import broken_rules

RULES = {16: rule_set("short_axis_16"), 7: rule_set("short_axis_7")}

#: Draws of the prior at each temperature.
N_DRAWS = 400


def valid_of(planes, legend):
    """Return for each set of rules which slices keep it."""
    return {
        f"{n}": ~broken_rules(planes, rules, **legend).any(axis=1)
        for n, rules in RULES.items()
    }


def through_frame(mask, encoded, prior, *, is_hard):
    """Return the slices of an expert, into the frame and back."""
    maps = encoded.maps
    if is_hard:
        classes = torch.from_numpy(classes_of(maps)).long()
        maps = torch.nn.functional.one_hot(classes, maps.shape[1])
        maps = maps.permute(0, 3, 1, 2).float()
    maps = from_frame(maps, encoded.placement, np.arange(len(maps)))
    values = [0, *(mask.structures[name] for name in prior.structures_)]
    return np.array(values)[classes_of(maps)].astype(mask.array.dtype)


def volume_rows(mask, prior):
    """Return one row a slice, and one with the Dice of the volume."""
    start = time.process_time()
    encoded = prior.encode(mask)
    drawn = redraw(mask, prior, encoded, np.arange(len(encoded.mean)), None)
    seconds = time.process_time() - start
    expert = mask.array[encoded.placement.slices]
    slices = {
        "expert": expert,
        "frame": through_frame(mask, encoded, prior, is_hard=False),
        "hard frame": through_frame(mask, encoded, prior, is_hard=True),
        "reconstruction": drawn,
    }
    columns = {"kl": encoded.kl}
    columns |= {f"kl {name}": kl for name, kl in encoded.kl_by_group.items()}
    for what, planes in slices.items():
        found = valid_of(planes, mask.slice_legend)
        columns |= {f"valid {n} {what}": kept for n, kept in found.items()}
    dice = {"seconds": seconds, "n_slices": len(expert)}
    for name in prior.structures_:
        a, b = (planes == mask.structures[name] for planes in (expert, drawn))
        total = a.sum() + b.sum()
        dice[f"Dice {name}"] = 2 * (a & b).sum() / total if total else np.nan
    return pd.DataFrame(columns), dice


def share_of_valid_draws(prior, temperature):
    """Return for each set of rules the share of draws that keep it, not empty."""
    planes = classes_of(prior.sample(N_DRAWS, temperature=temperature))
    pixel = prior.frame_.spacing_mm
    structures = {name: k for k, name in enumerate(prior.structures_, start=1)}
    found = valid_of(planes, {"structures": structures, "spacing_mm": (pixel, pixel)})
    is_drawn = planes.any(axis=(1, 2))
    return {n: float((kept & is_drawn).mean()) for n, kept in found.items()}


def measure_fold(options, files, tested):
    """Fit on the other patients, and return the numbers of a fold."""
    frame, training = defaults_of(options.model)
    changed = {"epochs": options.epochs} if options.epochs else {}
    if options.precision:
        changed["precision"] = options.precision
    if options.context:
        frame = replace(frame, context=True)
    prior = ShapePrior(
        model=options.model,
        beta=options.beta[0] if len(options.beta) == 1 else tuple(options.beta),
        n_degraded=options.degraded,
        frame=frame,
        training=replace(training, **changed),
    )
    masks = [read_label_map(file.path, file.structures) for file in files]
    owners = np.array([file.patient_id for file in files])
    outside = np.isin(owners, tested)
    chosen = [mask for mask, out in zip(masks, outside, strict=True) if not out]
    start = time.process_time()
    prior.fit(chosen, patients=owners[~outside])
    fitted = time.process_time() - start
    rows = [
        volume_rows(mask, prior)
        for mask, out in zip(masks, outside, strict=True)
        if out
    ]
    slices = pd.concat([part for part, _ in rows])
    volumes = pd.DataFrame([dice for _, dice in rows])
    numbers = volumes.filter(like="Dice").mean().to_dict()
    numbers["Dice mean"] = float(np.mean(list(numbers.values())))
    numbers |= slices.mean().to_dict()
    for temperature in (1.0, 0.7):
        shares = share_of_valid_draws(prior, temperature)
        numbers |= {f"valid {n} draws T={temperature}": v for n, v in shares.items()}
    numbers["slices a second"] = volumes["n_slices"].sum() / volumes["seconds"].sum()
    numbers |= {"CPU s of training": fitted, "slices": len(slices)}
    return {name: float(value) for name, value in numbers.items()}


def read_options():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=None, help="folder of ACDC")
    parser.add_argument("--out", type=Path, default=None, help="where folds are kept")
    parser.add_argument("--folds", type=int, default=[0], nargs="+", choices=range(5))
    parser.add_argument("--model", default="nvae", choices=("nvae", "vae"))
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--precision", default=None)
    parser.add_argument("--degraded", type=int, default=0)
    parser.add_argument("--beta", type=float, nargs="+", default=[1.0])
    parser.add_argument("--context", action="store_true")
    return parser.parse_args()


def main():
    """Print one column a fold, and their mean."""
    options = read_options()
    torch.set_num_threads(1)
    folder = Path(__file__).parents[1] / "cohorts" / "acdc"
    files = mask_files(rl.Cohort.read(folder, root=options.data))
    patients = np.unique([file.patient_id for file in files])
    order = np.random.default_rng(0).permutation(patients)
    found = {}
    parts = np.array_split(order, 5)
    for fold in options.folds:
        kept = options.out / f"fold_{fold}.json" if options.out else None
        if kept and kept.is_file():
            found[fold] = json.loads(kept.read_text("utf-8"))
            continue
        found[fold] = measure_fold(options, files, parts[fold])
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(found[fold], indent=1), "utf-8")
    table = pd.DataFrame(found)
    table["mean"] = table.mean(axis=1)
    print(table.round(4).to_string())


if __name__ == "__main__":
    main()
