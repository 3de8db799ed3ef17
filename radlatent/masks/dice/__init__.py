"""Dice without a reference, with limits that hold for new patients."""

__all__ = []
