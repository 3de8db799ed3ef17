"""The verb that makes a cohort of DICOM."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

import radlatent as rl
from radlatent.cli.options import Allow, Jobs
from radlatent.cli.outcome import friendly, judge
from radlatent.errors import SchemaError

__all__ = ["app"]

app = typer.Typer()


@app.command(
    epilog="Example: radlatent convert /data/export --out cohorts/lung --roi '(?i)gtv'"
)
@friendly
def convert(  # noqa: PLR0913 - what is read, and how it is written
    folder: Annotated[
        Path,
        typer.Argument(metavar="DICOM_ROOT", help="Folder of DICOM files, any names."),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="The cohort folder to write, or begun."),
    ],
    roi: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Which structures, and their names: its first group, or what matched.",
        ),
    ] = None,
    suv: Annotated[
        str,
        typer.Option(
            metavar="METHOD",
            help="bw, lbm_james, lbm_janmahasatian; none leaves PET as it is.",
        ),
    ] = "bw",
    modality: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=REGEX",
            help="What series of a description are called, several times.",
        ),
    ] = None,
    keep_names: Annotated[
        bool, typer.Option("--keep-names", help="No pseudonyms, dates as they are.")
    ] = False,
    jobs: Jobs = None,
    allow_failures: Allow = 0,
):
    """Write the series and structures of a folder of DICOM as a cohort."""
    pairs = [text.partition("=") for text in modality or ()]
    faulty = [name for name, equals, _ in pairs if not equals]
    if faulty:
        msg = f"--modality {faulty[0]!r}: write NAME=REGEX, as in mr_t1='(?i)t1'."
        raise SchemaError(msg)
    series = rl.read_dicom(folder, roi=roi, suv=None if suv == "none" else suv)
    named = {name: pattern for name, _, pattern in pairs}
    done = rl.convert(series, out, modalities=named, keep_names=keep_names, jobs=jobs)
    counts = ", ".join(f"{n} {what}" for what, n in done.cohort.flow.items())
    typer.echo(f"{counts} in {out}")
    typer.echo(
        f"Look through cohort.yml, then: radlatent check {shlex.quote(str(out))}"
    )
    judge(done.failures, allow_failures)
