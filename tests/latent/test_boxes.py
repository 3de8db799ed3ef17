"""The box that a cohort needs."""

import numpy as np
import pytest

pytest.importorskip("torch")

import radlatent as rl
from radlatent.errors import SchemaError
from radlatent.latent.boxes import propose_box

BOX = rl.Box(("ct",), size_mm=(12, 20, 20), spacing_mm=(2, 2, 2))


@pytest.fixture
def proposal(tiny_cohort):
    return rl.LatentEncoder(BOX, n_latent=2).box_for(tiny_cohort, share=1.0)


def test_a_box_for_all_holds_all(proposal, tiny_cohort):
    # spheres whose outer centers lie 5, 7 and 9 mm from the middle
    np.testing.assert_allclose(proposal.cases["z_mm"], [10, 14, 18])
    assert proposal.box.size_mm == (20, 20, 20)
    assert proposal.box.spacing_mm == (2, 2, 2)
    rows = proposal.summary.set_index("box")
    assert rows.loc["proposed", "share_larger"] == 0
    assert rows.loc["now", "share_larger"] == pytest.approx(2 / 3)
    assert rows.loc["now", "largest_scale"] == pytest.approx(1.5)
    assert rows.loc["holds 75%", "share_larger"] <= 0.25
    volume = proposal.cases["volume_mm3"].min()
    assert rows.loc["proposed", "fewest_voxels"] == round(volume / 8)
    encoder = rl.LatentEncoder(proposal.box, n_latent=2)
    assert (
        rl.PcaEncoder(proposal.box)
        .box_for(tiny_cohort)
        .summary.iloc[-1]["share_larger"]
        == 0
    )
    assert encoder.inputs.modalities == ("ct",)
    assert "0.0% of 3 lesions are larger" in repr(proposal)


def test_few_voxels_make_it_coarser(tiny_cohort):
    found = propose_box(tiny_cohort.located, BOX, share=1.0, n_voxels=5).box
    assert max(found.size) <= 5
    assert found.spacing_mm == (4, 4, 4)
    assert min(found.size_mm) >= 18


def test_the_share_is_of_lesions_that_fit_along_all_axes(tiny_cohort):
    found = propose_box(tiny_cohort.located, BOX, share=0.6)
    row = found.summary.set_index("box").loc["proposed"]
    assert row["share_larger"] <= 0.4


def test_masks_that_cannot_be_read_are_told(tiny_cohort):
    cases = tiny_cohort.located
    cases.loc["p2", "mask_ct"] = "/nowhere.nii.gz"
    found = propose_box(cases, BOX)
    assert found.failures["case_id"].tolist() == ["p2"]
    assert list(found.cases.index) == ["p1", "p3"]
    cases["mask_ct"] = "/nowhere.nii.gz"
    with pytest.raises(SchemaError, match="no mask could be read"):
        propose_box(cases, BOX)


@pytest.mark.parametrize(
    ("about", "message"),
    [({"share": 0}, "share is 0"), ({"n_voxels": 3}, "n_voxels 3")],
)
def test_what_cannot_be_asked_for_is_refused(tiny_cohort, about, message):
    with pytest.raises(SchemaError, match=message):
        propose_box(tiny_cohort.located, BOX, **about)


def test_projections_have_no_box(tiny_cohort):
    whole = rl.LatentEncoder(rl.Projections("pet", (64, 48)), n_latent=2)
    with pytest.raises(SchemaError, match="not a Box"):
        whole.box_for(tiny_cohort)
