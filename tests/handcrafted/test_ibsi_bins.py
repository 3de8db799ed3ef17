"""Gray levels for IBSI start at the range of the image, and only for that image."""

import numpy as np
import pytest

from radlatent.handcrafted import read_settings
from radlatent.handcrafted.lesion import engine_of

LOW, WIDTH = -33.0, 7.0


@pytest.fixture
def content():
    return {
        "setting": {"binWidth": WIDTH, "resegmentRange": [LOW, 150]},
        "imageType": {"Original": {}, "Wavelet": {}, "LoG": {"sigma": [2.0]}},
        "featureClass": {"firstorder": None},
        "ibsi": {},
    }


def entropy(values, start):
    """Return the entropy of bins of a fixed width from a start on."""
    edges = np.arange(start, values.max() + 2 * WIDTH, WIDTH)
    _, counts = np.unique(np.digitize(values, edges), return_counts=True)
    shares = counts / counts.sum()
    return -(shares * np.log2(shares)).sum()


@pytest.fixture
def images(monkeypatch, content, ellipsoid):
    """Return values of the engine, and the voxels that each image gives it."""
    from radlatent.handcrafted.engine import native

    seen, whole = {}, native.derived_images

    def record(ready, *options):
        for name, array in whole(ready, *options):
            seen[name] = array[ready.mask].astype(float)
            yield name, array

    monkeypatch.setattr(native, "derived_images", record)
    found = engine_of("radlatent").measure(*ellipsoid(), read_settings(content))
    assert len(seen) == 10
    return found, seen


def test_bins_of_the_original_start_at_the_range(images):
    found, seen = images
    values = seen["original"]
    multiple = values.min() - values.min() % WIDTH
    expected = entropy(values, LOW)
    # the two differ, or this would say nothing
    assert abs(expected - entropy(values, multiple)) > 1e-3
    name = "original_firstorder_Entropy"
    assert found[name] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("image", ["wavelet-LLH", "wavelet-LLL", "log-sigma-2-0-mm-3D"])
def test_bins_of_a_filtered_image_start_at_a_multiple_of_their_width(image, images):
    found, seen = images
    values = seen[image]
    expected = entropy(values, values.min() - values.min() % WIDTH)
    phase = LOW - WIDTH * np.ceil((LOW - values.min()) / WIDTH)
    for wrong in (LOW, phase):
        assert abs(expected - entropy(values, wrong)) > 1e-3
    name = f"{image}_firstorder_Entropy"
    assert found[name] == pytest.approx(expected, rel=1e-12)
