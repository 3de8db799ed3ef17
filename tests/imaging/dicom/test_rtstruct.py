"""RTSTRUCT files as planning systems write them."""

import numpy as np
import pytest

from radlatent.errors import DicomError
from radlatent.imaging.dicom.rtstruct import read_structures

SQUARE = np.array([(0, 0, 5), (4, 0, 5), (4, 4, 5), (0, 4, 5)], float)


@pytest.fixture
def read(write):
    return lambda made: read_structures(write.save([made], "rt") / "rt000.dcm")


def test_names_and_contours_are_those_of_the_file(write, read):
    regions = {"GTV, left [cm^3]": [SQUARE, SQUARE + 1], "never drawn": []}
    found = read(write.structures(regions)).regions
    assert [region.name for region in found] == [*regions]
    assert [len(region.contours) for region in found] == [2, 0]
    np.testing.assert_allclose(found[0].contours[1], SQUARE + 1)


def test_points_enclose_nothing(write, read):
    contours = [("POINT", SQUARE[:1]), SQUARE, ("OPEN_PLANAR", SQUARE), SQUARE[:2]]
    [region] = read(write.structures({"iso": contours})).regions
    assert len(region.contours) == 1
    assert region.notes == (
        "1 contours of POINT enclose nothing",
        "1 contours of OPEN_PLANAR enclose nothing",
        "1 contours of fewer than three points enclose nothing",
    )


def test_a_file_says_what_it_was_drawn_on(write, read):
    slices = write.slices(np.zeros((2, 4, 4), np.int16))
    found = read(write.structures({"a": [SQUARE]}, on=slices))
    assert found.series == {slices[0].SeriesInstanceUID}
    assert found.frames == {slices[0].FrameOfReferenceUID}


def test_coordinates_that_are_none_are_refused(write, read):
    made = write.structures({"GTV": [SQUARE]})
    del made.ROIContourSequence[0].ContourSequence[0].ContourData[-1]
    with pytest.raises(DicomError, match="contour of 'GTV' has coordinates"):
        read(made)
