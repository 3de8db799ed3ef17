"""Encoders with the scikit-learn interface: a **cases** table in, latent features out.

The encoder is fitted on training patients and gives one posterior mean a case, in
columns ``<modality>_latent__mu000`` and so on.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted

from radlatent.cohort import Cohort
from radlatent.latent.base import (
    KIND,
    RECORD,
    CaseEncoder,
    cohort_of,
    fill_in,
    told_of,
)
from radlatent.latent.checks import check_fit, check_handcrafted
from radlatent.latent.inputs import Box, Projections
from radlatent.latent.network import (
    Network,
    build_discriminator,
    build_model,
    latent_names,
)
from radlatent.latent.pca import PcaEncoder
from radlatent.latent.prepared import (
    PreparedCases,
    cases_of,
    hold_out,
    prepare_cases,
)
from radlatent.latent.results import Posterior, Reconstructions, Traversal
from radlatent.latent.source import (
    CaseSource,
    apply_scaling,
    fit_scaling,
    fit_statistics,
)
from radlatent.latent.space.explained import warn_of
from radlatent.nn import (
    Sizes,
    Sources,
    Training,
    arrays_of,
    fill,
    log_variance_of,
    train,
)
from radlatent.nn.training.checkpoint import checkpoint_of
from radlatent.records import parameters_from, parameters_of, read_model

__all__ = ["LatentEncoder", "load_encoder"]

#: Name to what makes a parameter that is no plain value.
_PARAMETERS = {kind.__name__: kind.of for kind in (Box, Network, Training)}
_PARAMETERS["Projections"] = Projections

#: What the decoder is told of lesions that were scaled into the box.
_SCALE = "box__log_scale"

#: Share of the patients that are kept out, and epochs without a better loss of theirs
#: after which training stops, where `Training` speaks of neither.
_VALIDATION, _PATIENCE = 0.15, 30

#: Patients below which none is kept out: four of them tell little.
FEWEST_FOR_VALIDATION = 30

#: Voxels of all channels that are encoded at once: half a gigabyte of activations.
_TOGETHER = 2**22


class LatentEncoder(CaseEncoder):
    """Latent features of images that say what hand-crafted features do not.

    Parameters
    ----------
    inputs
        What the encoder looks at: a `Box` around the lesion, or `Projections`.
    n_latent
        Number of latent features; far fewer than patients.
    beta
        Weight of the KL term.
    kappa
        Weight of the mutual information of hand-crafted and latent features.
    network, training
        `Network` and `Training`; None takes their defaults. Unless ``training`` says
        otherwise, 0.15 of 30 patients or more are kept out, training stops 30 epochs
        after their loss was least, and the weights of that epoch are kept.
    random_state
        Of the weights, the order of the cases and all draws.

    Attributes
    ----------
    explained_
        `ExplainedVariance` of the training patients, and of those that were kept out
        for validation.
    history_
        One row an epoch and split: the parts of the loss, seconds.
    statistics_
        Percentiles, mean and standard deviation of each channel in the training cases.
    fitted_on_
        Name of the cohort and the training patients.
    failures_
        **failures** table of the training cases.

    Notes
    -----
    Fitted without hand-crafted features it is a plain beta-VAE; with them it is the
    non-redundant VAE of Vetil et al. 2023. The features are posterior means, never
    draws.

    References
    ----------
    Vetil et al. 2023, arXiv:2308.11389

    Examples
    --------
    >>> cohort = getfixture("tiny_cohort")
    >>> box = Box(("ct",), size_mm=(16, 16, 16), spacing_mm=(4, 4, 4))
    >>> short = Training(epochs=2)
    >>> encoder = LatentEncoder(box, n_latent=2, training=short).fit(cohort.located)
    >>> encoder.transform(cohort.located).shape
    (3, 2)
    """

    def __init__(
        self,
        inputs: Box | Projections,
        *,
        n_latent: int = 32,
        beta: float = 1.0,
        kappa: float = 1.0,
        network: Network | None = None,
        training: Training | None = None,
        random_state: int | np.random.Generator | None = 0,
    ):
        self.inputs = inputs
        self.n_latent = n_latent
        self.beta = beta
        self.kappa = kappa
        self.network = network
        self.training = training
        self.random_state = random_state

    def fit(
        self,
        X: pd.DataFrame | Cohort,
        y: pd.Series | None = None,
        *,
        handcrafted: pd.DataFrame | None = None,
        checkpoint: str | Path | None = None,
    ) -> "LatentEncoder":
        """Train on the cases of a table.

        Parameters
        ----------
        X
            A cohort, or a **cases** table with paths that can be opened
            (``cohort.located``); training patients only.
        y
            Classes by ``case_id``, for ``classification_weight`` and ``n_salient`` of
            the network; else not used. Missing values have no class.
        handcrafted
            The **features** table, by ``case_id``, that the latent features must not
            repeat; None makes it a plain VAE.
        checkpoint
            A file that is written as training goes on and from which a training that
            was killed goes on; it is deleted at the end.

        Raises
        ------
        SchemaError
            With everything that is wrong, before training starts.
        RadlatentError
            Training diverged, or the device ran out of memory.
        """
        cases = cases_of(X)
        settings = self.settings() | {"inputs": self.inputs}
        check_fit(cases, handcrafted, y, settings)
        prepared = prepare_cases(cases, self.inputs)
        self.fit_prepared(prepared, y, handcrafted, checkpoint=checkpoint)
        warn_of(self.explained_)
        return self

    def fit_prepared(
        self,
        prepared: PreparedCases,
        y: pd.Series | None = None,
        handcrafted: pd.DataFrame | None = None,
        *,
        checkpoint: str | Path | None = None,
        description: str = "Training the encoder",
    ) -> "LatentEncoder":
        """Train on cases whose files were read already; arguments as of `fit`."""
        check_fit(prepared.cases, handcrafted, y, self.settings())
        network = self.network or Network()
        training = _stopping(self.training or Training(), prepared)
        # a fit that fails leaves nothing of an earlier one
        vars(self).pop("model_", None)
        seed = self._seed()
        parts = hold_out(prepared, training.validation_fraction or 0, seed)
        self.statistics_ = fit_statistics(parts[0], self.inputs)
        used = self._fit_scaling(parts[0], prepared, handcrafted)
        uses_y = network.classification_weight > 0 or network.n_salient > 0
        known = y.loc[prepared.cases.index].dropna() if uses_y else []
        self.classes_ = np.unique(known).tolist()
        model, discriminator = self._untrained(seed)
        n_voxels = _voxels_of(parts[0]) if network.per_lesion else None
        sources = Sources(*(p and self._source(p, used, y, n_voxels) for p in parts))
        trained = train(
            model,
            sources,
            training,
            discriminator=discriminator,
            random_state=seed,
            checkpoint=checkpoint_of(checkpoint, self._key(prepared, used, y, seed)),
            description=description,
        )
        if checkpoint is not None:
            Path(checkpoint).unlink(missing_ok=True)
        self.model_ = model
        self.history_ = pd.DataFrame(trained.history)
        self.best_epoch_ = trained.best_epoch
        self.failures_ = prepared.failures
        self.fitted_on_ = {
            "cohort": cohort_of(prepared.cases),
            "patients": sorted(prepared.cases["patient_id"].unique()),
        }
        self.explained_ = self._explained(prepared, parts[0].cases.index, handcrafted)
        return self

    @torch.no_grad()
    def encode_prepared(self, prepared: PreparedCases) -> Posterior:
        """Return means and log variances of prepared cases."""
        check_is_fitted(self)
        batches = self._minibatches(prepared, None)
        found = [self.model_.encode(minibatch.x) for minibatch in batches]
        sides = [q.mean for q in found], [log_variance_of(q) for q in found]
        return Posterior(*(self._table(side, prepared) for side in sides))

    @torch.no_grad()
    def reconstruct_prepared(
        self, prepared: PreparedCases, handcrafted: pd.DataFrame | None = None
    ) -> Reconstructions:
        """Reconstruct cases whose files were read already."""
        check_is_fitted(self)
        h = self.told(prepared, handcrafted)
        parts = [
            (minibatch.x, self.model_(minibatch), minibatch.mask)
            for minibatch in self._minibatches(prepared, h)
        ]
        arrays = [
            torch.cat(side).cpu().contiguous().numpy()
            for side in zip(*parts, strict=True)
        ]
        about = self.inputs.channels, self.inputs.voxel_mm
        return Reconstructions(prepared.cases, *arrays, *about)

    @torch.no_grad()
    def traverse(self, *, limit: float = 3.0, n_steps: int = 7) -> Traversal:
        """Return images decoded along each latent feature, all others at 0.

        Parameters
        ----------
        limit
            The ends, in standard deviations of the prior.
        n_steps
            Images a feature.

        Notes
        -----
        Hand-crafted features, where the decoder takes them, stand at the median of the
        training cases; in encoders that were written before they had ranks, at the
        mean.
        """
        check_is_fitted(self)
        n = len(self.get_feature_names_out())
        steps = torch.linspace(-limit, limit, n_steps)
        z = torch.einsum("ij,s->isj", torch.eye(n), steps).reshape(-1, n)
        model = self.model_.to("cpu")
        if self.scaling_ is None:
            images = model.decode(z)
        else:
            images = model.decode(z, torch.zeros(len(z), len(self.scaling_)))
        images = images.contiguous().numpy().reshape(n, n_steps, *images.shape[1:])
        names = tuple(self.get_feature_names_out())
        about = self.inputs.channels, self.inputs.voxel_mm
        return Traversal(images, steps.numpy(), names, *about)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Return the names of the columns of `transform`."""
        names = latent_names(self.network or Network(), self.n_latent)
        return np.array([f"{self.block}__{name}" for name in names], dtype=object)

    def state(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Return what JSON can hold of a fitted encoder, and the model's tensors."""
        check_is_fitted(self)
        scaling = self.scaling_
        if scaling is not None:
            scaling = scaling.rename_axis("feature").reset_index().to_dict("list")
        record = told_of(self) | {
            "scaling": scaling,
            "classes": self.classes_,
            "best_epoch": self.best_epoch_,
        }
        return record, arrays_of(self.model_)

    @classmethod
    def of(cls, record: dict, tensors: dict[str, np.ndarray]) -> "LatentEncoder":
        """Return the fitted encoder that `state` told of.

        Raises
        ------
        AttributeError, KeyError, RuntimeError, TypeError, ValueError
            They are of something else.
        """
        told = parameters_from(record["parameters"], _PARAMETERS)
        if "explained" not in record:  # written when voxels counted the same
            told["network"] = told["network"] or Network(per_lesion=False)
        encoder = cls(**told)
        fill_in(encoder, record)
        scaling = record["scaling"]
        if scaling is not None:
            scaling = pd.DataFrame(scaling).set_index("feature")
        encoder.scaling_, encoder.classes_ = scaling, record["classes"]
        encoder.best_epoch_ = record["best_epoch"]
        encoder.model_ = encoder.build().eval()
        fill(encoder.model_, tensors)
        return encoder

    def settings(self) -> dict:
        """Return what is checked against the training cases."""
        network = vars(self.network or Network())
        own = {name: getattr(self, name) for name in ("n_latent", "beta", "kappa")}
        told = {name: network[name] for name in ("classification_weight", "n_salient")}
        return own | told | {"training": self.training or Training()}

    def _seed(self):
        return int(np.random.default_rng(self.random_state).integers(2**31))

    def build(self) -> torch.nn.Module:
        """Return the untrained model for the cases that were given to ``fit``."""
        weights = {"beta": self.beta, "kappa": self.kappa}
        return build_model(self.network or Network(), self._sizes(), **weights)

    def _untrained(self, seed):
        """Return model and discriminator; draws of before are given back."""
        width = (self.training or Training()).schedule.width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.build()
            about = self.network or Network(), self._sizes(), self.kappa
            return model, build_discriminator(*about, width)

    def _sizes(self):
        return Sizes(
            in_channels=len(self.inputs.channels),
            size=self.inputs.size,
            n_latent=self.n_latent,
            n_handcrafted=0 if self.scaling_ is None else len(self.scaling_),
            n_classes=len(self.classes_),
        )

    def _source(self, prepared, handcrafted, y, n_voxels=None):
        index = prepared.cases.index
        h = None if handcrafted is None else self.told(prepared, handcrafted)
        codes = None
        if self.classes_:
            codes = pd.Categorical(y.loc[index], categories=self.classes_).codes
            codes = codes.astype(np.int64)
        statistics = self.statistics_.to_numpy()
        return CaseSource(prepared, self.inputs, statistics, h, codes, n_voxels)

    def _fit_scaling(self, training, prepared, handcrafted):
        """Return the hand-crafted features, with the scale of boxes where it varies."""
        self.scaling_ = None
        if handcrafted is None:
            return None
        used = handcrafted.loc[prepared.cases.index]
        if training.scales is not None and np.ptp(training.scales) > 0:
            used = _with_scale(used, prepared)
        self.scaling_ = fit_scaling(used.loc[training.cases.index])
        return used

    def told(
        self, prepared: PreparedCases, handcrafted: pd.DataFrame | None
    ) -> np.ndarray | None:
        """Return what the decoder is told of prepared cases beside z, or None.

        Parameters
        ----------
        prepared
            The cases; where lesions of the training were scaled into the box, the
            decoder is told by how much.
        handcrafted
            The **features** table by case, where the decoder takes it.
        """
        if self.scaling_ is None:
            return None
        index, names = prepared.cases.index, list(self.scaling_.index)
        if handcrafted is None and not (self.network or Network()).conditional:
            return np.zeros((len(index), len(names)), np.float32)
        if handcrafted is not None and _SCALE in names:
            handcrafted = _with_scale(handcrafted, prepared)
        return apply_scaling(
            check_handcrafted(handcrafted, index, names), self.scaling_
        )

    def _minibatches(self, prepared, h):
        """Yield the cases in order, on the device of the training."""
        wanted = (self.training or Training()).device
        use_gpu = wanted in ("cuda", "auto") and torch.cuda.is_available()
        device = torch.device("cuda" if use_gpu else "cpu")
        self.model_.to(device).eval()
        source = CaseSource(prepared, self.inputs, self.statistics_.to_numpy(), h)
        n = max(1, _TOGETHER // prepared.images[0].size)
        for rows in torch.arange(len(prepared)).split(n):
            yield source.minibatch(rows, device, augment=False)

    def _table(self, parts, prepared):
        values = torch.cat(parts).cpu().numpy().astype(np.float64)
        columns = self.get_feature_names_out()
        return pd.DataFrame(values, prepared.cases.index, columns)

    def _key(self, prepared, handcrafted, y, seed):
        index = prepared.cases.index
        features = None if handcrafted is None else handcrafted.to_dict("split")
        classes = [str(v) for v in y.loc[index]] if self.classes_ else None
        # the statistics stand for the images
        images = self.statistics_.to_numpy().tolist()
        return [parameters_of(self), seed, list(index), images, features, classes]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "model_")


def _voxels_of(prepared):
    return float(prepared.masks.sum() / len(prepared))


def _with_scale(handcrafted, prepared):
    scales = prepared.scales
    scales = np.ones(len(prepared)) if scales is None else scales
    column = pd.Series(np.log(scales), prepared.cases.index)
    return handcrafted.assign(**{_SCALE: column})


def _stopping(training, prepared):
    """Return the settings, with early stopping where none was spoken of."""
    few = prepared.cases["patient_id"].nunique() < FEWEST_FOR_VALIDATION
    if training.validation_fraction is not None or few:
        return training
    patience = training.patience or _PATIENCE
    return replace(training, validation_fraction=_VALIDATION, patience=patience)


_CLASSES = {kind.__name__: kind for kind in (LatentEncoder, PcaEncoder)}


def load_encoder(folder: str | Path) -> LatentEncoder | PcaEncoder:
    """Return the encoder that ``save`` wrote.

    Parameters
    ----------
    folder
        Holds ``encoder.json`` and ``model.safetensors``.

    Raises
    ------
    FileNotFoundError
        One of them is not there.
    SchemaError
        They are not of an encoder, or do not belong to each other.
    """
    return read_model(Path(folder) / RECORD, KIND, _of)


def _of(record, tensors):
    kind = _CLASSES.get(record["class"])
    if kind is None:
        msg = f"class {record['class']!r} is not one of {list(_CLASSES)}"
        raise ValueError(msg)
    return kind.of(record, tensors)
