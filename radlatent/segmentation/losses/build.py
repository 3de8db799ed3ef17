"""Losses by name: a name and settings enter, a module leaves."""

import inspect
from functools import partial

from torch import nn

from radlatent.errors import RadlatentError
from radlatent.schema.yaml import nearest
from radlatent.segmentation.losses.contours import (
    ContourAdaptive,
    ContourNaive,
    Hausdorff,
)
from radlatent.segmentation.losses.overlap import (
    CrossEntropy,
    Dice,
    DiceCrossEntropy,
    Focal,
)

__all__ = ["LOSSES", "build_loss"]

#: Name to what makes the loss. ``dice`` is L0 of the contour-distance family, whose
#: combinations are our reading (METHODS 7.2); the last two are its rivals.
LOSSES = {
    "dice": Dice,
    "cross_entropy": CrossEntropy,
    "dice_cross_entropy": DiceCrossEntropy,
    "focal": Focal,
    "contour_naive": ContourNaive,
    "contour_adaptive": ContourAdaptive,
    "hausdorff": Hausdorff,
    "log_hausdorff": partial(Hausdorff, weight=1.0, logarithm=True),
}


def build_loss(name: str, **settings) -> nn.Module:
    """Return a loss.

    Parameters
    ----------
    name
        One of `LOSSES`.
    **settings
        Keyword arguments of the loss.

    Returns
    -------
    torch.nn.Module
        Called as ``loss(logits, target, distance=None, progress=0.0)``: logits of shape
        (minibatch, n_classes, *size) in any precision, labels (minibatch, *size),
        signed distances (minibatch, n_classes - 1, *size) in mm where
        ``needs_distance``, and how much of the training is done. Returns the loss,
        shape (minibatch,), and a dict of its parts, each of that shape.

    Raises
    ------
    RadlatentError
        The name or a setting is not known, or a setting is faulty.

    Examples
    --------
    >>> build_loss("contour_naive", weight=0.2).needs_distance
    True
    """
    if name not in LOSSES:
        known = ", ".join(repr(one) for one in LOSSES)
        msg = f"loss is {name!r}; give one of {known}{nearest(name, LOSSES)}"
        raise RadlatentError(msg)
    parameters = inspect.signature(LOSSES[name]).parameters.values()
    known = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
    unknown = [f"{key!r}{nearest(key, known)}" for key in settings if key not in known]
    if unknown:
        own = ", ".join(known) or "none"
        msg = f"loss {name!r} has no setting {', '.join(unknown)} (it has: {own})"
        raise RadlatentError(msg)
    return LOSSES[name](**settings)
