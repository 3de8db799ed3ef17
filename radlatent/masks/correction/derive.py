"""Derived cohorts: a cohort and a corrector enter, cohorts under other masks leave.

`correct` mends masks, `draw_alternatives` draws other ones. Originals stay where they
are, finished masks are kept so that a run that was killed goes on, and what was decided
of every slice is told with its reason, so that a reader can undo or question it.
"""

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import pandas as pd
from sklearn.utils.validation import check_is_fitted

from radlatent.cohort import Cohort
from radlatent.cohort.labels import MaskFile, mask_files, modality_of, read_label_map
from radlatent.errors import CohortError, LeakageError, SchemaError
from radlatent.features.origin import Fit, fit_of_masks
from radlatent.imaging import write_volume
from radlatent.masks.correction.alternatives import alternatives_of
from radlatent.masks.correction.corrector import MaskCorrector
from radlatent.masks.correction.gate import shift_between
from radlatent.masks.overlap.dice import label_dice
from radlatent.masks.revision.pairs import read_image, refuse_in_sample
from radlatent.parallel import forget, map_tasks
from radlatent.provenance import content_key, file_hash
from radlatent.schema import failures_table

__all__ = [
    "CorrectedCohort",
    "correct",
    "correct_file",
    "draw_alternatives",
    "write_alternatives",
]

_log = logging.getLogger(__name__)

#: Enters the key of finished masks; raised when one would differ.
_FORMAT = 3


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
    settings
        One row a corrector: what its gate was set on and promises (`Setting`, and its
        ``text``), ``n_patients`` and ``n_here``, and how often rules are broken here
        and there (`shift_between`). Where this is ``shifted``, the promise is of other
        masks than these.
    """

    cohort: Cohort
    quality: pd.DataFrame
    slices: pd.DataFrame
    failures: pd.DataFrame
    settings: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def summary(self) -> pd.Series:
        """Number of slices by decision."""
        return self.slices["decision"].value_counts()

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {what}" for what, n in self.summary.items())
        failed = self.failures["case_id"].nunique()
        told = "".join(f"; {text}" for text in self.settings.get("text", ()))
        return f"CorrectedCohort(slices: {counts}; {failed} cases failed{told})"

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
        A patient's mask would be corrected by what was fitted on that patient, or was
        made by a network that was: its errors are not those of new patients, for whom
        gate and predicted Dice hold.
    SchemaError
        A patient has no corrector, or no mask file has the structures of the corrector.

    Notes
    -----
    A mask file that fails, or that needs no correction, is not written: its cases keep
    their masks. A corrector whose reviser looks at images is shown those of the cases.
    """
    cohort = Cohort.of(cohort)
    modality, out = modality_of(cohort, modality), Path(out).resolve()
    files = mask_files(cohort, modality=modality)
    refuse_in_sample(cohort, files)
    assigned = _assigned(cohort, files, corrector)
    used = {id(each): each for each in assigned.values()}
    states = {number: _state_of(each) for number, each in used.items()}
    # numbered among all: a part writes what one run would
    own = cohort.share()
    tasks = {
        file.place: (file, assigned[file.place], _target(out, number, file))
        for number, file in enumerate(files)
        if not own.isdisjoint(file.case_ids)
    }
    outcome = _derived_masks(
        correct_file,
        tasks,
        states,
        lost=_correction_is_lost,
        cache=out / "cache",
        jobs=jobs,
        description="Correcting masks",
    )
    masks = {
        case_id: target
        for file, _, target in tasks.values()
        if _is_changed(outcome.results.get(file.place))
        for case_id in file.case_ids
    }
    derived = cohort
    if masks:
        name = name or f"{cohort.name}_corrected"
        made_by = _made_by(cohort, files, assigned, states)
        derived = _derived(cohort, masks, modality, out, name, made_by)
    slices = _slices(outcome.results)
    failures = _failures(files, outcome.failures, modality)
    settings = _settings(files, assigned, slices)
    quality = _quality(cohort, files, slices)
    return CorrectedCohort(derived, quality, slices, failures, settings)


def _assigned(cohort, files, corrector):
    """Return mask file to its corrector, or raise where that would leak."""
    several = isinstance(corrector, Mapping)
    absent = sorted({f.patient_id for f in files} - set(corrector)) if several else []
    if absent:
        msg = f"the patients {absent[:5]} have no corrector. Give one for each."
        raise SchemaError(msg)
    assigned = {
        file.place: corrector[file.patient_id] if several else corrector
        for file in files
    }
    for each in assigned.values():
        check_is_fitted(each)
    seen = sorted(
        {
            file.patient_id
            for file in files
            for fit in _fits(cohort, assigned[file.place])
            if fit.saw([file.patient_id])
        }
    )
    if seen:
        msg = (
            f"{len(seen)} patients of cohort {cohort.name!r} ({', '.join(seen[:5])}) "
            "would be corrected by what was fitted on their own masks. Correct them "
            "with correctors of other patients, fold by fold, or of another cohort."
        )
        raise LeakageError(msg)
    return assigned


def _fits(cohort, corrector):
    """Return the fits of a corrector whose masks this cohort gets."""
    return [Fit.of(None, fit, cohort.card.label) for fit in corrector.fits_]


def _state_of(corrector):
    """Return what corrected masks depend on of a corrector."""
    models = [corrector.prior_.model_]
    if corrector.reviser_ is not None:
        models.append(corrector.reviser_.model_)
    states = [value for each in models for value in each.state_dict().values()]
    arrays = [value.numpy() for value in states]
    arrays += [corrector.bank_, corrector.prior_.latents_]
    about = [corrector.method, corrector.gated, corrector.rules, corrector.least_dice_]
    about += [corrector.fits_, corrector.setting_.most, corrector.sees_image]
    about += [corrector.predictor_.threshold_, corrector.predictor_.level]
    return content_key(*about, *(array.tobytes().hex() for array in arrays))


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
    mask = replace(read_label_map(file.path, file.structures), name=file.place)
    image = read_image(file.image, mask) if corrector.sees_image else None
    correction = corrector.correct(mask, image)
    table = correction.slices.reset_index()
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    if _is_changed(rows):
        write_volume(correction.mask.volume, target)
    return rows


def _is_changed(rows):
    return any(row["decision"] == "corrected" for row in rows or ())


def _slices(results):
    rows = [
        {"mask": place} | row
        for place, decisions in results.items()
        for row in decisions
    ]
    columns = ["mask", "slice", "decision", "reason", "n_broken", "n_broken_after"]
    return pd.DataFrame(rows, columns=None if rows else columns)


def _failures(files, why, modality):
    return failures_table(
        (case_id, f"masks {modality}", *why[file.place])
        for file in files
        if file.place in why
        for case_id in file.case_ids
    )


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


def _fit_records(cohort, corrector):
    everybody, label = cohort.cases["patient_id"], cohort.card.label
    return [fit_of_masks(fit, label, everybody) for fit in corrector.fits_]


def _made_by(cohort, files, assigned, states):
    """Return what made the masks, as `Cohort.with_masks` takes it."""
    patients = {}
    for file in files:
        used = assigned[file.place]
        patients.setdefault(id(used), (used, set()))[1].add(file.patient_id)
    fits = [
        record | {"applied_to": sorted(whose)}
        for used, whose in patients.values()
        for record in _fit_records(cohort, used)
    ]
    key = content_key(*sorted(states.values()))
    texts = dict.fromkeys(used.setting_.text for used, _ in patients.values())
    about = {"key": key, "promise": "; ".join(texts)}
    return {"name": "MaskCorrector", "fitted_on": fits} | about


def _settings(files, assigned, slices):
    """Return what the gates promise, and how like theirs the masks at hand are."""
    owners = {file.place: file.patient_id for file in files}
    rows = []
    for used in {id(each): each for each in assigned.values()}.values():
        setting = used.setting_
        own = [place for place, corrector in assigned.items() if corrector is used]
        mine = slices[slices["mask"].isin(own)] if len(slices) else slices
        by = (mine["n_broken"] > 0).groupby(mine["mask"].map(owners))
        shift = shift_between(by.mean(), setting.broken)
        row = asdict(setting) | {"text": setting.text, "n_here": by.ngroups} | shift
        rows.append(row | {"n_patients": len(setting.patients)})
        if shift["shifted"] and setting.risk < 1:
            _log.warning(
                "rules are broken by %.1f %% of the slices here, and by %.1f %% where "
                "the gate was set: what it promises may not hold of these masks.",
                100 * shift["broken_here"],
                100 * shift["broken_there"],
            )
    return pd.DataFrame(rows).drop(columns=["patients", "broken"], errors="ignore")


def draw_alternatives(
    cohort: Cohort | str | Path,
    corrector: MaskCorrector,
    *,
    out: str | Path,
    n: int = 3,
    modality: str | None = None,
    jobs: int | None = None,
    random_state: int = 0,
) -> list[Cohort]:
    """Return derived cohorts of the same cases under plausible other masks.

    Parameters
    ----------
    cohort
        A cohort, or the folder of one.
    corrector
        A fitted one, whose prior is drawn from.
    out
        Folder of the derived cohorts, ``alternative_0`` and so on.
    n
        How many.
    modality
        Whose masks; None where the cohort has one modality.
    jobs
        Processes; None leaves it to ``joblib.parallel_config``.
    random_state
        Seed of the draws.

    Raises
    ------
    CohortError
        A mask cannot be encoded; the first of them is told.

    Notes
    -----
    The latent of every slice is moved by its posterior's standard deviation times one
    normal vector a mask, so that slices move together. What the move does to the
    borders of the decoded slice, in signed distance, is done to those of the mask; a
    draw that breaks more rules than the mask is shortened, at last to nothing. The
    alternatives share no feature with an outcome: whom the prior was fitted on is
    carried by the cohorts all the same.
    """
    cohort = Cohort.of(cohort)
    check_is_fitted(corrector)
    modality, out = modality_of(cohort, modality), Path(out).resolve()
    files = mask_files(cohort, modality=modality)
    folders = [out / f"alternative_{number}" for number in range(n)]
    tasks = {}
    for number, file in enumerate(files):
        targets = [_target(folder, number, file) for folder in folders]
        tasks[file.place] = (file, corrector, targets, random_state)
    outcome = _derived_masks(
        write_alternatives,
        tasks,
        {id(corrector): _state_of_prior(corrector)},
        lost=_alternative_is_lost,
        cache=out / "cache",
        jobs=jobs,
        description="Drawing alternatives",
    )
    for place, (_, message) in outcome.failures.items():
        msg = f"{len(outcome.failures)} masks have no alternatives, {place}: {message}"
        raise CohortError(msg)
    made_by = {
        "name": "draw_alternatives",
        "fitted_on": _fit_records(cohort, corrector),
    }
    derived = []
    for number, folder in enumerate(folders):
        masks = {
            case_id: tasks[file.place][2][number]
            for file in files
            for case_id in file.case_ids
        }
        name = f"{cohort.name}_{folder.name}"
        derived.append(_derived(cohort, masks, modality, folder, name, made_by))
    return derived


def _state_of_prior(corrector):
    """Return what alternatives depend on of a corrector."""
    weights = corrector.prior_.model_.state_dict().values()
    return content_key(
        corrector.rules, *(each.numpy().tobytes().hex() for each in weights)
    )


def write_alternatives(
    file: MaskFile, corrector: MaskCorrector, targets: list[str], random_state: int
) -> list[float]:
    """Write the alternatives of a mask file, and return the Dice of each with it.

    Parameters
    ----------
    file
        The mask, and its structures.
    corrector
        A fitted one.
    targets
        Where they are written.
    random_state
        Seed of the draws of all files.
    """
    mask = replace(read_label_map(file.path, file.structures), name=file.place)
    seed = int(content_key(random_state, file.place)[:8], 16)
    drawn = alternatives_of(mask, corrector, n=len(targets), random_state=seed)
    dice = []
    for target, other in zip(targets, drawn, strict=True):
        write_volume(other.volume, target)
        dice.append(label_dice(mask.array, other.array))
    return dice


def _target(folder, number, file):
    """Return where a mask is written, under a name that no other file has."""
    return str(folder / "masks" / f"{number:05d}_{Path(file.place).name}")


def _derived_masks(function, tasks, states, *, lost, cache, jobs, description):
    """Call a function for every mask file that an earlier run has not finished.

    Tasks are a file, its corrector, where masks are written, and settings. ``states``
    is what the masks depend on of each corrector, ``lost`` says of where masks were to
    be written, and a finished result, whether one is not there any more.
    """
    keys = {}
    for place, (file, corrector, targets, *settings) in tasks.items():
        # a file that cannot be read fails, and what fails is not kept
        keys[place] = place
        with contextlib.suppress(OSError):
            source = (file_hash(file.path), states[id(corrector)])
            own = (targets, *settings, file.structures)
            if corrector.sees_image and file.image is not None:
                own = (*own, file_hash(file.image))
            keys[place] = content_key(_FORMAT, *source, *own)
        forget(cache, keys[place], partial(lost, targets))
    return map_tasks(
        function, tasks, jobs=jobs, keys=keys, cache=cache, description=description
    )


def _correction_is_lost(target, rows):
    return _is_changed(rows) and not Path(target).is_file()


def _alternative_is_lost(targets, _):
    return not all(Path(target).is_file() for target in targets)


def _derived(cohort, masks, modality, folder, name, made_by):
    """Return a cohort under other masks, and write it; one that is there is kept."""
    table = pd.DataFrame({cohort.mask_column(modality): pd.Series(masks)})
    derived = cohort.with_masks(
        table.rename_axis("case_id"), name=name, made_by=made_by
    )
    derived.write(folder, again=True)
    return derived
