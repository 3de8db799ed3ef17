"""What the scripts of this analysis share: the settings, one training, one figure."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

import radlatent as rl
from radlatent import figures
from radlatent.latent.encoder import LatentEncoder, load_encoder
from radlatent.latent.inputs import Projections
from radlatent.latent.network import Network
from radlatent.latent.prepared import PreparedCases
from radlatent.latent.results import Reconstructions, Traversal
from radlatent.nn import Training
from radlatent.records import parameters_of

#: Rows and columns of a picture: 128 x 64 pixels of 8 mm.
SIZE_MM, SPACING_MM = (1024.0, 512.0), 8.0

#: 1 and 15 are the values that the report names.
BETAS = (0.25, 1.0, 4.0, 15.0, 60.0)
N_LATENT = 32
MINIBATCH = 8
MAIN, LINEAR = "log", "no log"

#: Splits in the order of the figures; ratios are to the first.
SPLITS = ("train", "validation", "external test")
TEST = SPLITS[-1]


@dataclass(frozen=True)
class Plan:
    """One training: its name, and what differs from the others."""

    name: str
    log: bool = True
    beta: float = 1.0
    validation_fraction: float = 0.0

    def encoder(self, epochs: int) -> LatentEncoder:
        """Return the untrained encoder."""
        training = Training(
            epochs=epochs,
            minibatch_size=MINIBATCH,
            validation_fraction=self.validation_fraction,
        )
        return LatentEncoder(
            Projections("pet", SIZE_MM, SPACING_MM, self.log),
            n_latent=N_LATENT,
            beta=self.beta,
            network=Network(width=8),
            training=training,
        )


#: The main comparison, the sweep, and for the curves two that hold patients out
#: themselves: of the others the validation patients are in no part of the fit.
PLANS = [
    Plan(MAIN),
    Plan(LINEAR, log=False),
    *(Plan(f"beta {beta:g}", beta=beta) for beta in BETAS if beta != 1),
    Plan("log, curve", validation_fraction=0.2),
    Plan("no log, curve", log=False, validation_fraction=0.2),
]


def plan_of(beta: float) -> str:
    """Return the name of the training with a beta."""
    return MAIN if beta == 1 else f"beta {beta:g}"


def train(plan: Plan, prepared: PreparedCases, epochs: int, folder: Path) -> None:
    """Train an encoder and save it, unless the folder has it already."""
    if _finished(plan, prepared, epochs, folder) is not None:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    encoder = plan.encoder(epochs)
    checkpoint = folder.with_name(f"{folder.name}.{epochs}.checkpoint")
    encoder.fit_prepared(prepared, checkpoint=checkpoint, description="")
    encoder.save(folder)


def _finished(plan, prepared, epochs, folder):
    if not (folder / "encoder.json").is_file():
        return None
    encoder = load_encoder(folder)
    same = parameters_of(encoder) == parameters_of(plan.encoder(epochs))
    patients = sorted(prepared.cases["patient_id"].unique())
    return encoder if same and encoder.fitted_on_["patients"] == patients else None


def write(table: pd.DataFrame, out: Path, name: str) -> None:
    """Write a table of this analysis."""
    rl.report.write_table(table, out / "tables" / f"{name}.csv")


def read(out: Path, name: str, **kwargs) -> pd.DataFrame:
    """Return a table of this analysis."""
    return pd.read_csv(out / "tables" / f"{name}.csv", **kwargs)


def write_pictures(found: Reconstructions, case_ids, out: Path, name: str) -> None:
    """Keep the arrays of some cases for the figures."""
    at = found.cases.index.get_indexer(case_ids)
    arrays = {k: getattr(found, k)[at] for k in ("originals", "decoded", "masks")}
    path = out / "arrays" / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"channels": found.channels, "unit": found.unit}
    np.savez_compressed(path, case_ids=list(case_ids), **arrays, **about)


def read_pictures(out: Path, name: str) -> Reconstructions:
    """Return what `write_pictures` kept."""
    kept = np.load(out / "arrays" / f"{name}.npz")
    cases = pd.DataFrame(index=pd.Index(kept["case_ids"], name="case_id"))
    arrays = (kept[k] for k in ("originals", "decoded", "masks"))
    channels = tuple(kept["channels"].tolist())
    found = Reconstructions(cases, *arrays, channels)
    return replace(found, spacing_mm=(SPACING_MM, SPACING_MM), unit=str(kept["unit"]))


def write_traversal(found: Traversal, out: Path, name: str) -> None:
    """Keep the images along each latent feature."""
    about = {"names": found.names, "channels": found.channels}
    path = out / "arrays" / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, images=found.images, steps=found.steps, **about)


def read_traversal(out: Path, name: str) -> Traversal:
    """Return what `write_traversal` kept."""
    kept = np.load(out / "arrays" / f"{name}.npz")
    names, channels = (tuple(kept[k].tolist()) for k in ("names", "channels"))
    return Traversal(
        kept["images"], kept["steps"], names, channels, (SPACING_MM, SPACING_MM)
    )


def folder_of_figures() -> Path:
    """Return the folder of the report that a figure script is asked to draw from."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("reports/petct_latent_space"))
    return parser.parse_known_args()[0].out


def draw(out: Path, name: str, size: tuple[float, float], panel: Callable) -> None:
    """Draw one panel into ``figures/<name>.png`` and ``.pdf``."""
    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    with figures.canvas(size) as (figure, ax):
        panel(ax)
        for suffix, about in (("png", {}), ("pdf", {"CreationDate": None})):
            figure.savefig(folder / f"{name}.{suffix}", dpi=150, metadata=about)
