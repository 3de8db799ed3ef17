"""How well single latents tell single attributes: arrays enter, a table leaves.

The measures are those of Pati & Lerch 2021 (arXiv:2004.05485), as their public code
has them: interpretability (Adel et al. 2018), mutual-information gap (Chen et al.
2018), modularity (Ridgeway & Mozer 2018) and the Spearman correlation (SCC).
"""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.feature_selection import mutual_info_regression

from radlatent.errors import SchemaError

__all__ = ["interpretability", "latent_correlations"]

#: Correlations with a larger p count as none.
_LEVEL = 0.05


def latent_correlations(
    latents: pd.DataFrame | np.ndarray, attributes: pd.DataFrame
) -> pd.DataFrame:
    """Return Spearman's correlation of every latent with every attribute.

    Parameters
    ----------
    latents
        Shape (n, n_latent); columns may be named.
    attributes
        Shape (n, n_attributes); rows with NaN are left out of their column.

    Returns
    -------
    pandas.DataFrame
        A row a latent, a column an attribute. Where the first latents are bound to the
        attributes, the rest of their rows is what leaks.
    """
    names, z = _latents(latents, attributes)
    rows = np.empty((len(names), attributes.shape[1]))
    for column, name in enumerate(attributes):
        values = attributes[name].to_numpy(np.float64)
        known = np.isfinite(values)
        for row in range(len(names)):
            rows[row, column] = spearmanr(z[known, row], values[known])[0]
    return pd.DataFrame(rows, pd.Index(names, name="latent"), attributes.columns)


def interpretability(
    latents: pd.DataFrame | np.ndarray,
    attributes: pd.DataFrame,
    *,
    random_state: int = 0,
) -> pd.DataFrame:
    """Return the published measures of interpretability of a latent space.

    Parameters
    ----------
    latents
        Shape (n, n_latent); columns may be named.
    attributes
        Shape (n, n_attributes), without NaN.
    random_state
        Of the noise by which mutual information is estimated.

    Returns
    -------
    pandas.DataFrame
        Index the attributes and ``all``. ``latent``: which tells most of the attribute;
        ``interpretability``: R2 of the line through it; ``mig``: its mutual information
        less that of the next, over the entropy of the attribute; ``scc``: the largest
        absolute Spearman correlation of a latent, 0 where p is above 0.05. ``all`` has
        the means, and ``modularity``, which is of latents.

    Raises
    ------
    SchemaError
        Rows differ, attributes have gaps, or there are fewer than two latents.

    Notes
    -----
    Mutual information is estimated by nearest neighbors (scikit-learn), the entropy as
    that of the attribute with itself. Modularity is 1 where each latent tells one
    attribute, and 0 where it tells all alike; latents that tell nothing count as 0.
    """
    names, z = _latents(latents, attributes)
    if attributes.isna().any(axis=None) or len(names) < 2:
        msg = (
            f"{int(attributes.isna().any(axis=1).sum())} rows lack an attribute, "
            f"{len(names)} latents: leave out such rows, and give two latents or more."
        )
        raise SchemaError(msg)
    values, seed = attributes.to_numpy(np.float64), {"random_state": random_state}
    columns = range(values.shape[1])
    shared = np.stack(
        [mutual_info_regression(z, values[:, k], **seed) for k in columns], axis=1
    )
    entropy = np.array(
        [
            mutual_info_regression(values[:, [k]], values[:, k], **seed)[0]
            for k in columns
        ]
    )
    best, ordered = shared.argmax(axis=0), np.sort(shared, axis=0)
    rows = {
        "latent": [names[k] for k in best],
        "interpretability": [
            np.corrcoef(z[:, best[k]], values[:, k])[0, 1] ** 2 for k in columns
        ],
        "mig": (ordered[-1] - ordered[-2]) / entropy,
        "scc": [_largest_correlation(z, values[:, k]) for k in columns],
    }
    table = pd.DataFrame(rows, attributes.columns.rename("attribute"))
    means = table.drop(columns="latent").mean()
    table.loc["all", means.index] = means
    table["modularity"] = np.nan
    table.loc["all", "modularity"] = _modularity(shared)
    return table


def _latents(latents, attributes):
    table = pd.DataFrame(latents)
    if len(table) != len(attributes):
        msg = f"{len(table)} rows of latents, but {len(attributes)} of attributes."
        raise SchemaError(msg)
    return [*table.columns], table.to_numpy(np.float64)


def _largest_correlation(z, values):
    found = [spearmanr(one, values) for one in z.T]
    return max(abs(one[0]) if one[1] <= _LEVEL else 0.0 for one in found)


def _modularity(shared):
    squares = shared**2
    most = squares.max(axis=1)
    tells = most > 0
    spread = squares.sum(axis=1) - most
    scores = np.zeros(len(most))
    n = max(squares.shape[1] - 1, 1)
    scores[tells] = 1 - spread[tells] / (most[tells] * n)
    return scores.mean()
