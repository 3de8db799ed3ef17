"""What happens to columns before a model, fitted on training patients.

- combat: site effects. filters: columns that no model needs. selection: columns that a
  model sees, by classes or by survival.
"""

__all__ = []
