"""The run record: hashes that mean the content, and what to mend."""

import hashlib
import json

from radlatent.provenance import (
    content_key,
    doctor,
    environment,
    file_hash,
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


def test_the_doctor_has_a_remedy_for_what_is_missing():
    found = doctor().set_index("component")
    assert (found.loc[["numpy", "SimpleITK"], "status"] == "works").all()
    missing = found[found["status"] == "not installed"]
    assert (missing["remedy"] != "").all()
    assert found.loc["device", "status"].startswith("cpu")
