import numpy as np
import pandas as pd
import pytest

from radlatent.errors import SchemaError
from radlatent.latent.space.maps import latent_map


def features(values):
    index = pd.Index([f"c{i}" for i in range(len(values))], name="case_id")
    columns = [f"pet_latent__mu{i:03d}" for i in range(values.shape[1])]
    return pd.DataFrame(values, index, columns)


def separation(found):
    """Distance of the means of two groups in standard deviations, first coordinate."""
    groups = found.coordinates.groupby("group")["coordinate_1"]
    low, high = sorted(groups.mean())
    return (high - low) / groups.std().mean()


def test_principal_components_lie_along_the_widest_directions():
    # variance 4 : 1 along two axes of a rotated square, the mean removed
    square = np.array([[2, 1], [2, -1], [-2, 1], [-2, -1]], float)
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    found = latent_map(features(square @ turn + 5))
    assert found.axes["share"].tolist() == pytest.approx([0.8, 0.2])
    values = found.coordinates.to_numpy()
    assert np.abs(values) == pytest.approx(np.abs(square))


def test_a_case_without_features_keeps_its_row(rng):
    table = features(rng.normal(size=(6, 3)))
    table.iloc[2, 1] = np.nan
    coordinates = latent_map(table).coordinates
    assert coordinates.index.equals(table.index)
    assert coordinates.isna().any(axis=1).tolist() == [i == 2 for i in range(6)]


def test_discriminant_axes_do_not_separate_groups_that_are_noise(rng):
    # 60 cases of 30 features: axes fitted on the cases shown separate them by > 1.5 SD
    table = features(rng.normal(size=(60, 30)))
    groups = pd.Series(["a", "b"] * 30, table.index)
    found = latent_map(table, method="lda", groups=groups)
    assert separation(found) < 0.8
    assert found.axes["share"][0] == pytest.approx(1)  # the only axis of two groups
    # 0 is the mean of the cases that a fold was fitted on
    assert abs(found.coordinates["coordinate_1"].mean()) < 0.1
    assert found.axes["label"].tolist() == [
        "discriminant axis 1, cross-fitted",
        "principal component 1",
    ]


def test_discriminant_axes_find_groups_that_differ(rng):
    values = rng.normal(size=(90, 5))
    names = np.repeat(["a", "b", "c"], 30)
    values[:, 3] += 6 * (names == "b")
    values[:, 1] += 6 * (names == "c")
    table = features(values)
    groups = pd.Series(names, table.index)
    found = latent_map(table, method="lda", groups=groups)
    centers = found.coordinates.groupby("group")[
        ["coordinate_1", "coordinate_2"]
    ].mean()
    gaps = [
        np.linalg.norm(centers.loc[a] - centers.loc[b])
        for a, b in (("a", "b"), ("a", "c"), ("b", "c"))
    ]
    assert min(gaps) > 4
    assert found.axes["share"].sum() == pytest.approx(1)  # three groups have two axes
    assert found.axes["share"].min() > 0.2


def test_cases_of_one_patient_are_never_on_both_sides(rng):
    # patients of five copies, labels by chance: only a leak would separate them
    values = np.repeat(rng.normal(size=(20, 15)), 5, axis=0)
    table = features(values + rng.normal(0, 0.01, values.shape))
    groups = pd.Series(np.repeat(["a", "b"] * 10, 5), table.index)
    patients = pd.Series(np.repeat([f"p{i}" for i in range(20)], 5), table.index)
    told = latent_map(table, method="lda", groups=groups, patients=patients)
    leaked = latent_map(table, method="lda", groups=groups)
    assert separation(leaked) > 2 * separation(told)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "tsne"}, "'tsne'"),
        ({"method": "lda"}, "give groups"),
        ({"method": "lda", "groups": ["a"] * 3 + ["b"] * 9}, "of at least 5"),
        ({"method": "lda", "groups": ["a"] * 11 + [None]}, "lacks 1 rows"),
    ],
)
def test_what_cannot_be_drawn_is_refused(rng, options, message):
    table = features(rng.normal(size=(12, 3)))
    if "groups" in options:
        options = options | {"groups": pd.Series(options["groups"], table.index)}
    with pytest.raises(SchemaError, match=message):
        latent_map(table, **options)


def test_too_few_rows_make_no_map(rng):
    with pytest.raises(SchemaError, match="2 complete rows"):
        latent_map(features(rng.normal(size=(2, 3))))


def test_a_map_draws_itself_with_the_names_of_its_axes(rng):
    import matplotlib.pyplot as plt

    found = latent_map(features(rng.normal(size=(9, 3))))
    _, ax = plt.subplots()
    assert found.plot(ax) is ax
    assert ax.get_xlabel().startswith("Principal component 1\n(")
    assert found.summary is found.axes
    assert repr(found).startswith("LatentMap(9 cases: principal component 1")
