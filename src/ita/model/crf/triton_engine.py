"""The loops of ``torch_engine`` as Triton kernels: one program per post (and direction) walks all its words.

A program keeps the transitions in registers, K padded to P, a power of two; padded tags have emission -inf. Imported
only where Triton is installed. ``TRITON_INTERPRET=1`` in the environment, set before, runs the kernels on CPU tensors.
"""

from __future__ import annotations

import torch
import triton  # type: ignore[import-untyped,import-not-found,unused-ignore]
import triton.language as tl  # type: ignore[import-untyped,import-not-found,unused-ignore]
from torch import Tensor

from ita.model.crf.engine import Engine, Potentials

jit = triton.jit(do_not_specialize=["batch", "words"])


@triton.jit
def _square(k, direction, K: tl.constexpr):
    """Offsets of a (K, K) tensor as (from, to): transposed for the backward direction."""
    return tl.where(direction == 0, k[:, None] * K + k[None, :], k[None, :] * K + k[:, None])


@jit
def _forward_backward_kernel(
    emissions,
    transitions,
    start,
    end,
    lengths,
    tags,
    messages,
    value,
    batch,
    words,
    K: tl.constexpr,
    P: tl.constexpr,
    TAGS: tl.constexpr,
):
    direction, post = tl.program_id(0), tl.program_id(1)
    length = tl.load(lengths + post).to(tl.int32)
    k = tl.arange(0, P)
    in_range = k < K
    square_mask = in_range[:, None] & in_range[None, :]
    from_to = tl.load(transitions + _square(k, direction, K), mask=square_mask, other=0.0)
    end_scores = tl.load(end + k, mask=in_range, other=0.0)
    message = tl.where(direction == 0, tl.load(start + k, mask=in_range, other=0.0), end_scores)
    state = message
    total = tl.full((), 0.0, tl.float64)
    if TAGS:
        first_tag = tl.load(tags + post * words)
        total -= tl.load(start + first_tag) + tl.load(end + tl.load(tags + post * words + length - 1))
    for step in range(length):
        t = tl.where(direction == 0, step, length - 1 - step)
        row = (post * words + t) * K
        tl.store(messages + direction * batch * words * K + row + k, message, mask=in_range)
        state = message + tl.load(emissions + row + k, mask=in_range, other=float("-inf"))
        state_max = tl.max(state, 0)
        state -= state_max
        total += state_max
        sums = state[:, None] + from_to
        sums_max = tl.max(sums, 0)
        message = sums_max + tl.log(tl.sum(tl.exp(sums - sums_max[None, :]), 0))
        if TAGS:
            tag = tl.load(tags + post * words + t)
            next_tag = tl.load(tags + post * words + t + 1, mask=t + 1 < length, other=0)
            total -= tl.load(emissions + row + tag)
            total -= tl.load(transitions + tag * K + next_tag, mask=t + 1 < length, other=0.0)
    if direction == 0:
        state += end_scores
        state_max = tl.max(state, 0)
        log_sum = total + state_max + tl.log(tl.sum(tl.exp(state - state_max), 0))
        tl.store(value + post, log_sum.to(tl.float32))


@jit
def _log_marginals_kernel(emissions, messages, lengths, out, batch, words, K: tl.constexpr, P: tl.constexpr):
    post, t = tl.program_id(0), tl.program_id(1)
    k = tl.arange(0, P)
    in_post = t < tl.load(lengths + post)
    row = (post * words + t) * K + k
    mask = (k < K) & in_post
    scores = tl.load(emissions + row, mask=mask, other=0.0) + tl.load(messages + row, mask=mask, other=0.0)
    scores += tl.load(messages + batch * words * K + row, mask=mask, other=0.0)
    scores = tl.where(k < K, scores, float("-inf"))
    scores -= tl.max(scores, 0)
    tl.store(out + row, tl.where(in_post, scores - tl.log(tl.sum(tl.exp(scores), 0)), 0.0), mask=k < K)


@jit
def _flow_kernel(
    emissions,
    transitions,
    messages,
    lengths,
    tags,
    grad_value,
    grad_log_marginals,
    flow,
    grad_transitions,
    batch,
    words,
    K: tl.constexpr,
    P: tl.constexpr,
    TAGS: tl.constexpr,
    MARGINALS: tl.constexpr,
):
    direction, post = tl.program_id(0), tl.program_id(1)
    length = tl.load(lengths + post).to(tl.int32)
    k = tl.arange(0, P)
    in_range = k < K
    square, square_mask = _square(k, direction, K), in_range[:, None] & in_range[None, :]
    from_to = tl.load(transitions + square, mask=square_mask, other=0.0)
    plane = batch * words * K
    grad = tl.load(grad_value + post)
    remaining = grad
    if MARGINALS:
        for t in range(length):
            row = (post * words + t) * K + k
            remaining -= tl.sum(tl.load(grad_log_marginals + row, mask=in_range, other=0.0), 0)
    row = post * words * K + k
    first = tl.load(emissions + row, mask=in_range, other=float("-inf"))
    first += tl.load(messages + row, mask=in_range, other=0.0)
    first += tl.load(messages + plane + row, mask=in_range, other=0.0)
    first = tl.exp(first - tl.max(first, 0))
    mass = tl.where(direction == 0, remaining * first / tl.sum(first, 0), 0.0)
    total = tl.zeros((P, P), tl.float32)
    for step in range(length):
        t = tl.where(direction == 0, step, length - 1 - step)
        row = (post * words + t) * K + k
        tl.store(flow + direction * plane + row, mass, mask=in_range)
        if MARGINALS:
            mass += tl.load(grad_log_marginals + row, mask=in_range, other=0.0)
        has_next = step + 1 < length
        row += tl.where(direction == 0, K, -K)
        next_scores = tl.load(emissions + row, mask=in_range & has_next, other=0.0)
        next_scores += tl.load(messages + (1 - direction) * plane + row, mask=in_range & has_next, other=0.0)
        sums = from_to + tl.where(in_range, next_scores, float("-inf"))[None, :]
        probs = tl.exp(sums - tl.max(sums, 1)[:, None])
        moved = (mass / tl.sum(probs, 1))[:, None] * probs
        moved = tl.where(has_next, moved, 0.0)
        mass = tl.sum(moved, 0)
        total += moved
        if TAGS:
            counts = has_next & (direction == 0)
            tag = tl.load(tags + post * words + t)
            next_tag = tl.load(tags + post * words + t + 1, mask=counts, other=0)
            total -= tl.where((k == tag)[:, None] & (k == next_tag)[None, :] & counts, grad, 0.0)
    tl.store(grad_transitions + (direction * batch + post) * K * K + square, total, mask=square_mask)


@jit
def _grad_emissions_kernel(
    lengths,
    tags,
    grad_value,
    grad_log_marginals,
    flow,
    grad_emissions,
    grad_ends,
    batch,
    words,
    K: tl.constexpr,
    P: tl.constexpr,
    TAGS: tl.constexpr,
    MARGINALS: tl.constexpr,
):
    post, t = tl.program_id(0), tl.program_id(1)
    length = tl.load(lengths + post)
    k = tl.arange(0, P)
    row = (post * words + t) * K + k
    mask = (k < K) & (t < length)
    grad = tl.load(flow + row, mask=mask, other=0.0)
    if MARGINALS:
        grad += tl.load(flow + batch * words * K + row, mask=mask, other=0.0)
        grad += tl.load(grad_log_marginals + row, mask=mask, other=0.0)
    if TAGS:
        gold = (k == tl.load(tags + post * words + t)) & (t < length)
        grad -= tl.where(gold, tl.load(grad_value + post), 0.0)
    tl.store(grad_emissions + row, grad, mask=k < K)
    tl.store(grad_ends + post * K + k, grad, mask=(k < K) & (t == 0))
    tl.store(grad_ends + (batch + post) * K + k, grad, mask=(k < K) & (t == length - 1))


@jit
def _viterbi_kernel(
    emissions, transitions, start, end, lengths, backpointers, path, words, K: tl.constexpr, P: tl.constexpr
):
    post = tl.program_id(0)
    length = tl.load(lengths + post).to(tl.int32)
    k = tl.arange(0, P)
    in_range = k < K
    square_mask = in_range[:, None] & in_range[None, :]
    from_to = tl.load(transitions + _square(k, 0, K), mask=square_mask, other=0.0)
    row = post * words * K + k
    best = tl.load(start + k, mask=in_range, other=0.0)
    best += tl.load(emissions + row, mask=in_range, other=float("-inf"))
    for _ in range(1, length):
        row += K
        best, source = tl.max(best[:, None] + from_to, 0, return_indices=True)
        tl.store(backpointers + row, source, mask=in_range)
        best += tl.load(emissions + row, mask=in_range, other=float("-inf"))
    tag = tl.argmax(best + tl.load(end + k, mask=in_range, other=0.0), 0)
    # What other threads of this program stored is read below.
    tl.debug_barrier()
    for step in range(length):
        t = length - 1 - step
        tl.store(path + post * words + t, tag.to(tl.int64))
        tag = tl.load(backpointers + (post * words + t) * K + tag, mask=t > 0, other=0)
    for t in range(length, words):
        tl.store(path + post * words + t, tl.full((), 0, tl.int64))


def _launch_options(num_tags: int) -> dict[str, int]:
    padded = triton.next_power_of_2(num_tags)
    return {"K": num_tags, "P": padded, "num_warps": max(1, padded * padded // 1024)}


def _contiguous(potentials: Potentials) -> Potentials:
    return Potentials(*(values.contiguous() for values in potentials))


def forward_backward(
    potentials: Potentials, lengths: Tensor, tags: Tensor | None, need_backward: bool
) -> tuple[Tensor, Tensor]:
    """See :class:`ita.model.crf.engine.ForwardBackward`; messages in padding are left unwritten."""
    potentials, lengths = _contiguous(potentials), lengths.contiguous()
    batch, words, num_tags = potentials.emissions.shape
    directions = 2 if need_backward else 1
    messages = potentials.emissions.new_empty(directions, batch, words, num_tags)
    value = potentials.emissions.new_empty(batch)
    gold = lengths if tags is None else tags.contiguous()  # a pointer is needed even where it is not read
    options = {"TAGS": tags is not None, **_launch_options(num_tags)}
    with torch.cuda.device_of(value):
        _forward_backward_kernel[directions, batch](
            *potentials, lengths, gold, messages, value, batch, words, **options
        )
    return messages, value


def log_marginals(emissions: Tensor, messages: Tensor, lengths: Tensor) -> Tensor:
    """See :class:`ita.model.crf.engine.LogMarginals`."""
    emissions, lengths = emissions.contiguous(), lengths.contiguous()
    batch, words, num_tags = emissions.shape
    out = torch.empty_like(emissions)
    with torch.cuda.device_of(out):
        _log_marginals_kernel[batch, words](
            emissions, messages, lengths, out, batch, words, **_launch_options(num_tags)
        )
    return out


def vjp(
    potentials: Potentials,
    messages: Tensor,
    lengths: Tensor,
    tags: Tensor | None,
    grad_value: Tensor,
    grad_log_marginals: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """See :class:`ita.model.crf.engine.VectorJacobianProduct`.

    Without a gradient of the marginals nothing flows backward, and what flows forward are the marginals.
    """
    potentials, lengths, grad_value = _contiguous(potentials), lengths.contiguous(), grad_value.contiguous()
    emissions = potentials.emissions
    batch, words, num_tags = emissions.shape
    directions = 1 if grad_log_marginals is None else 2
    flow = emissions.new_empty(directions, batch, words, num_tags)
    grad_transitions = emissions.new_empty(directions, batch, num_tags, num_tags)
    grad_emissions, grad_ends = torch.empty_like(emissions), emissions.new_empty(2, batch, num_tags)
    gold = lengths if tags is None else tags.contiguous()
    sources = grad_value if grad_log_marginals is None else grad_log_marginals.contiguous()
    options = {"TAGS": tags is not None, "MARGINALS": grad_log_marginals is not None, **_launch_options(num_tags)}
    with torch.cuda.device_of(flow):
        _flow_kernel[directions, batch](
            *(emissions, potentials.transitions, messages, lengths, gold, grad_value, sources),
            *(flow, grad_transitions, batch, words),
            **options,
        )
        _grad_emissions_kernel[batch, words](
            lengths, gold, grad_value, sources, flow, grad_emissions, grad_ends, batch, words, **options
        )
    return grad_emissions, grad_transitions[0] if directions == 1 else grad_transitions.sum(0), grad_ends


def viterbi(potentials: Potentials, lengths: Tensor) -> Tensor:
    """See :class:`ita.model.crf.engine.Viterbi`."""
    potentials, lengths = _contiguous(potentials), lengths.contiguous()
    batch, words, num_tags = potentials.emissions.shape
    backpointers = torch.empty_like(potentials.emissions, dtype=torch.int32)
    path = torch.empty(batch, words, dtype=torch.long, device=backpointers.device)
    with torch.cuda.device_of(path):
        _viterbi_kernel[batch,](*potentials, lengths, backpointers, path, words, **_launch_options(num_tags))
    return path


TRITON = Engine(forward_backward, log_marginals, vjp, viterbi)
