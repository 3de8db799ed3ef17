"""A study file walks the whole path: cohort, features, models, report.

- `read_study`: ``study.yml``, checked key by key.
- `run`: from the cohort to ``index.html``.
"""

from radlatent.study.path import Run, run
from radlatent.study.plan import Study, read_study

__all__ = ["Run", "Study", "read_study", "run"]
