"""Mask quality: metrics, anatomical rules, and correction that does no harm."""

__all__ = []
