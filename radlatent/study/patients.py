"""One row a patient: features of cases, of all lesions, covariates and their ratios.

A `Work` and tables by case enter, what models are fitted on leaves.
"""

from dataclasses import dataclass

import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.features.origin import keep_origins
from radlatent.fusion import (
    aggregate,
    body_surface,
    delta,
    fractional_decrease,
    join,
    lesion_burden,
    select_blocks,
)
from radlatent.handcrafted import wall_thickening
from radlatent.schema import nearest, split_column
from radlatent.study.work import Work

__all__ = ["Patients", "gather"]


@dataclass(frozen=True, eq=False)
class Patients:
    """Features by patient: one table, and one a fold where encoders were fitted.

    Parameters
    ----------
    table
        What does not depend on a fold.
    folded
        The same with latent features; None without an encoder.
    """

    table: pd.DataFrame
    folded: FoldedFeatures | None

    def select(self, blocks: tuple[str, ...]) -> pd.DataFrame | FoldedFeatures:
        """Return the columns of some blocks, from the folds only where they must."""
        if self.folded is None:
            return select_blocks(self.table, blocks)
        chosen = self.folded.map(lambda table: select_blocks(table, blocks))
        if set(chosen.columns) <= set(self.table):
            return self.table[list(chosen.columns)]
        return chosen


def gather(
    work: Work,
    features: pd.DataFrame,
    walls: pd.DataFrame,
    places: pd.DataFrame,
    latent: FoldedFeatures | pd.DataFrame | None,
) -> Patients:
    """Return one row a patient: features, latent ones, covariates, derived ones.

    Parameters
    ----------
    work
        The run.
    features
        Hand-crafted features by case.
    walls
        Thickness of the myocardium by case, without a column where none is asked for.
    places
        Where lesions lie, as from `radlatent.study.images.locate`.
    latent
        Latent features by case and fold, or of one encoder; None without any.

    Raises
    ------
    SchemaError
        What the study derives needs columns that are not there, or ``burden`` is no
        modality in SUV.
    """
    plan, cases = work.plan, work.cohort.included
    beside = [_clinical(work, features), *_lesion_blocks(work, features, places)]
    beside += [work.given.of_patients] if work.given else []
    beside += _of_heart(plan.myocardium, walls, cases)
    how = {"how": plan.aggregate, "volume": plan.volume, "intensity": plan.intensity}

    def of_patients(table):
        patients = aggregate(table, cases, **how)
        others = [t.reindex(patients.index) for t in beside if t.shape[1]]
        others += _change(plan.delta, table, cases, how, patients.index)
        return _ratios(plan, join(patients, *others))

    def with_latent(table):
        # cases that no encoder saw keep their rows
        return of_patients(join(features, table.reindex(features.index)))

    if isinstance(latent, pd.DataFrame):
        return Patients(with_latent(latent), None)
    folded = None if latent is None else latent.map(with_latent)
    return Patients(of_patients(features), folded)


def _clinical(work, features):
    cohort = work.cohort
    clinical = cohort.clinical()
    for name, spec in work.plan.derived.items():
        if f"clinical__{name}" in clinical:
            msg = f"derived {name!r} is a covariate of {cohort.name!r} too; rename it."
            raise SchemaError(msg)
        if spec.feature:
            about = spec.model_dump(include={"feature", "lesion_id", "first", "last"})
            values = fractional_decrease(features, cohort.included, **about)
            clinical[f"clinical__{name}"] = values
        elif spec.body_surface:
            clinical[f"clinical__{name}"] = _surface(name, spec, clinical)
    return keep_origins(clinical, cohort.clinical(), features)


def _change(spec, table, cases, how, patients):
    """Return the blocks of change between two timepoints, none where none is asked."""
    if spec is None:
        return []
    known = cases.get("timepoint", pd.Series(dtype=object)).dropna().unique().tolist()
    sides = []
    for name, timepoint in (("post", spec.post), ("pre", spec.pre)):
        if timepoint not in known:
            hint = nearest(timepoint, known)
            msg = f"delta: {name} {timepoint!r} is no timepoint{hint} ({known} are)."
            raise SchemaError(msg)
        rows = cases.index[cases["timepoint"] == timepoint]
        sides.append(aggregate(table.loc[rows], cases.loc[rows], **how))
    # a lesion that is there at one time only has no change
    shared = [column for column in sides[0] if column in sides[1]]
    change = delta(sides[0][shared], sides[1][shared], how=spec.how)
    return [keep_origins(change.reindex(patients), change)]


def _surface(name, spec, clinical):
    """Return the surface of the bodies of patients, from two covariates."""
    known = [column.removeprefix("clinical__") for column in clinical]
    for column in (spec.height, spec.weight):
        if column not in known:
            msg = f"derived {name!r}: {column!r} is no covariate of the cohort"
            raise SchemaError(f"{msg}{nearest(column, known)} (it has {known}).")
    sizes = (clinical[f"clinical__{column}"] for column in (spec.height, spec.weight))
    units = {"height_unit": spec.height_unit, "weight_unit": spec.weight_unit}
    try:
        return body_surface(*sizes, **units, formula=spec.body_surface)
    except SchemaError as error:
        raise SchemaError(f"derived {name!r}: {error}") from error


def _of_heart(asked, walls, cases):
    """Return the thickness of the wall by patient, and what becomes of it."""
    if asked is None:
        return []
    found = [aggregate(walls, cases.loc[walls.index])]
    if asked.first:
        about = {"first": asked.first, "last": asked.last}
        found.append(wall_thickening(walls, cases, **about))
    return found


def _ratios(plan, patients):
    """Return the table with the ratios of its columns that a study names."""
    found, sources = {}, []
    for name, spec in plan.derived.items():
        if spec.numerator:
            absent = {spec.numerator, spec.denominator} - set(patients)
            if absent:
                msg = (
                    f"derived {name!r}: {sorted(absent)} are not columns of a patient; "
                    f"there are {list(patients)[:3]} ..."
                )
                raise SchemaError(msg)
            below = patients[spec.denominator]
            found[f"ratio__{name}"] = patients[spec.numerator] / below.where(below != 0)
            sources += [spec.numerator, spec.denominator]
    if not found:
        return patients
    known = keep_origins(patients[list(dict.fromkeys(sources))], patients)
    return join(patients, keep_origins(pd.DataFrame(found), known))


def _lesion_blocks(work, features, places):
    """Return the blocks of dispersion and of burden, none where none is asked for."""
    plan, cases, blocks = work.plan, work.cohort.included, []
    if plan.dispersion:
        how = {"how": "dispersion", "statistic": plan.dispersion}
        spread = aggregate(features, cases, **how)
        blocks.append(keep_origins(spread.rename(columns=_dispersed), spread))
    if plan.burden:
        _check_suv(plan.burden, work.cohort)
        block = f"{plan.burden}_handcrafted"
        blocks.append(lesion_burden(features, cases, block=block, centroids=places))
    return blocks


def _dispersed(column):
    block, name = split_column(column)
    return f"{block.removesuffix('_handcrafted')}_dispersion__{name}"


def _check_suv(modality, cohort):
    known = cohort.modalities
    if modality not in known:
        msg = f"burden: cohort {cohort.name!r} has no modality {modality!r}"
        raise SchemaError(f"{msg}{nearest(modality, known)} (it has {list(known)}).")
    if known[modality].unit != "SUV":
        msg = (
            f"burden: modality {modality!r} is in {known[modality].unit!r}. Name one "
            "in SUV: lesion glycolysis is volume times SUV."
        )
        raise SchemaError(msg)
