"""What latent features add to hand-crafted ones, on real patients.

    python analyses/nonredundant_radiomics/real.py acdc --out reports/nonredundant_acdc

Encoders are fitted inside the folds; nothing was tuned on these patients: the box is
what their lesions need, beta, kappa and the discriminator are those of the simulation.
"""

import argparse
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from steps import H32, Design, Problem, certify, encode

import radlatent as rl
from radlatent.fusion import Result

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("RADLATENT_DATA", HERE.parents[2] / "shared" / "data"))


@dataclass(frozen=True)
class Question:
    """What is asked of one cohort."""

    endpoint: str
    box: rl.Box
    lesions: tuple[str, ...]
    aggregate: dict
    n_latent: int
    folds: dict
    model: dict


#: Test patients that a certificate needs.
FEWEST = 20

QUESTIONS = {
    "acdc": Question(
        "group",
        rl.Box(("mr",), (100.0, 110.0, 110.0), (10.0, 5.0, 5.0)),
        ("MYO", "LV"),
        {"how": "pivot"},
        8,
        {"n_folds": 4, "n_repeats": 1},
        {"n_features": 50, "C": 0.1},
    ),
    "sts": Question(
        "lung_metastasis",
        rl.Box(("pet",), (272.0, 192.0, 144.0), (8.0, 8.0, 8.0)),
        ("GTV",),
        {"how": "pivot"},
        4,
        {"n_folds": 4, "n_repeats": 2},
        {"n_features": 5, "C": 0.1},
    ),
}


def read(name: str, arguments) -> tuple[Problem, Question]:
    """Return the cohort with its hand-crafted features."""
    question = QUESTIONS[name]
    root = DATA / name
    whole = rl.Cohort.read(HERE.parents[1] / "cohorts" / name, root=root)
    # the other structures and modalities are no part of this question
    wanted = whole.cases["lesion_id"].isin(question.lesions)
    cohort = rl.Cohort(whole.card, whole.root, whole.cases[wanted], whole.patients)
    extraction = rl.extract(cohort, jobs=arguments.jobs, cache=arguments.out / "cache")
    endpoint = cohort.endpoint(question.endpoint)
    problem = Problem(
        cohort,
        extraction.features,
        endpoint,
        rl.make_folds(endpoint, **question.folds),
        question.box,
        question.aggregate,
        rl.Training(epochs=arguments.epochs, learning_rate=2e-3),
        arguments.out,
        arguments.jobs,
    )
    return problem, question


def certified(problem: Problem, design: Design, encoding) -> pd.DataFrame:
    """Return the certificate on test patients, no row where a fold has too few.

    On its own training patients an encoder looks less redundant than it is, and is not
    certified.
    """
    tested = problem.folds.groupby(["repeat", "fold"])["patient_id"].nunique()
    if tested.min() < FEWEST:
        return pd.DataFrame(columns=["estimator", "design", "held_out"])
    found = certify(problem, design, encoding, n_permutations=200).summary
    return found.assign(design=design.name, held_out=True)


def fit(problem: Problem, models: dict, table, blocks: str) -> list[Result]:
    """Return what each model predicts from the same features.

    A selection may leave all latent features out; the ridge uses every column.
    """
    return [
        rl.cross_validate(
            model, table, problem.endpoint, problem.folds, name=name, blocks=blocks
        )
        for name, model in models.items()
    ]


def main() -> None:
    """Train, certify, fuse."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", choices=sorted(QUESTIONS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=50)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    problem, question = read(arguments.cohort, arguments)
    handcrafted = problem.handcrafted(H32)
    models = {
        "selected": rl.logistic(**question.model),
        "ridge": rl.logistic(C=question.model["C"]),
    }
    results = fit(problem, models, problem.patients(handcrafted), "HCR")
    certificates, errors = [], []
    for kappa, suffix in ((0.0, ""), (10.0, "-MI")):
        about = {"kappa": kappa, "n_latent": question.n_latent}
        design = Design(f"DLR{suffix}", **about)
        encoding = encode(problem, design)
        errors.append(encoding.summary.assign(design=design.name))
        certificates.append(certified(problem, design, encoding))
        alone = encoding.features.map(problem.patients)
        both = encoding.features.map(
            lambda t: problem.patients(rl.join(handcrafted, t))
        )
        results += fit(problem, models, alone, design.name)
        results += fit(problem, models, both, f"HCR + {design.name}")
    predictions = pd.concat([r.predictions for r in results], ignore_index=True)
    tables = {
        "metrics": rl.evaluate(predictions),
        "compared": pd.concat(
            rl.compare(one, reference=(name, "HCR"))
            for name, one in predictions.groupby("model", sort=False)
        ),
        "certificates": pd.concat(certificates, ignore_index=True),
        "reconstruction": pd.concat(errors, ignore_index=True),
        "failures": encoding.failures,
    }
    (arguments.out / "tables").mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(arguments.out / "tables" / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
