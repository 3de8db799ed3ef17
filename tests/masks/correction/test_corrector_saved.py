"""Correctors on disk: the same corrections anywhere, and nothing foreign is read."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from radlatent.cohort.labels import mask_files, read_label_map  # noqa: E402
from radlatent.errors import SchemaError  # noqa: E402
from radlatent.masks.correction.corrector import (  # noqa: E402
    MaskCorrector,
    load_corrector,
)
from radlatent.provenance import file_hash  # noqa: E402

ELSEWHERE = """
import hashlib, sys
from pathlib import Path
from radlatent.masks import load_corrector, read_label_map

corrector = load_corrector(sys.argv[1])
structures = {"RV": 1, "MYO": 2, "LV": 3}
for path in sys.argv[2:]:
    found = corrector.correct(read_label_map(path, structures))
    print(hashlib.sha256(found.mask.array.tobytes()).hexdigest())
    print(found.slices.to_json(orient="split", double_precision=15))
"""


@pytest.fixture
def folder(hearts_corrector, tmp_path):
    hearts_corrector.corrector.save(tmp_path / "corrector")
    return tmp_path / "corrector"


@pytest.fixture
def masks(flawed):
    return [read_label_map(file.path, file.structures) for file in mask_files(flawed)]


def rewritten(folder, change):
    """Change the JSON of a corrector."""
    path = folder / "corrector.json"
    about = json.loads(path.read_text("utf-8"))
    change(about)
    path.write_text(json.dumps(about), "utf-8")


def rehashed(folder):
    """Let the JSON name the files that are there: what is left is for the loader."""

    def change(about):
        about["hashes"] = {name: file_hash(folder / name) for name in about["hashes"]}

    rewritten(folder, change)


def test_three_files_and_no_code(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "corrector.json",
        "dice.json",
        "prior.safetensors",
    ]


def test_loaded_corrector_is_the_one_that_was_saved(folder, hearts_corrector, masks):
    one, two = hearts_corrector.corrector, load_corrector(folder)
    for name in ("least_dice_", "valid_share_", "fitted_on_", "rules_"):
        assert getattr(two, name) == getattr(one, name), name
    np.testing.assert_array_equal(two.bank_, one.bank_)
    own, other = one.get_params(deep=False), two.get_params(deep=False)
    assert own | {"prior": None} == other | {"prior": None}
    prior, loaded = one.prior_, two.prior_
    assert loaded.get_params(deep=False) == prior.get_params(deep=False)
    assert loaded.structures_ == prior.structures_
    assert loaded.bandwidth_ == prior.bandwidth_
    assert loaded.fitted_on_ == prior.fitted_on_
    np.testing.assert_array_equal(loaded.latents_, prior.latents_)
    pd.testing.assert_frame_equal(loaded.history_, prior.history_)
    assert not loaded.model_.training
    for mask in masks:
        a, b = one.correct(mask), two.correct(mask)
        np.testing.assert_array_equal(a.mask.array, b.mask.array)
        pd.testing.assert_frame_equal(a.slices, b.slices)


def test_what_it_tells_of_itself_is_enough(hearts_corrector, masks):
    one = hearts_corrector.corrector
    two = MaskCorrector.of(*one.state())
    for mask in masks[:2]:
        a, b = one.correct(mask), two.correct(mask)
        np.testing.assert_array_equal(a.mask.array, b.mask.array)
        pd.testing.assert_frame_equal(a.slices, b.slices)


def test_saved_again_it_is_the_same(folder, tmp_path):
    load_corrector(folder).save(tmp_path / "again")
    for name in ("prior.safetensors", "dice.json", "corrector.json"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_new_process_corrects_alike(folder, hearts_corrector, flawed, masks):
    paths = [file.path for file in mask_files(flawed)]
    command = [sys.executable, "-c", ELSEWHERE, str(folder), *paths]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = told.stdout.splitlines()
    for number, mask in enumerate(masks):
        found = hearts_corrector.corrector.correct(mask)
        digest = hashlib.sha256(found.mask.array.tobytes()).hexdigest()
        assert lines[2 * number] == digest
        table = json.loads(lines[2 * number + 1])
        decisions = [row[table["columns"].index("decision")] for row in table["data"]]
        assert decisions == found.slices["decision"].tolist()
        dice = [row[table["columns"].index("predicted_dice")] for row in table["data"]]
        # another number of threads there adds up float32 in another order
        np.testing.assert_allclose(dice, found.slices["predicted_dice"], atol=1e-3)


class TestRefused:
    @pytest.mark.parametrize("name", ["prior.safetensors", "dice.json"])
    def test_file_that_was_changed(self, folder, name):
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
        with pytest.raises(SchemaError, match=rf"{name} is not the file that"):
            load_corrector(folder)

    @pytest.mark.parametrize(
        "name", ["corrector.json", "prior.safetensors", "dice.json"]
    )
    def test_file_that_is_not_there(self, folder, name):
        (folder / name).unlink()
        with pytest.raises(FileNotFoundError, match=name):
            load_corrector(folder)

    def test_prior_of_another_corrector(self, folder, tmp_path):
        other = shutil.copytree(folder, tmp_path / "other")
        tensors = load_file(other / "prior.safetensors")
        tensors["latents"] = tensors["latents"] + 1
        save_file(tensors, other / "prior.safetensors")
        shutil.copy(other / "prior.safetensors", folder)
        with pytest.raises(SchemaError, match="Copy all files of one corrector"):
            load_corrector(folder)

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", "3"])
    def test_text_that_is_no_corrector(self, folder, text):
        (folder / "corrector.json").write_text(text, "utf-8")
        with pytest.raises(SchemaError, match=r"is not JSON|is not of a corrector"):
            load_corrector(folder)

    def test_what_it_lacks_is_named(self, folder):
        rewritten(folder, lambda about: about.pop("least_dice"))
        with pytest.raises(SchemaError, match=r"it lacks \['least_dice'\]"):
            load_corrector(folder)

    def test_format_of_another_version(self, folder):
        rewritten(folder, lambda about: about.update(format=99))
        with pytest.raises(SchemaError, match="has format 99"):
            load_corrector(folder)

    @pytest.mark.parametrize(
        "hashes",
        [{}, {"other.bin": "0"}, {"../corrector.json": "0"}, None, 3, ["dice.json"]],
    )
    def test_hashes_of_other_files(self, folder, hashes):
        rewritten(folder, lambda about: about.update(hashes=hashes))
        with pytest.raises(SchemaError, match="Copy all files of one corrector"):
            load_corrector(folder)

    @pytest.mark.parametrize(
        "change",
        [
            lambda about: about["prior"].update(n_latent=9),
            lambda about: about["prior"]["frame"].update(size=64),
            lambda about: about.update(structures=["LV", "MYO"]),
            lambda about: about["prior"].update(unknown=1),
            lambda about: about["parameters"].update(rules="short"),
            lambda about: about.update(prior=None),
        ],
        ids=["n_latent", "size", "structures", "unknown", "rules", "prior"],
    )
    def test_settings_that_do_not_fit_the_weights(self, folder, change):
        rewritten(folder, change)
        with pytest.raises(SchemaError, match=r"there is no rule set|can be rebuilt"):
            load_corrector(folder)

    @pytest.mark.parametrize("name", ["prior.safetensors", "dice.json"])
    def test_foreign_file_under_its_own_hash(self, folder, name):
        (folder / name).write_bytes(b"not what it is called")
        rehashed(folder)
        with pytest.raises(SchemaError):
            load_corrector(folder)

    def test_weights_that_are_not_there(self, folder):
        tensors = load_file(folder / "prior.safetensors")
        tensors.pop("model/mean.weight")
        save_file(tensors, folder / "prior.safetensors")
        rehashed(folder)
        with pytest.raises(SchemaError, match="can be rebuilt"):
            load_corrector(folder)


def test_loaded_prior_is_used_as_it_is_where_it_is_fitted_on(folder, hearts_corrector):
    loaded = load_corrector(folder)
    assert loaded.prior is loaded.prior_
    # too few others are left to set a gate on: nothing is trained anew in silence
    with pytest.raises(ValueError, match="0 would be left to set the gate on"):
        MaskCorrector(loaded.prior_).fit(
            hearts_corrector.cohort, patients=loaded.prior_.fitted_on_
        )
