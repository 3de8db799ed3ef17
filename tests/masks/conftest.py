"""One thread, and a corrector that was fitted on drawn hearts."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

#: Patients in all; of the first 56, a third sets the gate, as few as it takes.
N_HEARTS, N_FITTED = 60, 56


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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark as slow what waits for the corrector: whoever is first fits it."""
    for item in items:
        if "hearts_corrector" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


def flaw(labels, kind):
    """Return a heart with a flaw in its middle slice."""
    labels = labels.copy()
    plane = labels[1]
    cavity = np.argwhere(plane == 3)
    row, column = np.rint(cavity.mean(axis=0)).astype(int)
    if kind == "hole":
        plane[row - 1 : row + 2, column - 1 : column + 2] = 0
    elif kind == "opened":
        plane[row - 3 : row + 4, cavity[:, 1].max() - 1 :] = 0
    elif kind == "speck":
        plane[2:4, -4:-2] = 3
    return labels


@pytest.fixture
def flawed(tmp_path, drawn):
    """Return a cohort of other people: a sound heart, a hole, an open ring, a speck."""
    from radlatent.cohort import Cohort

    kinds = ["", "hole", "opened", "speck"]
    folder = drawn.write_hearts(
        tmp_path / "flawed",
        len(kinds),
        np.random.default_rng(7),
        name="flawed",
        prefix="q",
        change=lambda labels, number: flaw(labels, kinds[number]),
    )
    return Cohort.read(folder)


@pytest.fixture(scope="session")
def fit_hearts():
    """Return a function: a cohort of hearts and patients in, a corrector out."""
    torch = pytest.importorskip("torch")
    from radlatent.masks import Frame, MaskCorrector, ShapePrior
    from radlatent.nn import Training

    prior = ShapePrior(
        n_latent=8,
        n_degraded=4,
        frame=Frame(size=32, spacing_mm=4.0),
        training=Training(epochs=12, minibatch_size=64, learning_rate=4e-3),
    )

    def fit(cohort, patients):
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        with pytest.MonkeyPatch.context() as patch:
            # drawn hearts are compact: few of three bad copies have a Dice below 0.7
            patch.setattr("radlatent.masks.correction.calibration._WORSE", 12)
            corrector = MaskCorrector(prior).fit(cohort, patients=patients)
        torch.set_num_threads(before)
        return corrector

    return fit


@pytest.fixture(scope="session")
def hearts(tmp_path_factory, drawn):
    """Return a cohort of drawn hearts, and who of them is fitted on.

    ``cohort`` (60 patients), ``fitted`` (56 of them), ``rest`` (the cohort of the other
    four).
    """
    from radlatent.cohort import Cohort

    folder = tmp_path_factory.mktemp("corrector") / "hearts"
    drawn.write_hearts(folder, N_HEARTS, np.random.default_rng(6))
    cohort = Cohort.read(folder)
    patients = sorted(set(cohort.cases["patient_id"]))
    others = patients[N_FITTED:]
    rest = replace(
        cohort,
        cases=cohort.cases[cohort.cases["patient_id"].isin(others)],
        patients=cohort.patients.loc[others],
    )
    return SimpleNamespace(cohort=cohort, fitted=patients[:N_FITTED], rest=rest)


@pytest.fixture(scope="session")
def hearts_corrector(hearts, fit_hearts):
    """Return a ``corrector``, beside the cohort of `hearts` that it was fitted on."""
    corrector = fit_hearts(hearts.cohort, hearts.fitted)
    return SimpleNamespace(**vars(hearts), corrector=corrector)


@pytest.fixture
def corrector(hearts_corrector):
    return hearts_corrector.corrector


@pytest.fixture(scope="session")
def cohorts(drawn, tmp_path_factory):
    """Return masks of a network and a reader, of 24 patients, and of 4 others."""
    from radlatent.cohort import Cohort

    folder, made = tmp_path_factory.mktemp("calibration"), {}
    for name, prefix, n in (("set", "s", 24), ("other", "o", 4)):
        for kind, change in (("network", drawn.moved), ("reader", None)):
            rng = np.random.default_rng(len(name))
            known = {"name": f"{kind}_{name}", "prefix": prefix, "change": change}
            path = drawn.write_hearts(folder / f"{kind}_{name}", n, rng, **known)
            made[kind, name] = Cohort.read(path)
    return made


@pytest.fixture
def network(cohorts):
    return cohorts["network", "set"]


@pytest.fixture
def reader(cohorts):
    return cohorts["reader", "set"]


@pytest.fixture(scope="session")
def part():
    """Return a function: a cohort and patients in, the cohort of these out."""

    def of(cohort, patients):
        cases = cohort.cases[cohort.cases["patient_id"].isin(patients)]
        return replace(cohort, cases=cases, patients=cohort.patients.loc[patients])

    return of
