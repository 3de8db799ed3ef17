"""The Ranking of the PET latent-space report, in our reading.

Reconstructions enter; the rank of every case in its pool leaves.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.latent.results import Reconstructions

__all__ = ["Ranking", "ranking"]

#: Voxels in float64 at a time.
_VOXELS = 2**16

#: Distances that are nearer than this, relative to their terms, are computed again
#: without the products, whose rounding would break ties.
_NEAR = 1e-9

_DEFINITION = (
    "our reading: 1 + number of other originals of the pool that are nearer to the "
    "reconstruction than its own, by the mean squared error over the mask of the case; "
    "strict <, posterior mean decoded"
)


@dataclass(frozen=True, eq=False, repr=False)
class Ranking:
    """How well each case is told apart from the others by its reconstruction.

    Parameters
    ----------
    ranks
        By ``case_id``; 1 where no other original is nearer.

    Notes
    -----
    Where every rank is 1 the ranking is saturated: it tells neither encoders nor
    settings apart.
    """

    ranks: pd.Series

    @property
    def summary(self) -> pd.DataFrame:
        """One row: mean and standard deviation (ddof 0), beside pool size and chance.

        ``share_first`` is the share of cases of rank 1; ``chance`` the mean rank of
        guessing, (n_cases + 1) / 2.
        """
        n = len(self.ranks)
        row = {
            "mean": self.ranks.mean(),
            "standard_deviation": self.ranks.std(ddof=0),
            "worst": self.ranks.max(),
            "share_first": (self.ranks == 1).mean(),
            "n_cases": n,
            "chance": (n + 1) / 2,
            "saturated": bool((self.ranks == 1).all()),
            "definition": _DEFINITION,
        }
        return pd.DataFrame([row])

    def plot(self, ax=None, **kwargs):
        """Draw how many cases have each rank on ``ax`` and return it."""
        from radlatent import figures

        return figures.ranking(self.ranks, ax, **kwargs)

    def __repr__(self) -> str:
        row = self.summary.iloc[0]
        text = (
            f"Ranking(our reading: {row['mean']:.2f} ± {row['standard_deviation']:.2f} "
            f"in a pool of {row['n_cases']}, chance {row['chance']:g}"
        )
        return f"{text}; saturated, uninformative)" if row["saturated"] else f"{text})"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def ranking(reconstructions: Reconstructions) -> Ranking:
    """Rank the original of each case among all by its distance to the reconstruction.

    Parameters
    ----------
    reconstructions
        The pool: every case of it, those of one patient included. Give the cases of
        one split.

    Raises
    ------
    SchemaError
        The pool has fewer than two cases.

    Notes
    -----
    ``rank_i = 1 + #{j != i : d(decoded_i, original_j) < d(decoded_i, original_i)}``
    with the mean squared error over the mask of case i, for every j: the decoder is
    taught nothing outside of it, and distances over one set of voxels are comparable.
    There an original of another shape is 0, the mean. The strict "<" ranks ties best.

    This is **our reading** of the Ranking of the PET latent-space report (Ourahou
    2023), which does not define it; it agrees with the report's best value 1, standard
    deviation 0.
    """
    n = len(reconstructions.cases)
    if n < 2:
        msg = f"the pool has {n} cases; a rank needs two or more."
        raise SchemaError(msg)
    decoded, originals, masks = (
        getattr(reconstructions, name).reshape(n, -1)
        for name in ("decoded", "originals", "masks")
    )
    relative, scale = _relative_distances(decoded, originals, masks)
    own = np.diag(relative)[:, None]
    nearer = relative < own
    close = np.abs(relative - own) <= _NEAR * (scale + np.abs(own))
    np.fill_diagonal(close, False)
    for i, j in np.argwhere(close):
        other, mine = (
            (masks[i] * (decoded[i].astype(float) - originals[k]) ** 2).sum()
            for k in (j, i)
        )
        nearer[i, j] = other < mine
    np.fill_diagonal(nearer, False)
    index = reconstructions.cases.index
    return Ranking(pd.Series(1 + nearer.sum(axis=1), index, name="rank"))


def _relative_distances(decoded, originals, masks):
    """Return masked sums of squares without the decoded image's own, and that."""
    n = len(decoded)
    relative, scale = np.zeros((n, n)), np.zeros((n, 1))
    for start in range(0, decoded.shape[1], _VOXELS):
        part = slice(start, start + _VOXELS)
        y, x, mask = (a[:, part].astype(float) for a in (decoded, originals, masks))
        relative += mask @ (x**2).T - 2 * (mask * y) @ x.T
        scale += (mask * y**2).sum(axis=1, keepdims=True)
    return relative, scale
