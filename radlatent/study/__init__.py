"""A study file walks the whole path: cohort, features, models, report.

- `read_study`: ``study.yml``, checked key by key.
- `draft_study`: a study file for a cohort, to begin with.
- `check_study`: a study file and all that it names, every problem at once.
- `fit_study`, `predict`: its model, fitted on all patients, and applied to new ones.
- `run`: from the cohort to ``index.html``.
"""

from radlatent.study.draft import draft_study
from radlatent.study.final import fit_study, predict
from radlatent.study.path import Run, run
from radlatent.study.plan import Study, read_study
from radlatent.study.work import check_study

__all__ = [
    "Run",
    "Study",
    "check_study",
    "draft_study",
    "fit_study",
    "predict",
    "read_study",
    "run",
]
