"""Parts of a verb, gathered, are what one run writes."""

import json
import os
import signal
import stat
import subprocess
import sys
import time

import pandas as pd
import pytest
from typer.testing import CliRunner

import radlatent as rl
from radlatent.cli import app
from radlatent.errors import RadlatentError, SchemaError
from radlatent.shards import Part, Shard, own, parse_shard, read_parts, running

SETTINGS = "featureClass: {firstorder: [Mean], shape: [MeshVolume]}\n"


def part(k, n, folder="."):
    return Part(Shard(k, n), folder, {})


def run(*call, code=0):
    done = CliRunner().invoke(app, [str(one) for one in call])
    assert done.exit_code == code, done.output
    return done.output


def shares(n, groups):
    found = []
    for k in range(1, n + 1):
        with running(part(k, n)):
            found.append(own(groups))
    return found


def test_shares_are_all_there_is_once_and_even():
    groups = {f"c{k}": k // 3 for k in range(33)}  # 11 groups of 3
    found = shares(4, groups)
    assert sorted(name for share in found for name in share) == sorted(groups)
    assert sorted(map(len, found)) == [6, 9, 9, 9]
    for share in found:
        together = {groups[name] for name in share}
        assert {n for n in groups if groups[n] in together} == share
    assert own(groups) == set(groups)
    # more shares than there is to share
    assert sum(map(bool, shares(20, groups))) == 11


@pytest.mark.parametrize(
    ("text", "environment", "number"),
    [
        ("3/8", {}, 3),
        ("auto/8", {"SLURM_ARRAY_TASK_ID": "8"}, 8),
        ("auto/8", {"AWS_BATCH_JOB_ARRAY_INDEX": "0"}, 1),
        ("auto/8", {"JOB_COMPLETION_INDEX": "7"}, 8),
    ],
)
def test_a_share_is_named_or_told_by_a_scheduler(text, environment, number):
    assert parse_shard(text, environment) == Shard(number, 8)


@pytest.mark.parametrize(
    ("text", "environment", "told"),
    [
        ("0/8", {}, "from 1 to 8"),
        ("9/8", {}, "from 1 to 8"),
        ("3", {}, "write k/N"),
        ("1/0", {}, "from 1 to 0"),
        ("auto/8", {}, "none of"),
        ("auto/8", {"SLURM_ARRAY_TASK_ID": "0"}, "sbatch --array=1-N"),
        ("auto/8", {"SLURM_ARRAY_TASK_ID": "x"}, "no number"),
        (
            "auto/8",
            {"SLURM_ARRAY_TASK_ID": "1", "JOB_COMPLETION_INDEX": "1"},
            "several are set",
        ),
    ],
)
def test_what_is_no_share_is_refused(text, environment, told):
    with pytest.raises(SchemaError, match=told):
        parse_shard(text, environment)


def test_cases_that_share_a_file_are_of_one_part(tiny_folder):
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    # the third shares an image with the first, and a mask with a fourth
    cases.loc[2, "image_ct"] = cases.loc[0, "image_ct"]
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    cohort = rl.Cohort.read(tiny_folder)
    found = []
    for k in (1, 2):
        with running(part(k, 2)):
            found.append(cohort.share())
    assert sorted(map(sorted, found)) == [["p1", "p3"], ["p2"]]
    assert cohort.share() == {"p1", "p2", "p3"}


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(SETTINGS, "utf-8")
    return path


def gathered(call, out, n):
    """Run the parts of a verb, and gather them; a part that is missing is named."""
    for k in range(1, n):
        run(*call, "--out", out, "--shard", f"{k}/{n}")
    told = run("gather", out, code=1)
    assert f"1 of {n} shards are missing: {n}/{n}" in " ".join(told.split())
    assert not out.is_file()
    said = run(*call, "--out", out, "--shard", f"{n}/{n}")
    assert f"radlatent gather {out}" in said
    return run("gather", out)


def test_features_in_parts_are_those_of_one_run(tiny_folder, settings, tmp_path):
    call = ("extract", tiny_folder, "--settings", settings)
    one, out = tmp_path / "one.parquet", tmp_path / "parts.parquet"
    run(*call, "--out", one)
    gathered(call, out, 2)
    assert out.read_bytes() == one.read_bytes()
    same("failures", one, out)
    same("provenance", one, out, but=["seconds"])
    # gathered again, from what is there
    run("gather", out)
    assert out.read_bytes() == one.read_bytes()


def same(name, one, out, *, but=()):
    first, second = (
        pd.read_csv(path.with_suffix(f".{name}.csv")) for path in (one, out)
    )
    first, second = (table.drop(columns=list(but)) for table in (first, second))
    pd.testing.assert_frame_equal(first, second)


def test_what_fails_in_a_part_is_told_when_gathered(tiny_folder, settings, tmp_path):
    bad = tiny_folder / "p2" / "ct_image.nii.gz"
    bad.write_bytes(bad.read_bytes()[:-200])
    call = ("extract", tiny_folder, "--settings", settings, "--allow-failures", "1")
    one, out = tmp_path / "one.parquet", tmp_path / "parts.parquet"
    run(*call, "--out", one)
    gathered(call, out, 3)
    same("failures", one, out)
    assert out.read_bytes() == one.read_bytes()


def test_judged_masks_in_parts_are_those_of_one_run(tiny_folder, tmp_path):
    call = ("masks", "score", tiny_folder, "--rules", "lesion", "--modality", "pet")
    one, out = tmp_path / "one.csv", tmp_path / "parts.csv"
    run(*call, "--out", one)
    assert not one.with_suffix(".cache").exists()
    gathered(call, out, 2)
    assert out.read_bytes() == one.read_bytes()


def test_stability_in_parts_is_that_of_one_run(tiny_folder, settings, tmp_path):
    call = ("stability", tiny_folder, "--settings", settings, "--perturbations", 2)
    one, out = tmp_path / "one.csv", tmp_path / "parts.csv"
    run(*call, "--out", one)
    gathered(call, out, 2)
    assert out.read_bytes() == one.read_bytes()
    for name in ("features", "perturbations"):
        first, second = (p.with_name(f"{p.stem}.{name}.csv") for p in (one, out))
        assert first.read_bytes() == second.read_bytes()


def test_parts_of_other_things_are_not_joined(tiny_folder, settings, tmp_path):
    out = tmp_path / "f.parquet"
    call = ("extract", tiny_folder, "--out", out)
    run(*call, "--shard", "1/2", "--settings", settings)
    settings.with_name("other.yaml").write_text(SETTINGS, "utf-8")
    run(*call, "--shard", "2/2", "--settings", settings.with_name("other.yaml"))
    told = " ".join(run("gather", out, code=1).split())
    assert "shards 1/2 and 2/2 were asked for other things: settings is" in told
    run(*call, "--shard", "1/3", "--settings", settings)
    assert "parts of [2, 3] shards" in " ".join(run("gather", out, code=1).split())


def test_results_that_are_lost_are_named(tiny_folder, settings, tmp_path):
    out = tmp_path / "f.parquet"
    call = ("extract", tiny_folder, "--out", out, "--settings", settings)
    for k in (1, 2):
        run(*call, "--shard", f"{k}/2")
    settings.write_text(SETTINGS.replace("Mean", "Median"), "utf-8")
    told = " ".join(run("gather", out, code=1).split())
    assert "results are not there though all shards are" in told
    assert "p1" in told


def test_a_part_that_starts_again_is_not_whole_until_it_ends(
    tiny_folder, settings, tmp_path
):
    out = tmp_path / "f.parquet"
    call = ("extract", tiny_folder, "--out", out, "--settings", settings)
    run(*call, "--shard", "1/1")
    cases = pd.read_csv(tiny_folder / "cases.csv", dtype=str)
    cases.loc[0, "image_ct"] = "nothing.nii.gz"
    cases.to_csv(tiny_folder / "cases.csv", index=False)
    run(*call, "--shard", "1/1", code=1)
    assert "no part" in run("gather", out, code=1)


def test_files_that_are_no_parts_are_told(tmp_path):
    folder = tmp_path / "f.csv.shards"
    folder.mkdir()
    (folder / "1-of-1.json").write_text("{}", "utf-8")
    with pytest.raises(RadlatentError, match="is no part"):
        read_parts(tmp_path / "f.csv")


def start(call, **environment):
    return subprocess.Popen(
        call,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.long
def test_eight_parts_of_which_two_are_killed_are_one_run(tmp_path, settings):
    cohort = tmp_path / "cohort"
    rl.simulate(cohort, n_patients=40)
    call = ["extract", str(cohort), "--settings", str(settings)]
    one, out = tmp_path / "one.parquet", tmp_path / "parts.parquet"
    run(*call, "--out", one)
    python = [sys.executable, "-m", "radlatent", *call, "--out", str(out), "--shard"]
    parts = {k: start([*python, f"{k}/8"]) for k in range(1, 9)}
    cache = out.with_suffix(".cache")
    # in the middle of it: some results are there, and a part of them is not whole
    while not any(cache.rglob("*.json")) and any(
        p.poll() is None for p in parts.values()
    ):
        time.sleep(0.05)
    killed = [k for k in (3, 6) if parts[k].poll() is None]
    for k in killed:
        os.killpg(parts[k].pid, signal.SIGKILL)
    ends = {k: process.wait() for k, process in parts.items()}
    assert all(ends[k] == (-signal.SIGKILL if k in killed else 0) for k in ends)
    assert killed
    told = " ".join(run("gather", out, code=1).split())
    names = ", ".join(f"{k}/8" for k in killed)
    assert f"{len(killed)} of 8 shards are missing: {names}." in told
    for k in killed:
        assert start([*python, f"{k}/8"]).wait() == 0
    run("gather", out)
    assert out.read_bytes() == one.read_bytes()
    same("failures", one, out)
    same("provenance", one, out, but=["seconds"])


@pytest.mark.long
def test_the_script_for_slurm_runs_under_its_variables(
    project_root, tiny_folder, settings, tmp_path
):
    script = project_root / "docs" / "cluster" / "slurm.sbatch"
    text = script.read_text("utf-8")
    lines = dict(
        line.removeprefix("#SBATCH --").split("=")
        for line in text.splitlines()
        if line.startswith("#SBATCH --") and "=" in line
    )
    assert f"SHARDS=${{SHARDS:-{lines['array'].removeprefix('1-')}}}\n" in text
    n = 3
    stand_in = tmp_path / "bin" / "radlatent"
    stand_in.parent.mkdir()
    stand_in.write_text(
        f'#!/bin/sh\nexec {sys.executable} -m radlatent "$@"\n', "utf-8"
    )
    stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)
    out = tmp_path / "features.parquet"
    for k in range(1, n + 1):
        told = {
            "PATH": f"{stand_in.parent}:{os.environ['PATH']}",
            "SLURM_ARRAY_TASK_ID": str(k),
            "SLURM_CPUS_PER_TASK": "1",
            "SHARDS": str(n),
            "COHORT": str(tiny_folder),
            "OUT": str(out),
        }
        assert start(["bash", str(script)], **told).wait() == 0
    assert len(list((tmp_path / "features.parquet.shards").iterdir())) == n
    run("gather", out)
    one = tmp_path / "one.parquet"
    run("extract", tiny_folder, "--out", one)
    assert out.read_bytes() == one.read_bytes()
    asked = json.loads(
        (tmp_path / "features.parquet.shards" / f"1-of-{n}.json").read_text("utf-8")
    )["asked"]
    assert asked["the verb"] == "extract"
