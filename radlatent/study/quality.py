"""The masks of a run, judged by rules: a plan and a cohort enter, tables leave."""

import pandas as pd

from radlatent.cohort import Cohort
from radlatent.masks import score
from radlatent.schema import failures_table
from radlatent.study.plan import Study

__all__ = ["judge"]


def judge(
    plan: Study, cohort: Cohort, jobs: int | None
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Return the tables of the masks, file name to table, and what failed.

    ``mask_quality.csv`` and ``mask_summary.csv`` are those of `radlatent.masks.score`;
    ``mask_rules.csv`` has ``of, rule, n_broken, n``. There are none where the study
    does not ask for them.

    Raises
    ------
    SchemaError
        The rules are not for the masks of this cohort.
    """
    if plan.masks is None:
        return {}, failures_table()
    about = {"rules": plan.masks.rules, "modality": plan.masks.modality}
    scores = score(cohort, **about, jobs=jobs)
    summary = scores.summary.assign(rules=scores.rules.name)
    rules = summary[summary["rule"] != "all"]
    rules = rules.assign(n_broken=rules["n"] - rules["n_kept"])
    tables = {
        "mask_quality.csv": scores.quality,
        "mask_summary.csv": summary,
        "mask_rules.csv": rules[["of", "rule", "n_broken", "n"]],
    }
    return tables, scores.failures
