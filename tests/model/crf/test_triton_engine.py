"""The Triton kernels against the PyTorch loops: on a CUDA device, else run by Triton's interpreter on CPU tensors."""

import os
import subprocess
import sys

import pytest
import torch

from ita.model.crf import CRF
from ita.model.crf.engine import Potentials
from ita.model.crf.torch_engine import TORCH

pytest.importorskip("triton", reason="pip install -c constraints.txt triton")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
# The interpreter is chosen when Triton is imported, and other tests import it: its tests need a process of their own.
runs = pytest.mark.skipif(not INTERPRETED, reason="run by test_interpreted in a process of its own")
KERNELS = [
    "_forward_backward_kernel",
    "_log_marginals_kernel",
    "_flow_kernel",
    "_grad_emissions_kernel",
    "_viterbi_kernel",
]
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
    """Potentials, lengths and tags; NaN beyond the lengths."""
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
    potentials = Potentials(*(x.to(device) for x in (emissions, transitions, start, end)))
    return potentials, lengths.to(device), tags.to(device)


def compare(shape, forbidden, device="cpu"):
    """All four loops, with and without tags and a gradient of the marginals."""
    from ita.model.crf.triton_engine import TRITON

    potentials, lengths, tags = batch(shape, forbidden, device)
    grad_value, grad_marginals = torch.randn(shape[0], device=device), torch.randn(shape, device=device)
    for gold in None, tags:
        results = []
        for engine in TORCH, TRITON:
            messages, value = engine.forward_backward(potentials, lengths, gold, True)
            forward_only = engine.forward_backward(potentials, lengths, gold, False)[1]
            marginals = engine.log_marginals(potentials.emissions, messages, lengths)
            gradients = [
                engine.vjp(potentials, messages, lengths, gold, grad_value, grad) for grad in (None, grad_marginals)
            ]
            results.append([value, forward_only, marginals.clamp(min=-100), *gradients[0], *gradients[1]])
        for expected, value in zip(*results, strict=True):
            torch.testing.assert_close(value, expected, rtol=1e-5, atol=5e-5)
    assert torch.equal(TRITON.viterbi(potentials, lengths), TORCH.viterbi(potentials, lengths))


@runs
@pytest.mark.parametrize("forbidden", [None, -1e4])
@pytest.mark.parametrize("shape", SHAPES)
def test_kernels_equal_the_reference(shape, forbidden):
    compare(shape, forbidden)


@runs
@pytest.mark.parametrize("shape", SHAPES)
def test_learning_through_kernels(shape, monkeypatch):
    """The same values and gradients of a CRF whichever engine it takes."""
    from ita.model import crf as crf_module
    from ita.model.crf.triton_engine import TRITON

    potentials, lengths, tags = batch(shape, -1e12)
    results = []
    for engine in TORCH, TRITON:
        monkeypatch.setattr(crf_module, "select_engine", lambda _, engine=engine: engine)
        crf = CRF(shape[2])
        for name in "start", "transitions", "end":
            getattr(crf, name).data.copy_(getattr(potentials, name))
        emissions = potentials.emissions.clone().requires_grad_()
        nll, marginals = crf.nll_and_log_marginals(emissions, tags, lengths)
        gradients = torch.autograd.grad(nll.sum() + marginals.exp().square().sum(), [emissions, *crf.parameters()])
        results.append([nll, marginals.exp(), *gradients, crf.marginals(emissions, lengths).transition_counts])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=5e-5)


@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled in this process")
@pytest.mark.parametrize("tags", [17, 33])
@pytest.mark.parametrize("capability", [80, 90])
def test_kernels_compile_without_a_device(capability, tags, tmp_path, monkeypatch):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from ita.model.crf import triton_engine

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    types = {"lengths": "*i64", "tags": "*i64", "path": "*i64", "backpointers": "*i32", "batch": "i32", "words": "i32"}
    flags = {"TAGS": True, "MARGINALS": True}
    widths = triton_engine._launch_options(tags)
    options = {"num_warps": widths.pop("num_warps")}
    for name in KERNELS:
        kernel = getattr(triton_engine, name)
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
    potentials, lengths, tags = batch((32, 41, 17), None, "cuda")
    crf = CRF(17).cuda()
    emissions = potentials.emissions.nan_to_num().requires_grad_()
    grads = torch.randn(32, device="cuda"), torch.randn_like(emissions)

    def step():
        nll, marginals = crf.nll_and_log_marginals(emissions, tags, lengths)
        torch.autograd.grad((nll, marginals), [emissions, *crf.parameters()], grads)

    assert launches(step) <= 10
    assert launches(lambda: crf.decode(emissions, lengths)) == 1


def launches(run):
    """Kernels that a run starts on the device."""
    run()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        run()
        torch.cuda.synchronize()
    return sum(event.device_type == torch.autograd.DeviceType.CUDA for event in profile.events())
