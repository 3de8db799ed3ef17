import numpy as np
from lifelines.utils import concordance_index

from radlatent.fusion.solvers.concordance import concordance


def test_concordance_is_that_of_lifelines_with_ties(outcome):
    rng = np.random.default_rng(1)
    X = rng.integers(0, 6, (60, 9)).astype(float)
    y = outcome(rng.integers(1, 15, 60), rng.random(60) < 0.6)
    expected = [concordance_index(y["time"], -x, y["event"]) for x in X.T]
    # counts over a count
    np.testing.assert_allclose(concordance(X, y), expected, atol=1e-12)
