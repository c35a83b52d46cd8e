"""Weights are filled in without a gap."""

import pytest
import torch

from ita.errors import UserError
from ita.vision.weights import build_module, load_weights


@pytest.fixture
def weights():
    return {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("bias"), "1 missing: bias"),
        (lambda w: w.update(more=torch.ones(1)), "1 not expected: more"),
        (lambda w: w.update(bias=torch.ones(3)), r"1 of another shape: bias is \(3,\), expected \(2,\)"),
    ],
)
def test_weights_must_fit(weights, change, message):
    change(weights)
    linear = torch.nn.Linear(3, 2)
    before = linear.weight.clone()
    with pytest.raises(UserError, match=message):
        load_weights(linear, weights, "here")
    assert torch.equal(linear.weight, before)


def test_batch_counters_may_be_missing_and_names_may_differ(tmp_path):
    norm = torch.nn.BatchNorm1d(2)
    norm.running_mean.fill_(3)
    weights = {f"bn.{name}": x for name, x in norm.state_dict().items() if name != "num_batches_tracked"}
    built = build_module(lambda: torch.nn.BatchNorm1d(2), weights, "here", "bn.{}".format)
    assert built.running_mean.tolist() == [3, 3] and built.num_batches_tracked == 0
    assert not built.weight.requires_grad and built.weight.device.type == "cpu"
    del weights["bn.bias"]
    with pytest.raises(UserError, match="1 missing: bn.bias"):
        build_module(lambda: torch.nn.BatchNorm1d(2), weights, "here", "bn.{}".format)
