"""Fusion of subword states with image features: what published taggers put between encoder and CRF."""

from __future__ import annotations

from typing import Any

from ita.model.fusion.umgf import UMGF
from ita.model.fusion.umt import UMT


def build_fusion(kind: str, config: Any, region_dim: int) -> UMT | UMGF | None:
    """The fusion layer of a system; None for regions that are inputs of the encoder.

    Args:
        kind: tokens, umt or umgf.
        config: of the encoder.
        region_dim: D of the region features.
    """
    if kind == "umt":
        return UMT(config, region_dim)
    if kind == "umgf":
        return UMGF(config.hidden_size, region_dim, region_dim)
    return None
