"""``radlatent index``: the manifest of a folder of images."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

import radlatent as rl
from radlatent.cli.outcome import friendly
from radlatent.cohort.layouts.echo import ECHO_LAYOUTS

__all__ = ["app"]

app = typer.Typer()

Sequences = Annotated[
    bool, typer.Option("--sequences", help="Of camus: a case a frame of a sequence.")
]
KeepLargest = Annotated[
    bool | None,
    typer.Option(
        help="Of camus and ted: the largest component of each structure alone; by "
        "default of PNG frames.",
    ),
]


@app.command(
    epilog="Example: radlatent index /data/lung --out cohorts/lung "
    "--image '{patient_id}/{modality}.nii.gz' --mask '{patient_id}/tumor.nii.gz'"
)
@friendly
def index(  # noqa: PLR0913 - the parameters of the function
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="Folder of the images.")],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The cohort folder to write.")
    ],
    layout: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="pattern: names told by --image and --mask. acdc, sts, pet_gt, "
            "simulated, camus, ted: data sets whose names are known.",
        ),
    ] = "pattern",
    image: Annotated[
        str,
        typer.Option(
            metavar="PATTERN",
            help="Where images lie below ROOT, with placeholders {patient_id}, "
            "{lesion_id}, {timepoint}, {site}, {modality}; patient and modality are "
            "needed.",
        ),
    ] = "{patient_id}/{modality}_image.nii.gz",
    mask: Annotated[
        str,
        typer.Option(
            metavar="PATTERN",
            help="Where masks lie below ROOT, with the same placeholders; without "
            "{modality} a mask serves all. '' where there are none yet.",
        ),
    ] = "{patient_id}/{modality}_mask.nii.gz",
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the cohort; by default that of FOLDER."),
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="A case a label: masks are read.")
    ] = False,
    sequences: Sequences = False,
    keep_largest: KeepLargest = None,
):
    """Write the manifest of a folder of images in a known layout."""
    about = {"layout": layout, "image": image, "mask": mask, "name": name}
    about |= {"labels": labels, "sequences": sequences, "keep_largest": keep_largest}
    cases = rl.index(root, out, **about)
    # apical frames were written into the cohort
    there = "" if layout in ECHO_LAYOUTS else f" --root {shlex.quote(str(root))}"
    typer.echo(
        f"{cases['patient_id'].nunique()} patients, {len(cases)} cases in {out}. "
        f"Look through cohort.yml, then: radlatent check {shlex.quote(str(out))}{there}"
    )
