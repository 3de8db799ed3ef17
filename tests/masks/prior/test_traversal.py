"""A prior whose latents are ordered along attributes, trained for some seconds."""

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import matplotlib.pyplot as plt  # noqa: E402

from radlatent.cohort import simulate_hearts  # noqa: E402
from radlatent.cohort.labels import LabelMap  # noqa: E402
from radlatent.errors import RadlatentError, SchemaError  # noqa: E402
from radlatent.imaging import Volume  # noqa: E402
from radlatent.masks import latent_correlations, shape_attributes  # noqa: E402
from radlatent.masks.prior.frame import Frame, place, to_frame  # noqa: E402
from radlatent.masks.prior.shape_prior import ShapePrior  # noqa: E402
from radlatent.masks.prior.traversal import traverse  # noqa: E402
from radlatent.masks.sequences.consistency import (  # noqa: E402
    reference_limits,
    sequence_consistency,
)
from radlatent.masks.sequences.ejection import ejection_fraction  # noqa: E402
from radlatent.masks.sequences.redraw import (  # noqa: E402
    latent_frames,
    redraw_sequence,
)
from radlatent.nn import Ordering, Training  # noqa: E402

FRAME = Frame(size=32, spacing_mm=4.0, anchor="image")
ORDERED = {"attributes": "apical_7", "ordering": Ordering(gamma=20, delta=3)}


def sequences(made, which):
    return {
        name: LabelMap(Volume(frames, (1, 1, 1)), made.structures, name)
        for name, frames in getattr(made, which).items()
    }


@pytest.fixture(scope="module")
def made():
    return simulate_hearts(n_patients=8, n_frames=10, random_state=5)


@pytest.fixture(scope="module")
def prior(made):
    found = sequences(made, "reference")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    fitted = ShapePrior(
        n_latent=10,
        n_degraded=0,
        beta=0.5,
        frame=FRAME,
        training=Training(epochs=60, minibatch_size=20, learning_rate=5e-3),
        **ORDERED,
    ).fit([*found.values()], patients=[*found])
    torch.set_num_threads(before)
    return fitted


@pytest.mark.slow
def test_latents_are_ordered_along_their_attributes(prior, made):
    frames = np.concatenate([*made.reference.values()])
    attributes = shape_attributes(frames, structures=made.structures)
    found = latent_correlations(prior.latents_, attributes).to_numpy()
    own = np.diag(found[:7])
    # the width of the base and the walls are a pixel or two at 4 mm
    assert (own > 0.6).all()
    assert own[0] > 0.9


@pytest.mark.slow
def test_a_traversal_moves_its_attribute(prior):
    found = traverse(prior, "lv_area", steps=5)
    assert found.labels.shape == (5, 32, 32)
    area = found.table["lv_area"]
    assert area.iloc[-1] > 1.1 * area.iloc[0]
    assert found.summary.loc["lv_area", "monotone"] > 0.8
    assert found.table["latent"].is_monotonic_increasing
    axes = found.plot(plt.figure().gca())
    assert "lv_area" in axes.get_xlabel()
    assert prior.latent_names_[6:8] == ["epi_center_y", "z07"]
    residual = traverse(prior, "z07", start=np.zeros(10), steps=3)
    assert len(residual.table) == 3
    with pytest.raises(SchemaError, match="lv_aera"):
        traverse(prior, "lv_aera")


@pytest.mark.slow
def test_the_state_of_an_ordered_prior_comes_back(prior, made):
    record, tensors = prior.state()
    again = ShapePrior.of(record, tensors)
    assert again.ordering == prior.ordering
    assert again.latent_names_ == prior.latent_names_
    mask = sequences(made, "reference")["H0003"]
    assert np.array_equal(again.encode(mask).mean, prior.encode(mask).mean)


@pytest.mark.slow
def test_a_sequence_is_made_consistent_and_tells_its_ejection_fraction(prior, made):
    references = {
        name: latent_frames(one, prior)
        for name, one in sequences(made, "reference").items()
    }
    limits = reference_limits(references).loc[prior.attribute_names]
    mask = sequences(made, "masks")["H0001"]
    options = {"prior": prior, "limits": limits}
    found = redraw_sequence(mask, "all", **options)
    again = {name: latent_frames(mask, prior) for name in ["raw"]}
    raw = sequence_consistency(again, limits)["n_inconsistent"].sum()
    smooth = sequence_consistency({"new": latent_frames(found.mask, prior)}, limits)
    assert raw > 0
    # masks are encoded again, which is not quite the latent that was decoded
    assert smooth["n_inconsistent"].sum() < raw
    assert found.mask.array.shape == mask.array.shape
    assert set(found.ejection.index) == {"before", "after"}
    for method in ("decode", "attributes"):
        assert redraw_sequence(mask, method, **options).after.shape == (10, 7)
    kept = redraw_sequence(mask, "keep_ef", **options, fixed=[0, 4])
    alone = redraw_sequence(mask, "decode", **options)
    assert np.array_equal(kept.mask.array[[0, 4]], alone.mask.array[[0, 4]])


def test_the_gaussian_takes_out_a_frame_that_jumps(made):
    labels = np.repeat(made.reference["H0002"][:1], 40, axis=0)
    still = LabelMap(Volume(labels, (1, 1, 1)), made.structures)
    broken = still.array.copy()
    broken[20] = np.roll(broken[20], 9, axis=1)
    found = redraw_sequence(still.with_array(broken), "gaussian")
    assert np.array_equal(found.mask.array, still.array)
    assert found.before.loc[20, "epi_center_x"] > found.after.loc[20, "epi_center_x"]
    assert found.ejection["after"] == 0


def test_a_redrawn_sequence_tells_its_ejection_fraction_at_the_fixed_frames(made):
    mask = sequences(made, "reference")["H0002"]
    broken = mask.array.copy()
    columns = np.nonzero(broken[7] == made.structures["LV"])[1]
    broken[7, :, : int(np.quantile(columns, 0.7))] = 0
    found = redraw_sequence(mask.with_array(broken), "gaussian", fixed=[0, 4])
    for when in ("before", "after"):
        expected = ejection_fraction(getattr(found, when), ed=0, es=4)
        assert found.ejection[when] == expected
    assert ejection_fraction(found.before) > found.ejection["before"] + 0.1


def test_a_heart_that_reaches_out_of_the_frame_is_refused():
    frame = Frame(size=16, spacing_mm=4.0, anchor="image")
    labels = np.zeros((3, 100, 100), np.uint8)
    labels[:, 20:80, 40:60] = 1
    labels[1, 2:4, 2:4] = 1  # a false island
    about = {"structures": {"LV": 1}, "spacing_mm": (1, 1, 1)}

    def encode(mask):
        placement = place(mask.array, frame, **about)
        return SimpleNamespace(placement=placement, mean=np.zeros((3, 1)))

    stub = SimpleNamespace(encode=encode, latent_names_=["z00"])
    mask = LabelMap(Volume(labels, (1, 1, 1)), about["structures"])
    assert len(latent_frames(mask, stub)) == 3
    labels = labels.copy()
    labels[2, 15:80, 40:60] = 1
    message = "frame is 64 mm; the heart reaches beyond, it needs 69 mm"
    with pytest.raises(SchemaError, match=message):
        latent_frames(mask.with_array(labels), stub)


def test_what_a_sequence_needs_is_told(made):
    mask = sequences(made, "reference")["H0002"]
    with pytest.raises(SchemaError, match=r"attributes='apical_7'.*limits"):
        redraw_sequence(mask, "all")
    with pytest.raises(SchemaError, match="method is 'median'"):
        redraw_sequence(mask, "median")
    with pytest.raises(SchemaError, match=r"fixed are \[0, 10\].*0 to 9"):
        redraw_sequence(mask, "gaussian", fixed=[0, 10])


def test_settings_that_cannot_be_ordered_are_told(made):
    masks = [*sequences(made, "reference").values()][:2]
    for about, message in (
        ({"attributes": "apical_7", "n_latent": 4}, "7 are ordered"),
        ({"attributes": "lesion"}, "of volumes"),
        ({"attributes": "apical_7", "model": "nvae"}, "VAE alone"),
        ({"attributes": "apical_7", "ordering": Ordering(gamma=0)}, "gamma is 0"),
        ({"frame": Frame(anchor="middle")}, "anchor is 'middle'"),
    ):
        with pytest.raises(RadlatentError, match=message):
            ShapePrior(**about).fit(masks)


def test_a_frame_of_the_image_does_not_follow_the_heart(made):
    labels = made.reference["H0001"][:1]
    about = {"structures": made.structures, "spacing_mm": (1, 1, 1)}
    moved = np.roll(labels, 8, axis=2)
    maps = [
        to_frame(one, place(one, FRAME, **about), [1, 2, 3]) for one in (labels, moved)
    ]
    assert torch.allclose(maps[0].roll(2, 3), maps[1])
