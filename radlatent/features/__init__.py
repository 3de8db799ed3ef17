"""TABLES: what a table of features is, and who was fitted on whom."""

__all__ = []
