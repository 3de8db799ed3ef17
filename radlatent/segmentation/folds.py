"""A segmenter for every fold, and masks of patients whom its network has not seen.

A cohort and an unfitted segmenter enter; a derived cohort of real masks of a network
leaves, whose card tells for every patient which fit drew the masks.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import clone

from radlatent.cohort.labels import read_label_map
from radlatent.cohort.manifest import Cohort
from radlatent.errors import RadlatentError, SchemaError
from radlatent.features.folds import deal
from radlatent.nn.training.devices import one_thread
from radlatent.outputs import check_folder, replace_file
from radlatent.parallel import map_tasks
from radlatent.schema import check_folds
from radlatent.segmentation.checks import check_fit
from radlatent.segmentation.derive import segment_cohort
from radlatent.segmentation.drawing import SegmenterEnsemble
from radlatent.segmentation.segmenter import load_segmenter

if TYPE_CHECKING:
    from radlatent.segmentation.segmenter import Segmenter

__all__ = ["FoldedSegmentation", "fit_folds"]


@dataclass(frozen=True, eq=False, repr=False)
class FoldedSegmentation:
    """A cohort under masks of networks that have not seen the patient.

    Parameters
    ----------
    cohort
        The derived cohort. Cases that could not be segmented are excluded, with the
        reason.
    folds
        **folds** table: which fold's network drew whose masks.
    segmenters
        Fold to its segmenter.
    """

    cohort: Cohort
    folds: pd.DataFrame
    segmenters: dict[int, "Segmenter"]

    @property
    def ensemble(self) -> SegmenterEnsemble:
        """All of them as one, for patients whom none has seen."""
        return SegmenterEnsemble(list(self.segmenters.values()))

    @property
    def history(self) -> pd.DataFrame:
        """``fold`` and the history of its training."""
        parts = [
            each.history_.assign(fold=fold) for fold, each in self.segmenters.items()
        ]
        table = pd.concat(parts, ignore_index=True)
        return table[["fold", *table.columns.drop("fold")]]

    @property
    def summary(self) -> pd.DataFrame:
        """One row a fold: patients, epochs, seconds, the last training loss."""
        rows = []
        for fold, each in self.segmenters.items():
            told = each.history_[each.history_["split"] == "train"]
            row = {"fold": fold, "n_train": len(each.fitted_on_["patients"])}
            row["n_drawn"] = int((self.folds["fold"] == fold).sum())
            row |= {"epochs": len(told), "seconds": told["seconds"].sum()}
            rows.append(row | {"loss": told["total"].iloc[-1]})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return f"FoldedSegmentation({self.cohort!r}, {len(self.segmenters)} folds)"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def fit_folds(
    cohort: Cohort | str | Path,
    segmenter: "Segmenter",
    folds: int | pd.DataFrame = 5,
    *,
    out: str | Path,
    name: str | None = None,
    modality: str | None = None,
    jobs: int | None = None,
) -> FoldedSegmentation:
    """Fit a segmenter a fold, and draw the masks of the patients it has not seen.

    Parameters
    ----------
    cohort
        Whose masks are right.
    segmenter
        A `Segmenter`; it stays unfitted.
    folds
        How many; or a **folds** table of one repeat with every patient, such as models
        are tested with.
    out
        Folder of the derived cohort: its tables, masks in ``masks``, and each fold's
        segmenter in ``fold_0`` and so on. What is finished is kept, and a training that
        was killed goes on.
    name
        Of the derived cohort; by default that of the cohort and the network.
    modality
        Whose images and masks; None where the cohort has one modality.
    jobs
        Processes, a fold each. None leaves it to ``joblib.parallel_config``.

    Raises
    ------
    SchemaError
        The cohort, the settings or the folds need mending; a structure is in no mask
        that a fold trains on, which is told before any is trained; or a folder holds a
        segmenter of other settings or patients.
    RadlatentError
        A network could not be trained.

    Notes
    -----
    Folds are dealt by patient, with the ``random_state`` of the segmenter.
    """
    cohort = Cohort.of(cohort)
    chosen = check_fit(segmenter, cohort, patients=None, modality=modality)
    table = _table(folds, chosen.patients, segmenter.random_state)
    out = Path(out).resolve()
    check_folder(out, what="out")
    tasks = {}
    for fold, part in table.groupby("fold"):
        drawn = set(part["patient_id"])
        files = [f for f in chosen.files if f.mask.patient_id not in drawn]
        folder = str(out / f"fold_{fold}")
        tasks[int(fold)] = (clone(segmenter), replace(chosen, files=files), folder)
    _check_structures(tasks, chosen, jobs)
    outcome = map_tasks(_fit_fold, tasks, jobs=jobs, description="Training folds")
    if outcome.failures:
        lines = [f"fold {fold}: {why[1]}" for fold, why in outcome.failures.items()]
        raise RadlatentError("segmenters failed: " + "; ".join(lines))
    fitted = {fold: load_segmenter(out / f"fold_{fold}") for fold in tasks}
    replace_file(out / "folds.csv", lambda path: table.to_csv(path, index=False))
    drawn = dict(zip(table["patient_id"], table["fold"], strict=True))
    derived = segment_cohort(
        cohort,
        {patient: fitted[fold] for patient, fold in drawn.items()},
        out=out,
        name=name or f"{cohort.name}_{segmenter.network}",
        options={"flips": False, "probabilities": False},
        jobs=jobs,
    )
    return FoldedSegmentation(derived, table, fitted)


def _table(folds, patients, random_state):
    """Return the **folds** table of exactly these patients."""
    if isinstance(folds, int | np.integer):
        if not 2 <= folds <= len(patients):
            n = len(patients)
            raise SchemaError(f"folds is {folds} of {n} patients; give 2 to {n}.")
        fold = deal(patients, folds, random_state=random_state)
        return check_folds(
            pd.DataFrame({"patient_id": patients, "repeat": 0, "fold": fold})
        )
    table = check_folds(folds)
    found = []
    repeats = len(table["repeat"].unique())
    if repeats > 1:
        found.append(f"they have {repeats} repeats; give one")
    absent = sorted(set(patients) - set(table["patient_id"]))
    if absent:
        found.append(f"{len(absent)} patients have no fold: {absent[:5]}")
    if found:
        raise SchemaError(f"folds: {'; '.join(found)}.")
    return table[table["patient_id"].isin(patients)].reset_index(drop=True)


def _check_structures(tasks, chosen, jobs):
    """Raise where a fold would be trained without one of the structures."""
    waiting = {
        fold: {file.place for file in part.files}
        for fold, (_, part, folder) in tasks.items()
        if not (Path(folder) / "segmenter.json").is_file()
    }
    if not waiting:
        return
    files = {file.place: (file,) for file in chosen.files}
    # what cannot be read is told by the fold, which leaves it out
    held = map_tasks(_structures_in, files, jobs=jobs).results
    whose = {file.place: file.mask.patient_id for file in chosen.files}
    found = []
    for name in chosen.structures:
        having = {place for place, names in held.items() if name in names}
        folds = [fold for fold, places in waiting.items() if having.isdisjoint(places)]
        if folds:
            patients = sorted({whose[place] for place in having})
            found.append(
                f"structure {name!r} is in no mask that fold {folds[0]} would be "
                f"trained on: it is in {len(having)} of {len(held)} masks"
                + (f", of {', '.join(patients[:3])}" if patients else "")
            )
    if found:
        msg = (
            f"folds: {'; '.join(found)}. Give a folds table that spreads these "
            "patients, or leave the cases of the structure out."
        )
        raise SchemaError(msg)


def _structures_in(file):
    """Return the names of the structures that a mask has voxels of."""
    mask = read_label_map(file.mask.path, file.mask.structures)
    there = set(np.unique(mask.array).tolist())
    return [name for name, label in mask.structures.items() if label in there]


def _fit_fold(segmenter, chosen, folder):
    """Fit the segmenter of a fold, unless its folder holds it."""
    folder = Path(folder)
    if (folder / "segmenter.json").is_file():
        _check_same(load_segmenter(folder), segmenter, chosen, folder)
        return str(folder)
    with one_thread():
        segmenter.fit_chosen(chosen, checkpoint=folder / "training.safetensors", jobs=1)
    segmenter.save(folder)
    return str(folder)


def _check_same(there, segmenter, chosen, folder):
    known = {"cohort": chosen.cohort, "patients": chosen.patients}
    if there.parameters() != segmenter.parameters() or there.fitted_on_ != known:
        msg = (
            f"{folder} holds a segmenter of other settings or patients. Give another "
            "folder, or delete it."
        )
        raise SchemaError(msg)
