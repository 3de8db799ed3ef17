"""How few 25 patients are: what the study file does not compute.

    python analyses/sts_metastasis/compute.py --run reports/sts_metastasis

Reads the tables of the run, writes ``limits/`` beside them: the patients that each
model needs, learning curves, and every feature by itself.
"""

import argparse
from pathlib import Path

import pandas as pd

import radlatent as rl
from radlatent import figures
from radlatent.cohort import Endpoint
from radlatent.fusion import MODELS
from radlatent.study import read_study

HERE = Path(__file__).resolve().parent

#: Training patients: a fold has 18 or 19.
SIZES = (8, 10, 12, 14, 16, 18)


def read(run: Path) -> tuple:
    """Return features, endpoint and folds of a run, and its study."""
    plan = read_study(HERE / "study.yml")
    frame = pd.read_parquet(run / "data" / "endpoints.parquet")
    endpoint = Endpoint(plan.endpoint, "class", frame)
    patients = rl.read_features(run / "data" / "patients.parquet")
    return plan, patients, endpoint, rl.read_folds(run / "tables" / "folds.csv")


def needed(plan, patients: pd.DataFrame, endpoint: Endpoint) -> pd.DataFrame:
    """Return Riley's criteria for the columns that each model chooses from."""
    tables = []
    for spec in plan.models:
        candidates = rl.select_blocks(patients, spec.blocks)
        table = rl.study_size(candidates, endpoint)
        tables.append(table.assign(model=spec.label, blocks=spec.told))
    return pd.concat(tables, ignore_index=True)


def curves(plan, patients, endpoint: Endpoint, folds: pd.DataFrame) -> pd.DataFrame:
    """Return the learning curves of the simplest and of the last model."""
    tables = []
    for spec in (plan.models[0], plan.models[-1]):
        model = MODELS[spec.model](**spec.options)
        features = rl.select_blocks(patients, spec.blocks)
        table = rl.learning_curve(model, features, endpoint, folds, sizes=SIZES)
        tables.append(table.assign(model=spec.label, blocks=spec.told))
    return pd.concat(tables, ignore_index=True)


def main() -> None:
    """Compute, write, and say what is too few."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    run = parser.parse_args().run
    plan, patients, endpoint, folds = read(run)
    out = run / "limits"
    out.mkdir(exist_ok=True)
    sizes = needed(plan, patients, endpoint)
    sizes.to_csv(out / "sample_size.csv", index=False)
    single = rl.univariable(patients, endpoint).sort_values("p")
    single.to_csv(out / "univariable.csv", index=False)
    learned = curves(plan, patients, endpoint, folds)
    learned.to_csv(out / "learning_curve.csv", index=False)
    with figures.canvas((6, 4.6)) as (figure, ax):
        figures.metric_by_patients(learned, ax, metric="auc")
        ax.axhline(0.5, color="0.6", linestyle="--", linewidth=1)
        ax.set_ylim(0, 1)
        for kind in ("png", "pdf"):
            figure.savefig(out / f"learning_curve.{kind}", dpi=150)
    for row in sizes[sizes["binding"]].itertuples():
        print(
            f"{row.model} on {row.blocks}: {row.n_parameters} candidates take "
            f"{row.n:.0f} patients ({row.criterion}); there are {row.n_had}, with "
            f"{row.n_events_had} events."
        )
    print(f"{(single['q'] < 0.05).sum()} of {len(single)} features have q < 0.05.")


if __name__ == "__main__":
    main()
