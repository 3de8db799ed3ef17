"""The verbs of mask quality: ``radlatent masks score | split | fit | correct ...``.

A cohort enters; tables, a corrector or a derived cohort leave. No mask of the cohort is
touched.
"""

from pathlib import Path
from typing import Annotated

import typer

import radlatent as rl
from radlatent.cli.options import (
    Allow,
    Cache,
    Cohort,
    Engine,
    Jobs,
    RandomState,
    Root,
    Settings,
    check_modality,
    check_new_folder,
    check_out,
    settings_of,
)
from radlatent.cli.outcome import (
    Quiet,
    be_quiet,
    friendly,
    judge,
    print_table,
    write_tables,
)
from radlatent.cli.parts import sharded
from radlatent.outputs import check_folder
from radlatent.shards import current

__all__ = ["app"]

app = typer.Typer(
    name="masks",
    help="Judge masks, correct them where that is safe, and tell what they do to "
    "features.",
    no_args_is_help=True,
)


@app.callback()
def _start(quiet: Quiet = False):
    be_quiet(quiet)


_Modality = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Whose masks, where there are several."),
]
_Rules = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Anatomical rules: short_axis_16, short_axis_7, apical_12 or lesion.",
    ),
]
_Alternatives = Annotated[
    int, typer.Option("-n", "--n", metavar="N", help="Alternatives of a mask.", min=1)
]
_Corrector = Annotated[
    Path, typer.Option(metavar="FOLDER", help="What 'masks fit' wrote.")
]

_Kept = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Finished results; beside OUT for parts, else none."
    ),
]

#: Tables of a stability, beside its ICCs.
_BESIDE = ("features", "failures", "alternatives")


@app.command(epilog="Example: radlatent masks score cohorts/hearts --out quality.csv")
@friendly
@sharded("masks score")
def score(  # noqa: PLR0913 - the parameters of the function, and where to write
    cohort: Cohort,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Quality table, .parquet or .csv.")
    ],
    rules: _Rules = "short_axis_16",
    modality: _Modality = None,
    root: Root = None,
    jobs: Jobs = None,
    cache: _Kept = None,
    allow_failures: Allow = 0,
):
    """Judge the masks of every case by anatomical rules.

    Beside OUT lie the values of every slice and the failures.
    """
    check_out(out, "slices", "failures")
    chosen = rl.masks.rule_set(rules)
    check_modality(cohort, modality)
    found = rl.check(cohort, root=root, jobs=jobs)
    found.raise_if_any(allow=allow_failures)
    if current():
        cache = cache or out.with_suffix(".cache")
    about = {"modality": modality, "jobs": jobs, "cache": cache}
    scores = rl.masks.score(found.cohort, rules=chosen, **about)
    write_tables(out, scores.quality, slices=scores.slices, failures=scores.failures)
    print_table(scores.summary, digits=3)
    typer.echo(f"quality: {out}")
    judge(scores.failures, allow_failures)


@app.command(epilog="Example: radlatent masks split cohorts/remarc --out lesions")
@friendly
def split(
    cohort: Cohort,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Of the new cohort.")],
    min_volume_ml: Annotated[
        float, typer.Option(metavar="X", help="Smaller components are left out.")
    ] = 0.0,
    modality: _Modality = None,
    root: Root = None,
    jobs: Jobs = None,
    allow_failures: Allow = 0,
):
    """Make every connected component of a mask a case: masks of all disease in one."""
    check_new_folder(out, "cohort.yml")
    check_modality(cohort, modality)
    found = rl.check(cohort, root=root, jobs=jobs)
    found.raise_if_any(allow=allow_failures)
    made = rl.split_lesions(
        found.cohort, out=out, min_volume_ml=min_volume_ml, modality=modality, jobs=jobs
    )
    print_table(made.summary, digits=2)
    typer.echo(f"{made.cases['n_lesions'].sum()} lesions: {out}")
    judge(made.failures, allow_failures)


@app.command(epilog="Example: radlatent masks fit cohorts/hearts --out corrector")
@friendly
def fit(  # noqa: PLR0913 - the parameters of the class and of its fit
    cohort: Cohort,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Of the corrector.")],
    method: Annotated[
        str, typer.Option(metavar="NAME", help="decode, nearest or nearest_drawn.")
    ] = "decode",
    rules: _Rules = "short_axis_16",
    calibration_fraction: Annotated[
        float,
        typer.Option(metavar="X", help="Share of the patients that set the gate."),
    ] = 0.35,
    random_state: RandomState = 0,
    modality: _Modality = None,
    root: Root = None,
):
    """Fit a corrector on masks that are right: a shape prior, and its gate.

    It corrects masks of other patients.
    """
    check_new_folder(out, "corrector.json")
    corrector = rl.MaskCorrector(
        method=method,
        rules=rules,
        calibration_fraction=calibration_fraction,
        random_state=random_state,
    )
    check_modality(cohort, modality)
    found = rl.check(cohort, root=root)
    found.raise_if_any()
    corrector.fit(found.cohort, modality=modality)
    corrector.save(out)
    patients = corrector.fitted_on_["patients"]
    typer.echo(
        f"fitted on {len(patients)} patients of {found.cohort.name!r}; corrections "
        f"with a Dice below {corrector.least_dice_:.3f} are refused."
    )
    typer.echo(f"gate and predicted Dice: {corrector.setting_.text}")
    typer.echo(f"corrector: {out}")


@app.command(
    epilog="Example: radlatent masks calibrate cohorts/network cohorts/readers "
    "--corrector corrector --out calibrated"
)
@friendly
def calibrate(  # noqa: PLR0913 - the parameters of the method, and where to look
    network: Annotated[
        Path,
        typer.Argument(metavar="NETWORK", help="Cohort of a network's masks."),
    ],
    reference: Annotated[
        Path,
        typer.Argument(metavar="REFERENCE", help="Cohort of a reader's, same cases."),
    ],
    corrector: _Corrector,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Of the calibrated corrector.")
    ],
    risk: Annotated[
        float,
        typer.Option(
            metavar="X",
            help="Share of slices that may lose more than 0.02 Dice; 1: no promise.",
        ),
    ] = 0.005,
    confidence: Annotated[
        float, typer.Option(metavar="X", help="That the promise is kept.")
    ] = 0.95,
    reviser: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="What MaskReviser.save wrote; optional."),
    ] = None,
    modality: _Modality = None,
    root: Root = None,
):
    """Set a corrector's gate and predicted Dice on a network's masks and a reader's.

    Of patients that neither network nor corrector has seen; it corrects masks of others
    again.
    """
    loaded = rl.load_corrector(corrector)
    asked = None if reviser is None else rl.masks.load_reviser(reviser)
    check_new_folder(out, "corrector.json")
    for cohort in (network, reference):
        check_modality(cohort, modality)
    found = [rl.check(cohort, root=root) for cohort in (network, reference)]
    for each in found:
        each.raise_if_any()
    made = loaded.calibrate(
        *(each.cohort for each in found),
        modality=modality,
        risk=risk,
        confidence=confidence,
        reviser=asked,
    )
    made.save(out)
    print_table(made.predictor_.detection_.reset_index(), digits=3)
    typer.echo(f"corrections with a Dice below {made.least_dice_:.3f} are refused.")
    typer.echo(f"gate and predicted Dice: {made.setting_.text}")
    typer.echo(f"corrector: {out}")


@app.command(
    epilog="Example: radlatent masks correct cohorts/other --corrector corrector "
    "--out cohorts/corrected"
)
@friendly
@sharded("masks correct")
def correct(  # noqa: PLR0913 - the parameters of the function, and where to look
    cohort: Cohort,
    corrector: _Corrector,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Of the derived cohort.")],
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the derived cohort; COHORT_corrected."),
    ] = None,
    modality: _Modality = None,
    root: Root = None,
    jobs: Jobs = None,
    allow_failures: Allow = 0,
):
    """Correct masks where that is safe: a derived cohort, and why each was decided.

    The masks of COHORT stay as they are; its patients are not those of the corrector.
    """
    loaded = rl.load_corrector(corrector)
    check_new_folder(out)
    check_out(out / "quality.csv", "slices", "failures", cache=out / "cache")
    check_folder(out / "masks", what="--out")
    check_modality(cohort, modality)
    found = rl.check(cohort, root=root, jobs=jobs)
    found.raise_if_any(allow=allow_failures)
    corrected = rl.masks.correct(
        found.cohort, loaded, out=out, name=name, modality=modality, jobs=jobs
    )
    others = {"slices": corrected.slices, "failures": corrected.failures}
    others["settings"] = corrected.settings
    write_tables(out / "quality.csv", corrected.quality, **others)
    print_table(corrected.summary.rename("slices").reset_index())
    for text in corrected.settings["text"]:
        typer.echo(f"gate and predicted Dice: {text}")
    typer.echo(f"decisions: {out / 'quality.slices.csv'}")
    if corrected.cohort is found.cohort:
        typer.echo(f"no mask was changed; there is no derived cohort: use {cohort}")
    else:
        n = int(corrected.quality["corrected"].sum())
        counts = f"{n} of {len(corrected.quality)} cases have other masks"
        typer.echo(f"derived cohort: {out} ({counts})")
    judge(corrected.failures, allow_failures)


@app.command(
    epilog="Example: radlatent masks stability cohorts/other --corrector corrector "
    "--out icc.csv"
)
@friendly
def stability(  # noqa: PLR0913 - the parameters of two functions
    cohort: Cohort,
    corrector: _Corrector,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Table of ICCs, .parquet or .csv.")
    ],
    n: _Alternatives = 3,
    settings: Settings = None,
    by: Annotated[
        bool, typer.Option("--by-structure", help="ICCs of each lesion_id.")
    ] = False,
    engine: Engine = "radlatent",
    random_state: RandomState = 0,
    modality: _Modality = None,
    root: Root = None,
    jobs: Jobs = None,
    cache: Cache = None,
    allow_failures: Allow = 0,
):
    """Measure every case in plausible other masks, and how well each feature agrees.

    The alternatives, beside OUT, tell what a contour leaves open; no model is to be
    fitted on them, and the corrector may know the patients.
    """
    cache = cache or out.with_suffix(".cache")
    check_out(out, *_BESIDE, cache=cache)
    check_folder(out.with_suffix(".alternatives"), what="--out")
    chosen = settings_of(settings)
    loaded = rl.load_corrector(corrector)
    check_modality(cohort, modality)
    found = rl.check(cohort, root=root, jobs=jobs)
    found.raise_if_any(allow=allow_failures)
    drawn = rl.draw_alternatives(
        found.cohort,
        loaded,
        out=out.with_suffix(".alternatives"),
        n=n,
        modality=modality,
        jobs=jobs,
        random_state=random_state,
    )
    measured = rl.stability_between(
        found.cohort,
        drawn,
        settings=chosen,
        by="lesion_id" if by else None,
        engine=engine,
        jobs=jobs,
        cache=cache,
    )
    write_tables(out, measured.table, **{k: getattr(measured, k) for k in _BESIDE})
    print_table(measured.summary)
    typer.echo(f"ICCs: {out}")
    judge(measured.failures, allow_failures)
