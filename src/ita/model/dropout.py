"""Dropout, with fast draws on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """Zeroes elements with a probability in training and scales the rest."""
    if not (training and probability):
        return x
    return x * dropout_factors(x, probability) if x.device.type == "cpu" else functional.dropout(x, probability)


def dropout_factors(x: Tensor, probability: float) -> Tensor:
    """Factors of dropout for ``x``: 0 with a probability (to 1/65536), else 1 / (1 - probability).

    One 64-bit draw serves four elements: torch's own Bernoulli draws take seven times as long on a CPU.
    """
    threshold = 65536 - round(probability * 65536)
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    keep = draws.view(torch.int16)[: x.numel()].view(x.shape) < threshold - 32768
    return keep.to(x.dtype).mul_(65536 / threshold)
