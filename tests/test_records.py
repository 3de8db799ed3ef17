"""Records say what they are of; files are whole or absent."""

import json

import pytest

from radlatent.errors import SchemaError
from radlatent.records import read_record, replace_file, write_record


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
