"""Losses by name: logits and labels in, one value a case and its named parts out.

- build: the registry, and a loss of a name and settings.
- overlap: Dice, cross-entropy, focal.
- contours: signed distance maps of a reference, and the losses that read them.
"""

__all__ = []
