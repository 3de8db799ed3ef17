"""What the scripts of this analysis share: tables and figures."""

import argparse
from pathlib import Path

import pandas as pd

import radlatent as rl

OUT = Path("build/heart_cycles")

#: Attribute to what it is called in figures.
NAMES = {
    "lv_area": "LV area (mm²)",
    "lv_base_width": "LV base (mm)",
    "lv_length": "LV length (mm)",
    "lv_orientation": "LV tilt (degrees)",
    "myo_area": "MYO area (mm²)",
    "epi_center_x": "center, x (mm)",
    "epi_center_y": "center, y (mm)",
}


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
    return parser.parse_args().out


def save(figure, out: Path, name: str) -> None:
    """Write a figure as ``figures/<name>.png`` and ``.pdf``."""
    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, about in (("png", {}), ("pdf", {"CreationDate": None})):
        figure.savefig(folder / f"{name}.{suffix}", dpi=150, metadata=about)
