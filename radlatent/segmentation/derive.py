"""Derived cohorts under masks of networks: a cohort and segmenters enter.

Masks are written as they are drawn, so that a run that was killed goes on; the card
tells which network drew whose masks, and whom it was fitted on. No mask is replaced.
"""

import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from radlatent.cohort.labels import by_structure, modality_of
from radlatent.cohort.manifest import Cohort
from radlatent.errors import LeakageError, SchemaError
from radlatent.features.origin import Fit, fit_of_masks
from radlatent.imaging import read_volume, write_volume
from radlatent.parallel import forget, map_tasks
from radlatent.provenance import content_key, file_hash
from radlatent.segmentation.checks import check_structures
from radlatent.segmentation.prepare import ImageFile, bare_files, image_files

if TYPE_CHECKING:
    from radlatent.segmentation.segmenter import Segmenter

__all__ = ["most_probable", "segment_cohort", "segment_file"]

_log = logging.getLogger(__name__)

#: Enters the key of finished masks; raised when one would differ.
_FORMAT = 1


def segment_cohort(
    cohort: Cohort,
    segmenters: Mapping[str, "Segmenter"],
    *,
    out: str | Path,
    name: str,
    options: Mapping[str, bool],
    allow_training_patients: bool = False,
    jobs: int | None = None,
) -> Cohort:
    """Return a cohort under the masks that networks draw of its images.

    Parameters
    ----------
    cohort
        The cohort; one without masks gets a case a structure.
    segmenters
        Patient to the fitted segmenter, or ensemble, of that patient's images.
    out, name, jobs, allow_training_patients
        As of `Segmenter.predict`.
    options
        ``flips`` and ``probabilities``, as of `Segmenter.predict`.

    Raises
    ------
    LeakageError, SchemaError
        As of `Segmenter.predict`; or none of the images could be segmented.
    """
    [wanted] = {segmenter.modality_ for segmenter in segmenters.values()}
    modality, out = modality_of(cohort, wanted), Path(out).resolve()
    cohort, files = _drawn_on(cohort, modality, segmenters)
    if not allow_training_patients:
        _check_unseen(cohort, files, segmenters)
    used = {id(each): each for each in segmenters.values()}
    states = {number: _state_of(each) for number, each in used.items()}
    tasks = {
        file.place: (file, segmenters[file.mask.patient_id], str(target), dict(options))
        for file, target in _targets(files, out)
    }
    outcome = map_tasks(
        segment_file,
        tasks,
        jobs=jobs,
        keys=_keys(tasks, states, out / "cache"),
        cache=out / "cache",
        description="Segmenting images",
    )
    made_by = _made_by(cohort, files, segmenters, states)
    derived = _derived(cohort, modality, tasks, outcome, name=name, made_by=made_by)
    derived.write(out, again=True)
    return derived


def _drawn_on(cohort, modality, segmenters):
    """Return the cohort, with a case a structure, and its images."""
    if not cohort.card.masks:
        first = next(iter(segmenters.values()))
        cohort = by_structure(cohort, modality, first.structures_)
        files = bare_files(cohort, modality)
        _log.warning(
            "%r has no masks that tell where to look; of each of %d images the network "
            "sees %s",
            *(cohort.name, len(files), first.fields),
        )
        return cohort, files
    files, problems = image_files(cohort, modality)
    if problems:
        raise SchemaError(f"images of {cohort.name!r}: {'; '.join(problems)}.")
    check_structures({p: each.structures_ for p, each in segmenters.items()}, files)
    return cohort, files


def _keys(tasks, states, cache):
    """Return the key of each mask; of one that is lost nothing finished is kept."""
    keys = {}
    for place, (file, segmenter, target, options) in tasks.items():
        # a file that cannot be read fails, and what fails is not kept
        keys[place] = place
        with contextlib.suppress(OSError):
            source = (file_hash(file.path), states[id(segmenter)])
            own = (target, options, dict(file.mask.structures))
            keys[place] = content_key(_FORMAT, *source, *own)
        forget(cache, keys[place], _is_lost)
    return keys


def _check_unseen(cohort, files, segmenters):
    seen = sorted(
        {
            file.mask.patient_id
            for file in files
            if Fit.of(
                None, segmenters[file.mask.patient_id].fitted_on_, cohort.card.label
            ).saw([file.mask.patient_id])
        }
    )
    if seen:
        msg = (
            f"{len(seen)} patients of cohort {cohort.name!r} ({', '.join(seen[:5])}) "
            "would get masks of a network that was fitted on their own masks. Use "
            "fit_folds, which draws unseen patients only, or a network of another "
            "cohort; or allow_training_patients=True, which the card tells."
        )
        raise LeakageError(msg)


def _targets(files, out):
    """Yield each file and where its mask is written, under a name of its own."""
    for number, file in enumerate(files):
        place = Path(file.mask.place)
        yield file, out / "masks" / f"{number:05d}_{place.name}"


def _state_of(segmenter):
    """Return what masks depend on of a segmenter."""
    record, tensors = segmenter.state()
    weights = [sha256(tensors[k].tobytes()).hexdigest() for k in sorted(tensors)]
    about = {key: record[key] for key in ("parameters", "structures", "fitted_on")}
    return content_key(about, weights)


def segment_file(
    file: ImageFile, segmenter: "Segmenter", target: str, options: Mapping[str, bool]
) -> dict:
    """Draw the mask of an image, and return what was written.

    Parameters
    ----------
    file
        The image, and the structures of its mask.
    segmenter
        A fitted one.
    target
        Where the mask is written.
    options
        ``flips`` and ``probabilities``.

    Returns
    -------
    dict
        ``files``, ``n_voxels`` by structure, and ``seconds``.
    """
    start = time.perf_counter()
    image = read_volume(file.path)
    found = segmenter.predict_probabilities(image, flips=options["flips"])
    shares = np.stack(list(found.values()))
    values = [file.mask.structures[name] or 1 for name in found]
    kind = np.uint8 if max(values) < 256 else np.uint16
    labels = np.array([0, *values], kind)[most_probable(shares)]
    write_volume(image.with_array(labels), target)
    written = [target]
    if options["probabilities"]:
        folder = Path(target).parent.with_name("probabilities")
        stem = Path(target).name.removesuffix(".gz").removesuffix(".nii")
        for name, share in found.items():
            written.append(str(folder / f"{stem}_{name}.nii.gz"))
            write_volume(image.with_array(share), written[-1])
    n_voxels = {
        name: int((labels == value).sum())
        for name, value in zip(found, values, strict=True)
    }
    seconds = time.perf_counter() - start
    return {"files": written, "n_voxels": n_voxels, "seconds": seconds}


def most_probable(shares: np.ndarray) -> np.ndarray:
    """Return the number of the most probable structure of each voxel, 0 background.

    Parameters
    ----------
    shares
        Probabilities, shape (n_structures, z, y, x).
    """
    labels = shares.argmax(axis=0) + 1
    return np.where(shares.max(axis=0) > 1 - shares.sum(axis=0), labels, 0)


def _is_lost(result):
    return not all(Path(file).is_file() for file in result["files"])


def _derived(cohort, modality, tasks, outcome, *, name, made_by):
    """Return the derived cohort; cases of images that failed are excluded."""
    masks, why = {}, {}
    for place, (file, _, target, _) in tasks.items():
        failed = outcome.failures.get(place)
        for case_id in file.mask.case_ids:
            if failed:
                why[case_id] = f"segmentation failed: {': '.join(failed)}"
            else:
                masks[case_id] = target
    if not masks:
        reasons = list(dict.fromkeys(why.values()))[:3]
        raise SchemaError(f"none of {len(tasks)} images could be segmented: {reasons}.")
    table = pd.DataFrame({cohort.mask_column(modality): pd.Series(masks)})
    derived = cohort.with_masks(
        table.rename_axis("case_id"), name=name, made_by=made_by
    )
    if not why:
        return derived
    _log.warning("%d cases are excluded: %s", len(why), list(why.items())[:3])
    cases = derived.cases.copy()
    cases.loc[list(why), "exclude"] = True
    cases.loc[list(why), "exclude_reason"] = pd.Series(why)
    return replace(derived, cases=cases)


def _made_by(cohort, files, segmenters, states):
    """Return what made the masks, as `Cohort.with_masks` takes it."""
    patients = {}
    for file in files:
        used = segmenters[file.mask.patient_id]
        patients.setdefault(id(used), (used, set()))[1].add(file.mask.patient_id)
    everybody = cohort.cases["patient_id"]
    fits = [
        fit_of_masks(used.fitted_on_, cohort.card.label, everybody)
        | {"applied_to": sorted(whose)}
        for used, whose in patients.values()
    ]
    names, fields = (
        sorted({getattr(used, what) for used, _ in patients.values()})
        for what in ("network", "fields")
    )
    return {
        "name": f"Segmenter {', '.join(names)}",
        "key": content_key(*sorted(states.values())),
        "promise": f"looked at: {', '.join(fields)}",
        "fitted_on": fits,
    }
