"""Tasks in, results and failures out; what is finished is never done again."""

import errno
import gc
import json
import logging
import math
import os
import subprocess
import sys

import joblib
import pandas as pd
import pytest
import rich.console

from radlatent.errors import OutputError, RadlatentError, SchemaError
from radlatent.handcrafted import extract
from radlatent.outputs import replace_text
from radlatent.parallel import Shared, forget, map_tasks


def tenth(number):
    if number == 3:
        raise ValueError("three\nis refused")
    return {"value": number / 10}


def append(path, number):
    with path.open("a") as file:
        file.write(f"{number}\n")
    return tenth(number)


def test_results_come_in_the_order_of_the_tasks():
    tasks = {f"t{n}": (n,) for n in (16, 1, 9, 4)}
    # a function that a worker can import: it does not see this file
    outcome = map_tasks(math.sqrt, tasks, jobs=2)
    assert outcome.results == {"t16": 4.0, "t1": 1.0, "t9": 3.0, "t4": 2.0}
    assert list(outcome.results) == list(tasks)


def test_a_worker_that_dies_is_told():
    with pytest.raises(RadlatentError, match="a worker process died"):
        map_tasks(os._exit, dict.fromkeys(range(3), (1,)), jobs=2)


def test_a_failure_is_told_and_stops_nothing():
    outcome = map_tasks(tenth, {n: (n,) for n in range(5)})
    assert outcome.failures == {3: ("ValueError", "three is refused")}
    assert list(outcome.results) == [0, 1, 2, 4]


def test_finished_tasks_are_not_repeated_and_failures_are(tmp_path):
    log, cache = tmp_path / "log", tmp_path / "cache"
    tasks = {str(n): (log, n) for n in range(5)}
    keys = {str(n): f"key{n}" for n in range(5)}
    first = map_tasks(append, tasks, keys=keys, cache=cache)
    again = map_tasks(append, tasks, keys=keys, cache=cache)
    assert again.results == first.results
    assert again.n_resumed == 4
    assert log.read_text().split() == ["0", "1", "2", "3", "4", "3"]


def test_a_result_of_which_something_is_lost_is_forgotten(tmp_path):
    log, cache = tmp_path / "log", tmp_path / "cache"
    tasks = {str(n): (log, n) for n in range(3)}
    keys = {str(n): f"key{n}" for n in range(3)}
    map_tasks(append, tasks, keys=keys, cache=cache)
    (cache / "ke" / "key2.json").write_text("half", "utf-8")
    asked = []
    for key in (*keys.values(), "none", "a/folder"):
        forget(cache, key, lambda result: asked.append(result) or result["value"] > 0)
    # what cannot be read is no result
    assert asked == [{"value": 0.0}, {"value": 0.1}]
    assert map_tasks(append, tasks, keys=keys, cache=cache).n_resumed == 1
    assert log.read_text().split() == ["0", "1", "2", "1", "2"]


def test_results_follow_their_key_and_not_their_place(tmp_path):
    first = {"a": (1,), "b": (2,)}
    map_tasks(tenth, first, keys={"a": "one", "b": "two"}, cache=tmp_path)
    keys = {"b": "two", "new": "four", "renamed": "one"}
    tasks = {"b": (2,), "new": (4,), "renamed": (1,)}
    outcome = map_tasks(tenth, tasks, keys=keys, cache=tmp_path)
    assert outcome.n_resumed == 2
    assert outcome.results == {
        "b": {"value": 0.2},
        "new": {"value": 0.4},
        "renamed": {"value": 0.1},
    }


def test_a_kept_result_is_the_same_to_the_last_bit(tmp_path, rng):
    values = [*rng.standard_normal(1000).tolist(), 1e-308, 1e308, 0.1]
    tasks, keys = {"x": (values,)}, {"x": "key"}
    first = map_tasks(list, tasks, keys=keys, cache=tmp_path)
    again = map_tasks(list, tasks, keys=keys, cache=tmp_path)
    assert again.n_resumed == 1
    assert again.results["x"] == first.results["x"] == values


def test_no_process_at_all_is_refused():
    with pytest.raises(RadlatentError, match="jobs is 0"):
        map_tasks(tenth, {1: (1,)}, jobs=0)


@pytest.mark.parametrize("content", [b'{"val', b"", b"\xff\xfe"])
def test_a_damaged_result_is_made_again(tmp_path, content):
    tasks, keys = {"x": (1,)}, {"x": "key"}
    map_tasks(tenth, tasks, keys=keys, cache=tmp_path)
    (file,) = tmp_path.rglob("*.json")
    file.write_bytes(content)
    outcome = map_tasks(tenth, tasks, keys=keys, cache=tmp_path)
    assert outcome.n_resumed == 0
    assert json.loads(file.read_text()) == {"value": 0.1}


def test_progress_is_logged_where_there_is_no_terminal(caplog):
    caplog.set_level(logging.INFO, "radlatent")
    map_tasks(tenth, {n: (n,) for n in (1, 2)}, description="Counting")
    assert "Counting: 2 of 2, 0 s left" in caplog.text


def notebook(monkeypatch):
    """Make the console take this process for a notebook."""
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    monkeypatch.setattr("radlatent.parallel._has_widgets", lambda: False)
    # a kernel has no handler, and the level of Python
    monkeypatch.setattr(logging.getLogger("radlatent"), "propagate", False)


def test_progress_is_a_line_in_a_notebook_without_widgets(capsys, monkeypatch):
    notebook(monkeypatch)
    map_tasks(tenth, {n: (n,) for n in (1, 2)}, description="Counting")
    said = capsys.readouterr()
    assert said.out == "Counting: 2 of 2, 0 s left\n"
    assert said.err == ""
    monkeypatch.setattr("radlatent.parallel._LOG_EVERY_S", 0.0)
    map_tasks(tenth, {n: (n,) for n in (1, 2)}, description="Counting")
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_notebook_with_a_log_is_told_there_alone(capsys, monkeypatch, caplog):
    notebook(monkeypatch)
    logging.getLogger("radlatent").addHandler(caplog.handler)
    caplog.set_level(logging.INFO, "radlatent")
    map_tasks(tenth, {1: (1,)}, description="Counting")
    assert "Counting: 1 of 1" in caplog.text
    assert capsys.readouterr().out == ""


def test_quiet_is_quiet_in_a_notebook_and_on_a_terminal(capsys, monkeypatch):
    notebook(monkeypatch)
    logging.getLogger("radlatent").setLevel(logging.WARNING)
    map_tasks(tenth, {1: (1,)}, description="Counting")
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: False)
    monkeypatch.setattr(rich.console.Console, "is_terminal", True)
    map_tasks(tenth, {1: (1,)}, description="Counting")
    said = capsys.readouterr()
    assert said.out == said.err == ""


@pytest.mark.slow
def test_an_extraction_tells_its_progress_in_a_kernel():
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    code = (
        "import math\n"
        "from radlatent import parallel\n"
        "parallel._has_widgets = lambda: False\n"
        "_ = parallel.map_tasks(math.sqrt, {'x': (4,)}, description='Counting')"
    )
    cells = [nbformat.v4.new_code_cell(code)]
    book = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(book, kernel_name="python3", timeout=300).execute()
    outputs = [one for one in book.cells[0].outputs if one.output_type == "stream"]
    assert [one.text for one in outputs] == ["Counting: 1 of 1, 0 s left\n"]


def fill(path):
    replace_text(path, "x" * 100)


def test_a_full_disk_is_no_fault_of_a_task(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    tasks, keys = {"a": (tmp_path / "a",)}, {"a": "key"}
    cache = tmp_path / "cache"
    with monkeypatch.context() as patch:
        patch.setattr("radlatent.outputs.os.replace", full)
        with pytest.raises(OutputError, match=f"{tmp_path}: the disk is full"):
            map_tasks(fill, tasks)
    with pytest.raises(OutputError, match="the disk is full"):
        map_tasks(full, tasks)
    # a result that cannot be kept
    with monkeypatch.context() as patch:
        patch.setattr("radlatent.outputs.os.replace", full)
        with pytest.raises(OutputError, match="cache/ke: the disk is full"):
            map_tasks(tenth, {"a": (1,)}, keys=keys, cache=cache)
    assert list(tmp_path.rglob("*.part")) == []


def test_a_cache_that_cannot_be_is_told_before_the_work(tmp_path):
    (tmp_path / "cache").write_text("")
    tasks, keys = {"a": (1,)}, {"a": "key"}
    with pytest.raises(SchemaError, match=r"cache .* is a file; give a folder"):
        map_tasks(os._exit, tasks, keys=keys, cache=tmp_path / "cache")


#: Two workers that say that they work, and would for ten minutes more.
ENDLESS = """
import joblib
from radlatent.parallel import map_tasks
task = "import os, time; os.write(1, b'+'); time.sleep(600)"
if __name__ == "__main__":
    with {where}:
        map_tasks(exec, {{n: (task,) for n in range(5)}}, jobs={jobs})
"""
CLUSTER = (
    "__import__('distributed').Client(n_workers=2, threads_per_worker=1, "
    "dashboard_address=None), joblib.parallel_config('dask')"
)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is of POSIX")
@pytest.mark.parametrize(
    ("where", "jobs"),
    [
        ("joblib.parallel_config('loky')", 2),
        (CLUSTER, None),
    ],
    ids=["loky", "dask"],
)
def test_workers_end_with_a_parent_that_was_killed(tmp_path, where, jobs):
    if where == CLUSTER:
        pytest.importorskip("distributed")
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS.format(where=where, jobs=jobs))
    with subprocess.Popen(
        [sys.executable, script],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as parent:
        assert parent.stdout.read(2) == b"++"
        parent.kill()
        # the end of what they say is there when the last of them has ended
        assert parent.communicate(timeout=300)[0] == b""


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_same_call_runs_on_a_dask_cluster(tmp_path, tiny_cohort):
    distributed = pytest.importorskip("distributed")
    # functions that a worker can import: it does not see this file
    tasks = {str(n): (n,) for n in (4, -1, 9)}
    keys = {name: f"key{name}" for name in tasks}
    shape = {"featureClass": {"shape": ["VoxelVolume"]}}
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        outcome = map_tasks(math.sqrt, tasks, keys=keys, cache=tmp_path)
        workers = map_tasks(os.getpid, dict.fromkeys(range(8), ())).results.values()
        there = extract(tiny_cohort, settings=shape).features
    assert outcome == map_tasks(math.sqrt, tasks)
    assert outcome.results == {"4": 2.0, "9": 3.0}
    assert list(outcome.failures) == ["-1"]
    assert len(list(tmp_path.rglob("*.json"))) == 2
    assert os.getpid() not in workers
    here = extract(tiny_cohort, settings=shape).features
    pd.testing.assert_frame_equal(there, here, check_exact=True)


def test_tasks_that_share_something_run_on_one_worker_which_then_forgets():
    tasks = {(file, n): () for file in "abcd" for n in range(5)}
    shared = Shared(lambda name: name[0], gc.collect)
    processes = map_tasks(os.getpid, tasks, jobs=2, shared=shared).results
    for file in "abcd":
        assert len({processes[file, n] for n in range(5)}) == 1
    assert list(processes) == list(tasks)


def test_what_is_shared_is_forgotten_after_each_group(tmp_path):
    forgotten = []
    shared = Shared(lambda name: name // 3, lambda: forgotten.append(1))
    done = map_tasks(math.sqrt, {n: (n - 2,) for n in range(7)}, jobs=1, shared=shared)
    assert len(forgotten) == 3
    assert [*done.results] == [2, 3, 4, 5, 6]
    assert [*done.failures] == [0, 1]
