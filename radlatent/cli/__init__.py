"""The command line: one verb is one function of the package, with its parameters."""

import importlib
import logging
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler

import radlatent as rl
from radlatent.cli import masks
from radlatent.cli.options import (
    Allow,
    Cache,
    Engine,
    Jobs,
    Root,
    Settings,
    check_out,
    settings_of,
)
from radlatent.cli.outcome import friendly, judge, print_table, write_tables

__all__ = ["app"]

app = typer.Typer(
    help="Multimodal radiomics, from a cohort of images to a report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(masks.app)

_log = logging.getLogger("radlatent.cli")

#: What `run` prints of `radlatent.performance`: of classes the first two metrics, of
#: survival the others.
_PRINTED = ("Model", "Features", "n", "AUC", "Balanced accuracy")
_PRINTED += ("C (Harrell)", "C (Uno)")


@app.callback()
def _start(
    quiet: Annotated[bool, typer.Option(help="Warnings and errors only.")] = False,
):
    level = logging.WARNING if quiet else logging.INFO
    handler = logging.StreamHandler()
    if sys.stderr.isatty():
        # the handler that knows of progress bars
        plain = {"show_time": False, "show_path": False, "show_level": False}
        console = Console(stderr=True, highlight=False)
        handler = RichHandler(console=console, highlighter=NullHighlighter(), **plain)
    logger = logging.getLogger("radlatent")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False


@app.command()
@friendly
def check(
    cohort: Path,
    root: Root = None,
    jobs: Jobs = None,
    deep: Annotated[bool, typer.Option(help="Read every image to its end.")] = False,
):
    """Report every problem of a cohort's tables and files at once."""
    found = rl.check(cohort, root=root, jobs=jobs, deep=deep)
    for note in found.notes:
        _log.warning("note: %s", note)
    found.raise_if_any()
    counts = ", ".join(f"{n} {what}" for what, n in found.flow.items())
    typer.echo(f"{counts}: no problem.")


@app.command()
@friendly
def simulate(
    out: Path,
    n_patients: Annotated[int, typer.Option(min=2)] = 80,
    seen_effect: Annotated[float, typer.Option(help="Of what features see.")] = 1.5,
    hidden_effect: Annotated[float, typer.Option(help="Of what none sees.")] = 1.5,
    censoring: Annotated[float, typer.Option(help="Fraction censored.")] = 0.3,
    random_state: int = 0,
):
    """Write a cohort of PET/CT-like lesions with a known answer."""
    cohort = rl.simulate(
        out,
        n_patients=n_patients,
        seen_effect=seen_effect,
        hidden_effect=hidden_effect,
        censoring=censoring,
        random_state=random_state,
    )
    typer.echo(f"{cohort!r} in {out}")


@app.command()
@friendly
def index(
    root: Path,
    out: Annotated[Path, typer.Option(help="The cohort folder to write.")],
    layout: Annotated[str, typer.Option(help="acdc, sts or pattern.")] = "pattern",
    image: Annotated[
        str, typer.Option(help="Where images lie below ROOT.")
    ] = "{patient_id}/{modality}_image.nii.gz",
    mask: Annotated[
        str, typer.Option(help="Where masks lie below ROOT.")
    ] = "{patient_id}/{modality}_mask.nii.gz",
    name: Annotated[str | None, typer.Option(help="Name of the cohort.")] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="A case a label: masks are read.")
    ] = False,
):
    """Write the manifest of a folder of images in a known layout."""
    cases = rl.index(
        root, out, layout=layout, image=image, mask=mask, name=name, labels=labels
    )
    typer.echo(
        f"{cases['patient_id'].nunique()} patients, {len(cases)} cases in {out}. "
        "Look through cohort.yml, then: radlatent check "
        f"{shlex.quote(str(out))} --root {shlex.quote(str(root))}"
    )


@app.command()
@friendly
def extract(  # noqa: PLR0913 - the parameters of the function, and where to write
    cohort: Path,
    out: Annotated[Path, typer.Option(help="Feature table, .parquet or .csv.")],
    root: Root = None,
    settings: Settings = None,
    engine: Engine = "radlatent",
    jobs: Jobs = None,
    cache: Cache = None,
    allow_failures: Allow = 0,
):
    """Measure the hand-crafted features of every case, resuming where it stopped."""
    check_out(out)
    chosen = settings_of(settings)
    found = rl.check(cohort, root=root, jobs=jobs)
    found.raise_if_any(allow=allow_failures)
    extraction = rl.extract(
        found.cohort,
        settings=chosen,
        engine=engine,
        jobs=jobs,
        cache=cache or out.with_suffix(".cache"),
    )
    rl.write_extraction(extraction, out)
    print_table(extraction.summary.reset_index())
    typer.echo(f"features: {out}")
    judge(extraction.failures, allow_failures)


@app.command()
@friendly
def stability(  # noqa: PLR0913 - the parameters of the function, and where to write
    cohort: Path,
    out: Annotated[Path, typer.Option(help="Table of ICCs, .parquet or .csv.")],
    root: Root = None,
    settings: Settings = None,
    perturbations: Annotated[int, typer.Option(help="How many.", min=2)] = 10,
    engine: Engine = "radlatent",
    jobs: Jobs = None,
    cache: Cache = None,
    allow_failures: Allow = 0,
):
    """Measure every case slightly perturbed, and how well each feature agrees."""
    check_out(out)
    chosen = settings_of(settings)
    found = rl.check(cohort, root=root, jobs=jobs)
    found.raise_if_any(allow=allow_failures)
    measured = rl.stability(
        found.cohort,
        settings=chosen,
        perturbations=perturbations,
        engine=engine,
        jobs=jobs,
        cache=cache or out.with_suffix(".cache"),
    )
    beside = ("features", "failures", "perturbations")
    write_tables(out, measured.table, **{k: getattr(measured, k) for k in beside})
    print_table(measured.summary)
    typer.echo(f"ICCs: {out}")
    judge(measured.failures, allow_failures)


@app.command("features")
@friendly
def describe_features(
    settings: Annotated[
        str | None, typer.Option(help="Preset or parameter file; none: every feature.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A .md, .csv or .parquet file.")
    ] = None,
):
    """Tell what every column is: family, source, IBSI code, unit, match with IBSI."""
    table = rl.describe_features(settings)
    if out is None and sys.stdout.isatty():
        print_table(table.reset_index())
    elif out is None:
        typer.echo(table.to_string())
    elif out.suffix == ".md":
        out.parent.mkdir(parents=True, exist_ok=True)
        text = importlib.import_module("radlatent.handcrafted").features_markdown
        out.write_text(text(settings), "utf-8")
    else:
        rl.report.write_table(table.reset_index(), out)
    if out is not None:
        typer.echo(f"features: {out}")


@app.command()
@friendly
def run(
    study: Path,
    out: Annotated[Path, typer.Option(help="The run folder.")],
    root: Root = None,
    jobs: Jobs = None,
    allow_failures: Allow = 0,
):
    """Walk the whole path of a study file, from the cohort to the report."""
    done = rl.run(study, out=out, root=root, jobs=jobs, allow_failures=allow_failures)
    table = rl.performance(done.metrics)
    print_table(table[[column for column in _PRINTED if column in table]])
    typer.echo(f"report: {done.folder / 'index.html'}")
    judge(done.failures, allow_failures)


@app.command()
@friendly
def report(folder: Path):
    """Write tables, figures and index.html of a run folder again."""
    page = rl.report.report(folder)
    typer.echo(f"report: {page}")


@app.command()
@friendly
def doctor():
    """Tell what is installed, which engines and devices work, and how to mend them."""
    found = rl.doctor()
    print_table(found)
    if (found["status"] == "missing").any():
        raise typer.Exit(1)
