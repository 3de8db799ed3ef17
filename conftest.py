"""Fixtures of the tests and of the examples in the docstrings."""

import importlib.util
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
# of torch, xgboost and BLAS, here and in every process that a test starts: there is a
# worker a core, and threads that wait for each other do so at full speed. On a busy
# machine tests/nn/test_sepvae.py took 77 s of processor time with two, 17 s with one
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parent

CARD = """\
name: tiny
freeze: 2026-11-20
modalities:
  ct: {unit: HU, preset: hu}
  pet: {unit: SUV, preset: suv}
endpoints:
  response: {kind: class, column: response}
  survival: {kind: survival, time: survival_time, event: survival_event}
covariates: [age]
"""

#: Radius in voxels of the sphere of each patient.
RADII = {"p1": 3, "p2": 4, "p3": 5}


#: Folders and modules of the package that import torch as they are imported, by
#: themselves or through others.
NEEDS_TORCH = (
    "graphs/models.py",
    "graphs/network.py",
    "graphs/source.py",
    "latent/encoder.py",
    "latent/folds.py",
    "latent/network.py",
    "latent/pca.py",
    "latent/random_search/plan.py",
    "latent/random_search/result.py",
    "latent/random_search/search.py",
    "latent/random_search/trial.py",
    "latent/source.py",
    "masks/correction/alternatives.py",
    "masks/correction/calibration.py",
    "masks/correction/corrector.py",
    "masks/correction/decision.py",
    "masks/correction/derive.py",
    "masks/correction/offers.py",
    "masks/correction/plausibility.py",
    "masks/correction/revised.py",
    "masks/prior/frame.py",
    "masks/prior/latents.py",
    "masks/prior/models.py",
    "masks/prior/pairs.py",
    "masks/prior/shape_prior.py",
    "masks/prior/traversal.py",
    "masks/revision/reviser.py",
    "masks/revision/views.py",
    "masks/sequences/redraw.py",
    "nn/",
    "segmentation/augmentation.py",
    "segmentation/checks.py",
    "segmentation/derive.py",
    "segmentation/drawing.py",
    "segmentation/folds.py",
    "segmentation/losses/build.py",
    "segmentation/losses/contours.py",
    "segmentation/losses/overlap.py",
    "segmentation/networks/build.py",
    "segmentation/networks/from_monai.py",
    "segmentation/networks/hrnet.py",
    "segmentation/networks/plain_unet.py",
    "segmentation/networks/transunet.py",
    "segmentation/objective.py",
    "segmentation/prepare.py",
    "segmentation/segmenter.py",
    "segmentation/source.py",
)

#: And pydicom and highdicom.
NEEDS_DICOM = ("imaging/dicom/",)


def pytest_ignore_collect(collection_path):
    """Leave modules alone that need what is not installed."""
    _, _, inside = collection_path.as_posix().rpartition("/radlatent/")
    needed = {"torch": NEEDS_TORCH}
    needed |= dict.fromkeys(("pydicom", "highdicom"), NEEDS_DICOM)
    for library, modules in needed.items():
        absent = importlib.util.find_spec(library) is None
        if absent and f"{inside}/".startswith(modules):
            return True
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Skip what needs pyradiomics where it is not installed; what is long is slow."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)
    if importlib.util.find_spec("radiomics") is not None:
        return
    for item in items:
        if item.get_closest_marker("reference"):
            item.add_marker(pytest.mark.skip(reason="pyradiomics is not installed"))


@pytest.fixture(autouse=True)
def restore_logging():
    """Undo what the command line does to the logger of the package."""
    logger = logging.getLogger("radlatent")
    before = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


@pytest.fixture
def rng():
    """Return a generator of random numbers, the same in every run."""
    return np.random.default_rng(20261120)


@pytest.fixture(autouse=True)
def close_figures():
    """Close what a test has drawn."""
    yield
    import sys

    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def project_root():
    """Return the folder of the project."""
    return ROOT


@pytest.fixture(scope="session")
def real_data():
    """Return the folder of real patients; tests that use it are marked ``real``."""
    folder = Path(os.environ.get("RADLATENT_DATA", ROOT / ".." / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set RADLATENT_DATA")
    return folder.resolve()


def sphere(radius, shape=(16, 16, 16)):
    """Return a sphere of a radius in voxels around the middle of a box of booleans."""
    grid = np.indices(shape) - (np.array(shape).reshape(3, 1, 1, 1) - 1) / 2
    return np.sqrt((grid**2).sum(axis=0)) <= radius


@pytest.fixture(scope="session")
def _tiny_folder(tmp_path_factory):
    from radlatent.imaging import Volume, write_volume

    folder = tmp_path_factory.mktemp("tiny")
    generator = np.random.default_rng(0)
    rows = []
    for patient, radius in RADII.items():
        mask = sphere(radius).astype(np.uint8)
        row = {"case_id": patient, "patient_id": patient}
        for modality, scale, spacing in (("ct", 100.0, 2.0), ("pet", 2.0, 4.0)):
            values = scale * (mask + 0.3 * generator.standard_normal(mask.shape))
            for role, array in (("image", values), ("mask", mask)):
                path = Path(patient) / f"{modality}_{role}.nii.gz"
                (folder / patient).mkdir(exist_ok=True)
                write_volume(Volume(array, (spacing,) * 3), folder / path)
                row[f"{role}_{modality}"] = path.as_posix()
        rows.append(row)
    pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
    outcome = {"response": ["no", "yes", "no"], "survival_time": [10, 20.5, 30]}
    outcome |= {"survival_event": [1, 0, 1], "age": [50, 60, 70]}
    patients = pd.DataFrame({"patient_id": list(RADII)} | outcome)
    patients.to_csv(folder / "endpoints.csv", index=False)
    (folder / "cohort.yml").write_text(CARD, "utf-8")
    return folder


@pytest.fixture
def tiny_folder(_tiny_folder, tmp_path):
    """Return a folder of three patients with spheres that a test may change."""
    return Path(shutil.copytree(_tiny_folder, tmp_path / "cohort"))


@pytest.fixture
def tiny_cohort(_tiny_folder):
    """Return three patients with spheres of 3, 4 and 5 voxels, CT and PET."""
    from radlatent.cohort import Cohort

    return Cohort.read(_tiny_folder)
