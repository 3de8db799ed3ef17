"""What figures share: colors, legends, panels."""

__all__ = []
