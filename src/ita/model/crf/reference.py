"""The loops of the linear-chain CRF in PyTorch: the reference for all devices, and what the CPU runs.

Sums of exponentials are matrix products of scaled numbers where none of them comes near the smallest float, so that
what underflows in one cannot matter. Else they are taken in log space with each maximum subtracted: slower, and exact
for any scores.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Scores(NamedTuple):
    """Everything a path is scored by."""

    emissions: Tensor
    """(B, W, K)."""
    transitions: Tensor
    """(K, K), (from, to)."""
    start: Tensor
    """(K,)."""
    end: Tensor
    """(K,)."""


class Marginals(NamedTuple):
    """What a CRF expects of the posts of a batch."""

    log_z: Tensor
    """(B,)."""
    unary: Tensor
    """p(y_t = k | w) (B, W, K); 0 beyond a length."""
    moves: Tensor
    """Expected number of each move (B, K, K): p(y_t = i, y_{t+1} = j | w) summed over t."""


class Engine(NamedTuple):
    """The four loops over words, on one kind of device."""

    sweep: Callable[[Scores, Tensor, Tensor | None, bool], tuple[Tensor, Tensor]]
    log_marginals: Callable[[Tensor, Tensor, Tensor], Tensor]
    pull: Callable[[Scores, Tensor, Tensor, Tensor | None, Tensor, Tensor | None], tuple[Tensor, Tensor, Tensor]]
    decode: Callable[[Scores, Tensor], Tensor]


def beyond(lengths: Tensor, words: int) -> Tensor:
    """Whether a place (B, W) is behind a post's last word."""
    return torch.arange(words, device=lengths.device) >= lengths.unsqueeze(1)


def safe(sums: Tensor) -> bool:
    """Whether no sum is so small that something of it may have been lost to underflow."""
    limits = torch.finfo(sums.dtype)
    return not sums.numel() or bool(sums.min() >= limits.tiny / limits.eps**2)


def turn(lengths: Tensor, words: int) -> Tensor:
    """Places (B, W) of each post's words from last to first, then of what lies beyond. Its own inverse."""
    return ((lengths - 1).unsqueeze(1) - torch.arange(words, device=lengths.device)) % words


def path_score(scores: Scores, tags: Tensor, lengths: Tensor) -> Tensor:
    """Score (B,) of the path ``tags`` (B, W)."""
    outside = beyond(lengths, tags.shape[1])
    emitted = scores.emissions.gather(2, tags.unsqueeze(2)).squeeze(2)
    moved = scores.transitions.take(tags[:, :-1] * len(scores.start) + tags[:, 1:])
    last = tags.gather(1, (lengths - 1).unsqueeze(1)).squeeze(1)
    inner = emitted.masked_fill(outside, 0).sum(1) + moved.masked_fill(outside[:, 1:], 0).sum(1)
    return inner + scores.start.take(tags[:, 0]) + scores.end.take(last)


def sweep(scores: Scores, lengths: Tensor, tags: Tensor | None, both: bool) -> tuple[Tensor, Tensor]:
    """Forward and backward recursion at once: backward is forward on the turned post with transposed transitions.

    Args:
        scores: of the posts.
        lengths: (B,).
        tags: gold path (B, W), if any.
        both: also go backward.

    Returns:
        Log-sums (2, B, W, K) over all ways to come to a tag from the start, and from the end, emission not included,
        up to a constant per word (which keeps fp32 exact in long posts); and log Z (B,), or -log p(tags).
    """
    emissions, transitions, start, end = scores
    outside = beyond(lengths, emissions.shape[1])
    emissions = emissions.masked_fill(outside.unsqueeze(2), 0)
    order = turn(lengths, emissions.shape[1]).unsqueeze(2).expand_as(emissions)
    views = [emissions, emissions.gather(1, order)] if both else [emissions]
    sides = len(views)
    # Posts last: every operation then runs over long contiguous rows.
    emitted = torch.stack(views).permute(2, 0, 3, 1).contiguous()  # (W, sides, K, B)
    into = torch.stack([transitions.T, transitions][:sides])  # (sides, to, from)
    first = torch.stack([start, end][:sides]).unsqueeze(2)
    came, shift = _scaled(emitted, into, first) or _logged(emitted, into, first)
    came = came.permute(1, 3, 0, 2)
    if both:
        came = torch.stack([came[0], came[1].gather(1, order)])
    post = torch.arange(len(lengths), device=lengths.device)
    at_end = came[0, post, lengths - 1] + emissions[post, lengths - 1] + end
    total = shift[:-1, 0].masked_fill(outside[:, 1:].T, 0).sum(0, dtype=torch.float64) + torch.logsumexp(at_end, 1)
    if tags is not None:
        total = total - path_score(scores._replace(emissions=emissions), tags, lengths)
    return came, total.to(emissions.dtype)


def _scaled(emitted: Tensor, into: Tensor, first: Tensor) -> tuple[Tensor, Tensor] | None:
    """The recursion of ``sweep`` by matrix products of probabilities; None if a sum comes out too small.

    Args:
        emitted: (W, sides, K, B).
        into: (sides, to, from).
        first: (sides, K, 1).

    Returns:
        Log-sums (W, sides, K, B), and the constant (W, sides, B) taken off at each word for the next.
    """
    most, peak = into.max(), emitted.amax(2, keepdim=True)
    factor, chance = (into - most).exp(), (emitted - peak).exp_()
    at_first = first + emitted[0]
    came, share, scale = torch.empty_like(emitted), torch.empty_like(emitted), torch.empty_like(peak)
    came[0], share[0], scale[0] = 1, at_first.softmax(1), 1
    steps = list(zip(came.unbind(), chance.unbind(), share.unbind(), scale.unbind(), strict=True))
    for (_, _, before, _), (here, word, after, total) in itertools.pairwise(steps):
        torch.bmm(factor, before, out=here)
        torch.mul(here, word, out=after)
        torch.sum(after, 1, keepdim=True, out=total)
        after.div_(total)
    if not safe(came):
        return None
    came = came.log_().add_(most)
    came[0] = first
    shift = scale.log_().add_(peak).squeeze(2)
    shift[1:] += most
    shift[0] = torch.logsumexp(at_first, 1)
    return came, shift


def _logged(emitted: Tensor, into: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """The same in log space."""
    moves = into.mT.unsqueeze(3)
    came, shift = [first.expand_as(emitted[0])], []
    for word in emitted:
        state = came[-1] + word
        shift.append(state.amax(1))
        came.append(torch.logsumexp((state - shift[-1].unsqueeze(1)).unsqueeze(2) + moves, 1))
    return torch.stack(came[:-1]), torch.stack(shift)


def log_marginals(emissions: Tensor, came: Tensor, lengths: Tensor) -> Tensor:
    """log p(y_t = k | w) (B, W, K) after ``sweep``; 0 beyond a length."""
    outside = beyond(lengths, emissions.shape[1]).unsqueeze(2)
    return (came.sum(0) + emissions).log_softmax(2).masked_fill(outside, 0)


def pairwise(scores: Scores, came: Tensor, lengths: Tensor) -> Tensor:
    """p(y_t = i, y_{t+1} = j | w) (B, W - 1, K, K) after ``sweep``; 0 beyond a length."""
    before, after = (came[0] + scores.emissions)[:, :-1], (came[1] + scores.emissions)[:, 1:]
    joint = before.unsqueeze(3) + scores.transitions + after.unsqueeze(2)
    outside = beyond(lengths, scores.emissions.shape[1])[:, 1:, None, None]
    return joint.flatten(2).softmax(2).view_as(joint).masked_fill(outside, 0)


def pull(
    scores: Scores, came: Tensor, lengths: Tensor, tags: Tensor | None, weight: Tensor, cotangent: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of sum(weight * value of ``sweep``) + sum(cotangent * log marginals).

    The Jacobian of the marginals is the Hessian of log Z, hence symmetric: its product with a vector is a derivative
    along that vector. Written for log marginals, it pushes the cotangent as a (signed) measure along the chain, onward
    by p(y_{t+1} | y_t) and back by p(y_t | y_{t+1}). All factors are probabilities, so nothing is divided by a small
    marginal. Log Z itself is the measure (weight - sum of the cotangent) * p(y_1), pushed onward.

    Args:
        scores: of the posts.
        came: from ``sweep``, both ways.
        lengths: (B,).
        tags: gold path (B, W), if any.
        weight: (B,).
        cotangent: (B, W, K), or None for zero.

    Returns:
        Gradients of emissions (B, W, K); of transitions, post by post (B, K, K); of start and end (2, B, K).
    """
    outside = beyond(lengths, scores.emissions.shape[1])
    scores = scores._replace(emissions=scores.emissions.masked_fill(outside.unsqueeze(2), 0))
    if cotangent is None:
        unary = (came.sum(0) + scores.emissions).softmax(2).masked_fill_(outside.unsqueeze(2), 0)
        emitted = unary.mul_(weight.view(-1, 1, 1))
        moves = _expected_moves(scores, came, lengths).mul_(weight.view(-1, 1, 1))
    else:
        emitted, moves = _push(scores, came, lengths, weight, cotangent.masked_fill(outside.unsqueeze(2), 0))
    if tags is not None:
        gold = (-weight).unsqueeze(1).masked_fill(outside, 0)
        emitted.scatter_add_(2, tags.unsqueeze(2), gold.unsqueeze(2))
        move = tags[:, :-1] * moves.shape[2] + tags[:, 1:]
        moves = moves.flatten(1).scatter_add(1, move, gold[:, 1:]).view_as(moves)
    last = emitted[torch.arange(len(lengths), device=lengths.device), lengths - 1]
    return emitted, moves, torch.stack([emitted[:, 0], last])


def _expected_moves(scores: Scores, came: Tensor, lengths: Tensor) -> Tensor:
    """Sum of ``pairwise`` over words (B, K, K)."""
    before = (came[0] + scores.emissions)[:, :-1].softmax(2)
    after = (came[1] + scores.emissions)[:, 1:].softmax(2)
    factor = (scores.transitions - scores.transitions.max()).exp_()
    # Beyond a length: infinitely many, so that the share of each is 0.
    outside = beyond(lengths, scores.emissions.shape[1])[:, 1:]
    total = ((before @ factor).mul_(after)).sum(2).masked_fill_(outside, torch.inf)
    if not safe(total):
        return pairwise(scores, came, lengths).sum(1)
    return (before.div_(total.unsqueeze(2)).mT @ after).mul_(factor)


def _push(scores: Scores, came: Tensor, lengths: Tensor, weight: Tensor, cotangent: Tensor) -> tuple[Tensor, Tensor]:
    """The two pushes of ``pull``: gradients of emissions and transitions. All that is read is 0 beyond a length."""
    emissions, transitions = scores.emissions, scores.transitions
    batch, words, tags_count = emissions.shape
    outside, order = beyond(lengths, words), turn(lengths, words).unsqueeze(2).expand_as(emissions)
    weight = weight - cotangent.sum((1, 2))
    first = weight.unsqueeze(1) * (came[0, :, 0] + came[1, :, 0] + emissions[:, 0]).softmax(1)
    onward, back = emissions + came[1], (emissions + came[0]).gather(1, order)
    ahead = torch.stack([onward, back])[:, :, 1:].permute(2, 0, 1, 3)  # (W - 1, 2, B, K)
    given = torch.stack([cotangent, cotangent.gather(1, order)]).permute(2, 0, 1, 3)
    pushed, mass = (torch.empty_like(given, memory_format=torch.contiguous_format) for _ in range(2))
    pushed[0] = torch.stack([first, torch.zeros_like(first)])
    torch.add(pushed[0], given[0], out=mass[0])
    moves = torch.stack([transitions, transitions.T])
    ends = outside[:, 1:].T[:, None, :, None]
    factor, chance = (moves - moves.max()).exp_(), ahead.softmax(3)
    total = (chance @ factor.mT).masked_fill_(ends, 1)
    if safe(total):
        share = torch.empty_like(total)
        steps = zip(mass, chance, pushed[1:], given[1:], mass[1:], share, total, strict=False)
        for before, to, here, added, after, part, whole in steps:
            torch.div(before, whole, out=part)
            torch.bmm(part, factor, out=here)
            torch.add(here.mul_(to), added, out=after)
        share.masked_fill_(ends, 0)
        moved = torch.einsum("tsbi,tsbj->sbij", share, chance) * factor.unsqueeze(1)
    else:
        chance = (ahead.unsqueeze(3) + moves.unsqueeze(1)).softmax(4)
        for before, to, here, added, after in zip(mass, chance, pushed[1:], given[1:], mass[1:], strict=False):
            torch.matmul(before.unsqueeze(2), to, out=here.unsqueeze(2))
            torch.add(here, added, out=after)
        moved = (mass[:-1].unsqueeze(4) * chance).masked_fill_(ends.unsqueeze(4), 0).sum(0)
    there, again = pushed.permute(1, 2, 0, 3)
    emitted = cotangent + (there + again.gather(1, order)).masked_fill(outside.unsqueeze(2), 0)
    return emitted, moved[0] + moved[1].mT


def decode(scores: Scores, lengths: Tensor) -> Tensor:
    """Best paths (B, W); 0 beyond a length."""
    emissions, transitions, start, end = scores
    batch, words, tags_count = emissions.shape
    moves, into = transitions.unsqueeze(2), transitions.T.contiguous()
    emitted = emissions.permute(1, 2, 0).contiguous()  # (W, K, B)
    sums = emitted.new_empty(tags_count, tags_count, batch)
    best = torch.empty_like(emitted)
    torch.add(emitted[0], start.unsqueeze(1), out=best[0])
    for before, word, here in zip(best.unsqueeze(2).unbind(), emitted[1:].unbind(), best[1:].unbind(), strict=False):
        torch.add(before, moves, out=sums)
        torch.amax(sums, 0, out=here)
        here.add_(word)
    # From the last word to the first. The best way into a known tag is found again from K sums, which is less than
    # to note it for all K tags on the way.
    order = turn(lengths, words)
    back = best.permute(0, 2, 1).gather(0, order.T.unsqueeze(2).expand(words, batch, tags_count))
    back[0] += end
    path = lengths.new_empty(words, batch)
    torch.argmax(back[0], 1, out=path[0])
    for after, here, tag in zip(path.unbind(), back[1:].unbind(), path[1:].unbind(), strict=False):
        torch.argmax(here.add_(into.index_select(0, after)), 1, out=tag)
    return path.T.gather(1, order).masked_fill(beyond(lengths, words), 0)


REFERENCE = Engine(sweep, log_marginals, pull, decode)
