"""What a run reads from images and masks by case, beside what encoders see.

A `Work` enters; judged masks, hand-crafted features, walls of the heart and places of
lesions leave. Of a study of tables the features are those that it was given.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from radlatent.errors import CohortError
from radlatent.handcrafted import (
    Extraction,
    Walls,
    extract,
    lesion_centroids,
    measure_walls,
)
from radlatent.masks import score
from radlatent.schema import failures_table, write_run
from radlatent.study.work import Work

__all__ = ["extracted", "judge", "locate", "measure", "measure_heart"]


def extracted(work: Work) -> tuple[str, ...]:
    """Return the tables that `measure` leaves in the data folder of a run."""
    names = ("features", "failures", "provenance")
    return names[:2] if work.given else names


def judge(work: Work) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Return the tables of the masks, name to table, and what failed.

    ``mask_quality`` and ``mask_summary`` are those of `radlatent.masks.score`;
    ``mask_rules`` has ``of, rule, n_broken, n``. There are none where the study
    does not ask for them.

    Raises
    ------
    SchemaError
        The rules are not for the masks of this cohort.
    """
    asked = work.plan.masks
    if asked is None:
        return {}, failures_table()
    about = {"rules": asked.rules, "modality": asked.modality}
    scores = score(work.cohort, **about, jobs=work.jobs)
    summary = scores.summary.assign(rules=scores.rules.name)
    rules = summary[summary["rule"] != "all"]
    rules = rules.assign(n_broken=rules["n"] - rules["n_kept"])
    tables = {
        "mask_quality": scores.quality,
        "mask_summary": summary,
        "mask_rules": rules[["of", "rule", "n_broken", "n"]],
    }
    return tables, scores.failures


def measure(work: Work) -> Extraction:
    """Return the hand-crafted features of every case, having written them.

    Raises
    ------
    CohortError
        There is not one value among them; the files say why.
    """
    if work.given:
        table = work.given.of_cases
        nothing = pd.DataFrame(columns=["case_id", "modality"])
        extraction = Extraction(table, failures_table(), nothing)
    else:
        extraction = extract(
            work.cohort,
            settings=work.settings,
            engine=work.plan.engine,
            jobs=work.jobs,
            cache=work.cache,
        )
    write_run({name: getattr(extraction, name) for name in extracted(work)}, work.data)
    if not extraction.features.notna().any(axis=None):
        reasons = "\n  ".join(extraction.failures["message"][:5])
        n = len(extraction.features)
        msg = (
            f"not one value could be measured in {n} cases; the first reasons:\n"
            f"  {reasons}"
        )
        raise CohortError(msg)
    return extraction


def measure_heart(work: Work) -> Walls:
    """Return the thickness of the myocardium by case, empty where none is asked for."""
    asked = work.plan.myocardium
    if asked is None:
        return Walls(pd.DataFrame(), failures_table())
    return measure_walls(
        work.cohort,
        myocardium=asked.wall,
        cavity=asked.cavity,
        modality=asked.modality,
        right_ventricle=asked.right_ventricle,
        orientation=asked.orientation,
        jobs=work.jobs,
    )


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
