"""The regressions and trees that models are made of.

- sparse: logistic regression with few coefficients. signs: averages of columns.
- boosted: trees of XGBoost, for classes and for survival. forest: a random forest for
  survival, on the compiled loops of kernels.
- cox, weibull: penalized regressions of survival. survival: what they share, and the
  check of the outcome. concordance: Harrell's C of many columns.
- competing: Fine and Gray's regression, and Cox regression by cause, of competing
  events.
- calibrated: models whose probabilities are learned on patients they did not see.
"""

__all__ = []
