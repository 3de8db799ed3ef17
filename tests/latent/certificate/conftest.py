"""Gaussians, whose dependence is known."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def gaussians():
    """Return two arrays (n, columns); the first columns correlate by rho."""

    def draw(rho, n, rng, columns=1):
        x, y = rng.standard_normal((2, n, columns))
        y[:, 0] = rho * x[:, 0] + np.sqrt(1 - rho**2) * y[:, 0]
        return x, y

    return draw
