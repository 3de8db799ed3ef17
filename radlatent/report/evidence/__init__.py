"""What a run proves: the rules of checklists, each with its answer."""

__all__ = []
