"""How good a latent space is, and how it looks."""

__all__ = []
