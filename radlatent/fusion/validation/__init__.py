"""Predictions of patients that a model was not fitted on.

- validate: `cross_validate`, `validate_externally` and their `Result`; every fit that
  is tested is made here.
- inputs: whether features, endpoint and folds fit together.
- leakage: whether a block was fitted on patients that it is tested on.
- tuning: `tune`, settings chosen on inner folds.
- subgroups: the same predictions in groups of patients, and a test of interaction.
- predict: one fit, its predictions, and which columns it looks at.
- bootstrap: `bootstrap_validate`, optimism and .632+ beside cross-validation.
- added: `added_value`, what an embedding adds to hand-crafted features; residual:
  components and residuals of tables, fitted on the training patients of each fold.
- permuted: `permute_outcomes`, a control; learning: `learning_curve`.
"""

__all__ = []
