"""A network trained for a few steps on drawn hearts, and hearts it has not seen."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Let torch use one thread: sums are the same, and workers share the cores."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small():
    """Return a function that makes an unfitted segmenter of 32 x 32 pixels."""
    pytest.importorskip("monai")
    from radlatent.nn import Training
    from radlatent.segmentation.patch import Patch
    from radlatent.segmentation.segmenter import Segmenter

    def make(**settings):
        training = Training(epochs=2, minibatch_size=6, learning_rate=5e-3)
        about = {"width": 4, "patch": Patch((32, 32), (4.0, 4.0)), "training": training}
        return Segmenter(**about | settings)

    return make


@pytest.fixture(scope="session")
def hearts(drawn, tmp_path_factory):
    """Return a cohort of four hearts, ``p00`` to ``p03``."""
    import numpy as np

    from radlatent.cohort import Cohort

    folder = tmp_path_factory.mktemp("hearts") / "hearts"
    return Cohort.read(drawn.write_hearts(folder, 4, np.random.default_rng(0)))


@pytest.fixture(scope="session")
def others(drawn, tmp_path_factory):
    """Return a cohort of two other hearts, ``q00`` and ``q01``."""
    import numpy as np

    from radlatent.cohort import Cohort

    folder = tmp_path_factory.mktemp("others") / "others"
    about = {"name": "others", "prefix": "q"}
    return Cohort.read(drawn.write_hearts(folder, 2, np.random.default_rng(1), **about))


@pytest.fixture(scope="session")
def segmenter(small, hearts):
    """Return a segmenter fitted on the hearts: 90 steps, which is little."""
    from radlatent.nn import Training

    long = Training(epochs=30, minibatch_size=4, learning_rate=1e-2)
    return small(training=long, width=8).fit(hearts)
