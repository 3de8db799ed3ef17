"""What is saved comes back the same, and what does not belong is refused."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from radlatent.errors import SchemaError  # noqa: E402
from radlatent.latent.encoder import LatentEncoder, load_encoder  # noqa: E402
from radlatent.latent.inputs import Box  # noqa: E402
from radlatent.latent.network import Network  # noqa: E402
from radlatent.nn import Schedule, Training  # noqa: E402
from radlatent.provenance import file_hash  # noqa: E402

BOX = Box(("ct",), size_mm=(8, 8, 8), spacing_mm=(1, 1, 1), rotation_degrees=5.0)
TRAINING = Training(epochs=2, minibatch_size=4, schedule=Schedule("steps"))


def fitted(prepared, seed=0, **kwargs):
    network = kwargs.pop("network", Network(width=2))
    encoder = LatentEncoder(
        BOX, n_latent=2, network=network, training=TRAINING, random_state=seed
    )
    return encoder.fit_prepared(prepared, **kwargs)


@pytest.fixture
def prepared(worlds):
    return worlds.blobs()


@pytest.fixture
def handcrafted(prepared, rng):
    index = prepared.cases.index
    return pd.DataFrame(rng.normal(5, 3, (8, 2)), index, ["hc__a", "hc__b"])


@pytest.fixture
def folder(prepared, tmp_path):
    fitted(prepared).save(tmp_path / "encoder")
    return tmp_path / "encoder"


def edited(folder, **changes):
    about = json.loads((folder / "encoder.json").read_text("utf-8"))
    about |= {k: v for k, v in changes.items() if v is not None}
    kept = {k: v for k, v in about.items() if changes.get(k, 0) is not None}
    (folder / "encoder.json").write_text(json.dumps(kept), "utf-8")
    return folder


def adopted(folder):
    """Write the hash of the tensors that lie there into the JSON."""
    return edited(folder, tensors=f"sha256:{file_hash(folder / 'model.safetensors')}")


class TestRoundTrip:
    def test_everything_comes_back(self, prepared, handcrafted, tmp_path):
        y = pd.Series([1, 0, 1, 0, 1, 0, np.nan, 1], prepared.cases.index)
        network = Network(width=2, classification_weight=3.0, dropout=0.25)
        encoder = fitted(prepared, network=network, y=y, handcrafted=handcrafted)
        encoder.save(tmp_path)
        loaded = load_encoder(tmp_path)
        assert type(loaded) is LatentEncoder
        assert loaded.get_params() == encoder.get_params()
        for part in ("statistics_", "scaling_", "history_", "failures_"):
            found, wanted = getattr(loaded, part), getattr(encoder, part)
            pd.testing.assert_frame_equal(
                found, wanted, check_dtype=False, check_names=False, check_exact=True
            )
        for part in ("classes_", "fitted_on_", "best_epoch_"):
            assert getattr(loaded, part) == getattr(encoder, part)
        assert loaded.fitted_on_["cohort"] == "blobs"
        assert loaded.fitted_on_["patients"][:2] == ["p00", "p01"]
        for found, wanted in zip(
            loaded.encode_prepared(prepared).__dict__.values(),
            encoder.encode_prepared(prepared).__dict__.values(),
            strict=True,
        ):
            pd.testing.assert_frame_equal(found, wanted, check_exact=True)
        errors = [
            e.reconstruct_prepared(prepared, handcrafted).errors
            for e in (loaded, encoder)
        ]
        pd.testing.assert_series_equal(*errors, check_exact=True)

    def test_what_it_explains_comes_back_and_older_files_lack_it(
        self, folder, prepared
    ):
        wanted = fitted(prepared).summary
        pd.testing.assert_frame_equal(load_encoder(folder).summary, wanted)
        older = load_encoder(edited(folder, explained=None))
        with pytest.raises(SchemaError, match="did not measure what it explains"):
            _ = older.summary
        older.encode_prepared(prepared)

    def test_encoders_of_before_varied_less_and_weighed_voxels_alike(
        self, folder, prepared
    ):
        about = json.loads((folder / "encoder.json").read_text("utf-8"))
        told = about["parameters"]
        for name in ("larger", "flips", "zoom", "contrast", "jitter"):
            del told["inputs"][name]
        del told["network"]["per_lesion"]
        old = load_encoder(edited(folder, parameters=told, explained=None))
        box = old.inputs
        assert (box.rotation_degrees, box.larger, box.flips) == (5.0, "cut", False)
        assert (box.zoom, box.contrast, box.jitter) == (0, 0, 0)
        assert not old.network.per_lesion

    def test_hand_crafted_features_of_before_were_z_scores(
        self, prepared, handcrafted, tmp_path
    ):
        fitted(prepared, handcrafted=handcrafted).save(tmp_path)
        mean, deviation = handcrafted.mean(), handcrafted.std(ddof=0)
        told = {"feature": ["hc__a", "hc__b"], "mean": mean.tolist()}
        told |= {"standard_deviation": deviation.tolist()}
        old = load_encoder(edited(tmp_path, scaling=told))
        scores = (handcrafted - mean) / deviation
        np.testing.assert_allclose(old.told(prepared, handcrafted), scores, rtol=1e-5)

    def test_what_it_tells_of_itself_is_enough(self, prepared, handcrafted):
        encoder = fitted(prepared, handcrafted=handcrafted)
        again = LatentEncoder.of(*encoder.state())
        pd.testing.assert_frame_equal(
            again.encode_prepared(prepared).mean,
            encoder.encode_prepared(prepared).mean,
            check_exact=True,
        )

    def test_saving_what_was_loaded_gives_the_same_files(self, folder, tmp_path):
        load_encoder(folder).save(tmp_path / "again")
        for name in ("encoder.json", "model.safetensors"):
            assert (tmp_path / "again" / name).read_bytes() == (
                folder / name
            ).read_bytes()

    def test_nothing_but_two_files_is_left(self, folder):
        assert sorted(p.name for p in folder.iterdir()) == [
            "encoder.json",
            "model.safetensors",
        ]

    def test_loading_is_a_method_too(self, folder, prepared):
        pd.testing.assert_frame_equal(
            load_encoder(folder).encode_prepared(prepared).mean,
            load_encoder(str(folder)).encode_prepared(prepared).mean,
        )

    def test_failures_survive(self, prepared, tmp_path):
        cut = pd.DataFrame(
            [("c00", "latent ct", "LesionCut", "why")],
            columns=["case_id", "stage", "error", "message"],
        )
        fitted(replace(prepared, failures=cut)).save(tmp_path)
        assert load_encoder(tmp_path).failures_.to_dict("records") == cut.to_dict(
            "records"
        )


class TestRefusals:
    def test_tensors_that_were_tampered_with(self, folder):
        path = folder / "model.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(
            SchemaError, match=r"is not the file that encoder\.json was"
        ):
            load_encoder(folder)

    def test_tensors_of_another_encoder(self, folder, prepared, tmp_path):
        fitted(prepared, seed=1).save(tmp_path / "other")
        (tmp_path / "other" / "model.safetensors").replace(folder / "model.safetensors")
        with pytest.raises(SchemaError, match="Copy all files of one encoder"):
            load_encoder(folder)

    @pytest.mark.parametrize("name", ["encoder.json", "model.safetensors"])
    def test_one_file_of_two(self, folder, name):
        (folder / name).unlink()
        with pytest.raises(FileNotFoundError, match=name):
            load_encoder(folder)

    @pytest.mark.parametrize("key", ["statistics", "tensors", "format", "versions"])
    def test_keys_that_are_not_there(self, folder, key):
        with pytest.raises(SchemaError, match=rf"it lacks \['{key}'\]"):
            load_encoder(edited(folder, **{key: None}))

    @pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", '"encoder"'])
    def test_json_that_is_none_or_something_else(self, folder, text):
        (folder / "encoder.json").write_text(text, "utf-8")
        with pytest.raises(SchemaError, match=r"is not JSON|is not of an encoder"):
            load_encoder(folder)

    @pytest.mark.parametrize("versions", [{"radlatent": "9.9"}, ["9.9"]])
    def test_another_format(self, folder, versions):
        with pytest.raises(SchemaError, match=r"has format 2; .* reads 1.*9\.9"):
            load_encoder(edited(folder, format=2, versions=versions))

    @pytest.mark.parametrize("name", ["Popen", "BaseEstimator", "Path", "__name__"])
    def test_classes_that_are_no_encoders(self, folder, name):
        with pytest.raises(SchemaError, match=f"class '{name}' is not one of"):
            load_encoder(edited(folder, **{"class": name}))

    @pytest.mark.parametrize(
        "change",
        [
            {"parameters": {"inputs": {"kind": "Popen"}}},
            {"parameters": {"inputs": {"kind": "Box", "shell": True}}},
            {"parameters": {"inputs": {"modalities": ["ct"]}}},
            {"parameters": [1]},
            {"statistics": {"channel": ["ct"], "lower": [1, 2]}},
            {"statistics": [1, 2]},
            {"scaling": {"mean": [0.0]}},
            {"classes": 3},
            {"history": 3},
        ],
        ids=str,
    )
    def test_values_that_make_no_encoder(self, folder, change):
        with pytest.raises(SchemaError, match="does not hold an encoder"):
            load_encoder(edited(folder, **change))

    def test_weights_of_another_shape(self, folder, prepared, tmp_path):
        wide = fitted(prepared, network=Network(width=4))
        wide.save(tmp_path / "wide")
        (tmp_path / "wide" / "model.safetensors").replace(folder / "model.safetensors")
        with pytest.raises(SchemaError, match="size mismatch"):
            load_encoder(adopted(folder))

    def test_weights_that_lack_one(self, folder):
        tensors = load_file(folder / "model.safetensors")
        tensors.pop(sorted(tensors)[0])
        save_file(tensors, folder / "model.safetensors")
        with pytest.raises(SchemaError, match="Missing key"):
            load_encoder(adopted(folder))

    def test_a_pickle_in_their_place_is_not_run(self, folder, tmp_path):
        trace = tmp_path / "trace"
        content = pickle.dumps(Opens(trace))
        pickle.loads(content)  # it works: opening leaves a file behind
        assert trace.exists()
        trace.unlink()
        (folder / "model.safetensors").write_bytes(content)
        with pytest.raises(SchemaError, match="is not the file"):
            load_encoder(folder)
        with pytest.raises(SchemaError, match="does not hold an encoder"):
            load_encoder(adopted(folder))
        assert not trace.exists()


class Opens:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)
