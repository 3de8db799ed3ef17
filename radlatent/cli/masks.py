"""The verbs of mask quality: ``radlatent masks score | fit | correct | stability``.

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
    Engine,
    Jobs,
    Root,
    Settings,
    check_folder,
    check_out,
    settings_of,
)
from radlatent.cli.outcome import friendly, judge, print_table, write_tables

__all__ = ["app"]

app = typer.Typer(
    name="masks",
    help="Judge masks, correct them where that is safe, and tell what they do to "
    "features.",
    no_args_is_help=True,
)

_Modality = Annotated[
    str | None, typer.Option(help="Whose masks, where there are several.")
]
_Rules = Annotated[str, typer.Option(help="Name of a set of anatomical rules.")]
_Corrector = Annotated[Path, typer.Option(help="Folder that 'masks fit' wrote.")]


@app.command()
@friendly
def score(
    cohort: Path,
    out: Annotated[Path, typer.Option(help="Quality table, .parquet or .csv.")],
    rules: _Rules = "short_axis_16",
    modality: _Modality = None,
    root: Root = None,
    jobs: Jobs = None,
    allow_failures: Allow = 0,
):
    """Judge the masks of every case by anatomical rules.

    Beside OUT lie the values of every slice and the failures.
    """
    check_out(out)
    chosen = rl.masks.rule_set(rules)
    found = rl.check(cohort, root=root, jobs=jobs)
    found.raise_if_any(allow=allow_failures)
    scores = rl.masks.score(found.cohort, rules=chosen, modality=modality, jobs=jobs)
    write_tables(out, scores.quality, slices=scores.slices, failures=scores.failures)
    print_table(scores.summary, digits=3)
    typer.echo(f"quality: {out}")
    judge(scores.failures, allow_failures)


@app.command()
@friendly
def fit(  # noqa: PLR0913 - the parameters of the class and of its fit
    cohort: Path,
    out: Annotated[Path, typer.Option(help="Folder of the corrector.")],
    method: Annotated[
        str, typer.Option(help="decode, nearest or nearest_drawn.")
    ] = "decode",
    rules: _Rules = "short_axis_16",
    calibration_fraction: Annotated[
        float, typer.Option(help="Share of the patients that set the gate.")
    ] = 0.35,
    random_state: int = 0,
    modality: _Modality = None,
    root: Root = None,
):
    """Fit a corrector on masks that are right: a shape prior, and its gate.

    It corrects masks of other patients.
    """
    check_folder(out, "corrector.json")
    corrector = rl.MaskCorrector(
        method=method,
        rules=rules,
        calibration_fraction=calibration_fraction,
        random_state=random_state,
    )
    found = rl.check(cohort, root=root)
    found.raise_if_any()
    corrector.fit(found.cohort, modality=modality)
    corrector.save(out)
    patients = corrector.fitted_on_["patients"]
    typer.echo(
        f"fitted on {len(patients)} patients of {found.cohort.name!r}; corrections "
        f"with a Dice below {corrector.least_dice_:.3f} are refused."
    )
    typer.echo(f"corrector: {out}")


@app.command()
@friendly
def correct(  # noqa: PLR0913 - the parameters of the function, and where to look
    cohort: Path,
    corrector: _Corrector,
    out: Annotated[Path, typer.Option(help="Folder of the derived cohort.")],
    name: Annotated[
        str | None, typer.Option(help="Of the derived cohort; COHORT_corrected.")
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
    check_folder(out)
    found = rl.check(cohort, root=root, jobs=jobs)
    found.raise_if_any(allow=allow_failures)
    corrected = rl.masks.correct(
        found.cohort, loaded, out=out, name=name, modality=modality, jobs=jobs
    )
    others = {"slices": corrected.slices, "failures": corrected.failures}
    write_tables(out / "quality.csv", corrected.quality, **others)
    print_table(corrected.summary.rename("slices").reset_index())
    typer.echo(f"decisions: {out / 'quality.slices.csv'}")
    if corrected.cohort is found.cohort:
        typer.echo(f"no mask was changed; there is no derived cohort: use {cohort}")
    else:
        n = int(corrected.quality["corrected"].sum())
        counts = f"{n} of {len(corrected.quality)} cases have other masks"
        typer.echo(f"derived cohort: {out} ({counts})")
    judge(corrected.failures, allow_failures)


@app.command()
@friendly
def stability(  # noqa: PLR0913 - the parameters of two functions
    cohort: Path,
    corrector: _Corrector,
    out: Annotated[Path, typer.Option(help="Table of ICCs, .parquet or .csv.")],
    n: Annotated[
        int, typer.Option("-n", "--n", help="Alternatives of a mask.", min=1)
    ] = 3,
    settings: Settings = None,
    by: Annotated[
        bool, typer.Option("--by-structure", help="ICCs of each lesion_id.")
    ] = False,
    engine: Engine = "radlatent",
    random_state: int = 0,
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
    check_out(out)
    chosen = settings_of(settings)
    loaded = rl.load_corrector(corrector)
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
        cache=cache or out.with_suffix(".cache"),
    )
    others = ("features", "failures", "alternatives")
    write_tables(out, measured.table, **{k: getattr(measured, k) for k in others})
    print_table(measured.summary)
    typer.echo(f"ICCs: {out}")
    judge(measured.failures, allow_failures)
