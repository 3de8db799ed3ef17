"""What the scripts of this analysis share: where tables and figures lie."""

import argparse
from pathlib import Path

import pandas as pd

import radlatent as rl

OUT = Path("build/simulated_thighs")


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
