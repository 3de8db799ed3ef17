"""The report's T3 and T4: reconstructions of experts' masks, by the settings of NVAEs.

A cohort enters; a row a setting and the losses of every epoch leave, kept one by one.
"""

import json
import time

import numpy as np
import pandas as pd

from radlatent.masks import (
    NVAESettings,
    ShapePrior,
    mask_files,
    read_label_map,
    rule_set,
)
from radlatent.masks.prior.shape_prior import redraw
from radlatent.masks.rules.rules import broken_rules
from radlatent.nn import Hierarchy, Penalties

RULES = {16: rule_set("short_axis_16"), 7: rule_set("short_axis_7")}

#: Four groups: the report has seven, and one weight a scale. Ours go from the
#: shallowest to the top; its two groups of the shallowest scale share a weight.
BETAS = [
    (1, 1, 1),
    (11, 11, 10),
    (11, 11, 11),
    (11, 8, 9),
    (8, 10, 11),
    (9, 10, 11),
    (9, 8, 11),
]

_NARROW = Hierarchy(n_channels=(4, 8, 16))


def settings():
    """Return name to settings of priors: betas, channels of the stem, warm-up."""
    found = {
        "-".join(map(str, betas)): {"beta": (betas[0], *map(float, betas))}
        for betas in BETAS
    }
    found["1, stem 4"] = {"model": NVAESettings(hierarchy=_NARROW)}
    found["1, no warm-up"] = {"model": NVAESettings(penalties=Penalties(warm_up=0.0))}
    return found


def by_setting(cohort, out):
    """Return a row a setting, and the losses of all epochs.

    16 of the 80 patients, the same for all, are reconstructed by posterior means.
    """
    files = mask_files(cohort)
    names = np.unique([file.patient_id for file in files])
    tested = set(np.random.default_rng(0).permutation(names)[:16])
    rows, histories = [], []
    for number, (name, about) in enumerate(settings().items()):
        kept = out / "reconstruction" / f"{number}.json"
        if kept.is_file():
            found = json.loads(kept.read_text("utf-8"))
        else:
            found = _measured(files, tested, name, about)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(found), "utf-8")
        rows.append(found["row"])
        histories += found["history"]
    return pd.DataFrame(rows), pd.DataFrame(histories)


def _measured(files, tested, name, about):
    """Return the row and the losses of one setting."""
    prior = ShapePrior(**{"model": "nvae", "n_degraded": 0} | about)
    masks = [(f, read_label_map(f.path, f.structures)) for f in files]
    inside = [(f.patient_id, mask) for f, mask in masks if f.patient_id not in tested]
    start = time.process_time()
    prior.fit([mask for _, mask in inside], patients=[owner for owner, _ in inside])
    row = {"setting": name, "cpu_seconds": time.process_time() - start}
    outside = [mask for f, mask in masks if f.patient_id in tested]
    volumes = pd.DataFrame([_volume(mask, prior) for mask in outside])
    weighed = ["valid_16", "valid_7", "nats"]
    n = volumes["n"]
    for column in volumes.columns.drop("n"):
        values = volumes[column]
        weights = n if column in weighed else values.notna()
        row[column] = float((values.fillna(0) * weights).sum() / weights.sum())
    row["n_parameters"] = sum(each.numel() for each in prior.model_.parameters())
    history = prior.history_.assign(setting=name).to_dict("records")
    return {"row": row, "history": history}


def _volume(mask, prior):
    encoded = prior.encode(mask)
    places = encoded.placement.slices
    drawn = redraw(mask, prior, encoded, np.arange(len(places)), None)
    found = {"n": len(places), "nats": float(encoded.kl.mean())}
    for n, rules in RULES.items():
        broken = broken_rules(drawn, rules, **mask.slice_legend).any(axis=1)
        found[f"valid_{n}"] = float((~broken).mean())
    for name in prior.structures_:
        a, b = (p == mask.structures[name] for p in (mask.array[places], drawn))
        total = a.sum() + b.sum()
        found[f"dice_{name}"] = float(2 * (a & b).sum() / total) if total else np.nan
    return found
