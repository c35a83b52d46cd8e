"""Milliseconds and operations of our CRF against pytorch-crf and torch-struct, with the values compared.

``pip install -c constraints.txt -e '.[benchmarks]'`` installs both. Every row is a median of runs that take turns, in
one process. Operations are what PyTorch dispatches on a CPU, and kernel launches on a GPU; forward and backward count
together.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from tabulate import tabulate
from torch.utils._python_dispatch import TorchDispatchMode
from torch_struct import LinearChainCRF
from torchcrf import CRF as PytorchCRF

from ita.model.crf import CRF

TAGS = 17
Run = Callable[[], Any]


class Counted(TorchDispatchMode):
    """Counts operations that are not views."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def count_operations(run: Run, device: torch.device) -> int:
    """Kernel launches of one run on a GPU, operations on a CPU."""
    if device.type == "cpu":
        with Counted() as mode:
            run()
        return mode.count
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        run()
        torch.cuda.synchronize()
    events = [e for e in profile.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    return sum(not e.name.startswith("Mem") for e in events)


def medians(runs: list[Run], repeats: int, device: torch.device) -> list[float]:
    """Median milliseconds of each, taking turns."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, milliseconds in zip(runs, times, strict=True):
            begin = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            milliseconds.append((time.perf_counter() - begin) * 1000)
    return [statistics.median(milliseconds) for milliseconds in times]


def edge_potentials(crf: CRF, emissions: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The potentials that torch-struct reads: (B, W - 1, to, from)."""
    scores = (crf.transitions + emissions[:, 1:].unsqueeze(2)).mT.clone()
    scores[:, 0] += (crf.start + emissions[:, 0]).unsqueeze(1)
    scores[torch.arange(len(lengths)), lengths - 2] += crf.end.unsqueeze(1)
    return scores.detach()


def cases(words: int, posts: int, device: torch.device) -> list[tuple[str, str, Run, Run]]:
    """What is compared at one size, after a check that the values agree: (task, peer, ours, theirs)."""
    torch.manual_seed(0)
    crf, peer = CRF(TAGS).to(device), PytorchCRF(TAGS, batch_first=True).to(device)
    with torch.no_grad():
        for parameter, peer_parameter in (
            (crf.start, peer.start_transitions),
            (crf.transitions, peer.transitions),
            (crf.end, peer.end_transitions),
        ):
            peer_parameter.copy_(torch.nn.init.normal_(parameter))
    emissions = torch.randn(posts, words, TAGS, device=device).mul_(3).requires_grad_()
    tags = torch.randint(TAGS, (posts, words), device=device)
    lengths = torch.randint(1, words + 1, (posts,), device=device)
    lengths[0] = words
    mask = torch.arange(words, device=device) < lengths.unsqueeze(1)  # True is a word

    def with_gradients(value: torch.Tensor, module: torch.nn.Module) -> tuple[torch.Tensor, ...]:
        return value.detach(), *torch.autograd.grad(value.sum(), [emissions, *module.parameters()])

    def our_nll() -> tuple[torch.Tensor, ...]:
        return with_gradients(crf.nll(emissions, tags, lengths), crf)

    def peer_nll() -> tuple[torch.Tensor, ...]:
        return with_gradients(-peer(emissions, tags, mask, reduction="none"), peer)

    def our_paths() -> list[list[int]]:
        paths = crf.decode(emissions, lengths).tolist()
        return [path[:n] for path, n in zip(paths, lengths.tolist(), strict=True)]

    def peer_paths() -> list[list[int]]:
        return peer.decode(emissions, mask)

    # Tolerances are for the peers: at 128 words pytorch-crf is 4e-4 off the values in double precision, ours 3e-5.
    ours, theirs = our_nll(), peer_nll()
    for value, expected in zip(ours[:2], theirs[:2], strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-3)
    names = {"start": "start_transitions", "transitions": "transitions", "end": "end_transitions"}
    peer_gradients = dict(zip([name for name, _ in peer.named_parameters()], theirs[2:], strict=True))
    for (name, _), gradient in zip(crf.named_parameters(), ours[2:], strict=True):
        torch.testing.assert_close(gradient, peer_gradients[names[name]], rtol=1e-4, atol=1e-2)
    assert our_paths() == peer_paths()

    at_least_two = lengths.clamp(min=2)  # torch-struct has no posts of one word
    potentials = edge_potentials(crf, emissions, at_least_two)

    def our_marginals() -> torch.Tensor | None:
        return crf.marginals(emissions, at_least_two, return_pairwise=True).pairwise

    def peer_marginals() -> torch.Tensor:
        return LinearChainCRF(potentials, lengths=at_least_two).marginals

    comparisons = [
        ("NLL, forward + backward", "pytorch-crf", our_nll, peer_nll),
        ("decode", "pytorch-crf", our_paths, peer_paths),
    ]
    torch.testing.assert_close(our_marginals(), peer_marginals().mT, rtol=1e-4, atol=1e-4)
    return [*comparisons, ("pairwise marginals", "torch-struct", our_marginals, peer_marginals)]


def main() -> None:
    """Prints one table of all sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch on the CPU")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--words", type=int, nargs="+", default=[16, 41, 128], help="of the longest post")
    parser.add_argument("--posts", type=int, nargs="+", default=[16, 128], help="in a batch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    rows = []
    for words in arguments.words:
        for posts in arguments.posts:
            for task, peer, ours, theirs in cases(words, posts, device):
                counts = [count_operations(run, device) for run in (ours, theirs)]
                our_ms, peer_ms = medians([ours, theirs], arguments.repeats, device)
                rows.append([task, words, posts, our_ms, peer, peer_ms, peer_ms / our_ms, *counts])
    unit = "operations" if device.type == "cpu" else "launches"
    headers = ["task", "words", "posts", "ms", "peer", "peer ms", "ratio", unit, f"peer {unit}"]
    print(f"torch {torch.__version__}, {device}, {arguments.threads} thread(s), K = {TAGS}, fp32")
    print(tabulate(rows, headers, tablefmt="github", floatfmt=".2f"))


if __name__ == "__main__":
    main()
