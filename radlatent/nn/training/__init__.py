"""The one training loop: settings, devices, and a state that can be kept."""

__all__ = []
