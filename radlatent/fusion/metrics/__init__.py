"""How good predictions are: numbers with intervals, and the tables behind figures."""

__all__ = []
