"""Repeated measurements: slight changes, other masks, and how well they agree.

- perturbed: `stability`, over perturbations. perturb: a lesion moved, turned, noisy, or
  with one of the contours.
- other_masks: `stability_between` masks that are there.
- agreement: ICC and other coefficients, and verdicts on them.
"""

__all__ = []
