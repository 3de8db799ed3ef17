"""What compares the engines refuses what is wrong."""

import numpy as np
import pytest

MCC, CORRELATION = "original_glcm_MCC", "original_glcm_Correlation"


@pytest.mark.parametrize(
    ("name", "found", "expected"),
    [
        (MCC, 0.0, 0.9),
        (MCC, 0.45, 0.9),
        (MCC, 0.9 * 12 / 13, 0.9),
        (MCC, np.nan, 0.0),
        (CORRELATION, 1.0, 0.0),
        (CORRELATION, 0.5 + 1 / 13, 0.5),
        ("original_glcm_Imc2", 0.3, 0.6),
        ("original_glcm_Contrast", 1 + 1e-8, 1.0),
        ("original_glcm_Contrast", np.nan, 1.0),
        ("original_glcm_Contrast", 1.0, np.nan),
    ],
)
def test_another_value_is_refused(name, found, expected, same_values):
    same = {"original_glcm_Contrast": 1.0}
    assert list(same_values(same | {name: found}, same | {name: expected})) == [name]


@pytest.fixture
def two_directions(count_directions):
    """Return how many directions are degenerate: one, of two."""
    pairs = np.zeros((2, 3, 2), int)  # the third has no pair
    pairs[:, 0] = [[4, 1], [1, 3]]
    pairs[0, 1, 0] = 5
    return lambda image: count_directions(pairs, True, None)


def test_directions_are_counted_in_their_matrices(two_directions, count_directions):
    known = two_directions("original")
    assert (known.n, known.n_single, known.n_rank_one) == (2, 1, 1)
    independent = np.outer([1, 2, 3], [2, 1, 1])[:, None]
    known = count_directions(independent, False, None)
    assert (known.n, known.n_single, known.n_rank_one) == (1, 0, 1)
    both = np.concatenate([independent, np.eye(3, dtype=int)[:, None]], axis=1)
    known = count_directions(both, False, np.array([1.0, 0.5]))
    assert (known.n, known.n_single, known.n_rank_one) == (1, 0, 0)


@pytest.mark.parametrize(
    ("name", "found", "expected", "accepted"),
    [
        (MCC, 0.45, 0.9, True),  # the mean of two, or of the one that is not 0
        (MCC, 0.9, 0.45, True),
        (MCC, 0.3, 0.9, False),
        (MCC, 0.0, 0.9, False),
        (CORRELATION, 0.75, 0.25, True),
        (CORRELATION, 0.25, 0.75, False),
        (CORRELATION, 1.0, 0.0, False),
        ("original_glcm_Contrast", 0.45, 0.9, False),
    ],
)
def test_as_many_directions_as_are_degenerate_may_count_otherwise(
    name, found, expected, accepted, same_values, two_directions
):
    waived = []
    wrong = same_values({name: found}, {name: expected}, two_directions, waived)
    assert (list(wrong), waived) == (([], [name]) if accepted else ([name], []))
