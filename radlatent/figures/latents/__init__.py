"""Drawings of encoders and of latent spaces.

- ``training``: losses by epoch, the discriminator, sweeps of a weight, errors by split.
- ``trials``: the score of a random search against every setting.
- ``space``: correlations, cases in two coordinates, ranks.
- ``certificate``: what hand-crafted features know of latent ones.
- ``pictures``: reconstructions, and images along a latent feature.
"""

__all__ = []
