"""The verbs of the final model: `fit` it to a study, `predict` new patients."""

from pathlib import Path
from typing import Annotated

import typer

import radlatent as rl
from radlatent.cli.options import (
    Allow,
    Cache,
    Jobs,
    Root,
    check_empty,
    check_out,
    sources_of,
)
from radlatent.cli.outcome import friendly, print_performance
from radlatent.outputs import check_folder

__all__ = ["app"]

app = typer.Typer()


@app.command(
    "fit",
    epilog="Example: radlatent fit study.yml --out final_model --cache OUT/cache",
)
@friendly
def fit_study(
    study: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY", help="A study file; of several models, with 'final: N'."
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="MODEL", help="Folder to write: absent or empty.")
    ],
    root: Root = None,
    jobs: Jobs = None,
    cache: Cache = None,
    allow_failures: Allow = 0,
    purpose: Annotated[
        str, typer.Option(metavar="TEXT", help="What the model is for, and for whom.")
    ] = "",
):
    """Fit the model of a study on all of its patients, and keep it for new ones."""
    check_empty(out)
    check_folder(out.with_suffix(".cache") if cache is None else cache, what="--cache")
    asked = {"root": root, "jobs": jobs, "allow_failures": allow_failures}
    asked |= {"cache": cache or out.with_suffix(".cache"), "purpose": purpose}
    model = rl.fit_study(study, **asked)
    model.save(out)
    print_performance(model.performance)
    typer.echo(f"{model!r}: {out}")


@app.command(
    epilog="Example: radlatent predict final_model new_cohort --out predictions.csv; "
    "of tables: radlatent predict final_model mr=mr.csv clinical=patients.csv --out ..."
)
@friendly
def predict(  # noqa: PLR0913 - the parameters of the function, and where to write
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Folder that 'fit' wrote.")
    ],
    patients: Annotated[
        list[str],
        typer.Argument(
            metavar="COHORT_OR_TABLE",
            help="Folder of a cohort; BLOCK=FILE of each block of a study of tables "
            "(clinical=FILE of covariates and sites); or one CSV file of all columns.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Predictions, .csv or .parquet.")
    ],
    root: Root = None,
    jobs: Jobs = None,
    cache: Cache = None,
    allow_failures: Allow = 0,
    level: Annotated[
        float,
        typer.Option(
            metavar="X", min=0.5, max=0.99, help="Of the conformal sets of classes."
        ),
    ] = 0.9,
):
    """Say what a final model says of new patients, and how far to trust it."""
    cache = cache or out.with_suffix(".cache")
    check_out(out, cache=cache)
    asked = {"root": root, "jobs": jobs, "cache": cache, "level": level}
    sources = sources_of(patients)
    said = rl.predict(model, sources, allow_failures=allow_failures, **asked)
    rl.report.write_table(said, out)
    refused = said.loc[said["refused"] != "", "refused"]
    for patient, reason in refused[:5].items():
        typer.echo(f"patient {patient!r}: {reason}", err=True)
    n, far = len(said), int((~said["inside"]).sum())
    counts = f"{n} patients, {far} outside the range of training, {len(refused)}"
    typer.echo(f"{counts} without a prediction: {out}")
    if len(refused) > allow_failures:
        raise typer.Exit(1)
