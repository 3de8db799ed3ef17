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
    read_lesion,
)
from radlatent.handcrafted.plan import plan
from radlatent.handcrafted.repeat.contours import NEAR_MM
from radlatent.handcrafted.repeat.perturb import (
    Perturbation,
    draw_perturbations,
    perturb,
)
from radlatent.handcrafted.repeat.reliability import icc
from radlatent.handcrafted.settings import Settings
from radlatent.imaging import (
    bounding_box,
    crop,
    expand_box,
    forget_pair,
    single_thread,
)
from radlatent.parallel import Shared, map_tasks
from radlatent.provenance import content_key
from radlatent.schema import failures_table

__all__ = ["Stability", "count_verdicts", "measure_perturbed", "stability"]

#: Raised when the content of a kept result changes, so that old ones are not read.
_FORMAT = 1

#: A cubic spline at 12 voxels from an edge feels it by 1e-7; a shift moves by one more.
_SPLINE_VOXELS = 13

#: Koo and Li 2016, doi:10.1016/j.jcm.2016.02.012: what the lower limit says.
_VERDICTS = {"poor": -np.inf, "moderate": 0.5, "good": 0.75, "excellent": 0.9}


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


def count_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Return how many features are poor, moderate, good, excellent or undefined.

    Parameters
    ----------
    table
        As `icc` gives it. Columns before ``feature`` tell groups, counted apart.

    Returns
    -------
    DataFrame
        One row a group, block and coefficient.
    """
    edges = [*_VERDICTS.values(), np.inf]
    verdict = pd.cut(table["lower"], edges, right=False, labels=[*_VERDICTS])
    verdict = verdict.cat.add_categories("undefined").fillna("undefined")
    keys = {name: table[name] for name in table.loc[:, :"feature"].columns[:-1]}
    keys["block"] = table["feature"].str.partition("__")[0]
    keys["icc"] = table["icc"]
    counts = pd.get_dummies(verdict, dtype="int64").assign(**keys)
    return counts.groupby([*keys], sort=False, as_index=False, observed=True).sum()


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
    drawn = perturbations
    if isinstance(drawn, int):
        drawn = draw_perturbations(drawn)
    chosen = [*drawn]
    if len(chosen) < 2:
        msg = f"perturbations are {chosen}. Agreement needs two or more."
        raise SchemaError(msg)
    work = plan(cohort, root=root, settings=settings, engine=engine, jobs=jobs)
    keys, tasks = {}, {}
    for name, key in work.keys.items():
        one = work.lesions[name]
        content = work.hashes[one.image], work.hashes[one.mask], one.mask_label
        own = [each.for_lesion(*content) for each in chosen]
        tasks[name] = (one, own)
        keys[name] = content_key(_FORMAT, key, [asdict(each) for each in own])
    outcome = map_tasks(
        measure_perturbed,
        tasks,
        jobs=jobs,
        keys=keys,
        cache=cache,
        description="Measuring perturbed lesions",
        shared=Shared(
            lambda name: (work.lesions[name].image, work.lesions[name].mask),
            forget_pair,
        ),
    )
    features = _features(work.cohort, work.settings, outcome.results, len(chosen))
    failures = _failures(work.lesions, outcome, work.unread)
    return Stability(icc(features), features, failures, _drawn(chosen))


def measure_perturbed(lesion: Lesion, perturbations: Sequence[Perturbation]) -> dict:
    """Return values of a lesion, a list a perturbation, as `measure_lesion` does.

    The files are read once. ``refused`` has number, error and message of perturbations
    without values: kept with the result, as only files and settings decide them.
    """
    with single_thread():
        image, mask = read_lesion(lesion)
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
    whole = tuple(slice(0, n) for n in mask.shape)
    if not settings.crops:
        return whole
    tight, spacings = bounding_box(mask), mask.spacing_mm
    margins = settings.margin_voxels(spacings)
    half_mm = [
        ((part.stop - part.start) / 2 + margin + _SPLINE_VOXELS) * spacing + NEAR_MM
        for part, margin, spacing in zip(tight, margins, spacings, strict=True)
    ]
    if any(each.rotation_deg for each in perturbations):
        half_mm[1:] = [hypot(*half_mm[1:])] * 2
    wide = [
        ceil(half / spacing - (part.stop - part.start) / 2)
        for half, part, spacing in zip(half_mm, tight, spacings, strict=True)
    ]
    box = expand_box(tight, wide, mask.shape)
    # a wavelet sees the far side of an image that it reaches the edge of
    cut = any(p.start == 0 or p.stop == n for p, n in zip(box, mask.shape, strict=True))
    return whole if cut and "Wavelet" in settings.imageType else box


def _features(cohort, per_modality, results, n_perturbations):
    case_ids = cohort.included.index
    blocks = []
    for modality, settings in per_modality.items():
        shape = (len(case_ids), n_perturbations, len(settings.names))
        values = np.full(shape, np.nan)
        for place, case_id in enumerate(case_ids):
            if (case_id, modality) in results:
                # None becomes NaN
                values[place] = np.array(results[case_id, modality]["features"], float)
        columns = [f"{modality}_handcrafted__{name}" for name in settings.names]
        blocks.append(pd.DataFrame(values.reshape(-1, shape[2]), columns=columns))
    who = {
        "case_id": np.repeat(case_ids.to_numpy(), n_perturbations),
        "perturbation": np.tile(np.arange(n_perturbations), len(case_ids)),
    }
    return pd.concat([pd.DataFrame(who), *blocks], axis=1)


def _failures(lesions, outcome, unread):
    rows = []
    for (case_id, modality), lesion in lesions.items():
        name, stage = (case_id, modality), f"stability {modality}"
        why = outcome.failures.get(name)
        why = why or unread.get(lesion.image) or unread.get(lesion.mask)
        if why is not None:
            rows.append((case_id, stage, *why))
            continue
        result = outcome.results[name]
        numbers = [number for number, *_ in result["refused"]]
        for number, error, message in result["refused"]:
            rows.append((case_id, stage, error, f"perturbation {number}: {message}"))
        absent = [
            feature
            for feature, values in zip(
                lesion.settings.names,
                zip(*result["features"], strict=True),
                strict=True,
            )
            if values.count(None) > len(numbers)
        ]
        if absent:
            msg = (
                f"case {case_id!r}: {len(absent)} of {len(lesion.settings.names)} "
                f"features have no finite value under some perturbation, "
                f"{', '.join(absent[:5])} among them. The lesion is too small for them."
            )
            rows.append((case_id, stage, "MissingValue", msg))
    return failures_table(rows)


def _drawn(perturbations):
    table = pd.DataFrame([asdict(each) for each in perturbations])
    place = table.columns.get_loc("translation")
    shifts = np.array(table.pop("translation").tolist())
    for axis, name in enumerate("zyx"):
        table.insert(place + axis, f"translation_{name}", shifts[:, axis])
    return table.rename_axis("perturbation")
