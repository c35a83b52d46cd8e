"""The loops of the linear-chain CRF in PyTorch: the reference for all devices, and what the CPU runs.

Sums of exponentials are matrix products of scaled probabilities as long as none of them comes near the smallest float,
so that underflow cannot matter. Otherwise they are taken in log space with each maximum subtracted: slower, and exact
for any scores.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from ita.model.crf.engine import Engine, Potentials


def padding_mask(lengths: Tensor, words: int) -> Tensor:
    """(B, W); True is padding."""
    return torch.arange(words, device=lengths.device) >= lengths.unsqueeze(1)


def no_underflow(sums: Tensor) -> bool:
    """Whether no sum is so small that a part of it may have been lost to underflow."""
    limits = torch.finfo(sums.dtype)
    return not sums.numel() or bool(sums.min() >= limits.tiny / limits.eps**2)


def reverse_index(lengths: Tensor, words: int) -> Tensor:
    """(B, W) index that reverses the words of each post and leaves padding behind them. Its own inverse."""
    return ((lengths - 1).unsqueeze(1) - torch.arange(words, device=lengths.device)) % words


def path_score(potentials: Potentials, tags: Tensor, lengths: Tensor) -> Tensor:
    """Score (B,) of the path ``tags`` (B, W)."""
    padding = padding_mask(lengths, tags.shape[1])
    emissions = potentials.emissions.gather(2, tags.unsqueeze(2)).squeeze(2)
    transitions = potentials.transitions.take(tags[:, :-1] * len(potentials.start) + tags[:, 1:])
    last_tags = tags.gather(1, (lengths - 1).unsqueeze(1)).squeeze(1)
    score = emissions.masked_fill(padding, 0).sum(1) + transitions.masked_fill(padding[:, 1:], 0).sum(1)
    return score + potentials.start.take(tags[:, 0]) + potentials.end.take(last_tags)


def forward_backward(
    potentials: Potentials, lengths: Tensor, tags: Tensor | None, need_backward: bool
) -> tuple[Tensor, Tensor]:
    """See :class:`ita.model.crf.engine.ForwardBackward`.

    Both directions run at once: backward is forward on the reversed post with transposed transitions.
    """
    emissions, transitions, start, end = potentials
    padding = padding_mask(lengths, emissions.shape[1])
    emissions = emissions.masked_fill(padding.unsqueeze(2), 0)
    reverse = reverse_index(lengths, emissions.shape[1]).unsqueeze(2).expand_as(emissions)
    directions = [emissions, emissions.gather(1, reverse)] if need_backward else [emissions]
    count = len(directions)
    # Posts last: every operation then runs over long contiguous rows.
    directed_emissions = torch.stack(directions).permute(2, 0, 3, 1).contiguous()  # (W, directions, K, B)
    directed_transitions = torch.stack([transitions.T, transitions][:count])  # (directions, to, from)
    initial = torch.stack([start, end][:count]).unsqueeze(2)
    result = _scaled_recursion(directed_emissions, directed_transitions, initial)
    if result is None:
        result = _log_recursion(directed_emissions, directed_transitions, initial)
    messages, log_scale = result
    messages = messages.permute(1, 3, 0, 2)
    if need_backward:
        messages = torch.stack([messages[0], messages[1].gather(1, reverse)])
    posts = torch.arange(len(lengths), device=lengths.device)
    final = messages[0, posts, lengths - 1] + emissions[posts, lengths - 1] + end
    removed = log_scale[:-1, 0].masked_fill(padding[:, 1:].T, 0).sum(0, dtype=torch.float64)
    value = removed + torch.logsumexp(final, 1)
    if tags is not None:
        value = value - path_score(potentials._replace(emissions=emissions), tags, lengths)
    return messages, value.to(emissions.dtype)


def _scaled_recursion(emissions: Tensor, transitions: Tensor, initial: Tensor) -> tuple[Tensor, Tensor] | None:
    """The forward recursion by matrix products of probabilities.

    Args:
        emissions: (W, directions, K, B).
        transitions: (directions, to, from).
        initial: (directions, K, 1).

    Returns:
        Log messages (W, directions, K, B), and the constant (W, directions, B) taken off at each word for the next;
        None if a sum comes out too small.
    """
    transition_max, emission_max = transitions.max(), emissions.amax(2, keepdim=True)
    transition_factor, emission_factor = (transitions - transition_max).exp(), (emissions - emission_max).exp_()
    first = initial + emissions[0]
    messages, state, scale = torch.empty_like(emissions), torch.empty_like(emissions), torch.empty_like(emission_max)
    messages[0], state[0], scale[0] = 1, first.softmax(1), 1
    words = list(zip(messages.unbind(), emission_factor.unbind(), state.unbind(), scale.unbind(), strict=True))
    for (_, _, previous, _), (message, emission, current, total) in itertools.pairwise(words):
        torch.bmm(transition_factor, previous, out=message)
        torch.mul(message, emission, out=current)
        torch.sum(current, 1, keepdim=True, out=total)
        current.div_(total)
    if not no_underflow(messages):
        return None
    messages = messages.log_().add_(transition_max)
    messages[0] = initial
    log_scale = scale.log_().add_(emission_max).squeeze(2)
    log_scale[1:] += transition_max
    log_scale[0] = torch.logsumexp(first, 1)
    return messages, log_scale


def _log_recursion(emissions: Tensor, transitions: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
    """The same in log space."""
    from_to = transitions.mT.unsqueeze(3)
    messages, log_scale = [initial.expand_as(emissions[0])], []
    for emission in emissions:
        state = messages[-1] + emission
        log_scale.append(state.amax(1))
        messages.append(torch.logsumexp((state - log_scale[-1].unsqueeze(1)).unsqueeze(2) + from_to, 1))
    return torch.stack(messages[:-1]), torch.stack(log_scale)


def log_marginals(emissions: Tensor, messages: Tensor, lengths: Tensor) -> Tensor:
    """See :class:`ita.model.crf.engine.LogMarginals`."""
    padding = padding_mask(lengths, emissions.shape[1]).unsqueeze(2)
    return (messages.sum(0) + emissions).log_softmax(2).masked_fill(padding, 0)


def pairwise_marginals(potentials: Potentials, messages: Tensor, lengths: Tensor) -> Tensor:
    """p(y_t = i, y_{t+1} = j | w) (B, W - 1, K, K) from the messages of both directions; 0 in padding."""
    log_alpha, log_beta = messages
    left = (log_alpha + potentials.emissions)[:, :-1]
    right = (log_beta + potentials.emissions)[:, 1:]
    joint = left.unsqueeze(3) + potentials.transitions + right.unsqueeze(2)
    padding = padding_mask(lengths, potentials.emissions.shape[1])[:, 1:, None, None]
    return joint.flatten(2).softmax(2).view_as(joint).masked_fill(padding, 0)


def expected_transition_counts(potentials: Potentials, messages: Tensor, lengths: Tensor) -> Tensor:
    """Sum of ``pairwise_marginals`` over words (B, K, K)."""
    log_alpha, log_beta = messages
    left = (log_alpha + potentials.emissions)[:, :-1].softmax(2)
    right = (log_beta + potentials.emissions)[:, 1:].softmax(2)
    factor = (potentials.transitions - potentials.transitions.max()).exp_()
    # An infinite normaliser in padding makes its share 0.
    padding = padding_mask(lengths, potentials.emissions.shape[1])[:, 1:]
    normalizer = ((left @ factor).mul_(right)).sum(2).masked_fill_(padding, torch.inf)
    if not no_underflow(normalizer):
        return pairwise_marginals(potentials, messages, lengths).sum(1)
    return (left.div_(normalizer.unsqueeze(2)).mT @ right).mul_(factor)


def vjp(
    potentials: Potentials,
    messages: Tensor,
    lengths: Tensor,
    tags: Tensor | None,
    grad_value: Tensor,
    grad_log_marginals: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """See :class:`ita.model.crf.engine.VectorJacobianProduct`."""
    padding = padding_mask(lengths, potentials.emissions.shape[1])
    potentials = potentials._replace(emissions=potentials.emissions.masked_fill(padding.unsqueeze(2), 0))
    if grad_log_marginals is None:
        unary = (messages.sum(0) + potentials.emissions).softmax(2).masked_fill_(padding.unsqueeze(2), 0)
        grad_emissions = unary.mul_(grad_value.view(-1, 1, 1))
        counts = expected_transition_counts(potentials, messages, lengths)
        grad_transitions = counts.mul_(grad_value.view(-1, 1, 1))
    else:
        grad_log_marginals = grad_log_marginals.masked_fill(padding.unsqueeze(2), 0)
        grad_emissions, grad_transitions = _vjp_of_marginals(
            potentials, messages, lengths, grad_value, grad_log_marginals
        )
    if tags is not None:
        grad_gold = (-grad_value).unsqueeze(1).masked_fill(padding, 0)
        grad_emissions.scatter_add_(2, tags.unsqueeze(2), grad_gold.unsqueeze(2))
        gold_transitions = tags[:, :-1] * grad_transitions.shape[2] + tags[:, 1:]
        flat = grad_transitions.flatten(1).scatter_add(1, gold_transitions, grad_gold[:, 1:])
        grad_transitions = flat.view_as(grad_transitions)
    last = grad_emissions[torch.arange(len(lengths), device=lengths.device), lengths - 1]
    return grad_emissions, grad_transitions, torch.stack([grad_emissions[:, 0], last])


def _vjp_of_marginals(
    potentials: Potentials, messages: Tensor, lengths: Tensor, grad_value: Tensor, grad_log_marginals: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of emissions (B, W, K) and transitions (B, K, K) where log marginals have a gradient.

    Emissions and ``grad_log_marginals`` must be 0 in padding. Of the two directions one runs from the first word to the
    last, the other over the reversed post.
    """
    emissions, transitions = potentials.emissions, potentials.transitions
    log_alpha, log_beta = messages
    words = emissions.shape[1]
    padding, reverse = padding_mask(lengths, words), reverse_index(lengths, words).unsqueeze(2).expand_as(emissions)
    remaining = grad_value - grad_log_marginals.sum((1, 2))
    first = remaining.unsqueeze(1) * (log_alpha[:, 0] + log_beta[:, 0] + emissions[:, 0]).softmax(1)
    forward, backward = emissions + log_beta, (emissions + log_alpha).gather(1, reverse)
    next_scores = torch.stack([forward, backward])[:, :, 1:].permute(2, 0, 1, 3)  # (W - 1, 2, B, K)
    sources = torch.stack([grad_log_marginals, grad_log_marginals.gather(1, reverse)]).permute(2, 0, 1, 3)
    flow = torch.empty_like(sources, memory_format=torch.contiguous_format)  # (W, 2, B, K)
    flow[0] = torch.stack([first, torch.zeros_like(first)])
    directed_transitions = torch.stack([transitions, transitions.T])
    next_padding = padding[:, 1:].T[:, None, :, None]
    grad_transitions = _scaled_flow(flow, sources, directed_transitions, next_scores, next_padding)
    if grad_transitions is None:
        grad_transitions = _log_flow(flow, sources, directed_transitions, next_scores, next_padding)
    forward_flow, backward_flow = flow.permute(1, 2, 0, 3)
    total_flow = forward_flow + backward_flow.gather(1, reverse)
    grad_emissions = grad_log_marginals + total_flow.masked_fill(padding.unsqueeze(2), 0)
    return grad_emissions, grad_transitions[0] + grad_transitions[1].mT


def _scaled_flow(
    flow: Tensor, sources: Tensor, transitions: Tensor, next_scores: Tensor, next_padding: Tensor
) -> Tensor | None:
    """Moves a measure along the chain by matrix products of probabilities.

    Args:
        flow: (W, 2, B, K) filled from its first word on: what reaches each word from the one before.
        sources: (W, 2, B, K) what each word adds.
        transitions: (2, K, K), (from, to) of each direction.
        next_scores: (W - 1, 2, B, K) scores of the tags of the next word.
        next_padding: (W - 1, 1, B, 1); True where the next word is padding.

    Returns:
        What flows through each transition (2, B, K, K), summed over words; None if a sum comes out too small.
    """
    transition_factor, next_probs = (transitions - transitions.max()).exp_(), next_scores.softmax(3)
    normalizer = (next_probs @ transition_factor.mT).masked_fill_(next_padding, 1)
    if not no_underflow(normalizer):
        return None
    mass = torch.empty_like(flow)
    torch.add(flow[0], sources[0], out=mass[0])
    shares = torch.empty_like(normalizer)
    steps = zip(mass, next_probs, flow[1:], sources[1:], mass[1:], shares, normalizer, strict=False)
    for mass_here, probs, flow_next, source_next, mass_next, share, total in steps:
        torch.div(mass_here, total, out=share)
        torch.bmm(share, transition_factor, out=flow_next)
        torch.add(flow_next.mul_(probs), source_next, out=mass_next)
    shares.masked_fill_(next_padding, 0)
    return torch.einsum("tsbi,tsbj->sbij", shares, next_probs) * transition_factor.unsqueeze(1)


def _log_flow(flow: Tensor, sources: Tensor, transitions: Tensor, next_scores: Tensor, next_padding: Tensor) -> Tensor:
    """The same with conditional probabilities taken in log space."""
    conditional = (next_scores.unsqueeze(3) + transitions.unsqueeze(1)).softmax(4)
    mass = torch.empty_like(flow)
    torch.add(flow[0], sources[0], out=mass[0])
    steps = zip(mass, conditional, flow[1:], sources[1:], mass[1:], strict=False)
    for mass_here, probs, flow_next, source_next, mass_next in steps:
        torch.matmul(mass_here.unsqueeze(2), probs, out=flow_next.unsqueeze(2))
        torch.add(flow_next, source_next, out=mass_next)
    return (mass[:-1].unsqueeze(4) * conditional).masked_fill_(next_padding.unsqueeze(4), 0).sum(0)


def viterbi(potentials: Potentials, lengths: Tensor) -> Tensor:
    """See :class:`ita.model.crf.engine.Viterbi`."""
    emissions, transitions, start, end = potentials
    batch, words, num_tags = emissions.shape
    from_to, to_from = transitions.unsqueeze(2), transitions.T.contiguous()
    by_word = emissions.permute(1, 2, 0).contiguous()  # (W, K, B)
    sums = by_word.new_empty(num_tags, num_tags, batch)
    best_scores = torch.empty_like(by_word)
    torch.add(by_word[0], start.unsqueeze(1), out=best_scores[0])
    steps = zip(best_scores.unsqueeze(2).unbind(), by_word[1:].unbind(), best_scores[1:].unbind(), strict=False)
    for previous, emission, current in steps:
        torch.add(previous, from_to, out=sums)
        torch.amax(sums, 0, out=current)
        current.add_(emission)
    # Backtrace. The best predecessor of a known tag is found again from K sums, which is less than to keep
    # backpointers for all K tags.
    reverse = reverse_index(lengths, words)
    backward = best_scores.permute(0, 2, 1).gather(0, reverse.T.unsqueeze(2).expand(words, batch, num_tags))
    backward[0] += end
    path = lengths.new_empty(words, batch)
    torch.argmax(backward[0], 1, out=path[0])
    for next_tag, scores, tag in zip(path.unbind(), backward[1:].unbind(), path[1:].unbind(), strict=False):
        torch.argmax(scores.add_(to_from.index_select(0, next_tag)), 1, out=tag)
    return path.T.gather(1, reverse).masked_fill(padding_mask(lengths, words), 0)


TORCH = Engine(forward_backward, log_marginals, vjp, viterbi)
