"""Classifier and survival model of sets of lesions, as scikit-learn has them.

Rows of patients as `LesionGraphs.table` gives them enter, probabilities or risks leave.
All that is fitted is fitted on the rows that ``fit`` gets.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from radlatent import records
from radlatent.errors import SchemaError
from radlatent.fusion.solvers.survival import SurvivalModel, check_survival
from radlatent.graphs.network import KINDS, LesionNetwork, NetworkSizes
from radlatent.graphs.sets import Scaling, Sets, read_sets
from radlatent.graphs.source import GraphSource
from radlatent.nn.training.checkpoint import checkpoint_of
from radlatent.nn.training.devices import one_thread
from radlatent.nn.training.fit import train
from radlatent.nn.training.settings import Sources, Training
from radlatent.nn.training.state import arrays_of, fill
from radlatent.provenance import content_key, versions

__all__ = ["LesionGraphClassifier", "LesionGraphSurvival", "load_lesion_graph"]

_FILE = "lesion_graph.json"

_KEYS = {"class", "parameters", "names", "columns", "classes"}

_SAVED = records.Kind(
    "a model of lesion graphs", 1, frozenset(_KEYS), tensors="lesion_graph.safetensors"
)

#: How a network is trained where nothing is told.
_TRAINING = Training(
    epochs=60,
    minibatch_size=32,
    learning_rate=3e-3,
    weight_decay=1e-2,
    clip_norm=1.0,
)

#: Patients that are predicted at once.
_TOGETHER = 64


class _LesionGraph(BaseEstimator):
    """What both models share."""

    def __init__(
        self,
        kind: str = "graph",
        *,
        n_neighbours: int = 8,
        radius_mm: float | None = None,
        width: int = 32,
        n_networks: int = 3,
        training: Training | None = None,
        random_state: int = 0,
    ):
        self.kind = kind
        self.n_neighbours = n_neighbours
        self.radius_mm = radius_mm
        self.width = width
        self.n_networks = n_networks
        self.training = training
        self.random_state = random_state

    def _fit(self, X, y, n_outputs, checkpoint=None):
        """Fit the networks; ``y`` as in `GraphBatch`, by the rows of ``X``."""
        self._check()
        # one order of patients, whatever that of the table
        order = np.argsort(X.index.astype(str).to_numpy(), kind="stable")
        sets = read_sets(X.iloc[order])
        self.feature_names_in_ = X.columns.to_numpy(dtype=object)
        self.n_features_in_ = X.shape[1]
        self.names_, self.columns_ = sets.names, sets.columns
        self.scaling_ = Scaling.learn(sets)
        source = self._source(sets, y[order])
        about = None if checkpoint is None else self._key(sets, y[order])
        self.networks_, states = [], []
        for number in range(self.n_networks):
            seed = [self.random_state, number]
            seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
            network = self._build(n_outputs, seed)
            training = self.training or _TRAINING
            if checkpoint is not None:
                states.append(Path(checkpoint) / f"network{number}.safetensors")
            state = checkpoint_of(states[-1] if states else None, [about, number])
            with one_thread():
                train(
                    network,
                    Sources(source),
                    training,
                    random_state=seed,
                    checkpoint=state,
                )
            self.networks_.append(network)
        for path in states:
            path.unlink(missing_ok=True)
        return self

    def _key(self, sets, y):
        """Return what a training depends on."""
        parts = [sets.lesions, sets.places, sets.patients, y]
        arrays = content_key(*(array.tobytes().hex() for array in parts))
        return [records.parameters_of(self), sets.names, sets.columns, arrays]

    def _check(self):
        wrong = []
        if self.kind not in KINDS:
            wrong.append(f"kind is {self.kind!r}; give one of {KINDS}")
        for name in ("n_neighbours", "width", "n_networks"):
            value = getattr(self, name)
            if not (isinstance(value, int | np.integer) and value >= 1):
                wrong.append(f"{name} is {value!r}; give a whole number from 1")
        if not (self.radius_mm is None or self.radius_mm > 0):
            wrong.append(f"radius_mm is {self.radius_mm!r}; give more than 0, or None")
        if self.training is not None and self.training.validation_fraction:
            wrong.append("training: these models keep no patients for validation")
        if wrong:
            raise SchemaError(f"{type(self).__name__}: " + "; ".join(wrong) + ".")

    def _build(self, n_outputs, seed):
        n_features, n_columns = len(self.names_), len(self.columns_)
        sizes = NetworkSizes(n_features, n_columns, n_outputs, self.width)
        survival = isinstance(self, SurvivalModel)
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            return LesionNetwork(sizes, self.kind, is_survival=survival)

    def _source(self, sets: Sets, y=None):
        scaled = self.scaling_.apply(sets)
        return GraphSource(scaled, self.n_neighbours, self.radius_mm, y)

    def _outputs(self, X):
        """Return what each network says, shape (n_networks, n_patients, n_outputs)."""
        check_is_fitted(self, "networks_")
        sets = read_sets(X)
        for told, known in ((sets.names, self.names_), (sets.columns, self.columns_)):
            if told != known:
                unlike = sorted(set(told) ^ set(known))
                msg = (
                    f"{type(self).__name__}: {len(unlike)} columns are not those it "
                    f"was fitted on: {unlike[:5]}."
                )
                raise SchemaError(msg)
        source, device = self._source(sets), torch.device("cpu")
        parts = torch.arange(len(source)).split(_TOGETHER)
        with torch.no_grad(), one_thread():
            found = [
                torch.cat([network(source.minibatch(p, device)) for p in parts])
                for network in self.networks_
            ]
        return torch.stack(found).double().numpy()

    def save(self, folder: str | Path) -> None:
        """Write the fitted model into a folder: JSON and tensors, no code."""
        check_is_fitted(self, "networks_")
        classes = getattr(self, "classes_", None)
        record = {
            "class": type(self).__name__,
            "parameters": records.parameters_of(self),
            "names": list(self.names_),
            "columns": list(self.columns_),
            "classes": None if classes is None else classes.tolist(),
            "versions": versions(),
        }
        tensors = {f"scaling/{k}": v for k, v in vars(self.scaling_).items()}
        for number, network in enumerate(self.networks_):
            own = arrays_of(network).items()
            tensors |= {f"network{number}/{k}": v for k, v in own}
        if classes is None:
            tensors |= {"risks/center": self.center_, "risks/scale": self.scale_}
        records.write_model(Path(folder) / _FILE, _SAVED, record, tensors)


class LesionGraphClassifier(ClassifierMixin, _LesionGraph):
    """Classes of patients from their lesions.

    Parameters
    ----------
    kind
        "graph" (attention along edges), "attention_pooling" or "deep_sets" (without
        edges), as in `LesionNetwork`.
    n_neighbours, radius_mm
        Edges, as in `LesionGraphs.edges`.
    width
        Units of what is hidden.
    n_networks
        Networks, which differ in their seed, and whose probabilities are averaged.
    training
        How each is trained; None is 60 epochs of AdamW with weight decay.
    random_state
        The same gives the same model.

    Attributes
    ----------
    classes_
        Sorted.

    Notes
    -----
    ``fit(X, y)`` takes rows of `LesionGraphs.table`, perhaps joined with columns of
    patients, which the clinical branch gets. The order of lesions, of patients and of
    columns changes nothing. Not the model of Thiery et al. 2023: `radlatent.graphs`.
    """

    def fit(
        self, X: pd.DataFrame, y: pd.Series, *, checkpoint: str | Path | None = None
    ) -> "LesionGraphClassifier":
        """Fit to classes.

        Parameters
        ----------
        X, y
            Rows of `LesionGraphs.table`, and their classes.
        checkpoint
            A folder that is written to as training goes on and from which a training
            that was killed goes on; its files are deleted at the end.
        """
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        codes = codes.astype(np.int64)
        return self._fit(X, codes, len(self.classes_), checkpoint)

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Return probabilities, shape (n_patients, n_classes)."""
        logits = self._outputs(X)
        chances = np.exp(logits - logits.max(-1, keepdims=True))
        return (chances / chances.sum(-1, keepdims=True)).mean(0)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the likeliest class."""
        return self.classes_[self.predict_proba(X).argmax(1)]


class LesionGraphSurvival(_LesionGraph, SurvivalModel):
    """Risks of patients from their lesions; parameters as `LesionGraphClassifier`.

    Notes
    -----
    Breslow's partial likelihood of each minibatch; the risk is the mean over networks
    of their log hazards, each in standard deviations of the training patients.
    Probabilities come from a ``SurvivalPipeline`` around it.
    """

    def fit(
        self, X: pd.DataFrame, y: np.ndarray, *, checkpoint: str | Path | None = None
    ) -> "LesionGraphSurvival":
        """Fit to a structured outcome (``event``, ``time`` in days).

        Parameters
        ----------
        X, y
            Rows of `LesionGraphs.table`, and their outcomes.
        checkpoint
            As of `LesionGraphClassifier.fit`.
        """
        # what is missing is of lesions that are not there; the outcome is checked
        _, y = check_survival(BaseEstimator(), X[[]].assign(one=0.0), y)
        signed = np.where(y["event"], y["time"], -y["time"]).astype(np.float32)
        self._fit(X, signed, 1, checkpoint)
        risks = self._outputs(X)[..., 0]
        self.center_ = risks.mean(1)
        self.scale_ = np.where(risks.std(1) > 0, risks.std(1), 1.0)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return risks, higher = earlier event."""
        risks = self._outputs(X)[..., 0]
        return ((risks - self.center_[:, None]) / self.scale_[:, None]).mean(0)


def load_lesion_graph(
    folder: str | Path,
) -> LesionGraphClassifier | LesionGraphSurvival:
    """Return the model that ``save`` wrote into a folder.

    Parameters
    ----------
    folder
        Where it is.

    Raises
    ------
    FileNotFoundError
        There is none.
    SchemaError
        The files are of something else, or do not belong to each other.
    """
    return records.read_model(Path(folder) / _FILE, _SAVED, _rebuilt)


def _rebuilt(record: Mapping, tensors: Mapping):
    kinds = {c.__name__: c for c in (LesionGraphClassifier, LesionGraphSurvival)}
    told = record["parameters"]
    if told["training"] is not None:
        fields = {k: v for k, v in told["training"].items() if k != "kind"}
        told = told | {"training": Training.of(**fields)}
    model = kinds[record["class"]](**told)
    model.names_, model.columns_ = tuple(record["names"]), tuple(record["columns"])
    scaling = (f.name for f in dataclasses.fields(Scaling))
    model.scaling_ = Scaling(*(tensors[f"scaling/{name}"] for name in scaling))
    n_outputs = 1
    if record["classes"] is not None:
        model.classes_ = np.asarray(record["classes"])
        n_outputs = len(model.classes_)
    else:
        model.center_, model.scale_ = tensors["risks/center"], tensors["risks/scale"]
    model.networks_ = []
    for number in range(model.n_networks):
        network, start = model._build(n_outputs, 0), f"network{number}/"
        own = {k.removeprefix(start): v for k, v in tensors.items() if start in k}
        fill(network, own)
        model.networks_.append(network.eval())
    return model
