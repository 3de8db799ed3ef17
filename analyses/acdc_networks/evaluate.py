"""How good the networks' masks are: derived cohorts enter, tables leave."""

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon
from steps import STRUCTURES

from radlatent.fusion.metrics.compare import holm
from radlatent.masks import compare_cohorts, mask_files, read_label_map, score

METRICS = ["dice", "hd_mm", "hd95_max_mm", "assd_pooled_mm"]
RULES = ("short_axis_16", "short_axis_7")

#: Draws of patients for intervals, and what these aim at.
N_BOOT, LEVEL = 2000, 0.95

#: Thirds of a reference heart, from the first slice that it has; ACDC starts at either
#: end, so that the first third is the one whose area is larger.
POSITIONS = ("base", "middle", "apex")


def volumes(derived, experts, jobs):
    """Return a row a case: metrics, disease group and phase."""
    table = compare_cohorts(derived, experts, jobs=jobs).table
    group = experts.cases["patient_id"].map(experts.patients["group"])
    about = experts.cases[["timepoint"]].assign(group=group)
    return table.join(about).reset_index()


def slices(derived, experts):
    """Return a row a slice and structure that one of both masks holds."""
    rows = []
    pairs = zip(mask_files(derived), mask_files(experts), strict=True)
    for mask, reference in pairs:
        drawn, true = (
            read_label_map(file.path, file.structures).array
            for file in (mask, reference)
        )
        places = _positions(true)
        for z, (one, other) in enumerate(zip(drawn, true, strict=True)):
            for name, label in STRUCTURES.items():
                row = _slice_row(one == label, other == label)
                if row:
                    about = {"mask": reference.place, "patient_id": mask.patient_id}
                    about |= {"slice": z, "position": places[z], "structure": name}
                    rows.append(about | row)
    return pd.DataFrame(rows)


def _slice_row(drawn, true):
    n_drawn, n_true = int(drawn.sum()), int(true.sum())
    if not n_drawn + n_true:
        return None
    dice = 2 * int((drawn & true).sum()) / (n_drawn + n_true)
    state = "both" if n_drawn and n_true else "missed" if n_true else "invented"
    return {"dice": dice, "state": state}


def _positions(true):
    """Return the third of the heart that each slice is in, or "outside"."""
    area = true.astype(bool).sum(axis=(1, 2))
    held = np.flatnonzero(area)
    names = np.full(len(true), "outside", dtype=object)
    thirds = np.array_split(held, 3)
    order = POSITIONS if area[held[0]] >= area[held[-1]] else POSITIONS[::-1]
    for part, name in zip(thirds, order, strict=True):
        names[part] = name
    return names


def summary(table, by):
    """Return means of the metrics with intervals over patients, a row a group.

    Parameters
    ----------
    table
        What `volumes` or `slices` returned, of several networks.
    by
        Columns of the groups.
    """
    metrics = [name for name in METRICS if name in table]
    rows = []
    for key, part in table.groupby(by, sort=False):
        row = dict(zip(by, key, strict=True)) | {"n": len(part)}
        row["n_patients"] = part["patient_id"].nunique()
        for metric in metrics:
            ends = _interval(part, metric)
            row |= {metric: part[metric].mean(), f"{metric}_n": part[metric].count()}
            row |= {f"{metric}_lower": ends[0], f"{metric}_upper": ends[1]}
        missed = part["state"].isin(["mask_empty", "missed"])
        true = part["state"].isin(["both", "mask_empty", "missed"])
        row["percent_not_segmented"] = 100 * missed.sum() / max(true.sum(), 1)
        rows.append(row)
    return pd.DataFrame(rows)


def _interval(part, metric):
    """Return percentile bounds of the mean: patients are drawn, with all their rows."""
    by = part.dropna(subset=metric).groupby("patient_id")[metric].agg(["sum", "size"])
    sums, sizes = by["sum"].to_numpy(), by["size"].to_numpy()
    drawn = np.random.default_rng(0).integers(len(by), size=(N_BOOT, len(by)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])


def differences(table):
    """Return paired differences between networks, a row a pair and metric.

    The mean over structures and phases of each patient; Wilcoxon's signed ranks, and
    Holm over all rows.
    """
    names, rows = table["network"].unique().tolist(), []
    for metric in METRICS:
        means = table.pivot_table(metric, "patient_id", "network")
        for place, first in enumerate(names):
            for second in names[place + 1 :]:
                change = (means[second] - means[first]).dropna()
                row = pd.DataFrame({"patient_id": change.index, "d": change.to_numpy()})
                low, high = _interval(row, "d")
                p = wilcoxon(change).pvalue if change.any() else 1.0
                about = {"metric": metric, "network": second, "reference": first}
                ends = {"difference": change.mean(), "lower": low, "upper": high}
                rows.append(about | ends | {"n": len(change), "p": p})
    found = pd.DataFrame(rows)
    return found.assign(p_adjusted=holm(found["p"])) if len(found) else found


def rules(cohorts, jobs):
    """Return how many slices keep each rule of both sets, a row a network and rule."""
    parts = []
    for network, cohort in cohorts.items():
        for name in RULES:
            found = score(cohort, rules=name, jobs=jobs).summary
            parts.append(found.assign(network=network, rules=name))
    return pd.concat(parts, ignore_index=True)
