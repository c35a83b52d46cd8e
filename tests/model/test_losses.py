"""Alignment of the views against enumeration of all tag sequences."""

import itertools

import pytest
import torch

from ita.model.crf import CRF
from ita.model.crf.constraints import bioes_constraints
from ita.model.losses import posterior_alignment, structural_alignment
from tests.support.paths_of_tags import path_score

K = 3
LENGTHS = torch.tensor([3, 1, 4])
TEMPERATURES = [1.0, 2.0, 4.0]


@pytest.fixture
def crf():
    torch.manual_seed(0)
    crf = CRF(K).double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return crf


@pytest.fixture
def views():
    """Emissions of teacher and student."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(3, 4, K, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(2)]


def sequences(crf, emissions, length, temperature):
    """Log-probability of every sequence of a post."""
    scores = []
    for path in itertools.product(range(K), repeat=int(length)):
        scores.append(path_score(crf, emissions, path))
    return (torch.stack(scores) / temperature).log_softmax(0)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_structural_alignment_and_its_gradient_equal_enumeration(crf, views, temperature):
    teacher, student = views
    ours = structural_alignment(crf, teacher, student, LENGTHS, temperature)
    brute = []
    for b, n in enumerate(LENGTHS):
        q = sequences(crf, teacher[b], n, temperature).detach()
        p = sequences(crf, student[b], n, temperature)
        brute.append(temperature**2 * (q.exp() * (q - p)).sum())
    brute = torch.stack(brute)
    torch.testing.assert_close(ours, brute)
    inputs = [student, *crf.parameters()]
    weights = torch.tensor([1.0, -2.0, 0.5])
    expected = torch.autograd.grad((weights * brute).sum(), inputs)
    for gradient, reference in zip(torch.autograd.grad((weights * ours).sum(), inputs), expected, strict=True):
        torch.testing.assert_close(gradient, reference)


def test_posterior_alignment_and_its_gradient_equal_enumeration(crf, views):
    """The gradient through the marginals, down to the scores."""
    teacher, student = views

    def enumerated(emissions, n):
        p = sequences(crf, emissions, n, 1).exp()
        paths = torch.tensor(list(itertools.product(range(K), repeat=int(n))))
        return torch.stack([torch.stack([p[paths[:, t] == k].sum() for k in range(K)]) for t in range(n)]).log()

    log_marginals = crf.forward_backward(torch.cat(views), LENGTHS.repeat(2))[1]
    ours = posterior_alignment(*log_marginals.chunk(2), LENGTHS, 2.0)
    brute = []
    for b, n in enumerate(LENGTHS):
        q = (enumerated(teacher[b], n).detach() / 2).log_softmax(1)
        p = (enumerated(student[b], n) / 2).log_softmax(1)
        brute.append(4 * (q.exp() * (q - p)).sum())
    torch.testing.assert_close(ours, torch.stack(brute))
    inputs = [student, *crf.parameters()]
    expected = torch.autograd.grad(torch.stack(brute).sum(), inputs)
    for gradient, reference in zip(torch.autograd.grad(ours.sum(), inputs, retain_graph=True), expected, strict=True):
        torch.testing.assert_close(gradient, reference)
    assert not torch.autograd.grad(ours.sum(), teacher)[0].any()


def test_posterior_alignment_is_zero_only_between_equal_views_and_has_gradients_for_the_student_alone():
    torch.manual_seed(2)
    teacher, student = (torch.randn(3, 4, K, dtype=torch.float64).log_softmax(2).requires_grad_() for _ in range(2))
    assert posterior_alignment(teacher, teacher, LENGTHS, 2.0).abs().max() < 1e-12
    loss = posterior_alignment(teacher, student, LENGTHS, 2.0)
    assert (loss > 0).all()
    loss.sum().backward()
    assert teacher.grad is None
    assert student.grad[0, :3].abs().sum() > 0
    assert student.grad[0, 3:].abs().sum() == 0


def test_structural_alignment_is_zero_only_between_equal_views_and_has_gradients_for_the_student_alone(crf, views):
    teacher, student = views
    equal = structural_alignment(crf, teacher, teacher.detach().clone().requires_grad_(), LENGTHS, 2.0)
    assert equal.abs().max() < 1e-12
    gradients = torch.autograd.grad(equal.sum(), list(crf.parameters()))
    assert max(gradient.abs().max() for gradient in gradients) < 1e-12
    loss = structural_alignment(crf, teacher, student, LENGTHS, 2.0)
    assert (loss > 0).all()
    loss.sum().backward()
    assert teacher.grad is None
    assert student.grad[0, :3].abs().sum() > 0
    assert student.grad[0, 3:].abs().sum() == 0


@pytest.mark.parametrize("constraints", [None, bioes_constraints(["O", "B-PER", "E-PER"])])
def test_alignment_in_single_precision_ignores_padding(views, constraints):
    crf = CRF(K, constraints)
    teacher, student = (view.detach().float() for view in views)
    padding = (torch.arange(4) >= LENGTHS.unsqueeze(1)).unsqueeze(2)
    spoiled = [view.masked_fill(padding, float("nan")).requires_grad_() for view in (teacher, student)]
    student.requires_grad_()
    plain = structural_alignment(crf, teacher, student, LENGTHS, 4.0)
    with_padding = structural_alignment(crf, *spoiled, LENGTHS, 4.0)
    torch.testing.assert_close(plain, with_padding)
    assert (plain > 0).all()
    plain.sum().backward()
    with_padding.sum().backward()
    torch.testing.assert_close(spoiled[1].grad, student.grad)
    torch.manual_seed(0)
    posterior = [crf.forward_backward(view, LENGTHS)[1] for view in spoiled]
    spoiled[1].grad = None
    posterior_alignment(*posterior, LENGTHS, 4.0).sum().backward()
    assert torch.isfinite(spoiled[1].grad).all()


def test_posts_of_one_word_align_as_their_tag_distributions(crf, views):
    """There the two losses are the same."""
    teacher, student = (view[:, :1] for view in views)
    ones = torch.ones(3, dtype=torch.long)
    marginals = [crf.forward_backward(view, ones)[1] for view in (teacher, student)]
    for temperature in TEMPERATURES:
        torch.testing.assert_close(
            structural_alignment(crf, teacher, student, ones, temperature),
            posterior_alignment(*marginals, ones, temperature),
        )
