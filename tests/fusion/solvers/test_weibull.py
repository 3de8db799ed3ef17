import numpy as np
from lifelines import WeibullAFTFitter

from radlatent.fusion.solvers.weibull import WeibullRegression


def _standardize(X):
    return (X - X.mean()) / X.std(ddof=0)


def test_weibull_without_penalty_is_that_of_lifelines(rossi):
    X, y = _standardize(rossi[0]), rossi[1]
    fitter = WeibullAFTFitter().fit(X.assign(t=y["time"], e=y["event"]), "t", "e")
    model = WeibullRegression(penalty_strength=0).fit(X, y)
    expected = fitter.params_["lambda_"].drop("Intercept")[X.columns]
    # tolerances of both solvers
    np.testing.assert_allclose(-model.coef_ / model.shape_, expected, atol=1e-4)
    found = model.predict_survival(X[:5], [10, 52])
    expected = fitter.predict_survival_function(X[:5], times=[10, 52]).T
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_weibull_stays_finite_where_columns_fit_all_times(simulate):
    X, y = simulate(40, 300, 1.0)
    # lifelines, whose penalty does not grow with the shape, does not converge here
    assert WeibullRegression(penalty_strength=0.1).fit(X, y).shape_ < 10
