from sklearn.utils.estimator_checks import parametrize_with_checks

from radlatent.fusion.solvers.boosted import Boosted


@parametrize_with_checks([Boosted(n_estimators=5)])
def test_boosted_trees_are_an_estimator(estimator, check):
    check(estimator)
