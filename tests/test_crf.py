"""The CRF against enumeration of all tag sequences, and against the official code's values."""

import itertools
import json

import pytest
import torch

from ita.model.crf import CRF
from ita.model.losses import posterior_alignment

K = 4
LENGTHS = torch.tensor([3, 1, 4])


@pytest.fixture
def crf():
    torch.manual_seed(0)
    crf = CRF(K).double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return crf


@pytest.fixture
def emissions():
    return torch.randn(3, 4, K, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)


def path_score(crf, emissions, path):
    score = crf.start[path[0]] + crf.end[path[-1]] + sum(emissions[t, k] for t, k in enumerate(path))
    return score + sum(crf.transitions[a, b] for a, b in itertools.pairwise(path))


def enumerated(crf, emissions, length):
    """Every path of a post with its score."""
    paths = list(itertools.product(range(K), repeat=int(length)))
    return paths, torch.stack([path_score(crf, emissions, path) for path in paths])


def test_log_partition_and_its_gradient_equal_enumeration(crf, emissions):
    ours = crf.log_partition(emissions, LENGTHS)
    brute = torch.stack([enumerated(crf, emissions[b], n)[1].logsumexp(0) for b, n in enumerate(LENGTHS)])
    torch.testing.assert_close(ours, brute)
    wanted = [emissions, *crf.parameters()]
    for ours_grad, brute_grad in zip(
        torch.autograd.grad(ours.sum(), wanted, retain_graph=True),
        torch.autograd.grad(brute.sum(), wanted),
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


def test_viterbi_is_the_best_path(crf, emissions):
    found = crf.viterbi(emissions, LENGTHS)
    for b, n in enumerate(LENGTHS):
        paths, scores = enumerated(crf, emissions[b], n)
        assert tuple(found[b, :n].tolist()) == paths[int(scores.argmax())]
        assert not found[b, n:].any()


def test_sequence_score_is_the_sum_along_the_path(crf, emissions):
    tags = torch.tensor([[1, 2, 0, 0], [3, 0, 0, 0], [0, 3, 2, 1]])
    ours = crf.sequence_score(emissions, tags, LENGTHS)
    for b, n in enumerate(LENGTHS):
        torch.testing.assert_close(ours[b], path_score(crf, emissions[b], tags[b, :n].tolist()))


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
    assert torch.equal(crf.viterbi(spoiled, LENGTHS), crf.viterbi(emissions, LENGTHS))
    tags = torch.zeros(3, 4, dtype=torch.long)
    torch.testing.assert_close(crf.nll(spoiled, tags, LENGTHS), crf.nll(emissions, tags, LENGTHS))


def test_alignment_is_zero_only_between_equal_views_and_teaches_only_the_student():
    torch.manual_seed(2)
    teacher, student = (torch.randn(3, 4, K, dtype=torch.float64).log_softmax(2).requires_grad_() for _ in range(2))
    assert posterior_alignment(teacher, teacher, LENGTHS, 2.0).abs().max() < 1e-12
    loss = posterior_alignment(teacher, student, LENGTHS, 2.0)
    assert (loss > 0).all()
    loss.sum().backward()
    assert teacher.grad is None
    assert student.grad[0, :3].abs().sum() > 0
    assert student.grad[0, 3:].abs().sum() == 0


@pytest.mark.golden
def test_official_code(golden):
    """../shared/golden/ita: START and STOP are tags there; their column and row are our start and end scores."""
    values = json.loads((golden / "ita" / "parity.json").read_text())
    tags = values["tags"]
    matrix = torch.tensor([[-1e12 if x is None else x for x in row] for row in values["transitions_to_from"]])
    crf = CRF(len(tags))
    with torch.no_grad():
        crf.transitions.copy_(matrix.T)
        crf.start.copy_(matrix[:, tags.index("<START>")])
        crf.end.copy_(matrix[tags.index("<STOP>")])
    lengths, gold = torch.tensor(values["lens"]), torch.tensor(values["gold"])
    marginals = {}
    for view in "IT", "T":
        emissions = torch.tensor(values[f"emissions_{view}"])
        close = {"rtol": 1e-5, "atol": 1e-5}
        torch.testing.assert_close(crf.log_partition(emissions, lengths), torch.tensor(values[f"logZ_{view}"]), **close)
        torch.testing.assert_close(
            crf.sequence_score(emissions, gold, lengths), torch.tensor(values[f"gold_score_{view}"]), **close
        )
        torch.testing.assert_close(
            crf.nll(emissions, gold, lengths).mean(), torch.tensor(values[f"nll_mean_{view}"]), **close
        )
        log_z, marginals[view] = crf.forward_backward(emissions, lengths)
        assert torch.equal(log_z, crf.log_partition(emissions, lengths))
        for b, n in enumerate(values["lens"]):
            expected = torch.tensor(values[f"marginals_{view}"][b][:n])
            torch.testing.assert_close(marginals[view][b, :n].exp(), expected, **close)
            assert crf.viterbi(emissions, lengths)[b, :n].tolist() == values[f"viterbi_{view}"][b][:n]
    checked = 0
    for key, value in values.items():
        if key.startswith("cva_T"):
            ours = posterior_alignment(marginals["IT"], marginals["T"], lengths, float(key[5:])).mean()
            # The original sums unnormalised scores in float32: equal to 7e-4 relative, as the README there says.
            assert ours.item() == pytest.approx(value, rel=7e-4)
            checked += 1
    assert checked
