"""Repeated measurements: slight changes, other masks, and how well they agree."""

__all__ = []
