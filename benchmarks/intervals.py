"""How often the intervals of `radlatent.evaluate` hold the truth.

    python benchmarks/intervals.py

Tables of normal noise, some columns shifted in one class; cross-validated logistic
regression; 95% intervals of the AUC. The truth is 0.5 where nothing is planted and the
mean estimate over the cohorts where something is. Two ways to draw are compared: the
mean over repeats of every draw, and one repeat a draw, which `evaluate` uses.
"""

import argparse

import numpy as np
import pandas as pd

import radlatent as rl
from radlatent.cohort import Endpoint
from radlatent.fusion.metrics.arrays import read_runs
from radlatent.fusion.metrics.classes import auc

#: name: patients, columns, shift of the first five columns, columns kept, prevalence
SETTINGS = {
    "weak signal, 20 columns": (100, 20, 0.3, None, 0.5),
    "signal, 10 of 300 columns": (100, 300, 0.5, 10, 0.5),
    "noise, 20 columns": (100, 20, 0.0, None, 0.5),
    "noise, 20 of 1000 columns": (100, 1000, 0.0, 20, 0.5),
    "noise, 200 columns, 15 of 60 events": (60, 200, 0.0, None, 0.25),
}
N_DRAWS = 600
REPEATS = (1, 3, 10)


def predictions(seed, n_patients, n_columns, shift, n_features, prevalence):
    """Return out-of-fold predictions of one cohort, ten repeats."""
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{i:03d}" for i in range(n_patients)], name="patient_id")
    positive = np.arange(n_patients) < prevalence * n_patients
    values = rng.normal(size=(n_patients, n_columns))
    values[:, :5] += shift * positive[:, None]
    columns = [f"noise__x{i:04d}" for i in range(n_columns)]
    classes = pd.Series(np.where(positive, "1", "0"), index, name="class")
    endpoint = Endpoint("planted", "class", classes.to_frame())
    folds = rl.make_folds(endpoint, n_repeats=max(REPEATS), random_state=seed)
    model = rl.logistic(n_features=n_features)
    table = pd.DataFrame(values, index, columns)
    return rl.cross_validate(model, table, endpoint, folds).predictions


def mean_of_repeats(table, n_repeats):
    """Return the interval of the mean over repeats."""
    (run,) = read_runs(table)
    weights = run.draw_weights(N_DRAWS, 1)
    draws = [auc(run.truth, p, weights) for p in run.probability[:n_repeats]]
    return np.nanquantile(np.mean(draws, axis=0), [0.025, 0.975])


def one_repeat_a_draw(table, n_repeats):
    """Return estimate and interval of `radlatent.evaluate`."""
    metrics = rl.evaluate(table[table["repeat"] < n_repeats], n_boot=N_DRAWS)
    row = metrics.set_index("metric").loc["auc"]
    return row["estimate"], (row["lower"], row["upper"])


def coverage(intervals, truth):
    """Return the share of intervals that hold the truth."""
    return np.mean([low <= truth <= high for low, high in intervals])


def main():
    """Print the share of intervals that hold the truth, for every setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohorts", type=int, default=60)
    n_cohorts = parser.parse_args().cohorts
    rows = []
    for name, setting in SETTINGS.items():
        tables = [predictions(seed, *setting) for seed in range(n_cohorts)]
        for n_repeats in REPEATS:
            found = [one_repeat_a_draw(table, n_repeats) for table in tables]
            estimates, ours = zip(*found, strict=True)
            truth = np.mean(estimates) if setting[2] else 0.5
            means = [mean_of_repeats(table, n_repeats) for table in tables]
            rows.append(
                {
                    "setting": name,
                    "repeats": n_repeats,
                    "mean AUC": round(float(np.mean(estimates)), 3),
                    "mean of repeats": coverage(means, truth),
                    "one repeat a draw": coverage(ours, truth),
                }
            )
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
