"""Plausible alternatives of masks: a cohort and a corrector enter, cohorts leave.

Another reader would have drawn another contour. What the prior's posterior leaves open
about a mask is drawn, and carried over to the mask itself: features measured on the
alternatives tell what the contour's uncertainty does to them.
"""

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted

from radlatent.cohort import Cohort
from radlatent.errors import CohortError
from radlatent.imaging import write_volume
from radlatent.masks.correction.candidates import between, signed_distances
from radlatent.masks.correction.corrected import fit_record, write_once
from radlatent.masks.correction.corrector import MaskCorrector
from radlatent.masks.labels import (
    LabelMap,
    MaskFile,
    mask_files,
    modality_of,
    read_label_map,
)
from radlatent.masks.overlap.dice import label_dice
from radlatent.masks.prior.frame import classes_of, from_frame
from radlatent.masks.rules.rules import broken_rules
from radlatent.parallel import map_tasks
from radlatent.provenance import content_key, file_hash

__all__ = ["alternatives_of", "draw_alternatives", "write_alternatives"]

#: Shares of a draw that are tried until it breaks no more rules than the mask.
_SHARES = (1.0, 0.7, 0.4)

_FORMAT = 1


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
    cohort = cohort if isinstance(cohort, Cohort) else Cohort.read(cohort)
    check_is_fitted(corrector)
    modality, out = modality_of(cohort, modality), Path(out).resolve()
    files = mask_files(cohort, modality=modality)
    weights = corrector.prior_.model_.state_dict().values()
    weights = [each.numpy().tobytes().hex() for each in weights]
    key = content_key(corrector.rules, *weights)
    tasks, keys = {}, {}
    for number, file in enumerate(files):
        name = f"{number:05d}_{Path(file.place).name}"
        targets = [str(_folder(out, k) / "masks" / name) for k in range(n)]
        tasks[file.place] = (file, corrector, targets, random_state)
        keys[file.place] = file.place
        with contextlib.suppress(OSError):
            known = (file_hash(file.path), key, targets, random_state, file.structures)
            keys[file.place] = content_key(_FORMAT, *known)
    cache = out / "cache"
    for place, (_, _, targets, _) in tasks.items():
        if not all(Path(target).is_file() for target in targets):
            kept = cache / keys[place][:2] / f"{keys[place]}.json"
            kept.unlink(missing_ok=True)
    outcome = map_tasks(
        write_alternatives,
        tasks,
        jobs=jobs,
        keys=keys,
        cache=cache,
        description="Drawing alternatives",
    )
    for place, (_, message) in outcome.failures.items():
        msg = f"{len(outcome.failures)} masks have no alternatives, {place}: {message}"
        raise CohortError(msg)
    return [_derived(cohort, tasks, k, (out, modality), corrector) for k in range(n)]


def _folder(out, number):
    return out / f"alternative_{number}"


def _derived(cohort, tasks, number, where, corrector):
    out, modality = where
    masks = {
        case_id: targets[number]
        for file, _, targets, _ in tasks.values()
        for case_id in file.case_ids
    }
    column = cohort.mask_column(modality)
    table = pd.DataFrame({column: pd.Series(masks)}).rename_axis("case_id")
    name = f"{cohort.name}_alternative_{number}"
    made_by = {
        "name": "draw_alternatives",
        "fitted_on": [fit_record(cohort, corrector)],
    }
    derived = cohort.with_masks(table, name=name, made_by=made_by)
    write_once(derived, _folder(out, number))
    return derived


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


def alternatives_of(
    mask: LabelMap,
    corrector: MaskCorrector,
    *,
    n: int,
    random_state: int | np.random.Generator | None = 0,
) -> list[LabelMap]:
    """Return plausible alternatives of a mask; see `draw_alternatives`.

    Parameters
    ----------
    mask
        Labels of the structures that the corrector was fitted on.
    corrector
        A fitted one.
    n
        How many.
    random_state
        Seed, Generator or None.
    """
    prior, random = corrector.prior_, np.random.default_rng(random_state)
    encoded = prior.encode(mask)
    classes = np.array([0, *(mask.structures[name] for name in prior.structures_)])
    known = {"structures": mask.structures, "spacing_mm": mask.spacing_mm[1:]}
    places = encoded.placement.slices
    fewest = broken_rules(mask.array[places], corrector.rules_, **known).sum(axis=1)
    start = _distances(encoded.mean, prior, encoded, classes)
    found = []
    for _ in range(n):
        move = encoded.scale * random.standard_normal(prior.n_latent)
        moved = _distances(encoded.mean + move, prior, encoded, classes)
        array = mask.array.copy()
        for row, place in enumerate(places):
            array[place] = _moved(
                mask.array[place],
                moved[row] - start[row],
                (classes, corrector.rules_, int(fewest[row]), known),
            )
        found.append(mask.with_array(array))
    return found


def _distances(latents, prior, encoded, classes):
    """Return signed distances in mm of the decoded slices, (n, classes, *slice)."""
    rows = np.arange(len(latents))
    if not len(rows):
        return np.zeros((0, len(classes), *encoded.placement.shape), np.float32)
    with torch.no_grad():
        maps = from_frame(prior.decode(latents), encoded.placement, rows)
    planes = classes[classes_of(maps)]
    spacing = encoded.placement.spacing_mm
    return np.stack([signed_distances(plane, classes, spacing) for plane in planes])


def _moved(plane, change, about):
    """Return a slice whose borders moved by a change of signed distances."""
    classes, rules, fewest, known = about
    own = signed_distances(plane, classes, known["spacing_mm"])
    for share in _SHARES:
        labels = between(own, change, share, classes).astype(plane.dtype)
        if broken_rules([labels], rules, **known).sum() <= fewest:
            return labels
    return plane
