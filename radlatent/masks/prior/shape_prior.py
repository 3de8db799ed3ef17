"""The shape prior: expert masks enter, a VAE of their slices leaves.

It encodes a slice of any mask in the canonical frame, decodes any latent, and redraws a
slice as it would have it; what is done with that,
`radlatent.masks.correction.corrector` decides.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import torch
from scipy.spatial import cKDTree
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from radlatent.cohort.labels import LabelMap
from radlatent.errors import RadlatentError, SchemaError
from radlatent.masks.prior.frame import (
    Frame,
    Placement,
    classes_of,
    from_frame,
    place,
    to_frame,
)
from radlatent.masks.prior.pairs import collect_pairs
from radlatent.masks.prior.parzen import parzen_bandwidth
from radlatent.nn import MaskVAE, Schedule, Sources, Training, arrays_of, fill, train

__all__ = [
    "Encoded",
    "ShapePrior",
    "check_structures",
    "nearest_latents",
    "redraw",
]

#: A prior of fifty patients is trained in four minutes on one core.
TRAINING = Training(epochs=15, minibatch_size=128, learning_rate=4e-3)

#: The frame of a heart on its short axis.
SHORT_AXIS = Frame()

#: Slices that pass through the model at once.
_TOGETHER = 128

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
    """

    placement: Placement
    maps: torch.Tensor
    mean: np.ndarray
    scale: np.ndarray
    kl: np.ndarray


class ShapePrior(BaseEstimator):
    """A VAE of the slices of expert masks.

    Parameters
    ----------
    n_latent
        Length of the latent vector.
    beta
        Weight of the KL term.
    constraint
        Weight of the squared error of the position along the axis, read from the latent
        by one linear neuron; 0 is the plain VAE, about 100 the constrained one.
    n_degraded
        Degraded copies of every mask that the model learns to restore, beside the mask
        itself; 0 trains an autoencoder of expert masks.
    frame
        What it looks at.
    training
        How it is trained.
    random_state
        Seed of weights, errors and order.

    Attributes
    ----------
    structures_
        Names of the structures, in the order of the channels after the background.
    model_
        The trained `MaskVAE`.
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
    work (public results of j-freddy/nvae-shape-encoding).

    References
    ----------
    Painchaud et al. 2020, doi:10.1109/TMI.2020.3003240
    """

    def __init__(
        self,
        *,
        n_latent: int = 32,
        beta: float = 1.0,
        constraint: float = 0.0,
        n_degraded: int = 6,
        frame: Frame = SHORT_AXIS,
        training: Training = TRAINING,
        random_state: int = 0,
    ):
        self.n_latent = n_latent
        self.beta = beta
        self.constraint = constraint
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
            Settings are faulty, or the training diverged.
        """
        problems = self.frame.problems() + self.training.problems()
        if self.training.validation_fraction or self.training.patience is not None:
            problems.append(
                "training: a prior keeps no validation cases; give a "
                "validation_fraction of 0 and no patience"
            )
        if patients is not None and len(patients) != len(masks):
            problems.append(f"{len(masks)} masks, but {len(patients)} patients")
        if problems:
            raise RadlatentError("; ".join(problems) + ".")
        self.structures_ = _structures(masks)
        owners = [str(k) for k in range(len(masks))] if patients is None else patients
        pairs = collect_pairs(
            masks,
            self.frame,
            self.structures_,
            self.n_degraded,
            random_state=self.random_state,
            description="Degrading masks",
        )
        held = np.unique(np.asarray(owners)[pairs.owners]).tolist()
        if len(held) < 2:
            msg = f"{len(masks)} masks hold slices of the patients {held}. Give more."
            raise SchemaError(msg)
        self.model_ = self.build()
        trained = train(
            self.model_,
            Sources(pairs),
            self.training,
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

    def build(self) -> MaskVAE:
        """Return the untrained model of the settings and ``structures_``."""
        with torch.random.fork_rng([]):
            torch.manual_seed(self.random_state)
            model = MaskVAE(
                1 + len(self.structures_),
                self.frame.size,
                self.n_latent,
                beta=self.beta,
                constraint=self.constraint,
            )
        # a sixth less time for a step on a CPU
        return model.to(memory_format=torch.channels_last)

    def encode(self, mask: LabelMap) -> Encoded:
        """Return the slices of a mask that hold something, and their latents.

        Raises
        ------
        SchemaError
            The mask has not the structures that the prior was fitted on.
        """
        check_is_fitted(self)
        check_structures(mask, self.structures_)
        placement = place(mask.array, self.frame, **mask.legend)
        values = [mask.structures[name] for name in self.structures_]
        maps = to_frame(mask.array, placement, values)
        empty = np.zeros((0, self.n_latent), np.float32)
        means, scales = [empty], [empty]
        with torch.no_grad():
            for part in maps.split(_TOGETHER) if len(maps) else ():
                posterior = self.model_.encode(part)
                means.append(posterior.mean.numpy())
                scales.append(posterior.stddev.numpy())
        mean, scale = np.concatenate(means), np.concatenate(scales)
        kl = 0.5 * (mean**2 + scale**2 - 1 - 2 * np.log(scale)).sum(axis=1)
        return Encoded(placement, maps, mean, scale, kl)

    def decode(self, z: np.ndarray) -> torch.Tensor:
        """Return probabilities of the classes, shape (n, classes, size, size)."""
        check_is_fitted(self)
        size = self.frame.size
        parts = [torch.zeros((0, 1 + len(self.structures_), size, size))]
        latents = torch.from_numpy(np.asarray(z, dtype=np.float32))
        with torch.no_grad():
            for part in latents.split(_TOGETHER) if len(latents) else ():
                parts.append(self.model_.decode(part).softmax(dim=1))
        return torch.cat(parts)

    def state(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Return what JSON can hold of a fitted prior, and its weights and latents."""
        check_is_fitted(self)
        settings = self.get_params(deep=False)
        nested = {name: asdict(settings[name]) for name in ("frame", "training")}
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
        settings = record["prior"]
        frame = settings["frame"] | {"center": tuple(settings["frame"]["center"])}
        schedule = Schedule(**settings["training"]["schedule"])
        training = Training(**settings["training"] | {"schedule": schedule})
        prior = cls(**settings | {"frame": Frame(**frame), "training": training})
        prior.structures_ = tuple(record["structures"])
        prior.bandwidth_ = record["bandwidth"]
        prior.history_ = pd.DataFrame(record["history"])
        prior.fitted_on_ = record["prior_fitted_on"]
        prior.latents_ = tensors["latents"]
        prior.model_ = prior.build().eval()
        weights = {k: v for k, v in tensors.items() if k.startswith(_MODEL)}
        fill(prior.model_, {k.removeprefix(_MODEL): v for k, v in weights.items()})
        return prior


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
    return bank[cKDTree(bank).query(mean)[1]]
