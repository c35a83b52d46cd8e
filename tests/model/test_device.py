"""Where a model runs and in which arithmetic."""

import pytest
import torch

from ita.errors import UserError
from ita.model import device

CPU = torch.device("cpu")


def test_device():
    assert device.resolve_device("cpu") == CPU
    if torch.cuda.is_available():
        assert device.resolve_device("auto").type == device.resolve_device("cuda").type == "cuda"
    else:
        assert device.resolve_device("auto") == CPU
        with pytest.raises(UserError, match="cuda was asked for"):
            device.resolve_device("cuda")


@pytest.mark.parametrize("fast", [True, False])
def test_auto_is_bf16_where_the_processor_computes_in_it_and_the_model_is_wide(monkeypatch, fast):
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: fast)
    assert device.compute_dtype(CPU, "auto", 384) == (torch.bfloat16 if fast else torch.float32)
    assert device.compute_dtype(CPU, "auto", 64) == torch.float32
    assert device.compute_dtype(CPU, "bf16", 64) == torch.bfloat16
    assert device.compute_dtype(CPU, "fp32", 384) == torch.float32


@pytest.mark.parametrize(
    ("text", "fast"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 avx512_bf16\n", True),
        ("flags : fpu amx_bf16\n", True),
        ("flags : fpu avx2\n", False),
        ("Features : asimd\n", False),
    ],
)
def test_flags_of_the_processor(tmp_path, text, fast):
    (tmp_path / "cpuinfo").write_text(text)
    assert device.cpu_has_bf16(tmp_path / "cpuinfo") == fast
    assert not device.cpu_has_bf16(tmp_path / "absent")
