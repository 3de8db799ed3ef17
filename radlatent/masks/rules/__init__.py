"""Anatomical rules: what is measured, and whether a mask keeps them.

===================  ===================================================================
`rules`              rules and sets; values, verdicts, and voxels that break a rule
`rule_sets`          the sets as data, with their sources
`measures`           what rules of slices measure
`lesion_measures`    what rules of volumes measure
`regions`            a structure as one: components, holes, hull, rim
`scoring`            a cohort judged by a set of rules
===================  ===================================================================
"""

__all__ = []
