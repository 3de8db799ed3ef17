"""Agreement of masks with other masks of the same cases."""

__all__ = []
