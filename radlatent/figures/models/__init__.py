"""Drawings of what models predict, how well, and what they rest on.

- ``performance``: ROC curves, one metric of several models, confusion.
- ``calibration``, ``decision``: predicted against observed shares; net benefit.
- ``survival``: risk groups, calibration at a horizon, the AUC over time.
- ``importance``, ``shares``: what blocks are worth; whose the largest coefficients are.
"""

__all__ = []
