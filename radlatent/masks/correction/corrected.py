"""A cohort of masks corrected: a cohort and a corrector enter, a derived cohort leaves.

Originals stay where they are. What was decided of every slice is kept with its reason,
so that a reader can undo or question it.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from sklearn.utils.validation import check_is_fitted

from radlatent.cohort import Cohort
from radlatent.errors import CohortError, LeakageError, SchemaError
from radlatent.features.origin import Fit, cohort_label
from radlatent.imaging import write_volume
from radlatent.masks.correction.corrector import MaskCorrector
from radlatent.masks.labels import MaskFile, mask_files, modality_of, read_label_map
from radlatent.parallel import map_tasks
from radlatent.provenance import content_key, file_hash
from radlatent.schema import failures_table

__all__ = ["CorrectedCohort", "correct", "correct_file", "fit_record", "write_once"]

#: Enters the key of finished corrections; raised when one would differ.
_FORMAT = 1


@dataclass(frozen=True, eq=False, repr=False)
class CorrectedCohort:
    """A cohort under corrected masks, and what was decided.

    Parameters
    ----------
    cohort
        The derived cohort; the cohort itself where no mask was corrected.
    quality
        **quality** table, index ``case_id``: ``n_slices``, ``n_broken`` and
        ``n_broken_after`` (slices that break a rule), ``n_corrected``, ``n_refused``,
        ``predicted_dice`` (mean over the slices of the mask that entered), ``flagged``
        slices, ``valid`` (all slices, afterwards), ``corrected``. Cases of one mask
        file share their values.
    slices
        One row a mask file and slice: `Correction.slices`.
    failures
        **failures** table; these cases keep their masks.
    """

    cohort: Cohort
    quality: pd.DataFrame
    slices: pd.DataFrame
    failures: pd.DataFrame

    @property
    def summary(self) -> pd.Series:
        """Number of slices by decision."""
        return self.slices["decision"].value_counts()

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {what}" for what, n in self.summary.items())
        failed = self.failures["case_id"].nunique()
        return f"CorrectedCohort(slices: {counts}; {failed} cases failed)"

    def _repr_html_(self) -> str:
        return self.quality.to_html()


def correct(
    cohort: Cohort | str | Path,
    corrector: MaskCorrector | Mapping[str, MaskCorrector],
    *,
    out: str | Path,
    name: str | None = None,
    modality: str | None = None,
    jobs: int | None = None,
) -> CorrectedCohort:
    """Correct the masks of a cohort, where that is safe.

    Parameters
    ----------
    cohort
        A cohort, or the folder of one.
    corrector
        A fitted corrector; or ``patient_id`` to the corrector of that patient, for
        correctors fitted fold by fold.
    out
        Folder of the derived cohort: its tables, and corrected masks in ``masks``.
        Finished masks are kept: a run that was killed goes on.
    name
        Of the derived cohort; by default that of the cohort and ``_corrected``.
    modality
        Whose masks; None where the cohort has one modality.
    jobs
        Processes; None leaves it to ``joblib.parallel_config``.

    Raises
    ------
    LeakageError
        A patient's mask would be corrected by what was fitted on that patient.
    SchemaError
        A patient has no corrector, or no mask file has the structures of the corrector.

    Notes
    -----
    A mask file that fails, or that needs no correction, is not written: its cases keep
    their masks.
    """
    cohort = cohort if isinstance(cohort, Cohort) else Cohort.read(cohort)
    modality, out = modality_of(cohort, modality), Path(out).resolve()
    files = mask_files(cohort, modality=modality)
    assigned = _assigned(cohort, files, corrector)
    used = {id(each): each for each in assigned.values()}
    keys = {number: _key_of(each) for number, each in used.items()}
    tasks, cached = {}, {}
    for number, file in enumerate(files):
        target = out / "masks" / f"{number:05d}_{Path(file.place).name}"
        own = assigned[file.place]
        tasks[file.place] = (file, own, str(target))
        with contextlib.suppress(OSError):
            known = (file_hash(file.path), keys[id(own)], str(target))
            cached[file.place] = content_key(_FORMAT, *known, file.structures)
    cache = out / "cache"
    _forget_lost(tasks, cached, cache)
    outcome = map_tasks(
        correct_file,
        tasks,
        jobs=jobs,
        keys={place: cached.get(place, place) for place in tasks},
        cache=cache,
        description="Correcting masks",
    )
    slices = _slices(outcome.results)
    failures = _failures(files, outcome.failures, modality)
    masks = {
        case_id: tasks[file.place][2]
        for file in files
        if _is_changed(outcome.results.get(file.place))
        for case_id in file.case_ids
    }
    derived = _derived(
        cohort, masks, name, modality, _made_by(cohort, files, assigned, keys)
    )
    if derived is not cohort:
        write_once(derived, out)
    return CorrectedCohort(derived, _quality(cohort, files, slices), slices, failures)


def _assigned(cohort, files, corrector):
    """Return mask file to its corrector, or raise where that would leak."""
    several = isinstance(corrector, Mapping)
    absent = sorted({f.patient_id for f in files} - set(corrector)) if several else []
    if absent:
        msg = f"the patients {absent[:5]} have no corrector. Give one for each."
        raise SchemaError(msg)
    found = {
        file.place: corrector[file.patient_id] if several else corrector
        for file in files
    }
    for each in found.values():
        check_is_fitted(each)
    seen = sorted(
        {
            file.patient_id
            for file in files
            if _fit(cohort, found[file.place]).saw([file.patient_id])
        }
    )
    if seen:
        msg = (
            f"{len(seen)} patients of cohort {cohort.name!r} ({', '.join(seen[:5])}) "
            "would be corrected by what was fitted on their own masks. Correct them "
            "with correctors of other patients, fold by fold, or of another cohort."
        )
        raise LeakageError(msg)
    return found


def _fit(cohort, corrector):
    """Return the fit of a corrector whose masks this cohort gets."""
    return Fit.of(None, corrector.fitted_on_, cohort.card.label)


def _key_of(corrector):
    state = corrector.prior_.model_.state_dict()
    arrays = [value.numpy() for value in state.values()]
    arrays += [corrector.bank_, corrector.prior_.latents_]
    about = [corrector.method, corrector.gated, corrector.rules, corrector.least_dice_]
    about += [corrector.fitted_on_, corrector.predictor_.threshold_]
    return content_key(*about, *(array.tobytes().hex() for array in arrays))


def _forget_lost(tasks, keys, cache):
    """Forget finished corrections whose mask is not there any more."""
    for place, key in keys.items():
        kept = cache / key[:2] / f"{key}.json"
        with contextlib.suppress(OSError, ValueError):
            rows = json.loads(kept.read_text("utf-8"))
            if _is_changed(rows) and not Path(tasks[place][2]).is_file():
                kept.unlink()


def correct_file(file: MaskFile, corrector: MaskCorrector, target: str) -> list[dict]:
    """Correct a mask file, and return what was decided, one row a slice.

    Parameters
    ----------
    file
        The mask, and its structures.
    corrector
        A fitted one.
    target
        Where the corrected mask is written.
    """
    mask = read_label_map(file.path, file.structures)
    correction = corrector.correct(replace(mask, name=file.place))
    table = correction.slices.reset_index()
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    if _is_changed(rows):
        write_volume(correction.mask.volume, target)
    return rows


def _is_changed(rows):
    return any(row["decision"] == "corrected" for row in rows or ())


def _slices(results):
    rows = [{"mask": place} | row for place, found in results.items() for row in found]
    columns = ["mask", "slice", "decision", "reason", "n_broken", "n_broken_after"]
    return pd.DataFrame(rows, columns=None if rows else columns)


def _failures(files, why, modality):
    return failures_table(
        (case_id, f"masks {modality}", *why[file.place])
        for file in files
        if file.place in why
        for case_id in file.case_ids
    )


def fit_record(cohort: Cohort, corrector: MaskCorrector) -> dict:
    """Return on whom a corrector was fitted, as `Cohort.with_masks` takes it.

    Parameters
    ----------
    cohort
        The cohort that gets the masks. Where it is another part of the cohort that the
        corrector was fitted on, without one of those patients, the fit is of others.
    corrector
        A fitted one.
    """
    fitted, fit = dict(corrector.fitted_on_), _fit(cohort, corrector)
    if not (fit.is_foreign or fit.shared(cohort.cases["patient_id"])):
        names = (f"{name} (other patients)" for name in fit.cohorts)
        fitted["cohort"] = cohort_label(names)
    return fitted


def _made_by(cohort, files, assigned, keys):
    """Return what made the masks, as `Cohort.with_masks` takes it."""
    patients = {}
    for file in files:
        used = assigned[file.place]
        patients.setdefault(id(used), (used, set()))[1].add(file.patient_id)
    fits = [
        fit_record(cohort, used) | {"applied_to": sorted(whose)}
        for used, whose in patients.values()
    ]
    key = content_key(*sorted(keys.values()))
    return {"name": "MaskCorrector", "key": key, "fitted_on": fits}


def _derived(cohort, masks, name, modality, made_by):
    if not masks:
        return cohort
    column = cohort.mask_column(modality)
    table = pd.DataFrame({column: pd.Series(masks)}).rename_axis("case_id")
    return cohort.with_masks(
        table, name=name or f"{cohort.name}_corrected", made_by=made_by
    )


def write_once(derived: Cohort, folder: Path) -> None:
    """Write a derived cohort; one that is there already is kept.

    Raises
    ------
    CohortError
        The folder holds another cohort.
    """
    if (folder / "cohort.yml").is_file():
        there = Cohort.read(folder)
        if there.key == derived.key:
            return
        msg = (
            f"{folder} holds the cohort {there.name!r}, of other masks or another "
            "corrector than what was made now. Give another folder, or delete it."
        )
        raise CohortError(msg)
    derived.write(folder)


def _quality(cohort, files, slices):
    """Return the **quality** table of the included cases."""
    by = slices.groupby("mask", sort=False)
    columns = {
        "n_slices": by.size(),
        "n_broken": by["n_broken"].agg(lambda n: (n > 0).sum()),
        "n_broken_after": by["n_broken_after"].agg(lambda n: (n > 0).sum()),
        "n_corrected": by["decision"].agg(lambda d: (d == "corrected").sum()),
        "n_refused": by["decision"].agg(lambda d: (d == "refused").sum()),
    }
    table = pd.DataFrame(columns).astype("Int64")
    if "predicted_dice" in slices:
        table["predicted_dice"] = by["predicted_dice"].mean()
        table["flagged"] = by["flagged"].sum().astype("Int64")
    table["valid"] = (table["n_broken_after"] == 0).astype("boolean")
    table["corrected"] = (table["n_corrected"] > 0).astype("boolean")
    place = {case_id: file.place for file in files for case_id in file.case_ids}
    index = cohort.included.index
    rows = table.reindex([place.get(case_id) for case_id in index])
    return rows.set_axis(index)
