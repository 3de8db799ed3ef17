"""TABLES: what a table of features is, who was fitted on whom, and who is tested.

=============  =========================================================================
``origin``     where each block comes from: measured, or by which `Fit`; marks of tables
``folded``     ``FoldedFeatures``, one table a fold
``endpoint``   one outcome of the patients who have it
``frames``     a frame of one's own -> a features table: the room is this function too;
               ``read_embedding``, the same of a file of another program
``typed``      frames of one's own: who a row is, numbers and text of outcomes
``values``     what pandas holds, as text and as floats
``folds``      who is tested in which fold; ``deal``, the one way to deal patients
``join``       tables side by side, columns by block
``delta``      the change of features between two times
``aggregate``  one row a case -> one row a patient
``burden``     how much disease a patient has, and how far apart it lies
=============  =========================================================================
"""

import sys
from types import ModuleType

__all__ = []


class _Room(ModuleType):
    """The room, which is `radlatent.features.frames.features_of` when it is called.

    ``rl.features(frame, block=)`` is what a user looks for, and the room had the name
    first.
    """

    def __call__(self, frame, *, block, patients=None):
        """Return ``frames.features_of``."""
        from radlatent.features.frames import features_of

        return features_of(frame, block=block, patients=patients)


sys.modules[__name__].__class__ = _Room
