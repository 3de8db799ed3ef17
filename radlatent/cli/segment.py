"""The verbs of segmentation: ``radlatent segment fit | fit-folds | predict``.

A cohort enters; a network, or a derived cohort under the masks of one, leaves. No mask
of the cohort is touched.
"""

from pathlib import Path
from typing import Annotated

import typer

import radlatent as rl
from radlatent.cli.options import (
    Allow,
    Cohort,
    Jobs,
    RandomState,
    Root,
    check_new_folder,
)
from radlatent.cli.outcome import Quiet, be_quiet, friendly, judge, print_table
from radlatent.errors import SchemaError

__all__ = ["app"]

app = typer.Typer(
    name="segment",
    help="Train networks that draw masks, and draw masks of patients they have not "
    "seen.",
    no_args_is_help=True,
)


@app.callback()
def _start(quiet: Quiet = False):
    be_quiet(quiet)


_Modality = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Whose images, where there are several."),
]
_Network = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="unet, plain_unet, unet3d, res_unet, attention_unet, swin_unetr, hrnet "
        "or transunet.",
    ),
]
_Width = Annotated[
    int | None,
    typer.Option(metavar="N", help="Channels of the first stage; its own by default."),
]
_Patch = Annotated[
    str,
    typer.Option(
        metavar="PATCH",
        help="What the network sees: pixels@mm of a slice (y, x), as 128x128@1.5, or "
        "of a volume (z, y, x), as 16x128x128@3x1.5x1.5.",
    ),
]
_Field = Annotated[
    str | None,
    typer.Option(
        metavar="MM",
        help="Part about the middle of the image that is looked at, as 200x200; all "
        "of it by default.",
    ),
]
_Neighbors = Annotated[
    int, typer.Option(metavar="N", help="Slices above and below beside a slice.", min=0)
]
_Loss = Annotated[str, typer.Option(metavar="NAME", help="What training minimizes.")]
_Epochs = Annotated[
    int, typer.Option(metavar="N", help="Passes through all slices.", min=1)
]
_Device = Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, mps or auto.")]
_Name = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of the derived cohort; COHORT_NETWORK."),
]
_Derived = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Of the derived cohort.")
]

_PATCH = "128x128@1.5"


@app.command(epilog="Example: radlatent segment fit cohorts/hearts --out unet")
@friendly
def fit(  # noqa: PLR0913 - the parameters of the class and of its fit
    cohort: Cohort,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Of the segmenter.")],
    network: _Network = "unet",
    width: _Width = None,
    patch: _Patch = _PATCH,
    field: _Field = None,
    neighbors: _Neighbors = 0,
    loss: _Loss = "dice_cross_entropy",
    epochs: _Epochs = 30,
    device: _Device = "cpu",
    random_state: RandomState = 0,
    modality: _Modality = None,
    root: Root = None,
    jobs: Jobs = None,
):
    """Train a network on masks that are right.

    It draws masks of other patients. A training that was killed goes on.
    """
    check_new_folder(out, "segmenter.json")
    segmenter = rl.Segmenter(
        network,
        width=width,
        patch=_patch_of(patch, field, neighbors),
        loss=loss,
        training=_training(epochs, device),
        random_state=random_state,
    )
    found = rl.check(cohort, root=root, jobs=jobs)
    found.raise_if_any()
    checkpoint = out / "training.safetensors"
    segmenter.fit(found.cohort, modality=modality, checkpoint=checkpoint, jobs=jobs)
    segmenter.save(out)
    _tell_fit(segmenter)
    typer.echo(f"segmenter: {out}")


@app.command(
    epilog="Example: radlatent segment fit-folds cohorts/hearts --folds 5 "
    "--out cohorts/hearts_unet"
)
@friendly
def fit_folds(  # noqa: PLR0913 - the parameters of the class and of the function
    cohort: Cohort,
    out: _Derived,
    folds: Annotated[
        str,
        typer.Option(metavar="N", help="How many, or a folds table (FILE.csv)."),
    ] = "5",
    name: _Name = None,
    network: _Network = "unet",
    width: _Width = None,
    patch: _Patch = _PATCH,
    field: _Field = None,
    neighbors: _Neighbors = 0,
    loss: _Loss = "dice_cross_entropy",
    epochs: _Epochs = 30,
    device: _Device = "cpu",
    random_state: RandomState = 0,
    modality: _Modality = None,
    root: Root = None,
    jobs: Jobs = None,
    allow_failures: Allow = 0,
):
    """Train a network a fold, and draw the masks of the patients it has not seen.

    What is finished is kept: a run that was killed goes on.
    """
    check_new_folder(out)
    segmenter = rl.Segmenter(
        network,
        width=width,
        patch=_patch_of(patch, field, neighbors),
        loss=loss,
        training=_training(epochs, device),
        random_state=random_state,
    )
    dealt = int(folds) if folds.isdigit() else rl.read_folds(folds)
    found = rl.check(cohort, root=root, jobs=jobs)
    found.raise_if_any(allow=allow_failures)
    result = rl.fit_folds(
        found.cohort, segmenter, dealt, out=out, name=name, modality=modality, jobs=jobs
    )
    print_table(result.summary, digits=3)
    _tell_derived(found.cohort, result.cohort, out, allow_failures)


@app.command(
    epilog="Example: radlatent segment predict cohorts/other --segmenter unet "
    "--out cohorts/other_unet"
)
@friendly
def predict(  # noqa: PLR0913 - the parameters of the method, and where to look
    cohort: Cohort,
    segmenter: Annotated[
        list[Path],
        typer.Option(
            metavar="FOLDER",
            help="What 'segment fit' wrote, or 'fit-folds', whose networks draw "
            "together. Again for each of several.",
        ),
    ],
    out: _Derived,
    name: _Name = None,
    flips: Annotated[
        bool, typer.Option("--flips", help="Average over mirrored images.")
    ] = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write them too, as NIfTI.")
    ] = False,
    allow_training_patients: Annotated[
        bool,
        typer.Option(
            "--allow-training-patients",
            help="Draw patients that the network was fitted on too; the card tells, "
            "and models are not tested on them.",
        ),
    ] = False,
    root: Root = None,
    jobs: Jobs = None,
    allow_failures: Allow = 0,
):
    """Draw the masks of a cohort: a derived cohort under masks of a network.

    The masks of COHORT stay as they are, and there need not be any; its patients are
    not those of the network. Several networks draw by the mean of their probabilities.
    """
    loaded = rl.load_segmenter(*segmenter)
    check_new_folder(out)
    found = rl.check(cohort, root=root, jobs=jobs)
    found.raise_if_any(allow=allow_failures)
    derived = loaded.predict(
        found.cohort,
        out=out,
        name=name,
        flips=flips,
        probabilities=probabilities,
        allow_training_patients=allow_training_patients,
        jobs=jobs,
    )
    _tell_derived(found.cohort, derived, out, allow_failures)


def _patch_of(text, field, neighbors):
    """Return the patch that ``--patch``, ``--field`` and ``--neighbors`` say."""
    size, at, spacing = text.partition("@")
    try:
        size = tuple(int(part) for part in size.split("x"))
        spacing = tuple(float(part) for part in spacing.split("x"))
        extent = field and tuple(float(part) for part in field.split("x"))
    except ValueError:
        at = ""
    if not at:
        msg = f"--patch {text!r}, --field {field!r}: write as 128x128@1.5 and 200x200."
        raise SchemaError(msg)
    # one number is for all axes
    spacing = spacing * len(size) if len(spacing) == 1 else spacing
    return rl.Patch(size, spacing, extent or None, neighbors=neighbors)


def _training(epochs, device):
    return rl.Training(epochs=epochs, minibatch_size=16, device=device)


def _tell_fit(segmenter):
    known = segmenter.fitted_on_
    drawn = ", ".join(segmenter.structures_)
    typer.echo(
        f"fitted on {len(known['patients'])} patients of {known['cohort']!r}: {drawn}."
    )
    for message in segmenter.failures_["message"].unique()[:5]:
        typer.echo(f"note: {message}", err=True)


def _tell_derived(before, derived, out, allowed):
    """Tell where the derived cohort is, and judge the cases that were excluded."""
    # images without masks are other cases than those drawn of them
    old = before.cases["exclude"].reindex(derived.cases.index, fill_value=False)
    reasons = derived.cases["exclude_reason"].fillna("")
    new = derived.cases["exclude"] & ~old & reasons.str.startswith("segmentation")
    n = int((~derived.cases["exclude"]).sum())
    typer.echo(f"derived cohort: {out} ({n} cases under masks of the network)")
    failed = derived.cases[new].rename(columns={"exclude_reason": "message"})
    judge(failed.reset_index().assign(stage="segmentation"), allowed)
