from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from radlatent import figures
from radlatent.errors import SchemaError

COLUMNS = [
    "ct_handcrafted__original_glcm_Contrast",
    "ct_latent__mu000",
    "ct_handcrafted__original_shape_MeshVolume",
    "ct_handcrafted__wavelet-LLH_glcm_Contrast__LV_ED",
]


@pytest.fixture
def features():
    values = np.random.default_rng(1).normal(size=(6, 4))
    values[2, 1] = np.nan
    values[:, 2] = 5.0
    index = pd.Index([f"p{i}" for i in range(6)], name="patient_id")
    return pd.DataFrame(values, index, COLUMNS)


def test_heatmap_draws_z_scores_by_block_and_family(features):
    _, ax = plt.subplots()
    assert figures.heatmap(features, ax) is ax
    drawn = ax.images[0].get_array()
    # glcm of both image types, shape, then the other block
    ordered = features.iloc[:, [0, 3, 2, 1]]
    spread = ordered.std(ddof=0).replace(0, 1)
    expected = (ordered - ordered.mean()) / spread
    # two ways to sum six numbers near one
    np.testing.assert_allclose(drawn.filled(np.nan), expected, atol=1e-12)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["glcm", "shape"]
    assert ax.images[0].get_clim() == (-3, 3)


def test_missing_values_are_gray(features):
    image = figures.heatmap(features).images[0]
    color = image.to_rgba(image.get_array())[2, 3]
    np.testing.assert_array_equal(color, [0.7, 0.7, 0.7, 1])


def test_rows_are_drawn_by_group(features):
    groups = pd.Series(list("bababa"), features.index)
    ax = figures.heatmap(features, groups=groups[::-1])
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels == ["a (n = 3)", "b (n = 3)"]
    first = ax.images[0].get_array().filled()[:, 0]
    z = features.iloc[:, 0] - features.iloc[:, 0].mean()
    assert np.sign(first).tolist() == np.sign(z.iloc[[1, 3, 5, 0, 2, 4]]).tolist()


def test_groups_must_cover_the_rows(features):
    with pytest.raises(SchemaError, match=r"lacks 1 rows .*'p0'"):
        figures.heatmap(features, groups=pd.Series("a", features.index[1:]))


def test_labels_of_642_columns_do_not_overlap():
    names = ["shape", "firstorder", "glcm", "glrlm", "glszm", "ngtdm", "gldm"]
    families = list(zip(names, [14, 18, 24, 16, 16, 5, 14], strict=True))
    columns = [
        f"{modality}_handcrafted__original_{family}_F{number}"
        for modality in ("ct", "pet", "t1", "t1c", "t2", "flair")
        for family, size in families
        for number in range(size)
    ]
    values = np.random.default_rng(1).normal(size=(10, len(columns)))
    index = pd.Index([f"p{i}" for i in range(10)], name="patient_id")
    figure, ax = plt.subplots(figsize=(6, 4))
    figures.heatmap(pd.DataFrame(values, index, columns), ax)
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    boxes = sorted(boxes, key=lambda box: box.x0)
    assert len(boxes) == 36
    # the line height includes room that rotated lower-case letters leave empty
    gaps = [b.x0 - a.x0 for a, b in pairwise(boxes)]
    assert min(gaps) > 5 * figure.dpi / 72
