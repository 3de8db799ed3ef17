"""Where the lesions of a cohort lie in the patient.

A cohort enters, a table of places in mm leaves; only masks are read.
"""

import numpy as np
import pandas as pd

from radlatent.cohort import Cohort
from radlatent.errors import CohortError, SchemaError
from radlatent.features.origin import mark_in_sample
from radlatent.imaging import forget_pair, read_pair, region_of
from radlatent.parallel import Shared, map_tasks
from radlatent.schema import nearest

__all__ = ["lesion_centroids"]


def lesion_centroids(
    cohort: Cohort,
    modality: str,
    *,
    jobs: int | None = None,
) -> pd.DataFrame:
    """Return the centroid of the mask of every included case.

    Parameters
    ----------
    cohort
        The cohort.
    modality
        Whose masks are read.
    jobs
        Processes, as in `extract`.

    Returns
    -------
    DataFrame
        Index ``case_id``; ``x_mm``, ``y_mm``, ``z_mm``: the mean position of the
        centers of the voxels of the lesion in world coordinates (LPS: to the left, to
        the back, to the head). NaN where a case lacks the modality.

    Raises
    ------
    SchemaError
        The cohort has no such modality, or its pixel size is unknown.
    CohortError
        With every mask that could not be read, or does not hold its lesion.

    Notes
    -----
    Without a ``mask_label`` every voxel above 0 is the lesion. The distance of two
    lesions of a patient needs masks of one scan; grids may differ.

    Examples
    --------
    >>> lesion_centroids(getfixture("tiny_cohort"), "pet").loc["p1"].tolist()
    [30.0, 30.0, 30.0]
    """
    if modality not in cohort.modalities:
        known = list(cohort.modalities)
        msg = f"cohort {cohort.name!r} has no modality {modality!r}"
        raise SchemaError(f"{msg}{nearest(modality, known)} (it has {known}).")
    cohort.check_in_mm(modality, "a centroid")
    tasks = {}
    for case_id, label in cohort.included["mask_label"].items():
        files = cohort.files(case_id, modality)
        if files is not None:
            tasks[case_id] = files[1], region_of(label), case_id
    shared = Shared(lambda case_id: tasks[case_id][0], forget_pair)
    outcome = map_tasks(
        _centroid, tasks, jobs=jobs, description="Locating lesions", shared=shared
    )
    if outcome.failures:
        told = "; ".join(message for _, message in outcome.failures.values())
        msg = f"{len(outcome.failures)} lesions cannot be located: {told}"
        raise CohortError(msg)
    columns = ["x_mm", "y_mm", "z_mm"]
    places = pd.DataFrame.from_dict(outcome.results, "index", float, columns)
    places = places.reindex(cohort.included.index.rename("case_id"))
    return mark_in_sample(places, cohort.located)


def _centroid(path, label, case_id):
    # the mask in the place of the image: the reader keeps it for the next lesion
    _, mask = read_pair(path, path, mask_label=label, case_id=case_id)
    # the place of the mean index is the mean of the places: a grid is affine
    center = np.argwhere(mask.array).mean(axis=0, keepdims=True)
    return mask.to_world(center)[0].tolist()
