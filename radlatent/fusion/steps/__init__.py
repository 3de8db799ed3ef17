"""What happens to columns before a model, fitted on training patients."""

__all__ = []
