"""A study file to begin with.

The folder of a cohort enters; a study file that runs as it stands appears, with what
else it could say in comments.
"""

import json
import os
from pathlib import Path

from radlatent.cohort import Cohort, Endpoint
from radlatent.errors import CohortError, SchemaError
from radlatent.fusion import FAMILIES, make_folds
from radlatent.outputs import check_file, replace_text

__all__ = ["draft_study"]

_TEXT = """\
# A question that {name} can answer. It runs as it stands:
#   radlatent run {file} --out {stem}
# What else may be said: docs/study.md. Paths start from the folder of this file.
title: {title}
cohort: {cohort}

# What is predicted, one of the endpoints of cohort.yml: {endpoints}
endpoint: {endpoint}

# How the cases of a patient become one row: pivot (columns for each lesion_id),
# largest, hottest, volume_weighted_mean or sum
aggregate: {aggregate}
{volume}
# Presets are those of cohort.yml; a parameter file, or one a modality, goes before
# settings: {{{modality}: settings.yaml}}

# What is fitted, one model a line. Families for an endpoint of kind {kind}:
# {families}
# n_features is how many columns are kept, chosen inside each fold.
models:
{models}
# A model a block, stacked:
#   - {{model: {family}, late: true, blocks: {blocks}}}

# The model that all others are compared with, from 1
compare_with: 1

# Patients are dealt to folds by class, event or similar numbers. 10 repeats are usual,
# 1 is a first look
folds: {{n_folds: {n_folds}, n_repeats: 1, random_state: 0}}
# Where sites are known, each can be tested by models of the others:
# folds: {{leave_site_out: true}}

# An encoder in every fold: block {modality}_latent. Needs radlatent[deep].
# latent:
#   modalities: [{modality}]
#   size_mm: [64, 64, 64]      # z, y, x of the box around a lesion
#   spacing_mm: [4, 4, 4]
#   n_latent: 8

# Performance by group of patients, with a test of interaction
# subgroups: [{{by: site}}, {{by: age, cuts: [50, 65]}}]

# Permutations that tell what each block is worth; permuted outcomes of the last model
# importance: 5
# permutations: 100
"""


def draft_study(
    cohort: str | Path, out: str | Path, *, root: str | Path | None = None
) -> Path:
    """Write a study file for a cohort, with comments, to be edited and run.

    Parameters
    ----------
    cohort
        Folder of the cohort.
    out
        The study file, ``.yml`` or ``.yaml``; one that exists is left alone.
    root
        Folder of the images, instead of the one in ``cohort.yml``.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    CohortError
        The cohort needs mending, or has no endpoint that folds can be made for.
    FileExistsError
        The file is there.
    SchemaError
        The file ends otherwise.
    """
    folder, out = Path(cohort), Path(out)
    if out.suffix not in (".yml", ".yaml"):
        msg = f"{str(out)!r}: a study file ends in .yml or .yaml."
        raise SchemaError(msg)
    check_file(out)
    if out.exists():
        msg = f"{out} is there and may have been edited: give another file."
        raise FileExistsError(msg)
    about = Cohort.read(folder, root=root)
    endpoint, n_folds = _usable(about)
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_text(out, _text(about, _relative(folder, out), out, endpoint, n_folds))
    return out


def _usable(cohort: Cohort) -> tuple[Endpoint, int]:
    """Return the first endpoint with enough patients of each kind, and for how many."""
    faults = []
    for name in cohort.card.endpoints:
        for n_folds in (5, 4, 3, 2):
            try:
                endpoint = cohort.endpoint(name)
                make_folds(endpoint, n_folds=n_folds, n_repeats=1)
            except (CohortError, SchemaError) as error:
                fault = f"{name}: {error}"
                continue
            return endpoint, n_folds
        faults.append(fault)
    said = " ".join(faults) or "name the columns of endpoints.csv in cohort.yml."
    msg = f"cohort {cohort.name!r} has no endpoint that models can be tested on: {said}"
    raise CohortError(msg)


def _text(cohort, place, out, endpoint, n_folds):
    families = FAMILIES[endpoint.kind]
    family, modalities = next(iter(families)), list(cohort.modalities)
    measured = [f"{modality}_handcrafted" for modality in modalities]
    choices = [[block] for block in measured]
    if cohort.clinical().shape[1]:
        choices = [["clinical"], *choices, ["clinical", *measured]]
    elif len(measured) > 1:
        choices.append(measured)
    aggregate = _aggregate(cohort.included)
    column = f"volume: {measured[0]}__original_shape_VoxelVolume\n"
    return _TEXT.format(
        name=" ".join(cohort.name.split()),
        file=out.name,
        stem=out.stem,
        title=json.dumps(f"{endpoint.name} of {cohort.name}", ensure_ascii=False),
        cohort=json.dumps(place, ensure_ascii=False),
        endpoints=", ".join(cohort.card.endpoints),
        endpoint=json.dumps(endpoint.name, ensure_ascii=False),
        aggregate=aggregate,
        volume=column if aggregate == "largest" else "",
        modality=modalities[0],
        kind=endpoint.kind,
        families=", ".join(families),
        family=family,
        models="\n".join(_model(family, blocks) for blocks in choices),
        blocks=f"[{', '.join(choices[-1])}]",
        n_folds=n_folds,
    )


def _model(family, blocks):
    kept = "" if blocks == ["clinical"] else ", options: {n_features: 10}"
    return f"  - {{model: {family}, blocks: [{', '.join(blocks)}]{kept}}}"


def _aggregate(cases):
    """Return "pivot" where patients have the same lesions, else "largest"."""
    keys = [key for key in ("patient_id", "timepoint") if key in cases]
    visits = cases.groupby(keys, dropna=False)
    if visits.size().max() == 1:
        return "pivot"
    # structures of an organ: the same names in everybody
    names = cases.get("lesion_id")
    if names is None or names.isna().any():
        return "largest"
    same = cases.groupby("patient_id")["lesion_id"].agg(frozenset).nunique() == 1
    twice = cases.duplicated([*keys, "lesion_id"]).any()
    return "pivot" if same and not twice else "largest"


def _relative(folder, out):
    try:
        return Path(os.path.relpath(folder.resolve(), out.resolve().parent)).as_posix()
    except ValueError:  # another drive on Windows
        return folder.resolve().as_posix()
