"""The reviser: what a network leaves out and a reader draws, it brings back."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402

from radlatent.cohort import Cohort  # noqa: E402
from radlatent.cohort.labels import LabelMap, mask_files  # noqa: E402
from radlatent.errors import (  # noqa: E402
    CohortError,
    GeometryError,
    LeakageError,
    RadlatentError,
    SchemaError,
)
from radlatent.imaging import Volume  # noqa: E402
from radlatent.masks.prior.frame import Frame  # noqa: E402
from radlatent.masks.revision.pairs import read_pair, real_pairs  # noqa: E402
from radlatent.masks.revision.reviser import MaskReviser, load_reviser  # noqa: E402
from radlatent.nn import Training  # noqa: E402

FRAME = Frame(size=32, spacing_mm=4.0)


def reviser(epochs=1, **settings):
    training = Training(
        epochs=epochs, minibatch_size=16, learning_rate=1e-2, clip_norm=12.0
    )
    return MaskReviser(width=4, frame=FRAME, training=training, **settings)


def left_out(labels, number):
    """Return a heart whose middle slice has no cavity, in every second patient."""
    labels = labels.copy()
    if number % 2:
        labels[1][labels[1] == 3] = 2
    return labels


@pytest.fixture(scope="module")
def pair_of_cohorts(drawn, tmp_path_factory):
    """Return masks of a network that leaves cavities out, and of a reader."""
    folder, made = tmp_path_factory.mktemp("reviser"), []
    for kind, change in (("network", left_out), ("reader", None)):
        rng = np.random.default_rng(3)
        known = {"name": kind, "prefix": "r", "change": change}
        made.append(Cohort.read(drawn.write_hearts(folder / kind, 24, rng, **known)))
    return made


@pytest.fixture(scope="module")
def brief(pair_of_cohorts):
    """Return a reviser of twenty patients that has hardly learned anything."""
    return reviser().fit(*pair_of_cohorts, patients=[f"r{k:02d}" for k in range(20)])


@pytest.fixture
def unseen(pair_of_cohorts):
    return [read_pair(files) for files in real_pairs(*pair_of_cohorts)[20:]]


class TestFit:
    def test_tells_whom_it_saw_and_who_drew_their_masks(self, brief, pair_of_cohorts):
        assert brief.structures_ == ("LV", "MYO", "RV")
        assert brief.fitted_on_["cohort"] == "network"
        assert brief.fitted_on_["patients"] == [f"r{k:02d}" for k in range(20)]
        assert brief.drawn_by_ == []
        assert brief.history_["epoch"].tolist() == [0]
        network, reference = pair_of_cohorts
        files = mask_files(network)
        masks = pd.Series({case: f.path for f in files for case in f.case_ids})
        names = sorted({file.patient_id for file in files})
        fits = [
            {"cohort": "reader", "patients": names[12:], "applied_to": names[:12]},
            {"cohort": "reader", "patients": names[:12], "applied_to": names[12:]},
        ]
        told = {"name": "U-Net", "fitted_on": fits}
        crossed = reference.with_masks(masks, name="crossed", made_by=told)
        found = reviser().fit(crossed, reference, patients=names[:4])
        assert [each["name"] for each in found.drawn_by_] == ["U-Net", "U-Net"]
        assert found.drawn_by_[0]["patients"] == names[12:]
        fits[0]["patients"] = names
        unfair = reference.with_masks(
            masks, name="unfair", made_by={"name": "U-Net", "fitted_on": fits}
        )
        with pytest.raises(LeakageError, match="masks of 12 patients"):
            reviser().fit(unfair, reference)

    def test_refusals(self, pair_of_cohorts):
        with pytest.raises(CohortError, match=r"1 have no masks in .*\['nobody'\]"):
            reviser().fit(*pair_of_cohorts, patients=["r00", "r01", "nobody"])
        with pytest.raises(CohortError, match="of 1 patients"):
            reviser().fit(*pair_of_cohorts, patients=["r00"])
        wrong = reviser().set_params(frame=replace(FRAME, size=30))
        wrong.set_params(training=Training(epochs=0))
        with pytest.raises(RadlatentError, match=r"frame: size is 30.*epochs is 0"):
            wrong.fit(*pair_of_cohorts)

    def test_a_loss_that_explodes_leaves_the_last_good_weights(
        self, pair_of_cohorts, unseen
    ):
        wild = reviser()
        wild.training = replace(wild.training, learning_rate=1e30, epochs=3)
        with pytest.raises(RadlatentError, match=r"diverged: in epoch \d.*last good"):
            wild.fit(*pair_of_cohorts, patients=["r00", "r01", "r02"])
        weights = wild.model_.state_dict().values()
        assert all(torch.isfinite(value).all() for value in weights)
        with pytest.raises(NotFittedError):
            wild.revise(unseen[0].mask, unseen[0].image)

    def test_is_the_same_again(self, brief, pair_of_cohorts, unseen):
        again = clone(brief).fit(
            *pair_of_cohorts, patients=brief.fitted_on_["patients"]
        )
        one, two = (
            each.revise(unseen[0].mask, unseen[0].image) for each in (brief, again)
        )
        torch.testing.assert_close(one.probabilities, two.probabilities, rtol=0, atol=0)

    def test_an_image_is_asked_for_where_it_is_looked_at(self, pair_of_cohorts):
        network, reference = pair_of_cohorts
        bare = replace(network, cases=network.cases.assign(image_mr=None))
        other = replace(reference, cases=reference.cases.assign(image_mr=None))
        with pytest.raises(SchemaError, match="looks at images, and there is none"):
            reviser().fit(bare, other)
        fitted = reviser(sees_image=False).fit(bare, other)
        assert len(fitted.fitted_on_["patients"]) == 24


class TestRevise:
    def test_shapes_and_probabilities(self, brief, unseen):
        mask = unseen[0].mask
        found = brief.revise(mask, unseen[0].image)
        assert found.slices.tolist() == [0, 1, 2]
        assert found.labels.shape == mask.array.shape
        assert set(np.unique(found.labels)) <= {0, 1, 2, 3}
        torch.testing.assert_close(
            found.probabilities.sum(dim=1), torch.ones(3, 64, 64)
        )
        assert found.presence.columns.tolist() == ["LV", "MYO", "RV"]
        assert found.presence.index.tolist() == [0, 1, 2]
        assert found.presence.to_numpy().min() > 0
        assert found.presence.to_numpy().max() < 1

    def test_names_count_and_not_labels(self, brief, unseen):
        mask, image = unseen[0].mask, unseen[0].image
        table = np.array([0, 9, 7, 5], np.uint8)
        values = {"RV": 9, "MYO": 7, "LV": 5}
        other = replace(
            mask, volume=mask.volume.with_array(table[mask.array]), structures=values
        )
        one, two = brief.revise(mask, image), brief.revise(other, image)
        np.testing.assert_array_equal(table[one.labels], two.labels)

    def test_the_image_counts_and_only_where_it_is_looked_at(self, brief, unseen):
        mask, image = unseen[0].mask, unseen[0].image
        dark = image.with_array(np.zeros_like(image.array))
        one, two = brief.revise(mask, image), brief.revise(mask, dark)
        assert (one.probabilities != two.probabilities).any()
        blind = clone(brief).set_params(sees_image=False)
        vars(blind).update({k: v for k, v in vars(brief).items() if k.endswith("_")})
        one, two = blind.revise(mask, image), blind.revise(mask)
        torch.testing.assert_close(one.probabilities, two.probabilities)

    def test_refusals(self, brief, unseen):
        mask, image = unseen[0].mask, unseen[0].image
        with pytest.raises(NotFittedError):
            reviser().revise(mask, image)
        with pytest.raises(SchemaError, match="give a reviser with sees_image=False"):
            brief.revise(mask)
        with pytest.raises(GeometryError):
            brief.revise(mask, replace(image, spacing_mm=(8.0, 2.0, 2.5)))
        named = replace(mask, structures={"RV": 1, "MYO": 2, "cavity": 3})
        with pytest.raises(SchemaError, match=r"has the structures .*'cavity'"):
            brief.revise(named, image)

    def test_empty_volume(self, brief, unseen):
        mask = unseen[0].mask
        empty = mask.with_array(np.zeros_like(mask.array))
        found = brief.revise(empty, unseen[0].image)
        assert len(found.slices) == len(found.labels) == len(found.presence) == 0

    def test_one_slice(self, brief, unseen):
        mask, image = unseen[0].mask, unseen[0].image
        one, own = (Volume(each.array[1:2], mask.spacing_mm) for each in (mask, image))
        found = brief.revise(replace(mask, volume=one), own)
        assert found.labels.shape == (1, 64, 64)

    def test_twelve_structures(self, rng):
        labels = np.zeros((2, 48, 48), np.uint8)
        for value in range(1, 13):
            row, column = divmod(value - 1, 4)
            labels[:, 8 + 10 * row :, 4 + 10 * column :][:, :8, :8] = value
        mask = LabelMap(
            Volume(labels, (8.0, 2.0, 2.0)), {f"s{k:02d}": k for k in range(1, 13)}
        )
        made = reviser()
        made.structures_ = tuple(mask.structures)
        made.model_ = made.build().eval()
        made.fitted_on_ = {"cohort": "drawn", "patients": ["p"]}
        image = mask.volume.with_array(rng.normal(size=labels.shape))
        found = made.revise(mask, image)
        assert found.probabilities.shape == (2, 13, 48, 48)
        assert found.presence.shape == (2, 12)

    @pytest.mark.slow
    @pytest.mark.parametrize("sees_image", [True, False])
    def test_what_the_network_leaves_out_comes_back(
        self, pair_of_cohorts, unseen, sees_image
    ):
        names = [f"r{k:02d}" for k in range(20)]
        made = reviser(epochs=40, sees_image=sees_image)
        made.fit(*pair_of_cohorts, patients=names)
        for pair in unseen:
            found = made.revise(pair.mask, pair.image)
            assert (found.presence["LV"] > 0.5).all()
            for drawn, truth in zip(found.labels, pair.truth.array, strict=True):
                inside, true = drawn == 3, truth == 3
                assert 2 * (inside & true).sum() / (inside.sum() + true.sum()) > 0.8


class TestSaved:
    def test_is_the_same(self, brief, unseen, tmp_path):
        brief.save(tmp_path / "reviser")
        again = load_reviser(tmp_path / "reviser")
        assert again.get_params(deep=False) == brief.get_params(deep=False)
        for name in ("structures_", "fitted_on_", "drawn_by_"):
            assert getattr(again, name) == getattr(brief, name)
        pd.testing.assert_frame_equal(again.history_, brief.history_)
        one, two = (
            each.revise(unseen[1].mask, unseen[1].image) for each in (brief, again)
        )
        torch.testing.assert_close(one.probabilities, two.probabilities)

    def test_files_of_something_else_are_refused(self, brief, tmp_path):
        brief.save(tmp_path)
        (tmp_path / "reviser.safetensors").write_bytes(b"nothing")
        with pytest.raises(SchemaError, match="is not the file that"):
            load_reviser(tmp_path)
        with pytest.raises(FileNotFoundError):
            load_reviser(tmp_path / "nowhere")
