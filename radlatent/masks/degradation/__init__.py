"""Errors of known size: drawn once, applied to expert masks."""

__all__ = []
