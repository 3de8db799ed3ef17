"""What the lesions of a patient say together: the blocks of dispersion and of burden.

A `Work` and its hand-crafted features by case enter; features by patient leave.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.origin import keep_origins
from radlatent.fusion import aggregate, lesion_burden
from radlatent.handcrafted import lesion_centroids
from radlatent.schema import nearest, split_column
from radlatent.study.work import Work

__all__ = ["lesion_blocks", "locate"]


def locate(work: Work, features: pd.DataFrame) -> pd.DataFrame:
    """Return where lesions lie: ``x_mm, y_mm, z_mm`` by ``case_id``.

    Missing where no feature of the modality of ``burden`` was measured, and
    everywhere without ``burden``: a mask that cannot be read stops no run that puts up
    with it.
    """
    modality, cases = work.plan.burden, work.cohort.included
    if modality is None:
        return pd.DataFrame(np.nan, cases.index, ["x_mm", "y_mm", "z_mm"])
    measured = features.filter(regex=f"^{modality}_handcrafted__").notna().any(axis=1)
    known = cases[measured.reindex(cases.index, fill_value=False)]
    there = replace(work.cohort, cases=known)
    places = lesion_centroids(there, modality, jobs=work.jobs)
    return places.reindex(cases.index.rename("case_id"))


def lesion_blocks(
    work: Work, features: pd.DataFrame, places: pd.DataFrame
) -> list[pd.DataFrame]:
    """Return the blocks by patient that a study asks for, none where it asks for none.

    Parameters
    ----------
    work
        The run.
    features
        Hand-crafted features by case.
    places
        As from `locate`.

    Raises
    ------
    SchemaError
        ``burden`` is no modality in SUV, or features that it needs are not extracted.
    """
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
