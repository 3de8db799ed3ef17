"""The one training loop: settings, devices, and a state that can be kept.

- fit: the loop. settings: what it takes and leaves. devices: where it runs.
- weights: the optimizer, its rate, and a running mean.
- state: the tensors and numbers from which it goes on. checkpoint: a file of them.
"""

__all__ = []
