"""Stability of features: a cohort is measured again and again, slightly perturbed.

A cohort and perturbations enter; a table leaves that says how well each feature tells
cases apart whichever perturbation it was measured under.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil, hypot
from pathlib import Path

import numpy as np
import pandas as pd

from radlatent.cohort import Cohort
from radlatent.errors import SchemaError
from radlatent.handcrafted.lesion import (
    Lesion,
    check_extent,
    measure_volumes,
    open_lesion,
    prepare_grids,
)
from radlatent.handcrafted.plan import plan
from radlatent.handcrafted.repeat.agreement import count_verdicts, icc
from radlatent.handcrafted.repeat.contours import NEAR_MM
from radlatent.handcrafted.repeat.perturb import (
    Perturbation,
    draw_perturbations,
    perturb,
)
from radlatent.handcrafted.results import (
    collect_failures,
    column_names,
    fill_values,
)
from radlatent.handcrafted.settings import Settings
from radlatent.imaging import bounding_box, crop, single_thread
from radlatent.parallel import map_tasks
from radlatent.provenance import content_key

__all__ = ["Stability", "measure_perturbed", "stability"]

#: Raised when the content of a kept result changes, so that old ones are not read.
_FORMAT = 1

#: A cubic spline at 12 voxels from an edge feels it by 1e-7; a shift moves by one more.
_SPLINE_VOXELS = 13


@dataclass(frozen=True, eq=False, repr=False)
class Stability:
    """How stable the features of a cohort are, and what that was found with.

    Parameters
    ----------
    table
        Two rows a feature column, as `icc` gives them.
    features
        One row a case and perturbation: ``case_id, perturbation`` and the feature
        columns; NaN where a value is missing.
    failures
        **failures** table: why.
    perturbations
        What was drawn: index ``perturbation``; the seed is one before each lesion was
        given its own.
    """

    table: pd.DataFrame
    features: pd.DataFrame
    failures: pd.DataFrame
    perturbations: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """Features a block and coefficient, by the verdict on the lower limit."""
        return count_verdicts(self.table)

    def __repr__(self) -> str:
        n_cases = self.features["case_id"].nunique()
        failed = self.failures["case_id"].nunique()
        return (
            f"Stability({n_cases} cases, {len(self.perturbations)} perturbations, "
            f"{self.features.shape[1] - 2} features, {failed} cases failed)"
        )

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def stability(
    cohort: Cohort | str | Path,
    *,
    root: str | Path | None = None,
    settings: str | Path | dict | Settings | Mapping | None = None,
    perturbations: int | Sequence[Perturbation] = 10,
    engine: str = "radlatent",
    jobs: int | None = None,
    cache: str | Path | None = None,
) -> Stability:
    """Measure every included case under each perturbation, and how well it agrees.

    Parameters
    ----------
    cohort, root, settings, engine, jobs, cache
        As in `extract`.
    perturbations
        Two or more, as `draw_perturbations` gives them, or how many to draw of all
        kinds.

    Returns
    -------
    Stability
        ``table``, ``features``, ``failures`` and ``perturbations``.

    Raises
    ------
    CohortError, SchemaError
        The cohort, the settings or the perturbations need mending.
    ImportError
        The engine is not installed.

    Notes
    -----
    Perturbations are the raters, cases the targets: ICC(2,1) speaks of perturbations
    like these, ICC(3,1) leaves out what one of them does to all cases alike. Noise,
    rims and supervoxels have a seed of their own for each lesion, from the content of
    its files; without it, cases would share their errors. A case without a value under
    one perturbation does not count for that feature: ``n`` says how many do. Lesions of
    one patient count as cases of their own, which makes intervals narrow.

    References
    ----------
    Zwanenburg et al. 2019, doi:10.1038/s41598-018-36938-4 (there ICC(1,1))

    Examples
    --------
    >>> cohort = getfixture("tiny_cohort")
    >>> drawn = draw_perturbations(2, kinds=["noise"])
    >>> shape = {"featureClass": {"shape": ["MeshVolume"]}}
    >>> found = stability(cohort, settings=shape, perturbations=drawn)
    >>> found.table["estimate"].tolist()  # two modalities, two coefficients
    [1.0, 1.0, 1.0, 1.0]
    """
    if isinstance(perturbations, int):
        perturbations = draw_perturbations(perturbations)
    drawn = [*perturbations]
    if len(drawn) < 2:
        msg = f"perturbations are {drawn}. Agreement needs two or more."
        raise SchemaError(msg)
    about = {"settings": settings, "engine": engine, "jobs": jobs, "cache": cache}
    work = plan(cohort, root=root, **about)
    keys, tasks = {}, {}
    for name, key in work.keys.items():
        lesion = work.lesions[name]
        files = work.hashes[lesion.image], work.hashes[lesion.mask]
        own = [each.for_lesion(*files, lesion.mask_label) for each in drawn]
        tasks[name] = (lesion, own)
        keys[name] = content_key(_FORMAT, key, [asdict(each) for each in own])
    outcome = map_tasks(
        measure_perturbed,
        tasks,
        jobs=jobs,
        keys=keys,
        cache=cache,
        description="Measuring perturbed lesions",
        shared=work.shared,
    )
    features = _features_table(work, outcome.results, len(drawn))
    failures = collect_failures(work, outcome, "stability", _missing)
    return Stability(icc(features), features, failures, _drawn_table(drawn))


def measure_perturbed(lesion: Lesion, perturbations: Sequence[Perturbation]) -> dict:
    """Return values of a lesion, a list a perturbation, as `measure_lesion` does.

    The files are read once. ``refused`` has number, error and message of perturbations
    without values: kept with the result, as only files and settings decide them.
    """
    with single_thread():
        image, mask, _ = prepare_grids(lesion, open_lesion(lesion))
        if lesion.settings.crops:
            box = _wide_box(mask, lesion.settings, perturbations)
            image, mask = crop(image, box), crop(mask, box)
        rows, refused = [], []
        for number, perturbation in enumerate(perturbations):
            try:
                moved = perturb(image, mask, perturbation)
                check_extent(lesion, moved[1])
                rows.append(measure_volumes(lesion, *moved))
            except ValueError as error:
                rows.append([None] * len(lesion.settings.names))
                refused.append([number, type(error).__name__, str(error)])
    return {"features": rows, "refused": refused}


def _wide_box(mask, settings, perturbations):
    """Return a box that holds whatever the perturbed lesion and its features look at.

    Values inside are those of the whole image, but for the noise, of which each box has
    its own.
    """
    tight, spacing_mm = bounding_box(mask), mask.spacing_mm
    half_voxels = [(part.stop - part.start) / 2 for part in tight]
    margins = settings.margin_voxels(spacing_mm)
    half_mm = [
        (half + margin + _SPLINE_VOXELS) * side + NEAR_MM
        for half, margin, side in zip(half_voxels, margins, spacing_mm, strict=True)
    ]
    if any(each.rotation_deg for each in perturbations):
        half_mm[1:] = [hypot(*half_mm[1:])] * 2
    wide = [
        ceil(mm / side - half)
        for mm, half, side in zip(half_mm, half_voxels, spacing_mm, strict=True)
    ]
    return settings.box_around(tight, spacing_mm, mask.shape, margin_voxels=wide)


def _features_table(work, results, n_times):
    case_ids = work.cohort.included.index
    who = {
        "case_id": np.repeat(case_ids.to_numpy(), n_times),
        "perturbation": np.tile(np.arange(n_times), len(case_ids)),
    }
    values = fill_values(case_ids, work.settings, results, n_times)
    features = pd.DataFrame(values, columns=column_names(work.settings))
    return pd.concat([pd.DataFrame(who), features], axis=1)


def _missing(lesion, result):
    """Yield error and message of perturbations that failed, then of missing values."""
    for number, error, message in result["refused"]:
        yield error, f"perturbation {number}: {message}"
    names, n_refused = lesion.settings.names, len(result["refused"])
    by_feature = zip(*result["features"], strict=True)
    absent = [
        name
        for name, values in zip(names, by_feature, strict=True)
        if values.count(None) > n_refused
    ]
    if absent:
        msg = (
            f"case {lesion.case_id!r}: {len(absent)} of {len(names)} features have no "
            f"finite value under some perturbation, {', '.join(absent[:5])} among "
            "them. The lesion is too small for them."
        )
        yield "MissingValue", msg


def _drawn_table(perturbations):
    table = pd.DataFrame([asdict(each) for each in perturbations])
    place = table.columns.get_loc("translation")
    shifts = np.array(table.pop("translation").tolist())
    for axis, name in enumerate("zyx"):
        table.insert(place + axis, f"translation_{name}", shifts[:, axis])
    return table.rename_axis("perturbation")
