"""AttrRCNN X152-C4, the detector of VinVL (Zhang et al. 2021): Faster R-CNN with a head for attributes.

Weights go by the names of microsoft/scene_graph_benchmark (configuration vgattr/vinvl_x152c4). Sizes in docstrings:
B images of H x W cells at stride 16, A anchors per cell, R proposals of an image, n of them kept, C classes with the
background as class 0, K attributes with "none" as attribute 0, F features of a region.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ita.vision import boxes
from ita.vision.detectors.vinvl import postprocessing
from ita.vision.detectors.vinvl.align import STRIDE, roi_align

PROPOSAL_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
ALIGNED = 64
"""Regions aligned at a time: bounds the memory of their interpolation."""


@dataclass(frozen=True)
class VinvlConfig:
    """Sizes of the network and its fixed settings; defaults are those of the published X152-C4."""

    num_classes: int = 1595
    num_attributes: int = 525
    stem_out: int = 64
    res2_out: int = 256
    groups: int = 32
    width_per_group: int = 8
    blocks: tuple[int, ...] = (3, 8, 36, 3)
    anchor_sizes: tuple[float, ...] = (32, 64, 128, 256, 512)
    aspect_ratios: tuple[float, ...] = (0.5, 1, 2)
    pre_nms_top_n: int = 6000
    post_nms_top_n: int = 300
    rpn_nms: float = 0.7
    roi_nms: float = 0.5
    pooler_resolution: int = 14
    cls_emd_dim: int = 256
    attr_emd_dim: int = 512
    max_num_attr_per_obj: int = 16
    max_num_attr_per_img: int = 100
    attr_thresh: float = 0.05
    min_size: int = 600
    max_size: int = 1000
    pixel_mean_bgr: tuple[float, ...] = (103.53, 116.28, 123.675)

    @property
    def stages(self) -> list[Stage]:
        """The four residual stages."""
        widths = [self.stem_out, *(self.res2_out * 2**i for i in range(4))]
        inner = self.groups * self.width_per_group
        return [
            Stage(widths[i], inner * 2**i, widths[i + 1], self.groups, blocks, 1 if i == 0 else 2)
            for i, blocks in enumerate(self.blocks)
        ]


@dataclass(frozen=True)
class Stage:
    """Sizes of a residual stage."""

    before: int
    inner: int
    after: int
    groups: int
    blocks: int
    stride: int

    def build(self) -> nn.Sequential:
        """The stage; its first block changes resolution and width."""
        first = Bottleneck(self.before, self.inner, self.after, self.groups, self.stride)
        rest = [Bottleneck(self.after, self.inner, self.after, self.groups, 1) for _ in range(self.blocks - 1)]
        return nn.Sequential(first, *rest)


@dataclass(frozen=True)
class Detections:
    """Objects of one image in network pixels, in the order of the filter."""

    boxes: Tensor
    """(n, 4)."""
    labels: Tensor
    """(n,), class of each, 1 to C - 1."""
    scores: Tensor
    """(n,)."""
    features: Tensor
    """(n, F), pooled at the proposal of each."""
    attributes: Tensor
    """(n, k), the best attributes of each by falling score."""
    attribute_scores: Tensor
    """(n, k); the attribute beside a score of 0 means nothing."""


class AttrRCNN(nn.Module):
    """The network; parameters as ``Shape`` says, values to be loaded."""

    def __init__(self, shape: VinvlConfig) -> None:
        super().__init__()
        self.shape = shape
        self.backbone = nn.ModuleDict({"body": Body(shape)})
        self.rpn = ProposalNetwork(shape)
        head = BoxHead(shape)
        self.roi_heads = nn.ModuleDict({"box": head})
        # One module under two names, as in the published file, which holds its weights twice.
        self.attribute = AttributeHead(shape, head.feature_extractor)

    def forward(
        self, images: Tensor, sizes: Sequence[tuple[int, int]], rules: postprocessing.PostprocessConfig
    ) -> list[Detections]:
        """Objects of each image.

        Args:
            images: (B, 3, 16 H, 16 W) BGR without the mean, images of unequal size padded with 0 at right and bottom.
            sizes: height and width of each image without padding.
            rules: which objects are kept.
        """
        c4 = self.backbone["body"](images)
        found = []
        for one, size, proposals in zip(c4, sizes, self.rpn(c4, sizes), strict=True):
            features, logits, deltas = self.roi_heads["box"](one, proposals)
            candidates = postprocessing.Candidates(
                proposals, logits.softmax(1), deltas.view(len(proposals), -1, 4) if rules.regression else None, size
            )
            kept = postprocessing.choose(candidates, rules, self.shape.roi_nms)
            pooled = features[kept.rows]
            # Boxes that are proposals have been pooled already.
            again = self.attribute.feature_extractor(one, kept.boxes) if rules.regression else pooled
            attributes, scores = postprocessing.best_attributes(
                self.attribute.predictor(again, kept.labels), self.shape
            )
            found.append(Detections(kept.boxes, kept.labels, kept.scores, pooled, attributes, scores))
        return found

    def prepare(self, dtype: torch.dtype) -> AttrRCNN:
        """Makes the loaded network fast: normalisation goes into the convolutions, and these compute in ``dtype``.

        Classes, boxes and attributes stay in float32. So does the stem: bf16 has fewer bits than a pixel.
        """
        for module in self.modules():
            if isinstance(module, Stem | Bottleneck):
                module.fold()
        stages = [module for name, module in self.backbone["body"].named_children() if name != "stem"]
        for module in (*stages, self.rpn.head.conv, self.attribute.feature_extractor):
            module.to(dtype)
        return self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Body(nn.Module):
    """ResNeXt up to its third stage."""

    def __init__(self, shape: VinvlConfig) -> None:
        super().__init__()
        self.stem = Stem(shape.stem_out)
        self.layer1, self.layer2, self.layer3 = (stage.build() for stage in shape.stages[:3])

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 16 H, 16 W) -> (B, D, H, W)."""
        x = self.stem(images).to(next(self.layer1.parameters()).dtype)
        return self.layer3(self.layer2(self.layer1(x)))


class Stem(nn.Module):
    """The first convolution and a pooling: an eighth of the area each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1: nn.Module = FrozenBatchNorm(width)
        self.pool = nn.MaxPool2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """A quarter of the height and width."""
        return self.pool(self.bn1(self.conv1(x)).relu_())

    def fold(self) -> None:
        """Puts the normalisation into the convolution."""
        self.bn1 = fold(self.conv1, self.bn1)


class Bottleneck(nn.Module):
    """Residual block of ResNeXt (Xie et al. 2017); the grouped convolution carries the stride."""

    def __init__(self, before: int, inner: int, after: int, groups: int, stride: int) -> None:
        super().__init__()
        self.downsample = None
        if before != after:
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), FrozenBatchNorm(after))
        self.conv1 = nn.Conv2d(before, inner, 1, bias=False)
        self.bn1: nn.Module = FrozenBatchNorm(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=groups, bias=False)
        self.bn2: nn.Module = FrozenBatchNorm(inner)
        self.conv3 = nn.Conv2d(inner, after, 1, bias=False)
        self.bn3: nn.Module = FrozenBatchNorm(after)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, H / stride, W / stride)."""
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y)).relu_()
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return y.relu_()

    def fold(self) -> None:
        """Puts the normalisations into the convolutions."""
        self.bn1, self.bn2, self.bn3 = (
            fold(conv, norm) for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3))
        )
        if self.downsample is not None:
            self.downsample[1] = fold(self.downsample[0], self.downsample[1])


class FrozenBatchNorm(nn.Module):
    """Batch normalisation with fixed statistics, and no epsilon."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        for name, value in {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}.items():
            self.register_buffer(name, torch.full((width,), value))

    def terms(self) -> tuple[Tensor, Tensor]:
        """Factor and summand of each channel."""
        scale = self.weight * self.running_var.rsqrt()
        return scale, self.bias - self.running_mean * scale

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W) -> the same."""
        scale, shift = (term.view(-1, 1, 1) for term in self.terms())
        return x * scale + shift


def fold(conv: Any, norm: Any) -> nn.Module:
    """Puts a normalisation into the convolution before it; returns what takes its place."""
    if not isinstance(norm, FrozenBatchNorm):
        return norm
    scale, shift = norm.terms()
    conv.weight = nn.Parameter(conv.weight.detach() * scale.view(-1, 1, 1, 1), requires_grad=False)
    conv.bias = nn.Parameter(shift, requires_grad=False)
    return nn.Identity()


class ProposalNetwork(nn.Module):
    """Region proposal network (Ren et al. 2015)."""

    def __init__(self, shape: VinvlConfig) -> None:
        super().__init__()
        self.shape = shape
        self.anchor_generator = nn.ModuleDict({"cell_anchors": nn.Module()})
        cells = cell_anchors(shape.anchor_sizes, shape.aspect_ratios)
        self.anchor_generator["cell_anchors"].register_buffer("0", cells)
        self.head = ProposalHead(shape.stages[2].after, len(cells))

    def forward(self, c4: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Proposals (R, 4) of each image by falling objectness, from features (B, D, H, W)."""
        objectness, deltas = self.head(c4)
        count, kinds, height, width = objectness.shape
        scores = objectness.permute(0, 2, 3, 1).flatten(1).sigmoid()
        scores, order = scores.topk(min(self.shape.pre_nms_top_n, scores.shape[1]), 1)
        deltas = deltas.view(count, kinds, 4, height, width).permute(0, 3, 4, 1, 2).flatten(1, 3)
        deltas = deltas.gather(1, order[..., None].expand(-1, -1, 4))
        found = boxes.decode_deltas(deltas, self.anchors(height, width)[order], PROPOSAL_WEIGHTS, postprocessing.EDGE)
        proposals = []
        for one, score, size in zip(found, scores, sizes, strict=True):
            one = boxes.clip(one, size, postprocessing.EDGE)
            proposals.append(one[boxes.nms(one, score, self.shape.rpn_nms, most=self.shape.post_nms_top_n)])
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

    def __init__(self, width: int, anchors: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, 1, 1)
        self.cls_logits = nn.Conv2d(width, anchors, 1)
        self.bbox_pred = nn.Conv2d(width, 4 * anchors, 1)

    def forward(self, c4: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D, H, W) -> (B, A, H, W) and (B, 4 A, H, W), float32."""
        x = self.conv(c4).relu_().float()
        return self.cls_logits(x), self.bbox_pred(x)


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Anchors (A, 4) of the first cell, by ratio, then size, rounded the way py-faster-rcnn does it."""
    middle = (STRIDE - 1) / 2
    found = []
    for ratio in ratios:
        width = round(math.sqrt(STRIDE * STRIDE / ratio))
        height = round(width * ratio)
        for size in sizes:
            x, y = (width * size / STRIDE - 1) / 2, (height * size / STRIDE - 1) / 2
            found.append([middle - x, middle - y, middle + x, middle + y])
    return torch.tensor(found)


class BoxHead(nn.Module):
    """Features, classes and boxes of proposals."""

    def __init__(self, shape: VinvlConfig) -> None:
        super().__init__()
        self.feature_extractor = FeatureExtractor(shape)
        width = shape.stages[3].after
        self.predictor = nn.ModuleDict(
            {
                "cls_score": nn.Linear(width, shape.num_classes),
                "bbox_pred": nn.Linear(width, 4 * shape.num_classes),
            }
        )

    def forward(self, c4: Tensor, proposals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(D, H, W) and (R, 4) -> features (R, F), logits (R, C) and movements of the box (R, 4 C) for each class."""
        features = self.feature_extractor(c4, proposals)
        return features, self.predictor["cls_score"](features), self.predictor["bbox_pred"](features)


class FeatureExtractor(nn.Module):
    """The fourth stage of the backbone, on regions."""

    def __init__(self, shape: VinvlConfig) -> None:
        super().__init__()
        self.resolution = shape.pooler_resolution
        self.head = nn.ModuleDict({"layer4": shape.stages[3].build()})

    def forward(self, c4: Tensor, regions: Tensor) -> Tensor:
        """(D, H, W) and (r, 4) -> (r, F) float32, averaged over each region."""
        aligned = (roi_align(c4, some, self.resolution) for some in regions.split(ALIGNED))
        # A pass per piece needs less memory; a GPU rather has long passes.
        pieces = aligned if c4.device.type == "cpu" else [torch.cat(list(aligned))]
        return torch.cat([self.head["layer4"](piece).float().mean((2, 3)) for piece in pieces])


class AttributeHead(nn.Module):
    """Attributes of objects, given their class."""

    def __init__(self, shape: VinvlConfig, feature_extractor: nn.Module) -> None:
        super().__init__()
        self.feature_extractor = feature_extractor
        self.predictor = AttributePredictor(shape)


class AttributePredictor(nn.Module):
    """Two layers on the features of an object and an embedding of its class."""

    def __init__(self, shape: VinvlConfig) -> None:
        super().__init__()
        embedding = torch.empty(shape.num_classes, shape.cls_emd_dim)
        self.cls_embedding = nn.Embedding.from_pretrained(embedding, freeze=False)
        self.fc_attr = nn.Linear(shape.stages[3].after + shape.cls_emd_dim, shape.attr_emd_dim)
        self.attr_score = nn.Linear(shape.attr_emd_dim, shape.num_attributes)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Logits (n, K) from features (n, F) and classes (n,)."""
        x = torch.cat([features, self.cls_embedding(labels)], 1)
        return self.attr_score(self.fc_attr(x).relu())
