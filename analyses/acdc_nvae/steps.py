"""What the scripts of this analysis share: tables, parts of cohorts, figures."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import radlatent as rl
from radlatent import figures

#: Name to label in ACDC.
STRUCTURES = {"RV": 1, "MYO": 2, "LV": 3}

#: A loss of Dice that counts as harm, one that ruins a slice, and Dice below which a
#: mask should be flagged.
WORSE_BY, RUINED_BY, FLAG_BELOW = 0.02, 0.3, 0.7

OUT = Path("build/acdc_nvae")

#: Draws of patients for intervals, and what these aim at.
N_BOOT, LEVEL = 2000, 0.95


def write(table: pd.DataFrame, out: Path, name: str) -> None:
    """Write a table of this analysis."""
    rl.report.write_table(table, out / "tables" / f"{name}.csv")


def read(out: Path, name: str) -> pd.DataFrame:
    """Return a table of this analysis."""
    return pd.read_csv(out / "tables" / f"{name}.csv")


def slug(method: str) -> str:
    """Return the name of a method as files have it."""
    return method.replace(",", "").replace(" ", "_").lower()


def part_of(cohort: rl.Cohort, patients: list[str]) -> rl.Cohort:
    """Return some patients of a cohort."""
    cases = cohort.cases[cohort.cases["patient_id"].isin(patients)]
    return replace(cohort, cases=cases, patients=cohort.patients.loc[sorted(patients)])


def interval(values: pd.Series, patients: pd.Series) -> tuple[float, float]:
    """Return percentile bounds of a mean: patients are drawn, with all their slices."""
    by = values.astype(float).groupby(patients).agg(["sum", "size"])
    drawn = np.random.default_rng(0).integers(len(by), size=(N_BOOT, len(by)))
    sums, sizes = by["sum"].to_numpy(), by["size"].to_numpy()
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def told(mean: float, low: float, high: float, digits: int = 4) -> str:
    """Return a mean and its interval as text."""
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def folder_of_figures() -> Path:
    """Return the folder that a figure script is asked to draw from."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_known_args()[0].out


def draw(out: Path, name: str, size: tuple[float, float], panel: Callable) -> None:
    """Draw one panel into ``figures/<name>.png`` and ``.pdf``."""
    with figures.canvas(size) as (figure, ax):
        panel(ax)
        _save(figure, out, name)


def _save(figure, out, name):
    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, about in (("png", {}), ("pdf", {"CreationDate": None})):
        figure.savefig(folder / f"{name}.{suffix}", dpi=150, metadata=about)


def draw_grid(columns: list, out: Path, name: str) -> None:
    """Draw slices before and after a correction, and the reader's, a column each.

    Parameters
    ----------
    columns
        Text, image, masks (network, corrected, reader) and what `mask_overlay` needs.
    out, name
        As of `draw`.
    """
    names = "network", "corrected", "reader"
    with figures.canvas((1.25 * len(columns), 4.4)) as (figure, ax):
        ax.remove()
        axes = figure.subplots(len(names), len(columns), squeeze=False)
        for column, (text, image, masks, shown) in zip(axes.T, columns, strict=True):
            rows, places = np.nonzero(np.any(masks, axis=0))
            middle = [(each.min() + each.max()) / 2 for each in (rows, places)]
            wide = max(np.ptp(rows), np.ptp(places)) / 2 + 8
            for panel, labels in zip(column, masks, strict=True):
                figures.mask_overlay(image, labels, panel, **shown)
                panel.set(xlabel="", xticks=[], yticks=[])
                panel.set_xlim(middle[1] - wide, middle[1] + wide)
                panel.set_ylim(middle[0] + wide, middle[0] - wide)
            column[0].set_title(text, fontsize=6)
        for panel, text in zip(axes[:, 0], names, strict=True):
            panel.set_ylabel(text)
        named = {}
        for panel in axes.flat:
            handles, labels = panel.get_legend_handles_labels()
            named |= dict(zip(labels, handles, strict=True))
        figure.legend(
            named.values(), named, loc="outside lower center", ncols=4, fontsize=7
        )
        _save(figure, out, name)
