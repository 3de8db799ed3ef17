"""Outputs are whole or absent; a full disk and a killed run are told and swept."""

import errno
import os
import pickle
import re
import subprocess
import sys
import time

import numpy as np
import pytest

from radlatent.errors import OutputError, SchemaError
from radlatent.imaging import Volume, write_volume
from radlatent.outputs import (
    _signature,
    as_output_error,
    check_file,
    check_folder,
    replace_bytes,
    replace_text,
    sweep,
)


def failing(error):
    def write(*arguments, **options):
        raise error

    return write


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the quota of the disk"),
        (OSError(errno.EROFS, "Read-only file system"), "the disk is read-only"),
        (PermissionError(errno.EACCES, "Permission denied"), "no permission to write"),
        # libraries that are not written in Python
        (RuntimeError("I/O error: No space left on device (os error 28)"), "is full"),
        (ValueError("database or disk is full"), "the disk is full"),
    ],
)
def test_what_keeps_from_writing_names_the_folder(tmp_path, monkeypatch, error, said):
    path = tmp_path / "table.csv"
    path.write_text("before")
    monkeypatch.setattr("radlatent.outputs.os.replace", failing(error))
    with pytest.raises(OutputError, match=re.escape(f"{tmp_path}: ")) as told:
        replace_text(path, "after")
    message = str(told.value)
    assert said in message
    assert "what is finished is kept" in message
    assert "start again" in message
    assert "\n" not in message
    assert [one.name for one in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "before"
    # it comes back from another process
    assert str(pickle.loads(pickle.dumps(told.value))) == message


def test_what_is_no_matter_of_the_disk_stays_what_it_is(tmp_path):
    with pytest.raises(AttributeError):
        replace_bytes(tmp_path / "x", None.content)
    assert as_output_error(ValueError("three is refused"), tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_hides_a_full_disk_is_found_out(tmp_path, monkeypatch):
    # as the writer of PDF of matplotlib: 'Stream' object has no attribute 'pos'
    monkeypatch.setattr("radlatent.outputs._is_full", lambda folder: True)
    hidden = AttributeError("'Stream' object has no attribute 'pos'")
    assert "the disk is full" in str(as_output_error(hidden, tmp_path))


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder with room for 200 kB, where the system gives one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except OSError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip("only root may make a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full(small_disk):
    replace_text(small_disk / "kept", "x")
    with pytest.raises(OutputError, match=f"{small_disk}: the disk is full"):
        replace_bytes(small_disk / "large", bytes(400_000))
    noise = np.random.default_rng(0).normal(size=(64, 64, 64)).astype(np.float32)
    for name in ("x.nii.gz", "x.nii", "x.nrrd", "x.mha"):
        with pytest.raises(OutputError, match=f"{small_disk}: the disk is full"):
            write_volume(Volume(noise, (1.0, 1.0, 1.0)), small_disk / name)
    assert [one.name for one in small_disk.iterdir()] == ["kept"]


def test_where_files_and_folders_are_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SchemaError, match="is a folder; give a file"):
        check_file(tmp_path / "folder")
    with pytest.raises(SchemaError, match="is a file; give a folder"):
        check_folder(tmp_path / "file")
    for check in (check_file, check_folder):
        with pytest.raises(SchemaError, match="is a file, not a folder"):
            check(tmp_path / "file" / "a" / "b")
        check(tmp_path / "new" / "b")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SchemaError, match="give a folder"):
        check_folder(tmp_path / "broken")
    # nothing was made
    names = {one.name for one in tmp_path.iterdir()}
    assert names == {"file", "folder", "broken"}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may all")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="no permission to write"):
        check_file(tmp_path / "x.csv")


WRITER = """
import sys, time
from radlatent.outputs import drafted, drafting_folder
with drafted(sys.argv[1]) as draft, drafting_folder(sys.argv[1]) as other:
    draft.write_text("half")
    other.write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


def test_drafts_of_the_killed_are_swept_and_those_of_the_living_stay(tmp_path):
    killed, living = (
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "data" / name)],
            stdout=subprocess.PIPE,
        )
        for name in ("killed.csv", "living.csv")
        if (tmp_path / "data").mkdir(exist_ok=True) is None
    )
    try:
        for one in (killed, living):
            assert one.stdout.readline() == b"writing\n"
        killed.kill()
        killed.wait()
        assert len(list((tmp_path / "data").iterdir())) == 4
        sweep(tmp_path)
        left = sorted(one.name for one in (tmp_path / "data").iterdir())
        assert len(left) == 2
        assert all("living.csv" in name for name in left)
    finally:
        for one in (killed, living):
            one.kill()
            one.wait()
            one.stdout.close()
    sweep(tmp_path / "data", deep=False)
    assert list((tmp_path / "data").iterdir()) == []


def test_only_drafts_of_ours_are_swept(tmp_path):
    old = time.time() - 7200
    ours = ["tmpab12_xyz.part", "flow.csv.part", "x.00000000-1.part"]
    others = ["film.mkv.part", "tmp.part", "notes.txt", f"x.csv.{_signature()}.part"]
    for name in (*ours, *others):
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (old, old))
    (tmp_path / "tmpfresh_12.part").write_text("half")
    sweep(tmp_path, deep=False)
    assert len(list(tmp_path.iterdir())) == 8
    sweep(tmp_path)
    left = {one.name for one in tmp_path.iterdir()}
    # of another machine: nobody to ask, so that it stays for a day
    assert left == {*others, "tmpfresh_12.part", "x.00000000-1.part"}
    os.utime(tmp_path / "x.00000000-1.part", (old - 86400, old - 86400))
    sweep(tmp_path)
    assert not (tmp_path / "x.00000000-1.part").exists()
    sweep(tmp_path / "nowhere")
