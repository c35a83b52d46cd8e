"""The training loop minimises a loss, with clipped gradients and one cycle of the learning rate."""

from __future__ import annotations

import pytest
import torch

from ita.demo.training.loop import optimise


def test_a_loss_is_minimised(caplog: pytest.LogCaptureFixture) -> None:
    weight = torch.zeros(3, requires_grad=True)
    target = torch.tensor([1.0, -2.0, 0.5])
    with caplog.at_level("INFO"):
        optimise(
            "line",
            [weight],
            lambda: ((weight - target) ** 2).sum(),
            steps=300,
            learning_rate=0.05,
            max_norm=1.0,
        )
    torch.testing.assert_close(weight.detach(), target, atol=0.05, rtol=0)
    assert any(message.startswith("line: loss of the last step 0.0") for message in caplog.messages)
    assert weight.grad is None, "no gradient is left over"


def test_gradients_are_clipped() -> None:
    norms = []
    weight = torch.zeros(2, requires_grad=True)
    weight.register_post_accumulate_grad_hook(lambda tensor: norms.append(float(tensor.grad.norm())))
    optimise("steep", [weight], lambda: 1e6 * weight.sum(), steps=2, learning_rate=1e-3, max_norm=1.0)
    assert min(norms) > 1e6
    assert float(weight.detach().abs().max()) < 1e-2
