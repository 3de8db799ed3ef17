"""The final model: fitted on everybody, kept without code, applied to new patients.

- `check_keepable`: whether a model can be one, before the work.
- `fit`: a pipeline, features and an outcome -> a `FinalModel`.
- `load_model`: a `FinalModel` from the folder that ``save`` wrote.

- parts, trees, outcomes: what is left of fitted models: numbers.
- freezing: which estimator becomes which part. A family is one function there.
- domain: how far new patients are from those of training. conformal: sets of classes.
- table: columns of new patients, matched by name. fitting: `fit`.
- final: the model. about, card: what it is of, and the same for people.
- folder: JSON, safetensors and XGBoost's own JSON, every byte of it vouched for.
"""

from radlatent.model.final import FinalModel, load_model
from radlatent.model.fitting import check_keepable, fit

__all__ = ["FinalModel", "check_keepable", "fit", "load_model"]
