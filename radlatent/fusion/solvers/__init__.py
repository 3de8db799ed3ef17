"""The regressions and trees that models are made of."""

__all__ = []
