"""A folder that is not what was written is not opened."""

import json
import pickle
import shutil
import subprocess

import numpy as np
import pytest

import radlatent as rl
from radlatent.errors import SchemaError


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return the folder of a boosted model."""
    from pathlib import Path

    rng = np.random.default_rng(0)
    import pandas as pd

    ids = pd.Index([f"p{i}" for i in range(60)], name="patient_id")
    X = rl.declare_measured(
        pd.DataFrame(rng.normal(size=(60, 3)), ids, ["ct__a", "ct__b", "ct__c"])
    )
    sick = (X["ct__a"] + rng.normal(size=60) > 0).rename("sick")
    folder = Path(tmp_path_factory.mktemp("kept")) / "model"
    rl.fit(rl.boosted(n_estimators=5), X, rl.Endpoint.binary(sick)).save(folder)
    return folder


@pytest.fixture
def folder(kept, tmp_path):
    return shutil.copytree(kept, tmp_path / "model")


def test_the_folder_holds_json_and_tensors_and_nothing_else(folder):
    names = {path.suffix for path in folder.iterdir()}
    assert names <= {".json", ".safetensors", ".md", ".html", ""}
    assert (folder / "trees_0.json").read_bytes()[:1] == b"{"
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=False
    )
    assert done.returncode == 0


def test_a_changed_byte_of_any_file_is_refused(folder):
    for path in sorted(folder.iterdir()):
        content = bytearray(path.read_bytes())
        for place in (0, len(content) // 2, len(content) - 1):
            changed = bytearray(content)
            changed[place] ^= 1
            path.write_bytes(bytes(changed))
            with pytest.raises(SchemaError):
                rl.load_model(folder)
        path.write_bytes(bytes(content))
    assert rl.load_model(folder).about.n == 60


class Trap:
    opened = False

    def __reduce__(self):
        return setattr, (Trap, "opened", True)


def test_a_pickle_is_not_opened(folder):
    (folder / "model.pkl").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(SchemaError, match=r"model\.pkl is not a file of the model"):
        rl.load_model(folder)
    # nor one that the list names, in the place of the tensors
    (folder / "model.pkl").unlink()
    (folder / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(SchemaError, match="was changed"):
        rl.load_model(folder)
    again(folder)
    with pytest.raises(SchemaError):
        rl.load_model(folder)
    assert not Trap.opened


def again(folder):
    """Write the list of hashes anew, as who tampers with a model would."""
    import hashlib

    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
        if path.name != "SHA256SUMS"
    ]
    (folder / "SHA256SUMS").write_text("".join(lines), "utf-8")


@pytest.mark.parametrize(
    "edit",
    [
        lambda record: record["parts"]["predictor"].update(part="Popen"),
        lambda record: record["parts"]["predictor"].update(part="FinalModel"),
        lambda record: record["parts"]["domain"]["of"].update(more=1),
        lambda record: record["parts"]["domain"]["of"].pop("lower"),
        lambda record: record["parts"].pop("domain"),
        lambda record: record.pop("about"),
        lambda record: record["about"].update(command="rm"),
        lambda record: record.update(format=99),
        lambda record: record["parts"]["domain"]["of"]["lower"].update(tensor="x"),
    ],
)
def test_a_record_of_something_else_is_refused(folder, edit):
    path = folder / "model.json"
    record = json.loads(path.read_text("utf-8"))
    edit(record)
    path.write_text(json.dumps(record), "utf-8")
    again(folder)
    with pytest.raises(SchemaError):
        rl.load_model(folder)


def test_trees_from_elsewhere_are_refused(folder):
    record = json.loads((folder / "model.json").read_text("utf-8"))
    text = json.dumps(record).replace("trees_0.json", "../trees_0.json")
    shutil.copy(folder / "trees_0.json", folder.parent)
    (folder / "model.json").write_text(text, "utf-8")
    again(folder)
    with pytest.raises(SchemaError, match="trees"):
        rl.load_model(folder)


def test_what_is_no_model_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        rl.load_model(tmp_path / "absent")
    (tmp_path / "model.pkl").write_bytes(b"x")
    with pytest.raises(SchemaError, match=r"holds no SHA256SUMS.*model\.pkl"):
        rl.load_model(tmp_path)


def test_a_lost_file_and_a_link_are_refused(folder, tmp_path):
    away = (folder / "trees_0.json").rename(tmp_path / "trees.json")
    with pytest.raises(SchemaError, match=r"trees_0\.json is not there"):
        rl.load_model(folder)
    (folder / "trees_0.json").symlink_to(away)
    with pytest.raises(SchemaError, match=r"trees_0\.json is a link"):
        rl.load_model(folder)


def test_a_folder_that_holds_something_is_not_written_into(model, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(SchemaError, match=r"holds notes\.txt"):
        model.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def mutated(content, rng):
    """Return bytes with some changed, lost, cut off or repeated."""
    place = int(rng.integers(len(content)))
    some = int(rng.integers(1, 30))
    kind = rng.integers(4)
    if kind == 0:
        changed = bytearray(content)
        for at in rng.integers(len(content), size=rng.choice([1, 4])):
            changed[at] = rng.choice([*b'0123456789-e.,"[]{}', int(rng.integers(256))])
        return bytes(changed)
    if kind == 1:
        return content[:place]
    if kind == 2:
        return content[:place] + content[place + some :]
    return content[: place + some] + content[place:]


def test_mutated_files_with_their_hashes_are_refused_or_harmless(kept, tmp_path):
    """Who tampers writes the hashes anew: there is no traceback, and no hang."""
    import pandas as pd

    rng, served = np.random.default_rng(0), 0
    new = pd.DataFrame(rng.normal(size=(3, 3)), ["a", "b", "c"])
    new = new.set_axis(rl.load_model(kept).columns[:3], axis=1)
    new = new.rename_axis("patient_id")
    names = [path.name for path in sorted(kept.glob("*.*")) if path.suffix != ".html"]
    for number in range(60):
        folder = shutil.copytree(kept, tmp_path / str(number))
        path = folder / names[number % len(names)]
        path.write_bytes(mutated(path.read_bytes(), rng))
        again(folder)
        try:
            rl.load_model(folder).predict(new)
            served += 1
        except SchemaError:
            pass
    # cards are for people: whatever they say, the model is the same
    assert served >= 60 // len(names)
