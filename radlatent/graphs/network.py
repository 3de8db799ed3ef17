"""The networks: sets of lesions in, logits or a risk out. Tensors only."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from radlatent.nn.objective import Loss

__all__ = ["KINDS", "GraphBatch", "LesionNetwork", "NetworkSizes", "edge_features"]

#: Names of the networks.
KINDS = ("graph", "deep_sets", "attention_pooling")

#: Distances that an edge is compared with, mm, and the width in log distance.
_CENTERS_MM = (10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
_LOG_WIDTH = 0.5

_LAYERS = 2
_DROPOUT = 0.1


class GraphBatch(NamedTuple):
    """Tensors of some patients.

    Parameters
    ----------
    x
        Features of lesions, shape (minibatch, n_lesions, n_features).
    there
        Whether there is such a lesion, shape (minibatch, n_lesions).
    neighbours, edges, linked
        Which lesions, shape (minibatch, n_lesions, n_neighbours); of `edge_features`;
        whether there is such an edge.
    patients
        Columns of patients, shape (minibatch, n_columns).
    y
        Class numbers; of survival, times with the sign of the event, shape
        (minibatch,); or None.
    """

    x: Tensor
    there: Tensor
    neighbours: Tensor
    edges: Tensor
    linked: Tensor
    patients: Tensor
    y: Tensor | None = None


@dataclass(frozen=True)
class NetworkSizes:
    """How large a network is.

    Parameters
    ----------
    n_features
        Of a lesion.
    n_columns
        Of a patient.
    n_outputs
        Classes, or 1 for a risk.
    width
        Of all that is hidden.
    """

    n_features: int
    n_columns: int
    n_outputs: int
    width: int


def edge_features(distance_mm: Tensor, direction: Tensor) -> Tensor:
    """Return bumps at six distances and the direction, shape (..., 9).

    Notes
    -----
    Our reading: exp(-((log(d + 1) - log(c + 1)) / 0.5)^2 / 2), c from 10 to 320 mm.
    """
    log = torch.log1p(distance_mm)[..., None]
    bumps = (log - torch.log1p(torch.tensor(_CENTERS_MM))) / _LOG_WIDTH
    return torch.cat([torch.exp(-0.5 * bumps**2), direction], dim=-1)


class _Messages(nn.Module):
    """A lesion learns from its neighbours: attention to messages, and the largest."""

    def __init__(self, width):
        super().__init__()
        n_edge = len(_CENTERS_MM) + 3
        self.own, self.other = nn.Linear(width, width), nn.Linear(width, width)
        self.edge = nn.Linear(n_edge, width)
        self.score, self.mix = nn.Linear(width, 1), nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, h, batch):
        rows = torch.arange(len(h))[:, None, None]
        other = self.other(h)[rows, batch.neighbours]
        message = self.own(h)[:, :, None] + other + self.edge(batch.edges)
        message = nn.functional.silu(message)  # (minibatch, lesions, neighbours, width)
        weights = _attention(self.score(message)[..., 0], batch.linked)
        mean = (weights[..., None] * message).sum(2)
        both = torch.cat([mean, _largest(message, batch.linked)], -1)
        return self.norm(h + self.mix(both))


def _attention(scores, there):
    """Return weights that sum to 1 over what is there, or to 0 where nothing is."""
    weights = torch.softmax(scores.masked_fill(~there, -1e9), -1)
    return weights * there


def _largest(values, there):
    """Return the largest values over what is there, or 0 where nothing is."""
    found = values.masked_fill(~there[..., None], -1e9).amax(-2)
    return torch.where(there.any(-1)[..., None], found, 0.0)


class LesionNetwork(nn.Module):
    """Lesions of a patient, and the patient's own columns, to one prediction.

    Parameters
    ----------
    sizes
        How large it is.
    kind
        "graph": two rounds of messages along edges, then attention to lesions and the
        largest value of each unit. "attention_pooling": the same without messages.
        "deep_sets": mean and largest value, without attention.
    is_survival
        Whether it is trained by Cox' partial likelihood.

    Notes
    -----
    Our reading of a lesion graph with a clinical branch: the columns of the patient
    (Dmax and the number of lesions among them) ask the lesions by cross-attention, and
    enter the head as well. A patient without lesions is told by these columns alone.
    No operation depends on the order of lesions.

    References
    ----------
    Velickovic et al. 2018, arXiv:1710.10903 (graph attention); Zaheer et al. 2017,
    arXiv:1703.06114 (deep sets); Ilse et al. 2018, arXiv:1802.04712 (attention pooling)
    """

    def __init__(self, sizes: NetworkSizes, kind: str, *, is_survival: bool):
        super().__init__()
        self.kind, self.is_survival, width = kind, is_survival, sizes.width
        self.lesion = nn.Sequential(
            nn.Linear(sizes.n_features, width), nn.SiLU(), nn.Linear(width, width)
        )
        rounds = _LAYERS if kind == "graph" else 0
        self.rounds = nn.ModuleList(_Messages(width) for _ in range(rounds))
        if kind != "deep_sets":
            self.gate, self.value = nn.Linear(width, width), nn.Linear(width, width)
            self.score = nn.Linear(width, 1)
            self.key, self.query = nn.Linear(width, width), nn.Linear(width, width)
        self.patient = nn.Sequential(nn.Linear(sizes.n_columns, width), nn.SiLU())
        parts = 3 if kind == "deep_sets" else 4
        self.head = nn.Sequential(
            nn.Dropout(_DROPOUT),
            nn.Linear(parts * width, width),
            nn.SiLU(),
            nn.Linear(width, sizes.n_outputs),
        )

    def forward(self, batch: GraphBatch) -> Tensor:
        """Return logits or risks, shape (minibatch, n_outputs)."""
        h, there = self.lesion(batch.x), batch.there
        for one in self.rounds:
            h = one(h, batch)
        patient = self.patient(batch.patients)
        if self.kind == "deep_sets":
            n = there.sum(-1, keepdim=True).clamp(min=1)
            pooled = [(h * there[..., None]).sum(1) / n]
        else:
            gated = torch.tanh(self.value(h)) * torch.sigmoid(self.gate(h))
            asked = (self.key(h) * self.query(patient)[:, None]).sum(-1)
            scores = (self.score(gated)[..., 0], asked / h.shape[-1] ** 0.5)
            pooled = [(_attention(s, there)[..., None] * h).sum(1) for s in scores]
        return self.head(torch.cat([*pooled, _largest(h, there), patient], -1))

    def loss(self, minibatch: GraphBatch, **_told) -> Loss:
        """Return the loss and its parts, each of shape (minibatch,)."""
        found = self(minibatch)
        if self.is_survival:
            total = _partial_likelihood(found[:, 0], minibatch.y)
            return Loss(total, {"partial_likelihood": total}, found)
        total = cross_entropy(found, minibatch.y, reduction="none")
        return Loss(total, {"cross_entropy": total}, found)


def _partial_likelihood(risk, signed):
    """Return - log of Breslow's partial likelihood by patient of a minibatch."""
    time, event = signed.abs(), signed > 0
    at_risk = time[None] >= time[:, None]
    total = torch.logsumexp(risk[None].masked_fill(~at_risk, -1e9), 1)
    return torch.where(event, total - risk, 0.0)
