"""Faster R-CNN R101-C4 with attributes, the detector of bottom-up attention (Anderson et al. 2018).

Weights go by the names of lxmert/modeling_frcnn.py in huggingface/transformers-research-projects (model
unc-nlp/frcnn-vg-finetuned). Sizes in docstrings as in ``ita.vision.detectors.rcnn``; n detections of an image, C
classes with the background behind them, K attributes with "none" behind them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ita.vision import boxes
from ita.vision.detectors.bottomup.config import DEPTHS, BottomUpConfig
from ita.vision.detectors.bottomup.roi_pool import roi_pool
from ita.vision.detectors.rcnn.detections import Detections
from ita.vision.detectors.rcnn.layers import AttributePredictor, fold_batch_norm, region_features
from ita.vision.detectors.rcnn.rpn import ProposalNetwork, RPNConfig, RPNHead

OFFSET = 0
"""Boxes end before the pixel of their last coordinate, see ``ita.vision.boxes``."""
LAST_STAGE_BLOCKS = 3
POOLED_REGIONS = 50
"""Regions pooled at a time: bounds the memory."""


class BottomUp(nn.Module):
    """The network; sizes as the configuration says, weights to be loaded."""

    def __init__(self, config: BottomUpConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.proposal_generator = build_rpn(config)
        self.roi_heads = ROIHeads(config)

    def forward(self, images: Tensor, image_sizes: Sequence[tuple[int, int]]) -> list[Detections]:
        """Objects of each image.

        Args:
            images: (B, 3, 16 H, 16 W) normalised BGR, images of unequal size padded at right and bottom.
            image_sizes: height and width of each image without padding.
        """
        res4 = self.backbone(images)
        proposals = self.proposal_generator(res4, image_sizes)
        return [
            self.detect(features, image_proposals.boxes, image_size)
            for features, image_proposals, image_size in zip(res4, proposals, image_sizes, strict=True)
        ]

    def detect(self, res4: Tensor, proposals: Tensor, image_size: tuple[int, int]) -> Detections:
        """Objects of one image: the best class of each proposal, then NMS regardless of class.

        The IoU threshold grows until enough objects are kept. If there never are enough, those of the last threshold
        are taken; upstream has no answer then. Every object has its best attribute, since "none" is no choice.

        Args:
            res4: (D, H, W).
            proposals: (R, 4).
            image_size: height and width of the image.
        """
        config = self.config
        features = self.roi_heads(res4, proposals)
        logits, deltas, attribute_logits = self.roi_heads.box_predictor(features)
        scores, labels = logits.softmax(1)[:, :-1].max(1)
        label_deltas = deltas.view(len(deltas), -1, 4)[torch.arange(len(deltas), device=deltas.device), labels]
        decoded = boxes.decode_deltas(label_deltas, proposals, config.box_weights, OFFSET)
        decoded = boxes.clip(decoded, image_size, OFFSET)
        for iou_threshold in config.nms:
            keep = boxes.nms(decoded, scores, iou_threshold, top_n=config.max_detections)
            if len(keep) >= config.min_detections:
                break
        attribute_scores, attributes = attribute_logits[keep, :-1].softmax(1).max(1)
        return Detections(
            decoded[keep], labels[keep], scores[keep], features[keep], attributes[:, None], attribute_scores[:, None]
        )

    def prepare(self, dtype: torch.dtype) -> BottomUp:
        """Makes the loaded network fast: normalisation goes into the convolutions, and these compute in ``dtype``.

        Classes, boxes and attributes stay in float32. So does the stem: bf16 has fewer bits than a pixel.
        """
        for module in self.modules():
            if isinstance(module, Conv):
                module.fold()
        stages = [module for name, module in self.backbone.named_children() if name != "stem"]
        for module in (*stages, self.proposal_generator.get_submodule("rpn_head.conv"), self.roi_heads.res5):
            module.to(dtype)
        return self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Backbone(nn.Module):
    """ResNet up to its fourth stage, counted from the stem."""

    def __init__(self, config: BottomUpConfig) -> None:
        super().__init__()
        self.stem = nn.ModuleDict({"conv1": Conv(3, config.stem_out, 7, 2, 3)})
        self.res2, self.res3, self.res4 = (build_stage(config, number) for number in (2, 3, 4))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 16 H, 16 W) -> (B, D, H, W)."""
        x = self.stem["conv1"](images).relu_()
        # Caffe's pooling: no padding, and a last window that reaches over the side.
        x = functional.max_pool2d(x, 3, 2, 0, ceil_mode=True).to(next(self.res2.parameters()).dtype)
        return self.res4(self.res3(self.res2(x)))


def build_stage(config: BottomUpConfig, number: int) -> nn.Sequential:
    """Residual stage 2, 3, 4 or 5; the fifth widens its receptive field by dilation instead of a stride."""
    blocks = (*DEPTHS[config.depth], LAST_STAGE_BLOCKS)[number - 2]
    factor = 2 ** (number - 2)
    outputs, inner = config.res2_out * factor, config.groups * config.width_per_group * factor
    inputs = config.stem_out if number == 2 else outputs // 2
    stride, dilation = 2 if number in (3, 4) else 1, 2 if number == 5 else 1
    first = Bottleneck(config, inputs, inner, outputs, stride, dilation)
    rest = [Bottleneck(config, outputs, inner, outputs, 1, dilation) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


class Bottleneck(nn.Module):
    """Residual block of ResNet (He et al. 2016); the first convolution carries the stride."""

    def __init__(
        self, config: BottomUpConfig, inputs: int, inner: int, outputs: int, stride: int, dilation: int
    ) -> None:
        super().__init__()
        stride1, stride2 = (stride, 1) if config.stride_in_1x1 else (1, stride)
        self.shortcut = Conv(inputs, outputs, 1, stride) if inputs != outputs else None
        self.conv1 = Conv(inputs, inner, 1, stride1)
        self.conv2 = Conv(inner, inner, 3, stride2, dilation, dilation, config.groups)
        self.conv3 = Conv(inner, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        y = self.conv3(self.conv2(self.conv1(x).relu_()).relu_())
        y += x if self.shortcut is None else self.shortcut(x)
        return y.relu_()


class Conv(nn.Conv2d):
    """Convolution with batch normalisation behind it."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)
        self.norm: nn.BatchNorm2d | None = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        x = super().forward(x)
        return x if self.norm is None else self.norm(x)

    def fold(self) -> None:
        """Moves the normalisation into the convolution."""
        if self.norm is not None:
            fold_batch_norm(self, self.norm)
            self.norm = None


def build_rpn(config: BottomUpConfig) -> ProposalNetwork:
    """The region proposal network."""
    cells = cell_anchors(config.anchor_sizes, config.aspect_ratios)
    head = RPNHead(config.res2_out * 4, config.rpn_hidden, len(cells), ("objectness_logits", "anchor_deltas"))
    settings = RPNConfig(
        config.pre_nms_top_n,
        config.post_nms_top_n,
        config.rpn_nms,
        config.proposal_weights,
        OFFSET,
        min_box_size=config.min_box,
    )
    return ProposalNetwork(settings, cells, head, "rpn_head")


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Anchors (A, 4) around the origin, by size, then ratio of height to width."""
    anchors = []
    for size in sizes:
        for ratio in ratios:
            width = math.sqrt(size * size / ratio)
            anchors.append([-width / 2, -ratio * width / 2, width / 2, ratio * width / 2])
    return torch.tensor(anchors)


class ROIHeads(nn.Module):
    """Features of regions and the predictions made from them."""

    def __init__(self, config: BottomUpConfig) -> None:
        super().__init__()
        self.pool = partial(roi_pool, resolution=config.pooler_resolution)
        self.res5 = build_stage(config, 5)
        self.box_predictor = BoxPredictor(config)

    def forward(self, res4: Tensor, regions: Tensor) -> Tensor:
        """Features (r, F), float32, of regions (r, 4) from the features (D, H, W) of an image."""
        return region_features(res4, regions, self.pool, self.res5, POOLED_REGIONS)


class BoxPredictor(AttributePredictor):
    """Class, box and attributes of regions."""

    def __init__(self, config: BottomUpConfig) -> None:
        width = config.res2_out * 8
        classes, attributes = config.num_classes + 1, config.num_attributes + 1
        super().__init__(width, classes, attributes, width // 8, width // 4)
        self.cls_score = nn.Linear(width, classes)
        self.bbox_pred = nn.Linear(width, 4 * config.num_classes)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        """Class logits (R, C + 1), box deltas (R, 4 C) and attribute logits (R, K + 1) from features (R, F).

        Attributes are predicted given the best class, which may be the background.
        """
        logits = self.cls_score(features)
        return logits, self.bbox_pred(features), super().forward(features, logits.argmax(1))
