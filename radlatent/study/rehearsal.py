"""The path walked on noise, so that faults show before the long work.

A `Work` enters; a message leaves, or nothing.
"""

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.fusion import check_inputs, outcome_of
from radlatent.handcrafted import empty_features
from radlatent.study import latents, models
from radlatent.study.external import check_columns
from radlatent.study.images import measure_heart
from radlatent.study.patients import gather
from radlatent.study.work import Work

__all__ = ["rehearse"]


def rehearse(work: Work, walls: pd.DataFrame) -> None:
    """Walk the path with features that are missing, and fit the models on noise.

    Parameters
    ----------
    work
        The run.
    walls
        As for `radlatent.study.patients.gather`: they take seconds, and are measured.

    Raises
    ------
    SchemaError
        A stage cannot take what the study says, or a model cannot be built or fitted
        on these columns.
    """
    features, latent = _empty(work), None
    if work.plan.latent:
        latents.encoder_of(work.plan.latent)
        latents.handcrafted_of(work.plan.latent, features)
        latent = _latent_noise(work, features.index)
    patients = gather(work, features, walls, _nowhere(features), latent)
    if work.external:
        _rehearse_there(work, walls, features)
    endpoint, rng = work.endpoint, np.random.default_rng(0)
    for spec in work.plan.models:
        chosen = patients.select(spec.blocks)
        check_inputs(chosen, endpoint, work.folds)
        noise = _noise(rng, chosen.index, chosen.columns)
        try:
            model = models.build(spec, endpoint.kind, work.sites)
            model = model.estimator if spec.grid else model
            model.fit(noise.loc[endpoint.frame.index], outcome_of(endpoint))
        except (TypeError, ValueError) as error:
            msg = f"model {spec.label!r} with options {spec.options}: {error}"
            raise SchemaError(msg) from error


def _rehearse_there(work, walls, features):
    """Raise where the models could not predict the patients of the other cohort."""
    there = work.external
    heart, empty = measure_heart(there), _empty(there)
    sides = []
    for one, table, wall in ((work, features, walls), (there, empty, heart.features)):
        latent = None
        if work.plan.latent:
            columns = latents.columns_of(work.plan.latent)
            latent = pd.DataFrame(0.0, table.index, columns)
        sides.append(gather(one, table, wall, _nowhere(table), latent))
    check_columns(work, *sides)


def _empty(work):
    """Return features before they are measured; those of tables are there."""
    if work.given:
        return work.given.of_cases
    return empty_features(work.cohort, work.settings)


def _nowhere(features):
    return pd.DataFrame(np.nan, features.index, ["x_mm", "y_mm", "z_mm"])


def _latent_noise(work, index):
    """Return latent features by case and fold, of encoders that were not fitted."""
    columns = latents.columns_of(work.plan.latent)
    table = _noise(np.random.default_rng(0), index, columns)
    owners = set(work.cohort.included["patient_id"])
    fitted_on = {
        key: sorted(owners - set(part["patient_id"]))
        for key, part in work.folds.groupby(["repeat", "fold"])
    }
    return FoldedFeatures(dict.fromkeys(fitted_on, table), fitted_on)


def _noise(rng, index, columns):
    shape = (len(index), len(columns))
    return pd.DataFrame(rng.standard_normal(shape), index, columns)
