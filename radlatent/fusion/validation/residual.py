"""Components and residuals of tables, fitted on the training patients of each fold.

**features** tables, or one a fold, and splits enter; the same with fewer columns, side
by side, or without what one predicts of the other, leave. A fold has its own table.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from radlatent.features.folded import FoldedFeatures
from radlatent.features.join import join
from radlatent.features.origin import blocks_of, keep_origins
from radlatent.schema import split_column

__all__ = ["narrowed", "residual", "side_by_side"]

#: More columns are looked at through components: at most so many, one for 8 patients.
_MOST_COLUMNS, _MOST_COMPONENTS, _PATIENTS_EACH = 64, 32, 8

_Features = pd.DataFrame | FoldedFeatures
_Splits = dict[tuple[int, int], tuple[list[str], list[str]]]


def narrowed(features: _Features, splits: _Splits) -> _Features:
    """Return features of at most 64 columns as they are, of more their components.

    Parameters
    ----------
    features
        Of patients.
    splits
        (repeat, fold) to the training and the test patients.
    """
    if len(features.columns) <= _MOST_COLUMNS:
        return features
    fewest = min(len(train) for train, _ in splits.values())
    n = max(1, min(_MOST_COMPONENTS, fewest // _PATIENTS_EACH))
    block = split_column(str(features.columns[0]))[0]
    names = [f"{block}__component{k:03d}" for k in range(n)]

    def components(table, train):
        steps = make_pipeline(*_filled_and_scaled(), PCA(n, svd_solver="full"))
        steps.fit(_with_values(table.loc[train]).to_numpy())
        found = pd.DataFrame(steps.transform(table.to_numpy()), table.index, names)
        found[table.isna().all(axis=1)] = np.nan
        return keep_origins(found, table)

    return _by_fold(components, splits, (features,), (block,))


def side_by_side(one: _Features, two: _Features, splits: _Splits) -> _Features:
    """Return two sides joined; the patients are those that both have."""
    folded = [side for side in (one, two) if isinstance(side, FoldedFeatures)]
    if not folded:
        return join(one, two)
    blocks = tuple(block for side in folded for block in side.fitted_blocks)
    return _by_fold(lambda a, b, train: join(a, b), splits, (one, two), blocks)


def residual(
    handcrafted: _Features, embedding: _Features, splits: _Splits
) -> FoldedFeatures:
    """Return what ridge regression on hand-crafted features does not predict.

    Parameters
    ----------
    handcrafted, embedding
        Of the same patients.
    splits
        (repeat, fold) to the training and the test patients.

    Returns
    -------
    FoldedFeatures
        Blocks ``<block>_residual``. Residuals of training patients are of five inner
        fits on the others of them; fitted ones would be smaller than those of tested
        patients.
    """
    blocks = tuple(f"{block}_residual" for block in blocks_of(_first(embedding)))
    return _by_fold(_without_known, splits, (handcrafted, embedding), blocks)


def _first(side):
    return (
        next(iter(side.tables.values())) if isinstance(side, FoldedFeatures) else side
    )


def _by_fold(function: Callable, splits, sides, blocks):
    """Return what a function makes of the tables of each fold and who trains there."""
    tables, fitted_on = {}, {}
    for key, (train, _) in splits.items():
        parts = [s.at(*key) if isinstance(s, FoldedFeatures) else s for s in sides]
        tables[key], fitted_on[key] = function(*parts, train), train
    return FoldedFeatures(tables, fitted_on, blocks)


def _without_known(known, embedding, train):
    fill = SimpleImputer(strategy="median", keep_empty_features=True)
    fill.fit(embedding.loc[train].to_numpy())
    values = pd.DataFrame(fill.transform(embedding.to_numpy()), embedding.index)
    given = pd.DataFrame(known.to_numpy(), known.index).reindex(values.index)
    train = _with_values(embedding.loc[train]).index
    about = given.loc[train], values.loc[train]
    predicted = pd.DataFrame(_columns(_ridge().fit(*about).predict(given)), given.index)
    inner = KFold(5, shuffle=True, random_state=0)
    predicted.loc[train] = _columns(cross_val_predict(_ridge(), *about, cv=inner))
    names = ["{}_residual__{}".format(*split_column(str(c))) for c in embedding]
    # a median minus a prediction would tell of hand-crafted features
    found = (values - predicted).where(embedding.notna().to_numpy())
    return keep_origins(found.set_axis(names, axis=1), embedding, known)


def _with_values(table):
    """Return the rows of cases that the network did not fail on."""
    return table.dropna(how="all")


def _columns(predicted):
    # of one column a vector leaves ridge regression
    return np.asarray(predicted).reshape(len(predicted), -1)


def _filled_and_scaled():
    return SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()


def _ridge() -> Pipeline:
    penalties = np.logspace(-2, 4, 13)
    return make_pipeline(
        *_filled_and_scaled(), RidgeCV(penalties, alpha_per_target=True)
    )
