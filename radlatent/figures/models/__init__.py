"""Drawings of predictions, their metrics, and what models rest on."""

__all__ = []
