"""Fusion of subword states with image features: what published taggers put between encoder and CRF.

Each module of this package is a value of ``systems.*.fusion``: ``umt`` is the class ``UMT`` of ``umt.py``. A further
published system is a module here and an entry of ``systems``; nothing else names it.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn


class Fusion(nn.Module):
    """Interface of a fusion layer.

    Called with states (B, T, H) of the encoder's last layer, mask (B, T), True for a subword and False for padding,
    regions (B, V, D) and region_mask (B, V), True for a region and False for padding (every post has one, be it of
    zeros), it returns (B, T, F): F features for the classifier. Further ones behind them are for the second task alone.
    What padding holds must not change the result. Weights are drawn when it is built.
    """

    width: int
    """F."""
    second_task: ClassVar[type[SecondTask] | None] = None
    """What the layer is trained on beside the tags; None for nothing."""

    def __init__(self, config: Any, region_dim: int) -> None:
        """Args: config of the encoder (hidden_size is H, num_attention_heads, ...); D of the region features."""
        super().__init__()


class SecondTask(Protocol):
    """Interface of the second task of a fusion layer: a module, built with H and the tags."""

    loss: str
    """Its weight in ``losses``, and its name in history.csv."""

    def __init__(self, hidden_size: int, tag_names: Sequence[str]) -> None:
        """Of an encoder of this width, for K tags."""

    def combine(self, classifier: nn.Module, vectors: Tensor) -> Tensor:
        """Emissions (B, W, K) from word vectors (B, W, F + further features)."""

    def nll(self, vectors: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Loss (B,) of posts with these word vectors and typed tags (B, W)."""


def build_fusion(name: str, config: Any, region_dim: int) -> Fusion | None:
    """The fusion layer of a system; None for regions that are inputs of the encoder.

    Args:
        name: tokens, or a module of this package.
        config: of the encoder.
        region_dim: D of the region features.
    """
    if name == "tokens":
        return None
    layer: Fusion = getattr(importlib.import_module(f"{__name__}.{name}"), name.upper())(config, region_dim)
    return layer
