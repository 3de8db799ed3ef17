"""What fat does to masks: a table of muscles enters, a row a degree of fat leaves."""

import numpy as np
import pandas as pd

#: Ends of the degrees of fat in a muscle, as shares.
DEGREES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0)

#: Draws of patients for intervals, and what these aim at.
N_BOOT, LEVEL = 2000, 0.95

#: Column to what it is of the columns of `muscles`.
MEASURES = ("not_segmented_percent", "dice", "assd_pooled_mm")


def muscles(comparison: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Return a row a muscle: its fat, its metrics, and whether nothing was drawn.

    Parameters
    ----------
    comparison
        What `compare_cohorts` found, index ``case_id``.
    truth
        ``truth.csv`` of the simulation: the share of fat in each muscle.
    """
    fat = truth.drop(columns="infiltration").melt(
        "patient_id", var_name="structure", value_name="fat"
    )
    table = comparison.reset_index().merge(fat, on=["patient_id", "structure"])
    # a muscle that the reference lacks cannot be missed
    table = table[table["fat"].notna()]
    missed = 100.0 * (table["state"] == "mask_empty")
    degree = pd.cut(table["fat"], DEGREES, include_lowest=True)
    # the first begins a little below 0
    names = [f"{max(0, 100 * d.left):.0f} to {100 * d.right:.0f} %" for d in degree]
    return table.assign(not_segmented_percent=missed, degree=names)


def by_degree(table: pd.DataFrame) -> pd.DataFrame:
    """Return means with intervals over patients, a row a network and degree of fat."""
    rows = []
    for (network, degree), part in table.groupby(["network", "degree"], sort=True):
        row = {"network": network, "degree": degree, "fat": part["fat"].mean()}
        row |= {"n": len(part), "n_patients": part["patient_id"].nunique()}
        row["n_not_segmented"] = int((part["not_segmented_percent"] > 0).sum())
        for name in MEASURES:
            low, high = _interval(part, name)
            row |= {name: part[name].mean()}
            row |= {f"{name}_lower": low, f"{name}_upper": high}
        rows.append(row)
    found = pd.DataFrame(rows)
    # networks as they came
    order = pd.Categorical(found["network"], table["network"].unique())
    place = found.assign(place=order.codes).sort_values(["place", "fat"])
    return place.drop(columns="place").reset_index(drop=True)


def _interval(part, name):
    """Return percentile bounds of the mean: patients are drawn, with all muscles."""
    by = part.dropna(subset=name).groupby("patient_id")[name].agg(["sum", "size"])
    if not len(by):
        return np.nan, np.nan
    sums, sizes = by["sum"].to_numpy(), by["size"].to_numpy()
    drawn = np.random.default_rng(0).integers(len(by), size=(N_BOOT, len(by)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
