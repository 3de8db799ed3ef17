"""Boxes and projections against volumes whose content is known everywhere."""

from dataclasses import asdict, replace
from itertools import permutations, product

import numpy as np
import pytest

from radlatent.errors import EmptyMaskError, GeometryError, SchemaError
from radlatent.imaging import Volume
from radlatent.latent.inputs import Box, Projections

BOX = Box(("ct",), size_mm=(12, 16, 20), spacing_mm=(3, 2, 2.5), masked=False)

GRIDS = {
    "as stored by ITK": ((24, 26, 28), (2.0, 2.0, 2.0), (-10.0, 5.0, 100.0), None),
    "anisotropic": ((14, 40, 44), (4.0, 1.1, 0.9), (-31.0, -250.0, 1000.0), None),
    "oblique": ((40, 42, 44), (1.5, 1.2, 1.0), (17.0, -3.0, -55.0), (20, (1, 2, 3))),
    "fine": ((60, 60, 60), (0.7, 0.7, 0.7), (3.0, 3.0, 3.0), (33, (1, 0, 0))),
}


def volume_of(worlds, grid, fill):
    """Return a volume on a grid, filled by a function of world x, y, z."""
    shape, spacing, origin, turn = grid
    direction = worlds.ITK if turn is None else worlds.rotation(*turn) @ worlds.ITK
    empty = Volume(np.zeros(shape), spacing, origin, direction)
    return empty.with_array(fill(*worlds.world_of(empty)))


def middle(worlds, grid, radius):
    """Return the mask of a ball around the middle of a grid."""
    empty = volume_of(worlds, grid, lambda x, y, z: 0 * x)
    center = empty.to_world([(np.array(empty.shape) - 1) / 2])[0]
    distance = np.linalg.norm(
        worlds.world_of(empty) - center.reshape(3, 1, 1, 1), axis=0
    )
    return empty.with_array(distance <= radius)


def center_of(mask):
    places = mask.to_world(np.argwhere(mask.array))
    return (places.min(axis=0) + places.max(axis=0)) / 2


def expected(box, center):
    """Return world x, y, z of the voxels of a box around a center."""
    axes = [
        (np.arange(n) - (n - 1) / 2) * spacing + middle
        for n, spacing, middle in zip(
            box.size, box.spacing_mm, center[::-1], strict=True
        )
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"))[::-1]


class TestPlace:
    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
    def test_every_voxel_holds_what_the_world_has_there(
        self, worlds, case_of, grid, axis
    ):
        image = volume_of(worlds, grid, lambda *xyz: xyz[axis] - xyz[axis].mean())
        mask = middle(worlds, grid, 3.5)
        offset = worlds.world_of(image)[axis].mean()
        case = case_of(image_ct=image, mask_ct=mask)
        found = BOX.prepare(case, "c1").image[0]
        wanted = expected(BOX, center_of(mask))[axis] - offset
        assert found.shape == (4, 8, 8)
        np.testing.assert_allclose(found, wanted, atol=2e-5)

    @pytest.mark.parametrize("order", list(permutations(range(3))))
    def test_order_of_storage_changes_nothing(self, worlds, case_of, rng, order):
        shape, spacing, origin, _ = GRIDS["anisotropic"]
        noise = rng.standard_normal(shape)
        lesion = rng.random(shape) < 0.3
        lesion[:4], lesion[-4:], lesion[:, :15], lesion[..., 30:] = (False,) * 4
        box = Box(("ct",), (12, 16, 20), (3, 2, 2.5))
        reference = None
        for flips in product([False, True], repeat=3):
            image, mask = (
                worlds.stored(Volume(a, spacing, origin, worlds.ITK), order, flips)
                for a in (noise, lesion)
            )
            found = box.prepare(case_of(image_ct=image, mask_ct=mask), "c1")
            if reference is None:
                plain = [
                    Volume(a, spacing, origin, worlds.ITK) for a in (noise, lesion)
                ]
                row = case_of(image_ct=plain[0], mask_ct=plain[1])
                reference = box.prepare(row, "c1")
            np.testing.assert_allclose(found.image, reference.image, atol=1e-5)
            np.testing.assert_array_equal(found.mask, reference.mask)
            assert found.inside == reference.inside

    def test_center_is_that_of_the_bounding_box_not_of_mass(self, worlds, case_of):
        grid = GRIDS["as stored by ITK"]
        image = volume_of(worlds, grid, lambda x, y, z: z)
        array = np.zeros(image.shape, bool)
        array[8, 8:14, 8:14] = True  # heavy on one end
        array[8:15, 11, 11] = True
        found = BOX.prepare(
            case_of(image_ct=image, mask_ct=image.with_array(array)), "c1"
        )
        assert found.image[0].mean() == pytest.approx(100 + 2 * 11, abs=1e-4)

    def test_two_channels_share_the_box_of_the_first(self, worlds, case_of):
        ct, pet = GRIDS["as stored by ITK"], GRIDS["as stored by ITK"]
        pet = ((13, 14, 15), (4.0, 4.0, 4.0), (-12.0, 3.0, 98.0), None)
        images = [volume_of(worlds, grid, lambda x, y, z: z) for grid in (ct, pet)]
        masks = [middle(worlds, ct, 5), middle(worlds, pet, 6)]
        row = case_of(
            image_ct=images[0], mask_ct=masks[0], image_pet=images[1], mask_pet=masks[1]
        )
        both = Box(("ct", "pet"), (16, 16, 16), (4, 4, 4), masked=False)
        found = both.prepare(row, "c1").image
        np.testing.assert_allclose(found[0], found[1], atol=1e-4)
        other = Box(("pet", "ct"), (16, 16, 16), (4, 4, 4), masked=False)
        moved = other.prepare(row, "c1").image - found
        shift = (center_of(masks[1]) - center_of(masks[0]))[2]
        assert abs(shift) > 0.5
        np.testing.assert_allclose(moved, shift, atol=1e-4)

    def test_channels_come_in_the_order_that_was_asked_for(self, worlds, case_of):
        grid = GRIDS["as stored by ITK"]
        one, two = (
            volume_of(worlds, grid, lambda x, y, z, v=v: 0 * x + v) for v in (1, 2)
        )
        mask = middle(worlds, grid, 5)
        row = case_of(image_a=one, mask_a=mask, image_b=two, mask_b=mask)
        for names, levels in ((("a", "b"), [1, 2]), (("b", "a"), [2, 1])):
            box = Box(names, (8, 8, 8), (4, 4, 4), masked=False)
            assert box.prepare(row, "c1").image.mean(axis=(1, 2, 3)).tolist() == levels

    def test_box_reaching_out_of_the_image_goes_on_with_its_edge(self, worlds, case_of):
        grid = GRIDS["as stored by ITK"]
        image = volume_of(worlds, grid, lambda x, y, z: x)
        array = np.zeros(image.shape, bool)
        array[10:14, 10:14, :3] = True
        row = case_of(image_ct=image, mask_ct=image.with_array(array))
        found = BOX.prepare(row, "c1")
        wanted = np.clip(expected(BOX, (-8.0, 28.0, 123.0))[0], -10, None)
        assert (wanted == -10).any()
        # a filter of 0.6 mm rounds the corner off
        np.testing.assert_allclose(found.image[0], wanted, atol=0.02)
        assert found.inside == 1


class TestMask:
    def test_ball_has_its_volume_and_lies_in_the_middle(self, worlds, case_of):
        grid = GRIDS["oblique"]
        mask = middle(worlds, grid, 9.0)
        box = Box(("ct",), (24, 24, 24), (1.5, 1.5, 1.5))
        image = mask.with_array(mask.array.astype(float))
        found = box.prepare(case_of(image_ct=image, mask_ct=mask), "c1").mask[0]
        volume = found.sum() * 1.5**3
        assert volume == pytest.approx(4 / 3 * np.pi * 9**3, rel=0.05)
        middles = np.argwhere(found).mean(axis=0)
        np.testing.assert_allclose(middles, 7.5, atol=0.15)

    def test_without_masking_every_voxel_counts(self, worlds, case_of):
        grid = GRIDS["as stored by ITK"]
        mask = middle(worlds, grid, 5)
        row = case_of(image_ct=mask.with_array(mask.array * 1.0), mask_ct=mask)
        assert BOX.prepare(row, "c1").mask.all()
        masked = Box(("ct",), (12, 16, 20), (3, 2, 2.5)).prepare(row, "c1").mask
        assert 0 < masked.mean() < 1

    def test_label_is_taken_alone(self, worlds, case_of):
        grid = GRIDS["as stored by ITK"]
        image = volume_of(worlds, grid, lambda x, y, z: z)
        labels = np.zeros(image.shape, np.uint8)
        labels[4:7, 10:14, 10:14], labels[16:19, 10:14, 10:14] = 1, 2
        row = case_of(image_ct=image, mask_ct=image.with_array(labels))
        for label, z in ((1, 110), (2, 134), (2.0, 134)):
            found = BOX.prepare(row | {"mask_label": label}, "c1").image
            assert found.mean() == pytest.approx(z, abs=1e-3)
        tall = Box(("ct",), (32, 16, 20), (2, 2, 2.5), masked=False)
        for label in (float("nan"), None):
            found = tall.prepare(row | {"mask_label": label}, "c1").image
            assert found.mean() == pytest.approx(122, abs=1e-3)

    def test_mask_on_another_grid(self, worlds, case_of):
        image = volume_of(worlds, GRIDS["as stored by ITK"], lambda x, y, z: z)
        coarse = ((12, 13, 14), (4.0, 4.0, 4.0), (-9.0, 6.0, 101.0), None)
        mask = middle(worlds, coarse, 7)
        row = case_of(image_ct=image, mask_ct=mask)
        with pytest.raises(GeometryError):
            BOX.prepare(row, "c1")
        with pytest.raises(GeometryError):  # missing where cohorts were joined
            BOX.prepare(row | {"resample_mask_ct": float("nan")}, "c1")
        for flag in (True, np.True_):
            found = BOX.prepare(row | {"resample_mask_ct": flag}, "c1")
            assert found.image.mean() == pytest.approx(center_of(mask)[2], abs=1.01)

    def test_lesion_outside_of_the_image(self, worlds, case_of):
        image = volume_of(worlds, GRIDS["as stored by ITK"], lambda x, y, z: z)
        far = ((12, 13, 14), (4.0, 4.0, 4.0), (900.0, 6.0, 101.0), None)
        row = case_of(image_ct=image, mask_ct=middle(worlds, far, 7))
        with pytest.raises(GeometryError, match=r"'c1'.*outside"):
            BOX.prepare(row | {"resample_mask_ct": True}, "c1")

    def test_lesion_too_small_for_the_grid(self, worlds, case_of):
        image = volume_of(worlds, GRIDS["as stored by ITK"], lambda x, y, z: z)
        array = np.zeros(image.shape, bool)
        array[10, 10, 10] = True  # 2 mm, between the voxels of an even grid of 8 mm
        row = case_of(image_ct=image, mask_ct=image.with_array(array))
        with pytest.raises(EmptyMaskError, match=r"'c1'.*no voxel.*8.*finer"):
            Box(("ct",), (16, 16, 16), (8, 8, 8)).prepare(row, "c1")

    def test_nan_in_the_box_names_the_case_and_far_ones_do_not_matter(
        self, worlds, case_of
    ):
        grid = GRIDS["as stored by ITK"]
        image, mask = (
            volume_of(worlds, grid, lambda x, y, z: z),
            middle(worlds, grid, 5),
        )
        far, near = image.array.copy(), image.array.copy()
        far[0, 0, 0], near[12, 13, 14] = np.nan, np.nan
        BOX.prepare(case_of(image_ct=image.with_array(far), mask_ct=mask), "c1")
        row = case_of(image_ct=image.with_array(near), mask_ct=mask)
        with pytest.raises(SchemaError, match=r"'c1': \d+ voxels of 'ct'"):
            BOX.prepare(row, "c1")


class TestCut:
    def slab(self, worlds, case_of, z, others=()):
        image = volume_of(worlds, GRIDS["as stored by ITK"], lambda x, y, z: z)
        array = np.zeros(image.shape, bool)
        array[z, 12:14, 12:14] = True
        for place in others:
            array[place] = True
        return case_of(image_ct=image, mask_ct=image.with_array(array))

    def test_share_and_extent_of_a_cut_lesion(self, worlds, case_of):
        # twelve slices of 2 mm, of which a box of 12 mm holds the centers of six
        row = self.slab(worlds, case_of, slice(6, 18))
        found = replace(BOX, larger="cut").prepare(row, "c1")
        assert found.inside == pytest.approx(0.5)
        assert found.extent_mm == pytest.approx((22, 2, 2))
        assert found.mask.any()
        assert found.scale == 1

    def test_by_default_larger_lesions_are_scaled_into_the_box(self, worlds, case_of):
        row = self.slab(worlds, case_of, slice(6, 18))
        found, cut = BOX.prepare(row, "c1"), replace(BOX, larger="cut").prepare(row, "")
        # the outer centers lie 11 mm from the middle, the ends of the box 6 mm
        assert found.scale == pytest.approx(11 / 6)
        assert found.inside == 1
        assert found.image.shape == cut.image.shape
        # every slice of the box shows the lesion, which the image numbers by z
        assert found.mask.any(axis=(0, 2, 3)).all()
        seen, before = (np.ptp(p.image[p.mask]) for p in (found, cut))
        assert seen == pytest.approx(before * 11 / 6, rel=0.02)

    def test_lesions_that_fit_are_not_scaled(self, worlds, case_of):
        row = self.slab(worlds, case_of, slice(10, 14))
        found, cut = BOX.prepare(row, "c1"), replace(BOX, larger="cut").prepare(row, "")
        assert found.scale == 1
        np.testing.assert_array_equal(found.image, cut.image)

    def test_a_box_of_that_extent_holds_it(self, worlds, case_of):
        row = self.slab(worlds, case_of, slice(6, 18))
        large, small = (
            Box(("ct",), (mm, 16, 20), (1, 2, 2), larger="cut") for mm in (22, 20)
        )
        assert large.prepare(row, "c1").inside == 1
        assert small.prepare(row, "c1").inside < 1

    def test_extent_counts_every_channel(self, worlds, case_of):
        grid = GRIDS["as stored by ITK"]
        image = volume_of(worlds, grid, lambda x, y, z: z)
        masks = []
        for rows in (slice(10, 14), slice(10, 20)):
            array = np.zeros(image.shape, bool)
            array[rows, 12:14, 12:14] = True
            masks.append(image.with_array(array))
        row = case_of(image_a=image, mask_a=masks[0], image_b=image, mask_b=masks[1])
        box = Box(("a", "b"), (12, 16, 20), (3, 2, 2.5), larger="cut")
        found = box.prepare(row, "c1")
        # the second ends 15 mm above the middle of the first
        assert found.extent_mm == pytest.approx((30, 2, 2))
        assert found.inside == pytest.approx(0.5)


class TestSmoothing:
    @staticmethod
    def checkerboard(worlds, spacing, turn=None):
        grid = ((40, 40, 40), (spacing,) * 3, (0.0, 0.0, 0.0), turn)
        empty = volume_of(worlds, grid, lambda x, y, z: 0 * x)
        board = (np.indices(empty.shape).sum(axis=0) % 2) * 2.0 - 1
        return empty.with_array(board), middle(worlds, grid, 3)

    def test_fine_checkerboard_fades(self, worlds, case_of):
        image, mask = self.checkerboard(worlds, 1.0)
        box = Box(("ct",), (16, 16, 16), (4, 4, 4), masked=False)
        found = box.prepare(case_of(image_ct=image, mask_ct=mask), "c1").image
        assert abs(found).max() < 1e-3

    def test_same_spacing_is_left_as_it_is(self, worlds, case_of):
        image, mask = self.checkerboard(worlds, 2.0)
        box = Box(("ct",), (16, 16, 16), (2, 2, 2), masked=False)
        found = box.prepare(case_of(image_ct=image, mask_ct=mask), "c1").image
        np.testing.assert_allclose(abs(found), 1, atol=1e-5)

    def test_coarser_images_are_not_smoothed(self, worlds, case_of):
        image, mask = self.checkerboard(worlds, 3.0)
        box = Box(("ct",), (18, 18, 18), (1, 1, 1), masked=False)
        found = box.prepare(case_of(image_ct=image, mask_ct=mask), "c1").image
        assert found.max() > 0.5

    def test_turning_an_image_of_the_same_spacing_does_not_smooth_it(
        self, worlds, case_of
    ):
        from scipy.ndimage import map_coordinates

        image, mask = self.checkerboard(worlds, 2.0, (30, (1, 1, 0)))
        box = Box(("ct",), (16, 16, 16), (2, 2, 2), masked=False)
        found = box.prepare(case_of(image_ct=image, mask_ct=mask), "c1").image[0]
        places = expected(box, center_of(mask)).reshape(3, -1).T
        wanted = map_coordinates(image.array, image.to_index(places).T, order=1)
        np.testing.assert_allclose(found.ravel(), wanted, atol=1e-4)

    def test_width_of_the_filter_follows_the_source(self, worlds, case_of):
        # Cardoso et al. 2015: variance (4^2 - 1^2) / (8 ln 2) mm^2 along every axis
        image, _ = self.checkerboard(worlds, 1.0)
        point = np.zeros(image.shape)
        point[20, 20, 20] = 1
        array = np.zeros(image.shape, bool)
        array[19:22, 19:22, 19:22] = True
        row = case_of(image_ct=image.with_array(point), mask_ct=image.with_array(array))
        box = Box(("ct",), (20, 20, 20), (4, 4, 4), masked=False)
        found = box.prepare(row, "c1").image[0]
        sigma = np.sqrt((16 - 1) / (8 * np.log(2)))
        ratio = found[2, 2, 3] / found[2, 2, 2]
        assert ratio == pytest.approx(np.exp(-8 / sigma**2), rel=1e-3)


class TestDescription:
    def test_size_in_voxels(self):
        assert BOX.size == (4, 8, 8)
        assert BOX.columns == ("image_ct", "mask_ct")
        assert BOX.check() == []

    @pytest.mark.parametrize(
        ("change", "word"),
        [
            ({"size_mm": (-1, 2, 3)}, "size_mm"),
            ({"size_mm": (1, 2)}, "size_mm"),
            ({"size_mm": (1, 2, np.inf)}, "size_mm"),
            ({"spacing_mm": (0, 2, 3)}, "spacing_mm"),
            ({"spacing_mm": (np.nan, 2, 3)}, "spacing_mm"),
            ({"modalities": ()}, "modalities is empty"),
            ({"modalities": "ct"}, "modalities is 'ct'; give a tuple"),
            ({"rotation_degrees": -1}, "rotation_degrees"),
            ({"shift_mm": np.nan}, "shift_mm"),
            ({"zoom": 1.0}, "zoom is 1.0; give 0 or more, less than 1"),
            ({"contrast": -0.1}, "contrast"),
            ({"jitter": 0.5}, "jitter is 0.5; give 0 or more, less than 0.5"),
            ({"larger": "tiled"}, "larger is 'tiled'; give 'scaled' or 'cut'"),
            ({"percentiles": (99, 1)}, "percentiles is (99, 1)"),
            ({"percentiles": (50,)}, "percentiles"),
        ],
    )
    def test_faults_are_found(self, change, word):
        from dataclasses import replace

        (problem,) = replace(BOX, **change).check()
        assert word in problem

    def test_faults_of_projections_are_found(self):
        assert len(Projections("", (-1, 2), spacing_mm=0).check()) == 3
        assert Projections("pet", (400, 200)).check() == []


class TestProjections:
    INPUTS = Projections("pet", size_mm=(200, 120), spacing_mm=4.0)

    @staticmethod
    def body(worlds, place, shape=(30, 24, 20), spacing=(5.0, 4.0, 4.0)):
        """Return a volume of zeros with an SUV of 7 near a place in the world."""
        empty = Volume(np.zeros(shape), spacing, (-40.0, -48.0, 1000.0), worlds.ITK)
        array = empty.array.copy()
        array[tuple(empty.to_index([place])[0].round().astype(int))] = 7
        return empty.with_array(array)

    @pytest.mark.parametrize("flips", [(False,) * 3, (True, False, False), (True,) * 3])
    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
    def test_hot_point_shows_where_it_is(self, worlds, case_of, order, flips):
        # near the head, on the patient's left, in front
        volume = self.body(worlds, (20.0, -24.0, 1120.0))
        row = case_of(image_pet=worlds.stored(volume, order, flips))
        found = self.INPUTS.prepare(row, "c1")
        assert found.image.shape == found.mask.shape == (2, 50, 30)
        coronal, sagittal = found.image
        # in mm from the middle of the volume: 1072.5 + 47.5, -2 + 22, -2 - 22
        for picture, across in ((coronal, 22.0), (sagittal, -22.0)):
            row_, column = np.unravel_index(picture.argmax(), picture.shape)
            assert abs((24.5 - row_) * 4 - 47.5) <= 4
            assert abs((column - 14.5) * 4 - across) <= 4

    def test_logarithm(self, worlds, case_of):
        row = case_of(image_pet=self.body(worlds, (20.0, -24.0, 1120.0)))
        plain = Projections("pet", (200, 120), log=False).prepare(row, "c1").image
        logged = self.INPUTS.prepare(row, "c1").image
        np.testing.assert_allclose(logged, np.log1p(plain), rtol=1e-6)
        assert 4 < plain.max() <= 7

    def test_values_below_zero_count_as_zero_in_the_logarithm(self, worlds, case_of):
        volume = self.body(worlds, (20.0, -24.0, 1120.0))
        row = case_of(image_pet=volume.with_array(volume.array - 3))
        found = self.INPUTS.prepare(row, "c1").image
        assert np.isfinite(found).all()
        assert found.min() == 0

    def test_nothing_is_stretched(self, worlds, case_of):
        # a ball in voxels of 5 by 4 by 4 mm stays round in both pictures
        empty = Volume(np.zeros((60, 50, 50)), (5.0, 4.0, 4.0), (0, 0, 0), worlds.ITK)
        x, y, z = worlds.world_of(empty)
        ball = (x - 98) ** 2 + (y - 98) ** 2 + (z - 147.5) ** 2 <= 40**2
        row = case_of(image_pet=empty.with_array(ball.astype(float)))
        found = Projections("pet", (320, 240), log=False).prepare(row, "c1")
        for picture in found.image:
            rows, columns = np.nonzero(picture > 0.5)
            assert np.ptp(rows) == pytest.approx(19, abs=1)
            assert np.ptp(columns) == pytest.approx(19, abs=1)
            assert rows.mean() == pytest.approx(39.5, abs=0.6)
            assert columns.mean() == pytest.approx(29.5, abs=0.6)

    def test_padding_does_not_count(self, worlds, case_of):
        row = case_of(image_pet=self.body(worlds, (20.0, -24.0, 1120.0)))
        found = self.INPUTS.prepare(row, "c1")
        # 150 mm of 200 along z; 80 mm along x and 96 along y of 120
        for mask, n_columns in zip(found.mask, (20, 24), strict=True):
            assert mask.any(axis=1).sum() == 38
            assert mask.any(axis=0).sum() == n_columns
            assert mask.sum() == 38 * n_columns
        assert not found.image[~found.mask].any()

    def test_cropping_keeps_the_middle(self, worlds, case_of):
        volume = self.body(worlds, (-2.0, -2.0, 1072.5))
        row = case_of(image_pet=volume)
        found = Projections("pet", (40, 32), log=False).prepare(row, "c1")
        assert found.image.shape == (2, 10, 8)
        assert found.mask.all()
        for picture in found.image:
            place = np.unravel_index(picture.argmax(), picture.shape)
            assert abs(np.array(place) - [4.5, 3.5]).max() <= 1

    def test_nan_anywhere_names_the_case(self, worlds, case_of):
        volume = self.body(worlds, (20.0, -24.0, 1120.0))
        array = volume.array.copy()
        array[0, 0, 0] = np.nan
        row = case_of(image_pet=volume.with_array(array))
        with pytest.raises(SchemaError, match="'c1': 1 voxels"):
            self.INPUTS.prepare(row, "c1")


def test_cases_are_varied_by_default_where_nothing_must_not_be_repeated():
    box = Box(("ct",), size_mm=(8, 8, 8), spacing_mm=(1, 1, 1), zoom=0.2)
    names = ("rotation_degrees", "shift_mm", "flips", "zoom", "contrast", "jitter")
    alone, beside = box.varied(alone=True), box.varied(alone=False)
    told = [getattr(alone, name) for name in names]
    assert told == [20.0, 2.0, True, 0.2, 0.1, 0.2]
    # what was asked for is done beside hand-crafted features as well
    assert [getattr(beside, name) for name in names] == [0, 0, 0, 0.2, 0, 0]
    assert Box.of(**asdict(box)) == box
