"""Compute every table of this analysis, then draw every figure.

    python analyses/nonredundant_radiomics/compute.py --out reports/nonredundant

A run that was stopped goes on from its cache. ``--epochs 3 --n-patients 60`` tries it.
"""

import argparse
import json
import logging
import runpy
from dataclasses import replace
from pathlib import Path

import pandas as pd
from steps import (
    H8,
    H32,
    MAIN,
    MODELS,
    Design,
    Problem,
    certify,
    encode,
    encoder_of,
    fused,
    latent_only,
    predict,
    probe,
)

import radlatent as rl

HERE = Path(__file__).parent

#: PET and CT in one box along the body, 48 mm: the largest lesion has 40 mm.
BOX = rl.Box(("pet", "ct"), (48.0, 48.0, 48.0), (4.0, 4.0, 4.0))
VOLUME = "pet_handcrafted__original_shape_VoxelVolume"

ABLATION = [
    Design("plain VAE", told=False),
    Design("h in the decoder", kappa=0.0),
    Design("mutual information, phases", conditional=False),
    Design("mutual information, steps", conditional=False, kind="steps"),
    Design("both, phases"),
    Design("both, steps", kind="steps"),
]
FULL = "both, phases"
KAPPAS = (0.0, 0.01, 0.1, 1.0, 10.0, 50.0)


def problem(arguments, name: str, **strengths) -> Problem:
    """Simulate a cohort and measure its hand-crafted features."""
    folder = arguments.build / name
    cohort = rl.simulate(folder, n_patients=arguments.n_patients, **strengths)
    extraction = rl.extract(cohort, jobs=arguments.jobs, cache=folder.with_suffix(".h"))
    endpoint = cohort.endpoint("response")
    return Problem(
        cohort,
        extraction.features,
        endpoint,
        rl.make_folds(endpoint, n_folds=3, n_repeats=1, random_state=0),
        BOX,
        {"how": "volume_weighted_mean", "volume": VOLUME},
        rl.Training(epochs=arguments.epochs, learning_rate=2e-3),
        arguments.out,
        arguments.jobs,
    )


def ablation(known: Problem, truth: pd.DataFrame, oracle: float) -> dict:
    """Return the table of ablations and what it is made of."""
    handcrafted = known.patients(known.handcrafted(H32))
    results = {"HCR": predict(known, handcrafted, MAIN, "HCR")}
    rows, certificates = [], []
    for design in ABLATION:
        encoding = encode(known, design)
        certificate = certify(known, design, encoding, n_permutations=500)
        factors = probe(known, encoding, truth)
        both = fused(known, encoding, H32)
        results[design.name] = predict(known, both, MAIN, f"HCR + DLR, {design.name}")
        rows.append(
            {"design": design.name}
            | certificate.summary.set_index("estimator")["estimate"].to_dict()
            | {"reconstruction_error": encoding.summary["error_test"].mean()}
            | factors.groupby("feature")["r2_linear"].mean().to_dict()
        )
        certificates.append(certificate.summary.assign(design=design.name))
        if design.name == FULL:
            full = certificate
    predictions = pd.concat([r.predictions for r in results.values()])
    metrics = rl.evaluate(predictions)
    auc = metrics[metrics["metric"] == "auc"].reset_index(drop=True)
    table = pd.DataFrame(rows).join(
        auc.loc[1:, ["estimate", "lower", "upper", "n"]]
        .add_prefix("auc_")
        .reset_index(drop=True)
    )
    base = auc.loc[0, "estimate"]
    table["gap_recovered"] = (table["auc_estimate"] - base) / (oracle - base)
    compared = rl.compare(predictions, reference=(MAIN, "HCR"))
    return {
        "ablation": table,
        "ablation_auc": auc,
        "ablation_compared": compared,
        "ablation_certificates": pd.concat(certificates, ignore_index=True),
        "certificate_features": full.features,
    }


def sweep(known: Problem, truth: pd.DataFrame) -> pd.DataFrame:
    """Return certificate, reconstruction and hidden factor against kappa, one fold."""
    # the other patients are training patients; the folds of the ablation are reused
    known = replace(known, folds=known.folds.query("fold == 0"))
    rows = []
    for kind in ("phases", "steps"):
        for kappa in KAPPAS:
            design = Design(f"{kind} {kappa:g}", kappa=kappa, kind=kind)
            encoding = encode(known, design)
            certificate = certify(known, design, encoding, n_permutations=100)
            factors = probe(known, encoding, truth)
            last = encoding.history.groupby(["repeat", "fold"]).tail(1)
            told = last.mean(numeric_only=True)
            rows.append(
                {"schedule": kind, "kappa": kappa}
                | certificate.summary.set_index("estimator")["estimate"].to_dict()
                | {"reconstruction_error": encoding.summary["error_test"].mean()}
                | factors.groupby("feature")["r2_linear"].mean().to_dict()
                | {"penalty": told.get("mutual_information")}
                | {"discriminator_accuracy": told.get("discriminator_accuracy")}
                | {"seconds": encoding.summary["seconds"].mean()}
            )
    return pd.DataFrame(rows)


def published_table(known: Problem) -> dict:
    """Return the table H8, H32, D16, D32, HD24, HD64, with and without the term."""
    results = []
    for label, pattern in (("H8", H8), ("H32", H32)):
        patients = known.patients(known.handcrafted(pattern))
        results += [predict(known, patients, name, label) for name in MODELS]
    shares = []
    for n_latent, pattern, label in ((16, H8, "HD24"), (32, H32, "HD64")):
        for kappa, suffix in ((0.0, ""), (10.0, "-MI")):
            design = Design("", kappa=kappa, n_latent=n_latent, handcrafted=pattern)
            encoding = encode(known, design)
            sets = {
                f"D{n_latent}{suffix}": latent_only(known, encoding),
                f"{label}{suffix}": fused(known, encoding, pattern),
            }
            for blocks, patients in sets.items():
                results += [predict(known, patients, name, blocks) for name in MODELS]
            share = rl.coefficient_shares(
                rl.logistic(C=0.1),
                sets[f"{label}{suffix}"],
                known.endpoint,
                known.folds,
            )
            shares.append(share.assign(features=f"{label}{suffix}"))
    predictions = pd.concat([r.predictions for r in results], ignore_index=True)
    metrics = rl.evaluate(predictions)
    main = predictions[predictions["model"] == MAIN]
    return {
        "table_metrics": metrics[metrics["metric"] == "auc"],
        "table_compared": rl.compare(main, reference=(MAIN, "H32")),
        "table_shares": pd.concat(shares, ignore_index=True),
        "table_top_k": pd.concat(
            [
                rl.top_k_shares(share.drop(columns="features")).assign(features=name)
                for name, share in pd.concat(shares).groupby("features")
            ],
            ignore_index=True,
        ),
    }


def null_cohort(arguments) -> pd.DataFrame:
    """Return what the full model gains where there is nothing to find."""
    null = problem(
        arguments, "null", seen_effect=0.0, hidden_effect=0.0, random_state=1
    )
    design = next(d for d in ABLATION if d.name == FULL)
    encoding = encode(null, design)
    results = [
        predict(null, null.patients(null.handcrafted(H32)), MAIN, "HCR"),
        predict(null, fused(null, encoding, H32), MAIN, "HCR + DLR"),
    ]
    predictions = pd.concat([r.predictions for r in results], ignore_index=True)
    auc = rl.evaluate(predictions).query("metric == 'auc'")
    compared = rl.compare(predictions, reference=(MAIN, "HCR"))
    keys = ["model", "blocks"]
    return auc.merge(compared[[*keys, "difference", "p", "p_delong"]], "left", on=keys)


def final_encoder(known: Problem) -> rl.LatentEncoder:
    """Return the full model fitted on the training patients of the first fold."""
    design = next(d for d in ABLATION if d.name == FULL)
    folder = known.out / "encoder"
    if (folder / "encoder.json").is_file():
        return rl.load_encoder(folder)
    tested = known.folds.query("repeat == 0 and fold == 0")["patient_id"]
    cases = known.cohort.located
    encoder = encoder_of(known, design)
    train = cases[~cases["patient_id"].isin(tested)]
    encoder.fit(train, handcrafted=known.handcrafted(H32))
    encoder.save(folder)
    return encoder


def write(out: Path, tables: dict[str, pd.DataFrame]) -> None:
    """Write tables as they come."""
    (out / "tables").mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(out / "tables" / f"{name}.csv", index=False)


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--build", type=Path, default=Path("build/nonredundant"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--n-patients", type=int, default=400)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    known = problem(arguments, "known")
    folder = known.cohort.root
    truth = pd.read_csv(folder / "truth.csv", index_col="patient_id")
    oracle = json.loads((folder / "truth.json").read_text("utf-8"))["oracle"]["auc"]
    score = pd.Series(oracle, name="auc").rename_axis("of").reset_index()
    write(arguments.out, {"oracle": score})
    write(arguments.out, ablation(known, truth, oracle["linear_predictor"]))
    write(arguments.out, {"null": null_cohort(arguments)})
    write(arguments.out, published_table(known))
    write(arguments.out, {"kappa": sweep(known, truth)})
    final_encoder(known)
    for script in sorted(HERE.glob("fig*.py")):
        runpy.run_path(str(script), {"OUT": arguments.out}, "__main__")


if __name__ == "__main__":
    main()
