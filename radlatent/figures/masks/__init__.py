"""Drawings of masks, of how good they are, and of what they do to features.

- ``slices``: contours over a slice, and what breaks a rule.
- ``quality``: rules broken, predicted and true Dice, the effect of a correction.
- ``features``: ICC by structure and tier, shifts from the expert's mask.
"""

__all__ = []
