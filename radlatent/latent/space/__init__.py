"""How good a latent space is, and how it looks.

- alignment: what the encoders of different folds have in common.
- diagnostics: errors of reconstruction, correlations, activity, extremes.
- explained: what is explained of patients that the encoder never saw, beside PCA.
- principal: principal components of many voxels in few cases.
- ranks: the rank of every case in its pool. maps: two coordinates a case.
"""

__all__ = []
