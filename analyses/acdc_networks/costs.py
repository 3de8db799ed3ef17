"""What the networks cost: parameters, seconds, memory, and how well they fit."""

import resource
import time
from dataclasses import replace

import pandas as pd
from sklearn.base import clone

from radlatent.imaging import read_volume
from radlatent.masks import compare_cohorts, mask_files, read_label_map
from radlatent.segmentation import count_parameters

#: Patients that training and drawing are timed on.
N_TIMED = 4


def costs(results, out, experts, jobs):
    """Return a row a network; the first one is 100 %.

    Parameters
    ----------
    results
        Network to what `fit_folds` returned.
    out
        Folder of the masks of training patients.
    experts
        The cohort that networks were fitted on.
    jobs
        Processes.
    """
    rows = []
    for name, result in results.items():
        first = result.segmenters[0]
        row = {"network": name, "parameters": count_parameters(first.model_.network)}
        row |= _speed(first, experts)
        epochs = first.settings["training"].epochs
        slices = _n_slices(result, experts)
        row["cpu_minutes_a_fold"] = (
            row["training_seconds_a_slice"] * slices * epochs / 60
        )
        row["epochs"] = epochs
        seconds = result.history.query("split == 'train'").groupby("fold")["seconds"]
        row["wall_minutes_a_fold"] = seconds.sum().mean() / 60
        row["test_dice"] = _dice(result.cohort, experts, jobs)
        # fold 0's network on its own training patients: told in its card
        training = first.predict(
            _of(experts, first.fitted_on_["patients"]),
            out=out / name / "training",
            name=f"{name}_training",
            allow_training_patients=True,
            jobs=jobs,
        )
        known = _of(experts, first.fitted_on_["patients"])
        row["training_dice"] = _dice(training, known, jobs)
        rows.append(row)
    table = pd.DataFrame(rows)
    for column in ("parameters", "cpu_minutes_a_fold", "training_dice", "test_dice"):
        table[f"{column}_percent"] = 100 * table[column] / table[column].iloc[0]
    return table


def _speed(segmenter, experts):
    """Return CPU seconds a slice of training and of drawing, and memory in MiB."""
    some = segmenter.fitted_on_["patients"][:N_TIMED]
    taken = []
    for epochs in (1, 3):
        training = replace(segmenter.settings["training"], epochs=epochs)
        each = clone(segmenter).set_params(training=training)
        start = time.process_time()
        each.fit(experts, patients=some, jobs=1)
        taken.append(time.process_time() - start)
    files = [f for f in mask_files(experts) if f.patient_id in some]
    images = [read_volume(experts.files(f.case_ids[0], "mr")[0]) for f in files]
    n = sum(len(image.array) for image in images)
    start = time.process_time()
    for image in images:
        segmenter.segment(image)
    drawing = time.process_time() - start
    return {
        "training_seconds_a_slice": (taken[1] - taken[0]) / 2 / n,
        "slices_a_second": n / drawing,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _n_slices(result, experts):
    patients = set(result.segmenters[0].fitted_on_["patients"])
    return sum(
        len(read_label_map(file.path, file.structures).array)
        for file in mask_files(experts)
        if file.patient_id in patients
    )


def _of(cohort, patients):
    """Return the part of a cohort that some patients are."""
    inside = cohort.cases["patient_id"].isin(patients)
    rows = cohort.patients.index.isin(patients)
    kind = type(cohort)
    return kind(cohort.card, cohort.root, cohort.cases[inside], cohort.patients[rows])


def _dice(cohort, reference, jobs):
    return compare_cohorts(cohort, reference, jobs=jobs).table["dice"].mean()
