"""Drawings: a table enters, a matplotlib Axes leaves.

=============  ========================================================
``roc``        ROC curves with bands
``forest``     one metric of several models with intervals
``confusion``  true and predicted classes
``heatmap``    a features table as z-scores
``canvas``     an empty figure of a size, for the writer
``PALETTE``    eight colors that color-blind readers can tell apart
=============  ========================================================

No function here shows, saves, or sets a title; the writer of a report does.
"""

from radlatent.figures.canvas import canvas
from radlatent.figures.heatmap import heatmap
from radlatent.figures.palette import PALETTE
from radlatent.figures.performance import confusion, forest, roc

__all__ = ["PALETTE", "canvas", "confusion", "forest", "heatmap", "roc"]
