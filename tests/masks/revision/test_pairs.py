"""Pairs of masks: a network's and a reader's, of cases that match."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from radlatent.cohort.labels import mask_files
from radlatent.errors import CohortError, GeometryError, LeakageError, SchemaError
from radlatent.imaging import Volume, read_volume, write_volume
from radlatent.masks.revision.pairs import (
    read_image,
    read_pair,
    real_pairs,
    refuse_seen,
)


def test_are_matched_by_case(network, reader, drawn):
    found = real_pairs(network, reader)
    assert len(found) == 24
    pair = read_pair(found[3])
    assert pair.patient == "s03"
    np.testing.assert_array_equal(pair.mask.array, drawn.moved(pair.truth.array, 3))


def test_labels_are_looked_up_by_name(network, reader, tmp_path):
    pair = real_pairs(network, reader)[0]
    truth = read_pair(pair).truth
    table = np.array([0, 9, 7, 5], np.uint8)
    path = tmp_path / "other.nii.gz"
    write_volume(truth.volume.with_array(table[truth.array]), path)
    other = replace(pair[1], path=str(path), structures={"RV": 9, "MYO": 7, "LV": 5})
    again = read_pair((pair[0], other))
    np.testing.assert_array_equal(again.truth.array, truth.array)
    assert again.truth.structures == again.mask.structures


def test_another_grid_or_structure_is_refused(network, reader, tmp_path):
    mask, truth = real_pairs(network, reader)[0]
    volume = read_pair((mask, truth)).truth.volume
    path = tmp_path / "shorter.nii.gz"
    write_volume(replace(volume, array=volume.array[:2]), path)
    with pytest.raises(GeometryError):
        read_pair((mask, replace(truth, path=str(path))))
    with pytest.raises(SchemaError, match="its reference"):
        read_pair((mask, replace(truth, structures={"RV": 1, "MYO": 2, "X": 3})))


def test_cases_without_a_reference_are_refused(network, reader, cohorts, part):
    with pytest.raises(CohortError, match="1 have no reference"):
        real_pairs(network, part(reader, [f"s{k:02d}" for k in range(23)]))
    with pytest.raises(CohortError, match="24 have no reference"):
        real_pairs(network, cohorts["reader", "other"])
    strange = replace(
        reader,
        cases=reader.cases.assign(patient_id=lambda t: "x" + t["patient_id"]),
    )
    with pytest.raises(CohortError, match="24 one of another patient"):
        real_pairs(network, strange)


def test_masks_of_a_network_that_knows_the_patients_are_refused(network, reader):
    files = mask_files(network)
    masks = pd.Series({case: f.path for f in files for case in f.case_ids})
    names = sorted({file.patient_id for file in files})

    def made_by(fitted, applied):
        whose = {"patients": fitted, "applied_to": applied}
        return {"cohort": reader.name} | whose

    crossed = [made_by(names[:12], names[12:]), made_by(names[12:], names[:12])]
    told = {"name": "U-Net", "fitted_on": crossed}
    fair = reader.with_masks(masks, name="net", made_by=told)
    assert len(real_pairs(fair, reader)) == 24
    told = {"name": "U-Net", "fitted_on": [made_by(names[:3], names)]}
    unfair = reader.with_masks(masks, name="net", made_by=told)
    with pytest.raises(LeakageError, match=r"masks of 3 patients .*\['s00', 's01'"):
        real_pairs(unfair, reader)


def test_image_is_that_of_the_case_on_the_grid_of_the_mask(network, reader, tmp_path):
    files = real_pairs(network, reader)[2]
    pair = read_pair(files)
    image = read_volume(files[0].image)
    np.testing.assert_array_equal(pair.image.array, image.array)
    assert read_pair(files, with_image=False).image is None
    assert read_image(None, pair.mask) is None
    # every second row and column: the others are interpolated
    spacing = (8.0, 4.0, 4.0)
    coarse = Volume(image.array[:, ::2, ::2], spacing, image.origin, image.direction)
    write_volume(coarse, tmp_path / "coarse.nii.gz")
    found = read_image(str(tmp_path / "coarse.nii.gz"), pair.mask)
    assert found.array.shape == image.array.shape
    np.testing.assert_allclose(found.array[:, ::2, ::2], coarse.array, rtol=1e-5)


def test_patients_of_any_fit_are_refused(network):
    fits = [
        {"cohort": "another", "patients": ["s01"]},
        {"cohort": network.card.label, "patients": ["s02", "s07"]},
    ]
    refuse_seen(fits, network, ["s01", "s03"])
    with pytest.raises(LeakageError, match=r"1 patients .*\(s07\).*its reviser"):
        refuse_seen(fits, network, ["s03", "s07"])
