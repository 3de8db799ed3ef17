"""A hash is kept while two witnesses say that the file is the same, and no longer."""

import gzip
import json
import os
import shutil

import numpy as np
import pytest

from radlatent.imaging import (
    Volume,
    hash_file,
    hashes,
    keep_hashes,
    kept_hashes,
    write_volume,
)
from radlatent.provenance import file_hash


@pytest.fixture
def path(tmp_path, rng, monkeypatch):
    # a file of this moment may change again within the clock of a disk
    monkeypatch.setattr(hashes, "_COARSE_NS", -1)
    voxels = rng.normal(size=(9, 10, 11)).astype(np.float32)
    return write_volume(Volume(voxels, (3, 1, 1)), tmp_path / "image.nii.gz")


@pytest.fixture
def folder(path, tmp_path):
    keep_hashes(tmp_path / "cache", {path: hash_file(path)})
    return tmp_path / "cache"


def other_content(path):
    """Write other voxels in as many bytes: flip one, and pack without compression."""
    stored = bytearray(gzip.decompress(path.read_bytes()))
    stored[-1] ^= 1
    packed = gzip.compress(bytes(stored), 0, mtime=0)
    path.write_bytes(packed)


def test_a_file_that_is_the_same_is_not_read_again(path, folder, monkeypatch):
    digest = file_hash(path)
    monkeypatch.setattr(hashes, "file_hash", None)
    assert kept_hashes(folder, [path]) == {path: digest}
    monkeypatch.chdir(path.parent)
    assert kept_hashes(folder, [os.path.relpath(path)]) == {path.name: digest}


def in_place(path):
    """Change one byte in the middle; size and end stay."""
    with path.open("r+b") as file:
        file.seek(100)
        byte = file.read(1)[0]
        file.seek(100)
        file.write(bytes([byte ^ 1]))


def replaced(path):
    """Put another file of the same size in its place."""
    other = path.with_name("other.nii.gz")
    shutil.copy2(path, other)
    in_place(other)
    os.replace(other, path)


def longer(path):
    with path.open("ab") as file:
        file.write(bytes(10))


@pytest.mark.parametrize("change", [in_place, replaced, longer, os.unlink])
@pytest.mark.parametrize("times", ["as they are", "set back"])
def test_a_file_that_changed_is_hashed_again(path, folder, change, times):
    about = path.stat()
    change(path)
    if times == "set back" and path.exists():  # as rsync, tar and cp -p do
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert kept_hashes(folder, [path]) == {}


def test_a_disk_that_lies_about_everything_is_not_believed(path, tmp_path, monkeypatch):
    stored = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(stored, 0, mtime=0))
    keep_hashes(tmp_path / "cache", {path: hash_file(path)})
    about = path.stat()
    other_content(path)
    assert path.stat().st_size == about.st_size
    monkeypatch.setattr(hashes.os, "stat", lambda _: about)
    assert kept_hashes(tmp_path / "cache", [path]) == {}


def two_members(volume, path):
    plain = write_volume(volume, path.with_name("plain.nii")).read_bytes()
    path.write_bytes(gzip.compress(plain[:500]) + gzip.compress(plain[500:]))


@pytest.mark.parametrize("name", ["x.nii", "x.nrrd", "x.mha", "two.nii.gz"])
def test_what_the_end_of_a_file_does_not_tell_is_not_kept(path, tmp_path, name):
    volume = Volume(np.ones((4, 5, 6), np.float32), (3, 1, 1))
    other = tmp_path / name
    if name == "two.nii.gz":
        two_members(volume, other)
    else:
        write_volume(volume, other)
    digest, proof = hash_file(other)
    assert (digest, proof) == (file_hash(other), None)
    keep_hashes(tmp_path / "cache", {other: (digest, proof)})
    assert kept_hashes(tmp_path / "cache", [other]) == {}


def test_a_file_that_changed_just_now_is_not_kept(path, monkeypatch):
    monkeypatch.setattr(hashes, "_COARSE_NS", 5 * 10**9)
    assert hash_file(path) == (file_hash(path), None)


def test_a_file_that_changes_while_it_is_hashed_is_not_kept(path, monkeypatch):
    def slow(path):
        digest = file_hash(path)
        in_place(path)
        return digest

    monkeypatch.setattr(hashes, "file_hash", slow)
    assert hash_file(path)[1] is None


def test_a_hash_that_does_not_hold_any_more_is_forgotten(path, folder, monkeypatch):
    in_place(path)
    monkeypatch.setattr(hashes, "_COARSE_NS", 5 * 10**9)
    keep_hashes(folder, {path: hash_file(path)})
    assert json.loads((folder / "hashes.index").read_text()) == {}


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"\xff", b'{"x": 1}', b'{"%s": [1, 2]}', b"null"]
)
def test_a_damaged_file_of_hashes_keeps_nothing(path, folder, content):
    content = content.replace(b"%s", str(path).encode())
    (folder / "hashes.index").write_bytes(content)
    assert kept_hashes(folder, [path]) == {}
    keep_hashes(folder, {path: hash_file(path)})
    assert kept_hashes(folder, [path]) == {path: file_hash(path)}


def test_without_a_folder_nothing_is_kept(path, tmp_path):
    keep_hashes(None, {path: hash_file(path)})
    assert kept_hashes(None, [path]) == {}
    assert kept_hashes(tmp_path / "none", [path]) == {}
