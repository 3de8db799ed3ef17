"""Masks over time: whether a sequence is consistent, and how it is made so.

- `smoothing`: signals smoothed: the published descent, and the linear system it solves.
- `consistency`: second differences of attributes against those of reference sequences.
- `ejection`: volumes and the ejection fraction of one view.
- `redraw`: the masks of a sequence redrawn, through a shape prior or by a Gaussian.
- `regularize`: attributes and latents made consistent by the least change.
"""

__all__ = []
