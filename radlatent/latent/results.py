"""What encoders return: small holders of tables and arrays."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["Encoding", "Posterior", "Reconstructions", "Traversal"]


@dataclass(frozen=True, eq=False, repr=False)
class Encoding:
    """Latent features of a cohort, and what became of every case.

    Parameters
    ----------
    features
        **features** table: a row for every case, NaN where it could not be read.
    failures
        **failures** table: why; and the lesions that the box cuts.
    """

    features: pd.DataFrame
    failures: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """Mean, standard deviation and count of each latent feature."""
        return self.features.agg(["mean", "std", "count"]).T

    def __repr__(self) -> str:
        n, columns = self.features.shape
        return f"Encoding({n} cases, {columns} features, {len(self.failures)} failures)"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


@dataclass(frozen=True, eq=False, repr=False)
class Posterior:
    """The Gaussian posterior of every case.

    Parameters
    ----------
    mean, log_variance
        **features** tables of one shape.
    """

    mean: pd.DataFrame
    log_variance: pd.DataFrame

    def __repr__(self) -> str:
        return f"Posterior({self.mean.shape[0]} cases, {self.mean.shape[1]} features)"


@dataclass(frozen=True, eq=False, repr=False)
class Reconstructions:
    """Standardized images and what the decoder makes of their posterior means.

    Parameters
    ----------
    cases
        The cases, in the order of the arrays.
    originals, decoded, masks
        Shape (n_cases, channels, *size); the masks are 1 where the loss looks.
    channels
        Names of the channels.
    spacing_mm
        Of the voxels along each axis; None where it is not known.
    unit
        Of the intensities.
    """

    cases: pd.DataFrame
    originals: np.ndarray
    decoded: np.ndarray
    masks: np.ndarray
    channels: tuple[str, ...]
    spacing_mm: tuple[float, ...] | None = None
    unit: str = "standard deviations"

    @property
    def errors(self) -> pd.Series:
        """Mean squared error of each case over its mask, in the squared unit."""
        axes = tuple(range(1, self.originals.ndim))
        squares = (self.originals - self.decoded) ** 2 * self.masks
        values = squares.sum(axis=axes, dtype=float) / self.masks.sum(axis=axes)
        return pd.Series(values, self.cases.index, name="mean_squared_error")

    @property
    def summary(self) -> pd.DataFrame:
        """Distribution of the errors."""
        return self.errors.describe().to_frame()

    def plot(self, ax=None, **kwargs):
        """Draw best and worst cases on ``ax`` and return it."""
        from radlatent import figures

        return figures.reconstructions(self, ax, **kwargs)

    def __repr__(self) -> str:
        shape = self.originals.shape
        return f"Reconstructions({shape[0]} cases of {shape[1:]})"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


@dataclass(frozen=True, eq=False, repr=False)
class Traversal:
    """Images decoded along each latent feature.

    Parameters
    ----------
    images
        Shape (n_latent, n_steps, channels, *size), standardized intensities; NaN is
        not drawn. Where no training case had a mask they mean nothing.
    steps
        Values of the latent feature, shape (n_steps,), standard deviations of the
        prior.
    names, channels
        Of the latent features and the channels.
    spacing_mm
        Of the voxels along each axis; None where it is not known.
    """

    images: np.ndarray
    steps: np.ndarray
    names: tuple[str, ...]
    channels: tuple[str, ...]
    spacing_mm: tuple[float, ...] | None = None

    @property
    def summary(self) -> pd.DataFrame:
        """How far the image moves along each latent feature.

        ``change`` is the root mean squared difference between the two ends.
        """
        ends = self.images[:, -1] - self.images[:, 0]
        change = np.sqrt(np.nanmean((ends**2).reshape(len(self.names), -1), axis=1))
        return pd.DataFrame({"change": change}, pd.Index(self.names, name="feature"))

    def plot(self, ax=None, **kwargs):
        """Draw the images as a grid on ``ax`` and return it."""
        from radlatent import figures

        return figures.traversal(self, ax, **kwargs)

    def __repr__(self) -> str:
        return f"Traversal({len(self.names)} features, {len(self.steps)} steps)"
