"""Weights of a plain ResNet (He et al. 2016) of timm or torchvision for transformers' ``ResNetModel``.

In all three the stride of a block lies in its 3x3 convolution ("v1.5").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from ita.errors import UserError

if TYPE_CHECKING:
    from transformers import ResNetConfig

CLASSIFIER = "fc."
LAYERS = ("layer1", "layer2", "layer3", "layer4")
KINDS = {"convolution": "conv", "normalization": "bn"}
BOTTLENECK_REDUCTION = 4
"""Channels of a stage over those inside its blocks."""


def without_classifier(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights up to the last feature map."""
    return {name: value for name, value in weights.items() if not name.startswith(CLASSIFIER)}


def torchvision_name(name: str) -> str:
    """The name that timm and torchvision have for a weight of transformers' ResNet.

    ``encoder.stages.0.layers.1.layer.2.normalization.bias`` is ``layer1.1.bn3.bias``.
    """
    parts = name.split(".")
    kind, parameter = KINDS[parts[-2]], parts[-1]
    if parts[0] == "embedder":
        return f"{kind}1.{parameter}"
    block = f"layer{int(parts[2]) + 1}.{parts[4]}"
    if parts[5] == "shortcut":
        return f"{block}.downsample.{0 if kind == 'conv' else 1}.{parameter}"
    return f"{block}.{kind}{int(parts[6]) + 1}.{parameter}"


def resnet_config(weights: Mapping[str, Tensor], source: object) -> ResNetConfig:
    """The configuration of transformers' ResNet that has weights of these shapes.

    Args:
        weights: by the names of timm and torchvision.
        source: their file, for messages.

    Raises:
        UserError: when they are not those of a plain ResNet.
    """
    from transformers import ResNetConfig

    blocks = [
        [int(n) for name in weights for n in re.findall(rf"^{layer}\.(\d+)\.conv1\.weight$", name)] for layer in LAYERS
    ]
    bottleneck = "layer1.0.conv3.weight" in weights
    try:
        last = "conv3" if bottleneck else "conv2"
        inner, inner_inputs = weights["layer1.0.conv2.weight"].shape[:2]
        config = ResNetConfig(
            embedding_size=len(weights["conv1.weight"]),
            hidden_sizes=[len(weights[f"{layer}.0.{last}.weight"]) for layer in LAYERS],
            depths=[max(numbers) + 1 for numbers in blocks],
            layer_type="bottleneck" if bottleneck else "basic",
        )
        plain = not bottleneck or inner == inner_inputs == config.hidden_sizes[0] // BOTTLENECK_REDUCTION
    except (KeyError, ValueError):
        plain = False
    if not plain:
        raise UserError(
            f"{source}: holds no plain ResNet (weights conv1, layer1 to layer4, without groups or wider blocks); take "
            "one such as timm/resnet152.tv_in1k, or install timm for its other models: pip install 'ita-ner[timm]'"
        )
    return config
