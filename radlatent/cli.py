"""The command line: one verb is one function of the package, with its parameters."""

import functools
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
from rich.table import Table

import radlatent as rl
from radlatent.errors import RadlatentError, SchemaError

__all__ = ["app"]

app = typer.Typer(
    help="Multimodal radiomics, from a cohort of images to a report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# cells may hold brackets that rich would take for markup; a file has no width
_out = Console(markup=False, width=None if sys.stdout.isatty() else 200)

_log = logging.getLogger("radlatent.cli")

_Root = Annotated[Path | None, typer.Option(help="Folder of the images.")]
_Jobs = Annotated[int | None, typer.Option(help="Processes; -1 is every core.")]
_Engine = Annotated[str, typer.Option(help="radlatent, or pyradiomics, the reference.")]
_Settings = Annotated[
    list[str] | None,
    typer.Option(help="Preset or parameter file; MODALITY=FILE for one of them."),
]
_Cache = Annotated[
    Path | None, typer.Option(help="Finished results; beside OUT by default.")
]
_Allow = Annotated[
    int, typer.Option(help="Cases put up with that cannot be measured.", min=0)
]


def _friendly(verb):
    """Turn the errors that a user can act on into a message and exit code 1."""

    @functools.wraps(verb)
    def wrapped(*args, **kwargs):
        try:
            return verb(*args, **kwargs)
        except (RadlatentError, OSError, ImportError) as error:
            typer.secho(f"error: {error}", err=True, fg="red")
            raise typer.Exit(1) from error

    return wrapped


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
@_friendly
def check(cohort: Path, root: _Root = None, jobs: _Jobs = None):
    """Report every problem of a cohort's tables and files at once."""
    found = rl.check(cohort, root=root, jobs=jobs)
    for note in found.notes:
        _log.warning("note: %s", note)
    found.raise_if_any()
    counts = ", ".join(f"{n} {what}" for what, n in found.flow.items())
    typer.echo(f"{counts}: no problem.")


@app.command()
@_friendly
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
@_friendly
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
):
    """Write the manifest of a folder of images in a known layout."""
    cases = rl.index(root, out, layout=layout, image=image, mask=mask, name=name)
    typer.echo(
        f"{cases['patient_id'].nunique()} patients, {len(cases)} cases in {out}. "
        "Look through cohort.yml, then: radlatent check "
        f"{shlex.quote(str(out))} --root {shlex.quote(str(root))}"
    )


@app.command()
@_friendly
def extract(  # noqa: PLR0913 - the parameters of the function, and where to write
    cohort: Path,
    out: Annotated[Path, typer.Option(help="Feature table, .parquet or .csv.")],
    root: _Root = None,
    settings: _Settings = None,
    engine: _Engine = "radlatent",
    jobs: _Jobs = None,
    cache: _Cache = None,
    allow_failures: _Allow = 0,
):
    """Measure the hand-crafted features of every case, resuming where it stopped."""
    _check_out(out)
    chosen = _settings(settings)
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
    _print_table(extraction.summary.reset_index())
    typer.echo(f"features: {out}")
    _judge(extraction.failures, allow_failures)


@app.command()
@_friendly
def stability(  # noqa: PLR0913 - the parameters of the function, and where to write
    cohort: Path,
    out: Annotated[Path, typer.Option(help="Table of ICCs, .parquet or .csv.")],
    root: _Root = None,
    settings: _Settings = None,
    perturbations: Annotated[int, typer.Option(help="How many.", min=2)] = 10,
    engine: _Engine = "radlatent",
    jobs: _Jobs = None,
    cache: _Cache = None,
    allow_failures: _Allow = 0,
):
    """Measure every case slightly perturbed, and how well each feature agrees."""
    _check_out(out)
    chosen = _settings(settings)
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
    rl.report.write_table(measured.table, out)
    for name in ("features", "failures", "perturbations"):
        beside = out.with_name(f"{out.stem}.{name}{out.suffix}")
        rl.report.write_table(getattr(measured, name), beside)
    _print_table(measured.summary)
    typer.echo(f"ICCs: {out}")
    _judge(measured.failures, allow_failures)


@app.command("features")
@_friendly
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
        _print_table(table.reset_index())
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
@_friendly
def run(
    study: Path,
    out: Annotated[Path, typer.Option(help="The run folder.")],
    root: _Root = None,
    jobs: _Jobs = None,
    allow_failures: _Allow = 0,
):
    """Walk the whole path of a study file, from the cohort to the report."""
    done = rl.run(study, out=out, root=root, jobs=jobs, allow_failures=allow_failures)
    columns = ["Model", "Features", "n", "AUC", "Balanced accuracy"]
    _print_table(rl.performance(done.metrics)[columns])
    typer.echo(f"report: {done.folder / 'index.html'}")
    _judge(done.failures, allow_failures)


@app.command()
@_friendly
def report(folder: Path):
    """Write tables, figures and index.html of a run folder again."""
    page = rl.report.report(folder)
    typer.echo(f"report: {page}")


@app.command()
@_friendly
def doctor():
    """Tell what is installed, which engines and devices work, and how to mend them."""
    found = rl.doctor()
    _print_table(found)
    if (found["status"] == "missing").any():
        raise typer.Exit(1)


def _settings(values):
    """Return what ``--settings`` says, having read every one of them."""
    chosen = _sources(values)
    for source in chosen.values() if isinstance(chosen, dict) else [chosen]:
        if source is not None:
            rl.read_settings(source)
    return chosen


def _sources(values):
    """Return one source, or modality to source, from the values of ``--settings``."""
    if not values:
        return None
    # a file whose name holds "=" is a file
    pairs = [
        (value, "", "") if Path(value).is_file() else value.partition("=")
        for value in values
    ]
    if all(not equals for _, equals, _ in pairs):
        if len(values) > 1:
            msg = f"--settings is given {len(values)} times: write MODALITY=FILE."
            raise SchemaError(msg)
        return values[0]
    wrong = [left for left, equals, _ in pairs if not equals]
    if wrong:
        msg = f"--settings {wrong[0]!r}: write MODALITY=FILE, as in the other ones."
        raise SchemaError(msg)
    return {modality: source for modality, _, source in pairs}


def _check_out(out):
    """Refuse before the work what could not be written after it."""
    if out.suffix not in (".parquet", ".csv"):
        msg = f"--out {str(out)!r}: tables are written as .parquet or .csv."
        raise SchemaError(msg)
    if out.is_dir():
        msg = f"--out {str(out)!r} is a folder; give a file."
        raise SchemaError(msg)
    if any(parent.exists() and not parent.is_dir() for parent in out.parents):
        msg = f"--out {str(out)!r}: a part of the path is a file, not a folder."
        raise SchemaError(msg)
    out.parent.mkdir(parents=True, exist_ok=True)


def _judge(failures, allowed):
    if failures.empty:
        return
    for row in failures[:5].itertuples():
        message = row.message.removeprefix(f"case {row.case_id!r}: ")
        typer.echo(f"case {row.case_id!r}, {row.stage}: {message}", err=True)
    if len(failures) > 5:
        typer.echo(f"... and {len(failures) - 5} more", err=True)
    cases = failures["case_id"].nunique()
    typer.echo(f"{cases} of the cases failed; the failures table says why.", err=True)
    if cases > allowed:
        raise typer.Exit(1)


def _print_table(frame):
    table = Table(box=None, pad_edge=False)
    for column in frame.columns:
        wide = column in ("Features", "remedy", "status")
        table.add_column(str(column), overflow="fold", no_wrap=not wide)
    for row in frame.itertuples(index=False):
        table.add_row(*(_cell(value) for value in row))
    _out.print(table)


def _cell(value):
    return f"{value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    app()
