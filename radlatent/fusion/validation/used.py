"""Which columns a fitted model looks at, and blocks that no fit looks at.

Fitted models and the features they were fitted on enter; counts by block leave, and a
warning where a block is in a table but never in a model.
"""

import json
import logging

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from radlatent.features.origin import blocks_of

__all__ = ["columns_used", "log_unused"]

_log = logging.getLogger(__name__)


def columns_used(fitted: BaseEstimator, features: pd.DataFrame) -> str:
    """Return how many columns of each block a fitted model looks at, as JSON.

    Parameters
    ----------
    fitted
        A fitted model; of a search, its best one.
    features
        The **features** table that it was fitted on.

    Returns
    -------
    str
        Block to number, all blocks of the table among them; "" of a model that does not
        tell, as one that mixes columns. A column counts that enters the last step and
        whose coefficient, where there are coefficients, is not 0 in every class.
    """
    names = _names(getattr(fitted, "best_estimator_", fitted), features)
    if names is None:
        return ""
    counts = dict.fromkeys(blocks_of(features), 0)
    counts |= blocks_of(pd.DataFrame(columns=names))
    return json.dumps(counts)


def _names(fitted, features):
    names, last = list(features.columns), fitted
    if isinstance(fitted, Pipeline):
        last = fitted[-1]
        if len(fitted) > 1:
            try:
                names = list(fitted[:-1].get_feature_names_out())
            except (AttributeError, ValueError):  # a step of the user's names nothing
                return None
    if not set(names) <= set(features.columns):
        return None
    weights = getattr(last, "coef_", None)
    if weights is None:
        return names
    weights = np.atleast_2d(np.asarray(weights, dtype=float))
    if weights.shape[1] != len(names):
        return None
    kept = (weights != 0).any(axis=0)
    return [name for name, has in zip(names, kept, strict=True) if has]


def log_unused(fits: pd.DataFrame) -> None:
    """Log the blocks of a table of which no fit looked at a column.

    Parameters
    ----------
    fits
        Of a ``Result``, one model.
    """
    told = [json.loads(text) for text in fits["n_columns_used"] if text]
    if len(told) < len(fits) or not told:
        return
    unused = [block for block in told[0] if not any(one[block] for one in told)]
    # a model of one block that keeps nothing of it predicts the base rate: no news here
    if unused and len(told[0]) > 1:
        _log.warning(
            "model %r on %r: no column of blocks %s is in any of %d fits, so that "
            "the model is the one without them. That says nothing of what they could "
            "add: keep more columns (n_features), or use a model that keeps all.",
            *(fits["model"].iloc[0], fits["blocks"].iloc[0], unused, len(fits)),
        )
