"""Concordance of random survival forests: ours, and that of scikit-survival.

    python benchmarks/survival_forest.py FOLDER      # with GBSG2.arff and whas500.arff

The files are in ``sksurv/datasets/data`` of scikit-survival, which is GPL: install it
into an environment of its own, and run the script once in each of both; it measures the
forests that it can import. Both get 100 trees with leaves of three patients at least,
on the same 20 divisions into three quarters and a quarter.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import arff
from sklearn.model_selection import train_test_split

#: File to its columns of time and event.
FILES = {"GBSG2.arff": ("time", "cens"), "whas500.arff": ("lenfol", "fstat")}


def read(path, columns):
    """Return columns of numbers and the outcome, as models take it."""
    table = pd.DataFrame(arff.loadarff(path)[0])
    for name in table.select_dtypes(object):
        texts = table[name].str.decode("utf-8")
        known = pd.to_numeric(texts, errors="coerce")
        table[name] = (
            texts.astype("category").cat.codes if known.isna().any() else known
        )
    time, event = (table.pop(name) for name in columns)
    y = np.empty(len(table), dtype=[("event", bool), ("time", float)])
    y["event"], y["time"] = event == 1, time
    return table.to_numpy(float), y


def forests():
    """Yield the name of each forest that is installed, and what makes one."""
    try:
        from radlatent.fusion.solvers.forest import SurvivalForest

        yield "radlatent", lambda seed: SurvivalForest(100, random_state=seed)
    except ImportError:
        pass
    try:
        from sksurv.ensemble import RandomSurvivalForest

        yield "sksurv", lambda seed: RandomSurvivalForest(100, random_state=seed)
    except ImportError:
        pass


def main():
    """Print the mean C of every forest on every file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    told = parser.parse_args()
    for file, columns in FILES.items():
        X, y = read(told.folder / file, columns)
        for name, make in forests():
            found = []
            for seed in range(told.seeds):
                parts = train_test_split(X, y, test_size=0.25, random_state=seed)
                model = make(seed).fit(parts[0], parts[2])
                found.append(model.score(parts[1], parts[3]))
            error = np.std(found) / np.sqrt(len(found))
            print(f"{file} {name}: C {np.mean(found):.4f} (error {error:.4f})")


if __name__ == "__main__":
    main()
