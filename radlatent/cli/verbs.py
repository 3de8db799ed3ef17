"""The verbs: each is one function of the package, with its parameters."""

import importlib
import logging
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

import radlatent as rl
from radlatent.cli import dicom, final, layouts, masks, parts, segment
from radlatent.cli.options import (
    Allow,
    Cache,
    Cohort,
    Engine,
    Jobs,
    RandomState,
    Root,
    Settings,
    check_out,
    settings_of,
    tolerance_of,
)
from radlatent.cli.outcome import (
    Quiet,
    friendly,
    judge,
    print_performance,
    print_rows,
    print_table,
    start_log,
    write_tables,
)
from radlatent.cli.parts import sharded
from radlatent.outputs import check_file, replace_text
from radlatent.provenance import examine, is_sound

__all__ = ["app"]

app = typer.Typer(
    help="Multimodal radiomics, from a cohort of images to a report.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with: radlatent simulate DIR; radlatent check DIR; "
    "radlatent init DIR --out study.yml; radlatent run study.yml --out OUT",
)
# verbs of their own, beside the others
app.registered_commands += layouts.app.registered_commands
app.registered_commands += dicom.app.registered_commands
app.registered_commands += final.app.registered_commands
app.registered_commands += parts.app.registered_commands
app.add_typer(masks.app)
app.add_typer(segment.app)

_log = logging.getLogger("radlatent.cli")

#: Tables of a stability, beside its ICCs.
_BESIDE = ("features", "failures", "perturbations")


def _tell_version(asked: bool):
    if asked:
        typer.echo(f"radlatent {rl.__version__}")
        raise typer.Exit


@app.callback()
def _start(
    quiet: Quiet = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Tell the version."
        ),
    ] = False,
):
    start_log(quiet=quiet)


@app.command(epilog="Example: radlatent check cohorts/lung --root /data/lung")
@friendly
def check(
    cohort: Annotated[
        Path,
        typer.Argument(
            metavar="COHORT",
            help="Folder of a cohort, or a study file with all that it names.",
        ),
    ],
    root: Root = None,
    jobs: Jobs = None,
    deep: Annotated[bool, typer.Option(help="Read every image to its end.")] = False,
    tolerance_voxels: Annotated[
        float | None,
        typer.Option(
            metavar="VOXELS",
            min=0,
            help="How far apart grids may lie, as geometryTolerance of settings.",
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Keep hashes for extract --cache FOLDER."),
    ] = None,
):
    """Report every problem of a cohort's tables and files at once."""
    if cohort.is_file():
        for flow in rl.check_study(cohort, root=root, jobs=jobs):
            typer.echo(f"{_counted(flow)}: no problem.")
        return
    about = {"root": root, "jobs": jobs, "cache": cache}
    found = rl.check(cohort, deep=deep, tolerance_voxels=tolerance_voxels, **about)
    for note in found.notes:
        _log.warning("note: %s", note)
    found.raise_if_any()
    n = len(found.notes)
    noted = "" if not n else ", one note" if n == 1 else f", {n} notes"
    typer.echo(f"{_counted(found.flow)}: no problem{noted}.")


def _counted(flow):
    return ", ".join(f"{n} {what}" for what, n in flow.items())


@app.command(epilog="Example: radlatent simulate build/simulated --n-patients 40")
@friendly
def simulate(
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="Folder to write: absent, empty, or begun."),
    ],
    n_patients: Annotated[
        int, typer.Option(metavar="N", min=2, help="Number of patients.")
    ] = 80,
    seen_effect: Annotated[
        float,
        typer.Option(metavar="X", help="Log odds a unit of what features see."),
    ] = 1.5,
    hidden_effect: Annotated[
        float, typer.Option(metavar="X", help="Log odds a unit of what none sees.")
    ] = 1.5,
    censoring: Annotated[
        float, typer.Option(metavar="X", help="Fraction of times that is censored.")
    ] = 0.3,
    random_state: RandomState = 0,
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


@app.command(
    epilog="Example: radlatent extract cohorts/lung --out features.parquet --jobs 4"
)
@friendly
@sharded("extract")
def extract(  # noqa: PLR0913 - the parameters of the function, and where to write
    cohort: Cohort,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Feature table, .parquet or .csv.")
    ],
    root: Root = None,
    settings: Settings = None,
    engine: Engine = "radlatent",
    jobs: Jobs = None,
    cache: Cache = None,
    allow_failures: Allow = 0,
):
    """Measure the hand-crafted features of every case, resuming where it stopped."""
    cache = cache or out.with_suffix(".cache")
    check_out(out, cache=cache)
    for beside in (".failures.csv", ".provenance.csv"):
        check_file(out.with_suffix(beside), what="--out")
    chosen = settings_of(settings)
    allowed = tolerance_of(chosen)
    found = rl.check(cohort, root=root, jobs=jobs, tolerance_voxels=allowed)
    found.raise_if_any(allow=allow_failures)
    extraction = rl.extract(
        found.cohort,
        settings=chosen,
        engine=engine,
        jobs=jobs,
        cache=cache,
    )
    rl.write_extraction(extraction, out)
    print_table(extraction.summary.reset_index())
    typer.echo(f"features: {out}")
    judge(extraction.failures, allow_failures)


@app.command(epilog="Example: radlatent stability cohorts/lung --out icc.csv --jobs 4")
@friendly
@sharded("stability")
def stability(  # noqa: PLR0913 - the parameters of the function, and where to write
    cohort: Cohort,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Table of ICCs, .parquet or .csv.")
    ],
    root: Root = None,
    settings: Settings = None,
    perturbations: Annotated[
        int, typer.Option(metavar="N", help="How many.", min=2)
    ] = 10,
    engine: Engine = "radlatent",
    jobs: Jobs = None,
    cache: Cache = None,
    allow_failures: Allow = 0,
):
    """Measure every case slightly perturbed, and how well each feature agrees."""
    cache = cache or out.with_suffix(".cache")
    check_out(out, *_BESIDE, cache=cache)
    chosen = settings_of(settings)
    allowed = tolerance_of(chosen)
    found = rl.check(cohort, root=root, jobs=jobs, tolerance_voxels=allowed)
    found.raise_if_any(allow=allow_failures)
    measured = rl.stability(
        found.cohort,
        settings=chosen,
        perturbations=perturbations,
        engine=engine,
        jobs=jobs,
        cache=cache,
    )
    write_tables(out, measured.table, **{k: getattr(measured, k) for k in _BESIDE})
    print_table(measured.summary)
    typer.echo(f"ICCs: {out}")
    judge(measured.failures, allow_failures)


@app.command(
    "features", epilog="Example: radlatent features --settings hu --out features.csv"
)
@friendly
def describe_features(
    settings: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Preset or parameter file; none: every feature."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A .md, .csv or .parquet file.")
    ] = None,
):
    """Tell what every column is: family, source, IBSI code, unit, match with IBSI."""
    if out is not None:
        check_out(out, suffixes=(".md", ".parquet", ".csv"))
    table = rl.describe_features(settings)
    if out is None and sys.stdout.isatty():
        print_table(table.reset_index())
    elif out is None:
        typer.echo(table.to_string())
    elif out.suffix == ".md":
        out.parent.mkdir(parents=True, exist_ok=True)
        text = importlib.import_module("radlatent.handcrafted").features_markdown
        replace_text(out, text(settings))
    else:
        rl.report.write_table(table.reset_index(), out)
    if out is not None:
        typer.echo(f"features: {out}")


@app.command("init", epilog="Example: radlatent init cohorts/lung --out study.yml")
@friendly
def draft_study(
    cohort: Cohort,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The study file to write, .yml.")
    ] = Path("study.yml"),
    root: Root = None,
):
    """Write a study file for a cohort, with comments, to be edited and run."""
    rl.draft_study(cohort, out, root=root)
    folder = shlex.quote(str(out.with_suffix("")))
    typer.echo(f"{out}: look through it, then: radlatent run {out} --out {folder}")


@app.command(epilog="Example: radlatent run study.yml --out reports/lung --jobs 4")
@friendly
def run(
    study: Annotated[
        Path,
        typer.Argument(metavar="STUDY", help="A study file, as 'init' writes one."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="The run folder; one that was begun is finished."
        ),
    ],
    root: Root = None,
    jobs: Jobs = None,
    allow_failures: Allow = 0,
):
    """Walk the whole path of a study file, from the cohort to the report."""
    done = rl.run(study, out=out, root=root, jobs=jobs, allow_failures=allow_failures)
    shorten = importlib.import_module("radlatent.report.names").with_short_blocks
    print_performance(shorten({"metrics": done.metrics})["metrics"])
    typer.echo(f"report: {done.folder / 'index.html'}")
    judge(done.failures, allow_failures)


@app.command(epilog="Example: radlatent report reports/lung")
@friendly
def report(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A run folder, with run.json.")
    ],
):
    """Write tables, figures and index.html of a run folder again."""
    page = rl.report.report(folder)
    typer.echo(f"report: {page}")


@app.command(epilog="Example: radlatent doctor")
@friendly
def doctor():
    """Tell what is installed, which engines and devices work, and how to mend them.

    Every import is tried. Exit code 1 where what is required or installed is broken.
    """
    # without pandas, which may be what is broken
    rows = examine()
    print_rows(list(rows[0]), rows)
    if not is_sound(rows):
        raise typer.Exit(1)
