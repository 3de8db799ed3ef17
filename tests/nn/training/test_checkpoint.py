"""A training goes on from its own checkpoint, and from no other."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from radlatent.errors import SchemaError  # noqa: E402
from radlatent.nn import Checkpoint, State  # noqa: E402
from radlatent.nn.training import checkpoint  # noqa: E402
from radlatent.nn.training.checkpoint import checkpoint_of  # noqa: E402


class TestCheckpoint:
    STATE = State(
        {"a": torch.arange(6.0).reshape(2, 3).T}, {"epoch": 3, "best": np.inf}
    )

    def kept(self, path, about=("one",)):
        checkpoint_of(path, about).keep(self.STATE)
        return path

    def test_no_file_keeps_nothing(self):
        assert checkpoint_of(None, "one") == Checkpoint()

    def test_state_comes_back(self, tmp_path):
        path = tmp_path / "deep" / "folder" / "state"
        assert checkpoint_of(path, ["one"]).start is None
        found = checkpoint_of(self.kept(path), ["one"]).start
        assert found.numbers == self.STATE.numbers
        assert torch.equal(found.tensors["a"], self.STATE.tensors["a"])
        assert [p.name for p in path.parent.iterdir()] == ["state"]

    def test_of_another_training(self, tmp_path):
        path = self.kept(tmp_path / "state")
        with pytest.raises(SchemaError, match="checkpoint of another training"):
            checkpoint_of(path, ["two"])

    @pytest.mark.parametrize("content", [b"", b"x", b"\x00" * 100, None])
    def test_corrupt_or_truncated(self, tmp_path, content):
        path = self.kept(tmp_path / "state")
        path.write_bytes(path.read_bytes()[:-4] if content is None else content)
        with pytest.raises(SchemaError, match=r"is no checkpoint.*Delete it"):
            checkpoint_of(path, ["one"])

    def test_tensors_from_elsewhere(self, tmp_path):
        save_file({"a": torch.zeros(2)}, tmp_path / "state")
        with pytest.raises(SchemaError, match="another training"):
            checkpoint_of(tmp_path / "state", ["one"])

    def test_writing_takes_a_small_share_of_the_time(self, tmp_path, monkeypatch):
        clock = {"now": 0.0, "written": 0}

        def write(path, tensors, about):
            clock["now"] += 1.0  # a second to write
            clock["written"] += 1
            Path(path).touch()

        monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock["now"])
        monkeypatch.setattr(checkpoint, "write_tensors", write)
        keep = checkpoint_of(tmp_path / "state", ["one"]).keep
        for _ in range(1000):
            keep(self.STATE)
            clock["now"] += 0.5  # an epoch
        assert 0.9 * 0.05 < clock["written"] / clock["now"] <= 0.05 + 1 / clock["now"]
