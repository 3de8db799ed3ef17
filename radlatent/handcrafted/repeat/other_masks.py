"""Stability of features over given masks: other readers, corrections, draws of a prior.

A cohort and derived cohorts of the same cases enter; a table leaves that says how well
each feature tells cases apart whichever mask it was measured in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from radlatent.cohort import Cohort
from radlatent.errors import CohortError, SchemaError
from radlatent.handcrafted.extract import extract
from radlatent.handcrafted.repeat.agreement import (
    agreement,
    agreement_by,
    count_verdicts,
)
from radlatent.handcrafted.settings import Settings
from radlatent.schema import check_failures, nearest

__all__ = ["MaskStability", "stability_between"]

#: What tells the cells of a pivot apart.
_LEVELS = ("lesion_id", "timepoint")


@dataclass(frozen=True, eq=False, repr=False)
class MaskStability:
    """How stable the features of a cohort are over masks of the same lesions.

    Parameters
    ----------
    table
        Two rows a feature column, as `icc` gives them, and ``cv``, the coefficient of
        variation within cases (`within_case_cv`), the same in both; where it was asked
        for by groups of cases, their column comes first.
    features
        One row a case and masks: ``case_id``, ``masks`` (name of the cohort that they
        are of) and the feature columns; NaN where a value is missing.
    failures
        **failures** table: why.
    cases
        The included cases, index ``case_id``: ``patient_id, lesion_id, timepoint``.
    alternatives
        Whose masks they are, the cohort itself first: index ``masks``; ``key``,
        ``made_by`` and, where that was fitted, ``n_fitted_on`` patients.
    """

    table: pd.DataFrame
    features: pd.DataFrame
    failures: pd.DataFrame
    cases: pd.DataFrame
    alternatives: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """Features a block and coefficient, by the verdict on the lower limit."""
        return count_verdicts(self.table)

    @property
    def pivoted(self) -> pd.DataFrame:
        """The table of each lesion and timepoint, named as in a pivot of `aggregate`.

        ``pet_handcrafted__original_shape_MeshVolume__LV_ED`` compares one structure at
        one time between patients: what `Preparation` can filter a pivot by.
        """
        levels = [name for name in _LEVELS if len(self.cases[name].unique()) > 1]
        if not levels:
            return agreement(self.features)
        table = agreement_by(self.features, self.cases[levels])
        cell = table[levels].agg("_".join, axis=1)
        names = table["feature"] + "__" + cell
        return table.drop(columns=levels).assign(feature=names)

    def by_tier(self, tiers: pd.Series) -> pd.DataFrame:
        """Return the table of each tier of cases, in a column ``tier``, sorted.

        Parameters
        ----------
        tiers
            By ``case_id``, as from `quality_tiers`; cases without one are left out.

        Raises
        ------
        SchemaError
            A case is not known or named twice, or none has a tier.

        Notes
        -----
        A tier whose cases are much alike has low ICCs from that alone; ``cv`` does not
        depend on how cases differ.
        """
        unknown = [
            case_id for case_id in tiers.index if case_id not in self.cases.index
        ]
        twice = tiers.index[tiers.index.duplicated()]
        if unknown or len(twice) or tiers.isna().all():
            msg = (
                f"tiers: {len(unknown)} cases are not known: {unknown[:5]}; "
                f"{len(twice)} are named twice: {twice[:5].tolist()}; "
                f"{int(tiers.notna().sum())} have a tier. Index the tiers by the "
                "case_id of the cohort that was measured."
            )
            raise SchemaError(msg)
        return agreement_by(
            self.features, tiers.dropna().sort_values().to_frame("tier")
        )

    def __repr__(self) -> str:
        failed = self.failures["case_id"].nunique()
        return (
            f"MaskStability({len(self.cases)} cases, {len(self.alternatives)} masks "
            f"each, {self.features.shape[1] - 2} features, {failed} cases failed)"
        )

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def stability_between(
    cohort: Cohort | str | Path,
    alternatives: Sequence[Cohort | str | Path],
    *,
    settings: str | Path | dict | Settings | None = None,
    by: str | None = None,
    engine: str = "radlatent",
    jobs: int | None = None,
    cache: str | Path | None = None,
) -> MaskStability:
    """Measure every included case in its own mask and in others, and how they agree.

    Parameters
    ----------
    cohort
        A `Cohort`, or the folder of one.
    alternatives
        Cohorts of the same cases and images under other masks, of other names, as
        `Cohort.with_masks` gives them.
    settings, engine, jobs, cache
        As in `extract`, with which the cache is shared.
    by
        A column of the cases, such as ``"lesion_id"``: coefficients of each group.
        None compares all cases.

    Returns
    -------
    MaskStability
        ``table``, ``features``, ``failures``, ``cases`` and ``alternatives``.

    Raises
    ------
    CohortError
        An alternative has other cases or images, or a name that occurs twice.
    SchemaError
        There is no alternative, or ``by`` or the settings need mending.
    ImportError
        The engine is not installed.

    Notes
    -----
    Masks are the raters, the cohort's own among them, and cases the targets: ICC(2,1)
    speaks of masks like these, ICC(3,1) leaves out what one of them does to all cases
    alike. Where cases are of several structures, differences between these count as
    differences between cases and raise every ICC: ask by ``"lesion_id"``, or take
    ``pivoted``. A case without a value in one mask does not count for that feature:
    ``n`` says how many do. Lesions of one patient count as cases of their own, which
    makes intervals narrow.

    References
    ----------
    Shrout and Fleiss 1979, doi:10.1037/0033-2909.86.2.420; Shoukri et al. 2006,
    doi:10.1186/1471-2288-6-24 (coefficient of variation)

    Examples
    --------
    >>> cohort = getfixture("tiny_cohort")
    >>> folder = getfixture("tmp_path")
    >>> masks = pd.DataFrame({"mask_ct": {"p1": folder / "p1.nii.gz"}})
    >>> _ = masks.loc["p1", "mask_ct"].write_bytes(
    ...     cohort.files("p1", "ct")[1].read_bytes()
    ... )
    >>> copied = cohort.with_masks(masks, name="copied", made_by={"name": "a copy"})
    >>> shape = {"featureClass": {"shape": ["MeshVolume"]}}
    >>> found = stability_between(cohort, [copied], settings=shape)
    >>> found.table[["estimate", "cv"]].drop_duplicates().to_numpy().tolist()
    [[1.0, 0.0]]
    """
    cohort, *others = map(Cohort.of, (cohort, *alternatives))
    _check(cohort, others, by)
    stacked, whose = _stack([cohort, *others])
    extraction = extract(
        stacked, settings=settings, engine=engine, jobs=jobs, cache=cache
    )
    values = extraction.features.reset_index(drop=True)
    features = pd.concat([whose.reset_index(drop=True), values], axis=1)
    groups = None if by is None else cohort.included[[by]]
    return MaskStability(
        agreement(features) if by is None else agreement_by(features, groups),
        features,
        _failures(extraction.failures, whose),
        cohort.included[["patient_id", *_LEVELS]],
        _about([cohort, *others]),
    )


def _check(cohort, others, by):
    if not others:
        msg = "there is no alternative. Agreement needs masks besides the cohort's own."
        raise SchemaError(msg)
    if by is not None and by not in cohort.included:
        known = list(cohort.included)
        msg = f"by={by!r} is no column of the cases{nearest(by, known)}"
        raise SchemaError(f"{msg} (there are {known}).")
    names = [one.name for one in (cohort, *others)]
    twice = sorted({name for name in names if names.count(name) > 1})
    found = [f"the names {twice} occur more than once"] if twice else []
    for one in others:
        found += [f"{one.name!r} {what}" for what in _differences(cohort, one)]
    if found:
        msg = (
            f"alternatives of cohort {cohort.name!r}: {'; '.join(found)}. Derive them "
            "from the cohort (cohort.with_masks), each under a name of its own."
        )
        raise CohortError(msg)


def _differences(cohort, one):
    """Yield what tells an alternative from the same cases under other masks."""
    ours, theirs = cohort.included, one.included
    absent = ours.index.difference(theirs.index)
    more = theirs.index.difference(ours.index)
    if len(absent) or len(more):
        yield (
            f"lacks {len(absent)} included cases {absent[:3].tolist()} and has "
            f"{len(more)} others {more[:3].tolist()}"
        )
        return
    if list(cohort.modalities) != list(one.modalities):
        yield f"has the modalities {list(one.modalities)}"
        return
    images = [f"image_{modality}" for modality in cohort.modalities]
    ours, theirs = (each.located[images].fillna("") for each in (cohort, one))
    other = (ours != theirs.loc[ours.index]).any(axis=1)
    if other.any():
        cases = other.index[other][:3].tolist()
        yield f"has other images in {int(other.sum())} cases {cases}"


def _stack(cohorts):
    """Return one cohort with a case for each case and masks, and whose they are."""
    tables, whose = [], []
    case_ids = cohorts[0].included.index
    for number, one in enumerate(cohorts):
        # digits and a colon first: unlike any other, whatever the ids are
        names = [f"{number}:{case_id}" for case_id in case_ids]
        table = one.located.loc[case_ids]
        tables.append(table.set_axis(pd.Index(names, name="case_id")))
        about = {"case_id": case_ids, "masks": one.name}
        whose.append(pd.DataFrame(about, index=names))
    # masks of one image one after the other: it is read while it is at hand
    order = np.arange(len(case_ids) * len(cohorts)).reshape(len(cohorts), -1).T.ravel()
    stacked = pd.concat(tables).iloc[order]
    return replace(cohorts[0], cases=stacked), pd.concat(whose).iloc[order]


def _failures(failures, whose):
    """Return failures of stacked cases as those of the cases, with whose masks."""
    known = whose.loc[failures["case_id"]]
    messages = [
        f"masks {masks!r}: {message.replace(repr(name), repr(case_id))}"
        for name, message, case_id, masks in zip(
            failures["case_id"],
            failures["message"],
            known["case_id"],
            known["masks"],
            strict=True,
        )
    ]
    stages = failures["stage"].str.replace("handcrafted", "stability", n=1)
    changes = {"case_id": known["case_id"].to_numpy(), "stage": stages}
    return check_failures(failures.assign(**changes, message=messages))


def _about(cohorts):
    rows = []
    for one in cohorts:
        step = one.card.derived[-1] if one.card.derived else None
        fitted = one.masks_fitted_on
        rows.append(
            {
                "masks": one.name,
                "key": one.key,
                "made_by": "" if step is None else step.made_by.name,
                "n_fitted_on": 0 if fitted is None else len(fitted),
            }
        )
    return pd.DataFrame(rows).set_index("masks")
