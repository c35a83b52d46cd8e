"""Region proposal network (Ren et al. 2015): feature map -> boxes that may hold objects.

cf. detectron2/modeling/proposal_generator/rpn.py. Names of weights differ between the two detectors and are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ita.vision import boxes

STRIDE = 16
"""Pixels per cell of the feature map, in both detectors."""


@dataclass(frozen=True)
class RPNConfig:
    """How proposals are chosen."""

    pre_nms_top_n: int
    post_nms_top_n: int
    nms_threshold: float
    delta_weights: Sequence[float]
    offset: int
    """Box convention, see ``ita.vision.boxes``."""
    min_box_size: float | None = None
    """Proposals need sides longer than this; None: all are taken."""
    rank_by_probability: bool = False
    """Rank by sigmoid instead of logit: in float32 high logits become equal, and their order changes."""


class Proposals(NamedTuple):
    """Proposals of one image, best first."""

    boxes: Tensor
    """(R, 4)."""
    scores: Tensor
    """(R,), objectness logits, or probabilities where these rank."""


class RPNHead(nn.Module):
    """Objectness and box deltas of each anchor."""

    def __init__(self, channels: int, hidden: int, anchors: int, names: tuple[str, str]) -> None:
        """Builds the three convolutions; ``names`` are those of the last two in checkpoints."""
        super().__init__()
        self.names = names
        self.conv = nn.Conv2d(channels, hidden, 3, 1, 1)
        for name, outputs in zip(names, (anchors, 4 * anchors), strict=True):
            self.add_module(name, nn.Conv2d(hidden, outputs, 1))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D, H, W) -> objectness logits (B, A, H, W) and box deltas (B, 4 A, H, W), float32."""
        x = self.conv(features).relu_().float()
        logits, deltas = (self.get_submodule(name)(x) for name in self.names)
        return logits, deltas


class ProposalNetwork(nn.Module):
    """The network; its head is a submodule whose name differs between checkpoints."""

    def __init__(self, config: RPNConfig, cell_anchors: Tensor, head: RPNHead, head_name: str) -> None:
        """Builds the network.

        Args:
            config: how proposals are chosen.
            cell_anchors: (A, 4), anchors of the first cell.
            head: predicts objectness and box deltas.
            head_name: its name in checkpoints.
        """
        super().__init__()
        self.config = config
        self.head_name = head_name
        self.anchor_generator = nn.ModuleDict({"cell_anchors": nn.Module()})
        self.anchor_generator["cell_anchors"].register_buffer("0", cell_anchors)
        self.add_module(head_name, head)

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D, H, W) -> objectness logits (B, H W A) and box deltas (B, H W A, 4)."""
        logits, deltas = self.get_submodule(self.head_name)(features)
        batch, anchors, height, width = logits.shape
        deltas = deltas.view(batch, anchors, 4, height, width).permute(0, 3, 4, 1, 2).flatten(1, 3)
        return logits.permute(0, 2, 3, 1).flatten(1), deltas

    def forward(self, features: Tensor, image_sizes: Sequence[tuple[int, int]]) -> list[Proposals]:
        """Proposals of each image.

        Args:
            features: (B, D, H, W).
            image_sizes: height and width of each image without padding.
        """
        config = self.config
        scores, deltas = self.predict(features)
        if config.rank_by_probability:
            scores = scores.sigmoid()
        scores, order = scores.topk(min(config.pre_nms_top_n, scores.shape[1]), 1)
        deltas = deltas.gather(1, order[..., None].expand(-1, -1, 4))
        anchors = self.anchors(*features.shape[2:])[order]
        decoded = boxes.decode_deltas(deltas, anchors, config.delta_weights, config.offset)
        return [self.select(*image) for image in zip(decoded, scores, image_sizes, strict=True)]

    def select(self, decoded: Tensor, scores: Tensor, image_size: tuple[int, int]) -> Proposals:
        """The proposals among decoded boxes (n, 4) of one image with scores (n,)."""
        decoded = boxes.clip(decoded, image_size, self.config.offset)
        if self.config.min_box_size is not None:
            nonempty = ((decoded[:, 2:] - decoded[:, :2]) > self.config.min_box_size).all(1)
            decoded, scores = decoded[nonempty], scores[nonempty]
        keep = boxes.nms(decoded, scores, self.config.nms_threshold, top_n=self.config.post_nms_top_n)
        return Proposals(decoded[keep], scores[keep])

    def anchors(self, height: int, width: int) -> Tensor:
        """Anchors (H W A, 4) of a feature map."""
        cell_anchors = self.anchor_generator["cell_anchors"].get_buffer("0")
        y, x = (
            torch.arange(count, device=cell_anchors.device, dtype=cell_anchors.dtype) * STRIDE
            for count in (height, width)
        )
        y, x = torch.meshgrid(y, x, indexing="ij")
        return (torch.stack([x, y, x, y], -1).view(-1, 1, 4) + cell_anchors).view(-1, 4)
