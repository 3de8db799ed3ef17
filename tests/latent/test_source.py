"""Minibatches: standardized as stated, and turned rigidly."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from scipy.stats import norm, spearmanr  # noqa: E402

from radlatent.errors import SchemaError  # noqa: E402
from radlatent.latent.inputs import Box, Projections  # noqa: E402
from radlatent.latent.source import (  # noqa: E402
    CaseSource,
    _rotation,
    apply_scaling,
    apply_statistics,
    fit_scaling,
    fit_statistics,
)

CPU = torch.device("cpu")
#: Nothing of what training may change.
STILL = {"rotation_degrees": 0, "shift_mm": 0, "flips": False}
STILL |= {"zoom": 0, "contrast": 0, "jitter": 0}
BOX = Box(("ct",), size_mm=(8, 8, 8), spacing_mm=(1, 1, 1), **STILL)


def boxed(*channels):
    return replace(BOX, modalities=channels)


def source_of(prepared, inputs=BOX, **kwargs):
    channels = tuple("abc"[: prepared.images.shape[1]])
    statistics = fit_statistics(prepared, boxed(*channels)).to_numpy()
    return CaseSource(prepared, inputs, statistics, **kwargs)


def all_of(source, *, augment=False):
    return source.minibatch(torch.arange(len(source)), CPU, augment=augment)


class TestStatistics:
    def test_are_those_of_the_voxels_in_the_masks(self, worlds):
        prepared = worlds.blobs(channels=2)
        found = fit_statistics(prepared, boxed("a", "b"))
        for place, channel in enumerate("ab"):
            values = np.concatenate(
                [
                    image[place][mask[place]]
                    for image, mask in zip(prepared.images, prepared.masks, strict=True)
                ]
            ).astype(float)
            lower, upper = np.quantile(values, [0.005, 0.995])
            clipped = values.clip(lower, upper)
            wanted = [lower, upper, clipped.mean(), clipped.std()]
            np.testing.assert_allclose(found.loc[channel], wanted, rtol=1e-12)

    def test_voxels_outside_of_the_masks_do_not_matter(self, worlds):
        prepared = worlds.blobs()
        wild = np.where(prepared.masks, prepared.images, 1e6)
        pd.testing.assert_frame_equal(
            fit_statistics(prepared, boxed("a")),
            fit_statistics(replace(prepared, images=wild), boxed("a")),
        )

    def test_training_voxels_become_standard(self, worlds):
        prepared = worlds.blobs(channels=2)
        minibatch = all_of(source_of(prepared))
        for place in range(2):
            values = minibatch.x[:, place][minibatch.mask[:, place] > 0].double()
            assert float(values.mean()) == pytest.approx(0, abs=1e-5)
            assert float(values.std(correction=0)) == pytest.approx(1, abs=1e-5)
            assert not minibatch.x[:, place][minibatch.mask[:, place] == 0].any()

    def test_what_lies_beyond_the_percentiles_is_clipped(self):
        statistics = torch.tensor([[10.0, 20.0, 14.0, 2.0], [0.0, 1.0, 0.5, 0.5]])
        images = torch.tensor([[[[5.0, 12.0, 99.0]], [[-1.0, 0.5, 9.0]]]])
        masks = torch.tensor([[[[1.0, 1.0, 1.0]], [[1.0, 1.0, 0.0]]]])
        found = apply_statistics(images, masks, statistics)
        assert found.tolist() == [[[[-2.0, -1.0, 3.0]], [[-1.0, 0.0, 0.0]]]]

    def test_projections_keep_their_brightest_pixels(self, worlds):
        prepared = worlds.blobs(channels=2)
        inputs = Projections("pet", (8, 8))
        found = fit_statistics(prepared, inputs)
        values = prepared.images[:, 0][prepared.masks[:, 0]].astype(float)
        wanted = [values.mean(), values.std()]
        np.testing.assert_allclose(found.iloc[0, 2:], wanted, rtol=1e-12)
        bright = torch.full((1, 2, 1, 1), 1e6)
        kept = apply_statistics(
            bright, torch.ones(1, 2, 1, 1), torch.as_tensor(found.to_numpy())
        )
        wanted = (1e6 - found["mean"]) / found["standard_deviation"]
        np.testing.assert_allclose(kept.flatten(), wanted, rtol=1e-6)

    def test_constant_channel_is_named(self, worlds):
        prepared = worlds.blobs(channels=2)
        prepared.images[:, 1] = 7
        with pytest.raises(SchemaError, match=r"channel 'pet' is constant \(7.0\)"):
            fit_statistics(prepared, boxed("ct", "pet"))


class TestScaling:
    TABLE = pd.DataFrame(
        {"a__x": [1.0, 2.0, 3.0, 6.0], "a__y": [0.0, 0.0, 10.0, 10.0]}, list("klmn")
    )

    #: As encoders of before have it: z-scores.
    BEFORE = pd.DataFrame(
        {"mean": [3.0, 5.0], "standard_deviation": [3.5**0.5, 5.0]}, ["a__x", "a__y"]
    )

    def test_training_features_become_normal_scores_of_their_ranks(self):
        found = apply_scaling(self.TABLE, fit_scaling(self.TABLE))
        assert found.dtype == np.float32
        scores = norm.ppf([0.125, 0.375, 0.625, 0.875])
        np.testing.assert_allclose(found[:, 0], scores, rtol=1e-6)
        # equal values share the mean of their levels
        ties = norm.ppf([0.25, 0.25, 0.75, 0.75])
        np.testing.assert_allclose(found[:, 1], ties, rtol=1e-6)

    def test_many_cases_become_standard_however_skewed(self, rng):
        table = pd.DataFrame({"a__x": rng.lognormal(0, 3, 5000)})
        found = apply_scaling(table, fit_scaling(table))
        assert fit_scaling(table).shape == (1, 101)
        assert abs(found.mean()) < 0.01
        assert found.std() == pytest.approx(1, abs=0.02)
        ranks = table["a__x"].rank(method="first")
        assert spearmanr(found[:, 0], ranks).statistic > 0.999

    def test_columns_are_found_by_name_and_no_value_is_beyond_all_known(self):
        new = pd.DataFrame({"a__y": [5.0], "other__z": [1.0], "a__x": [1e9]})
        found = apply_scaling(new, fit_scaling(self.TABLE))
        np.testing.assert_allclose(found, [[norm.ppf(0.875), 0.0]], atol=1e-6)

    def test_scalings_of_before_give_clipped_z_scores(self):
        found = apply_scaling(self.TABLE, self.BEFORE)
        np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(found.std(axis=0), 1, rtol=1e-6)
        new = pd.DataFrame({"a__y": [5.0], "other__z": [1.0], "a__x": [1e9]})
        assert apply_scaling(new, self.BEFORE).tolist() == [[5.0, 0.0]]


class TestMinibatch:
    def test_rows_come_as_asked_with_features_and_classes(self, worlds):
        prepared = worlds.blobs(5)
        h, y = np.arange(10, dtype=np.float32).reshape(5, 2), np.array([0, 1, -1, 1, 0])
        source = source_of(prepared, handcrafted=h, y=y)
        found = source.minibatch(torch.tensor([3, 0]), CPU, augment=False)
        whole = all_of(source)
        assert len(source) == 5
        assert torch.equal(found.x, whole.x[[3, 0]])
        assert torch.equal(found.mask, whole.mask[[3, 0]])
        assert found.h.tolist() == [[6, 7], [0, 1]]
        assert found.y.tolist() == [1, 0]
        assert found.y.dtype == torch.int64

    def test_prepared_arrays_are_left_as_they_are(self, worlds):
        prepared = worlds.blobs()
        before = prepared.images.copy(), prepared.masks.copy()
        inputs = replace(BOX, rotation_degrees=90, shift_mm=2)
        all_of(source_of(prepared, inputs), augment=True)
        np.testing.assert_array_equal(prepared.images, before[0])
        np.testing.assert_array_equal(prepared.masks, before[1])


class TestWeights:
    def test_every_lesion_counts_as_if_it_had_as_many_voxels(self, worlds):
        prepared = worlds.blobs(6)
        found = all_of(source_of(prepared, n_voxels=50.0))
        counts = prepared.masks.reshape(6, -1).sum(axis=1)
        np.testing.assert_allclose(found.weight.numpy() * counts, 50, rtol=1e-6)
        assert all_of(source_of(prepared)).weight is None


class TestRotation:
    def test_right_angle(self):
        z = torch.tensor([[0.0, 0.0, 1.0]])
        found = _rotation(z, torch.tensor([np.pi / 2]))[0]
        wanted = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
        assert torch.allclose(found, wanted, atol=1e-6)

    def test_equals_that_of_scipy(self, rng):
        from scipy.spatial.transform import Rotation

        axis = rng.standard_normal((5, 3))
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        angle = rng.uniform(-3, 3, 5)
        found = _rotation(torch.tensor(axis), torch.tensor(angle)).numpy()
        wanted = Rotation.from_rotvec(axis * angle[:, None]).as_matrix()
        np.testing.assert_allclose(found, wanted, atol=1e-6)


class TestAugmentation:
    def test_none_where_all_are_zero(self, worlds):
        source = source_of(worlds.blobs())
        assert torch.equal(all_of(source, augment=True).x, all_of(source).x)

    def test_none_in_evaluation_and_some_in_training(self, worlds):
        source = source_of(worlds.blobs(), replace(BOX, rotation_degrees=40))
        plain = all_of(source_of(worlds.blobs()))
        assert torch.equal(all_of(source).x, plain.x)
        moved = all_of(source, augment=True)
        assert not torch.equal(moved.x, plain.x)
        assert set(moved.mask.unique().tolist()) == {0.0, 1.0}
        assert not moved.x[moved.mask == 0].any()

    def test_draws_follow_the_seed_and_differ_by_case(self, worlds):
        prepared = worlds.blobs(2)
        for part in (prepared.images, prepared.masks):
            part[1] = part[0]
        source = source_of(prepared, replace(BOX, rotation_degrees=40, shift_mm=1))
        found = []
        for seed in (0, 0, 1):
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                found.append(all_of(source, augment=True).x)
        assert torch.equal(found[0], found[1])
        assert not torch.equal(found[0], found[2])
        assert not torch.equal(found[0][0], found[0][1])

    def test_equals_an_affine_transform_by_scipy(self, worlds, rng):
        from scipy.ndimage import affine_transform
        from scipy.spatial.transform import Rotation

        # oblong box of oblong voxels, smooth content, everything in the mask
        box = Box(("ct",), (24, 30, 20), (3, 2, 1), masked=False, **STILL)
        box = replace(box, rotation_degrees=25, shift_mm=2)
        prepared = worlds.blobs(3, size=box.size)
        z, y, x = (
            (np.arange(n) - (n - 1) / 2) * mm
            for n, mm in zip(box.size, box.spacing_mm, strict=True)
        )
        smooth = np.sin(0.2 * z)[:, None, None] + np.cos(0.15 * y)[:, None] + 0.1 * x
        prepared.images[:] = smooth
        prepared.masks[:] = True
        source = source_of(prepared, box)
        plain = all_of(source).x.numpy()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            found = all_of(source, augment=True)
            torch.manual_seed(5)
            axis = torch.nn.functional.normalize(torch.randn(3, 3), dim=1).numpy()
            angle = np.deg2rad(25) * (2 * torch.rand(3).numpy() - 1)
            shift = 2 * (2 * torch.rand(3, 3).numpy() - 1)
        spacing, middle = np.array(box.spacing_mm), (np.array(box.size) - 1) / 2
        flip = np.eye(3)[::-1]
        for case in range(3):
            turn = Rotation.from_rotvec(axis[case] * angle[case]).as_matrix()
            matrix = np.diag(1 / spacing) @ flip @ turn @ flip @ np.diag(spacing)
            offset = middle - matrix @ middle + shift[case][::-1] / spacing
            moved = affine_transform(plain[case, 0], matrix, offset, order=1)
            inside = affine_transform(np.ones(box.size), matrix, offset, order=1) == 1
            assert inside.mean() > 0.3
            values = found.x[case, 0].numpy()
            np.testing.assert_allclose(values[inside], moved[inside], atol=1e-4)

    def test_ball_stays_a_ball_in_mm(self, worlds):
        box = Box(("ct",), (48, 40, 30), (3, 2, 1.5))
        box = replace(box, **(STILL | {"rotation_degrees": 90}))
        prepared = worlds.blobs(6, size=box.size)
        axes = np.indices(box.size) - (np.array(box.size).reshape(3, 1, 1, 1) - 1) / 2
        mm = axes * np.array(box.spacing_mm).reshape(3, 1, 1, 1)
        ball = np.sqrt((mm**2).sum(axis=0)) <= 12
        prepared.masks[:] = ball
        moved = all_of(source_of(prepared, box), augment=True).mask.numpy() > 0
        for mask in moved[:, 0]:
            both, either = (mask & ball).sum(), (mask | ball).sum()
            assert both / either > 0.85

    def test_edges_of_the_mask_are_not_darkened(self, worlds):
        prepared = worlds.blobs(4, size=(16, 16, 16))
        prepared.images[prepared.masks] = 50
        prepared.images[0, 0, 8, 8, 8] = 10  # not constant
        box = Box(("ct",), (16, 16, 16), (1, 1, 1))
        moved = {"rotation_degrees": 30, "shift_mm": 0.5, "jitter": 0.3, "flips": True}
        box = replace(box, **(STILL | moved))
        source = CaseSource(prepared, box, np.array([[0.0, 100.0, 30.0, 10.0]]))
        moved = all_of(source, augment=True)
        values = moved.x[1:][moved.mask[1:] > 0]
        torch.testing.assert_close(
            values, torch.full_like(values, 2.0), atol=1e-4, rtol=0
        )

    def test_largest_shift_is_kept(self, worlds):
        prepared = worlds.blobs(64, size=(24, 24, 24))
        axes = np.indices((24, 24, 24)) - 11.5
        prepared.masks[:] = (np.abs(axes) <= 4).all(axis=0)
        box = Box(("ct",), (48, 48, 48), (2, 2, 2))
        box = replace(box, **(STILL | {"shift_mm": 6}))
        moved = all_of(source_of(prepared, box), augment=True).mask.numpy()[:, 0]
        places = np.stack([np.argwhere(mask).mean(axis=0) - 11.5 for mask in moved])
        assert np.abs(places).max() <= 6 / 2 + 0.5
        assert np.abs(places).max(axis=0).min() > 2
        assert np.abs(places.mean(axis=0)).max() < 0.8

    def test_half_of_the_cases_are_mirrored_along_each_axis(self, worlds):
        prepared = worlds.blobs(64)
        for part in (prepared.images, prepared.masks):
            part[:] = part[0]
        prepared.masks[:] = True
        source = source_of(prepared, replace(BOX, flips=True))
        plain, found = all_of(source).x[0, 0], all_of(source, augment=True).x[:, 0]
        seen = {}
        for axes in [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]:
            same = (found - plain.flip(axes)).abs().amax(dim=(1, 2, 3)) < 1e-4
            seen[axes] = int(same.sum())
        assert sum(seen.values()) == 64
        assert min(seen.values()) >= 1

    def test_zoom_changes_size_by_its_share_at_most(self, worlds):
        prepared = worlds.blobs(64, size=(24, 24, 24))
        axes = np.indices((24, 24, 24)) - 11.5
        prepared.masks[:] = np.sqrt((axes**2).sum(axis=0)) <= 7
        box = Box(("ct",), (24, 24, 24), (1, 1, 1))
        source = source_of(prepared, replace(box, **(STILL | {"zoom": 0.2})))
        volumes = all_of(source, augment=True).mask.sum(dim=(1, 2, 3, 4))
        ratios = (volumes / prepared.masks[0].sum()) ** (1 / 3)
        assert 1 / 1.25 < float(ratios.min()) < 0.9
        assert 1.1 < float(ratios.max()) < 1.25

    def test_intensities_are_stretched_and_shifted_by_channel(self, worlds):
        prepared = worlds.blobs(32, channels=2)
        source = source_of(prepared, replace(BOX, contrast=0.1))
        plain, found = all_of(source), all_of(source, augment=True)
        assert torch.equal(plain.mask, found.mask)
        assert not found.x[found.mask == 0].any()
        lines = []
        for case in range(32):
            for channel in range(2):
                inside = plain.mask[case, channel] > 0
                x, y = (m.x[case, channel][inside].numpy() for m in (plain, found))
                slope, level = np.polyfit(x, y, 1)
                np.testing.assert_allclose(y, slope * x + level, atol=1e-4)
                lines.append((slope - 1, level))
        lines = np.array(lines)
        assert np.abs(lines).max() <= 0.1 + 1e-3
        assert (np.abs(lines).max(axis=0) > 0.08).all()
        assert len(np.unique(lines.round(6), axis=0)) == 64

    def test_jitter_moves_edges_of_masks_by_less_than_a_voxel(self, worlds):
        prepared = worlds.blobs(16, size=(16, 16, 16))
        moved = {"rotation_degrees": 30, "jitter": 0.4}
        box = replace(Box(("ct",), (16, 16, 16), (1, 1, 1)), **(STILL | moved))
        drawn = all_of(source_of(prepared, box), augment=True).mask.sum(
            dim=(1, 2, 3, 4)
        )
        plain = torch.from_numpy(prepared.masks).sum(dim=(1, 2, 3, 4))
        ratios = drawn / plain
        assert float(ratios.min()) < 0.95
        assert float(ratios.max()) > 1.05
        radii = (3 * plain / 4 / np.pi) ** (1 / 3)
        assert ((ratios ** (1 / 3) - 1) * radii).abs().max() < 0.6

    def test_projections_are_not_moved(self, worlds):
        prepared = worlds.blobs(size=(8, 8))
        source = source_of(prepared, Projections("pet", (8, 8), 1.0))
        assert torch.equal(all_of(source, augment=True).x, all_of(source).x)
