"""The engines: a lesion's image and mask enter, values leave.

- native: the engine of radlatent. pyradiomics: the reference.
- prepare: image and mask before they are measured. filters: images derived from them.
- firstorder, shape (with triangles, the mesh of a mask): intensities; size and form.
- roi: a lesion as its texture is measured; by glcm, ngtdm, sizes (GLRLM, GLSZM, GLDM).
- kernels: the compiled loops.
"""

__all__ = []
