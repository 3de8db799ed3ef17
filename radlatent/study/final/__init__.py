"""The model of a study, for new patients.

- fitting: `fit_study`, on all patients of a study, with what its validation found.
- applying: `predict`, of new patients from images or tables.
- encoder: the encoder of such a study, as files that are kept beside the model.
- way: what is kept of a study, so that both take the same way to the columns.
"""

from radlatent.study.final.applying import predict
from radlatent.study.final.fitting import fit_study

__all__ = ["fit_study", "predict"]
