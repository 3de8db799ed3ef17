from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from radlatent import figures
from radlatent.errors import SchemaError


def traversal(images, channels, spacing_mm=None):
    names = tuple(f"pet_latent__mu{i:03d}" for i in range(len(images)))
    steps = np.linspace(-3, 3, images.shape[1])
    return SimpleNamespace(
        images=images,
        steps=steps,
        names=names,
        channels=channels,
        spacing_mm=spacing_mm,
    )


def found(originals, decoded, masks=None, **more):
    cases = pd.DataFrame(index=[f"c{i}" for i in range(len(originals))])
    axes = tuple(range(1, originals.ndim))
    errors = pd.Series(((originals - decoded) ** 2).mean(axis=axes), cases.index)
    masks = np.ones_like(originals) if masks is None else masks
    settings = {"channels": ("pet",), "spacing_mm": None, "unit": "SUV"} | more
    return SimpleNamespace(
        cases=cases,
        originals=originals,
        decoded=decoded,
        masks=masks,
        errors=errors,
        **settings,
    )


def without_gaps(composed):
    """The rows and columns of a picture that are not all NaN."""
    composed = np.ma.filled(composed.astype(float), np.nan)
    rows, columns = (~np.isnan(composed).all(axis=a) for a in (1, 0))
    return composed[rows][:, columns]


def test_a_row_is_a_feature_and_a_column_a_step(rng):
    images = rng.normal(size=(2, 3, 1, 4, 5))
    _, ax = plt.subplots()
    assert figures.traversal(traversal(images, ("coronal",)), ax) is ax
    drawn = without_gaps(ax.images[0].get_array())
    assert drawn.shape == (8, 15)
    assert np.array_equal(drawn[4:, 10:], images[1, 2, 0])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["mu000", "mu001"]
    assert [text.get_text() for text in ax.get_xticklabels()] == [
        "-3.0",
        "+0.0",
        "+3.0",
    ]
    # a tick is at the middle of its picture, a gap of one pixel between two
    assert ax.get_yticks().tolist() == [1.5, 6.5]


def test_channels_stand_side_by_side(rng):
    images = rng.normal(size=(1, 2, 2, 4, 5))
    ax = figures.traversal(traversal(images, ("coronal", "sagittal")))
    drawn = without_gaps(ax.images[0].get_array())
    assert np.array_equal(drawn[:, :10], np.hstack(images[0, 0]))
    assert "anterior is on the left" in ax.get_xlabel()
    assert ax.images[0].get_cmap().name == "gray_r"


@pytest.mark.parametrize(
    ("plane", "expected"),
    [
        ("axial", lambda volume: volume[1]),
        ("coronal", lambda volume: volume[::-1, 2]),
        ("sagittal", lambda volume: volume[::-1, :, 3]),
    ],
)
def test_a_volume_shows_its_middle_slice_head_up(rng, plane, expected):
    images = rng.normal(size=(1, 1, 1, 3, 4, 6))
    ax = figures.traversal(traversal(images, ("ct",)), plane=plane)
    drawn = without_gaps(ax.images[0].get_array())
    assert np.array_equal(drawn, expected(images[0, 0, 0]))
    assert f"Middle {plane} slice (radiological convention" in ax.get_xlabel()
    assert ax.images[0].get_cmap().name == "gray"


def test_the_scale_bar_is_as_long_as_it_says(rng):
    images = rng.normal(size=(1, 2, 1, 10, 40, 50))
    told = traversal(images, ("ct",), spacing_mm=(6.0, 3.0, 2.0))
    ax = figures.traversal(told)  # columns are x: 50 pixels of 2 mm
    bar, text = ax.texts
    assert text.get_text() == "50 mm"
    assert bar.xyann[0] - bar.xy[0] == 25
    assert ax.get_aspect() == 3  # rows are z: 6 mm


def test_chosen_features_are_drawn_and_unknown_ones_refused(rng):
    told = traversal(rng.normal(size=(3, 2, 1, 4, 4)), ("pet",))
    ax = figures.traversal(told, names=["pet_latent__mu002"])
    assert np.array_equal(
        without_gaps(ax.images[0].get_array())[:, :4], told.images[2, 0, 0]
    )
    with pytest.raises(SchemaError, match="mu009"):
        figures.traversal(told, names=["pet_latent__mu009"])
    with pytest.raises(SchemaError, match="'oblique'"):
        figures.traversal(told, plane="oblique")


def test_best_cases_come_first_then_the_worst(rng):
    originals = rng.normal(size=(5, 1, 4, 4))
    decoded = originals + np.array([3, 1, 4, 0, 2.0])[:, None, None, None]
    _, ax = plt.subplots()
    assert figures.reconstructions(found(originals, decoded), ax, n=2) is ax
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert labels == ["c3\n0", "c1\n1", "c2\n16", "c0\n9"]
    upper, lower = (without_gaps(image.get_array()) for image in ax.images)
    assert np.array_equal(upper[:4, :4], originals[3, 0])
    assert np.allclose(upper[4:, 8:12], decoded[2, 0])
    assert np.allclose(lower, np.repeat([0, 1, 4, 3], 4))


def test_differences_are_on_a_scale_as_wide_as_that_of_the_images(rng):
    originals = rng.normal(size=(2, 1, 4, 4))
    ax = figures.reconstructions(found(originals, originals + 1), n=1, vmin=0, vmax=8)
    assert ax.images[0].get_clim() == (0, 8)
    assert ax.images[1].get_clim() == (-4, 4)


def test_nothing_is_shown_outside_of_the_mask():
    originals, decoded = np.zeros((2, 1, 2, 2)), np.ones((2, 1, 2, 2))
    masks = np.zeros_like(originals)
    masks[..., 0] = 1
    ax = figures.reconstructions(found(originals, decoded, masks), n=1)
    upper, lower = (without_gaps(image.get_array()) for image in ax.images)
    # two cases of one column each: the other column is gone with the gaps
    assert upper.tolist() == [[0, 0]] * 2 + [[1, 1]] * 2
    assert lower.tolist() == [[1, 1]] * 2


def test_cases_can_be_named(rng):
    originals = rng.normal(size=(3, 1, 4, 4))
    told = found(originals, originals)
    ax = figures.reconstructions(told, case_ids=["c2"])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["c2\n0"]
    with pytest.raises(SchemaError, match=r"\['c7'\]"):
        figures.reconstructions(told, case_ids=["c7"])
    with pytest.raises(SchemaError, match="give 1 to 1"):
        figures.reconstructions(told, n=2)
