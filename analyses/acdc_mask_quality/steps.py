"""What the scripts of this analysis share: tables, kept slices, one figure."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import radlatent as rl
from radlatent import figures

#: Name to label, in the order that decides the colors of all figures.
STRUCTURES = {"RV": 1, "MYO": 2, "LV": 3}

#: How badly the masks that figures show were degraded: as a network's.
LEVEL = "network"

#: Dice below which a mask should be flagged, and a loss of Dice that counts as harm.
FLAG_BELOW, WORSE_BY = 0.7, 0.02


@dataclass(frozen=True, eq=False)
class Slices:
    """Slices to look at: image, masks and what breaks a rule, one entry a slice.

    Parameters
    ----------
    names
        What is written below each.
    images, reference, before, after
        Intensities and labels, each (rows, columns).
    offending
        Pixels of ``before`` that break a rule, booleans.
    spacing_mm
        Of rows and columns.
    """

    names: Sequence[str]
    images: Sequence[np.ndarray]
    reference: Sequence[np.ndarray]
    before: Sequence[np.ndarray]
    after: Sequence[np.ndarray]
    offending: Sequence[np.ndarray]
    spacing_mm: Sequence[tuple[float, float]]


def write(table: pd.DataFrame, out: Path, name: str) -> None:
    """Write a table of this analysis."""
    rl.report.write_table(table, out / "tables" / f"{name}.csv")


def read(out: Path, name: str, **kwargs) -> pd.DataFrame:
    """Return a table of this analysis."""
    return pd.read_csv(out / "tables" / f"{name}.csv", **kwargs)


def write_slices(found: Slices, out: Path, name: str) -> None:
    """Keep slices for the figures; their sizes differ."""
    path = out / "arrays" / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = ("images", "reference", "before", "after", "offending", "spacing_mm")
    arrays = {f"{k}_{i}": a for k in kinds for i, a in enumerate(getattr(found, k))}
    np.savez_compressed(path, names=list(found.names), **arrays)


def read_slices(out: Path, name: str) -> Slices:
    """Return what `write_slices` kept."""
    kept = np.load(out / "arrays" / f"{name}.npz")
    names = kept["names"].tolist()
    kinds = ("images", "reference", "before", "after", "offending", "spacing_mm")
    lists = ([kept[f"{k}_{i}"] for i in range(len(names))] for k in kinds)
    return Slices(names, *lists)


def folder_of_figures() -> Path:
    """Return the folder of the report that a figure script is asked to draw from."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("reports/acdc_mask_quality"))
    return parser.parse_known_args()[0].out


def draw(out: Path, name: str, size: tuple[float, float], panel: Callable) -> None:
    """Draw one panel into ``figures/<name>.png`` and ``.pdf``."""
    with figures.canvas(size) as (figure, ax):
        panel(ax)
        _save(figure, out, name)


def draw_overlays(found: Slices, out: Path, name: str) -> None:
    """Draw each slice twice: the mask under judgment above, corrected below.

    Reference contours are dashed; pixels that break a rule are filled. Left and right
    are said once for the figure.
    """
    columns = len(found.names)
    with figures.canvas((1.7 * columns, 4.4)) as (figure, ax):
        ax.remove()
        axes = figure.subplots(2, columns, squeeze=False)
        for i in range(columns):
            shown = {"structures": STRUCTURES, "spacing_mm": found.spacing_mm[i]}
            shown["reference"] = found.reference[i]
            for row, masks in enumerate((found.before, found.after)):
                bad = found.offending[i] if row == 0 else None
                figures.mask_overlay(
                    found.images[i], masks[i], axes[row, i], offending=bad, **shown
                )
                axes[row, i].set_xlabel("" if row == 0 else found.names[i])
            _same_limits(*axes[:, i])
        axes[0, 0].set_ylabel("before")
        axes[1, 0].set_ylabel("after")
        named = {}
        for panel in axes.flat:
            handles, labels = panel.get_legend_handles_labels()
            named |= dict(zip(labels, handles, strict=True))
        figure.legend(
            named.values(),
            named,
            loc="outside upper center",
            ncols=4,
            fontsize="small",
            edgecolor="none",
        )
        figure.supxlabel(
            "Radiological convention: right is on the left", fontsize="small"
        )
        _save(figure, out, name)


def _same_limits(above, below):
    """Show the same of a slice before and after: what a correction removed is wide."""
    x = np.array([above.get_xlim(), below.get_xlim()])
    y = np.array([above.get_ylim(), below.get_ylim()])
    for ax in (above, below):
        ax.set_xlim(x[:, 0].min(), x[:, 1].max())
        ax.set_ylim(y[:, 0].max(), y[:, 1].min())


def _save(figure, out, name):
    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, about in (("png", {}), ("pdf", {"CreationDate": None})):
        figure.savefig(folder / f"{name}.{suffix}", dpi=150, metadata=about)
