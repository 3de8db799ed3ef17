"""Where the minibatches of sets of lesions come from: arrays in, tensors out."""

import numpy as np
import torch
from torch import Tensor

from radlatent.graphs.network import GraphBatch, edge_features
from radlatent.graphs.sets import Edges, Sets, edges_of

__all__ = ["GraphSource"]


class GraphSource:
    """Patients as tensors, cut to the lesions that a minibatch has.

    Parameters
    ----------
    sets
        On one scale, of `Scaling.apply`.
    n_neighbours, radius_mm
        As in `LesionGraphs.edges`: memory grows with the lesions times the neighbours,
        and not with the square of the lesions.
    y
        As in `GraphBatch`, or None.
    """

    def __init__(
        self,
        sets: Sets,
        n_neighbours: int,
        radius_mm: float | None,
        y: np.ndarray | None = None,
    ):
        edges = _edges(sets, n_neighbours, radius_mm)
        self.x = torch.tensor(sets.lesions, dtype=torch.float32)
        self.there = torch.tensor(sets.is_there)
        self.neighbours = torch.tensor(edges.neighbours)
        self.distance = torch.tensor(edges.distance_mm, dtype=torch.float32)
        self.direction = torch.tensor(edges.direction, dtype=torch.float32)
        self.linked = torch.tensor(edges.is_there)
        self.patients = torch.tensor(sets.patients, dtype=torch.float32)
        self.y = None if y is None else torch.tensor(y)

    def __len__(self) -> int:
        """Return the number of patients."""
        return len(self.x)

    def minibatch(
        self, rows: Tensor, device: torch.device, *, augment: bool = False
    ) -> GraphBatch:
        """Return some patients on a device; nothing is varied."""
        n = max(1, int(self.there[rows].sum(1).max()))  # those that are there are first
        linked = self.linked[rows, :n]
        edges = edge_features(self.distance[rows, :n], self.direction[rows, :n])
        parts = (
            self.x[rows, :n],
            self.there[rows, :n],
            self.neighbours[rows, :n],
            edges * linked[..., None],
            linked,
            self.patients[rows],
            None if self.y is None else self.y[rows],
        )
        return GraphBatch(*(t if t is None else t.to(device) for t in parts))


def _edges(sets, n_neighbours, radius_mm):
    """Return the edges of all patients side by side; lesions are told to be first."""
    n, slots = sets.is_there.shape
    k = max(1, min(n_neighbours, slots - 1))
    made = Edges(
        np.zeros((n, slots, k), np.int64),
        np.zeros((n, slots, k)),
        np.zeros((n, slots, k, 3)),
        np.zeros((n, slots, k), bool),
    )
    for row, there in enumerate(sets.is_there):
        count = int(there.sum())
        if not count:
            continue
        one = edges_of(sets.places[row, :count], n_neighbours, radius_mm)
        width = one.neighbours.shape[1]
        for whole, part in zip(vars(made).values(), vars(one).values(), strict=True):
            whole[row, :count, :width] = part
    return made
