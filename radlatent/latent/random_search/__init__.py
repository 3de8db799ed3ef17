"""Settings of an encoder by random search."""

__all__ = []
