"""Images derived from an image, cut to the lesion.

- derived: every image type. laplacian: LoG as ITK computes it. lbp: local binary
  patterns.
"""

__all__ = []
