"""What the scripts of this analysis share: tables and one figure."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd

import radlatent as rl
from radlatent import figures

#: Name to label, in the order that decides the colors of all figures.
STRUCTURES = {"RV": 1, "MYO": 2, "LV": 3}

OUT = Path("build/acdc_networks")


def write(table: pd.DataFrame, out: Path, name: str) -> None:
    """Write a table of this analysis."""
    rl.report.write_table(table, out / "tables" / f"{name}.csv")


def read(out: Path, name: str) -> pd.DataFrame:
    """Return a table of this analysis."""
    return pd.read_csv(out / "tables" / f"{name}.csv")


def folder_of_figures() -> Path:
    """Return the folder that a figure script is asked to draw from."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_known_args()[0].out


def draw(out: Path, name: str, size: tuple[float, float], panel: Callable) -> None:
    """Draw one panel into ``figures/<name>.png`` and ``.pdf``."""
    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    with figures.canvas(size) as (figure, ax):
        panel(ax)
        for suffix, about in (("png", {}), ("pdf", {"CreationDate": None})):
            figure.savefig(folder / f"{name}.{suffix}", dpi=150, metadata=about)
