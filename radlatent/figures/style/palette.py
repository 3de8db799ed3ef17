"""The colors of all figures.

Nothing enters; eight colors leave that color-blind readers can tell apart.
"""

__all__ = ["PALETTE"]

#: Okabe & Ito 2008, https://jfly.uni-koeln.de/color; yellow, faint on white, last
PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#F0E442",
)
