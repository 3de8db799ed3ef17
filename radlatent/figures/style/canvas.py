"""An empty figure of a size, outside of pyplot's state."""

from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["canvas"]


@contextmanager
def canvas(size_inches: tuple[float, float]) -> Iterator[tuple[Figure, Axes]]:
    """Give a figure and its Axes, and let go of them afterwards.

    Parameters
    ----------
    size_inches
        Width and height in inches.
    """
    figure = Figure(figsize=size_inches, layout="constrained")
    yield figure, figure.subplots()
    figure.clear()
