"""The CRF against enumeration of all tag sequences."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ita.model.crf import CRF, torch_engine
from tests.support.paths_of_tags import path_score

K = 4
LENGTHS = torch.tensor([3, 1, 4])


@pytest.fixture(params=["products", "log space"])
def crf(request, monkeypatch):
    if request.param == "log space":
        monkeypatch.setattr(torch_engine, "no_underflow", lambda sums: False)
    torch.manual_seed(0)
    crf = CRF(K).double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return crf


@pytest.fixture
def emissions():
    return torch.randn(3, 4, K, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)


def enumerated(crf, emissions, length):
    """Every path of a post with its score."""
    paths = list(itertools.product(range(K), repeat=int(length)))
    return paths, torch.stack([path_score(crf, emissions, path) for path in paths])


def test_log_partition_and_its_gradient_equal_enumeration(crf, emissions):
    ours = crf.log_partition(emissions, LENGTHS)
    brute = torch.stack([enumerated(crf, emissions[b], n)[1].logsumexp(0) for b, n in enumerate(LENGTHS)])
    torch.testing.assert_close(ours, brute)
    inputs = [emissions, *crf.parameters()]
    for ours_grad, brute_grad in zip(
        torch.autograd.grad(ours.sum(), inputs, retain_graph=True),
        torch.autograd.grad(brute.sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours_grad, brute_grad)


def test_marginals_equal_enumeration(crf, emissions):
    marginals = crf.forward_backward(emissions, LENGTHS)[1].exp()
    for b, n in enumerate(LENGTHS):
        paths, scores = enumerated(crf, emissions[b], n)
        share = scores.softmax(0)
        for t in range(n):
            for k in range(K):
                brute = sum(p for path, p in zip(paths, share, strict=True) if path[t] == k)
                torch.testing.assert_close(marginals[b, t, k], brute)


def test_the_decoded_path_is_the_best(crf, emissions):
    decoded = crf.decode(emissions, LENGTHS)
    for b, n in enumerate(LENGTHS):
        paths, scores = enumerated(crf, emissions[b], n)
        assert tuple(decoded[b, :n].tolist()) == paths[int(scores.argmax())]
        assert not decoded[b, n:].any()


def test_nll_is_log_z_minus_the_score_of_the_gold_path(crf, emissions):
    tags = torch.tensor([[1, 2, 0, 0], [3, 0, 0, 0], [0, 3, 2, 1]])
    nll, log_z = crf.nll(emissions, tags, LENGTHS), crf.log_partition(emissions, LENGTHS)
    for b, n in enumerate(LENGTHS):
        torch.testing.assert_close(log_z[b] - nll[b], path_score(crf, emissions[b], tags[b, :n].tolist()))


def test_span_posterior_equals_enumeration(crf, emissions):
    spans = [(0, 0, [1, 2]), (0, 1, [3, 3]), (1, 0, [2]), (2, 1, [0, 1, 2]), (2, 0, [1, 1, 1, 1])]
    ours = crf.span_log_posterior(emissions, LENGTHS, spans).exp()
    for value, (post, start, tags) in zip(ours, spans, strict=True):
        paths, scores = enumerated(crf, emissions[post], LENGTHS[post])
        share = scores.softmax(0)
        brute = sum(p for path, p in zip(paths, share, strict=True) if list(path[start : start + len(tags)]) == tags)
        torch.testing.assert_close(value, brute)


def test_a_batch_equals_posts_one_by_one(crf, emissions):
    together = crf.forward_backward(emissions, LENGTHS)[1]
    for b, n in enumerate(LENGTHS):
        alone = crf.forward_backward(emissions[b : b + 1, :n], LENGTHS[b : b + 1])[1]
        torch.testing.assert_close(together[b, :n], alone[0])


def test_scores_beyond_a_length_are_never_read(crf, emissions):
    spoiled = emissions.detach().clone()
    for b, n in enumerate(LENGTHS):
        spoiled[b, n:] = float("nan")
    torch.testing.assert_close(crf.log_partition(spoiled, LENGTHS), crf.log_partition(emissions, LENGTHS))
    assert torch.equal(crf.decode(spoiled, LENGTHS), crf.decode(emissions, LENGTHS))
    tags = torch.zeros(3, 4, dtype=torch.long)
    torch.testing.assert_close(crf.nll(spoiled, tags, LENGTHS), crf.nll(emissions, tags, LENGTHS))


def test_gradients_of_log_z_and_marginals(crf, emissions):
    names = ["start", "transitions", "end"]

    def log_z_and_marginals(emissions, *parameters):
        values = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(Wrapped(crf), {f"crf.{name}": values[name] for name in names}, (emissions,))

    assert torch.autograd.gradcheck(log_z_and_marginals, (emissions, *(getattr(crf, name) for name in names)))


class Wrapped(torch.nn.Module):
    """Lets functional_call reach a method."""

    def __init__(self, crf):
        super().__init__()
        self.crf = crf

    def forward(self, emissions):
        tags = torch.tensor([[1, 2, 0, 0], [3, 0, 0, 0], [0, 3, 2, 1]])
        return *self.crf.forward_backward(emissions, LENGTHS), *self.crf.nll_and_log_marginals(emissions, tags, LENGTHS)


def test_pairwise_marginals_equal_enumeration(crf, emissions):
    marginals = crf.marginals(emissions, LENGTHS, return_pairwise=True)
    torch.testing.assert_close(marginals.log_z, crf.log_partition(emissions, LENGTHS))
    torch.testing.assert_close(marginals.pairwise.sum(1), marginals.transition_counts)
    for b, n in enumerate(LENGTHS):
        paths, scores = enumerated(crf, emissions[b], n)
        brute = torch.zeros_like(marginals.pairwise[b])
        for path, share in zip(paths, scores.softmax(0), strict=True):
            for t, (source, target) in enumerate(itertools.pairwise(path)):
                brute[t, source, target] += share
        torch.testing.assert_close(marginals.pairwise[b], brute)


def test_a_temperature_divides_all_scores(crf, emissions):
    ours = crf.log_partition(emissions, LENGTHS, temperature=3.0)
    brute = torch.stack([(enumerated(crf, emissions[b], n)[1] / 3).logsumexp(0) for b, n in enumerate(LENGTHS)])
    torch.testing.assert_close(ours, brute)


@st.composite
def batches(draw, most_tags=5, extremes=(0.0, 50.0)):
    """A CRF, emissions and lengths of a batch, in fp32."""
    tags, posts, words = draw(st.integers(1, most_tags)), draw(st.integers(1, 5)), draw(st.integers(1, 7))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    crf = CRF(tags)
    for parameter in crf.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
    forbidden = draw(st.sampled_from([None, -1e4, -1e12]))
    if forbidden:
        closed = torch.rand(tags, tags, generator=generator) < 0.5
        closed[0], closed[:, 0] = False, False  # as 'O' may stand anywhere
        crf.transitions.data[closed] = forbidden
    emissions = torch.randn(posts, words, tags, generator=generator)
    emissions += draw(st.sampled_from(extremes)) * torch.randn(emissions.shape, generator=generator).sign()
    lengths = torch.randint(1, words + 1, (posts,), generator=generator)
    lengths[0] = words
    return crf, emissions.requires_grad_(), lengths


def results(crf, emissions, lengths):
    """All that a CRF computes of a batch: values and gradients."""
    log_z, log_marginals = crf.forward_backward(emissions, lengths)
    marginals = crf.marginals(emissions, lengths, return_pairwise=True)
    weights = torch.linspace(-1, 1, log_marginals[0].numel()).view_as(log_marginals[0])
    loss = log_z.sum() + (weights * log_marginals.exp()).sum()
    gradients = torch.autograd.grad(loss, [emissions, *crf.parameters()])
    return {
        "log_z": log_z,
        "marginals": log_marginals.exp(),
        "pairwise": marginals.pairwise,
        "transition_counts": marginals.transition_counts,
        "emissions": gradients[0],
        "parameters": torch.cat([gradient.flatten() for gradient in gradients[1:]]),
    }


def close(value, expected):
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=2e-5)


@settings(max_examples=40, deadline=None)
@given(batches(), st.randoms(use_true_random=False))
def test_order_and_padding_of_a_batch_change_nothing(batch, random):
    crf, emissions, lengths = batch
    order = list(range(len(lengths)))
    random.shuffle(order)
    plain = results(crf, emissions, lengths)
    padded = torch.cat([emissions, torch.full_like(emissions[:, :2], float("nan"))], 1).detach()
    padded.masked_fill_((torch.arange(padded.shape[1]) >= lengths.unsqueeze(1)).unsqueeze(2), float("nan"))
    permuted = results(crf, padded[order].requires_grad_(), lengths[order])
    words = emissions.shape[1]
    mask = (torch.arange(words) < lengths.unsqueeze(1)).unsqueeze(2)
    for name in "log_z", "transition_counts":
        close(permuted[name], plain[name][order])
    close(permuted["pairwise"][:, : words - 1], plain["pairwise"][order])
    close((permuted["marginals"][:, :words] * mask[order]), (plain["marginals"] * mask)[order])
    assert not permuted["emissions"][:, words:].any()
    assert all(torch.isfinite(value).all() for value in permuted.values())
    path = crf.decode(padded[order], lengths[order])
    assert torch.equal(path[:, :words], crf.decode(emissions, lengths)[order])
    assert not path[:, words:].any()


@settings(max_examples=40, deadline=None)
@given(batches())
def test_marginals_are_probabilities_and_agree(batch):
    crf, emissions, lengths = batch
    marginals = crf.marginals(emissions, lengths, return_pairwise=True)
    mask = (torch.arange(emissions.shape[1]) < lengths.unsqueeze(1)).float()
    close(marginals.unary.sum(2), mask)
    close(marginals.pairwise.sum(3), marginals.unary[:, :-1] * mask[:, 1:, None])
    close(marginals.pairwise.sum(2), marginals.unary[:, 1:])
    close(marginals.transition_counts, marginals.pairwise.sum(1))


@settings(max_examples=60, deadline=None)
@given(batches(extremes=(0.0, 50.0, 400.0)))
def test_single_precision_is_exact_even_for_extreme_scores(batch):
    """Products of probabilities underflow here; the values equal those of the plain recursion in double precision."""
    crf, emissions, lengths = batch
    exact = CRF(emissions.shape[2]).double()
    exact.load_state_dict(crf.state_dict())
    start, moves, end = (x.detach().double() for x in (exact.start, exact.transitions, exact.end))
    ours, emitted = crf.marginals(emissions, lengths), emissions.detach().double()
    for b, n in enumerate(lengths):
        alpha, beta = [start + emitted[b, 0]], [end]
        for t in range(1, n):
            alpha.append((alpha[-1].unsqueeze(1) + moves).logsumexp(0) + emitted[b, t])
            beta.append((moves + emitted[b, n - t] + beta[-1]).logsumexp(1))
        torch.testing.assert_close(ours.log_z[b].double(), (alpha[-1] + end).logsumexp(0), rtol=1e-5, atol=1e-4)
        expected = (torch.stack(alpha) + torch.stack(beta[::-1])).softmax(1)
        torch.testing.assert_close(ours.unary[b, :n].double(), expected, rtol=1e-4, atol=1e-4)
    values = results(crf, emissions, lengths)
    assert all(torch.isfinite(value).all() for value in values.values())
    close(values["marginals"][0], ours.unary[0])


@pytest.mark.parametrize("score", [-1e4, -1e12])
def test_values_are_finite_even_where_all_is_forbidden(score):
    crf = CRF(3)
    for parameter in crf.parameters():
        torch.nn.init.constant_(parameter, score)
    emissions = (50 * torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))).requires_grad_()
    values = results(crf, emissions, torch.tensor([4, 1]))
    assert all(torch.isfinite(value).all() for value in values.values())


def test_half_precision_is_raised(crf, emissions):
    half = emissions.detach().to(torch.bfloat16).requires_grad_()
    crf.float()
    log_z, marginals = crf.forward_backward(half, LENGTHS)
    assert log_z.dtype == marginals.dtype == torch.float32
    torch.testing.assert_close(log_z, crf.log_partition(half.float(), LENGTHS))
    log_z.sum().backward()
    assert half.grad.dtype == torch.bfloat16


def test_a_batch_may_be_empty(crf, emissions):
    log_z, marginals = crf.forward_backward(emissions[:0], LENGTHS[:0])
    (log_z.sum() + marginals.sum()).backward()
    assert log_z.shape == (0,)
    assert crf.decode(emissions[:0], LENGTHS[:0]).shape == (0, 4)
    assert crf.span_log_posterior(emissions, LENGTHS, []).shape == (0,)
