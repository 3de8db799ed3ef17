"""Records say what they are of; files are whole or absent; models are their files."""

import json

import numpy as np
import pytest

from radlatent.errors import SchemaError
from radlatent.records import (
    Kind,
    read_model,
    read_record,
    read_tensors,
    replace_file,
    write_model,
    write_record,
    write_tensors,
)

HANDLE = Kind("a handle", version=1, keys=frozenset({"length"}))
HAMMER = Kind(
    "a hammer",
    version=3,
    keys=frozenset({"weight"}),
    tensors="head.safetensors",
    parts={"handle": ("handle.json", HANDLE)},
)


@pytest.fixture
def path(tmp_path):
    write_record(tmp_path / "it.json", {"format": 2, "versions": {}, "size": [1, 2]})
    return tmp_path / "it.json"


def read(path, version=2):
    return read_record(path, of="a shape", keys=("size",), version=version)


def test_what_was_written_is_read(path):
    assert read(path)["size"] == [1, 2]


@pytest.mark.parametrize("text", ["", "{", "nonsense"])
def test_no_json(path, text):
    path.write_text(text, "utf-8")
    with pytest.raises(SchemaError, match=r"it\.json is not JSON"):
        read(path)


@pytest.mark.parametrize("value", [[], 3, None, "size", {"size": 1}])
def test_something_else(path, value):
    path.write_text(json.dumps(value), "utf-8")
    with pytest.raises(SchemaError, match=r"is not of a shape: it lacks \['format'"):
        read(path)


def test_another_format(path):
    with pytest.raises(SchemaError, match=r"has format 2; .* reads 3"):
        read(path, version=3)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent.json")


def test_a_draft_that_fails_leaves_the_old_content(path):
    def fail(part):
        with open(part, "w") as file:
            file.write("half")
        raise OSError("the disk is full")

    before = path.read_bytes()
    with pytest.raises(OSError, match="the disk is full"):
        replace_file(path, fail)
    assert path.read_bytes() == before


def made(record, tensors):
    return record["weight"] * tensors["head"], record["handle"]["length"]


@pytest.fixture
def hammer(tmp_path):
    pytest.importorskip("safetensors")
    handle = {"length": 30, "versions": {}}
    record = {"weight": 2.0, "versions": {}, "handle": handle}
    path = tmp_path / "deep" / "hammer.json"
    write_model(path, HAMMER, record, {"head": np.arange(6.0).reshape(2, 3)})
    return path


def test_a_model_is_made_of_all_its_files(hammer):
    assert sorted(path.name for path in hammer.parent.iterdir()) == [
        "hammer.json",
        "handle.json",
        "head.safetensors",
    ]
    head, length = read_model(hammer, HAMMER, made)
    np.testing.assert_array_equal(head, 2 * np.arange(6.0).reshape(2, 3))
    assert length == 30
    assert "handle" not in json.loads(hammer.read_text("utf-8"))


@pytest.mark.parametrize("name", ["handle.json", "head.safetensors"])
def test_files_of_another_model_are_refused(hammer, name):
    path = hammer.with_name(name)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(SchemaError, match=rf"{name} is not .* all files of one hammer"):
        read_model(hammer, HAMMER, made)


@pytest.mark.parametrize(
    "error", [AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError]
)
def test_what_no_model_can_be_made_of_is_refused_with_the_reason(hammer, error):
    def fail(record, tensors):
        raise error("the head is loose")

    with pytest.raises(SchemaError, match=r"not hold a hammer .*the head is loose"):
        read_model(hammer, HAMMER, fail)


def test_a_kind_without_tensors_is_one_file(tmp_path):
    write_model(tmp_path / "it.json", HANDLE, {"length": 30, "versions": {}}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["it.json"]
    found = read_model(tmp_path / "it.json", HANDLE, lambda record, _: record)
    assert found["length"] == 30


def test_tensors_and_what_is_said_of_them(tmp_path):
    pytest.importorskip("safetensors")
    arrays = {"a": np.arange(3, dtype=np.float32), "b": np.array(7)}
    write_tensors(tmp_path / "it", arrays, {"epoch": "3"})
    found, about = read_tensors(tmp_path / "it")
    assert about == {"epoch": "3"}
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    (tmp_path / "it").write_bytes(b"nothing")
    with pytest.raises(SchemaError, match="it holds no tensors"):
        read_tensors(tmp_path / "it")
