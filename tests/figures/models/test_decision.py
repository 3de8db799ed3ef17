import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.figures.models.decision import decision_curve


@pytest.fixture
def benefit():
    t = np.array([0, 0.2, 0.4])
    parts = []
    for model, gain in (("a", 0.0), ("b", 0.05)):
        values = {"model": 0.3 - t / 2 + gain, "all": 0.3 - t, "none": 0 * t}
        for strategy, value in values.items():
            table = pd.DataFrame({"threshold": t, "net_benefit": value})
            table = table.assign(lower=value - 0.1, upper=value + 0.1)
            parts.append(table.assign(model=model, strategy=strategy))
    return pd.concat(parts).assign(blocks="all", endpoint="response")


def test_decision_curve_draws_each_model_and_both_defaults_once(benefit):
    _, ax = plt.subplots()
    assert decision_curve(benefit, ax) is ax
    lines = {line.get_label(): line.get_ydata().tolist() for line in ax.lines}
    assert list(lines) == ["treat all", "treat none", "a", "b"]
    assert lines["treat none"] == [0, 0, 0]
    np.testing.assert_allclose(lines["treat all"], [0.3, 0.1, -0.1], atol=1e-12)
    np.testing.assert_allclose(lines["b"], [0.35, 0.25, 0.15], atol=1e-12)
    bands = [band.get_paths()[0].vertices[:, 1] for band in ax.collections]
    assert len(bands) == 2
    assert bands[1].max() == pytest.approx(0.45)
    # the highest is 0.45, where a quarter of it below zero is shown
    assert ax.get_ylim() == pytest.approx((-0.1125, 0.4725))
    assert ax.get_xlim() == (0, 0.4)
    assert "Threshold probability" in ax.get_xlabel()


def test_two_endpoints_in_one_drawing_are_refused(benefit):
    both = pd.concat([benefit, benefit.assign(endpoint="relapse")])
    with pytest.raises(SchemaError, match="'relapse'"):
        decision_curve(both)
    one = decision_curve(benefit[benefit["model"] == "b"], linewidth=3)
    assert [line.get_label() for line in one.lines][2:] == ["b"]
    assert one.lines[2].get_linewidth() == 3
