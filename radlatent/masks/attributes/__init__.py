"""Attributes of shapes: masks enter, numbers that have names leave.

- `sets`: which attributes an apical view, a short-axis slice and a lesion have.
- `measure`: their values, of many masks at once.
- `planar`: what slices need: moments, the base of a ventricle, its apex.
- `solid`: what volumes need.
"""

__all__ = []
