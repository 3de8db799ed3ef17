"""What models rest on, and what columns say about an outcome."""

__all__ = []
