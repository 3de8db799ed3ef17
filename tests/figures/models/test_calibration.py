import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from radlatent.figures.models.calibration import calibration

KEYS = {"model": "logistic", "blocks": "all", "endpoint": "response", "class": "yes"}


def curve(**changes):
    """Return a table of two bins, of 30 and 10 patients, and a smooth curve."""
    bins = pd.DataFrame(
        {"curve": "bins", "predicted": [0.2, 0.7], "observed": [0.1, 0.8]}
        | {"lower": [0.05, 0.5], "upper": [0.3, 0.95], "count": [30.0, 10.0]}
    )
    x = np.array([0.1, 0.5, 0.9])
    smooth = {"curve": "smooth", "predicted": x, "observed": x**2}
    smooth |= {"lower": x**3, "upper": x, "count": np.nan}
    return pd.concat([bins, pd.DataFrame(smooth)]).assign(**(KEYS | changes))


def test_calibration_draws_the_table_on_the_given_axes():
    _, ax = plt.subplots()
    table = curve()
    assert calibration(table, ax) is ax
    diagonal, smooth = ax.lines[0], ax.lines[1]
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    np.testing.assert_array_equal(smooth.get_xdata(), [0.1, 0.5, 0.9])
    np.testing.assert_array_equal(smooth.get_ydata(), np.square([0.1, 0.5, 0.9]))
    points = ax.collections[-1]
    assert points.get_offsets().tolist() == [[0.2, 0.1], [0.7, 0.8]]
    assert points.get_sizes()[0] == pytest.approx(3 * points.get_sizes()[1])
    (arms,) = (c for c in ax.collections if hasattr(c, "get_segments"))
    # an arm is a difference in float64
    np.testing.assert_allclose(
        [segment[:, 1] for segment in arms.get_segments()], [[0.05, 0.3], [0.5, 0.95]]
    )
    assert ax.get_xlabel() == "Predicted probability of class 'yes'"
    assert ax.get_ylabel() == "Observed share of patients"


def test_legend_names_what_differs_and_counts_patients():
    table = pd.concat([curve(), curve(**{"class": "no"})])
    ax = calibration(table, linewidth=4)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["yes (n = 40)", "no (n = 40)"]
    assert ax.get_xlabel() == "Predicted probability"
    assert ax.lines[1].get_linewidth() == 4
