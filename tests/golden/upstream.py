"""Reading reference outputs of the reproduced systems: inputs, weights under upstream's names, expected values."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ita.model.batching import collate
from ita.model.bert import Bert, EncoderConfig
from ita.model.inputs import EncodedView

DTYPES = {"float32": torch.float32, "float64": torch.float64}
"""Emissions: absolute tolerance; losses and gradient norms: relative."""
TOLERANCES = {"float32": (2e-5, 1e-4), "float64": (1e-9, 1e-9)}


class Reference:
    """One folder of reference outputs."""

    def __init__(self, folder, dtype):
        self.folder, self.name, self.dtype = folder, dtype, DTYPES[dtype]
        self.facts = json.loads((folder / "golden.json").read_text())
        self.arrays = np.load(folder / "golden.npz")
        self.expected = self.facts.get(dtype)
        self.tolerances = TOLERANCES[dtype]
        self.prefix = "f64/" if dtype == "float64" else ""

    def array(self, name):
        """An input, or an expected output of this dtype; floats in this dtype."""
        found = self.arrays[name if "in/" in name or name.startswith(("raw/", "composed/")) else self.prefix + name]
        tensor = torch.from_numpy(np.ascontiguousarray(found))
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    def compare(self, name, value, mask=None):
        """Compares with an expected output, where a mask (...) is True; the set may leave out intermediate ones."""
        if self.prefix + name not in self.arrays:
            assert "emissions" not in name and "logits" not in name, f"the set has no {name}"
            return
        expected = self.array(name)
        if mask is not None:
            value, expected = value[mask], expected[:, : mask.shape[1]][mask]
        torch.testing.assert_close(value, expected, atol=self.tolerances[0], rtol=self.tolerances[0])

    def weights(self, file):
        return {name: value.to(self.dtype) for name, value in load_file(self.folder / file).items()}


def bert(config, weights, prefix, others=("pooler.",)):
    """Our packed encoder with upstream's weights; every parameter must be there, and nothing else but ``others``."""
    sizes = {name: value for name, value in config.items() if name in EncoderConfig.__dataclass_fields__}
    tables = {"vocab_size": "word", "max_position_embeddings": "position", "type_vocab_size": "token_type"}
    sizes |= {size: len(weights[f"{prefix}embeddings.{table}_embeddings.weight"]) for size, table in tables.items()}
    encoder = Bert(EncoderConfig.from_dict({**sizes, "hidden_act": "gelu"}))
    own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    own = {name: value for name, value in own.items() if not name.startswith(others)}
    encoder.load_state_dict(own, assign=True)
    return encoder.eval()


def packed(ids, mask, layout, regions=0):
    """A batch in which every subword is labelled, from padded ids and mask (B, T), with so many regions a post."""
    posts = []
    for number, (row, there) in enumerate(zip(ids.numpy(), mask.numpy().astype(bool), strict=True)):
        subwords = row[there].astype(np.int32)
        every = np.arange(len(subwords), dtype=np.int32)
        rows = np.arange(number * regions, (number + 1) * regions, dtype=np.int32)
        posts.append(EncodedView(subwords, (len(subwords),), every, 0, rows, labelled=every))
    return collate([posts], layout)


def gradients_agree(parameters, expected, relative):
    """Norm and sum of each gradient, of all parameters that upstream names.

    Args:
        parameters: upstream's name -> our parameter, after the backward pass.
        expected: upstream's name -> {norm, sum}, or {grad: null} for a parameter without gradient.
        relative: tolerance, relative to the larger of the norm and 1.
    """
    for name, values in expected.items():
        if not values or values.get("norm") is None:
            assert name not in parameters or parameters[name].grad is None or not parameters[name].grad.any(), name
            continue
        gradient = parameters[name].grad
        assert float(gradient.norm()) == pytest.approx(values["norm"], rel=relative, abs=relative), name
        assert float(gradient.sum()) == pytest.approx(
            values["sum"], rel=relative, abs=relative * max(1.0, values["norm"]) * 10
        ), name
