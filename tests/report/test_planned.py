import numpy as np
import pandas as pd
import pytest

from radlatent import figures
from radlatent.figures.style.look import PALETTE
from radlatent.report.planned import FITS_PHONE_IN, planned


def curves(n):
    """Return ROC curves of n models."""
    x = np.array([0, 0.5, 1])
    about = {"blocks": "all", "endpoint": "response", "class": "yes"}
    about |= {"false_positive_rate": x, "true_positive_rate": x, "lower": x, "upper": x}
    parts = [pd.DataFrame(about).assign(model=f"m{k}") for k in range(n)]
    return pd.concat(parts, ignore_index=True)


def drawn(n):
    """Return file, number of Axes, colors and caption of each figure of n models."""
    data, found = {"roc": curves(n)}, []
    for file, figure, caption, rows in planned(data):
        size = figure.size(rows)
        assert (size[0] == FITS_PHONE_IN) == (n > 4)
        with figures.canvas(size) as (drawing, ax):
            figure.draw(ax, rows, data)
            colors = [line.get_color() for a in drawing.axes for line in a.lines]
            colors = [color for color in colors if color != "0.6"]
            found.append((file, len(drawing.axes), colors, caption))
    return found


def test_four_models_are_overlaid():
    ((file, n_axes, colors, caption),) = drawn(4)
    assert (file, n_axes, colors) == ("roc", 1, list(PALETTE[:4]))
    assert "Models" not in caption


@pytest.mark.parametrize(
    ("n", "panels"), [(5, [5]), (6, [6]), (7, [4, 3]), (9, [6, 3]), (12, [6, 6])]
)
def test_more_models_have_a_panel_each_six_in_a_figure(n, panels):
    found = drawn(n)
    assert [n_axes for _, n_axes, _, _ in found] == panels
    several = len(panels) > 1
    files = [f"roc_{k + 1}" if several else "roc" for k in range(len(panels))]
    assert [file for file, *_ in found] == files
    colors = [color for _, _, some, _ in found for color in some]
    assert colors == [PALETTE[k % len(PALETTE)] for k in range(n)]
    told = [
        f"Models {1 + k * panels[0]} to " in found[k][3] for k in range(len(panels))
    ]
    assert all(told) == several


def test_groups_of_patients_are_drawn_in_a_line_each_as_wide_as_a_telephone():
    about = {"model": "m", "blocks": "all", "endpoint": "response", "level": 0.95}
    about |= {"metric": "auc", "estimate": 0.7, "lower": 0.6, "upper": 0.8}
    about |= {"n": 40, "n_events": 20, "p_adjusted": 0.4, "method": ""}
    groups = ["all patients", "A", "a scanner with a name that is long"]
    rows = pd.DataFrame({"subgroup": ["all patients", "site", "site"], "group": groups})
    rows = rows.assign(**about, p_interaction=[np.nan, 0.2, 0.2])
    other = rows.assign(metric="calibration_intercept")
    table = pd.concat([rows, other], ignore_index=True)
    ((file, figure, _, drawn_rows),) = planned({"subgroups": table})
    assert (file, set(drawn_rows["metric"])) == ("subgroups_1", {"auc"})
    size = figure.size(drawn_rows)
    assert size[0] == FITS_PHONE_IN
    with figures.canvas(size) as (_, ax):
        figure.draw(ax, drawn_rows, {})
        labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert labels[:3] == ["all patients, 40 (20)", "site (p = 0.2)", "A, 40 (20)"]
    assert labels[3].endswith("\n40 (20)")
