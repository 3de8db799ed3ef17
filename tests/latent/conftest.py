"""Volumes and prepared cases with known content."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from radlatent.imaging import Volume, write_volume

ITK = np.eye(3)[:, ::-1]


def rotation(degrees, axis):
    """Return a rotation matrix of world x, y, z about an axis."""
    from scipy.spatial.transform import Rotation

    axis = np.asarray(axis, dtype=float) / np.linalg.norm(axis)
    return Rotation.from_rotvec(np.deg2rad(degrees) * axis).as_matrix()


def stored(volume, order, flips):
    """Return the same volume with its array in another order, flipped along axes."""
    array = volume.array.transpose(order)
    corner = [
        volume.shape[o] - 1 if f else 0 for o, f in zip(order, flips, strict=True)
    ]
    index = np.zeros(3)
    index[list(order)] = corner
    signs = np.where(flips, -1.0, 1.0)
    return Volume(
        np.ascontiguousarray(np.flip(array, [a for a in range(3) if flips[a]])),
        [volume.spacing_mm[o] for o in order],
        volume.to_world([index])[0],
        volume.direction[:, list(order)] * signs,
    )


def world_of(grid):
    """Return LPS x, y, z of every voxel of a grid, shape (3, *shape)."""
    index = np.indices(grid.shape).reshape(3, -1).T
    return grid.to_world(index).T.reshape(3, *grid.shape)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Compute on one thread: sums depend on their number in the last bits."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def case_of(tmp_path):
    """Return a function: volumes of channels in, a row of a cases table out."""

    def write(**volumes):
        row = {"patient_id": "p1", "exclude": False}
        for name, volume in volumes.items():
            path = tmp_path / f"{name}.nii.gz"
            array = volume.array
            if array.dtype == bool:
                volume = volume.with_array(array.astype(np.uint8))
            write_volume(volume, path)
            row[name] = str(path)
        return row

    return write


@pytest.fixture
def table_of(tmp_path):
    """Return a function: rows by case in, a cases table out."""

    def build(rows):
        cases = pd.DataFrame.from_dict(rows, orient="index").rename_axis("case_id")
        cases["exclude"] = False
        cases["patient_id"] = list(rows)
        return cases

    return build


@pytest.fixture
def worlds():
    """Return the helpers of this file."""
    return SimpleNamespace(
        ITK=ITK, rotation=rotation, stored=stored, world_of=world_of, blobs=blobs
    )


def blobs(n=8, *, seed=0, size=(8, 8, 8), channels=1, inputs=None):
    """Return prepared cases of random spheres, built in memory."""
    from radlatent.latent.prepared import PreparedCases
    from radlatent.schema import failures_table

    generator = np.random.default_rng(seed)
    grid = np.indices(size) - (np.array(size).reshape(-1, *[1] * len(size)) - 1) / 2
    radii = generator.uniform(0.25, 0.5, n) * min(size)
    masks = np.stack([np.sqrt((grid**2).sum(axis=0)) <= r for r in radii])
    masks = np.repeat(masks[:, None], channels, axis=1)
    levels = generator.normal(0, 1, (n, channels, *[1] * len(size)))
    images = 100 + 20 * levels + 10 * generator.standard_normal(masks.shape)
    names = [f"c{k:02d}" for k in range(n)]
    cases = pd.DataFrame(
        {
            "patient_id": [f"p{k:02d}" for k in range(n)],
            "exclude": False,
            "cohort": "blobs",
        },
        pd.Index(names, name="case_id"),
    )
    return PreparedCases(cases, images.astype(np.float32), masks, failures_table())
