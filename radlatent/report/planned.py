"""What of the page a run has: its tables as text, its figures with their rows.

The tables of a run enter, tables to print and figures to draw leave, in the order of
the page. Few models are overlaid in a figure, many get a panel each.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pandas as pd

from radlatent import figures
from radlatent.report.sections import FIGURES, TABLES, Table

__all__ = ["FITS_PHONE_IN", "planned", "printed"]

#: Width of a figure in inches whose letters are legible on a telephone as it is.
FITS_PHONE_IN = 4.6

#: Panels of one figure: three rows of two, which a page holds.
_MOST_PANELS = 6

_MODEL = ["model", "blocks", "endpoint"]


def printed(data: Mapping[str, pd.DataFrame]) -> Iterator[tuple[Table, pd.DataFrame]]:
    """Yield each table of the page that the run has, with what it prints."""
    for table in TABLES:
        rows = data.get(table.source or table.name)
        if rows is not None:
            yield table, table.print(rows)


def planned(data: Mapping[str, pd.DataFrame]) -> Iterator[tuple]:
    """Yield each figure of the run: its file, kind, caption and rows."""
    for figure in FIGURES:
        rows = data.get(figure.source)
        if rows is None or rows.empty:
            continue
        if figure.metric:
            metric = (
                rows["metric"].iloc[0] if figure.metric == "first" else figure.metric
            )
            rows = rows[rows["metric"] == metric]
        keys = figure.keys(rows) if callable(figure.keys) else figure.keys
        keys = [key for key in keys if key in rows]
        parts = list(rows.groupby(keys, sort=False)) if keys else [((), rows)]
        drawn = [(key, *one) for key, part in parts for one in _in_panels(figure, part)]
        for number, (key, one, part, which) in enumerate(drawn, start=1):
            if part.empty:
                continue
            several = keys or len(drawn) > 1
            file = f"{figure.name}_{number}" if several else figure.name
            whose = _whose(dict(zip(keys, key, strict=True))) + which
            n = _n_patients(data, figure) if figure.of_patients else ""
            yield file, one, f"{figure.caption}{whose}{n}", part


def _whose(key):
    """Return whose figure it is, where there is one for each model."""
    return f" Model: {key['model']} on {key['blocks']}." if "model" in key else ""


def _n_patients(data, figure):
    there = "external_" if figure.section == "external" else ""
    predictions = data.get(f"{there}predictions")
    if predictions is None:
        return ""
    return f" n = {predictions['patient_id'].nunique()} patients."


def _in_panels(figure, rows):
    """Yield a figure with its rows and what its caption adds, or several of panels."""
    models = rows[_MODEL].drop_duplicates() if figure.panels else ()
    n = len(models)
    if not figure.panels or n <= figure.overlaid:
        yield figure, rows, ""
        return

    def draw(ax, part, data):
        def one(table, panel, **style):
            return figure.draw(panel, table, data, **style)

        figures.panels(one, part, ax, like=rows)

    divided = replace(figure, draw=draw, size=_panel_size)
    # an even number, so that only the last figure has a gap
    step = 2 * math.ceil(n / math.ceil(n / _MOST_PANELS) / 2)
    for start in range(0, n, step):
        some = models.iloc[start : start + step]
        which = f" Models {start + 1} to {start + len(some)} of {n}."
        yield divided, rows.merge(some, on=_MODEL), which if step < n else ""


def _panel_size(rows):
    """Return a size of two columns, with room for the names above the panels."""
    n = len(rows[_MODEL].drop_duplicates())
    letters = (rows["model"].map(len) + rows["blocks"].map(len)).max()
    height = 2.1 + 0.15 * math.ceil(letters / 26)
    return FITS_PHONE_IN, 0.5 + math.ceil(n / 2) * height
