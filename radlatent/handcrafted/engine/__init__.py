"""The engines: a lesion's image and mask enter, values leave."""

__all__ = []
