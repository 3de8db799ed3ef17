"""Images derived from an image, cut to the lesion."""

__all__ = []
