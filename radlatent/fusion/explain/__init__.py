"""What models rest on, and what columns say about an outcome.

- importance: by permutation, and by Shapley values.
- coefficients: what columns and blocks weigh in a linear model.
- inference: odds and hazard ratios, and what columns add to others.
- sample_size: how many patients a model needs, and has.
"""

__all__ = []
