"""Latent spaces of different folds, which may be turned against each other."""

import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.latent.space.alignment import alignment_folds

N = 120
INDEX = pd.Index([f"c{k:03d}" for k in range(N)], name="case_id")
PATIENTS = pd.Series([f"p{k:03d}" for k in range(N)], INDEX)


def folded(tables):
    """Return features of three folds of which each tests a third."""
    columns = [f"pet_latent__mu00{k}" for k in range(tables[0].shape[1])]
    fold = np.arange(N) % 3
    return FoldedFeatures(
        {(0, k): pd.DataFrame(t, INDEX, columns) for k, t in enumerate(tables)},
        {(0, k): PATIENTS[fold != k].tolist() for k in range(3)},
    )


@pytest.fixture
def turned(rng):
    """Return one space of three dimensions, turned in each fold."""
    space = rng.normal(size=(N, 3))
    turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(3)]
    return [space @ turn for turn in turns]


def test_a_turned_space_is_the_same_space(turned):
    found = alignment_folds(folded(turned), PATIENTS)
    assert found.correlations["correlation"].min() > 0.999
    assert found.known["r2"].min() > 0.99
    assert not found.features["alone"].any()
    assert len(found.known) == 6 * 3
    assert found.summary["count"].tolist() == [3, 3, 3]
    # of 120 rows, 40 are fitted on by both
    assert set(found.known["n"]) == {80}
    assert repr(found).startswith("FoldAlignment(0 of 9 latent features")


def test_what_no_other_fold_finds_is_marked(turned, rng):
    tables = [t.copy() for t in turned]
    tables[1] = np.column_stack([tables[1], rng.normal(size=N)])
    tables[0], tables[2] = (
        np.column_stack([tables[k], tables[k][:, 0] - tables[k][:, 1]]) for k in (0, 2)
    )
    found = alignment_folds(folded(tables), PATIENTS)
    alone = found.features.query("alone")
    assert alone[["fold", "feature"]].to_numpy().tolist() == [[1, "pet_latent__mu003"]]
    assert alone["best"].iloc[0] < 0.1


def test_noise_has_nothing_in_common(rng):
    found = alignment_folds(folded(rng.normal(size=(3, N, 3))), PATIENTS)
    # fitted correlations of noise would be .3 and more
    assert found.correlations["correlation"].abs().mean() < 0.15
    assert found.features["alone"].all()


def test_collapsed_latents_and_missing_rows_are_left_out(turned):
    tables = [np.column_stack([t, np.full(N, 1e-9)]) for t in turned]
    tables[0][:5] = np.nan
    found = alignment_folds(folded(tables), PATIENTS)
    assert found.known["r2"].min() > 0.99
    assert not found.known["feature"].str.endswith("mu003").any()


def test_too_little_is_refused(turned):
    one = FoldedFeatures({(0, 0): folded(turned).at(0, 0)}, {(0, 0): ["p000"]})
    with pytest.raises(SchemaError, match=r"1 fold\(s\)"):
        alignment_folds(one, PATIENTS)
    with pytest.raises(SchemaError, match="119 rows without a patient"):
        alignment_folds(folded(turned), PATIENTS[:1])
    few = folded(turned)
    few = FoldedFeatures(few.tables, {name: ["p000"] for name in few.tables})
    with pytest.raises(SchemaError, match="1 rows that both were fitted on"):
        alignment_folds(few, PATIENTS)
