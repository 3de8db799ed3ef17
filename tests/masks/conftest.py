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


@pytest.fixture(scope="session")
def hearts_corrector(tmp_path_factory, drawn):
    """Return a corrector of drawn hearts, its cohort, and the patients left out.

    ``cohort`` (60 patients), ``fitted`` (56 of them), ``corrector``, ``rest`` (the
    cohort of the other four).
    """
    torch = pytest.importorskip("torch")
    from radlatent.cohort import Cohort
    from radlatent.masks import Frame, MaskCorrector, ShapePrior
    from radlatent.nn import Training

    folder = tmp_path_factory.mktemp("corrector") / "hearts"
    drawn.write_hearts(folder, N_HEARTS, np.random.default_rng(6))
    cohort = Cohort.read(folder)
    patients = sorted(set(cohort.cases["patient_id"]))
    fitted, others = patients[:N_FITTED], patients[N_FITTED:]
    prior = ShapePrior(
        n_latent=8,
        n_degraded=4,
        frame=Frame(size=32, spacing_mm=4.0),
        training=Training(epochs=12, minibatch_size=64, learning_rate=4e-3),
    )
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        # drawn hearts are compact: few of four bad copies have a Dice below 0.7
        patch.setattr("radlatent.masks.corrector._WORSE", 12)
        corrector = MaskCorrector(prior).fit(cohort, patients=fitted)
    torch.set_num_threads(before)
    rest = replace(
        cohort,
        cases=cohort.cases[cohort.cases["patient_id"].isin(others)],
        patients=cohort.patients.loc[others],
    )
    return SimpleNamespace(cohort=cohort, fitted=fitted, corrector=corrector, rest=rest)
