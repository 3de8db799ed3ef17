"""Cohorts with a known answer."""

__all__ = []
