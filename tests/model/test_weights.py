"""Checkpoints are read in every published layout and never run."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from ita.errors import UserError
from ita.model.weights import read_checkpoint


@pytest.fixture
def weights():
    return {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2)}


@pytest.mark.parametrize("layout", ["bare", "model", "state_dict", "module.", "safetensors"])
def test_reads_every_layout(tmp_path, weights, layout):
    file = tmp_path / ("m.safetensors" if layout == "safetensors" else "m.pth")
    if layout == "safetensors":
        save_file(weights, file)
    else:
        named = {("module." if layout == "module." else "") + name: value for name, value in weights.items()}
        torch.save({layout: named, "iteration": 3} if layout in ("model", "state_dict") else named, file)
    weights_read = read_checkpoint(file)
    assert weights_read.keys() == weights.keys()
    linear = torch.nn.Linear(3, 2)
    linear.load_state_dict(weights_read)
    assert torch.equal(linear.weight, weights["weight"])


class Trap:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def test_a_pickle_is_not_run(tmp_path):
    file, mark = tmp_path / "m.pth", tmp_path / "ran"
    torch.save({"model": Trap(mark)}, file)
    with pytest.raises(UserError, match=r"m\.pth: holds more than tensors"):
        read_checkpoint(file)
    assert not mark.exists()
    file.write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(UserError, match=r"m\.pth"):
        read_checkpoint(file)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04cut"])
@pytest.mark.parametrize("name", ["m.pth", "m.safetensors"])
def test_broken_files_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        read_checkpoint(tmp_path / name)


def test_something_else_than_weights(tmp_path):
    torch.save([1, 2], tmp_path / "m.pth")
    with pytest.raises(UserError, match="expected weights by name"):
        read_checkpoint(tmp_path / "m.pth")
