"""SEG files that highdicom wrote: frames by position, overlaps, what is missing."""

import highdicom
import numpy as np
import pytest
from pydicom.sr.codedict import codes

from radlatent.errors import GeometryError
from radlatent.imaging.dicom.seg import read_segments
from radlatent.imaging.dicom.stack import stack

SHAPE = (5, 8, 6)


@pytest.fixture
def slices(write):
    return write.slices(np.zeros(SHAPE, np.int16))


@pytest.fixture
def segments():
    """Two segments that overlap; the middle slice and the ends have none."""
    found = np.zeros((*SHAPE, 2), bool)
    found[1, 2:5, 1:4, 0] = found[3, 2:6, 1:4, 0] = True
    found[1, 3:6, 2:5, 1] = True
    return found


def write_seg(slices, array, kind="BINARY", **more):
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number + 1,
            segment_label=f"lesion, {number + 1}",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Lesion,
            algorithm_type="MANUAL",
        )
        for number in range(more.pop("n", 2))
    ]
    return highdicom.seg.Segmentation(
        source_images=slices,
        pixel_array=array,
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid=highdicom.UID(),
        series_number=2,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
        **more,
    )


@pytest.fixture
def grid(write, slices, headers_of):
    return stack(headers_of(write.save(slices))).grid


@pytest.fixture
def read(write, grid, tmp_path):
    def save(made):
        path = tmp_path / "seg.dcm"
        made.save_as(path)
        return read_segments(path)

    return save


def test_segments_that_overlap_stay_apart(slices, segments, read, grid):
    made = write_seg(slices, segments)
    # empty slices have no frame
    assert made.NumberOfFrames == 3
    found = read(made)
    assert [one.name for one in found.regions] == ["lesion, 1", "lesion, 2"]
    assert found.series == {slices[0].SeriesInstanceUID}
    for number, region in enumerate(found.regions):
        drawn = region.draw(grid)
        np.testing.assert_array_equal(drawn.array, segments[..., number])
        assert drawn.notes == ()


def test_frames_are_placed_by_position_though_it_drifts(slices, segments, read, grid):
    made = write_seg(slices, segments)
    frames = made.PerFrameFunctionalGroupsSequence
    for frame, drift in zip(frames, (0.03, -0.04, 0.02), strict=True):
        place = frame.PlanePositionSequence[0]
        x, y, z = place.ImagePositionPatient
        place.ImagePositionPatient = [x + drift / 10, y, round(float(z) + drift, 3)]
    drawn = read(made).regions[0].draw(grid)
    np.testing.assert_array_equal(drawn.array, segments[..., 0])


def test_labels_of_a_map_are_segments(slices, segments, read, grid):
    labels = np.where(segments[..., 1], 2, segments[..., 0]).astype(np.uint8)
    found = read(write_seg(slices, labels, "LABELMAP")).regions
    assert [one.name for one in found] == ["lesion, 1", "lesion, 2"]
    for number, region in enumerate(found, start=1):
        np.testing.assert_array_equal(region.draw(grid).array, labels == number)


def test_fractions_are_in_from_the_half_on(slices, read, grid):
    shares = np.zeros(SHAPE)
    shares[2, 3, :4] = [0.2, 0.45, 0.55, 1.0]
    [region] = read(write_seg(slices, shares, "FRACTIONAL", n=1)).regions
    drawn = region.draw(grid)
    assert np.argwhere(drawn.array).tolist() == [[2, 3, 2], [2, 3, 3]]
    assert drawn.notes == ("fractions of 255 are in from the half on",)


def test_a_part_of_the_slices_is_placed_where_it_lies(
    write, slices, segments, read, grid
):
    part = write.slices(np.zeros((3, 4, 4), np.int16), name="part")
    for k, one in enumerate(part):
        one.ImagePositionPatient = [-10 + 1, -20 + 2, 5 + 2 * (k + 1)]
    [region, _] = read(write_seg(part, segments[1:4, 2:6, 1:5])).regions
    np.testing.assert_array_equal(region.draw(grid).array, segments[..., 0])


@pytest.mark.parametrize("moved", [[0.3, 0, 0], [0, 0, 0.6]])
def test_what_lies_between_pixels_is_refused(write, segments, read, grid, moved):
    other = write.slices(np.zeros(SHAPE, np.int16), name="other")
    for one in other:
        one.ImagePositionPatient = list(np.add(one.ImagePositionPatient, moved))
    [region, _] = read(write_seg(other, segments)).regions
    with pytest.raises(GeometryError, match="does not lie on the pixels"):
        region.draw(grid)
