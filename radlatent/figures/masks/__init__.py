"""Drawings of masks and of how good they are."""

__all__ = []
