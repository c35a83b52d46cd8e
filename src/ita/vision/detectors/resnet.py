"""ResNet (He et al. 2016) up to its last feature map; weights go by the names that torchvision and timm give them.

The stride of a block lies in its 3x3 convolution, as in both ("v1.5"). B images of H x W pixels, C channels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from ita.errors import UserError

HEAD = "fc."
"""What the names of the classifier begin with, which is not used."""


@dataclass(frozen=True)
class Shape:
    """Sizes of the network; defaults are ResNet-152's."""

    depths: tuple[int, ...] = (3, 8, 36, 3)
    """Blocks of each stage."""
    stem: int = 64
    """Channels of the first convolution."""
    inner: tuple[int, ...] = (64, 128, 256, 512)
    """Channels inside the blocks of each stage."""
    outer: tuple[int, ...] = (256, 512, 1024, 2048)
    """Channels of each stage."""
    groups: int = 1
    """Groups of the 3x3 convolutions (ResNeXt has several)."""
    bottleneck: bool = True
    """Blocks of 1x1, 3x3 and 1x1; else of two 3x3."""


def shape_of(weights: Mapping[str, Tensor], where: object) -> Shape:
    """The shape that weights have.

    Args:
        weights: by name.
        where: their source, for messages.

    Raises:
        UserError: when they are not those of a plain ResNet.
    """
    blocks = [
        [int(n) for name in weights for n in re.findall(rf"^layer{s}\.(\d+)\.conv1\.weight$", name)]
        for s in (1, 2, 3, 4)
    ]
    bottleneck = "layer1.0.conv3.weight" in weights
    try:
        inner = tuple(len(weights[f"layer{s}.0.conv2.weight"]) for s in (1, 2, 3, 4))
        return Shape(
            depths=tuple(max(found) + 1 for found in blocks),
            stem=len(weights["conv1.weight"]),
            inner=inner,
            outer=tuple(len(weights[f"layer{s}.0.conv{2 + bottleneck}.weight"]) for s in (1, 2, 3, 4)),
            groups=inner[0] // weights["layer1.0.conv2.weight"].shape[1],
            bottleneck=bottleneck,
        )
    except (KeyError, ValueError, IndexError, ZeroDivisionError):
        raise UserError(
            f"{where}: holds no plain ResNet (weights conv1, layer1 to layer4); take one such as timm/resnet152.tv_in1k"
        ) from None


class ResNet(nn.Module):
    """The network without its classifier; values to be filled in."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.width = shape.outer[-1]
        self.conv1 = nn.Conv2d(3, shape.stem, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(shape.stem)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.act = nn.ReLU()
        before = shape.stem
        for stage, (depth, inner, outer) in enumerate(zip(shape.depths, shape.inner, shape.outer, strict=True)):
            strides = [1 if stage == 0 else 2, *[1] * (depth - 1)]
            inputs = [before, *[outer] * (depth - 1)]
            blocks = [Block(shape, a, inner, outer, stride) for a, stride in zip(inputs, strides, strict=True)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            before = outer

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, H/32, W/32), all positive."""
        x = self.pool(self.act(self.bn1(self.conv1(x))))
        for stage in (1, 2, 3, 4):
            x = getattr(self, f"layer{stage}")(x)
        return x


class Block(nn.Module):
    """Convolutions beside a shortcut."""

    def __init__(self, shape: Shape, before: int, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        if shape.bottleneck:
            sizes = [(before, inner, 1, 1, 1), (inner, inner, 3, stride, shape.groups), (inner, outer, 1, 1, 1)]
        else:
            sizes = [(before, inner, 3, stride, 1), (inner, outer, 3, 1, 1)]
        for number, (a, b, size, step, groups) in enumerate(sizes, 1):
            setattr(self, f"conv{number}", nn.Conv2d(a, b, size, step, size // 2, groups=groups, bias=False))
            setattr(self, f"bn{number}", nn.BatchNorm2d(b))
        self.count = len(sizes)
        self.act = nn.ReLU()
        self.downsample: nn.Module | None = None
        if stride != 1 or before != outer:
            self.downsample = nn.Sequential(nn.Conv2d(before, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, outer, H/stride, W/stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        for number in range(1, self.count + 1):
            x = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(x))
            x = self.act(x + shortcut if number == self.count else x)
        return x
