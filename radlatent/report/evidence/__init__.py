"""What a run proves: the rules of checklists, each with its answer.

- answer: what a rule answers with. images, models: the rules, by what they are about.
"""

__all__ = []
