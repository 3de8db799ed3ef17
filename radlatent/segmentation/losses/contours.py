"""Contour-distance losses: an error counts the more, the farther it is from a contour.

Signed distance maps of the reference enter beside logits and labels. The family is *our
reading* of losses of which only the names are known (METHODS 7.2): L0 is Dice, the
naive combination adds a distance term of fixed weight, the adaptive one of a weight
that grows with the training or is learned.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from radlatent.errors import RadlatentError
from radlatent.imaging import signed_distance
from radlatent.segmentation.losses.overlap import (
    By,
    check_choice,
    check_positive,
    dice_loss,
    shares_of,
)

__all__ = [
    "ContourAdaptive",
    "ContourNaive",
    "Hausdorff",
    "Term",
    "Weighting",
    "boundary_term",
    "error_term",
    "signed_distances",
]

Term = Literal["error", "boundary"]
Weighting = Literal["schedule", "uncertainty"]

#: Distances in mm beyond which all places are alike: before the network knows anything,
#: the far background would outweigh every contour.
FARTHEST_MM = 20.0

#: Learned log-variances stay within: e^5 is a weight of 74.
_LARGEST = 5.0


def signed_distances(
    labels: np.ndarray, n_classes: int, spacing_mm: Sequence[float]
) -> np.ndarray:
    """Return how far each voxel is from the border of each structure.

    Parameters
    ----------
    labels
        From 0 (background) to n_classes - 1; two or three axes.
    n_classes
        Background included.
    spacing_mm
        In the order of the axes.

    Returns
    -------
    numpy.ndarray
        Float32, mm, negative inside, shape (n_classes - 1, *labels.shape). 0 everywhere
        for a structure that is absent or fills the array: it has no contour, and the
        distance terms leave it to Dice, as Kervadec et al. do.

    Examples
    --------
    >>> signed_distances(np.array([[0, 0, 1, 1, 0]]), 3, (1.0, 1.5))
    array([[[ 3. ,  1.5, -1.5, -1.5,  1.5]],
           [[ 0. ,  0. ,  0. ,  0. ,  0. ]]], dtype=float32)
    """
    distances = np.zeros((n_classes - 1, *labels.shape), np.float32)
    for label in range(1, n_classes):
        inside = labels == label
        if inside.any() and not inside.all():
            distances[label - 1] = signed_distance(inside, spacing_mm)
    return distances


def error_term(shares: Tensor, reference: Tensor, distance: Tensor) -> Tensor:
    """Return the distance-weighted squared error a voxel of reference, in mm.

    Parameters
    ----------
    shares, reference
        Softmax and one-hot reference, shape (minibatch, structures, *size).
    distance
        Signed distances, mm, of the same shape.

    Returns
    -------
    Tensor
        Shape (minibatch,): the mean over structures of sum((p - g)^2 |d|) / sum(g), 0
        for an absent structure.

    Notes
    -----
    0 where the masks agree and never below: what a learned weight needs. It is what
    the loss of Dice would be if every wrong voxel counted as often as it is mm away; a
    contour of a disk of radius r that is d off costs about d^2 / r, a Dice of 1 - d/r.
    The weight by distances of the reference alone is that of the one-sided loss of
    Karimi & Salcudean 2020, arXiv:1904.10030, whose mean runs over the image instead.
    """
    axes = tuple(range(2, shares.ndim))
    wrong = ((shares - reference) ** 2 * distance.abs()).sum(axes)
    return (wrong / reference.sum(axes).clamp_min(1)).mean(dim=1)


def boundary_term(shares: Tensor, reference: Tensor, distance: Tensor) -> Tensor:
    """Return the mean of softmax times signed distance, in mm, shape (minibatch,).

    Parameters
    ----------
    shares, reference, distance
        As of `error_term`; the reference is not looked at.

    Notes
    -----
    Negative where the masks agree, so that no weight of it can be learned.

    References
    ----------
    Kervadec et al. 2019, arXiv:1812.07032, eq. 5, as a mean over voxels and structures
    """
    return (shares * distance).flatten(1).mean(dim=1)


_TERMS = {"error": error_term, "boundary": boundary_term}


class _Contour(nn.Module):
    """Dice and a distance term; what kinds of weight have in common."""

    needs_distance = True

    def __init__(self, weight, term, smoothing, by):
        super().__init__()
        check_positive({"weight": weight, "smoothing": smoothing})
        check_choice("term", term, Term)
        check_choice("by", by, By)
        self.weight, self.term = weight, term
        self.overlap = {"smoothing": smoothing, "by": by}

    def parts(self, logits, target, distance):
        """Return 1 - Dice and the distance term, each of shape (minibatch,)."""
        if distance is None:
            msg = (
                "a contour loss needs signed distance maps of the reference, and "
                "distance is None. Compute them: signed_distances(labels, ...)."
            )
            raise RadlatentError(msg)
        shares, reference = shares_of(logits, target)
        if distance.shape != shares.shape:
            msg = (
                f"distance maps have shape {tuple(distance.shape)}, structures "
                f"{tuple(shares.shape)}. Give one map a structure, without background."
            )
            raise RadlatentError(msg)
        near = distance.float().clamp(-FARTHEST_MM, FARTHEST_MM)
        dice = dice_loss(shares, reference, **self.overlap)
        return {"dice": dice, "distance": _TERMS[self.term](shares, reference, near)}


class ContourNaive(_Contour):
    """Dice loss + weight x distance term: the naive combination, our reading.

    Parameters
    ----------
    weight
        Of the distance term, 1 / mm.
    term
        "error" (`error_term`) or "boundary" (`boundary_term`).
    smoothing, by
        Of `dice_loss`.

    Notes
    -----
    Distances count up to 20 mm. At a weight of 0.1 / mm the term is what Dice is for
    voxels 10 mm away, and leads beyond.
    """

    def __init__(
        self,
        *,
        weight: float = 0.1,
        term: Term = "error",
        smoothing: float = 1.0,
        by: By = "case",
    ):
        super().__init__(weight, term, smoothing, by)

    def forward(self, logits, target, *, distance=None, progress=0.0):
        """Return the loss and its parts, each of shape (minibatch,)."""
        parts = self.parts(logits, target, distance)
        return parts["dice"] + self.weight * parts["distance"], parts


class ContourAdaptive(_Contour):
    """Dice loss and a distance term whose weight adapts, our reading.

    Parameters
    ----------
    weighting
        "schedule": the weight rises with the progress of the training from 0 to
        ``weight``, as Kervadec et al. 2019 raise theirs: distances refine what overlap
        has found. "uncertainty": a log-variance s of each part is learned, and the loss
        is the sum of exp(-s) / 2 part + s / 2 (Kendall et al. 2018). The log-variances
        are parameters of this module: they must be given to the optimizer with those of
        the network.
    weight
        Of the distance term at the end of the schedule, or exp(-s) at the start, 1 /
        mm.
    term
        As of `ContourNaive`; "boundary" falls below 0 and goes with "schedule" only.
    smoothing, by
        Of `dice_loss`.

    Notes
    -----
    Where a part is 0 its weight would grow for ever: log-variances are held within
    -5 and 5.

    References
    ----------
    Kervadec et al. 2019, arXiv:1812.07032; Kendall, Gal & Cipolla 2018,
    arXiv:1705.07115, eq. 7
    """

    def __init__(
        self,
        *,
        weighting: Weighting = "schedule",
        weight: float = 0.2,
        term: Term = "error",
        smoothing: float = 1.0,
        by: By = "case",
    ):
        super().__init__(weight, term, smoothing, by)
        check_choice("weighting", weighting, Weighting)
        if weighting == "uncertainty" and term == "boundary":
            msg = (
                "weighting 'uncertainty' needs a term that is never below 0, and "
                "'boundary' is. Take term='error', or weighting='schedule'."
            )
            raise RadlatentError(msg)
        self.weighting = weighting
        if weighting == "uncertainty":
            start = torch.tensor([0.0, -float(np.log(weight))])
            self.log_variances = nn.Parameter(start)

    def forward(self, logits, target, *, distance=None, progress=0.0):
        """Return the loss and its parts, each of shape (minibatch,).

        ``weight`` among the parts is that of the distance against Dice.
        """
        parts = self.parts(logits, target, distance)
        dice, away = parts["dice"], parts["distance"]
        if self.weighting == "schedule":
            weight = self.weight * min(max(progress, 0.0), 1.0)
            total = dice + weight * away
            told = torch.full_like(dice, weight)
        else:
            s = self.log_variances.clamp(-_LARGEST, _LARGEST)
            by_part = torch.stack([dice, away], dim=1)  # (minibatch, 2)
            total = 0.5 * (torch.exp(-s) * by_part + s).sum(dim=1)
            told = torch.exp(s[0] - s[1]).detach().expand_as(dice)
        return total, parts | {"weight": told}


class Hausdorff(nn.Module):
    """Dice loss + weight x MONAI's Hausdorff loss by distance transforms.

    Parameters
    ----------
    weight
        Of the Hausdorff term.
    logarithm
        Whether the term is log(1 + h), MONAI's ``LogHausdorffDTLoss``, or h.
    smoothing, by
        Of `dice_loss`.

    Notes
    -----
    h is the mean over voxels and structures of (p - g)^2 (d_p^2 + d_g^2) in voxels^2,
    d_p being the distances of the mask that the network draws at this moment: a
    distance transform a structure and step, on the CPU.

    References
    ----------
    Karimi & Salcudean 2020, doi:10.1109/TMI.2019.2930068, arXiv:1904.10030; MONAI
    """

    needs_distance = False

    def __init__(
        self,
        *,
        weight: float = 0.1,
        logarithm: bool = False,
        smoothing: float = 1.0,
        by: By = "case",
    ):
        super().__init__()
        check_positive({"weight": weight, "smoothing": smoothing})
        check_choice("by", by, By)
        self.weight, self.overlap = weight, {"smoothing": smoothing, "by": by}
        kind = _monai_losses()
        kind = kind.LogHausdorffDTLoss if logarithm else kind.HausdorffDTLoss
        # structures alone reach it: there is no background to leave out
        self.term = kind(include_background=True, reduction="none")

    def forward(self, logits, target, *, distance=None, progress=0.0):
        """Return the loss and its parts, each of shape (minibatch,)."""
        shares, reference = shares_of(logits, target)
        dice = dice_loss(shares, reference, **self.overlap)
        term = self.term(shares, reference).flatten(1).mean(dim=1)
        return dice + self.weight * term, {"dice": dice, "hausdorff": term}


def _monai_losses():
    try:
        from monai import losses
    except ImportError as error:
        msg = "this loss is MONAI's. Install it: pip install 'radlatent[deep]'"
        raise RadlatentError(msg) from error
    return losses
