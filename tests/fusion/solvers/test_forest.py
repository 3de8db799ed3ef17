import numpy as np
import pytest
from lifelines import NelsonAalenFitter
from lifelines.datasets import load_gbsg2
from lifelines.statistics import logrank_test
from sklearn.model_selection import train_test_split

from radlatent.fusion.solvers.forest import SurvivalForest, log_rank_scores, mortality


def test_sum_of_scores_is_what_the_log_rank_test_of_a_group_counts(outcome):
    # remission under 6-mercaptopurine and placebo (Freireich et al. 1963), in weeks
    drug = [
        6,
        6,
        6,
        6,
        7,
        9,
        10,
        10,
        11,
        13,
        16,
        17,
        19,
        20,
        22,
        23,
        25,
        32,
        32,
        34,
        35,
    ]
    relapse = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    none = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
    y = outcome(np.array(drug + none, float), relapse + [1] * 21)
    scores = log_rank_scores(y)
    # R's survdiff(Surv(time, cens) ~ treat, MASS::gehan): 9 observed of 19.3 expected
    assert scores[:21].sum() == pytest.approx(9 - 19.3, abs=0.05)
    assert scores.sum() == pytest.approx(0, abs=1e-12)
    # the chi-squared of the exact variance, 16.8, beside that of permutations
    exact = logrank_test(drug, none, relapse, [1] * 21).test_statistic
    permuted = scores[:21].sum() ** 2 / (scores @ scores * 21 * 21 / (42 * 41))
    assert exact == pytest.approx(16.79, abs=0.005)
    assert 0.9 * exact < permuted < exact


def test_mortality_of_a_leaf_sums_its_hazard_over_the_days_of_events(simulate):
    _, y = simulate(60, 8, 0.0)
    y["time"] = np.ceil(y["time"] / 100)  # with ties
    drawn = np.random.default_rng(0).integers(60, size=60)
    leaves = np.where(y["time"][drawn] % 2 == 0, 2, 4)
    found = mortality(leaves, y[drawn], y, 5)
    days = np.unique(y["time"][y["event"]])
    assert (found[[0, 1, 3]] == 0).all()
    for leaf in (2, 4):
        own = y[drawn][leaves == leaf]
        fitter = NelsonAalenFitter(nelson_aalen_smoothing=False)
        fitter.fit(own["time"], own["event"])
        hazard = fitter.cumulative_hazard_at_times(days)
        assert found[leaf] == pytest.approx(hazard.sum(), rel=1e-12)


def test_who_is_in_leaves_without_events_has_the_lowest_risk(simulate):
    X, y = simulate(60, 8, 0.0)
    y["event"] &= X.iloc[:, 0] > 0
    model = SurvivalForest(5, max_features=None).fit(X, y)
    risk = model.predict(X)
    assert np.isfinite(risk).all()
    assert (risk[X.iloc[:, 0] < -1] == risk.min()).all()


@pytest.mark.slow
def test_concordance_on_breast_cancer_is_that_of_scikit_survival(outcome):
    table = load_gbsg2()
    y = outcome(table.pop("time"), table.pop("cens") == 1)
    for column in ("horTh", "menostat", "tgrade"):
        table[column] = table[column].astype("category").cat.codes
    train, test = train_test_split(np.arange(len(y)), test_size=0.25, random_state=20)
    model = SurvivalForest(1000, min_samples_leaf=15, random_state=20)
    model.fit(table.iloc[train], y[train])
    # its user guide, "Using Random Survival Forests": score 0.67596960 of 1000 trees
    # with leaves of 15 on the same patients
    assert model.score(table.iloc[test], y[test]) == pytest.approx(0.676, abs=0.01)
