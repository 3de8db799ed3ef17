"""Plausible alternatives: other contours, as valid as the mask, by seed."""

import copy
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")


from radlatent.cohort.labels import LabelMap, mask_files, read_label_map  # noqa: E402
from radlatent.errors import SchemaError  # noqa: E402
from radlatent.imaging import Volume  # noqa: E402
from radlatent.masks.correction import alternatives as module  # noqa: E402
from radlatent.masks.correction.alternatives import alternatives_of  # noqa: E402
from radlatent.masks.overlap.dice import label_dice  # noqa: E402
from radlatent.masks.prior.frame import Frame  # noqa: E402
from radlatent.masks.prior.models import NVAESettings  # noqa: E402
from radlatent.masks.prior.shape_prior import ShapePrior  # noqa: E402
from radlatent.masks.rules.rules import broken_rules, rule_set  # noqa: E402
from radlatent.nn import Hierarchy, Training  # noqa: E402

RULES = rule_set("short_axis_16")


@pytest.fixture
def masks(flawed):
    return [read_label_map(file.path, file.structures) for file in mask_files(flawed)]


def n_broken(mask):
    known = {"structures": mask.structures, "spacing_mm": mask.spacing_mm[1:]}
    return broken_rules(mask.array, RULES, **known).sum(axis=1)


def test_differ_from_the_mask_and_from_each_other(corrector, masks):
    drawn = alternatives_of(masks[0], corrector, n=4)
    arrays = [masks[0].array, *(each.array for each in drawn)]
    for k, one in enumerate(arrays):
        for other in arrays[k + 1 :]:
            assert 0.6 < label_dice(one, other) < 1
    for each in drawn:
        assert each.array.dtype == masks[0].array.dtype
        assert each.structures == masks[0].structures


def test_break_no_more_rules_than_the_mask(corrector, masks):
    for mask in masks:
        for other in alternatives_of(mask, corrector, n=3):
            assert (n_broken(other) <= n_broken(mask)).all()


def test_draw_that_breaks_rules_is_shortened_at_last_to_nothing(
    corrector, masks, monkeypatch
):
    whole = alternatives_of(masks[0], corrector, n=1)[0]
    assert (whole.array != masks[0].array).any()
    asked = []

    def broken(planes, rules, **_):
        # the mask is judged first, all slices at once; then draw by draw
        asked.append(len(planes))
        return np.full((len(planes), 16), len(asked) > 1)

    monkeypatch.setattr(module, "broken_rules", broken)
    found = alternatives_of(masks[0], corrector, n=1)[0]
    np.testing.assert_array_equal(found.array, masks[0].array)
    # three shares of each of three slices
    assert asked == [3, *9 * [1]]


def test_follow_their_seed(corrector, masks):
    one, two, three = (
        alternatives_of(masks[0], corrector, n=2, random_state=seed)
        for seed in (5, 5, 6)
    )
    for a, b, c in zip(one, two, three, strict=True):
        np.testing.assert_array_equal(a.array, b.array)
        assert (a.array != c.array).any()
    more = alternatives_of(masks[0], corrector, n=5, random_state=5)
    np.testing.assert_array_equal(more[1].array, one[1].array)


def test_slices_move_together(corrector, masks):
    # one slice three times: one move gives one contour
    array = np.repeat(masks[0].array[1:2], 3, axis=0)
    mask = masks[0].with_array(array)
    for other in alternatives_of(mask, corrector, n=3):
        assert (other.array[0] != array[0]).any()
        for plane in other.array[1:]:
            np.testing.assert_array_equal(plane, other.array[0])


def test_an_nvae_moves_all_its_groups(corrector, masks):
    hierarchy = Hierarchy(n_groups=(2, 1), n_channels=(8, 12), n_latent=(2, 3))
    other = copy.copy(corrector)
    other.prior_ = ShapePrior(
        model=NVAESettings(hierarchy),
        n_degraded=0,
        frame=Frame(size=32, spacing_mm=5.0),
        training=Training(epochs=1, minibatch_size=8),
    ).fit(masks)
    first, second = alternatives_of(masks[0], other, n=2)
    assert (first.array != second.array).any()
    assert (n_broken(first) <= n_broken(masks[0])).all()


def test_moves_are_those_of_the_posterior(corrector, masks):
    encoded = corrector.prior_.encode(masks[0])
    given, real = [], corrector.prior_.decode
    prior = copy.copy(corrector.prior_)
    prior.decode = lambda z: given.append(z) or real(z)
    other = copy.copy(corrector)
    other.prior_ = prior
    alternatives_of(masks[0], other, n=20, random_state=1)
    moves = (np.array(given[1:]) - encoded.mean) / encoded.scale
    # one normal vector a mask, the same in all its slices; float32
    np.testing.assert_allclose(moves[:, 1:], moves[:, :1].repeat(2, 1), atol=1e-3)
    expected = np.random.default_rng(1).standard_normal((20, 8))
    np.testing.assert_allclose(moves[:, 0], expected, atol=1e-3)


def test_values_of_labels_do_not_count(corrector, masks):
    other = {"MYO": 30, "LV": 4, "RV": 250}
    table = np.zeros(4, np.uint8)
    table[[masks[0].structures[name] for name in other]] = list(other.values())
    relabeled = LabelMap(masks[0].volume.with_array(table[masks[0].array]), other)
    one = alternatives_of(masks[0], corrector, n=1)[0]
    two = alternatives_of(relabeled, corrector, n=1)[0]
    np.testing.assert_array_equal(table[one.array], two.array)


def test_empty_mask_and_empty_slices(corrector, masks):
    empty = masks[0].with_array(np.zeros_like(masks[0].array))
    assert not alternatives_of(empty, corrector, n=1)[0].array.any()
    array = masks[0].array.copy()
    array[1] = 0
    found = alternatives_of(masks[0].with_array(array), corrector, n=1)[0]
    assert found.array.any(axis=(1, 2)).tolist() == [True, False, True]


def test_one_slice(corrector, masks):
    mask = LabelMap(
        Volume(masks[0].array[:1], masks[0].spacing_mm), masks[0].structures
    )
    assert (alternatives_of(mask, corrector, n=1)[0].array != mask.array).any()


def test_other_names_are_refused(corrector, masks):
    named = replace(masks[0], structures={"RV": 1, "MYO": 2, "cavity": 3})
    with pytest.raises(SchemaError, match=r"has the structures .*'cavity'"):
        alternatives_of(named, corrector, n=1)
