# mypy: disallow-untyped-defs=False
"""The loops of ``crf_reference`` as Triton kernels: one program per post (and direction) walks all its words.

A program keeps the transitions in registers, K padded to P, a power of two; padded tags have emission -inf. Imported
only where Triton is installed. ``TRITON_INTERPRET=1`` in the environment, set before, runs the kernels on CPU tensors.
"""

from __future__ import annotations

import torch
import triton  # type: ignore[import-untyped,import-not-found,unused-ignore]
import triton.language as tl  # type: ignore[import-untyped,import-not-found,unused-ignore]
from torch import Tensor

from ita.model.crf.reference import Engine, Scores

jit = triton.jit(do_not_specialize=["batch", "words"])


@triton.jit
def _square(i, side, K: tl.constexpr):
    """Offsets of a (K, K) tensor as (from, to): transposed for the way back."""
    return tl.where(side == 0, i[:, None] * K + i[None, :], i[None, :] * K + i[:, None])


@jit
def _sweep(
    emissions,
    transitions,
    start,
    end,
    lengths,
    tags,
    came,
    value,
    batch,
    words,
    K: tl.constexpr,
    P: tl.constexpr,
    TAGS: tl.constexpr,
):
    side, post = tl.program_id(0), tl.program_id(1)
    n = tl.load(lengths + post).to(tl.int32)
    i = tl.arange(0, P)
    real = i < K
    moves = tl.load(transitions + _square(i, side, K), mask=real[:, None] & real[None, :], other=0.0)
    last = tl.load(end + i, mask=real, other=0.0)
    here = tl.where(side == 0, tl.load(start + i, mask=real, other=0.0), last)
    state = here
    total = tl.full((), 0.0, tl.float64)
    if TAGS:
        first = tl.load(tags + post * words)
        total -= tl.load(start + first) + tl.load(end + tl.load(tags + post * words + n - 1))
    for step in range(n):
        t = tl.where(side == 0, step, n - 1 - step)
        row = (post * words + t) * K
        tl.store(came + side * batch * words * K + row + i, here, mask=real)
        state = here + tl.load(emissions + row + i, mask=real, other=float("-inf"))
        least = tl.max(state, 0)
        state -= least
        total += least
        sums = state[:, None] + moves
        top = tl.max(sums, 0)
        here = top + tl.log(tl.sum(tl.exp(sums - top[None, :]), 0))
        if TAGS:
            tag = tl.load(tags + post * words + t)
            after = tl.load(tags + post * words + t + 1, mask=t + 1 < n, other=0)
            total -= tl.load(emissions + row + tag)
            total -= tl.load(transitions + tag * K + after, mask=t + 1 < n, other=0.0)
    if side == 0:
        state += last
        top = tl.max(state, 0)
        tl.store(value + post, (total + top + tl.log(tl.sum(tl.exp(state - top), 0))).to(tl.float32))


@jit
def _log_marginals(emissions, came, lengths, out, batch, words, K: tl.constexpr, P: tl.constexpr):
    post, t = tl.program_id(0), tl.program_id(1)
    i = tl.arange(0, P)
    inside = t < tl.load(lengths + post)
    row = (post * words + t) * K + i
    mask = (i < K) & inside
    x = tl.load(emissions + row, mask=mask, other=0.0) + tl.load(came + row, mask=mask, other=0.0)
    x += tl.load(came + batch * words * K + row, mask=mask, other=0.0)
    x = tl.where(i < K, x, float("-inf"))
    x -= tl.max(x, 0)
    tl.store(out + row, tl.where(inside, x - tl.log(tl.sum(tl.exp(x), 0)), 0.0), mask=i < K)


@jit
def _push(
    emissions,
    transitions,
    came,
    lengths,
    tags,
    weight,
    cotangent,
    pushed,
    moved,
    batch,
    words,
    K: tl.constexpr,
    P: tl.constexpr,
    TAGS: tl.constexpr,
    COTANGENT: tl.constexpr,
):
    side, post = tl.program_id(0), tl.program_id(1)
    n = tl.load(lengths + post).to(tl.int32)
    i = tl.arange(0, P)
    real = i < K
    square, mask = _square(i, side, K), real[:, None] & real[None, :]
    moves = tl.load(transitions + square, mask=mask, other=0.0)
    plane = batch * words * K
    gold = tl.load(weight + post)
    given = gold
    if COTANGENT:
        for t in range(n):
            given -= tl.sum(tl.load(cotangent + (post * words + t) * K + i, mask=real, other=0.0), 0)
    row = post * words * K + i
    x = tl.load(emissions + row, mask=real, other=float("-inf"))
    x += tl.load(came + row, mask=real, other=0.0) + tl.load(came + plane + row, mask=real, other=0.0)
    x = tl.exp(x - tl.max(x, 0))
    here = tl.where(side == 0, given * x / tl.sum(x, 0), 0.0)
    total = tl.zeros((P, P), tl.float32)
    for step in range(n):
        t = tl.where(side == 0, step, n - 1 - step)
        row = (post * words + t) * K + i
        tl.store(pushed + side * plane + row, here, mask=real)
        if COTANGENT:
            here += tl.load(cotangent + row, mask=real, other=0.0)
        goes_on = step + 1 < n
        row += tl.where(side == 0, K, -K)
        ahead = tl.load(emissions + row, mask=real & goes_on, other=0.0)
        ahead += tl.load(came + (1 - side) * plane + row, mask=real & goes_on, other=0.0)
        sums = moves + tl.where(real, ahead, float("-inf"))[None, :]
        chance = tl.exp(sums - tl.max(sums, 1)[:, None])
        flow = (here / tl.sum(chance, 1))[:, None] * chance
        flow = tl.where(goes_on, flow, 0.0)
        here = tl.sum(flow, 0)
        total += flow
        if TAGS:
            counts = goes_on & (side == 0)
            tag = tl.load(tags + post * words + t)
            after = tl.load(tags + post * words + t + 1, mask=counts, other=0)
            total -= tl.where((i == tag)[:, None] & (i == after)[None, :] & counts, gold, 0.0)
    tl.store(moved + (side * batch + post) * K * K + square, total, mask=mask)


@jit
def _gather(
    lengths,
    tags,
    weight,
    cotangent,
    pushed,
    emitted,
    ends,
    batch,
    words,
    K: tl.constexpr,
    P: tl.constexpr,
    TAGS: tl.constexpr,
    COTANGENT: tl.constexpr,
):
    post, t = tl.program_id(0), tl.program_id(1)
    n = tl.load(lengths + post)
    i = tl.arange(0, P)
    row = (post * words + t) * K + i
    mask = (i < K) & (t < n)
    x = tl.load(pushed + row, mask=mask, other=0.0)
    if COTANGENT:
        x += tl.load(pushed + batch * words * K + row, mask=mask, other=0.0)
        x += tl.load(cotangent + row, mask=mask, other=0.0)
    if TAGS:
        gold = (i == tl.load(tags + post * words + t)) & (t < n)
        x -= tl.where(gold, tl.load(weight + post), 0.0)
    tl.store(emitted + row, x, mask=i < K)
    tl.store(ends + post * K + i, x, mask=(i < K) & (t == 0))
    tl.store(ends + (batch + post) * K + i, x, mask=(i < K) & (t == n - 1))


@jit
def _decode(emissions, transitions, start, end, lengths, came, path, words, K: tl.constexpr, P: tl.constexpr):
    post = tl.program_id(0)
    n = tl.load(lengths + post).to(tl.int32)
    i = tl.arange(0, P)
    real = i < K
    moves = tl.load(transitions + _square(i, 0, K), mask=real[:, None] & real[None, :], other=0.0)
    row = post * words * K + i
    best = tl.load(start + i, mask=real, other=0.0) + tl.load(emissions + row, mask=real, other=float("-inf"))
    for _ in range(1, n):
        row += K
        best, source = tl.max(best[:, None] + moves, 0, return_indices=True)
        tl.store(came + row, source, mask=real)
        best += tl.load(emissions + row, mask=real, other=float("-inf"))
    tag = tl.argmax(best + tl.load(end + i, mask=real, other=0.0), 0)
    # What other threads of this program stored is read below.
    tl.debug_barrier()
    for step in range(n):
        t = n - 1 - step
        tl.store(path + post * words + t, tag.to(tl.int64))
        tag = tl.load(came + (post * words + t) * K + tag, mask=t > 0, other=0)
    for t in range(n, words):
        tl.store(path + post * words + t, tl.full((), 0, tl.int64))


def _widths(tags_count: int) -> dict[str, int]:
    padded = triton.next_power_of_2(tags_count)
    return {"K": tags_count, "P": padded, "num_warps": max(1, padded * padded // 1024)}


def sweep(scores: Scores, lengths: Tensor, tags: Tensor | None, both: bool) -> tuple[Tensor, Tensor]:
    """See ``crf_reference``; beyond a length nothing is written."""
    scores, lengths = Scores(*(x.contiguous() for x in scores)), lengths.contiguous()
    batch, words, tags_count = scores.emissions.shape
    came = scores.emissions.new_empty(1 + both, batch, words, tags_count)
    value = scores.emissions.new_empty(batch)
    gold = lengths if tags is None else tags.contiguous()
    with torch.cuda.device_of(value):
        _sweep[1 + both, batch](
            *scores, lengths, gold, came, value, batch, words, TAGS=tags is not None, **_widths(tags_count)
        )
    return came, value


def log_marginals(emissions: Tensor, came: Tensor, lengths: Tensor) -> Tensor:
    """See ``crf_reference``."""
    emissions, lengths = emissions.contiguous(), lengths.contiguous()
    batch, words, tags_count = emissions.shape
    out = torch.empty_like(emissions)
    with torch.cuda.device_of(out):
        _log_marginals[batch, words](emissions, came, lengths, out, batch, words, **_widths(tags_count))
    return out


def pull(
    scores: Scores, came: Tensor, lengths: Tensor, tags: Tensor | None, weight: Tensor, cotangent: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """See ``crf_reference``. Without a cotangent nothing is pushed back, and what is pushed onward are marginals."""
    scores, lengths, weight = Scores(*(x.contiguous() for x in scores)), lengths.contiguous(), weight.contiguous()
    batch, words, tags_count = scores.emissions.shape
    sides = 1 if cotangent is None else 2
    pushed = scores.emissions.new_empty(sides, batch, words, tags_count)
    moved = scores.emissions.new_empty(sides, batch, tags_count, tags_count)
    emitted, ends = torch.empty_like(scores.emissions), scores.emissions.new_empty(2, batch, tags_count)
    gold = lengths if tags is None else tags.contiguous()
    given = weight if cotangent is None else cotangent.contiguous()
    which = {"TAGS": tags is not None, "COTANGENT": cotangent is not None, **_widths(tags_count)}
    with torch.cuda.device_of(pushed):
        _push[sides, batch](*scores[:2], came, lengths, gold, weight, given, pushed, moved, batch, words, **which)
        _gather[batch, words](lengths, gold, weight, given, pushed, emitted, ends, batch, words, **which)
    return emitted, moved[0] if sides == 1 else moved.sum(0), ends


def decode(scores: Scores, lengths: Tensor) -> Tensor:
    """See ``crf_reference``."""
    scores, lengths = Scores(*(x.contiguous() for x in scores)), lengths.contiguous()
    batch, words, tags_count = scores.emissions.shape
    came = torch.empty_like(scores.emissions, dtype=torch.int32)
    path = torch.empty(batch, words, dtype=torch.long, device=came.device)
    with torch.cuda.device_of(path):
        _decode[batch,](*scores, lengths, came, path, words, **_widths(tags_count))
    return path


KERNELS = Engine(sweep, log_marginals, pull, decode)
