"""Adam in its three variants, step by step: against torch, and BertAdam against its formula."""

import pytest
import torch

from ita.model.optimizer import BETAS, Optimizer, ParameterGroup

STEPS = 12


def models():
    torch.manual_seed(0)
    one = torch.nn.Linear(5, 4)
    other = torch.nn.Linear(5, 4)
    other.load_state_dict(one.state_dict())
    return one, other


def optimizer_of(kind, model, epsilon=1e-6, decay=0.0, clip=5.0):
    """Another rate for the bias than for the weights."""
    groups = [ParameterGroup([model.weight], 0.1, decay), ParameterGroup([model.bias], 0.02, decay)]
    return Optimizer(kind, groups, epsilon, clip)


@pytest.mark.parametrize("clip", [1e9, 5.0])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["adamw", "adam"])
def test_equals_torch(kind, decay, clip):
    ours, theirs = models()
    optimizer = optimizer_of(kind, ours, 1e-6, decay, clip)
    groups = [{"params": [theirs.weight], "peak": 0.1}, {"params": [theirs.bias], "peak": 0.02}]
    reference = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[kind](groups, eps=1e-6, weight_decay=decay)
    for step in range(STEPS):
        factor = 1 - step / STEPS
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


class ByFormula:
    """BertAdam of one tensor, number by number."""

    def __init__(self, values, epsilon, decay, clip):
        self.values, self.epsilon, self.decay, self.clip = values, epsilon, decay, clip
        self.mean, self.square = [0.0] * len(values), [0.0] * len(values)

    def step(self, gradients, rate):
        norm = sum(gradient**2 for gradient in gradients) ** 0.5
        if self.clip and norm > self.clip:
            gradients = [gradient * self.clip / (norm + 1e-6) for gradient in gradients]
        for i, gradient in enumerate(gradients):
            self.mean[i] = BETAS[0] * self.mean[i] + (1 - BETAS[0]) * gradient
            self.square[i] = BETAS[1] * self.square[i] + (1 - BETAS[1]) * gradient**2
            update = self.mean[i] / (self.square[i] ** 0.5 + self.epsilon)
            self.values[i] -= rate * (update + self.decay * self.values[i])


@pytest.mark.parametrize("clip", [0.0, 1.0, 1e9])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_bert_adam_is_its_formula(decay, clip):
    model = models()[0].double()
    optimizer = optimizer_of("bert_adam", model, 1e-6, decay, clip)
    weights = (model.weight, model.bias)
    expected = [ByFormula(weight.flatten().tolist(), 1e-6, decay, clip) for weight in weights]
    clipped = set()
    for step in range(STEPS):
        factor = 1 - step / STEPS
        # Gradients of many sizes: one tensor is clipped where the other is not.
        scale = 10.0 ** (step % 5 - 3)
        (scale * model(torch.randn(7, 5).double()).square().sum()).backward()
        for weight, rate, reference in zip(weights, (0.1, 0.02), expected, strict=True):
            clipped.add((weight.dim(), bool(weight.grad.norm() > 1)))
            reference.step(weight.grad.flatten().tolist(), rate * factor)
        optimizer.step(factor)
        for weight, reference in zip(weights, expected, strict=True):
            torch.testing.assert_close(weight.flatten().tolist(), reference.values, rtol=1e-12, atol=1e-14)
    assert clipped == {(1, False), (1, True), (2, False), (2, True)}


def test_bert_adam_starts_with_small_moments():
    """Without correction the first step is (1 - 0.9) / sqrt(1 - 0.999) times the rate, whatever the gradient."""
    weight = torch.zeros(1)
    optimizer = Optimizer("bert_adam", [ParameterGroup([weight], 1.0)], 0.0, 0.0)
    weight.grad = torch.full((1,), 1e-3)
    optimizer.step(1.0)
    assert weight.item() == pytest.approx(-0.1 / 0.001**0.5, rel=1e-5)


@pytest.mark.parametrize("kind", ["adamw", "adam", "bert_adam"])
def test_goes_on_from_its_state(kind):
    ours, theirs = models()
    first = optimizer_of(kind, ours)
    x = torch.randn(7, 5)
    for _ in range(3):
        ours(x).square().sum().backward()
        first.step(1.0)
    theirs.load_state_dict(ours.state_dict())
    second = optimizer_of(kind, theirs)
    second.load_state_dict(first.state_dict())
    for model, optimizer in ((ours, first), (theirs, second)):
        model(x).square().sum().backward()
        optimizer.step(0.5)
    assert torch.equal(ours.weight, theirs.weight)


@pytest.mark.parametrize("kind", ["adamw", "adam", "bert_adam"])
def test_parameters_without_gradient_stay(kind):
    ours, _ = models()
    before = ours.bias.clone()
    optimizer = optimizer_of(kind, ours, decay=0.5)
    ours.weight.grad = torch.ones_like(ours.weight)
    optimizer.step(1.0)
    assert torch.equal(ours.bias, before)
