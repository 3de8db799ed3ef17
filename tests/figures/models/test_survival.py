import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from radlatent.errors import SchemaError
from radlatent.figures.models.survival import (
    kaplan_meier,
    survival_auc,
    survival_calibration,
)
from radlatent.figures.style.look import PALETTE

KEYS = {"model": "cox", "blocks": "all", "endpoint": "survival"}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.fixture
def curves():
    parts = []
    for name, steps in (("low", [1, 0.9, 0.7]), ("high", [1, 0.5, 0.2])):
        part = KEYS | {"group": name, "time": [0.0, 100.0, 250.0], "survival": steps}
        part |= {"lower": np.array(steps) - 0.1, "upper": np.minimum(1, steps)}
        part |= {"at_risk": [20, 18, 7], "events": [0, 2, 3], "censored": [0, 0, 4]}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def test_kaplan_meier_draws_steps_and_marks_the_censored(curves):
    _, ax = plt.subplots()
    assert kaplan_meier(curves, ax) is ax
    low, lost, high, _ = ax.lines
    assert low.get_xydata().tolist() == [[0, 1], [100, 0.9], [250, 0.7]]
    assert low.get_drawstyle() == "steps-post"
    assert lost.get_xydata().tolist() == [[250, 0.7]]
    assert high.get_ydata().tolist() == [1, 0.5, 0.2]
    colors = tuple(to_hex(line.get_color()).upper() for line in (low, high))
    assert colors == PALETTE[:2]
    assert min(ax.collections[1].get_paths()[0].vertices[:, 1]) == pytest.approx(0.1)
    assert ax.get_xlabel() == "Time (days)"
    assert legend(ax) == ["low", "high"]


def test_kaplan_meier_writes_who_is_at_risk_below_the_ticks(curves):
    ax = kaplan_meier(curves)
    texts = {}
    for text in ax.texts:
        texts.setdefault(text.xyann[1], []).append(text.get_text())
    # ticks at 0, 50, 100, ..., 250 days; 18 are left until day 100, 7 until day 250
    row = ["20", "18", "18", "7", "7", "7"]
    assert ax.get_xticks().tolist() == [0, 50, 100, 150, 200, 250]
    assert list(texts.values()) == [["At risk"], ["low", *row], ["high", *row]]


@pytest.mark.parametrize(("p", "text"), [(0.0312, "p = 0.031"), (1e-9, "p < 0.001")])
def test_kaplan_meier_legend_carries_counts_and_log_rank(curves, p, text):
    groups = {"group": ["low", "high"], "n": [20, 20], "n_events": [5, 12], "p": p}
    ax = kaplan_meier(curves, groups=pd.DataFrame(groups))
    assert legend(ax) == ["low (5 events of 20)", "high (12 events of 20)"]
    title = ax.get_legend().get_title().get_text()
    assert title == f"Predicted risk, log-rank {text}"


def test_kaplan_meier_of_several_models_is_refused(curves):
    with pytest.raises(SchemaError, match=r"several .*'model'"):
        kaplan_meier(pd.concat([curves, curves.assign(model="forest")]))


def test_calibration_draws_groups_with_intervals():
    table = KEYS | {"predicted": [0.2, 0.6], "observed": [0.25, 0.5], "horizon": 730.0}
    table = pd.DataFrame(table | {"lower": [0.1, 0.4], "upper": [0.4, 0.8]})
    _, ax = plt.subplots()
    assert survival_calibration(table, ax) is ax
    points = next(line for line in ax.lines if line.get_marker() == "o")
    assert points.get_xydata().tolist() == [[0.2, 0.25], [0.6, 0.5]]
    arms = np.array(ax.collections[0].get_segments())[:, :, 1]
    # 0.25 - 0.15 and back is rounded twice in float64
    np.testing.assert_allclose(arms, [[0.1, 0.4], [0.4, 0.8]], atol=1e-12)
    assert ax.get_xlabel() == "Predicted risk of an event until day 730"
    assert ax.get_xlim() == ax.get_ylim()


def test_auc_by_day_draws_each_model_with_its_band_and_chance():
    table = KEYS | {"time": [100.0, 400.0], "auc": [0.7, 0.8]}
    table = pd.DataFrame(table | {"lower": [0.6, 0.7], "upper": [0.8, 0.9]})
    _, ax = plt.subplots()
    both = pd.concat([table, table.assign(model="forest", auc=0.6)])
    assert survival_auc(both, ax) is ax
    chance, cox, forest = ax.lines
    assert chance.get_ydata() == [0.5, 0.5]
    assert cox.get_xydata().tolist() == [[100, 0.7], [400, 0.8]]
    assert forest.get_ydata().tolist() == [0.6, 0.6]
    assert {0.6, 0.7, 0.8, 0.9} <= set(ax.collections[0].get_paths()[0].vertices[:, 1])
    assert legend(ax) == ["cox", "forest"]
    assert ax.get_xlabel() == "Time (days)"
