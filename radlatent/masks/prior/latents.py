"""Banks of a prior: latents enter, those that decode to valid masks leave.

Of a bank the latent nearest to that of a slice may be decoded in its place.
"""

import numpy as np
import torch.nn.functional as F

from radlatent.errors import RadlatentError
from radlatent.masks.prior.frame import classes_of
from radlatent.masks.prior.parzen import draw_latents
from radlatent.masks.prior.shape_prior import ShapePrior
from radlatent.masks.rules.rules import RuleSet, broken_rules

__all__ = ["METHODS", "valid_latents"]

#: How a latent is replaced: not at all, by the nearest valid one of training slices, or
#: by the nearest valid one of these and of draws of their Parzen density.
METHODS = ("decode", "nearest", "nearest_drawn")

#: Decoded masks are judged on pixels half as wide as those of the frame, unless these
#: are as fine as the pixels of masks.
_FINER, _FINE_MM = 2, 1.25


def valid_latents(
    prior: ShapePrior, rules: RuleSet, n_draws: int, random_state: int
) -> tuple[np.ndarray, float]:
    """Return the latents whose decoded masks break no rule, and their share.

    Parameters
    ----------
    prior
        A fitted prior.
    rules
        A set of rules of slices.
    n_draws
        Draws of the Parzen density beside the training latents.
    random_state
        Seed of the draws.

    Raises
    ------
    RadlatentError
        Not one latent decodes to a valid mask.

    Notes
    -----
    The published procedure draws five million and keeps about four. To judge so many
    would take hours, so that the corrector draws 5,000 by default.

    References
    ----------
    Painchaud et al. 2020, doi:10.1109/TMI.2020.3003240
    """
    latents = prior.latents_
    if n_draws:
        drawn = draw_latents(latents, prior.bandwidth_, n_draws, random_state)
        latents = np.concatenate([latents, drawn])
    kept = np.concatenate(
        [
            _decoded_valid(prior, rules, part)
            for part in np.array_split(latents, -(-len(latents) // 512))
        ]
    )
    if not kept.any():
        msg = (
            f"not one of {len(kept)} latents decodes to a mask that keeps the rules "
            f"{rules.name!r}. Train the prior for more epochs, or on more masks."
        )
        raise RadlatentError(msg)
    return latents[kept].astype(np.float32), float(kept.mean())


def _decoded_valid(prior, rules, latents):
    spacing_mm, maps = prior.frame_.spacing_mm, prior.decode(latents)
    finer = _FINER if spacing_mm > _FINE_MM else 1
    if finer > 1:
        maps = F.interpolate(
            maps, scale_factor=finer, mode="bilinear", align_corners=False
        )
    structures = {name: k for k, name in enumerate(prior.structures_, start=1)}
    pixel = spacing_mm / finer
    legend = {"structures": structures, "spacing_mm": (pixel, pixel)}
    planes = classes_of(maps)
    broken = broken_rules(planes, rules, **legend)
    return ~broken.any(axis=1) & planes.any(axis=(1, 2))
