"""Cross-validate pooled lesions, bags and graphs on cohorts with a known answer.

    python analyses/dlbcl_lesion_graphs/compute.py --jobs 2
    python analyses/dlbcl_lesion_graphs/compute.py --cohort cohorts/remarc --root FOLDER

Predictions of what is finished are kept: a run that was killed goes on.
"""

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import pandas as pd
from lesions import N_NULLS, Patients, real, simulated
from models import plans, table_of
from steps import OUT, write
from tables import best_baseline, differences, shares

import radlatent as rl
from radlatent.outputs import replace_file

_log = logging.getLogger(__name__)

FACTORS = ("spread", "outlier", "pair")


def read_options():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--cohort", type=Path, help="card of a real cohort of PET")
    parser.add_argument("--root", type=Path, default=None, help="its files")
    parser.add_argument("--endpoint", default="progression", help="its endpoint")
    nulls = [f"null_{seed}" for seed in range(N_NULLS)]
    given = {"nargs": "+", "choices": [*FACTORS, *nulls]}
    parser.add_argument("--questions", default=[*FACTORS, *nulls], **given)
    parser.add_argument("--models", nargs="+", default=list(plans()), choices=plans())
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def predictions_of(name: str, patients: Patients, question: str, options):
    """Return the **predictions** table of a model, from disk where it is there."""
    slug = name.replace(", ", "_").replace(" ", "_")
    path = options.out / "predictions" / question / f"{slug}.parquet"
    if path.exists():
        return pd.read_parquet(path)
    make, model = plans()[name]
    folds = rl.make_folds(patients.endpoint, n_folds=5, n_repeats=1)
    start = time.perf_counter()
    found = rl.cross_validate(
        model(),
        table_of(patients, make),
        patients.endpoint,
        folds,
        name=name,
        blocks="lesions",
        jobs=options.jobs,
    ).predictions
    _log.info("%s, %s: %.0f s", question, name, time.perf_counter() - start)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, found.to_parquet)
    return found


def with_oracle(predictions: pd.DataFrame, patients: Patients) -> pd.DataFrame:
    """Return the predictions, and those of the truth itself, which nothing fits."""
    if patients.oracle is None:
        return predictions
    one = predictions[predictions["model"] == predictions["model"].iloc[0]].copy()
    truth = patients.oracle.reindex(one["patient_id"]).to_numpy()
    chance = 1 / (1 + np.exp(-truth))
    positive = [c for c in one if c.startswith("probability_")]
    one["model"] = "oracle"
    one[positive[0]], one[positive[1]] = 1 - chance, chance
    return pd.concat([predictions, one], ignore_index=True)


def main():
    """Write predictions and tables, question by question."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = read_options()
    options.out = options.out.resolve()
    questions = options.questions
    if options.cohort:
        questions = [options.endpoint]
    found = {"metrics": [], "differences": [], "gap": []}
    for question in questions:
        if options.cohort:
            told = (options.cohort, options.root, question, options.jobs)
            patients = real(*told)
        else:
            patients = simulated(question)
        parts = [
            predictions_of(name, patients, question, options) for name in options.models
        ]
        predictions = with_oracle(pd.concat(parts, ignore_index=True), patients)
        metrics = rl.evaluate(predictions)
        best = best_baseline(metrics)
        made = {
            "metrics": metrics,
            "differences": differences(predictions, best),
            "gap": shares(predictions, best),
        }
        for name, table in made.items():
            found[name].append(table.assign(question=question))
            write(pd.concat(found[name], ignore_index=True), options.out, name)


if __name__ == "__main__":
    main()
