"""How often nothing is taken for something, on cohorts in which nothing is planted.

    python benchmarks/nulls.py            # all parts, about half an hour
    python benchmarks/nulls.py intervals  # one part: intervals, fitted, drawn, ...
    python benchmarks/nulls.py added --start 40 --cohorts 20 --out build  # a piece
    python benchmarks/nulls.py added --out build --gather  # what all pieces say

``intervals``: 95% intervals of models that select columns of noise inside the folds,
and how many hold 0.5; of numbers, how many have an R2 that is not above 0. ``fitted``:
two models of noise, or of blocks that tell equally much, cross-validated and compared;
how many differ at 0.05. ``drawn``: the same with scores that are drawn instead of
predicted. That is legitimate for what `compare` promises, since it takes predictions as
they are and refits nothing; it is far faster, and the scores of the two models
correlate as much as is wanted. ``permuted``: how often `permute_outcomes` has p <=
0.05, of cohorts in which nothing tells. ``certificate``: how many of independent pairs
of tables each row of `redundancy` calls dependent, those of one lesion a patient, and
of two that resemble each other. ``added``: how often `added_value` calls an embedding
useful that is noise, or a noisy copy of hand-crafted features that tell the outcome.
The last two take long: with ``--out`` every cohort is a row of a file, a piece that was
stopped goes on, and ``--gather`` counts. The bounds beside the counts are the 95%
interval of a binomial count of probability 0.05.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binom
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

import radlatent as rl
from radlatent.cohort import Endpoint
from radlatent.fusion.validation.inputs import check_inputs
from radlatent.fusion.validation.validate import predict_folds

#: name: kind, patients, columns, model, repeats
INTERVALS = {
    "logistic, 10 of 50 columns": ("class", 80, 50, rl.logistic, 2),
    "logistic, 10 of 50 columns, 60 patients": ("class", 60, 50, rl.logistic, 5),
    "cox, 10 of 50 columns": ("survival", 80, 50, rl.cox, 2),
    "fine_gray, 10 of 50 columns": ("competing", 80, 50, rl.fine_gray, 2),
    "ridge, 10 of 50 columns": ("continuous", 80, 50, rl.ridge, 2),
    "elastic net, 10 of 50 columns": ("continuous", 80, 50, rl.elastic_net, 2),
}


def risk_only():
    """Return `radlatent.cox` without its curve, which takes five more fits."""
    return Pipeline(rl.cox().steps)


#: name: kind, patients, shift of one column of each block, model
FITTED = {
    "noise": ("class", 80, 0.0, rl.logistic),
    "equal effects": ("class", 80, 1.0, rl.logistic),
    "noise, survival": ("survival", 80, 0.0, risk_only),
    "noise, numbers": ("continuous", 80, 0.0, rl.ridge),
}

#: name: kind, model
PERMUTED = {
    "logistic": ("class", rl.logistic),
    "cox": ("survival", rl.cox),
    "fine_gray": ("competing", rl.fine_gray),
    "cause_specific_cox": ("competing", rl.cause_specific_cox),
}

METRIC = {"class": "auc", "survival": "c_harrell", "competing": "c_harrell"}
METRIC |= {"continuous": "r2"}

#: Cohorts of each part.
COHORTS = {"intervals": 100, "fitted": 200, "drawn": 400, "certificate": 200}
COHORTS |= {"permuted": 20, "added": 200}

#: name: patients, lesions of each
CERTIFIED = {"80 patients": (80, 1), "40 patients, 2 lesions": (40, 2)}


def patients(n):
    """Return the index of n patients."""
    return pd.Index([f"p{at:03d}" for at in range(n)], name="patient_id")


def endpoint_of(kind, n, rng):
    """Return an endpoint of n patients that depends on nothing."""
    if kind == "class":
        frame = pd.DataFrame({"class": np.where(np.arange(n) % 2, "1", "0")})
    elif kind == "continuous":
        frame = pd.DataFrame({"value": rng.normal(50, 10, n)})
    else:
        time, end = 1000 * rng.weibull(1.3, n), rng.uniform(0, 3000, n)
        frame = pd.DataFrame({"time": np.ceil(np.minimum(time, end))})
        frame["event"] = (time <= end).astype(int)
    if kind == "competing":
        other = 1500 * rng.weibull(1.3, n)
        first = np.where(other < np.minimum(time, end), "death", "relapse")
        frame["time"] = np.ceil(np.minimum(np.minimum(time, end), other))
        frame["cause"] = np.where(np.minimum(time, other) <= end, first, "censored")
        frame = frame.drop(columns="event")
        frame = frame.set_index(patients(n))
        return Endpoint("outcome", kind, frame, "relapse")
    return Endpoint("outcome", kind, frame.set_index(patients(n)))


def noise(n, n_columns, rng, block="ct_handcrafted"):
    """Return a block of noise."""
    columns = [f"{block}__x{at:02d}" for at in range(n_columns)]
    return pd.DataFrame(rng.normal(size=(n, n_columns)), patients(n), columns)


def intervals(n_cohorts):
    """Return how many intervals of null cohorts hold 0.5."""
    for name, (kind, n, n_columns, make, n_repeats) in INTERVALS.items():
        found = []
        for seed in range(n_cohorts):
            rng = np.random.default_rng(seed)
            endpoint = endpoint_of(kind, n, rng)
            folds = rl.make_folds(endpoint, n_repeats=n_repeats, random_state=seed)
            table = noise(n, n_columns, rng)
            model = make(n_features=10)
            metrics = rl.cross_validate(model, table, endpoint, folds).metrics
            found.append(metrics.set_index("metric").loc[METRIC[kind]])
        found = pd.DataFrame(found)
        held = found["lower"].le(0.5) & found["upper"].ge(0.5)
        if kind == "continuous":
            held = found["lower"].le(0)
        first = int(held[:20].sum())
        told = {"of the first 20": first, "holds": int(held.sum()), "of": n_cohorts}
        yield {"setting": name, "mean": found["estimate"].mean().round(3)} | told


def two_models(seed, setting, n_repeats):
    """Return the predictions of one model on two blocks that tell equally much."""
    kind, n, shift, make = setting
    rng = np.random.default_rng(seed)
    endpoint = endpoint_of(kind, n, rng)
    folds = rl.make_folds(endpoint, n_repeats=n_repeats, random_state=seed)
    tables = []
    for block in ("ct", "pet"):
        table = noise(n, 10, rng, block)
        if kind == "class":
            table.iloc[:, 0] += shift * (endpoint.strata == "1")
        splits = check_inputs(table, endpoint, folds)
        key = {"model": "", "blocks": block, "endpoint": "outcome"}
        tables.append(predict_folds(make(), table, endpoint, splits, key)[0])
    return pd.concat(tables).assign(model="model")


def rejections(rows, name, n_repeats):
    """Return how often each test was below 0.05, and what a binomial count allows."""
    rows = pd.DataFrame(rows)
    n, tests = len(rows), rows[["p", "p_corrected", "p_delong"]].dropna(axis=1)
    bounds = "{:.0f} to {:.0f}".format(*binom.interval(0.95, n, 0.05))
    counts = (tests < 0.05).sum().to_dict()
    return {"setting": name, "repeats": n_repeats} | counts | {"of": n, "95%": bounds}


def fitted(n_cohorts):
    """Return how often two equal models that were fitted differ."""
    for name, setting in FITTED.items():
        for n_repeats in (1, 5):
            rows = []
            for seed in range(n_cohorts):
                table = two_models(seed, setting, n_repeats)
                options = {"metric": METRIC[setting[0]], "n_boot": 500}
                row = rl.compare(table, random_state=seed, **options)
                rows.append(row.iloc[0])
            yield rejections(rows, name, n_repeats)


def drawn_scores(seed, n, shift, n_repeats):
    """Return predictions of two equal models: half of their variance is shared.

    A repeat moves a score by half of a standard deviation.
    """
    rng = np.random.default_rng(seed)
    positive = np.arange(n) % 2
    shared = rng.normal(size=n)
    parts = []
    for model in ("one", "two"):
        own = rng.normal(size=n)
        for repeat in range(n_repeats):
            score = (shared + own) / np.sqrt(2) + shift * positive
            score = score + 0.5 * rng.normal(size=n)
            part = pd.DataFrame({"patient_id": patients(n), "repeat": repeat})
            part["probability_1"] = 1 / (1 + np.exp(-score))
            parts.append(part.assign(model=model, truth=positive.astype(str)))
    table = pd.concat(parts, ignore_index=True)
    table = table.assign(blocks="all", endpoint="outcome", fold=0)
    return table.assign(probability_0=1 - table["probability_1"])


def drawn(n_cohorts):
    """Return how often two equal models whose scores were drawn differ."""
    for n in (60, 100):
        for shift in (0.0, 1.0):
            for n_repeats in (1, 2, 5):
                rows = [
                    rl.compare(
                        drawn_scores(seed, n, shift, n_repeats),
                        n_boot=500,
                        random_state=seed,
                    ).iloc[0]
                    for seed in range(n_cohorts)
                ]
                name = f"{n} patients, shift {shift:g}"
                yield rejections(rows, name, n_repeats)


def permuted(n_cohorts):
    """Return how often models of noise are better than those of dealt outcomes."""
    for name, (kind, make) in PERMUTED.items():
        p = []
        for seed in range(n_cohorts):
            rng = np.random.default_rng(seed)
            endpoint, table = endpoint_of(kind, 80, rng), noise(80, 10, rng)
            folds = rl.make_folds(endpoint, n_folds=3, n_repeats=1, random_state=seed)
            about = {"n_permutations": 39, "random_state": seed}
            found = rl.permute_outcomes(make(), table, endpoint, folds, **about)
            p.append(found.summary["p"].iloc[0])
        bounds = "{:.0f} to {:.0f}".format(*binom.interval(0.95, n_cohorts, 0.05))
        below = {"p <= 0.05": int((np.array(p) <= 0.05).sum()), "of": n_cohorts}
        yield {"setting": name} | below | {"95%": bounds, "mean p": np.mean(p)}


def lesions(rng, setting, columns):
    """Return columns of lesions, half of whose variance is the patient's."""
    n, each = setting
    owners = np.repeat(rng.normal(size=(n, columns)), each, axis=0)
    return (owners + rng.normal(size=(n * each, columns))) / np.sqrt(2)


def pair(seed, setting):
    """Return independent tables, collinear and of uneven spread, and their patients."""
    rng, (n, each) = np.random.default_rng(seed), setting
    index = pd.Index([f"c{at:03d}" for at in range(n * each)], name="case_id")
    known = lesions(rng, setting, 4) @ rng.normal(size=(4, 12))
    known = known + 0.5 * lesions(rng, setting, 12)
    length = np.exp(0.3 * lesions(rng, setting, 1))
    latent = length * lesions(rng, setting, 5)
    return (
        pd.DataFrame(known, index).add_prefix("ct_handcrafted__f"),
        pd.DataFrame(latent, index).add_prefix("ct_fm__f"),
        pd.Series(np.repeat(patients(n), each), index),
    )


def certified(name, seed):
    """Return p of each row of the certificate of independent tables."""
    found = rl.redundancy(*pair(seed, CERTIFIED[name]), n_permutations=100)
    return found.overall.set_index("estimator")["p"].to_dict()


#: name: patients, columns of the embedding, whether it copies hand-crafted features
ADDED = {"noise": (100, 16, False), "copy": (100, 16, True)}


def added_to(name, seed):
    """Return p of what an embedding adds that adds nothing, and the verdict."""
    (n, n_columns, copies), rng = ADDED[name], np.random.default_rng(seed)
    known = noise(n, 8, rng)
    chance = 1 / (1 + np.exp(-known.iloc[:, :2].sum(axis=1)))
    drawn_ = pd.DataFrame({"class": (rng.random(n) < chance).astype(int).astype(str)})
    endpoint = Endpoint("outcome", "class", drawn_.set_index(patients(n)))
    made = noise(n, n_columns, rng, "ct_fm")
    if copies:
        made += 2 * known.to_numpy() @ rng.normal(size=(8, n_columns)) / 8**0.5
    made = rl.declare_fitted_on(made, "ct_fm", cohort="another", encoded="nulls")
    folds = rl.make_folds(endpoint, n_folds=5, n_repeats=2, random_state=seed)
    found = rl.added_value(
        rl.declare_measured(known, "ct_handcrafted"), made, endpoint, folds
    )
    row = found.summary.set_index("blocks").loc["both"]
    said = found.verdict.split(":")[0]
    p = row["p_corrected"] if row["difference"] > 0 else 1.0
    return {"useful": p, "two-sided": row["p_corrected"], "verdict": said}


#: part: its settings, and what is told of one cohort
BY_COHORT = {"certificate": (CERTIFIED, certified), "added": (ADDED, added_to)}


def by_cohort(part, seeds, out):
    """Return a row a cohort and setting, reading those that were written before."""
    settings, tell = BY_COHORT[part]
    file = None if out is None else out / f"{part}_{seeds[0]:04d}.csv"
    rows = (
        []
        if file is None or not file.exists()
        else pd.read_csv(file).to_dict("records")
    )
    done = {(row["setting"], row["seed"]) for row in rows}
    for seed in seeds:
        for name in settings:
            if (name, seed) in done:
                continue
            rows.append({"setting": name, "seed": seed} | tell(name, seed))
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                pd.DataFrame(rows).to_csv(file, index=False)
    return pd.DataFrame(rows)


def counted(rows):
    """Return how often each test was below 0.05, and what a binomial count allows."""
    for name, part in rows.drop_duplicates(["setting", "seed"]).groupby("setting"):
        n = len(part)
        bounds = "{:.0f} to {:.0f}".format(*binom.interval(0.95, n, 0.05))
        tests = part.drop(columns=["setting", "seed"])
        counts = (tests.select_dtypes("number") <= 0.05).sum().to_dict()
        if "verdict" in tests:
            counts |= tests["verdict"].value_counts().to_dict()
        yield {"setting": name} | counts | {"of": n, "95%": bounds}


def main():
    """Print a table for each part."""
    parts = {"intervals": intervals, "fitted": fitted, "drawn": drawn}
    parts |= {"permuted": permuted}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=[*COHORTS])
    parser.add_argument("--cohorts", type=int, help=f"instead of {COHORTS}")
    parser.add_argument("--start", type=int, default=0, help="first seed of a piece")
    parser.add_argument("--out", type=Path, help="folder of the rows of pieces")
    parser.add_argument("--gather", action="store_true", help="count what is there")
    arguments = parser.parse_args()
    for name in [arguments.part] if arguments.part else COHORTS:
        n = arguments.cohorts or COHORTS[name]
        if name in parts:
            rows = parts[name](n)
        elif arguments.gather:
            files = sorted(arguments.out.glob(f"{name}_*.csv"))
            rows = counted(pd.concat(map(pd.read_csv, files)))
        else:
            seeds = range(arguments.start, arguments.start + n)
            rows = counted(by_cohort(name, seeds, arguments.out))
        print(
            f"{name}\n{pd.DataFrame(list(rows)).to_string(index=False)}\n", flush=True
        )


if __name__ == "__main__":
    # small fits: more threads than one only wait for each other
    with threadpool_limits(1):
        main()
