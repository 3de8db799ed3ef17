"""The certificate: what latent features still say about hand-crafted ones."""

__all__ = []
