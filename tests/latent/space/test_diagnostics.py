import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.latent.results import Posterior, Reconstructions, Traversal
from radlatent.latent.space import diagnostics as diag


def of(originals, decoded, masks=None):
    """Reconstructions of rows of pixels, one channel."""
    originals, decoded = (
        np.asarray(a, dtype=np.float32)[:, None, None, :] for a in (originals, decoded)
    )
    masks = np.ones_like(originals) if masks is None else np.asarray(masks, "float32")
    index = pd.Index([f"c{i}" for i in range(len(originals))], name="case_id")
    cases = pd.DataFrame({"patient_id": [f"p{i}" for i in range(len(index))]}, index)
    masks = masks.reshape(originals.shape)
    return Reconstructions(cases, originals, decoded, masks, ("pet",))


def posterior(mean, log_variance):
    index = pd.Index([f"c{i}" for i in range(len(mean))], name="case_id")
    columns = [f"pet_latent__mu{i:03d}" for i in range(np.shape(mean)[1])]
    tables = (
        pd.DataFrame(np.asarray(v, float), index, columns) for v in (mean, log_variance)
    )
    return Posterior(*tables)


def test_extremes_go_from_both_ends_inward():
    table = diag.extremes(of([[0]] * 5, [[3], [1], [4], [0], [2]]), 2)
    assert table["case_id"].tolist() == ["c3", "c1", "c2", "c0"]
    assert table["extreme"].tolist() == ["best", "best", "worst", "worst"]
    assert table["place"].tolist() == [1, 2, 1, 2]
    assert table["mean_squared_error"].tolist() == [0, 1, 16, 9]
    with pytest.raises(SchemaError, match="give 1 to 2"):
        diag.extremes(of([[0]] * 5, [[0]] * 5), 3)


def test_ratios_are_of_mean_errors():
    splits = {
        "train": of([[0]] * 2, [[1], [3]]),
        "test": of([[0]] * 3, [[4], [0], [np.sqrt(14)]]),
    }
    table = diag.compare_errors(splits).set_index("split")
    assert table.loc["train", "mean"] == 5
    assert table.loc["test", "mean"] == pytest.approx(10, rel=1e-6)  # float32
    assert table["ratio"].tolist() == pytest.approx([1, 2], rel=1e-6)
    assert table.loc["test", "median"] == pytest.approx(14, rel=1e-6)
    assert table.loc["test", ["n_cases", "n_patients"]].tolist() == [3, 3]
    with pytest.raises(SchemaError, match="'validation'"):
        diag.compare_errors(splits, reference="validation")


class Inputs:
    log = True


class Encoder:
    inputs = Inputs()
    statistics_ = pd.DataFrame({"mean": [0.5], "standard_deviation": [2.0]})


class Prepared:
    def __init__(self, cases, images):
        self.cases, self.images = cases, images


def test_intensities_are_restored_through_the_logarithm():
    suv = np.array([[0.0, 3.0], [8.0, 1.0]])
    standardized = (np.log1p(suv) - 0.5) / 2
    found = of(standardized, standardized * 0, [[1, 1], [1, 0]])
    back = diag.restore_intensities(found, Encoder())
    assert back.originals[:, 0, 0] == pytest.approx(suv * [[1, 1], [1, 0]], rel=1e-6)
    inside = np.expm1(0.5)
    assert back.decoded[:, 0, 0] == pytest.approx(inside * np.array([[1, 1], [1, 0]]))
    assert back.unit == "the unit of the images"


def test_what_was_clipped_comes_back_from_the_prepared_cases():
    found = of([[0.0]], [[0.0]])
    raw = np.log1p(np.full((1, 1, 1, 1), 99.0))
    back = diag.restore_intensities(found, Encoder(), Prepared(found.cases, raw))
    assert back.originals.item() == pytest.approx(99)
    other = Prepared(found.cases.rename({"c0": "c9"}), raw)
    with pytest.raises(SchemaError, match="other cases"):
        diag.restore_intensities(found, Encoder(), other)


def test_units_tell_activity_and_the_kl_of_each():
    found = posterior([[1, 0.0], [-1, 0.1]], [[0, 0], [0, np.log(4)]])
    table = diag.latent_units(found)
    assert table["variance_of_mean"].tolist() == pytest.approx([1, 0.0025])
    assert table["active"].tolist() == [True, False]
    # KL(N(m, v) || N(0, 1)) = (m^2 + v - 1 - log v) / 2
    second = (0 + (0.01 + 4 - 1 - np.log(4)) / 2) / 2
    assert table["kl"].tolist() == pytest.approx([0.5, second])


def test_correlations_of_means_and_of_log_variances_over_active_units():
    # first and second in one order, third too still to be active, unlike both
    mean = [[1, 1, 0.02], [2, 4, 0.01], [3, 9, 0.03], [4, 16, 0.0]]
    log_variance = [[1, 4, 0], [2, 3, 0], [3, 2, 1], [4, 1, 1]]
    table = diag.mean_absolute_correlation(posterior(mean, log_variance))
    value = table.set_index(["parameter", "units"])["mean_absolute_correlation"]
    # Spearman of 1 2 3 4 and 3 2 4 1: 1 - 6 (4 + 0 + 1 + 9) / 60
    assert value["mean", "all"] == pytest.approx((1 + 0.4 + 0.4) / 3)
    assert value["mean", "active"] == pytest.approx(1)
    assert value["log_variance", "active"] == pytest.approx(1)
    assert table["n_features"].tolist() == [3, 2, 3, 2]
    assert table["n_pairs"].tolist() == [3, 1, 3, 1]


def test_independent_features_have_the_expected_correlation(rng):
    found = posterior(rng.normal(size=(100, 40)), rng.normal(size=(100, 40)))
    table = diag.mean_absolute_correlation(found)
    # 780 pairs of SD about 0.06: a standard error of 0.002
    values = table["mean_absolute_correlation"]
    assert values.tolist() == pytest.approx(table["expected_if_independent"], abs=0.01)


def test_one_active_unit_has_no_pair():
    table = diag.mean_absolute_correlation(
        posterior([[1, 0], [2, 0], [3, 0]], [[0, 0], [1, 0], [2, 0]])
    )
    assert table["mean_absolute_correlation"].isna().all()
    assert table["n_pairs"].tolist() == [0] * 4


@pytest.fixture
def history():
    rows = {"epoch": [0, 0, 1], "split": ["train", "validation", "train"]}
    rows |= {"total": [3.0, 4.0, 2.0], "kl": [1.0, 1.5, 0.5], "seconds": [9, 9, 9]}
    rows |= {"mutual_information": [0.2, None, 0.1]}
    return pd.DataFrame(rows | {"discriminator_accuracy": [0.75, 0.6, None]})


def test_learning_curve_has_a_row_a_part_that_was_measured(history):
    table = diag.learning_curve(history)
    assert len(table) == 8
    assert set(table["part"]) == {"total", "kl", "mutual_information"}
    row = table[(table["part"] == "kl") & (table["split"] == "validation")]
    assert row["value"].tolist() == [1.5]


def test_accuracy_stands_beside_chance(history):
    table = diag.discriminator_accuracy(history)
    assert table["accuracy"].tolist() == [0.75, 0.6]
    assert set(table["chance"]) == {0.5}
    with pytest.raises(SchemaError, match="kappa"):
        diag.discriminator_accuracy(history.drop(columns="discriminator_accuracy"))


def test_results_draw_themselves_on_the_given_axes():
    import matplotlib.pyplot as plt

    found = of([[0, 1], [1, 2], [5, 0]], [[0, 1], [0, 2], [2, 1]])
    steps = np.array([-1.0, 1.0])
    along = Traversal(
        np.zeros((1, 2, 1, 4, 4)), steps, ("pet_latent__mu000",), ("pet",)
    )
    for result, options in ((found, {"n": 1}), (along, {})):
        _, ax = plt.subplots()
        assert result.plot(ax, **options) is ax
        assert ax.images
