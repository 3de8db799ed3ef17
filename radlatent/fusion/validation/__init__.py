"""Predictions of patients that a model was not fitted on."""

__all__ = []
