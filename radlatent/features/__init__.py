"""TABLES: what a table of features is, who was fitted on whom, and who is tested.

=============  =========================================================================
``origin``     where each block comes from: measured, or by which `Fit`; marks of tables
``folded``     ``FoldedFeatures``, one table a fold
``endpoint``   one outcome of the patients who have it
``folds``      who is tested in which fold; ``deal``, the one way to deal patients
``join``       tables side by side, columns by block
``aggregate``  one row a case -> one row a patient
``burden``     how much disease a patient has, and how far apart it lies
=============  =========================================================================
"""

__all__ = []
