import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.latent.results import Reconstructions
from radlatent.latent.space import ranks


def of(originals, decoded, masks=None):
    """Reconstructions of rows of pixels, one channel."""
    originals, decoded = (
        np.asarray(a, dtype=np.float32)[:, None, None, :] for a in (originals, decoded)
    )
    masks = np.ones_like(originals) if masks is None else np.asarray(masks, "float32")
    index = pd.Index([f"c{i}" for i in range(len(originals))], name="case_id")
    cases = pd.DataFrame({"patient_id": [f"p{i}" for i in range(len(index))]}, index)
    masks = masks.reshape(originals.shape)
    return Reconstructions(cases, originals, decoded, masks, ("pet",))


def brute_force(found):
    """The definition of METHODS 2.6, case by case."""
    ranks = []
    for i in range(len(found.cases)):
        mask = found.masks[i] > 0
        own = np.mean((found.decoded[i] - found.originals[i])[mask] ** 2)
        others = [
            np.mean((found.decoded[i] - found.originals[j])[mask] ** 2)
            for j in range(len(found.cases))
            if j != i
        ]
        ranks.append(1 + sum(value < own for value in others))
    return ranks


def test_a_case_nearer_to_another_original_loses_a_rank():
    found = of([[0], [1], [5]], [[0.1], [0.2], [2.9]])
    # 2.9 is 2.1 from its own 5, 1.9 from 1 and 2.9 from 0
    assert ranks.ranking(found).ranks.tolist() == [1, 2, 2]


def test_summary_says_pool_chance_and_reading():
    row = ranks.ranking(of([[0], [1], [5]], [[0.1], [0.2], [2.9]])).summary.iloc[0]
    assert row["mean"] == pytest.approx(5 / 3)
    assert row["standard_deviation"] == pytest.approx(np.sqrt(2) / 3)
    assert row["share_first"] == pytest.approx(1 / 3)
    assert (row["n_cases"], row["chance"], row["worst"]) == (3, 2.0, 2)
    assert not row["saturated"]
    assert row["definition"].startswith("our reading")


def test_equal_originals_rank_first_because_less_is_strict(rng):
    # 40 copies of one noisy picture: products round differently, ties must stay ties
    picture = rng.normal(size=997).astype(np.float32)
    pool = np.repeat(picture[None], 40, axis=0)
    found = ranks.ranking(of(pool, pool + rng.normal(size=pool.shape)))
    assert found.ranks.tolist() == [1] * 40
    assert found.summary.loc[0, "saturated"]
    assert "uninformative" in repr(found)


def test_ranks_are_those_of_the_definition_under_masks(rng, monkeypatch):
    monkeypatch.setattr(ranks, "_VOXELS", 7)  # several parts
    masks = rng.random((30, 50)) < 0.4
    originals = rng.normal(size=(30, 50)) * masks
    decoded = originals + rng.normal(0, 3, size=(30, 50))
    found = of(originals, decoded, masks)
    expected = brute_force(found)
    assert len(set(expected)) > 3
    assert ranks.ranking(found).ranks.tolist() == expected


def test_what_is_decoded_outside_of_the_mask_changes_no_rank():
    masks = [[1, 0], [1, 0]]
    near, far = ([[0.2, k], [0.9, -k]] for k in (0, 1e6))
    found = [ranks.ranking(of([[0, 0], [1, 0]], d, masks)).ranks for d in (near, far)]
    assert found[0].tolist() == found[1].tolist() == [1, 1]


def test_noise_has_the_rank_of_chance(rng):
    n = 400
    noise = of(rng.normal(size=(n, 20)), rng.normal(size=(n, 20)))
    row = ranks.ranking(noise).summary.iloc[0]
    # the rank of noise is uniform on 1..n: standard error of the mean n / sqrt(12 n)
    assert abs(row["mean"] - row["chance"]) < 4 * n / np.sqrt(12 * n)


def test_a_pool_of_one_has_no_rank():
    with pytest.raises(SchemaError, match="1 cases"):
        ranks.ranking(of([[0]], [[0]]))


def test_a_ranking_draws_itself():
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    assert ranks.ranking(of([[0], [1]], [[0], [0]])).plot(ax) is ax
    assert [bar.get_height() for bar in ax.patches] == [1, 1]
