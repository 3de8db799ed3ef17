"""The shape prior: expert masks enter, a VAE of their slices leaves.

It encodes a slice of any mask in the canonical frame, decodes any latent, and redraws a
slice as it would have it; what is done with that,
`radlatent.masks.correction.corrector` decides.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd
import torch
from scipy.spatial import cKDTree
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from radlatent.cohort.labels import LabelMap
from radlatent.errors import RadlatentError, SchemaError
from radlatent.masks.attributes.measure import attribute_set
from radlatent.masks.prior.frame import (
    Frame,
    Placement,
    classes_of,
    from_frame,
    place,
    to_frame,
    with_context,
)
from radlatent.masks.prior.models import (
    NVAESettings,
    build,
    defaults_of,
    model_problems,
)
from radlatent.masks.prior.pairs import collect_pairs
from radlatent.masks.prior.parzen import parzen_bandwidth
from radlatent.nn import (
    NVAE,
    Hierarchy,
    MaskVAE,
    Ordering,
    Penalties,
    Schedule,
    Sources,
    Training,
    arrays_of,
    fill,
    train,
)

__all__ = [
    "Encoded",
    "ShapePrior",
    "check_structures",
    "nearest_latents",
    "redraw",
]

#: Slices that pass through the model at once.
_TOGETHER = 128

#: In more dimensions a tree finds neighbors no sooner than all distances do.
_TREE_AXES = 64

#: What the names of the model's weights start with, beside the latents.
_MODEL = "model/"


@dataclass(frozen=True, eq=False)
class Encoded:
    """The slices of a mask in the canonical frame, and their latents.

    Parameters
    ----------
    placement
        Where the frame lies; ``placement.slices`` numbers the rows of the rest.
    maps
        Shares of the classes, shape (n, classes, size, size), float32.
    mean, scale
        Means and standard deviations of the posteriors, shape (n, n_latent).
    kl
        KL of each posterior from the standard normal, in nats, shape (n,).
    kl_by_group
        Name of a group of latents, from the shallowest to the top, to its share of
        ``kl``, shape (n,); without entries where the model has no groups.
    """

    placement: Placement
    maps: torch.Tensor
    mean: np.ndarray
    scale: np.ndarray
    kl: np.ndarray
    kl_by_group: dict[str, np.ndarray] = field(default_factory=dict)


class ShapePrior(BaseEstimator):
    """A VAE of the slices of expert masks.

    Parameters
    ----------
    model
        ``"vae"`` (`radlatent.nn.MaskVAE`), ``"nvae"`` (`radlatent.nn.NVAE`), or
        settings of an NVAE.
    n_latent
        Length of the latent vector of a VAE; an NVAE's follows from its groups.
    beta
        Weight of the KL term; of an NVAE a number, or one a group, **from the
        shallowest group to the top**.
    constraint
        Weight of the squared error of the position along the axis, read from the latent
        by one linear neuron; 0 is the plain VAE, about 100 the constrained one. Of a
        VAE alone.
    attributes
        Name of a set of `radlatent.masks.ATTRIBUTE_SETS` of slices: the first latents
        of a VAE are ordered along them (AR-VAE); None orders nothing.
    ordering
        How strongly; None: `radlatent.nn.Ordering`'s defaults.
    n_degraded
        Degraded copies of every mask that the model learns to restore, beside the mask
        itself; 0 trains an autoencoder of expert masks.
    frame
        What it looks at; None: 64 x 64 pixels of 2.5 mm for a VAE, 128 x 128 of 1.25 mm
        for an NVAE.
    training
        How it is trained; None: as suits the model.
    random_state
        Seed of weights, errors and order.

    Attributes
    ----------
    structures_
        Names of the structures, in the order of the channels after the background.
    model_
        The trained `MaskVAE` or `NVAE`.
    frame_, training_
        What it looks at, and how it was trained.
    latent_names_
        Names of the attributes, then ``z07`` and so on.
    latents_
        Posterior means of the expert slices, shape (n, n_latent).
    bandwidth_
        Of the Parzen density of ``latents_``.
    history_
        One row an epoch and split.
    fitted_on_
        ``patient_id`` of the masks.

    Notes
    -----
    The target of the constraint in short-axis slices is not established; ours is the
    place between base and apex. Trained on pairs (degraded, expert): autoencoders of
    expert masks alone were seen to ruin some of what they correct (Myara 2025), pairs
    work (public results of j-freddy/nvae-shape-encoding). Latents of an NVAE are in
    units of their prior, so that distances, densities and draws mean the same for both
    models.

    References
    ----------
    Painchaud et al. 2020, doi:10.1109/TMI.2020.3003240; Pati & Lerch 2021,
    arXiv:2004.05485; Painchaud et al. 2022, arXiv:2112.02102
    """

    def __init__(  # noqa: PLR0913 - what it is, what it sees, and how it learns
        self,
        *,
        model: str | NVAESettings = "vae",
        n_latent: int = 32,
        beta: float | Sequence[float] = 1.0,
        constraint: float = 0.0,
        attributes: str | None = None,
        ordering: Ordering | None = None,
        n_degraded: int = 6,
        frame: Frame | None = None,
        training: Training | None = None,
        random_state: int = 0,
    ):
        self.model = model
        self.n_latent = n_latent
        self.beta = beta
        self.constraint = constraint
        self.attributes = attributes
        self.ordering = ordering
        self.n_degraded = n_degraded
        self.frame = frame
        self.training = training
        self.random_state = random_state

    def fit(
        self,
        masks: Sequence[LabelMap],
        y: None = None,
        *,
        patients: Sequence[str] | None = None,
    ) -> "ShapePrior":
        """Train the model.

        Parameters
        ----------
        masks
            Expert masks with the same structures.
        patients
            Whose each is; None: every mask is of another patient.

        Raises
        ------
        SchemaError
            No mask, masks of other structures, or of one patient alone.
        RadlatentError
            Settings are faulty, or the training diverged: ``model_`` then has the
            weights of its last good epoch, and the prior is not fitted.
        """
        self._settle()
        training = self.training_
        problems = self.frame_.problems() + training.problems() + self._problems()
        if training.validation_fraction or training.patience is not None:
            problems.append(
                "training: a prior keeps no validation cases; give a "
                "validation_fraction of 0 and no patience"
            )
        if patients is not None and len(patients) != len(masks):
            problems.append(f"{len(masks)} masks, but {len(patients)} patients")
        if problems:
            raise RadlatentError("; ".join(problems) + ".")
        # a fit that fails leaves nothing of an earlier one
        vars(self).pop("fitted_on_", None)
        self.structures_ = _structures(masks)
        owners = [str(k) for k in range(len(masks))] if patients is None else patients
        about = {"random_state": self.random_state, "attributes": self.attributes}
        about |= {"description": "Degrading masks"}
        pairs = collect_pairs(
            masks, self.frame_, self.structures_, self.n_degraded, **about
        )
        held = np.unique(np.asarray(owners)[pairs.owners]).tolist()
        if len(held) < 2:
            msg = f"{len(masks)} masks hold slices of the patients {held}. Give more."
            raise SchemaError(msg)
        self.model_ = self.build()
        trained = train(
            self.model_,
            Sources(pairs),
            training,
            random_state=self.random_state,
            description="Training the shape prior",
        )
        self.history_ = pd.DataFrame(trained.history)
        self.fitted_on_ = sorted(set(owners))
        encoded = [self.encode(mask).mean for mask in masks]
        self.latents_ = np.concatenate(encoded)
        whose = np.repeat(owners, [len(mean) for mean in encoded])
        self.bandwidth_ = parzen_bandwidth(self.latents_, whose)
        return self

    def __sklearn_is_fitted__(self):
        return hasattr(self, "fitted_on_")

    def _settle(self):
        """Take the defaults of the model where nothing is said."""
        frame, training = defaults_of(self.model)
        self.frame_ = frame if self.frame is None else self.frame
        self.training_ = training if self.training is None else self.training

    def _problems(self):
        weights = {"beta": self.beta, "constraint": self.constraint}
        names = self.attribute_names
        found = model_problems(
            self.model, self.frame_, **weights, n_attributes=len(names)
        )
        if names and attribute_set(self.attributes).n_axes != 2:
            found.append(f"attributes {self.attributes!r} are of volumes, not slices")
        if self.model == "vae" and len(names) > self.n_latent:
            found.append(f"n_latent is {self.n_latent}; {len(names)} are ordered")
        return found + (self.ordering.problems() if self.ordering else [])

    @property
    def attribute_names(self) -> list[str]:
        """Names of the attributes along which the first latents are ordered."""
        return attribute_set(self.attributes).names if self.attributes else []

    @property
    def latent_names_(self) -> list[str]:
        """Names of the latents: those of attributes first."""
        names = self.attribute_names
        return names + [f"z{k:02d}" for k in range(len(names), self._n_latent())]

    def build(self) -> MaskVAE | NVAE:
        """Return the untrained model of the settings and ``structures_``."""
        with torch.random.fork_rng([]):
            torch.manual_seed(self.random_state)
            return build(
                self.model,
                1 + len(self.structures_),
                self.frame_,
                n_latent=self.n_latent,
                beta=self.beta,
                constraint=self.constraint,
                ordering=(self.ordering or Ordering()) if self.attributes else None,
            )

    def encode(self, mask: LabelMap) -> Encoded:
        """Return the slices of a mask that hold something, and their latents.

        Raises
        ------
        SchemaError
            The mask has not the structures that the prior was fitted on.
        """
        check_is_fitted(self)
        check_structures(mask, self.structures_)
        placement = place(mask.array, self.frame_, **mask.legend)
        values = [mask.structures[name] for name in self.structures_]
        maps = seen = to_frame(mask.array, placement, values)
        if self.frame_.context:
            seen = with_context(mask.array, placement, values)
        empty = np.zeros((0, self._n_latent()), np.float32)
        means, scales, terms = [empty], [empty], []
        with torch.no_grad():
            for part in seen.split(_TOGETHER) if len(seen) else ():
                posterior = self.model_.encode(part)
                means.append(posterior.mean.numpy())
                scales.append(posterior.stddev.numpy())
                terms.append(self._kl_by_group(posterior))
        mean, scale = np.concatenate(means), np.concatenate(scales)
        kl = 0.5 * (mean**2 + scale**2 - 1 - 2 * np.log(scale)).sum(axis=1)
        return Encoded(placement, maps, mean, scale, kl, self._joined(terms))

    def _n_latent(self):
        """Return the length of the latent vector."""
        return getattr(self.model_, "n_latent", self.n_latent)

    def _kl_by_group(self, posterior):
        """Return the KL by group, or nothing where there are no groups."""
        if self.model == "vae":
            return {}
        return self.model_.kl_by_group(posterior)

    def _joined(self, terms):
        """Return the KL by group of all parts, of none as well."""
        if self.model == "vae":
            return {}
        empty = [torch.zeros(0)]
        return {
            name: torch.cat(empty + [part[name] for part in terms]).numpy()
            for name in self.model_.group_names
        }

    def decode(self, z: np.ndarray) -> torch.Tensor:
        """Return probabilities of the classes, shape (n, classes, size, size).

        Parameters
        ----------
        z
            Latent vectors, shape (n, values); of an NVAE also the first values, those
            of whole groups from the top: the others are at the mean of their prior.
        """
        check_is_fitted(self)
        size = self.frame_.size
        parts = [torch.zeros((0, 1 + len(self.structures_), size, size))]
        latents = torch.from_numpy(np.asarray(z, dtype=np.float32))
        with torch.no_grad():
            for part in latents.split(_TOGETHER) if len(latents) else ():
                parts.append(self.model_.decode(part).softmax(dim=1))
        return torch.cat(parts)

    def sample(
        self, n: int, *, temperature: float = 1.0, random_state: int | None = 0
    ) -> torch.Tensor:
        """Return probabilities of masks drawn from the prior of the model.

        Parameters
        ----------
        n
            How many.
        temperature
            The scale of the prior is multiplied with it.
        random_state
            Seed of the draws.

        Returns
        -------
        Tensor
            Shape (n, classes, size, size).
        """
        check_is_fitted(self)
        random = np.random.default_rng(random_state)
        return self.decode(temperature * random.standard_normal((n, self._n_latent())))

    def state(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Return what JSON can hold of a fitted prior, and its weights and latents."""
        check_is_fitted(self)
        settings = self.get_params(deep=False)
        nested = {"frame": asdict(self.frame_), "training": asdict(self.training_)}
        if isinstance(self.model, NVAESettings):
            nested["model"] = asdict(self.model)
        if self.ordering is not None:
            nested["ordering"] = asdict(self.ordering)
        record = {
            "prior": settings | nested,
            "structures": list(self.structures_),
            "bandwidth": self.bandwidth_,
            "history": self.history_.to_dict("records"),
            "prior_fitted_on": list(self.fitted_on_),
        }
        weights = arrays_of(self.model_).items()
        tensors = {f"{_MODEL}{name}": value for name, value in weights}
        return record, tensors | {"latents": np.ascontiguousarray(self.latents_)}

    @classmethod
    def of(cls, record: dict, tensors: dict[str, np.ndarray]) -> "ShapePrior":
        """Return the fitted prior that `state` told of.

        Raises
        ------
        AttributeError, KeyError, RuntimeError, TypeError, ValueError
            They are of something else.
        """
        prior = cls(**_settings_of(record["prior"]))
        prior._settle()
        prior.structures_ = tuple(record["structures"])
        prior.bandwidth_ = record["bandwidth"]
        prior.history_ = pd.DataFrame(record["history"])
        prior.fitted_on_ = record["prior_fitted_on"]
        prior.latents_ = tensors["latents"]
        prior.model_ = prior.build().eval()
        weights = {k: v for k, v in tensors.items() if k.startswith(_MODEL)}
        fill(prior.model_, {k.removeprefix(_MODEL): v for k, v in weights.items()})
        return prior


def _settings_of(record):
    """Return the parameters of a prior from what JSON holds of them."""
    frame = record["frame"] | {"center": tuple(record["frame"]["center"])}
    schedule = Schedule(**record["training"]["schedule"])
    training = Training(**record["training"] | {"schedule": schedule})
    settings = record | {"frame": Frame(**frame), "training": training}
    if record.get("ordering") is not None:
        settings["ordering"] = Ordering(**record["ordering"])
    if isinstance(record.get("model"), dict):
        kinds = (("hierarchy", Hierarchy), ("penalties", Penalties))
        parts = {name: kind(**_tuples(record["model"][name])) for name, kind in kinds}
        settings["model"] = NVAESettings(**parts)
    return _tuples(settings)


def _tuples(values):
    """Return settings as they were before JSON made lists of tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def _structures(masks):
    if not masks:
        msg = "no mask is given. Give the expert masks of training patients."
        raise SchemaError(msg)
    names = tuple(sorted(masks[0].structures))
    for mask in masks:
        check_structures(mask, names)
    return names


def check_structures(mask: LabelMap, names: Sequence[str]) -> None:
    """Refuse a mask of other structures than a prior knows.

    Raises
    ------
    SchemaError
        With both sets of names.
    """
    if set(mask.structures) != set(names):
        msg = (
            f"{mask.name}: has the structures {sorted(mask.structures)}, the prior was "
            f"fitted on {sorted(names)}. Use a prior of these structures; names count, "
            "not labels."
        )
        raise SchemaError(msg)


def redraw(
    mask: LabelMap,
    prior: ShapePrior,
    encoded: Encoded,
    rows: Sequence[int],
    bank: np.ndarray | None,
) -> np.ndarray:
    """Return slices as the prior would have them, shape (k, rows, columns).

    Parameters
    ----------
    mask
        The mask under judgment.
    prior, encoded
        A fitted prior, and what it makes of the mask.
    rows
        Which of the encoded slices, shape (k,).
    bank
        Valid latents, of which the nearest is decoded; None decodes the slice's own.
    """
    rows = np.asarray(rows, dtype=int)
    latents = encoded.mean[rows]
    if bank is not None:
        latents = nearest_latents(latents, bank)
    maps = from_frame(prior.decode(latents), encoded.placement, rows)
    classes = np.array([0, *(mask.structures[name] for name in prior.structures_)])
    return classes[classes_of(maps)].astype(mask.array.dtype)


def nearest_latents(mean: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """Return of each latent the nearest of a bank (L2), shape (n, n_latent).

    Parameters
    ----------
    mean
        Shape (n, n_latent).
    bank
        Of valid masks, shape (m, n_latent).
    """
    if not len(mean):
        return mean
    if bank.shape[1] <= _TREE_AXES:
        return bank[cKDTree(bank).query(mean)[1]]
    # without |mean|^2, which all distances of a latent have in common
    away = np.einsum("ij,ij->i", bank, bank)[:, None] - 2 * bank @ mean.T
    return bank[away.argmin(axis=0)]
