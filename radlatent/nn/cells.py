"""What an NVAE is made of: residual cells, and the two norms that keep them smooth.

Maps of features enter and leave. Vahdat & Kautz 2020, arXiv:2007.03898, sections 3.1
and 3.2; written from the paper.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Cell", "SpectralNorms", "activated", "gamma_norm", "normalized"]

#: Share of what a cell computes that is added to what enters it.
_RESIDUAL = 0.1

#: Depthwise cells compute on so many times their channels.
_EXPANSION = 6

#: Steps of the power iteration, and those of the first time.
_STEPS, _FIRST_STEPS = 4, 40


def normalized(n_channels: int) -> nn.BatchNorm2d:
    """Return batch norm with the published constants (momentum 0.05 for new values)."""
    return nn.BatchNorm2d(n_channels, eps=1e-5, momentum=0.05)


def activated(n_channels: int) -> nn.Sequential:
    """Return batch norm and Swish."""
    return nn.Sequential(normalized(n_channels), nn.SiLU(inplace=True))


class Cell(nn.Module):
    """x + 0.1 f(x), where f ends in squeeze-and-excitation.

    Parameters
    ----------
    n_channels
        Channels that enter and leave.
    is_depthwise
        f is 1x1 (six times the channels), depthwise 5x5 and 1x1, as in the published
        decoder; otherwise twice batch norm, Swish and a 3x3 convolution.
    """

    def __init__(self, n_channels: int, *, is_depthwise: bool = False):
        super().__init__()
        n, wide = n_channels, n_channels * _EXPANSION
        if is_depthwise:
            layers = [
                normalized(n),
                nn.Conv2d(n, wide, 1, bias=False),
                activated(wide),
                nn.Conv2d(wide, wide, 5, padding=2, groups=wide, bias=False),
                activated(wide),
                nn.Conv2d(wide, n, 1, bias=False),
                normalized(n),
            ]
        else:
            layers = [
                activated(n),
                nn.Conv2d(n, n, 3, padding=1, bias=False),
                activated(n),
                nn.Conv2d(n, n, 3, padding=1),
            ]
        self.layers = nn.Sequential(*layers)
        squeezed = max(n // 16, 4)
        self.excitation = nn.Sequential(
            nn.Linear(n, squeezed), nn.ReLU(), nn.Linear(squeezed, n), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the shape of ``x``."""
        found = self.layers(x)
        gate = self.excitation(found.mean(dim=(2, 3)))
        return x + _RESIDUAL * gate[:, :, None, None] * found


def gamma_norm(model: nn.Module) -> Tensor:
    """Return the sum over batch norms of the largest absolute scale, a scalar."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    return torch.stack([norm.weight.abs().max() for norm in norms]).sum()


class SpectralNorms(nn.Module):
    """The sum of the largest singular values of convolutions, by power iteration.

    Parameters
    ----------
    convolutions
        Those that are passed to `forward`; vectors are kept between calls.

    Notes
    -----
    A convolution is its kernel as a matrix, (channels out, the rest). Four steps a
    call in training, forty the first time.

    References
    ----------
    Yoshida & Miyato 2017, arXiv:1705.10941; Vahdat & Kautz 2020, arXiv:2007.03898
    """

    def __init__(self, convolutions: Iterable[nn.Conv2d]):
        super().__init__()
        self.register_buffer("n_calls", torch.tensor(0))
        for number, stack in enumerate(_stacks(convolutions)):
            start = F.normalize(torch.randn(len(stack), stack.shape[2], 1), dim=1)
            self.register_buffer(f"right_{number}", start)

    def forward(self, convolutions: Iterable[nn.Conv2d]) -> Tensor:
        """Return the sum, a scalar."""
        steps = 0
        if self.training:
            steps = _STEPS if self.n_calls else _FIRST_STEPS
            self.n_calls += 1
        total = 0.0
        for number, stack in enumerate(_stacks(convolutions)):
            right = getattr(self, f"right_{number}")
            with torch.no_grad():
                for _ in range(steps):
                    left = F.normalize(stack @ right, dim=1)
                    right.copy_(F.normalize(stack.mT @ left, dim=1))
            # |W v| of a unit vector v, whose gradient is that of the singular value
            total = total + torch.linalg.vector_norm(stack @ right, dim=1).sum()
        return total


def _stacks(convolutions):
    """Return kernels as matrices, those of one shape together: (k, out, rest)."""
    by_shape = {}
    for convolution in convolutions:
        kernel = convolution.weight.flatten(1).float()
        by_shape.setdefault(kernel.shape, []).append(kernel)
    return [torch.stack(kernels) for kernels in by_shape.values()]
