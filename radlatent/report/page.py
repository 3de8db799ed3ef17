"""The report of a run: its folder enters, tables, figures and one page are added.

Everything is read from disk, so that a report can be made again without the images.
"""

import base64
import functools
import importlib.resources
import json
import re
from pathlib import Path

import jinja2
import pandas as pd

from radlatent import figures
from radlatent.errors import SchemaError
from radlatent.provenance import file_hash
from radlatent.report import tables
from radlatent.schema import check_failures, check_metrics, check_predictions

__all__ = ["report"]

#: Captions of the figures, by file name.
_CAPTIONS = {
    "roc": "Receiver operating characteristic of the out-of-fold predictions, averaged "
    "over repeats, with pointwise bootstrap bands.",
    "auc": "Area under the ROC curve with its bootstrap interval.",
    "balanced_accuracy": "Balanced accuracy with its bootstrap interval.",
    "confusion": "Predicted against true class, mean count over repeats.",
    "features": "Feature heat map: patients by class, features by block and family, "
    "each feature standardized; gray is missing.",
}

_RESOLUTION_DPI = 150

#: Columns of the tables in ``data/`` that are text whatever they look like.
_TEXT_COLUMNS = (
    *("model", "blocks", "endpoint", "metric", "method", "class", "truth", "predicted"),
    *("case_id", "stage", "error", "message", "what", "modality"),
)


def report(folder: str | Path) -> Path:
    """Write tables, figures and ``index.html`` of a run folder.

    Parameters
    ----------
    folder
        What `radlatent.run` wrote: ``run.json`` and ``data/``.

    Returns
    -------
    pathlib.Path
        ``index.html``: self-contained, it can be mailed.

    Raises
    ------
    FileNotFoundError
        The folder is not that of a finished run.
    SchemaError
        A table of the run does not have its written form.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        msg = (
            f"{folder} holds no run.json, so no run was finished there. Make one with "
            "'radlatent run STUDY.yml --out DIR', or start that run again."
        )
        raise FileNotFoundError(msg)
    record = _record(folder / "run.json")
    _check_unchanged(folder, record["outputs"])
    data = _read(folder / "data")
    printed = _tables(data)
    for name, table in printed.items():
        path = folder / "tables" / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        table.to_csv(path, index=False, lineterminator="\n")
    data["failures"].to_csv(folder / "failures.csv", index=False, lineterminator="\n")
    drawn = _figures(data, folder / "figures")
    page = folder / "index.html"
    page.write_text(_page(record, printed, drawn), "utf-8")
    return page


def _record(path):
    try:
        record = json.loads(path.read_text("utf-8"))
        parts = ("command", "settings", "cohort", "counts", "outputs")
        if all(isinstance(record.get(part), dict) for part in parts):
            return record
        found = f"keys {sorted(record)}"
    except (ValueError, AttributeError) as error:
        found = str(error)
    msg = f"{path}: not the record of a run ({found}). Start the run again."
    raise SchemaError(msg)


def _check_unchanged(folder, outputs):
    changed = [
        name
        for name, digest in outputs.items()
        if not (folder / "data" / name).is_file()
        or file_hash(folder / "data" / name) != digest
    ]
    if changed:
        msg = (
            f"{folder}: {changed} in data/ are missing or not those of run.json. Start "
            "the run again: finished cases are kept."
        )
        raise SchemaError(msg)


def _read(folder):
    """Return the tables of a run, checked."""
    text = dict.fromkeys(_TEXT_COLUMNS, str)
    # a class may be called None or NA; only an empty cell is missing
    csv = functools.partial(
        pd.read_csv, dtype=text, keep_default_na=False, na_values=[""]
    )
    failures = csv(folder / "features.failures.csv")
    return {
        "patients": pd.read_parquet(folder / "patients.parquet"),
        "predictions": check_predictions(
            pd.read_parquet(folder / "predictions.parquet")
        ),
        "metrics": check_metrics(csv(folder / "metrics.csv")),
        "roc": csv(folder / "roc.csv"),
        "confusion": csv(folder / "confusion.csv"),
        "failures": check_failures(failures),
        "flow": csv(folder / "flow.csv", index_col=0),
        "extraction": csv(folder / "extraction.csv", index_col=0),
    }


def _tables(data):
    return {
        "performance": tables.performance(data["metrics"]),
        "flow": tables.flow(data["flow"]),
        "extraction": tables.extraction(data["extraction"]),
        "failures": tables.failures(data["failures"]),
    }


def _figures(data, folder):
    """Write every figure as PNG and PDF; return name, caption and PNG of each."""
    folder.mkdir(exist_ok=True)
    for stale in folder.iterdir():  # of a run with other models
        if re.fullmatch(rf"({'|'.join(_CAPTIONS)})(_\d+)?\.(png|pdf)", stale.name):
            stale.unlink()
    drawn = []
    for name, caption, size, draw in _plans(data):
        with figures.canvas(size) as (figure, ax):
            draw(ax)
            paths = [folder / f"{name}.{kind}" for kind in ("png", "pdf")]
            for path in paths:
                figure.savefig(path, dpi=_RESOLUTION_DPI)
        png = base64.b64encode(paths[0].read_bytes()).decode("ascii")
        drawn.append({"name": name, "caption": caption, "png": png})
    return drawn


def _plans(data):
    """Yield name, caption, size in inches and drawing function of each figure."""
    metrics = data["metrics"]
    n_models = len(metrics.groupby(["model", "blocks"]))
    height = 1.2 + 0.6 * n_models
    several = len(set(data["roc"]["class"])) > 1
    chance = {"auc": 0.5, "balanced_accuracy": 1 / len(set(data["confusion"]["truth"]))}
    for metric in chance:
        yield (
            metric,
            _CAPTIONS[metric],
            (7, height),
            lambda ax, m=metric: figures.forest(
                metrics, ax, metric=m, chance=chance[m]
            ),
        )
    keys = ["model", "blocks"]
    # several classes: a figure a model; two classes: all models in one
    curves_of = (
        data["roc"].groupby(keys, sort=False) if several else [("", data["roc"])]
    )
    for number, (key, curves) in enumerate(curves_of):
        yield (
            f"roc_{number + 1}" if several else "roc",
            _caption("roc", key),
            (6, 6),
            lambda ax, c=curves: figures.roc(c, ax, metrics=metrics),
        )
    for number, (key, counts) in enumerate(data["confusion"].groupby(keys, sort=False)):
        yield (
            f"confusion_{number + 1}",
            _caption("confusion", key),
            (6, 5),
            lambda ax, c=counts: figures.confusion(c, ax),
        )
    truth = data["predictions"].drop_duplicates("patient_id")
    groups = truth.set_index("patient_id")["truth"]
    table = data["patients"].loc[groups.index]
    yield (
        "features",
        _CAPTIONS["features"],
        (11, 7),
        lambda ax: figures.heatmap(table, ax, groups=groups),
    )


def _caption(name, key):
    which = f" Model: {', '.join(key)}." if key else ""
    return _CAPTIONS[name] + which


def _page(record, printed, drawn):
    here = importlib.resources.files("radlatent.report")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    template = environment.from_string((here / "page.html").read_text("utf-8"))
    html = {
        name: table.to_html(index=False, border=0, na_rep="–")
        for name, table in printed.items()
        if len(table)
    }
    return template.render(record=record, tables=html, figures=drawn)
