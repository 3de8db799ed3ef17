"""The verb that makes a cohort of DICOM."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

import radlatent as rl
from radlatent.cli.options import Allow, Jobs
from radlatent.cli.outcome import friendly, judge
from radlatent.cli.parts import sharded
from radlatent.cohort import Outcomes
from radlatent.errors import SchemaError

__all__ = ["app"]

app = typer.Typer()

Root = Annotated[
    Path,
    typer.Argument(metavar="DICOM_ROOT", help="Folder of DICOM files, any names."),
]
Out = Annotated[
    Path,
    typer.Option(metavar="FOLDER", help="The cohort folder to write, or begun."),
]
Roi = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="Which structures, and their names: its first group, or what matched.",
    ),
]
Method = Annotated[
    str,
    typer.Option(
        metavar="METHOD",
        help="bw, lbm_james, lbm_janmahasatian; none leaves PET as it is.",
    ),
]
Named = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=REGEX",
        help="What series of a description are called, several times.",
    ),
]
Csv = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV", help="Outcomes by patient_id, the PatientID of the files."
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Their column of classes, or NAME_time (days) with NAME_event.",
    ),
]
Site = Annotated[
    str, typer.Option(metavar="WHAT", help="institution, or scanner: for ComBat.")
]
Keep = Annotated[
    bool, typer.Option("--keep-names", help="No pseudonyms, dates as they are.")
]


@app.command(
    epilog="Example: radlatent convert /data/export --out cohorts/lung --roi '(?i)gtv'"
)
@friendly
@sharded("convert")
def convert(  # noqa: PLR0913 - what is read, and how it is written
    folder: Root,
    out: Out,
    roi: Roi = None,
    suv: Method = "bw",
    modality: Named = None,
    outcomes: Csv = None,
    endpoint: Name = None,
    site: Site = "institution",
    keep_names: Keep = False,
    jobs: Jobs = None,
    allow_failures: Allow = 0,
):
    """Write the series and structures of a folder of DICOM as a cohort."""
    pairs = [text.partition("=") for text in modality or ()]
    faulty = [name for name, equals, _ in pairs if not equals]
    if faulty:
        msg = f"--modality {faulty[0]!r}: write NAME=REGEX, as in mr_t1='(?i)t1'."
        raise SchemaError(msg)
    if endpoint and not outcomes:
        raise SchemaError("--endpoint is a column of --outcomes: give that too.")
    series = rl.read_dicom(folder, roi=roi, suv=None if suv == "none" else suv)
    done = rl.convert(
        series,
        out,
        modalities={name: pattern for name, _, pattern in pairs},
        outcomes=Outcomes(outcomes, endpoint) if outcomes else None,
        site=site,
        keep_names=keep_names,
        jobs=jobs,
    )
    counts = ", ".join(f"{n} {what}" for what, n in done.cohort.flow.items())
    typer.echo(f"{counts} in {out}")
    drawn = sorted(done.cohort.cases["lesion_id"].unique())
    typer.echo(f"structures, as people named them: {', '.join(drawn)}")
    typer.echo(
        f"Look through cohort.yml, then: radlatent check {shlex.quote(str(out))}"
    )
    judge(done.failures, allow_failures)
