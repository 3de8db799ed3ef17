"""Masks corrected where that does no harm.

================  ======================================================================
`corrector`       fits; corrects one mask, slice by slice; on disk and back
`plausibility`    what a prior and rules tell of each slice of a mask
`candidates`      what may replace a slice that breaks rules, and the best of it
`gate`            how near a correction has to stay, set when the corrector is fitted
`alternatives`    plausible other masks of one mask
`derive`          cohorts under corrected or other masks
================  ======================================================================
"""

__all__ = []
