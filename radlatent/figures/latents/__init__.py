"""Drawings of encoders and of latent spaces."""

__all__ = []
