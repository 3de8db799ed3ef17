"""Files that were damaged are read as they were, or refused by name and reason."""

import os
import resource
import shutil

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

import radlatent as rl
from radlatent.errors import DicomError, GeometryError, RadlatentError

SQUARE = np.array(
    [(-8.5, -17.5, 7), (-5.5, -17.5, 7), (-5.5, -14.5, 7), (-8.5, -14.5, 7)], float
)

#: More by hand: RADLATENT_MUTATIONS=5000 pytest -m slow tests/imaging/dicom
N_MUTATIONS = int(os.environ.get("RADLATENT_MUTATIONS", "500"))


@pytest.fixture
def folder(write, rng):
    slices = write.slices(rng.integers(-1000, 1000, (4, 8, 6)).astype(np.int16))
    write.save(slices, "ct")
    labels = np.zeros((4, 8, 6), np.uint8)
    labels[1:3, 2:5, 1:4] = 1
    write.save([segmentation(slices, labels)], "seg")
    write.save(write.pet(rng.integers(0, 99, (4, 6, 6)).astype(np.int16)), "pet")
    return write.save([write.structures({"GTV": [SQUARE]}, on=slices)], "rt")


def segmentation(slices, labels):
    described = highdicom.seg.SegmentDescription(
        segment_number=1,
        segment_label="node",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type="MANUAL",
    )
    return highdicom.seg.Segmentation(
        source_images=slices,
        pixel_array=labels,
        segmentation_type="BINARY",
        segment_descriptions=[described],
        series_instance_uid=highdicom.UID(),
        series_number=2,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
    )


def flipped(content, rng):
    for place in rng.integers(132, len(content), rng.integers(1, 9)):
        content[place] ^= 1 << rng.integers(0, 8)
    return content


def cut(content, rng):
    return content[: rng.integers(0, len(content))]


def overwritten(content, rng):
    start, n = rng.integers(132, len(content)), rng.integers(1, 40)
    content[start : start + n] = rng.bytes(len(content[start : start + n]))
    return content


def without_a_tag(path, rng):
    made = pydicom.dcmread(path)
    tags = [element.tag for element in made]
    del made[tags[rng.integers(0, len(tags))]]
    made.save_as(path)


def mutate(path, rng):
    kind = rng.integers(0, 4)
    if kind == 3:
        without_a_tag(path, rng)
        return
    content = bytearray(path.read_bytes())
    path.write_bytes([flipped, cut, overwritten][kind](content, rng))


@pytest.mark.long
def test_a_damaged_file_is_read_rightly_or_refused(folder, tmp_path):
    right = {one.modality: one.stack.grid for one in rl.read_dicom(folder)}
    refused, unnamed, memory = 0, [], peak_mib()
    for seed in range(N_MUTATIONS):
        rng = np.random.default_rng(seed)
        place = tmp_path / "mutated"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(folder, place)
        paths = sorted(place.iterdir())
        path = paths[rng.integers(0, len(paths))]
        mutate(path, rng)
        found = rl.read_dicom(place)
        refused += path.as_posix() in found.left_out["path"].tolist()
        for one in found:
            try:
                volume = one.read()
                masks = one.masks()
            except (DicomError, GeometryError) as error:
                refused += 1
                unnamed += [(seed, str(error))] * (".dcm: " not in str(error))
                continue
            shapes = {mask.array.shape for mask in masks.values()}
            assert shapes <= {volume.array.shape}
            check_place(volume, right[one.modality], seed)
    assert unnamed == []
    # the files have 10 kB: nothing is taken from what a header claims
    assert peak_mib() - memory < 300
    assert refused > N_MUTATIONS // 10


@pytest.mark.long
def test_a_damaged_file_is_converted_or_left_out(folder, write, tmp_path, caplog):
    [pet] = [one for one in rl.read_dicom(folder) if one.modality == "pet"]
    drawn = write.structures({"P": [SQUARE]}, SOPInstanceUID="1.2.3.4")
    of_pet = drawn.StructureSetROISequence[0]
    of_pet.ReferencedFrameOfReferenceUID = drawn.FrameOfReferenceUID
    [item] = drawn.ROIContourSequence[0].ContourSequence
    image = pydicom.Dataset()
    image.ReferencedSOPInstanceUID = pet.tag("SOPInstanceUID")
    item.ContourImageSequence = [image]
    write.save([drawn], "rt_of_pet")
    told = {"whole": 0, "in part": 0, "refused": 0}
    for seed in range(1000, 1000 + N_MUTATIONS // 10):
        rng = np.random.default_rng(seed)
        place, out = tmp_path / "mutated", tmp_path / f"cohort{seed}"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(folder, place)
        for path in rng.choice(sorted(place.iterdir()), 1 + seed % 3, replace=False):
            mutate(path, rng)
        try:
            done = rl.convert(rl.read_dicom(place), out, jobs=1)
        except RadlatentError:
            told["refused"] += 1
            continue
        told["whole" if done.failures.empty else "in part"] += 1
        rl.check(out).raise_if_any()
    assert min(told.values()) > 0, told


def peak_mib():
    # bytes on macOS would pass for less
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def check_place(volume, grid, seed):
    """Slices lie on those of the series as it was, or a part of them."""
    np.testing.assert_allclose(volume.direction, grid.direction, atol=1e-4)
    place = grid.to_index([volume.origin])[0]
    n = len(volume.array)
    last = place[0] + (n - 1) * volume.spacing_mm[0] / grid.spacing_mm[0]
    np.testing.assert_allclose(place, [np.rint(place[0]), 0, 0], atol=0.1, err_msg=seed)
    assert last == pytest.approx(np.rint(place[0]) + n - 1, abs=0.1), seed
    np.testing.assert_allclose(volume.spacing_mm[1:], grid.spacing_mm[1:], rtol=1e-6)
