"""The run record: hashes that mean the content, and what to mend."""

import hashlib
import importlib.metadata
import json
import os
import re

import pytest

from radlatent import provenance
from radlatent.provenance import (
    content_key,
    doctor,
    environment,
    examine,
    file_hash,
    is_sound,
    run_record,
    versions,
)


def test_the_hash_of_a_file_is_sha256(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 1_000_000)
    assert file_hash(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    path.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert file_hash(path) == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_a_key_is_the_content_and_not_its_order():
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    assert content_key("ab", "c") != content_key("a", "bc")
    assert content_key(None) != content_key("null")


def test_a_record_can_be_written_and_names_the_versions():
    record = run_record(
        command={"study": "study.yml"},
        cohort={"name": "x"},
        settings={"random_state": 0},
        counts={"failed cases": 0},
        outputs={"metrics.csv": "00"},
        seconds={"extract": 1.23456},
        environment=environment(),
    )
    again = json.loads(json.dumps(record))
    assert again["seconds"] == {"extract": 1.235}
    assert again["versions"] == versions()
    assert {"python", "radlatent", "numpy", "SimpleITK"} <= set(record["versions"])
    assert record["git"] is None or len(record["git"]["commit"]) == 40


@pytest.fixture(scope="module")
def found():
    return doctor().set_index("component")


def test_the_doctor_lists_every_requirement(found):
    required = [r for r in importlib.metadata.requires("radlatent") if "extra" not in r]
    names = {re.match(r"[\w-]+", one)[0] for one in required}
    assert names == set(found.index[found["purpose"] == "required"])
    assert {"lifelines", "pyarrow", "pyyaml", "xgboost"} <= names
    assert (found.loc[sorted(names), "status"] == "works").all()
    deep = found.index[found["purpose"] == "of radlatent[deep]"]
    of_deep = [
        r
        for r in importlib.metadata.requires("radlatent")
        if re.search("extra == .deep", r)
    ]
    assert set(deep) == {re.match(r"[\w-]+", one)[0] for one in of_deep}
    assert {"einops", "lightning", "monai", "optuna", "torch"} <= set(deep)
    assert {"dask", "distributed", "pyradiomics"} <= set(found.index)
    assert not {"pytest", "ruff"} & set(found.index)


def test_the_doctor_has_a_remedy_for_what_is_missing(found):
    lost = found[~found["status"].isin(["works"])].drop(index="device")
    assert (lost["remedy"] != "").all()
    assert found.loc["device", "status"].startswith("cpu")


_RAISES = 'raise ImportError("broken on purpose")'


@pytest.fixture
def examine_with_broken(tmp_path, monkeypatch):
    """Examine some requirements, of which some break on import."""

    def run(broken, some):
        # modules of these names go before those of the environment
        for name, line in broken.items():
            (tmp_path / f"{name}.py").write_text(line)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        needed = [one for one in provenance._needed() if one["name"] in some]
        monkeypatch.setattr(provenance, "_needed", lambda: needed)
        rows = examine()
        return {row["component"]: row["status"] for row in rows}, rows

    return run


def test_what_is_installed_and_does_not_import_is_told(examine_with_broken):
    broken = {"numba": _RAISES, "lifelines": "import os; os._exit(3)"}
    status, rows = examine_with_broken(broken, ("numba", "lifelines", "jinja2"))
    assert status["numba"] == "does not import: ImportError: broken on purpose"
    assert status["lifelines"] == "does not import: exit code 3"
    assert status["jinja2"] == "works"
    assert not is_sound(rows)


def test_an_extra_that_does_not_import_is_told(examine_with_broken):
    pytest.importorskip("einops")
    status, rows = examine_with_broken({"einops": _RAISES}, ("einops", "jinja2"))
    assert status["einops"] == "does not import: ImportError: broken on purpose"
    assert status["radlatent[deep]"] == "needs einops"
    assert not is_sound(rows)


def test_what_is_not_there_or_too_old_is_told(monkeypatch):
    needed = [
        {"name": "absent-of-us", "extra": "", "bounds": ">=1"},
        {"name": "numpy", "extra": "", "bounds": ">=99.5"},
        {"name": "absent-too", "extra": "deep", "bounds": ">=1"},
    ]
    monkeypatch.setattr(provenance, "_needed", lambda: needed)
    rows = examine()
    assert [row["status"] for row in rows[:3]] == [
        "missing",
        "is too old: >=99.5 is needed",
        "not installed",
    ]
    assert rows[0]["remedy"] == 'pip install "absent-of-us"'
    assert rows[1]["remedy"] == 'pip install --upgrade "numpy>=99.5"'
    assert not is_sound(rows)
    assert not is_sound(rows[:1])
    assert is_sound(rows[2:])


def test_without_metadata_nothing_is_vouched_for(monkeypatch):
    monkeypatch.setattr(provenance, "_needed", lambda: [])
    assert not is_sound(examine())
