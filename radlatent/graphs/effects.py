"""What each lesion does to a prediction: the model is asked again without it.

A fitted model and a table of `LesionGraphs.table` enter; a row a lesion leaves.
"""

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist
from sklearn.base import BaseEstimator

from radlatent.errors import SchemaError
from radlatent.graphs.sets import BLOCK, PLACE, lesion_column, read_sets
from radlatent.imaging import Volume

__all__ = ["draw_effects", "lesion_effects"]


def lesion_effects(
    fitted: BaseEstimator, features: pd.DataFrame, *, positive: object = None
) -> pd.DataFrame:
    """Return how much each lesion moves the prediction of its patient.

    Parameters
    ----------
    fitted
        A fitted model of sets of lesions.
    features
        A table of `LesionGraphs.table` with the columns it was fitted on.
    positive
        The class whose probability counts; None is the last one, and of survival
        the risk counts.

    Returns
    -------
    DataFrame
        ``patient_id``, ``lesion`` (its number in the table), ``x_mm``, ``y_mm``,
        ``z_mm``, ``prediction`` (with all lesions) and ``effect``: the prediction less
        that without the lesion.

    Raises
    ------
    SchemaError
        There is no such class.

    Notes
    -----
    Without a lesion, number and Dmax are those of the others. Two lesions that matter
    only together have an effect each: effects do not sum to the prediction.
    """
    sets, predict = read_sets(features), _predictor(fitted, positive)
    whole, parts = predict(features), []
    for slot in range(sets.is_there.shape[1]):
        rows = np.flatnonzero(sets.is_there[:, slot])
        if not len(rows):
            continue
        left = sets.is_there[rows].copy()
        left[:, slot] = False
        spread = [
            pdist(sets.places[row][kept]).max(initial=0)
            for row, kept in zip(rows, left, strict=True)
        ]
        without = features.iloc[rows].copy()
        of_lesion = [c for c in without if c.endswith(lesion_column("", slot + 1))]
        without[of_lesion] = np.nan
        without[f"{BLOCK}__n_lesions"] = left.sum(1).astype(float)
        without[f"{BLOCK}__dmax_mm"] = spread
        part = {"patient_id": features.index[rows], "lesion": slot + 1}
        part |= dict(zip(PLACE, sets.places[rows, slot].T, strict=True))
        part |= {"prediction": whole[rows], "effect": whole[rows] - predict(without)}
        parts.append(pd.DataFrame(part))
    columns = ["patient_id", "lesion", *PLACE, "prediction", "effect"]
    if not parts:
        return pd.DataFrame(columns=columns)
    found = pd.concat(parts).sort_values(["patient_id", "lesion"], kind="stable")
    return found.reset_index(drop=True)


def draw_effects(effects: pd.DataFrame, volume: Volume, ax=None):
    """Draw the lesions of a patient on the maximum-intensity projection of the image.

    Parameters
    ----------
    effects
        Rows of one patient, from `lesion_effects`.
    volume
        The image, whose axes are those of the world, in any order of its rows and
        slices: seen from the front.
    ax
        Where to draw, None for the current Axes.

    Returns
    -------
    matplotlib.axes.Axes
        As of ``figures.lesion_map``.

    Raises
    ------
    SchemaError
        The image is oblique: its slices are no transverse planes.
    """
    from radlatent import figures

    turned = np.abs(volume.direction)
    if not np.allclose(turned, np.eye(3)[::-1], atol=1e-3):
        msg = (
            "draw_effects: the axes of the image are not those of the world "
            f"(direction {volume.direction.round(3).tolist()}). Bring it onto a grid "
            "of transverse slices, or draw without it: figures.lesion_map."
        )
        raise SchemaError(msg)
    projection = volume.array.max(axis=1)
    last = np.array(volume.shape) - 1
    # edges of voxels, not their centers
    ends = volume.to_world(np.stack([-0.5 * np.ones(3), last + 0.5]))
    (left, _, low), (right, _, high) = ends
    if left > right:
        projection, left, right = projection[:, ::-1], right, left
    if low > high:
        projection, low, high = projection[::-1], high, low
    told = {"projection": projection, "extent_mm": (left, right, low, high)}
    return figures.lesion_map(effects, ax, **told)


def _predictor(fitted, positive):
    if not hasattr(fitted, "predict_proba"):
        return fitted.predict
    classes = fitted.classes_.tolist()
    if positive is not None and positive not in classes:
        raise SchemaError(f"positive={positive!r} is not one of {classes}.")
    at = -1 if positive is None else classes.index(positive)
    return lambda X: fitted.predict_proba(X)[:, at]
