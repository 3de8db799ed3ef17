"""Cohorts with a known answer, written as a hospital would write its own.

- `simulate`: the cohort folder: images, tables, and the truth beside them.
- `heart`: apical hearts over a cycle, as they are and as a network would draw them.
- `lesion`: random choices of a patient in, PET and CT arrays out.
- `outcome`: linear predictors in, responses and survival times out; what an oracle
  gets.
- `scattered`: tables of patients with many lesions, whose outcome a mean hides.
- `thigh`: thighs with twelve muscles, and fat in them by degree.
"""

__all__ = []
