"""AttrRCNN X152-C4, the detector of VinVL (Zhang et al. 2021): Faster R-CNN with a head for attributes.

Weights go by the names of microsoft/scene_graph_benchmark (configuration vgattr/vinvl_x152c4). Sizes in docstrings as
in ``ita.vision.detectors.rcnn``; n detections of an image, C classes with the background as class 0, K attributes with
"none" as attribute 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ita.vision.detectors.rcnn.detections import Detections
from ita.vision.detectors.rcnn.layers import AttributePredictor, FrozenBatchNorm, fold_batch_norm, region_features
from ita.vision.detectors.rcnn.rpn import STRIDE, ProposalNetwork, RPNConfig, RPNHead
from ita.vision.detectors.vinvl import postprocessing
from ita.vision.detectors.vinvl.config import VinvlConfig
from ita.vision.detectors.vinvl.postprocessing import LEGACY_OFFSET, Candidates, PostprocessConfig
from ita.vision.detectors.vinvl.roi_align import roi_align

PROPOSAL_DELTA_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
ALIGNED_REGIONS = 64
"""Regions aligned at a time: bounds the memory of their interpolation."""


class AttrRCNN(nn.Module):
    """The network; sizes as the configuration says, weights to be loaded."""

    def __init__(self, config: VinvlConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = nn.ModuleDict({"body": Body(config)})
        self.rpn = build_rpn(config)
        box_head = BoxHead(config)
        self.roi_heads = nn.ModuleDict({"box": box_head})
        # One module under two names, as in the published file, which holds its weights twice.
        self.attribute = AttributeHead(config, box_head.feature_extractor)

    def forward(
        self, images: Tensor, image_sizes: Sequence[tuple[int, int]], postprocess: PostprocessConfig
    ) -> list[Detections]:
        """Objects of each image, in the order of the filter.

        Args:
            images: (B, 3, 16 H, 16 W) BGR without the mean, images of unequal size padded with 0 at right and bottom.
            image_sizes: height and width of each image without padding.
            postprocess: which objects are kept.
        """
        c4 = self.backbone["body"](images)
        if postprocess.whole_image:
            proposals = [postprocessing.whole_image(c4, image_size) for image_size in image_sizes]
        else:
            proposals = [image_proposals.boxes for image_proposals in self.rpn(c4, image_sizes)]
        return [
            self.detect(features, boxes, image_size, postprocess)
            for features, boxes, image_size in zip(c4, proposals, image_sizes, strict=True)
        ]

    def detect(
        self, c4: Tensor, proposals: Tensor, image_size: tuple[int, int], postprocess: PostprocessConfig
    ) -> Detections:
        """Objects of one image with features (D, H, W) and proposals (R, 4)."""
        config = self.config
        features, logits, deltas = self.roi_heads["box"](c4, proposals)
        class_deltas = deltas.view(len(proposals), -1, 4) if postprocess.regression else None
        candidates = Candidates(proposals, logits.softmax(1), class_deltas, image_size)
        selection = postprocessing.select_detections(candidates, postprocess, config.roi_nms)
        pooled = features[selection.rows]
        # Attributes are read off the decoded boxes; boxes that are proposals have been pooled already.
        repooled = self.attribute.feature_extractor(c4, selection.boxes) if postprocess.regression else pooled
        attributes, attribute_scores = postprocessing.best_attributes(
            self.attribute.predictor(repooled, selection.labels),
            config.attr_thresh,
            config.max_num_attr_per_img,
            config.max_num_attr_per_obj,
        )
        return Detections(selection.boxes, selection.labels, selection.scores, pooled, attributes, attribute_scores)

    def prepare(self, dtype: torch.dtype) -> AttrRCNN:
        """Makes the loaded network fast: normalisation goes into the convolutions, and these compute in ``dtype``.

        Classes, boxes and attributes stay in float32. So does the stem: bf16 has fewer bits than a pixel.
        """
        for module in self.modules():
            if isinstance(module, Stem | Bottleneck):
                module.fold()
        stages = [module for name, module in self.backbone["body"].named_children() if name != "stem"]
        for module in (*stages, self.rpn.get_submodule("head.conv"), self.attribute.feature_extractor):
            module.to(dtype)
        return self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Body(nn.Module):
    """ResNeXt up to its third stage."""

    def __init__(self, config: VinvlConfig) -> None:
        super().__init__()
        self.stem = Stem(config.stem_out)
        self.layer1, self.layer2, self.layer3 = (build_stage(config, stage) for stage in (1, 2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 16 H, 16 W) -> (B, D, H, W)."""
        x = self.stem(images).to(next(self.layer1.parameters()).dtype)
        return self.layer3(self.layer2(self.layer1(x)))


class Stem(nn.Module):
    """The first convolution and max pooling, each of stride 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1: nn.Module = FrozenBatchNorm(width)
        self.pool = nn.MaxPool2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """A quarter of the height and width."""
        return self.pool(self.bn1(self.conv1(x)).relu_())

    def fold(self) -> None:
        """Moves the normalisation into the convolution."""
        self.bn1 = folded(self.conv1, self.bn1)


def build_stage(config: VinvlConfig, stage: int) -> nn.Sequential:
    """Residual stage 1, 2, 3 or 4; its first block changes resolution and width."""
    inputs, outputs = config.stage_width(stage - 1), config.stage_width(stage)
    inner = config.groups * config.width_per_group * 2 ** (stage - 1)
    first = Bottleneck(inputs, inner, outputs, config.groups, 1 if stage == 1 else 2)
    rest = [Bottleneck(outputs, inner, outputs, config.groups, 1) for _ in range(config.blocks[stage - 1] - 1)]
    return nn.Sequential(first, *rest)


class Bottleneck(nn.Module):
    """Residual block of ResNeXt (Xie et al. 2017); the grouped convolution carries the stride."""

    def __init__(self, inputs: int, inner: int, outputs: int, groups: int, stride: int) -> None:
        super().__init__()
        self.downsample = None
        if inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), FrozenBatchNorm(outputs))
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1: nn.Module = FrozenBatchNorm(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=groups, bias=False)
        self.bn2: nn.Module = FrozenBatchNorm(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3: nn.Module = FrozenBatchNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y)).relu_()
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return y.relu_()

    def fold(self) -> None:
        """Moves the normalisations into the convolutions."""
        self.bn1, self.bn2, self.bn3 = (
            folded(conv, norm)
            for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3))
        )
        if self.downsample is not None:
            conv, norm = self.downsample
            assert isinstance(conv, nn.Conv2d)
            self.downsample[1] = folded(conv, norm)


def folded(conv: nn.Conv2d, norm: nn.Module) -> nn.Module:
    """Folds a normalisation into its convolution, once; returns the module that takes its place."""
    if not isinstance(norm, FrozenBatchNorm):
        return norm
    fold_batch_norm(conv, norm)
    return nn.Identity()


def build_rpn(config: VinvlConfig) -> ProposalNetwork:
    """The region proposal network, which ranks by probability as upstream does."""
    cells = cell_anchors(config.anchor_sizes, config.aspect_ratios)
    channels = config.stage_width(3)
    head = RPNHead(channels, channels, len(cells), ("cls_logits", "bbox_pred"))
    settings = RPNConfig(
        config.pre_nms_top_n,
        config.post_nms_top_n,
        config.rpn_nms,
        PROPOSAL_DELTA_WEIGHTS,
        LEGACY_OFFSET,
        rank_by_probability=True,
    )
    return ProposalNetwork(settings, cells, head, "head")


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Anchors (A, 4) of the first cell, by ratio, then size, rounded the way py-faster-rcnn does it."""
    centre = (STRIDE - 1) / 2
    anchors = []
    for ratio in ratios:
        width = round(math.sqrt(STRIDE * STRIDE / ratio))
        height = round(width * ratio)
        for size in sizes:
            x, y = (width * size / STRIDE - 1) / 2, (height * size / STRIDE - 1) / 2
            anchors.append([centre - x, centre - y, centre + x, centre + y])
    return torch.tensor(anchors)


class BoxHead(nn.Module):
    """Features, classes and box deltas of regions."""

    def __init__(self, config: VinvlConfig) -> None:
        super().__init__()
        self.feature_extractor = FeatureExtractor(config)
        width = config.stage_width(4)
        self.predictor = nn.ModuleDict(
            {
                "cls_score": nn.Linear(width, config.num_classes),
                "bbox_pred": nn.Linear(width, 4 * config.num_classes),
            }
        )

    def forward(self, c4: Tensor, proposals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(D, H, W) and (R, 4) -> features (R, F), class logits (R, C) and box deltas (R, 4 C) for each class."""
        features = self.feature_extractor(c4, proposals)
        return features, self.predictor["cls_score"](features), self.predictor["bbox_pred"](features)


class FeatureExtractor(nn.Module):
    """The fourth stage of the backbone, on regions."""

    def __init__(self, config: VinvlConfig) -> None:
        super().__init__()
        self.pool = partial(roi_align, resolution=config.pooler_resolution)
        self.head = nn.ModuleDict({"layer4": build_stage(config, 4)})

    def forward(self, c4: Tensor, regions: Tensor) -> Tensor:
        """(D, H, W) and (r, 4) -> (r, F) float32."""
        return region_features(c4, regions, self.pool, self.head["layer4"], ALIGNED_REGIONS)


class AttributeHead(nn.Module):
    """Attributes of objects, given their class."""

    def __init__(self, config: VinvlConfig, feature_extractor: nn.Module) -> None:
        super().__init__()
        self.feature_extractor = feature_extractor
        self.predictor = AttributePredictor(
            config.stage_width(4), config.num_classes, config.num_attributes, config.cls_emd_dim, config.attr_emd_dim
        )
