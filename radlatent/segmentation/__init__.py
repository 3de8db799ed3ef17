"""Segmentation: networks that draw masks, trained and applied by patient."""

__all__ = []
