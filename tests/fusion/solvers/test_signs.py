import numpy as np
from sklearn.utils.estimator_checks import parametrize_with_checks

from radlatent.fusion.solvers.concordance import concordance
from radlatent.fusion.solvers.signs import SignAverage, SignAverageClassifier


def test_sign_average_is_icare(outcome):
    i = np.arange(12.0)
    X = np.c_[np.sin(i), np.cos(2 * i), i % 5, (i * 7) % 11]
    y = outcome([5, 3, 9, 2, 8, 7, 12, 1, 4, 11, 6, 10], i % 3 > 0)
    # icare 0.1.0: IcareSurvival(rho=None, sign_method="harrell")
    signs = [1, -1, -1, -1]
    risk = [0.533744, 0.671139, 1.078954, -1.627679, -1.303196, 0.774159]
    risk += [-1.062958, 0.17536, 1.267466, -1.321493, 0.01456, 0.799943]
    model = SignAverage(max_correlation=1.0).fit(X, y)
    assert np.sign(model.coef_).tolist() == signs
    # icare computes with single precision
    np.testing.assert_allclose(model.predict(X), risk, atol=5e-6)


def test_sign_average_drops_what_is_like_a_stronger_column(simulate):
    X, y = simulate(200, 6, 2.0)
    X["alike"] = X.iloc[:, 0] + np.random.default_rng(1).normal(0, 0.3, 200)
    # the correlation of both is 0.96
    strength = abs(concordance(X.to_numpy()[:, [0, -1]], y) - 0.5)
    left = SignAverage(max_correlation=0.9).fit(X, y).coef_[[0, -1]] != 0
    assert left.tolist() == (strength == strength.max()).tolist()
    assert SignAverage(max_correlation=1.0).fit(X, y).coef_[-1] != 0
    assert (SignAverage(n_features=2).fit(X, y).coef_ != 0).sum() == 2


@parametrize_with_checks([SignAverageClassifier()])
def test_sign_average_of_classes_is_an_estimator(estimator, check):
    check(estimator)
