"""The shape prior: a VAE of slices in a canonical frame."""

__all__ = []
