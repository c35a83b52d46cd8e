"""Layers that both Faster R-CNN detectors have, and the folding of batch normalisation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class FrozenBatchNorm(nn.Module):
    """Batch normalisation with fixed statistics and affine terms, without epsilon."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    eps = 0.0

    def __init__(self, width: int) -> None:
        super().__init__()
        for name, value in {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}.items():
            self.register_buffer(name, torch.full((width,), value))

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W) -> the same."""
        scale, shift = (term.view(-1, 1, 1) for term in affine_terms(self))
        return x * scale + shift


def affine_terms(norm: FrozenBatchNorm | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift (D,) of each channel that a normalisation amounts to in inference."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None
    scale = norm.weight * (variance + norm.eps).rsqrt()
    return scale, norm.bias - mean * scale


def fold_batch_norm(conv: nn.Conv2d, norm: FrozenBatchNorm | nn.BatchNorm2d) -> None:
    """Moves a normalisation into the convolution before it, which has no bias of its own."""
    scale, shift = affine_terms(norm)
    conv.weight = nn.Parameter(conv.weight.detach() * scale.view(-1, 1, 1, 1), requires_grad=False)
    conv.bias = nn.Parameter(shift.detach(), requires_grad=False)


def region_features(
    features: Tensor, regions: Tensor, pool: Callable[[Tensor, Tensor], Tensor], stage: nn.Module, chunk: int
) -> Tensor:
    """Features (R, F), float32, of regions: pooled, through the last stage of the backbone, averaged over their cells.

    Args:
        features: (D, H, W) of one image.
        regions: (R, 4) in pixels of the network's input.
        pool: RoIAlign or RoIPool, features and regions (r, 4) -> (r, D, P, P).
        stage: the last stage.
        chunk: regions pooled at a time, and on a CPU those of a pass through the stage: bounds the memory. A GPU is
            faster in one pass.
    """
    chunks = (pool(features, part) for part in regions.split(chunk))
    passes = chunks if features.device.type == "cpu" else [torch.cat(list(chunks))]
    return torch.cat([stage(pooled).float().mean((2, 3)) for pooled in passes])


class AttributePredictor(nn.Module):
    """Attributes of objects given their class: two layers on a region's feature and an embedding of the class."""

    def __init__(self, width: int, classes: int, attributes: int, embedding: int, hidden: int) -> None:
        """Builds the layers.

        Args:
            width: F.
            classes: rows of the embedding, with the background.
            attributes: outputs, with "none".
            embedding: width of the embedding.
            hidden: width of the hidden layer.
        """
        super().__init__()
        self.cls_embedding = nn.Embedding.from_pretrained(torch.empty(classes, embedding), freeze=False)
        self.fc_attr = nn.Linear(width + embedding, hidden)
        self.attr_score = nn.Linear(hidden, attributes)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Attribute logits (n, K) of objects with features (n, F) and classes (n,)."""
        x = torch.cat([features, self.cls_embedding(labels)], 1)
        return self.attr_score(self.fc_attr(x).relu())
