import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import OneHotEncoder

from radlatent.features.values import (
    as_floats,
    as_texts,
    class_faults,
    indicators,
    text_index,
)


@pytest.mark.parametrize(
    "values",
    [
        [1, 0, 1],
        [1.0, 0.0, 1.0],
        pd.array([1, 0, 1], "Int64"),
        pd.Categorical([1, 0, 1]),
        np.array([1, 0, 1], "int8"),
        ["1", "0", "1"],
    ],
)
def test_a_class_has_one_name_whatever_type_pandas_gave_it(values):
    assert as_texts(pd.Series(values)).tolist() == ["1", "0", "1"]


def test_what_is_missing_has_no_name():
    values = pd.Series(["a", None, np.nan, pd.NA, "", "  ", "b"], dtype=object)
    assert as_texts(values).isna().tolist() == [False, *[True] * 5, False]
    floats = pd.Series([True, None, False], dtype="boolean")
    assert as_texts(floats).tolist() == ["True", None, "False"]


def test_ids_that_a_missing_cell_made_floats_are_whole_numbers():
    assert text_index(pd.Index([1.0, 20.0])).tolist() == ["1", "20"]
    kept = pd.Index(["007", "x"], name="case_id")
    pd.testing.assert_index_equal(text_index(kept), kept)


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (["yes", "Yes"], "differ only in case"),
        (["yes", "yes "], "differ only in case, blanks"),
        (["grade  1", "grade 1", "x"], r"\['grade  1', 'grade 1'\]"),
        (["1", "1.0", "0"], "format of a number"),
        (["01", "1"], "format of a number"),
        (["a", "None"], r"\['None'\] would be a class of its own"),
        ([str(i / 7) for i in range(30)], "30 different numbers are a continuous"),
    ],
)
def test_names_that_are_no_classes_are_told(names, word):
    (fault,) = class_faults(names)
    assert pd.Series([fault]).str.contains(word).all()


def test_names_that_are_classes_pass():
    assert class_faults([str(i) for i in range(10)]) == []
    assert class_faults([f"site {i}" for i in range(30)]) == []
    assert class_faults(["e1", "e10", "1e1"]) == []


def test_numbers_come_from_every_type_and_from_nothing_else():
    expected = [1.0, np.nan, 0.0]
    for values in (
        pd.array([1, None, 0], "Int64"),
        pd.array([True, None, False], "boolean"),
        ["1", None, "0"],
        ["1", "", " 0"],
        [True, None, False],
        pd.Categorical([1, None, 0]),
    ):
        np.testing.assert_array_equal(as_floats(pd.Series(values)), expected)
    for values in (["a", "1"], ["nan", "1"], ["inf", "1"], [pd.Timestamp(0)] * 2):
        assert as_floats(pd.Series(values)) is None


def test_indicators_are_those_of_an_encoder_that_was_fitted_inside_the_fold():
    stage = pd.Series([*"abcab", *"abcd"], name="stage")
    train, test = stage[:5], stage[5:]
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    encoder.fit(train.to_frame())
    table = indicators(stage)
    # what does not vary in training is dropped there
    kept = table.columns[table.loc[train.index].std() > 0]
    np.testing.assert_array_equal(
        table.loc[test.index, kept], encoder.transform(test.to_frame())
    )
    assert list(kept) == ["stage=a", "stage=b", "stage=c"]


def test_two_categories_are_one_column_and_missing_stays_missing():
    table = indicators(pd.Series(["M", "F", None], name="sex"))
    assert list(table) == ["sex=M"]
    np.testing.assert_array_equal(table["sex=M"], [1, 0, np.nan])
    known = pd.Series(pd.Categorical(["a", "a"], ["a", "b", "c"]), name="t")
    assert list(indicators(known)) == ["t=a", "t=b", "t=c"]
