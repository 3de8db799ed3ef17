"""What shapes expert masks have: a VAE of their slices.

==================  ====================================================================
`shape_prior`       the prior: encodes, decodes and redraws slices
`models`            the models that it may have, and their defaults
`interpretability`  how well its latents tell attributes
`traversal`         masks along one latent
`frame`             the canonical frame that it looks at, and the way back
`pairs`             what it is trained on
`parzen`            the density of its latents
`latents`           banks of latents that decode to valid masks
==================  ====================================================================
"""

__all__ = []
