"""The page of results in memory: of a notebook, without a study file.

Results of validation enter; tables, figures and one page leave. What is behind the
figures is computed by `radlatent.fusion`; `curves` says what belongs to which outcome.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from radlatent.errors import SchemaError
from radlatent.fusion import (
    Result,
    calibration_curve,
    compare,
    confusion,
    evaluate,
    incidence_by_risk,
    kaplan_meier,
    net_benefit,
    recalibrate_in_the_large,
    residuals,
    roc_curve,
    survival_auc_curve,
    survival_calibration,
    survival_net_benefit,
)
from radlatent.outputs import check_file, check_folder, replace_text
from radlatent.provenance import file_hash
from radlatent.report.names import with_short_blocks
from radlatent.report.page import drawn, remove_stale, tabulated
from radlatent.report.parts import render
from radlatent.report.sections import SECTIONS
from radlatent.schema import write_run

__all__ = ["curves", "write"]

_log = logging.getLogger(__name__)

_RUN = ["model", "blocks"]

#: Tables that a page is made of, those of `curves` among them.
_MADE = (
    *("predictions", "metrics", "fits", "compared", "recalibrated"),
    *("roc", "confusion", "calibration", "net_benefit", "residuals"),
    *("kaplan_meier", "risk_groups", "survival_auc", "survival_calibration"),
    *("incidence", "incidence_by_risk", "incidence_groups", "incidence_auc"),
    "incidence_calibration",
)


def curves(predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables behind the figures of **predictions**, name to table.

    Parameters
    ----------
    predictions
        Of one outcome and any number of models.
    """
    if "predicted" in predictions:
        return {
            "residuals": residuals(predictions),
            "calibration": calibration_curve(predictions),
        }
    if "cause" in predictions:
        return _of_competing(predictions)
    if "risk" in predictions:
        return _of_survival(predictions)
    found = {"roc": roc_curve(predictions), "confusion": confusion(predictions)}
    if _has_two_classes(predictions):
        found["calibration"] = calibration_curve(predictions)
        found["net_benefit"] = net_benefit(predictions)
    return found


def _has_two_classes(predictions):
    # of the models: their patients may be of fewer
    names = predictions.filter(regex="^probability_")
    return names.notna().any().sum() == 2


def _of_survival(predictions):
    groups = kaplan_meier(predictions)
    found = {
        "kaplan_meier": groups.curves,
        "risk_groups": groups.summary,
        "survival_auc": survival_auc_curve(predictions),
    }
    return found | _on_a_day("survival", predictions)


def _of_competing(predictions):
    by_risk = incidence_by_risk(predictions)
    first = (predictions[_RUN] == predictions[_RUN].iloc[0]).all(axis=1)
    whole = incidence_by_risk(predictions[first], n_groups=1).curves
    found = {
        "incidence": whole.drop(columns=_RUN),
        "incidence_by_risk": by_risk.curves,
        "incidence_groups": by_risk.summary,
        "incidence_auc": survival_auc_curve(predictions),
    }
    return found | _on_a_day("incidence", predictions)


def _on_a_day(start, predictions):
    """Return calibration and net benefit on the middle day, where models tell risks."""
    asked = {
        f"{start}_calibration": survival_calibration,
        "net_benefit": survival_net_benefit,
    }
    found = {name: [*_where_known(make, predictions)] for name, make in asked.items()}
    return {k: pd.concat(v, ignore_index=True) for k, v in found.items() if v}


def _where_known(make, predictions):
    """Yield a table of each model that predicts survival on the day that is asked for.

    What one model does not tell is no reason to lose the report of all.
    """
    for _, part in predictions.groupby(_RUN, sort=False):
        try:
            yield make(part)
        except SchemaError as error:
            _log.warning("no %s: %s", make.__name__, error)


def write(
    results: Result | Iterable[Result],
    out: str | Path,
    *,
    title: str = "Results",
    external: Result | Iterable[Result] = (),
) -> Path:
    """Write tables, figures and one page of results, without a study file.

    Parameters
    ----------
    results
        Of ``cross_validate``, one or several models of the same outcome; the first one
        is what the others are compared with, if all predicted the same patients. An
        empty list where there is another cohort only.
    out
        Folder, which is made; a page that was written there before is replaced.
    title
        What stands above the page.
    external
        Of ``validate_externally``, or ``FinalModel.validate``: the same models on
        patients of another cohort.

    Returns
    -------
    pathlib.Path
        ``index.html``: self-contained, it can be mailed. Beside it ``tables/`` (CSV and
        LaTeX), ``figures/`` (PNG and PDF) and ``data/`` (unrounded).

    Raises
    ------
    SchemaError
        There is no result, two have the same name and blocks, or they are of several
        outcomes; or ``out`` is the folder of a run, which has a page of its own.

    Notes
    -----
    Cohort, settings and checklists are those of a study: ``radlatent.run`` writes them.
    """
    sides = {"": _listed(results), "external_": _listed(external)}
    if not any(sides.values()):
        raise SchemaError("there are no results to write.")
    _check_one_outcome([one for side in sides.values() for one in side])
    folder, data = Path(out), {}
    _check_out(folder)
    for start, side in sides.items():
        tables = _tables(side, compared=not start) if side else {}
        data |= {f"{start}{name}": table for name, table in tables.items()}
    folder.mkdir(parents=True, exist_ok=True)
    remove_stale(folder)
    write_run(data, folder / "data")
    _remove_others(data, folder / "data")
    short = with_short_blocks(data)
    shown = {"tables": tabulated(short, folder), "figures": drawn(short, folder)}
    page = folder / "index.html"
    replace_text(page, _page(title, sides, data, shown, folder))
    return page


def _remove_others(data, folder):
    """Remove the tables of an earlier page that this one lacks, and nothing else."""
    for name in (start + made for start in ("", "external_") for made in _MADE):
        if name not in data:
            (folder / f"{name}.parquet").unlink(missing_ok=True)


def _listed(results):
    return [results] if isinstance(results, Result) else list(results)


def _check_one_outcome(results):
    names = sorted({name for one in results for name in one.metrics["endpoint"]})
    if len(names) > 1:
        msg = f"these results are of several outcomes, {names}: write a page of each."
        raise SchemaError(msg)


def _check_out(folder):
    if (folder / "run.json").exists():
        msg = f"{folder} is the folder of a run, whose page this is not: give another."
        raise SchemaError(msg)
    check_folder(folder)
    check_file(folder / "index.html")
    for name in ("data", "tables", "figures"):
        check_folder(folder / name)


def _tables(results, *, compared):
    """Return the tables of one cohort, name to table."""
    keys = [tuple(one.metrics[_RUN].iloc[0]) for one in results]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        msg = f"two results are called {twice[0]}: give each a name= of its own."
        raise SchemaError(msg)
    found = {
        name: pd.concat([getattr(one, name) for one in results], ignore_index=True)
        for name in ("predictions", "metrics", "fits")
    }
    found |= curves(found["predictions"])
    moved = [] if compared else recalibrate_in_the_large(found["predictions"])
    if len(moved):
        found["recalibrated"] = evaluate(moved)
    if compared and len(results) > 1:
        try:
            found["compared"] = compare(found["predictions"], reference=keys[0])
        except SchemaError as error:
            _log.warning("the models are not compared: %s", error)
    return found


def _page(title, sides, data, shown, folder):
    filled = {one["section"] for one in shown["tables"] + shown["figures"]}
    written = sorted((folder / "data").glob("*.parquet"))
    notes = {"performance": [_how(one) for one in sides[""]]}
    every = [one for side in sides.values() for one in side]
    lead = f"Outcome {every[0].metrics['endpoint'].iloc[0]}; "
    lead += f"{len(every)} result{'s' * (len(every) > 1)}."
    if sides["external_"]:
        first = "Tested once on patients of another cohort; nothing was fitted on them."
        notes["external"] = [first, *map(_how, sides["external_"])]
    return render(
        "analysis.html",
        title=title,
        lead=lead,
        notes=notes,
        journal="tables",
        sections={name: told for name, told in SECTIONS.items() if name in filled},
        hashes={path.name: file_hash(path) for path in written if path.stem in data},
        **shown,
    )


def _how(result):
    """Return how a result came about, as its tables tell it."""
    key, folds = result.metrics[_RUN].iloc[0], result.folds
    n_folds = folds.groupby("repeat")["fold"].nunique().max()
    repeats = folds["repeat"].nunique()
    what = "one test" if n_folds == 1 else f"{repeats} x {n_folds} folds by patient"
    name, n = f"{key['model']} on {key['blocks']}", result.n_pipelines
    if not n:
        return f"{name}: the final model of {result.fits['n_train'].iloc[0]} patients."
    origin = "; ".join(dict.fromkeys(result.fits["origin"]))
    return (
        f"{name}: {what}, {n} pipeline{'s' * (n > 1)} fitted; origin of the features: "
        f"{origin}."
    )
