"""Our AdamW is torch's with gradients clipped, step by step, with its schedule of rates."""

import pytest
import torch

from ita.model.optimizer import AdamW


def models():
    torch.manual_seed(0)
    one = torch.nn.Linear(5, 4)
    other = torch.nn.Linear(5, 4)
    other.load_state_dict(one.state_dict())
    return one, other


@pytest.mark.parametrize("clip", [1e9, 5.0])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_equals_torch(decay, clip):
    ours, theirs = models()
    optimizer = AdamW([([ours.weight], 0.1), ([ours.bias], 0.02)], 1e-6, decay, clip)
    groups = [{"params": [theirs.weight], "peak": 0.1}, {"params": [theirs.bias], "peak": 0.02}]
    reference = torch.optim.AdamW(groups, eps=1e-6, weight_decay=decay, fused=True)
    for step in range(12):
        factor = 1 - step / 12
        x = torch.randn(7, 5)
        for model in (ours, theirs):
            model(x).square().sum().backward()
        optimizer.step(factor)
        for group in reference.param_groups:
            group["lr"] = group["peak"] * factor
        norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        assert norm > 5
        reference.step()
        reference.zero_grad()
        assert ours.weight.grad is None
        torch.testing.assert_close(ours.weight, theirs.weight)
        torch.testing.assert_close(ours.bias, theirs.bias)


def test_goes_on_from_its_state():
    ours, theirs = models()
    first = AdamW([(list(ours.parameters()), 0.1)], 1e-6, 0.0, 5.0)
    x = torch.randn(7, 5)
    for _ in range(3):
        ours(x).square().sum().backward()
        first.step(1.0)
    theirs.load_state_dict(ours.state_dict())
    second = AdamW([(list(theirs.parameters()), 0.1)], 1e-6, 0.0, 5.0)
    second.load_state_dict(first.state_dict())
    for model, optimizer in ((ours, first), (theirs, second)):
        model(x).square().sum().backward()
        optimizer.step(0.5)
    assert torch.equal(ours.weight, theirs.weight)


def test_parameters_without_gradient_stay():
    ours, _ = models()
    before = ours.bias.clone()
    optimizer = AdamW([(list(ours.parameters()), 0.1)], 1e-6, 0.5, 5.0)
    ours.weight.grad = torch.ones_like(ours.weight)
    optimizer.step(1.0)
    assert torch.equal(ours.bias, before)
