"""Compute every table of this analysis, then draw every figure.

    python analyses/petct_latent_space/compute.py --out reports/petct_latent_space

A run that was stopped goes on: finished trainings are kept under ``encoders/``, the
search in ``search.sqlite``. ``--epochs 2 --trials 2`` tries it.
"""

import argparse
import json
import logging
import runpy
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from steps import (
    BETAS,
    LINEAR,
    MAIN,
    PLANS,
    SPLITS,
    TEST,
    plan_of,
    train,
    write,
    write_pictures,
    write_traversal,
)
from wholebody import simulate_wholebody

import radlatent as rl
from radlatent.errors import RadlatentError
from radlatent.latent.encoder import load_encoder
from radlatent.latent.prepared import prepare_cases
from radlatent.latent.random_search.plan import SearchPlan
from radlatent.latent.random_search.search import search
from radlatent.latent.space import diagnostics as diag
from radlatent.latent.space.maps import latent_map
from radlatent.latent.space.ranks import ranking
from radlatent.parallel import map_tasks
from radlatent.provenance import environment

HERE = Path(__file__).parent

#: Cards of the real trials; the size of each in the report.
TRIALS = {"remarc": 284, "lnh073b": 101}

#: How many of the best and of the worst cases are shown.
N_EXTREME = 3
#: Settings of the report's random search; its ranges are not known, these are ours.
SPACE = {
    "learning_rate": (1e-4, 1e-2, "log"),
    "weight_decay": (1e-6, 1e-2, "log"),
    "dropout": (0.0, 0.5, "linear"),
}


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("reports/petct_latent_space"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--build", type=Path, default=Path("build"))
    for name in TRIALS:
        parser.add_argument(f"--{name}", type=Path, metavar="ROOT")
    arguments = parser.parse_args(words)
    if (arguments.remarc is None) != (arguments.lnh073b is None):
        parser.error("give --remarc and --lnh073b, or neither")
    return arguments


def cohort_of(arguments: argparse.Namespace, name: str) -> rl.Cohort:
    """Return the real cohort where its folder is given, a simulated one elsewhere."""
    root = getattr(arguments, name)
    if root is None:
        root = arguments.build / f"wholebody_{name}"
        simulate_wholebody(root, n_patients=TRIALS[name], style=name)
    return rl.Cohort.read(HERE.parent.parent / "cohorts" / name, root=root)


def split(cohorts: dict) -> dict:
    """Return the case ids by split: a fold of REMARC validates, LNH073B tests."""
    folds = rl.make_folds(
        cohorts["remarc"].endpoint("progression"), n_folds=5, n_repeats=1
    )
    held_out = folds.loc[folds["fold"] == 0, "patient_id"]
    first, other = cohorts["remarc"].included, cohorts["lnh073b"].included
    validates = first["patient_id"].isin(held_out)
    ids = (first.index[~validates], first.index[validates], other.index)
    return dict(zip(SPLITS, ids, strict=True))


def prepare(cohorts: dict, splits: dict, jobs: int) -> dict:
    """Return the pictures of each split, with the logarithm and without."""
    cases = pd.concat([cohort.located for cohort in cohorts.values()])
    found = {}
    for name in (MAIN, LINEAR):
        plan = next(plan for plan in PLANS if plan.name == name)
        every = prepare_cases(cases, plan.encoder(1).inputs, jobs=jobs)
        found[plan.log] = {split: every.take(ids) for split, ids in splits.items()}
        found[plan.log]["fitted and validation"] = every.take(
            splits["train"].append(splits["validation"])
        )
    return found


def train_all(arguments, prepared: dict) -> dict:
    """Return the trained encoders by name, training those that are not there."""
    folders = {plan.name: encoder_folder(arguments, plan.name) for plan in PLANS}
    tasks = {}
    for plan in PLANS:
        which = "fitted and validation" if plan.validation_fraction else "train"
        about = (prepared[plan.log][which], arguments.epochs, folders[plan.name])
        tasks[plan.name] = (plan, *about)
    outcome = map_tasks(
        train, tasks, jobs=arguments.jobs, description="Training encoders"
    )
    if outcome.failures:
        raise RadlatentError(f"trainings failed: {outcome.failures}")
    return {name: load_encoder(folder) for name, folder in folders.items()}


def encoder_folder(arguments, name: str) -> Path:
    """Return where an encoder is kept."""
    return arguments.out / "encoders" / name.replace(", ", "_").replace(" ", "_")


def compare_scales(encoders: dict, prepared: dict, out: Path) -> dict:
    """Write errors, ratios and ranks with the logarithm and without it."""
    errors, compared, ranks, ranked, found = [], [], [], [], {}
    for model, log in ((MAIN, True), (LINEAR, False)):
        encoder, cases = encoders[model], {s: prepared[log][s] for s in SPLITS}
        own = {s: encoder.reconstruct_prepared(p) for s, p in cases.items()}
        scales = {
            "own": own,
            "SUV": {s: diag.restore_intensities(r, encoder) for s, r in own.items()},
        }
        for unit, by_split in scales.items():
            told = {"model": model, "unit": unit}
            compared.append(diag.compare_errors(by_split).assign(**told))
            errors += [
                r.errors.reset_index().assign(split=s, **told)
                for s, r in by_split.items()
            ]
        for s, r in own.items():
            found_ranks = ranking(r)
            told = {"model": model, "split": s}
            ranked.append(found_ranks.summary.assign(**told))
            ranks.append(found_ranks.ranks.reset_index().assign(**told))
        found[model] = {"own": own[TEST], "SUV": scales["SUV"][TEST]}
    for name, parts in (
        ("errors", errors),
        ("errors_compared", compared),
        ("ranking", ranked),
        ("ranks", ranks),
    ):
        write(pd.concat(parts, ignore_index=True), out, name)
    return found


def show_extremes(found: dict, out: Path) -> None:
    """Write the best and the worst cases of the external test, and their pictures."""
    for model, scales in found.items():
        table = diag.extremes(scales["own"], N_EXTREME)
        slug = model.replace(" ", "_")
        write(table, out, f"extremes_{slug}")
        write_pictures(scales["own"], table["case_id"], out, f"extremes_{slug}")
    # the same patients by both, in one unit
    chosen = diag.extremes(found[MAIN]["own"], N_EXTREME)["case_id"]
    for model, scales in found.items():
        slug = model.replace(" ", "_")
        restored = replace(scales["SUV"], unit="SUV")
        write_pictures(restored, chosen, out, f"same_{slug}")


def sweep(encoders: dict, prepared: dict, out: Path) -> None:
    """Write error, KL, ranks and correlations against beta."""
    rows, correlated, units = [], [], []
    for beta in BETAS:
        encoder = encoders[plan_of(beta)]
        cases = {s: prepared[True][s] for s in SPLITS}
        found = {s: encoder.reconstruct_prepared(p) for s, p in cases.items()}
        errors = diag.compare_errors(found).set_index("split")
        for s, p in cases.items():
            posterior = encoder.encode_prepared(p)
            used = diag.latent_units(posterior)
            ranked = ranking(found[s]).summary.iloc[0]
            told = {"beta": beta, "split": s}
            rows.append(
                told
                | errors.loc[s, ["mean", "ratio"]].to_dict()
                | {"kl": used["kl"].sum(), "n_active": used["active"].sum()}
                | ranked[["share_first", "n_cases", "chance"]].to_dict()
                | {"rank": ranked["mean"]}
            )
            units.append(used.assign(**told))
            correlated.append(diag.mean_absolute_correlation(posterior).assign(**told))
    write(pd.DataFrame(rows), out, "beta")
    write(pd.concat(units, ignore_index=True), out, "beta_units")
    write(pd.concat(correlated, ignore_index=True), out, "beta_correlations")


def explore(encoders: dict, prepared: dict, cohorts: dict, out: Path) -> None:
    """Write correlations, maps, curves and traversals."""
    encoder = encoders[MAIN]
    means = {s: encoder.encode_prepared(prepared[True][s]).mean for s in SPLITS}
    table = diag.correlations(means[TEST])
    write(table.rename_axis("feature"), out, "correlations")
    histories = [
        diag.learning_curve(encoders[f"{name}, curve"].history_).assign(model=name)
        for name in (MAIN, LINEAR)
    ]
    write(pd.concat(histories, ignore_index=True), out, "histories")
    along, seen = encoder.traverse(), prepared[True]["train"].masks.any(axis=0)
    # the decoder is taught nothing where all training pictures are padding
    along = replace(along, images=np.where(seen, along.images, np.nan))
    write_traversal(along, out, "traversal")
    every = pd.concat(means.values())
    cases = pd.concat([prepared[True][s].cases for s in SPLITS])
    names = pd.Series({i: s for s in SPLITS for i in means[s].index})
    trial = names.map({s: "LNH073B" if s == TEST else "REMARC" for s in SPLITS})
    endpoints = [cohort.endpoint("progression").frame for cohort in cohorts.values()]
    outcome = cases["patient_id"].map(pd.concat(endpoints)["class"])
    outcome = "progression " + outcome.astype(str)
    patients = cases["patient_id"]
    for name, options in (
        ("map_pca", {"groups": names}),
        ("map_lda_cohort", {"method": "lda", "groups": trial}),
        ("map_lda_progression", {"method": "lda", "groups": outcome}),
    ):
        found = latent_map(every, patients=patients, **options)
        write(found.coordinates, out, name)
        write(found.axes, out, f"{name}_axes")


def search_settings(arguments, prepared: dict) -> None:
    """Write the trials of a random search on the training patients."""
    plan = next(plan for plan in PLANS if plan.name == MAIN)
    encoder = plan.encoder(max(1, arguments.epochs // 4))
    result = search(
        encoder,
        prepared[True]["train"].cases,
        plan=SearchPlan(space=SPACE, n_trials=arguments.trials, n_folds=2),
        storage=arguments.out / "search.sqlite",
        jobs=arguments.jobs,
    )
    write(result.trials, arguments.out, "search_trials")
    text = json.dumps(result.space, indent=1)
    (arguments.out / "tables" / "search_space.json").write_text(text + "\n", "utf-8")


def main() -> None:
    """Run everything."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    arguments, seconds, start = parse(), {}, time.perf_counter()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    cohorts = {name: cohort_of(arguments, name) for name in TRIALS}
    splits = split(cohorts)
    prepared = prepare(cohorts, splits, arguments.jobs)
    seconds["cohorts and pictures"] = time.perf_counter() - start
    encoders = train_all(arguments, prepared)
    seconds["until trained"] = time.perf_counter() - start
    found = compare_scales(encoders, prepared, out)
    show_extremes(found, out)
    sweep(encoders, prepared, out)
    explore(encoders, prepared, cohorts, out)
    seconds["until measured"] = time.perf_counter() - start
    search_settings(arguments, prepared)
    seconds["until searched"] = time.perf_counter() - start
    failures = [p.failures for p in prepared[True].values()]
    failures = pd.concat(failures).drop_duplicates()
    rl.report.write_table(failures.reset_index(drop=True), out / "failures.csv")
    record = {
        "arguments": {k: str(v) for k, v in vars(arguments).items()},
        "cohorts": {name: cohort.key for name, cohort in cohorts.items()},
        "cases": {s: len(prepared[True][s]) for s in SPLITS},
        "seconds": {k: round(v, 1) for k, v in seconds.items()},
        "environment": environment(),
    }
    text = json.dumps(record, indent=2, default=str) + "\n"
    (out / "run.json").write_text(text, "utf-8")
    sys.argv = [sys.argv[0], "--out", str(out)]
    for script in sorted(HERE.glob("fig*.py")):
        runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
