"""Faster R-CNN R101-C4 with attributes, the detector of bottom-up attention (Anderson et al. 2018).

Weights go by the names of lxmert/modeling_frcnn.py in huggingface/transformers-research-projects (model
unc-nlp/frcnn-vg-finetuned). Sizes in docstrings: B images of H x W cells at stride 16, A anchors per cell, R proposals
of an image, n of them kept, C classes with the background behind them, K attributes with "none" behind them, F features
of a region.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ita.vision import boxes
from ita.vision.detectors.bottomup.pool import STRIDE, roi_pool

EDGE = 0
"""Boxes end before the pixel of their last coordinate."""
DEPTHS = {50: (3, 4, 6), 101: (3, 4, 23), 152: (3, 8, 36)}
"""Blocks of the three stages of the backbone by the depth of the network."""
LAST_BLOCKS = 3
POOLED = 50
"""Regions per pass of the last stage on a CPU: bounds its memory."""


@dataclass(frozen=True)
class BottomUpConfig:
    """Sizes of the network and its fixed settings; defaults are those of the published detector.

    Every field is an entry of the published configuration, as ``detector.shape`` reads it.
    """

    num_classes: int = 1600
    num_attributes: int = 400
    depth: int = 101
    stem_out: int = 64
    res2_out: int = 256
    groups: int = 1
    width_per_group: int = 64
    stride_in_1x1: bool = True
    rpn_hidden: int = 512
    anchor_sizes: tuple[float, ...] = (64, 128, 256, 512)
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    pre_nms_top_n: int = 6000
    post_nms_top_n: int = 300
    rpn_nms: float = 0.7
    min_box: float = 0.0
    proposal_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    pooler_resolution: int = 14
    box_weights: tuple[float, ...] = (10.0, 10.0, 5.0, 5.0)
    nms: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9)
    min_detections: int = 36
    max_detections: int = 36
    min_size: int = 600
    max_size: int = 1000
    pixel_mean_bgr: tuple[float, ...] = (102.9801, 115.9465, 122.7717)
    pixel_std: tuple[float, ...] = (1.0, 1.0, 1.0)

    def stage(self, number: int) -> nn.Sequential:
        """Residual stage 2, 3, 4 or 5; the fifth widens its view by dilation instead of a stride."""
        blocks = (*DEPTHS[self.depth], LAST_BLOCKS)[number - 2]
        factor = 2 ** (number - 2)
        after, inner = self.res2_out * factor, self.groups * self.width_per_group * factor
        before = self.stem_out if number == 2 else after // 2
        stride, dilation = 2 if number in (3, 4) else 1, 2 if number == 5 else 1
        return nn.Sequential(
            *(
                Bottleneck(self, before if i == 0 else after, inner, after, stride if i == 0 else 1, dilation)
                for i in range(blocks)
            )
        )


@dataclass(frozen=True)
class Detections:
    """Objects of one image in network pixels, by falling score."""

    boxes: Tensor
    """(n, 4)."""
    labels: Tensor
    """(n,), 0 to C - 1."""
    scores: Tensor
    """(n,)."""
    attributes: Tensor
    """(n,), the best of each, 0 to K - 1; "none" is no choice, so every object has one."""
    attribute_scores: Tensor
    """(n,)."""
    features: Tensor
    """(n, F), pooled at the proposal of each."""


class BottomUp(nn.Module):
    """The network; parameters as ``Shape`` says, values to be loaded."""

    def __init__(self, shape: BottomUpConfig) -> None:
        super().__init__()
        self.shape = shape
        self.backbone = Backbone(shape)
        self.proposal_generator = ProposalNetwork(shape)
        self.roi_heads = RegionHeads(shape)

    def forward(self, images: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Detections]:
        """Objects of each image.

        Args:
            images: (B, 3, 16 H, 16 W) normalised BGR, images of unequal size padded at right and bottom.
            sizes: height and width of each image without padding.
        """
        res4 = self.backbone(images)
        found = []
        for one, size, (proposals, _) in zip(res4, sizes, self.proposal_generator(res4, sizes), strict=True):
            features = self.roi_heads(one, proposals)
            logits, deltas, attributes = self.roi_heads.box_predictor(features)
            found.append(self.choose(features, logits, deltas, attributes, proposals, size))
        return found

    def choose(
        self,
        features: Tensor,
        logits: Tensor,
        deltas: Tensor,
        attributes: Tensor,
        proposals: Tensor,
        size: tuple[int, int],
    ) -> Detections:
        """Objects of one image: the best class of each proposal, then suppression regardless of class.

        The overlap that is allowed grows until enough are left. If they never are, those of the last one are taken;
        upstream has no answer then.

        Args:
            features: (R, F).
            logits: (R, C + 1).
            deltas: (R, 4 C).
            attributes: (R, K + 1), logits.
            proposals: (R, 4).
            size: height and width of the image.
        """
        scores, labels = logits.softmax(1)[:, :-1].max(1)
        moves = deltas.view(len(deltas), -1, 4)[torch.arange(len(deltas), device=deltas.device), labels]
        moved = boxes.clip(boxes.decode_deltas(moves, proposals, self.shape.box_weights, EDGE), size, EDGE)
        for overlap in self.shape.nms:
            kept = boxes.nms(moved, scores, overlap, most=self.shape.max_detections)
            if len(kept) >= self.shape.min_detections:
                break
        sure, best = attributes[kept, :-1].softmax(1).max(1)
        return Detections(moved[kept], labels[kept], scores[kept], best, sure, features[kept])

    def prepare(self, dtype: torch.dtype) -> BottomUp:
        """Makes the loaded network fast: normalisation goes into the convolutions, and these compute in ``dtype``.

        Classes, boxes and attributes stay in float32. So does the stem: bf16 has fewer bits than a pixel.
        """
        for module in self.modules():
            if isinstance(module, Conv):
                module.fold()
        stages = [module for name, module in self.backbone.named_children() if name != "stem"]
        for module in (*stages, self.proposal_generator.rpn_head.conv, self.roi_heads.res5):
            module.to(dtype)
        return self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Backbone(nn.Module):
    """ResNet up to its fourth stage, counted from the stem."""

    def __init__(self, shape: BottomUpConfig) -> None:
        super().__init__()
        self.stem = nn.ModuleDict({"conv1": Conv(3, shape.stem_out, 7, 2, 3)})
        self.res2, self.res3, self.res4 = (shape.stage(number) for number in (2, 3, 4))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 16 H, 16 W) -> (B, D, H, W)."""
        x = self.stem["conv1"](images).relu_()
        # Caffe's pooling: no padding, and a last window that reaches over the side.
        x = functional.max_pool2d(x, 3, 2, 0, ceil_mode=True).to(next(self.res2.parameters()).dtype)
        return self.res4(self.res3(self.res2(x)))


class Bottleneck(nn.Module):
    """Residual block of ResNet (He et al. 2016); the first convolution carries the stride."""

    def __init__(self, shape: BottomUpConfig, before: int, inner: int, after: int, stride: int, dilation: int) -> None:
        super().__init__()
        first, second = (stride, 1) if shape.stride_in_1x1 else (1, stride)
        self.shortcut = Conv(before, after, 1, stride) if before != after else None
        self.conv1 = Conv(before, inner, 1, first)
        self.conv2 = Conv(inner, inner, 3, second, dilation, dilation, shape.groups)
        self.conv3 = Conv(inner, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, H / stride, W / stride)."""
        y = self.conv3(self.conv2(self.conv1(x).relu_()).relu_())
        y += x if self.shortcut is None else self.shortcut(x)
        return y.relu_()


class Conv(nn.Conv2d):
    """Convolution with batch normalisation behind it."""

    def __init__(
        self, before: int, after: int, size: int, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1
    ) -> None:
        super().__init__(before, after, size, stride, padding, dilation, groups, bias=False)
        self.norm: nn.BatchNorm2d | None = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, H / stride, W / stride)."""
        x = super().forward(x)
        return x if self.norm is None else self.norm(x)

    def fold(self) -> None:
        """Puts the normalisation into the convolution."""
        norm = self.norm
        if norm is None or norm.running_var is None or norm.running_mean is None:
            return
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        self.weight = nn.Parameter(self.weight.detach() * scale.view(-1, 1, 1, 1), requires_grad=False)
        self.bias = nn.Parameter((norm.bias - norm.running_mean * scale).detach(), requires_grad=False)
        self.norm = None


class ProposalNetwork(nn.Module):
    """Region proposal network (Ren et al. 2015)."""

    def __init__(self, shape: BottomUpConfig) -> None:
        super().__init__()
        self.shape = shape
        cells = cell_anchors(shape.anchor_sizes, shape.aspect_ratios)
        self.anchor_generator = nn.ModuleDict({"cell_anchors": nn.Module()})
        self.anchor_generator["cell_anchors"].register_buffer("0", cells)
        self.rpn_head = ProposalHead(shape.res2_out * 4, shape.rpn_hidden, len(cells))

    def forward(self, res4: Tensor, sizes: Sequence[tuple[int, int]]) -> list[tuple[Tensor, Tensor]]:
        """Proposals (R, 4) of each image by falling logit, and these logits (R,), from features (B, D, H, W)."""
        objectness, deltas = self.rpn_head(res4)
        count, kinds, height, width = objectness.shape
        logits = objectness.permute(0, 2, 3, 1).flatten(1)
        logits, order = logits.topk(min(self.shape.pre_nms_top_n, logits.shape[1]), 1)
        deltas = deltas.view(count, kinds, 4, height, width).permute(0, 3, 4, 1, 2).flatten(1, 3)
        deltas = deltas.gather(1, order[..., None].expand(-1, -1, 4))
        found = boxes.decode_deltas(deltas, self.anchors(height, width)[order], self.shape.proposal_weights, EDGE)
        proposals = []
        for one, score, size in zip(found, logits, sizes, strict=True):
            one = boxes.clip(one, size, EDGE)
            real = ((one[:, 2:] - one[:, :2]) > self.shape.min_box).all(1)
            one, score = one[real], score[real]
            kept = boxes.nms(one, score, self.shape.rpn_nms, most=self.shape.post_nms_top_n)
            proposals.append((one[kept], score[kept]))
        return proposals

    def anchors(self, height: int, width: int) -> Tensor:
        """(H W A, 4)."""
        cells = self.anchor_generator["cell_anchors"].get_buffer("0")
        y = torch.arange(height, device=cells.device, dtype=cells.dtype) * STRIDE
        x = torch.arange(width, device=cells.device, dtype=cells.dtype) * STRIDE
        y, x = torch.meshgrid(y, x, indexing="ij")
        return (torch.stack([x, y, x, y], -1).view(-1, 1, 4) + cells).view(-1, 4)


class ProposalHead(nn.Module):
    """How much each anchor looks like an object, and how to move it."""

    def __init__(self, width: int, hidden: int, anchors: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, hidden, 3, 1, 1)
        self.objectness_logits = nn.Conv2d(hidden, anchors, 1)
        self.anchor_deltas = nn.Conv2d(hidden, 4 * anchors, 1)

    def forward(self, res4: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D, H, W) -> (B, A, H, W) and (B, 4 A, H, W), float32."""
        x = self.conv(res4).relu_().float()
        return self.objectness_logits(x), self.anchor_deltas(x)


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Anchors (A, 4) around the origin, by size, then ratio of height to width."""
    found = []
    for size in sizes:
        for ratio in ratios:
            width = math.sqrt(size * size / ratio)
            found.append([-width / 2, -ratio * width / 2, width / 2, ratio * width / 2])
    return torch.tensor(found)


class RegionHeads(nn.Module):
    """Features of regions, and what is told from them."""

    def __init__(self, shape: BottomUpConfig) -> None:
        super().__init__()
        self.resolution = shape.pooler_resolution
        self.res5 = shape.stage(5)
        self.box_predictor = Predictor(shape)

    def forward(self, res4: Tensor, regions: Tensor) -> Tensor:
        """Features (r, F), float32, of regions (r, 4) from the features (D, H, W) of an image."""
        pieces = regions.split(POOLED) if res4.device.type == "cpu" else [regions]
        return torch.cat([self.res5(roi_pool(res4, piece, self.resolution)).float().mean((2, 3)) for piece in pieces])


class Predictor(nn.Module):
    """Class, box and attributes of regions."""

    def __init__(self, shape: BottomUpConfig) -> None:
        super().__init__()
        width = shape.res2_out * 8
        embedding = torch.empty(shape.num_classes + 1, width // 8)
        self.cls_score = nn.Linear(width, shape.num_classes + 1)
        self.bbox_pred = nn.Linear(width, 4 * shape.num_classes)
        self.cls_embedding = nn.Embedding.from_pretrained(embedding, freeze=False)
        self.fc_attr = nn.Linear(width + width // 8, width // 4)
        self.attr_score = nn.Linear(width // 4, shape.num_attributes + 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (R, C + 1), movements (R, 4 C) and logits of attributes (R, K + 1) from features (R, F).

        Attributes are told given the best class, which may be the background.
        """
        logits = self.cls_score(features)
        x = torch.cat([features, self.cls_embedding(logits.argmax(1))], 1)
        return logits, self.bbox_pred(features), self.attr_score(self.fc_attr(x).relu())
