"""A hierarchical VAE of masks: maps of classes in, latents by group, and maps again.

Latents are maps at several scales. Groups of them follow each other from the top (the
coarsest scale, what shape a heart has) down to the shallowest (the finest, where its
border runs): the prior of each group depends on those above it, and the posterior is a
residual on that prior.

Vahdat & Kautz 2020, arXiv:2007.03898 (NVAE); on masks, Myara 2025 and the public
results of j-freddy/nvae-shape-encoding. Written from the formulas: the published code
is for non-commercial use.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from radlatent.nn.cells import Cell, SpectralNorms, activated, gamma_norm
from radlatent.nn.distributions import bounded_normal, whitened
from radlatent.nn.mask_vae import MaskMinibatch
from radlatent.nn.objective import Loss

__all__ = ["NVAE", "Hierarchy", "Penalties"]

#: The KL term is never weighed less than this while it warms up.
_LEAST_WARMTH = 1e-4

#: Added to the KL of a group before groups are balanced, in nats.
_BALANCE_OFFSET = 0.01


@dataclass(frozen=True)
class Hierarchy:
    """How an NVAE is built; tuples go **from the shallowest scale to the top**.

    Parameters
    ----------
    n_groups
        Groups of latents at each scale; every scale has half the pixels a side of the
        one before.
    n_channels
        Channels of features at each scale.
    n_latent
        Channels of each group of latents, by scale.
    factor
        Pixels a side that the stem turns into channels, without loss: the first scale
        has 1 / factor of the pixels of a mask a side.
    n_cells
        Residual cells after every group, on the way up and on the way down.
    is_depthwise
        Whether cells on the way down are depthwise, as published: fewer operations, and
        no less time on a CPU.
    """

    n_groups: tuple[int, ...] = (2, 1, 1)
    n_channels: tuple[int, ...] = (64, 96, 128)
    n_latent: tuple[int, ...] = (8, 16, 20)
    factor: int = 8
    n_cells: int = 1
    is_depthwise: bool = False

    def problems(self, size: int) -> list[str]:
        """Return what is wrong with the settings, for so many pixels a side."""
        scales = (self.n_groups, self.n_channels, self.n_latent)
        found = []
        if len({len(values) for values in scales}) > 1 or not self.n_groups:
            found.append(
                f"n_groups {self.n_groups}, n_channels {self.n_channels} and n_latent "
                f"{self.n_latent} name other numbers of scales"
            )
        if min((1, *sum(map(tuple, scales), ()), self.factor, self.n_cells)) < 1:
            found.append("give whole numbers from 1 throughout")
        coarsest = self.factor * 2 ** (len(self.n_groups) - 1)
        if size % max(coarsest, 1):
            found.append(
                f"size is {size}; {len(self.n_groups)} scales and a factor of "
                f"{self.factor} need a multiple of {coarsest}"
            )
        return [f"hierarchy: {problem}" for problem in found]


@dataclass(frozen=True)
class Penalties:
    """How the KL term of an NVAE grows, and what else it is charged.

    Parameters
    ----------
    warm_up
        Share of the epochs over which the KL term grows to its weight; 0: at once.
    is_balanced
        Whether, while the KL term grows, groups are charged in proportion to how much
        they carry for their size, so that none is switched off early.
    spectral
        Weight of the sum of the largest singular values of convolutions; 0 is off.
    batch_norm
        Weight of the sum of the largest absolute scales of batch norms; 0 is off.
        Published for both: 0.01 (MNIST).
    """

    warm_up: float = 0.3
    is_balanced: bool = True
    spectral: float = 0.0
    batch_norm: float = 0.0

    def problems(self) -> list[str]:
        """Return what is wrong with the settings."""
        found = []
        if not (self.spectral >= 0 and self.batch_norm >= 0):
            found.append("no weight may be below 0")
        if not 0 <= self.warm_up <= 1:
            found.append(f"warm_up is {self.warm_up!r}; give a share of the epochs")
        return [f"penalties: {problem}" for problem in found]


@dataclass(frozen=True)
class _Group:
    """One group of latents: its name, scale (0 is the shallowest) and shape."""

    name: str
    scale: int
    shape: tuple[int, int, int]

    @property
    def n_values(self):
        return self.shape[0] * self.shape[1] * self.shape[2]


def _betas_of(beta, n_groups):
    """Return the weight of each group."""
    betas = [beta] * n_groups if isinstance(beta, Real) else list(beta)
    if len(betas) != n_groups or not all(value >= 0 for value in betas):
        msg = (
            f"beta is {beta!r}; give a number from 0, or {n_groups}: one a group, from "
            "the shallowest to the top"
        )
        raise ValueError(msg)
    return [float(value) for value in betas]


def _groups_of(hierarchy, size):
    """Return the groups from the shallowest to the top."""
    groups = []
    for scale, n in enumerate(hierarchy.n_groups):
        side = size // hierarchy.factor // 2**scale
        shape = (hierarchy.n_latent[scale], side, side)
        names = [f"{side}"] if n == 1 else [f"{side}_{k}" for k in range(1, n + 1)]
        groups += [_Group(name, scale, shape) for name in names]
    return tuple(groups)


class NVAE(nn.Module):
    """A hierarchical variational autoencoder of slices of masks.

    Parameters
    ----------
    in_channels
        Channels that enter: as many as classes, or three times as many, where the
        slices before and after enter as well.
    n_classes
        Background and structures, of the slice that leaves.
    size
        Pixels along each side.
    hierarchy
        Scales and groups.
    beta
        Weight of the KL term: a number, or one a group, **from the shallowest group to
        the top**.
    penalties
        How that term grows, and others.

    Raises
    ------
    ValueError
        Settings are faulty, or do not fit together.

    Attributes
    ----------
    group_names
        Pixels a side of each group, and its number where a scale has several, from the
        shallowest to the top: ``("16_1", "16_2", "8", "4")``.
    n_latent
        Length of the latent vector.

    Notes
    -----
    With p = N(m_p, s_p) the prior of a group, q = N(m_p + dm, s_q) its posterior,
    log s_q = log s_p + ds; means and log scales are bent by 5 tanh(x / 5), and 0.01 is
    added to scales. KL = [(dm / s_p)^2 + r^2] / 2 - 1/2 - log r with r = s_q / s_p.

    The latent vector holds e = (z - m_p) / s_p, group by group **from the top to the
    shallowest**, the order in which they are decoded: its prior is the standard normal,
    whatever the groups above, zeros are the means of the prior, and the first values of
    the vector are a mask in outline.

    loss = - sum over pixels of log p(class) + c sum of beta_i k_i KL_i + penalties.
    c = progress / warm_up, between 1e-4 and 1. While c < 1 and where balanced,
    k_i = (mean |KL_i| + 0.01) / a_i, in a mean of 1, without gradient, and
    a_i = 4^(scales above) / groups of the scale, the least of them 1; then k_i = 1.
    In evaluation latents are posterior means.

    References
    ----------
    Vahdat & Kautz 2020, arXiv:2007.03898; balancing: Vahdat et al. 2018,
    arXiv:1805.07445
    """

    def __init__(
        self,
        in_channels: int,
        n_classes: int,
        size: int,
        *,
        hierarchy: Hierarchy | None = None,
        beta: float | Sequence[float] = 1.0,
        penalties: Penalties | None = None,
    ):
        super().__init__()
        hierarchy, self.penalties = hierarchy or Hierarchy(), penalties or Penalties()
        problems = hierarchy.problems(size) + self.penalties.problems()
        if problems:
            raise ValueError("; ".join(problems))
        self.groups = _groups_of(hierarchy, size)
        self.betas = _betas_of(beta, len(self.groups))
        n_channels, area = hierarchy.n_channels, hierarchy.factor**2
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(hierarchy.factor),
            nn.Conv2d(in_channels * area, n_channels[0], 1),
        )
        above = [len(hierarchy.n_groups) - 1 - group.scale for group in self.groups]
        alphas = [
            4.0**n / hierarchy.n_groups[group.scale]
            for n, group in zip(above, self.groups, strict=True)
        ]
        self.alphas = [alpha / min(alphas) for alpha in alphas]
        self.up = nn.ModuleList(
            _Up(hierarchy, group, before)
            for group, before in zip(
                self.groups, (None, *self.groups[:-1]), strict=True
            )
        )
        top_first = self.groups[::-1]
        self.down = nn.ModuleList(
            _Down(hierarchy, group, before)
            for group, before in zip(top_first, (None, *top_first[:-1]), strict=True)
        )
        # 1x1: at these many channels out, 3x3 would be a third of all operations
        self.head = nn.Sequential(
            activated(n_channels[0]),
            nn.Conv2d(n_channels[0], n_classes * area, 1),
            nn.PixelShuffle(hierarchy.factor),
        )
        self.spectral = None
        if self.penalties.spectral:
            self.spectral = SpectralNorms(self._convolutions())

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the groups, from the shallowest to the top."""
        return tuple(group.name for group in self.groups)

    @property
    def n_latent(self) -> int:
        """Length of the latent vector."""
        return sum(group.n_values for group in self.groups)

    def encode(self, x: Tensor) -> Independent:
        """Return the posterior of the latent vector.

        Parameters
        ----------
        x
            Shares of classes, shape (minibatch, in_channels, size, size).

        Returns
        -------
        Independent
            Of the vector, shape (minibatch, n_latent), whose prior is the standard
            normal. That of a group is given the means (in training, draws) of those
            above it.
        """
        return _joined(self._infer(x, n_decoded=len(self.groups) - 1)[0])

    def decode(self, z: Tensor) -> Tensor:
        """Return logits of the classes, shape (minibatch, n_classes, size, size).

        Parameters
        ----------
        z
            Latent vectors, shape (minibatch, n_latent), or their first values: groups
            that are not given are at the mean of their prior.
        """
        given = self.split(z)
        return self.head(self._descend(len(z), lambda k, _s, _p: given.get(k)))

    def reconstruct(self, x: Tensor, n_posterior_groups: int | None = None) -> Tensor:
        """Return logits of the classes from posterior means.

        Parameters
        ----------
        x
            As for `encode`.
        n_posterior_groups
            So many groups from the top are those of the mask, the others are at the
            mean of their prior; None: all are of the mask.
        """
        z = self.encode(x).mean
        if n_posterior_groups is not None:
            kept = self.groups[::-1][:n_posterior_groups]
            z = z[:, : sum(group.n_values for group in kept)]
        return self.decode(z)

    def sample(
        self,
        n: int,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return logits of masks drawn from the prior.

        Parameters
        ----------
        n
            How many.
        temperature
            The scale of every prior is multiplied with it.
        generator
            Of the draws; None is torch's own.
        """
        noise = torch.randn(n, self.n_latent, generator=generator)
        return self.decode(temperature * noise.to(self.down[0].start.device))

    def split(self, z: Tensor) -> dict[int, Tensor]:
        """Return the groups of a latent vector, numbered from the top.

        Parameters
        ----------
        z
            Shape (minibatch, n), n values of whole groups.

        Returns
        -------
        dict
            Number to maps, shape (minibatch, channels, side, side).
        """
        given, start = {}, 0
        for number, group in enumerate(self.groups[::-1]):
            if start == z.shape[1]:
                break
            part = z[:, start : start + group.n_values]
            given[number] = part.reshape(-1, *group.shape)
            start += group.n_values
        return given

    def kl_by_group(self, posterior: Independent) -> dict[str, Tensor]:
        """Return the KL term of each group, from the shallowest to the top.

        Parameters
        ----------
        posterior
            From `encode`.

        Returns
        -------
        dict
            Name of a group to nats, shape (minibatch,).
        """
        normal = posterior.base_dist
        terms = _kl_terms(normal.mean, normal.scale)
        parts = self.split(terms)
        named = zip(self.group_names[::-1], parts.values(), strict=True)
        found = {name: part.flatten(1).sum(dim=1) for name, part in named}
        return {name: found[name] for name in self.group_names}

    def forward(self, minibatch: MaskMinibatch) -> Tensor:
        """Return the logits of a minibatch."""
        return self.head(self._infer(minibatch.x)[1])

    def loss(self, minibatch: MaskMinibatch, *, progress: float = 1.0) -> Loss:
        """Return the loss and its parts, each of shape (minibatch,).

        Parameters
        ----------
        minibatch
            What enters, and what is to be reconstructed.
        progress
            How much of the training is done, from 0 to 1: the KL term warms up.
        """
        posteriors, features = self._infer(minibatch.x)
        logits = self.head(features).float()
        entropy = -(minibatch.target * F.log_softmax(logits, dim=1)).sum(dim=(1, 2, 3))
        kl = self.kl_by_group(_joined(posteriors))
        terms = torch.stack(list(kl.values()), dim=1)  # (minibatch, groups)
        weights = self._weights(terms.detach(), progress)
        total = entropy + (terms * weights).sum(dim=1)
        parts = {"reconstruction": entropy, "kl": terms.sum(dim=1)}
        parts |= {f"kl_{name}": term for name, term in kl.items()}
        for name, value, weight in self._penalties():
            parts[name] = value.expand_as(entropy)
            total = total + weight * value
        z = torch.cat([posterior.mean.flatten(1) for posterior in posteriors], dim=1)
        return Loss(total, parts, z)

    def _penalties(self):
        """Yield name, value and weight of the penalties that are on."""
        if self.spectral is not None:
            value = self.spectral(self._convolutions())
            yield "spectral", value, self.penalties.spectral
        if self.penalties.batch_norm:
            yield "batch_norm", gamma_norm(self), self.penalties.batch_norm

    def _convolutions(self):
        return [m for m in self.modules() if isinstance(m, nn.Conv2d)]

    def _weights(self, terms, progress):
        """Return the weight of each group's KL, shape (groups,)."""
        penalties = self.penalties
        weights = terms.new_tensor(self.betas)
        if progress >= penalties.warm_up:
            return weights
        warmth = max(progress / penalties.warm_up, _LEAST_WARMTH)
        if penalties.is_balanced:
            carried = terms.abs().mean(dim=0) + _BALANCE_OFFSET
            shares = carried / terms.new_tensor(self.alphas)
            weights = weights * shares / shares.mean()
        return warmth * weights

    def _infer(self, x, n_decoded=None):
        """Return the posteriors of the groups, top first, and the decoded features.

        The last group need not be decoded where features are not asked for.
        """
        features, above = [], self.stem(2 * x - 1)
        for step in self.up:
            above = step(above)
            features.append(above)
        features.reverse()
        posteriors = []

        def of_the_mask(number, state, prior):
            posterior = self.down[number].posterior(features[number], state, prior)
            posteriors.append(posterior)
            return posterior.rsample() if self.training else posterior.mean

        return posteriors, self._descend(len(x), of_the_mask, n_decoded)

    def _descend(
        self, n: int, latents_of: Callable, n_decoded: int | None = None
    ) -> Tensor:
        """Return the features below all groups, or below so many from the top.

        ``latents_of(number, state, prior)`` gives the latents of a group in units of
        its prior; None is the mean of the prior.
        """
        state = None
        for number, step in enumerate(self.down):
            state = step.enter(state, n)
            prior = step.prior(state)
            latents = latents_of(number, state, prior)
            if number == n_decoded:
                break
            state = step.leave(state, prior, latents)
        return state


def _joined(posteriors: Sequence[Normal]) -> Independent:
    mean = torch.cat([posterior.mean.flatten(1) for posterior in posteriors], dim=1)
    scale = torch.cat([posterior.scale.flatten(1) for posterior in posteriors], dim=1)
    return Independent(Normal(mean, scale, validate_args=False), 1)


def _kl_terms(mean, scale):
    """Return the KL of each value from the standard normal."""
    return 0.5 * (mean**2 + scale**2) - 0.5 - scale.log()


class _Up(nn.Module):
    """From the features of a group to those of the next one above it."""

    def __init__(self, hierarchy, group, before):
        super().__init__()
        n = hierarchy.n_channels[group.scale]
        layers = []
        if before is not None and before.scale < group.scale:
            fewer = hierarchy.n_channels[before.scale]
            halve = nn.Conv2d(fewer, n, 3, stride=2, padding=1)
            layers += [activated(fewer), halve]
        layers += [Cell(n) for _ in range(hierarchy.n_cells)]
        self.layers = nn.Sequential(*layers)

    def forward(self, features):
        return self.layers(features)


class _Down(nn.Module):
    """One group of latents: its prior, its posterior, and what it adds."""

    def __init__(self, hierarchy, group, before):
        super().__init__()
        n, (n_latent, side, _) = hierarchy.n_channels[group.scale], group.shape
        cells = {"is_depthwise": hierarchy.is_depthwise}
        self.is_top = before is None
        self.widen = nn.Identity()
        if self.is_top:
            self.start = nn.Parameter(0.1 * torch.randn(n, side, side))
            self.prior_start = nn.Parameter(torch.zeros(2 * n_latent, side, side))
        else:
            self.to_prior = nn.Sequential(nn.SiLU(), nn.Conv2d(n, 2 * n_latent, 1))
            if before.scale > group.scale:
                more = hierarchy.n_channels[before.scale]
                self.widen = nn.Sequential(
                    nn.Conv2d(more, n, 1), nn.Upsample(scale_factor=2), Cell(n, **cells)
                )
        self.beside = nn.Conv2d(n, n, 1)
        self.to_posterior = nn.Sequential(
            activated(n), nn.Conv2d(n, 2 * n_latent, 3, padding=1)
        )
        self.merge = nn.Conv2d(n + n_latent, n, 1)
        self.cells = nn.Sequential(
            *(Cell(n, **cells) for _ in range(hierarchy.n_cells))
        )

    def enter(self, state, n):
        """Return the features that the group starts from."""
        if self.is_top:
            return self.start.expand(n, *self.start.shape)
        return self.widen(state)

    def prior(self, state):
        """Return mean and log scale of the prior, unbent, stacked along channels."""
        if self.is_top:
            return self.prior_start.expand(len(state), *self.prior_start.shape)
        return self.to_prior(state)

    def posterior(self, features, state, prior):
        """Return the posterior in units of the prior."""
        residual = self.to_posterior(features + self.beside(state))
        return whitened(_normal(prior + residual), _normal(prior))

    def leave(self, state, prior, latents):
        """Return the features with the latents in them."""
        normal = _normal(prior)
        z = normal.mean if latents is None else normal.mean + normal.scale * latents
        return self.cells(self.merge(torch.cat([state, z.to(state.dtype)], dim=1)))


def _normal(stacked):
    return bounded_normal(*stacked.chunk(2, dim=1))
