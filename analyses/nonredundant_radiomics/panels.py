"""How the figure scripts read tables and save panels."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from radlatent import figures

DEFAULT = Path("reports/nonredundant_radiomics")


def folder(given: Path | None) -> Path:
    """Return the run folder: of compute.py, of the command line, or the default."""
    if given is not None:
        return given
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=DEFAULT)
    return parser.parse_args().out


def read(out: Path, name: str) -> pd.DataFrame:
    """Return a table that compute.py wrote."""
    return pd.read_csv(out / "tables" / f"{name}.csv")


def save(out: Path, name: str, size: tuple[float, float], drawn: Callable) -> None:
    """Draw a panel and save it as PNG and PDF."""
    (out / "figures").mkdir(parents=True, exist_ok=True)
    with figures.canvas(size) as (figure, ax):
        drawn(ax)
        for kind in ("png", "pdf"):
            figure.savefig(out / "figures" / f"{name}.{kind}", dpi=150)
