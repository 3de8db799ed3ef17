"""Folder layouts: a folder of images in, the tables of a cohort out."""

__all__ = []
