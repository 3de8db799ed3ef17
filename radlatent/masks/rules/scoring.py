"""A cohort of masks judged by anatomical rules: a cohort enters, tables leave.

Cases that share a mask file are read once, and judged together: rules speak of several
structures. A mask that cannot be judged keeps its rows; shares that are valid come with
intervals.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from radlatent.cohort import Cohort
from radlatent.cohort.labels import mask_files, modality_of, read_label_map
from radlatent.errors import EmptyMaskError, SchemaError
from radlatent.imaging import Label, forget_pair, read_pair, region_of
from radlatent.masks.rules.rules import RuleSet, keeps, measure, rule_set
from radlatent.parallel import Shared, map_tasks
from radlatent.provenance import content_key, file_hash, versions
from radlatent.schema import failures_table

__all__ = ["MaskScores", "score", "score_file", "score_lesion"]

#: Raised when the content of a kept result changes.
_FORMAT = 1

#: Distributions that values may depend on.
_DEPENDS = ("radlatent", "numpy", "scipy", "scikit-image")

_LEVEL = 0.95


@dataclass(frozen=True, eq=False, repr=False)
class MaskScores:
    """How the masks of a cohort stand to a set of rules.

    Parameters
    ----------
    rules
        The set.
    quality
        Index ``case_id``, every included case. ``<rule set>__<rule>``, the worst value
        over the slices; ``<rule set>__<rule>__kept`` and ``valid``, missing where a
        case was not judged; of rules of slices, ``n_slices`` and ``n_valid_slices``.
        Cases that share a mask file have the same values: those of the file.
    slices
        ``mask, slice, empty, valid`` and one column a rule, a row a mask file and
        slice; ``valid`` is missing where the slice is empty. Without rows for rules of
        volumes.
    failures
        **failures** table: why a case has no values.
    """

    rules: RuleSet
    quality: pd.DataFrame
    slices: pd.DataFrame
    failures: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """Shares that are valid, and that keep each rule, with Wilson intervals.

        ``of`` (slices with a structure, or masks), ``rule`` (``all`` or one of them),
        ``n_kept, n, share, lower, upper, level``. Of a rule, ``n`` counts where it has
        a verdict. Slices of one patient are alike, which the intervals do not know.
        """
        if self.rules.plane == "volume":
            names = {f"{self.rules.name}__{name}": name for name in self.rules.names}
            judged = self.quality[self.quality["valid"].notna()]
            rows = [_row("masks", "all", judged["valid"])]
            values = judged[list(names)].rename(columns=names)
        else:
            judged = self.slices[~self.slices["empty"]]
            masks = judged.groupby("mask")["valid"].all()
            rows = [_row("slices", "all", judged["valid"]), _row("masks", "all", masks)]
            values = judged[self.rules.names]
        kept = keeps(values.to_numpy(), self.rules)
        of = rows[0]["of"]
        for place, rule in enumerate(self.rules.rules):
            said = values[rule.name].notna().to_numpy() | (rule.missing == "violated")
            rows.append(_row(of, rule.name, kept[said, place]))
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        counts = [
            f"{n_kept} of {n} {of} valid"
            for of, n_kept, n in self.summary.query("rule == 'all'")[
                ["of", "n_kept", "n"]
            ].itertuples(index=False)
        ]
        failed = self.failures["case_id"].nunique()
        what = [self.rules.name, f"{len(self.quality)} cases", *counts]
        return f"MaskScores({', '.join(what)}, {failed} cases failed)"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def _row(of, rule, kept):
    n_kept, n = int(np.sum(kept)), len(kept)
    share = lower = upper = np.nan
    if n:
        share = n_kept / n
        # Wilson 1927, doi:10.1080/01621459.1927.10502953
        lower, upper = binomtest(n_kept, n).proportion_ci(_LEVEL, method="wilson")
    counts = {"of": of, "rule": rule, "n_kept": n_kept, "n": n, "share": share}
    return counts | {"lower": lower, "upper": upper, "level": _LEVEL}


def score(
    cohort: Cohort | str | Path,
    *,
    rules: str | RuleSet = "short_axis_16",
    modality: str | None = None,
    jobs: int | None = None,
    cache: str | Path | None = None,
) -> MaskScores:
    """Judge the masks of every included case by a set of rules.

    Parameters
    ----------
    cohort
        A cohort, or the folder of one.
    rules
        Name of a set, or one of your own.
    modality
        Whose masks; None where the cohort has one modality.
    jobs
        Processes; None leaves it to ``joblib.parallel_config``.
    cache
        Folder of finished results; None keeps nothing.

    Returns
    -------
    MaskScores
        ``quality``, ``slices``, ``failures`` and their ``summary``.

    Raises
    ------
    SchemaError
        No such set or modality; the cohort lacks a structure that the rules need, no
        mask file holds all of them, or files are as `mask_files` refuses them; rules of
        volumes need more than one structure; rules in mm meet an unknown pixel size.

    Notes
    -----
    Rules of slices: the structures of a mask file are the cases that name it, by
    ``lesion_id`` and ``mask_label``. Labels of excluded cases are known, and judged; a
    label that no case names fails the cases of the file. A structure that a file lacks
    is missing in all of its slices. Slices without any structure are not judged.

    Rules of volumes: every case by itself, with its image, on the image's grid where
    ``cohort.yml`` asks for that. The one structure of the rules is the case's lesion,
    whatever its ``lesion_id``. A case without the modality keeps a row without values.

    Examples
    --------
    >>> cohort = getfixture("tiny_cohort")
    >>> scores = score(cohort, rules="lesion", modality="pet")
    >>> scores
    MaskScores(lesion, 3 cases, 3 of 3 masks valid, 0 cases failed)
    """
    cohort = Cohort.of(cohort)
    rules = rules if isinstance(rules, RuleSet) else rule_set(rules)
    modality = modality_of(cohort, modality)
    measured = [rule.name for rule in rules.rules if rule.unit.startswith("mm")]
    if measured:
        cohort.check_in_mm(modality, f"rule set {rules.name!r} ({measured})")
    if rules.plane == "slice":
        return _score_slices(cohort, rules, modality, jobs, cache)
    return _score_volumes(cohort, rules, modality, jobs, cache)


def _kept(cache, files, rules):
    """Return what `map_tasks` needs to keep results; files by name of the task."""
    if cache is None:
        return {}
    keys, made = {}, {name: versions().get(name) for name in _DEPENDS}
    for name, (paths, *more) in files.items():
        # a file that cannot be read fails, and what fails is not kept
        keys[name] = content_key("unread", str(name))
        with contextlib.suppress(OSError):
            hashes = [file_hash(path) for path in paths]
            keys[name] = content_key(_FORMAT, made, asdict(rules), hashes, *more)
    return {"cache": Path(cache), "keys": keys}


def _score_slices(cohort, rules, modality, jobs, cache):
    files = mask_files(cohort, modality=modality)
    _check_structures(cohort, files, rules)
    own = cohort.share()
    files = [file for file in files if not own.isdisjoint(file.case_ids)]
    tasks = {file.place: (file.path, file.structures, rules) for file in files}
    about = {file.place: ([file.path], dict(file.structures)) for file in files}
    outcome = map_tasks(
        score_file,
        tasks,
        jobs=jobs,
        description="Judging masks",
        **_kept(cache, about, rules),
    )
    slices = _slice_table(outcome.results, rules)
    cases = cohort.included
    masks = cases[cohort.mask_column(modality)]
    quality = _worst(slices, rules).reindex(masks).set_axis(cases.index)
    why = {
        case_id: outcome.failures[mask]
        for case_id, mask in masks.items()
        if mask in outcome.failures
    }
    return MaskScores(rules, _typed(quality), slices, _failures(why, modality))


def _check_structures(cohort, files, rules):
    """Refuse a cohort in which no mask file can be judged."""
    cases = cohort.included
    names = set(cases["lesion_id"].dropna()) if "lesion_id" in cases else set()
    absent = [name for name in rules.structures if name not in names]
    if absent:
        msg = (
            f"rule set {rules.name!r} needs the structures {absent}, cohort "
            f"{cohort.name!r} has the lesion_id {sorted(names)}. Use a cohort with "
            "these, or another set."
        )
        raise SchemaError(msg)
    if not any(set(rules.structures) <= set(file.structures) for file in files):
        msg = (
            f"no mask file of cohort {cohort.name!r} holds all of "
            f"{list(rules.structures)}, which rule set {rules.name!r} compares. Write "
            "the structures of a patient into one file, with a mask_label each."
        )
        raise SchemaError(msg)


def score_file(
    path: str, structures: Mapping[str, int | None], rules: RuleSet
) -> list[list[float] | None]:
    """Return the values of each slice of a mask file, None for an empty slice.

    Parameters
    ----------
    path, structures
        As in `read_label_map`.
    rules
        A set of rules of slices; structures of it that the file lacks are missing.

    Raises
    ------
    EmptyMaskError
        No voxel is above 0.
    SchemaError
        A label has no structure.
    LabelError
        Voxels are no whole numbers.
    """
    mask = read_label_map(path, structures)
    if not mask.array.any():
        msg = f"{path} holds no structure. Exclude its cases in cases.csv."
        raise EmptyMaskError(msg)
    unused = max(mask.structures.values()) + 1
    lacking = [name for name in rules.structures if name not in mask.structures]
    legend = {
        "structures": {**mask.structures}
        | {name: unused + k for k, name in enumerate(lacking)},
        "spacing_mm": mask.spacing_mm[1:],
    }
    return [
        measure(plane, rules, **legend).tolist() if plane.any() else None
        for plane in mask.array
    ]


def _slice_table(results, rules):
    rows, where = [], []
    missing = [np.nan] * len(rules.rules)
    for mask, planes in results.items():
        rows += [missing if plane is None else plane for plane in planes]
        where += [(mask, z, plane is None) for z, plane in enumerate(planes)]
    table = pd.DataFrame(where, columns=["mask", "slice", "empty"])
    table = table.astype({"slice": "int64", "empty": bool})
    values = np.array(rows, dtype=np.float64).reshape(-1, len(rules.rules))
    valid = pd.array(keeps(values, rules).all(axis=1), dtype="boolean")
    valid[table["empty"].to_numpy()] = pd.NA
    table["valid"] = valid
    return pd.concat([table, pd.DataFrame(values, columns=rules.names)], axis=1)


def _worst(slices, rules):
    """Return a row a mask file: the worst value of each rule, and the verdicts."""
    held = slices[~slices["empty"]]
    by = held["mask"]
    columns = {}
    kept = keeps(held[rules.names].to_numpy(), rules)
    for place, rule in enumerate(rules.rules):
        name = f"{rules.name}__{rule.name}"
        how = "max" if rule.relation == "at most" else "min"
        columns[name] = held.groupby(by)[rule.name].agg(how)
        columns[f"{name}__kept"] = pd.Series(kept[:, place], by.index).groupby(by).all()
    valid = held["valid"].astype(bool).groupby(by)
    columns["valid"] = valid.all()
    columns["n_slices"], columns["n_valid_slices"] = valid.size(), valid.sum()
    return pd.DataFrame(columns)


def _lesions(cohort, rules, modality):
    """Return case to the arguments of `score_lesion`, of cases with the modality."""
    cases = cohort.included
    labels = cases.get("mask_label", pd.Series(index=cases.index, dtype=object))
    resample = cohort.modalities[modality].resample_mask
    tasks = {}
    for case_id, label in labels.items():
        files = cohort.files(case_id, modality)
        if files is not None:
            paths = tuple(map(str, files))
            tasks[case_id] = (*paths, region_of(label), resample, case_id, rules)
    return tasks


def _score_volumes(cohort, rules, modality, jobs, cache):
    if len(rules.structures) > 1:
        msg = (
            f"rule set {rules.name!r} of volumes needs {list(rules.structures)}; a "
            "case is one structure. Use rules of one."
        )
        raise SchemaError(msg)
    own = cohort.share()
    tasks = _lesions(cohort, rules, modality)
    tasks = {case_id: task for case_id, task in tasks.items() if case_id in own}
    # what the reader is told, but for the rules, which every key has
    about = {name: (task[:2], *map(str, task[2:-1])) for name, task in tasks.items()}
    outcome = map_tasks(
        score_lesion,
        tasks,
        jobs=jobs,
        description="Judging lesions",
        shared=Shared(lambda case_id: tasks[case_id][:2], forget_pair),
        **_kept(cache, about, rules),
    )
    values = pd.DataFrame.from_dict(
        outcome.results, orient="index", columns=rules.names, dtype="float64"
    )
    kept = keeps(values.to_numpy(), rules)
    columns = {}
    for place, name in enumerate(rules.names):
        columns[f"{rules.name}__{name}"] = values[name]
        columns[f"{rules.name}__{name}__kept"] = kept[:, place]
    quality = pd.DataFrame(columns, index=values.index).assign(valid=kept.all(axis=1))
    quality = _typed(quality.reindex(cohort.included.index))
    failures = _failures(outcome.failures, modality)
    return MaskScores(rules, quality, _slice_table({}, rules), failures)


def score_lesion(
    image: str,
    mask: str,
    mask_label: Label,
    resample_mask: bool,
    case_id: str,
    rules: RuleSet,
) -> list:
    """Return the value of each rule of volumes for one lesion and its image.

    Parameters
    ----------
    image, mask, mask_label, resample_mask, case_id
        As in `read_pair`.
    rules
        A set of rules of volumes, all of one structure.
    """
    values, inside = read_pair(
        image,
        mask,
        mask_label=mask_label,
        resample_mask=resample_mask,
        case_id=case_id,
    )
    return measure(
        inside.array,
        rules,
        structures=dict.fromkeys(rules.structures, 1),
        spacing_mm=inside.spacing_mm,
        image=values.array,
    ).tolist()


def _typed(quality):
    """Return a table that tells what was not judged from what is not so."""
    kinds = {
        column: "Int64" if column.startswith("n_") else "boolean"
        for column in quality
        if column.startswith("n_") or column == "valid" or column.endswith("__kept")
    }
    return quality.astype(kinds).rename_axis("case_id")


def _failures(why, modality):
    stage = f"masks {modality}"
    return failures_table((case_id, stage, *error) for case_id, error in why.items())
