"""How two masks of a case stand to each other.

=================  =====================================================================
`compare`          the metrics, structure by structure, and their summary
`cohorts`          two cohorts, or two columns of masks, compared
`matches`          lesions matched by overlap, whatever their numbers
`cohort_matches`   the same of two cohorts, patient by patient
`distances`        distances of surfaces in mm
`dice`             Dice of slices as one number, for what asks it thousands of times
`label_boxes`      labels, spacing and structures checked; the box of each label
=================  =====================================================================
"""

__all__ = []
