"""Anatomical rules: what is measured, and whether a mask keeps them."""

__all__ = []
