"""Tables are checked where they are read, everything wrong with them at once."""

import time

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, ConfigDict

from radlatent import schema
from radlatent.errors import RadlatentError, SchemaError


@pytest.fixture
def features():
    index = pd.Index(["a", "b"], name="case_id")
    return pd.DataFrame({"ct_handcrafted__x": [1.0, np.nan]}, index)


def test_a_features_table_may_hold_missing_values(features):
    assert schema.check_features(features) is features


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t.rename_axis("patient"), "index is named 'patient'"),
        (
            lambda t: t.set_axis(["a", "a"]).rename_axis("case_id"),
            "'a'. more than once",
        ),
        (lambda t: t.rename(columns=lambda c: "x"), "not named '<block>__<feature>'"),
        (lambda t: t.rename(columns=lambda c: "ct__ "), "not named"),
        (lambda t: t.fillna(1).astype(int), "not float64"),
        (lambda t: t.fillna(np.inf), "infinite values"),
        (lambda t: pd.concat([t, t], axis=1), "more than once"),
        (lambda t: t["ct_handcrafted__x"], "it is a Series"),
    ],
)
def test_what_is_no_features_table_is_refused(features, change, expected):
    with pytest.raises(SchemaError, match=expected):
        schema.check_features(change(features))


def test_a_features_table_may_be_of_patients(features):
    schema.check_features(features.rename_axis("patient_id"))


def test_all_faults_are_reported_together():
    metrics = pd.DataFrame({"model": ["m"], "blocks": ["b"], "estimate": ["high"]})
    with pytest.raises(SchemaError) as caught:
        schema.check_metrics(metrics)
    text = str(caught.value)
    assert "'endpoint' is missing" in text
    assert "'estimate' is object, not float" in text
    assert text.count(";") >= 7


def test_a_patient_in_two_folds_of_a_repeat_is_refused():
    folds = pd.DataFrame({"patient_id": ["a", "a"], "repeat": [0, 0], "fold": [0, 1]})
    with pytest.raises(SchemaError, match="two folds"):
        schema.check_folds(folds)
    schema.check_folds(folds.assign(repeat=[0, 1]))


def test_a_patient_predicted_twice_is_refused():
    row = {"model": "m", "blocks": "b", "endpoint": "e", "repeat": 0, "fold": 0}
    row |= {"patient_id": "a", "truth": "x", "probability_x": 0.5}
    with pytest.raises(SchemaError, match="predicted twice"):
        schema.check_predictions(pd.DataFrame([row, row]))
    with pytest.raises(SchemaError, match="probability_<class>"):
        schema.check_predictions(pd.DataFrame([row]).drop(columns="probability_x"))


def test_an_failures_table_table_is_a_failures_table():
    assert schema.check_failures(schema.failures_table()).empty


def test_every_error_is_a_value_error_or_one_of_files():
    kinds = {error.__name__: error.__mro__ for error in RadlatentError.__subclasses__()}
    # a case that cannot be measured keeps its row; a full disk ends the run
    assert OSError in kinds.pop("OutputError")
    assert all(ValueError in bases for bases in kinds.values())


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: float


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    parts: dict[str, Inner] = {}
    one: Inner | None = None


def test_an_unknown_key_is_looked_up_where_it_stands():
    content = {"parts": {"a": {"widht": 1}}, "one": {"widths": 1}, "tow": 2}
    with pytest.raises(SchemaError) as caught:
        schema.parse(content, Outer, source="x.yml")
    text = str(caught.value)
    assert text.startswith("x.yml: ")
    assert "unknown key 'parts.a.widht'; did you mean 'width'?" in text
    assert "unknown key 'one.widths'; did you mean 'width'?" in text
    assert "unknown key 'tow'" in text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"one: [", "not YAML"),
        (b"- a\n- b\n", "holds list, not keys and values"),
        (b"one: \xe9\n", "not UTF-8 at byte 5"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path, content, expected):
    path = tmp_path / "x.yml"
    path.write_bytes(content)
    with pytest.raises(SchemaError, match=expected):
        schema.read_yaml(path, Outer)


def test_a_yaml_file_can_run_no_code(tmp_path):
    path = tmp_path / "x.yml"
    target = tmp_path / "made"
    path.write_text(f"one: !!python/object/apply:os.mkdir ['{target}']\n", "utf-8")
    with pytest.raises(SchemaError, match="not YAML"):
        schema.read_yaml(path, Outer)
    assert not target.exists()


@pytest.fixture
def written(tmp_path):
    """Return a function: text in, the path of a YAML file out."""

    def write(text):
        path = tmp_path / "file.yml"
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\nb: 2\na: 3\n", "key 'a' is given twice, in lines 1 and 3"),
        ("b:\n  c: {d: 1, e: 2, d: 1}\n", "key 'd' is given twice, in lines 2 and 2"),
        ("a: [{x: 1}, {x: 1,\n x: 2}]\n", "key 'x' is given twice, in lines 1 and 2"),
        # one key in two spellings
        ("yes: 1\ntrue: 2\n", "key 'True' is given twice"),
        ("a: &t {k: 1, k: 2}\nb: *t\n", "key 'k' is given twice"),
    ],
)
def test_a_key_given_twice_is_refused_with_its_lines(written, text, found):
    with pytest.raises(SchemaError, match=found):
        schema.read_yaml(written(text), Outer)


def test_keys_given_twice_are_told_all_at_once(written):
    with pytest.raises(SchemaError, match=r"'a' is given twice.*'b' is given twice"):
        schema.read_yaml(written("a: 1\na: 2\nb: {b: 1, b: 2}\n"), Outer)


def test_one_key_in_two_mappings_is_no_fault(written):
    with pytest.raises(SchemaError) as refused:
        schema.read_yaml(written("a: {k: 1}\nb: {k: 1}\n"), Outer)
    assert "twice" not in str(refused.value)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_a_file_that_nests_too_deep_is_refused(written, opening):
    with pytest.raises(SchemaError, match=r"nested too deep|not YAML"):
        schema.read_yaml(written("z: " + opening * 5000 + "\n"), Outer)


def test_nesting_is_refused_before_it_takes_time(written):
    start = time.perf_counter()
    with pytest.raises(SchemaError, match="nested too deep"):
        schema.read_yaml(written("z: " + "[" * 1_000_000 + "\n"), Outer)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("value", ["2024-13-45", "9" * 5000, "!!int x"])
def test_values_that_yaml_itself_cannot_hold_are_told_with_the_file(written, value):
    with pytest.raises(SchemaError, match=r"file\.yml: not YAML"):
        schema.read_yaml(written(f"name: {value}\n"), Outer)


def bomb(levels):
    rows = ["&a0 [" + ",".join("x" * 9) + "]"]
    rows += [f"&a{i} [" + ",".join([f"*a{i - 1}"] * 9) + "]" for i in range(1, levels)]
    return "name: [" + ", ".join(rows) + "]\n"


@pytest.mark.parametrize("text", [bomb(12), "name: &a [*a]\n", "name: &a {k: *a}\n"])
def test_aliases_that_expand_without_end_are_refused(written, text):
    with pytest.raises(SchemaError, match=r"expand to more than|recursive"):
        schema.read_yaml(written(text), Outer)


def test_a_large_value_in_a_message_is_not_written_out(written):
    with pytest.raises(SchemaError) as refused:
        schema.read_yaml(written(bomb(5)), Outer)
    assert len(str(refused.value)) < 2000


def test_what_is_merged_is_no_second_key(written):
    text = "one: &o {width: 1}\nparts:\n  a: {<<: *o}\n  b: {<<: *o, width: 2}\n"
    found = schema.read_yaml(written(text), Outer)
    assert [part.width for part in found.parts.values()] == [1, 2]
    with pytest.raises(SchemaError, match="'width' is given twice"):
        schema.read_yaml(written(text.replace("width: 2", "width: 2, width: 3")), Outer)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name: '" + "x" * 2_000_000 + "'\n", "at most 1,048,576 are read"),
        ("name: [" + "1," * 200_000 + "]\n", "more than 100,000 values"),
    ],
    ids=["long", "many"],
)
def test_what_no_person_wrote_is_refused(written, text, found):
    with pytest.raises(SchemaError, match=found):
        schema.read_yaml(written(text), Outer)
