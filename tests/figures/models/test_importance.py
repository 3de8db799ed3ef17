import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from radlatent.errors import SchemaError
from radlatent.figures.models.importance import importance, metric_by_patients
from radlatent.figures.style.look import PALETTE


@pytest.fixture
def losses():
    frame = {"name": ["ct", "pet"], "block": ["ct", "pet"], "loss": [0.3, 0.02]}
    frame |= {"lower": [0.1, 0.03], "upper": [0.4, 0.1]}
    return pd.DataFrame(frame | {"metric": "auc", "level": 0.95})


def test_bars_and_spread_are_cells_of_the_table(losses):
    _, ax = plt.subplots()
    assert importance(losses, ax) is ax
    assert [bar.get_width() for bar in ax.patches] == [0.3, 0.02]
    assert [to_hex(b.get_facecolor()).upper() for b in ax.patches] == [*PALETTE[:2]]
    arms = ax.collections[0].get_segments()
    # 0.3 - 0.1 and back is rounded twice; a mean outside of the spread has no arm there
    np.testing.assert_allclose(arms[0][:, 0], [0.1, 0.4], atol=1e-12)
    np.testing.assert_allclose(arms[1][:, 0], [0.02, 0.1], atol=1e-12)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["ct", "pet"]
    assert ax.yaxis_inverted()
    spread = "middle 95% over folds and permutations"
    assert ax.get_xlabel() == f"Loss of AUC when permuted\n{spread}"


def test_shapley_values_have_no_spread_and_keywords_reach_the_bars():
    frame = {"name": ["ct__a", "ct__b"], "block": "ct", "mean_absolute": [1.0, 0.5]}
    ax = importance(pd.DataFrame(frame), color="red")
    assert [bar.get_width() for bar in ax.patches] == [1.0, 0.5]
    assert not ax.collections
    assert to_hex(ax.patches[0].get_facecolor()) == "#ff0000"
    assert "SHAP" in ax.get_xlabel()


@pytest.fixture
def curve():
    frame = {"n_train": [20, 40] * 2, "metric": ["auc", "auc", "brier", "brier"]}
    frame |= {"estimate": [0.7, 0.8, 0.2, 0.1], "lower": [0.6, 0.7, 0.1, 0.05]}
    frame |= {"upper": [0.8, 0.9, 0.3, 0.2], "level": 0.95}
    return pd.DataFrame(frame).assign(model="cox", blocks="all", endpoint="os")


def test_curve_draws_the_first_metric_or_that_asked_for(curve):
    _, ax = plt.subplots()
    assert metric_by_patients(curve, ax) is ax
    (line,) = ax.lines
    assert line.get_xydata().tolist() == [[20, 0.7], [40, 0.8]]
    band = ax.collections[0].get_paths()[0].vertices.tolist()
    assert [20, 0.6] in band
    assert [40, 0.9] in band
    assert ax.get_ylabel() == "AUC, out of fold (95% interval)"
    other = metric_by_patients(curve, plt.figure().gca(), metric="brier", color="red")
    assert other.lines[0].get_ydata().tolist() == [0.2, 0.1]
    assert other.lines[0].get_color() == "red"
    both = pd.concat([curve, curve.assign(model="aft")])
    assert len(metric_by_patients(both, plt.figure().gca()).lines) == 2
    with pytest.raises(SchemaError, match="'auc', 'brier'"):
        metric_by_patients(curve, metric="f1")
