"""One nested validation, by radlatent or written in scikit-learn; for `validate.py`.

The task is JSON on the command line, what was found is JSON on the last line.
"""

import json
import logging
import os
import sys
import time

import numpy as np
import pandas as pd
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

import radlatent as rl
from radlatent.cohort import Endpoint
from radlatent.fusion.metrics.evaluate import evaluate
from radlatent.fusion.validation.inputs import check_inputs
from radlatent.fusion.validation.validate import predict_folds

GRIDS = {
    "elastic net": {"C": [0.03, 0.1, 0.3], "l1_ratio": [0.5, 0.9]},
    "boosted": {"max_depth": [2, 3], "n_estimators": [100, 200]},
}
#: Columns that tell, and the distance of the two classes in them, in SD of the noise.
PLANTED = (20, 0.6)
#: Components that columns share, and the share of values that are missing.
SHARED, MISSING = 50, 0.01


def cohort(n_patients, n_columns):
    """Return features that go along and an endpoint that a few of them tell."""
    rng = np.random.default_rng(0)
    index = pd.Index([f"p{i:04d}" for i in range(n_patients)], name="patient_id")
    positive = np.arange(n_patients) % 2
    weights = rng.normal(size=(SHARED, n_columns)) / SHARED**0.5
    values = rng.normal(size=(n_patients, SHARED)) @ weights
    values += rng.normal(size=values.shape)
    values[:, : PLANTED[0]] += PLANTED[1] * positive[:, None]
    values[rng.random(values.shape) < MISSING] = np.nan
    columns = [f"planted__x{i:05d}" for i in range(n_columns)]
    classes = pd.Series(np.where(positive, "yes", "no"), index, name="class")
    endpoint = Endpoint("planted", "class", classes.to_frame())
    return pd.DataFrame(values, index, columns), endpoint


class Ends(logging.Handler):
    """Keeps when the search of all folds ended."""

    at = np.nan

    def emit(self, record):
        """Note the last line of progress of the search."""
        said = record.getMessage().split(": ")
        if said[0].startswith("Searching") and said[1].endswith(" 0 s left"):
            self.at = time.perf_counter()


def ours(model, features, endpoint, folds, outer, jobs):
    """Return probabilities, chosen settings and the seconds of the search."""
    sparse = rl.logistic(penalty="elastic_net")
    estimator = {"elastic net": sparse, "boosted": rl.boosted()}[model]
    grid = {f"classify__{name}": values for name, values in GRIDS[model].items()}
    ends, log = Ends(), logging.getLogger("radlatent.parallel")
    log.addHandler(ends)
    log.setLevel(logging.INFO)
    start = time.perf_counter()
    # what `cross_validate` does, on the first of its outer folds
    splits = dict(list(check_inputs(features, endpoint, folds).items())[:outer])
    key = {"model": model, "blocks": "all", "endpoint": endpoint.name}
    predictions, fits = predict_folds(
        rl.tune(estimator, grid), features, endpoint, splits, key, jobs
    )
    evaluate(predictions)
    table = predictions.set_index("patient_id")["probability_yes"]
    chosen = [json.loads(text) for text in fits["chosen"]]
    chosen = [{k.split("__")[1]: v for k, v in one.items()} for one in chosen]
    return table, chosen, ends.at - start


def plain(model, features, endpoint, folds, outer, jobs):
    """Return the same of a loop over folds as one writes it with scikit-learn."""
    y = (endpoint.frame["class"] == "yes").astype(int)
    boosts = {"learning_rate": 0.05, "subsample": 0.8, "max_bin": 64}
    classify = {
        "elastic net": LogisticRegression(
            solver="saga", tol=1e-4, max_iter=10_000, random_state=0
        ),
        "boosted": XGBClassifier(
            tree_method="hist", n_jobs=1, random_state=0, **boosts
        ),
    }[model]
    pipeline = Pipeline(
        [
            ("impute", SimpleImputer(strategy="median")),
            ("drop", VarianceThreshold()),
            ("scale", StandardScaler()),
            ("classify", classify),
        ]
    )
    grid = {f"classify__{name}": values for name, values in GRIDS[model].items()}
    inner = StratifiedKFold(5, shuffle=True, random_state=0)
    parts, chosen, seconds = [], [], 0.0
    for _, tested in list(folds.groupby("fold"))[:outer]:
        test = tested["patient_id"]
        train = folds.loc[~folds["patient_id"].isin(test), "patient_id"]
        start = time.perf_counter()
        search = GridSearchCV(
            pipeline, grid, scoring="roc_auc", cv=inner, n_jobs=jobs
        ).fit(features.loc[train], y.loc[train])
        seconds += time.perf_counter() - start - search.refit_time_
        parts.append(pd.Series(search.predict_proba(features.loc[test])[:, 1], test))
        chosen.append({k.split("__")[1]: v for k, v in search.best_params_.items()})
    return pd.concat(parts), chosen, seconds


def main():
    """Do one task and print what was found."""
    task = json.loads(sys.argv[1])
    features, endpoint = cohort(task["patients"], task["columns"])
    folds = rl.make_folds(endpoint, n_folds=5, n_repeats=1)
    work = {"radlatent": ours, "scikit-learn": plain}[task["side"]]
    load = round(os.getloadavg()[0], 1)
    start = time.perf_counter()
    found, chosen, searched = work(
        task["model"], features, endpoint, folds, task["outer"], task["jobs"]
    )
    seconds = time.perf_counter() - start
    found = found.sort_index()
    truth = endpoint.frame["class"].loc[found.index] == "yes"
    answer = {"seconds": seconds, "search": searched, "load": load, "chosen": chosen}
    answer |= {"auc": roc_auc_score(truth, found), "probability": found.tolist()}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
