"""The Triton kernels against the PyTorch loops: on a CUDA device, else run by Triton's interpreter on CPU tensors."""

import os
import subprocess
import sys

import pytest
import torch

from ita.model.crf import CRF
from ita.model.crf.reference import REFERENCE, Scores

pytest.importorskip("triton", reason="pip install -c constraints.txt triton")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
# The interpreter is chosen when Triton is imported, and other tests import it: its tests need a process of their own.
runs = pytest.mark.skipif(not INTERPRETED, reason="run by test_interpreted in a process of its own")
SHAPES = [(3, 4, 17), (1, 1, 4), (2, 3, 21)]


def test_interpreted():
    if INTERPRETED:
        pytest.skip("this is that process")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "pytest", __file__, "-p", "no:cacheprovider", "-n", "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:]
    assert f"{3 * len(SHAPES)} passed" in done.stdout, done.stdout[-2000:]


def batch(shape, forbidden, device="cpu"):
    """Scores, lengths and tags; NaN beyond the lengths."""
    posts, words, count = shape
    generator = torch.Generator().manual_seed(words)
    emissions, transitions = (
        5 * torch.randn(*shape, generator=generator),
        torch.randn(count, count, generator=generator),
    )
    start, end = torch.randn(2, count, generator=generator)
    if forbidden:
        closed = torch.rand(count, count, generator=generator) < 0.4
        closed[0], closed[:, 0] = False, False
        transitions[closed] = start[1:3] = end[2:] = forbidden
    lengths = torch.randint(1, words + 1, (posts,), generator=generator)
    lengths[0] = words
    emissions.masked_fill_((torch.arange(words) >= lengths.unsqueeze(1)).unsqueeze(2), float("nan"))
    tags = torch.randint(count, (posts, words), generator=generator)
    scores = Scores(*(x.to(device) for x in (emissions, transitions, start, end)))
    return scores, lengths.to(device), tags.to(device)


def compare(shape, forbidden, device="cpu"):
    """All four loops, with and without tags and cotangent."""
    from ita.model.crf.triton import KERNELS

    scores, lengths, tags = batch(shape, forbidden, device)
    weight, cotangent = torch.randn(shape[0], device=device), torch.randn(shape, device=device)
    for gold in None, tags:
        found = []
        for loops in REFERENCE, KERNELS:
            came, value = loops.sweep(scores, lengths, gold, True)
            alone = loops.sweep(scores, lengths, gold, False)[1]
            marginals = loops.log_marginals(scores.emissions, came, lengths)
            pulled = [loops.pull(scores, came, lengths, gold, weight, given) for given in (None, cotangent)]
            found.append([value, alone, marginals.clamp(min=-100), *pulled[0], *pulled[1]])
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-5, atol=5e-5)
    assert torch.equal(KERNELS.decode(scores, lengths), REFERENCE.decode(scores, lengths))


@runs
@pytest.mark.parametrize("forbidden", [None, -1e4])
@pytest.mark.parametrize("shape", SHAPES)
def test_kernels_equal_the_reference(shape, forbidden):
    compare(shape, forbidden)


@runs
@pytest.mark.parametrize("shape", SHAPES)
def test_learning_through_kernels(shape, monkeypatch):
    """The same values and gradients of a CRF whichever engine it takes."""
    from ita.model import crf as module
    from ita.model.crf.triton import KERNELS

    scores, lengths, tags = batch(shape, -1e12)
    found = []
    for loops in REFERENCE, KERNELS:
        monkeypatch.setattr(module, "engine", lambda _, loops=loops: loops)
        crf = CRF(shape[2])
        for name in "start", "transitions", "end":
            getattr(crf, name).data.copy_(getattr(scores, name))
        emissions = scores.emissions.clone().requires_grad_()
        nll, marginals = crf.likelihood(emissions, tags, lengths)
        gradients = torch.autograd.grad(nll.sum() + marginals.exp().square().sum(), [emissions, *crf.parameters()])
        found.append([nll, marginals.exp(), *gradients, crf.marginals(emissions, lengths).moves])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=5e-5)


@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled in this process")
@pytest.mark.parametrize("tags", [17, 33])
@pytest.mark.parametrize("capability", [80, 90])
def test_kernels_compile_without_a_device(capability, tags, tmp_path, monkeypatch):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from ita.model.crf import triton

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    types = {"lengths": "*i64", "tags": "*i64", "path": "*i64", "batch": "i32", "words": "i32"}
    flags = {"TAGS": True, "COTANGENT": True}
    widths = triton._widths(tags)
    options = {"num_warps": widths.pop("num_warps")}
    for name in "_sweep", "_log_marginals", "_push", "_gather", "_decode":
        kernel = getattr(triton, name)
        if name == "_decode":
            types["came"] = "*i32"
        fixed = {**widths, **{flag: on for flag, on in flags.items() if flag in kernel.arg_names}}
        signature = {arg: "constexpr" if arg in fixed else types.get(arg, "*fp32") for arg in kernel.arg_names}
        values = {(kernel.arg_names.index(arg),): value for arg, value in fixed.items()}
        target = GPUTarget("cuda", capability, 32)
        compiled = triton.compile(ASTSource(kernel, signature, values), target=target, options=options)
        assert compiled.asm["cubin"]


@pytest.mark.gpu
@pytest.mark.parametrize("forbidden", [None, -1e4, -1e12])
@pytest.mark.parametrize("shape", [*SHAPES, (32, 41, 17), (64, 128, 33)])
def test_kernels_equal_the_reference_on_a_device(shape, forbidden):
    compare(shape, forbidden, "cuda")


@pytest.mark.gpu
def test_a_step_takes_at_most_ten_launches():
    scores, lengths, tags = batch((32, 41, 17), None, "cuda")
    crf = CRF(17).cuda()
    emissions = scores.emissions.nan_to_num().requires_grad_()
    weight, cotangent = torch.randn(32, device="cuda"), torch.randn_like(emissions)

    def step():
        nll, marginals = crf.likelihood(emissions, tags, lengths)
        torch.autograd.grad((nll, marginals), [emissions, *crf.parameters()], (weight, cotangent))

    assert launches(step) <= 10
    assert launches(lambda: crf.viterbi(emissions, lengths)) == 1


def launches(run):
    """Kernels that a run starts on the device."""
    run()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        run()
        torch.cuda.synchronize()
    return sum(event.device_type == torch.autograd.DeviceType.CUDA for event in profile.events())
