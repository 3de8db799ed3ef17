"""What the scripts of this analysis share: settings, and one row a design."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

import radlatent as rl
from radlatent.latent import redundancy_folds

#: Vetil's basic set: 14 shape and 18 first-order features.
H32 = "original_(shape|firstorder)_"
#: The first eight that a clinician would name; chosen by hand before the first run.
H8 = (
    "original_(shape_VoxelVolume|shape_Sphericity|shape_Maximum3DDiameter|"
    "shape_Elongation|firstorder_Mean|firstorder_Maximum|firstorder_Variance|"
    "firstorder_Entropy)$"
)

#: A reconstruction leaves a quarter of a squared standard deviation or less; the loss
#: assumes a noise of 1, with which beta = 1 would let most latents collapse.
BETA = 0.1

#: The classifiers of the table; one of them, named before the first run, everywhere.
MAIN = "logistic"
MODELS = {
    "logistic": lambda: rl.logistic(n_features=10, C=0.1),
    "svm": lambda: rl.svm(n_features=10),
    "forest": lambda: rl.forest(n_features=10),
}


@dataclass(frozen=True)
class Design:
    """One encoder: what it is told, and how the term is made small."""

    name: str
    conditional: bool = True
    kappa: float = 10.0
    kind: str = "phases"
    told: bool = True
    n_latent: int = 8
    handcrafted: str = H32


@dataclass(frozen=True)
class Problem:
    """A cohort with its features, its outcome and how it is divided."""

    cohort: rl.Cohort
    features: pd.DataFrame
    endpoint: object
    folds: pd.DataFrame
    box: rl.Box
    aggregate: dict
    training: rl.Training
    out: Path
    jobs: int = 2

    def handcrafted(self, pattern: str) -> pd.DataFrame:
        """Return hand-crafted columns of the encoder's modalities."""
        start = "|".join(self.box.modalities)
        wanted = self.features.filter(regex=f"^({start})_handcrafted__{pattern}")
        # the decoder and the certificate take no missing values
        return wanted.dropna(axis=0)

    def patients(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return one row a patient."""
        about = self.aggregate
        volume = about.get("volume")
        if volume and volume not in table:
            table = rl.join(table, self.features[[volume]])
            return rl.aggregate(table, self.cohort.cases, **about).drop(columns=volume)
        return rl.aggregate(table, self.cohort.cases, **about)


def encoder_of(problem: Problem, design: Design) -> rl.LatentEncoder:
    """Return the untrained encoder of a design."""
    training = replace(problem.training, schedule=rl.Schedule(kind=design.kind))
    return rl.LatentEncoder(
        problem.box,
        n_latent=design.n_latent,
        beta=BETA,
        kappa=design.kappa,
        network=rl.Network(conditional=design.conditional),
        training=training,
        random_state=0,
    )


def encode(problem: Problem, design: Design):
    """Return the latent features of a design in every fold."""
    handcrafted = problem.handcrafted(design.handcrafted) if design.told else None
    return rl.encode_folds(
        encoder_of(problem, design),
        problem.cohort,
        problem.folds,
        handcrafted=handcrafted,
        jobs=problem.jobs,
        cache=problem.out / "cache",
    )


def certify(problem: Problem, design: Design, encoding, n_permutations: int):
    """Return the certificate of a design on the test patients of every fold."""
    return redundancy_folds(
        problem.handcrafted(design.handcrafted),
        encoding.features,
        problem.cohort.included["patient_id"],
        problem.folds,
        n_permutations=n_permutations,
        jobs=problem.jobs,
    )


def probe(problem: Problem, encoding, truth: pd.DataFrame) -> pd.DataFrame:
    """Return the held-out R2 of planted factors, predicted from the latent features.

    The estimator is that of the certificate, turned around.
    """
    factors = truth.loc[problem.cohort.included["patient_id"], ["seen", "hidden"]]
    factors = factors.set_axis(problem.cohort.included.index).astype(float)
    factors = factors.add_prefix("truth__").rename_axis("case_id")
    rows = []
    for (repeat, fold), tested in problem.folds.groupby(["repeat", "fold"]):
        patients = problem.cohort.included["patient_id"]
        index = patients.index[patients.isin(tested["patient_id"])]
        latent = encoding.features.at(repeat, fold).loc[index]
        latent = latent.loc[:, latent.std() > 1e-3]
        found = rl.redundancy(
            latent, factors.loc[index], patients.loc[index], n_permutations=1
        )
        rows.append(found.features.assign(repeat=repeat, fold=fold))
    return pd.concat(rows, ignore_index=True)


def predict(problem: Problem, features, name: str, blocks: str):
    """Return the result of one classifier on one set of features."""
    model = MODELS[name]()
    return rl.cross_validate(
        model, features, problem.endpoint, problem.folds, name=name, blocks=blocks
    )


def latent_only(problem: Problem, encoding):
    """Return latent features by patient, in every fold."""
    return encoding.features.map(problem.patients)


def fused(problem: Problem, encoding, pattern: str):
    """Return hand-crafted and latent features by patient, in every fold."""
    handcrafted = problem.handcrafted(pattern)
    return encoding.features.map(
        lambda table: problem.patients(rl.join(handcrafted, table))
    )
