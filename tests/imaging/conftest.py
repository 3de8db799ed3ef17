import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from radlatent.imaging import Volume

ITK_IDENTITY = np.eye(3)[:, ::-1]


@pytest.fixture
def oblique():
    """A small anisotropic volume, turned about all three axes."""
    turn = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    array = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    return Volume(array, (3.0, 0.7, 0.9), (-12.5, 40.0, 7.25), turn @ ITK_IDENTITY)


@pytest.fixture
def all_indices():
    """Every voxel index of a shape, (n, 3), in the order of ``ravel``."""
    return lambda shape: np.indices(shape).reshape(3, -1).T
