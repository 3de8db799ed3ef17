"""How good predictions are: numbers with intervals, and the tables behind figures.

- arrays: a **predictions** table as arrays, and draws of patients from them.
- classes, calibration, survival: the metrics, arrays in and one number a draw out.
- censoring: Kaplan-Meier of all draws at once, of the event and of the censoring.
- evaluate: the **metrics** table; compare: models against each other.
- roc, decision, survival_curves: the tables behind figures; calibration has its own.
"""

__all__ = []
