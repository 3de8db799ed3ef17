import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from radlatent import figures
from radlatent.errors import SchemaError
from radlatent.figures.masks.slices import structure_colors

STRUCTURES = {"RV": 1, "MYO": 2, "LV": 3}


@pytest.fixture
def labels():
    labels = np.zeros((60, 80), int)
    labels[20:30, 30:50] = 2
    labels[23:27, 36:44] = 3
    labels[20:30, 24:30] = 1
    return labels


def overlay(image, labels, ax=None, spacing_mm=(1.5, 1.5), **kwargs):
    ax = plt.figure().gca() if ax is None else ax
    settings = {"structures": STRUCTURES, "spacing_mm": spacing_mm} | kwargs
    return figures.mask_overlay(image, labels, ax, **settings)


def contours(ax):
    """Label to the collection of its lines."""
    lines = [c for c in ax.collections if isinstance(c, LineCollection)]
    return {line.get_label(): line for line in lines}


def test_contours_lie_at_the_edges_of_their_structures(labels):
    _, ax = plt.subplots()
    assert overlay(None, labels, ax) is ax
    drawn = contours(ax)
    assert list(drawn) == ["RV", "MYO", "LV"]
    points = np.concatenate(drawn["LV"].get_segments())
    # pixels 36 to 43 and 23 to 26; a fifth of a pixel inside of their edges
    np.testing.assert_allclose(points.min(axis=0), [35.7, 22.7], atol=1e-9)
    np.testing.assert_allclose(points.max(axis=0), [43.3, 26.3], atol=1e-9)
    assert len(drawn["MYO"].get_segments()) == 2  # its outside, and around the LV


def test_contours_close_where_a_structure_is_cut_by_the_border():
    labels = np.zeros((4, 4), int)
    labels[:2] = 1
    (line,) = contours(overlay(None, labels))["RV"].get_segments()
    assert line[0].tolist() == line[-1].tolist()


def test_the_picture_is_cropped_to_the_structures_with_a_margin(labels, rng):
    image = rng.normal(size=labels.shape)
    ax = overlay(image, labels, spacing_mm=(3.0, 1.5))
    # 15 mm are 5 rows and 10 columns
    assert ax.get_xlim() == (13.5, 59.5)
    assert ax.get_ylim() == (34.5, 14.5)
    (picture,) = ax.images
    # other limits show more
    np.testing.assert_array_equal(picture.get_array(), image)
    window = np.percentile(image[15:35, 14:60], [0.5, 99.5])
    np.testing.assert_allclose(picture.get_clim(), window, atol=1e-12)
    assert ax.get_aspect() == 2


def test_the_crop_holds_reference_and_offending_pixels_and_stays_inside(labels):
    far = np.zeros_like(labels)
    far[58, 40] = 1
    for name in ("reference", "offending"):
        ax = overlay(None, labels, **{name: far})
        assert ax.get_ylim() == (59.5, 9.5)


def test_without_a_structure_the_whole_slice_is_drawn(labels):
    ax = overlay(np.ones(labels.shape), 0 * labels)
    assert ax.get_xlim() == (-0.5, 79.5)
    assert all(not line.get_segments() for line in contours(ax).values())


def test_a_structure_keeps_its_color_and_the_order_of_names_decides_it(labels):
    colors = structure_colors(STRUCTURES)
    drawn = contours(overlay(None, labels, reference=labels))
    for name, color in colors.items():
        assert to_hex(drawn[name].get_color()[0]) == color.lower()
        assert to_hex(drawn[f"{name}, reference"].get_color()[0]) == color.lower()
    assert len(set(structure_colors("abcdef").values())) == 6
    only = contours(overlay(None, np.where(labels == 3, 3, 0)))
    assert to_hex(only["LV"].get_color()[0]) == colors["LV"].lower()


def test_reference_contours_are_dashed_and_thinner(labels):
    drawn = contours(overlay(None, labels, reference=np.roll(labels, 2, axis=1)))
    mask, reference = drawn["LV"], drawn["LV, reference"]
    assert reference.get_linewidth()[0] < mask.get_linewidth()[0]
    assert reference.get_linestyle()[0][1] is not None
    assert mask.get_linestyle()[0][1] is None
    ends = [np.concatenate(c.get_segments())[:, 0].max() for c in (mask, reference)]
    assert ends[1] - ends[0] == pytest.approx(2)


def test_offending_pixels_are_filled_squares(labels):
    bad = np.zeros(labels.shape, bool)
    bad[21, 33] = bad[22, 40] = True
    ax = overlay(None, labels, offending=bad)
    (squares,) = [c for c in ax.collections if isinstance(c, PolyCollection)]
    centers = [path.vertices[:4].mean(axis=0).tolist() for path in squares.get_paths()]
    assert centers == [[33, 21], [40, 22]]
    assert squares.get_label() == "breaks a rule"
    kept = overlay(None, labels, offending=np.zeros_like(bad))
    assert not [c for c in kept.collections if isinstance(c, PolyCollection)]


def test_the_scale_bar_is_as_long_as_it_says(labels):
    ax = overlay(None, labels, spacing_mm=(1.0, 2.0))
    (bar,) = [a for a in ax.artists if isinstance(a, AnchoredSizeBar)]
    # 40 of 80 columns are drawn, 80 mm; at most 35 % of them
    assert bar.txt_label.get_text() == "20 mm"
    (line,) = bar.size_bar.get_children()
    assert line.get_width() == 10


def test_sides_are_said_and_keywords_reach_the_picture(labels, rng):
    image = rng.normal(size=labels.shape)
    ax = overlay(image, labels, cmap="gray_r", vmin=-1, vmax=1)
    assert "Radiological convention" in ax.get_xlabel()
    assert ax.images[0].get_cmap().name == "gray_r"
    assert ax.images[0].get_clim() == (-1, 1)
    handles, names = ax.get_legend_handles_labels()
    assert names == ["RV", "MYO", "LV"]
    assert len(handles) == 3


def test_bad_arrays_are_refused(labels):
    with pytest.raises(SchemaError, match=r"\[7\] are none of structures"):
        overlay(None, np.where(labels == 3, 7, labels))
    with pytest.raises(SchemaError, match=r"\[6, 9\] are none of structures"):
        overlay(None, labels, reference=3 * labels)
    with pytest.raises(SchemaError, match=r"'image': \(60, 79\)"):
        overlay(np.ones((60, 79)), labels)
    with pytest.raises(SchemaError, match="Give one slice"):
        overlay(None, labels[None])
    with pytest.raises(SchemaError, match="give two above 0"):
        overlay(None, labels, spacing_mm=(1.5, 0.0))
    with pytest.raises(SchemaError, match="give two above 0"):
        overlay(None, labels, spacing_mm=(10.0, 1.5, 1.5))
