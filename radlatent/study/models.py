"""The models of a study: from its words to predictions.

A ``ModelSpec`` and features by patient enter; unfitted models and results leave.
"""

import inspect
import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd
from sklearn.base import BaseEstimator

from radlatent.errors import SchemaError
from radlatent.fusion import (
    FAMILIES,
    Combat,
    Result,
    cross_validate,
    late_fusion,
    tune,
)
from radlatent.schema import nearest
from radlatent.study.patients import Patients
from radlatent.study.plan import ModelSpec
from radlatent.study.work import Work

__all__ = ["build", "steps_of", "tell_origin", "validate"]

_log = logging.getLogger(__name__)


def build(spec: ModelSpec, kind: str, sites: pd.Series) -> BaseEstimator:
    """Return the unfitted model that a study names.

    Parameters
    ----------
    spec
        The model.
    kind
        Of the endpoint.
    sites
        Site of each patient, for `Combat`.

    Raises
    ------
    SchemaError
        The family is not for such an endpoint, an option or a setting of the grid is
        not known, or the table of ICCs cannot be read.
    """
    families = FAMILIES[kind]
    if spec.model not in families:
        msg = (
            f"model {spec.label!r}: {spec.model!r} is not for an endpoint of kind "
            f"{kind!r}; these are: {list(families)}."
        )
        raise SchemaError(msg)
    builder = families[spec.model]
    known = inspect.signature(builder).parameters
    for option in spec.options.keys() - known.keys():
        msg = (
            f"model {spec.label!r}: unknown option {option!r}{nearest(option, known)} "
            f"(known are {list(known)})."
        )
        raise SchemaError(msg)
    options, prepare = dict(spec.options), {}
    if spec.combat:
        prepare["combat"] = Combat(sites, unseen=spec.combat)
    if spec.stability:
        prepare["stability"] = _read_iccs(spec)
    if prepare:
        options["prepare"] = options.get("prepare", {}) | prepare
    model = builder(**options)
    if spec.late:
        model = late_fusion(dict.fromkeys(spec.blocks, model))
    return tune(model, spec.grid) if spec.grid else model


def _read_iccs(spec):
    path = Path(spec.stability)
    read = pd.read_parquet if path.suffix == ".parquet" else pd.read_csv
    try:
        return read(path)
    except (OSError, ValueError) as error:
        msg = f"model {spec.label!r}: stability {spec.stability!r}: {error}"
        raise SchemaError(msg) from error


def steps_of(model: BaseEstimator) -> list[str]:
    """Return what a model does in each fold, one text a step."""
    model = getattr(model, "estimator", model)  # of a search
    blocks = list(getattr(model, "models", {}).values())
    found = getattr(blocks[0] if blocks else model, "steps", [("", model)])
    told = [" ".join(str(step).split()) for _, step in found]
    return [*told, f"stacked over {len(blocks)} blocks"] if blocks else told


def validate(work: Work, patients: Patients) -> list[Result]:
    """Return the result of every model of a study."""
    results = []
    for spec in work.plan.models:
        _log.info("%s on %s", spec.label, spec.told)
        features = patients.select(spec.blocks)
        model = build(spec, work.endpoint.kind, work.sites)
        names = {"name": spec.label, "blocks": spec.told, "jobs": work.jobs}
        found = cross_validate(model, features, work.endpoint, work.folds, **names)
        results.append(tell_origin(work, found))
    return results


def tell_origin(work: Work, result: Result) -> Result:
    """Return a result whose fits do not call measured what a user declares.

    Of a study of tables ``origin`` is "declared" or "not told": nobody here saw how the
    numbers, and the covariates, came about.
    """
    if work.given is None:
        return result
    words = result.fits["origin"].str.replace("measured", "declared")
    return replace(result, fits=result.fits.assign(origin=words))
