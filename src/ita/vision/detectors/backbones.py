"""Image backbones for grids of cells: models of timm where it is installed, and of transformers.

A plain ResNet of timm or torchvision needs no timm: its weights are loaded into transformers' ResNet, with the same
results. (timm needs torchvision, which does not load beside a CPU build of torch.)
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ita.config import Detect
from ita.errors import UserError
from ita.log import log
from ita.model import hub
from ita.model.weights import read_checkpoint
from ita.vision.detectors.resnet_weights import resnet_config, torchvision_name, without_classifier
from ita.vision.pretrained import SETTING, locate_weights, read_config
from ita.vision.weights import build_module

WEIGHTS, CONFIG, PREPROCESSOR = "model.safetensors", "config.json", "preprocessor_config.json"
CROP_MODES = ("center", "squash")
INTERPOLATIONS = ("bilinear", "bicubic", "lanczos", "nearest")


@dataclass(frozen=True)
class Preprocessing:
    """What timm and torchvision do to an image before classification; defaults are those of torchvision's ResNets."""

    size: int = 224
    """Side of the square in the middle that the model sees."""
    crop_fraction: float = 0.875
    """That side as a fraction of the shorter side after resizing: 224 of 256."""
    squash: bool = False
    """Whether resizing ignores the aspect ratio."""
    interpolation: str = "bilinear"
    """Pillow's filter, which smooths when it makes images smaller."""
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    """Of ImageNet, RGB from 0 to 1."""

    @classmethod
    def from_timm(cls, config: Mapping[str, Any], file: Path) -> Preprocessing:
        """The preprocessing that timm's config.json describes under ``pretrained_cfg``.

        Raises:
            UserError: for one that is not supported.
        """
        default = cls()
        timm = {
            "input_size": [3, default.size, default.size],
            "crop_mode": "center",
            **config.get("pretrained_cfg", {}),
        }
        _, height, width = timm["input_size"]
        crop_mode, interpolation = timm["crop_mode"], timm.get("interpolation", default.interpolation)
        if height != width or crop_mode not in CROP_MODES or interpolation not in INTERPOLATIONS:
            raise UserError(
                f"{file}: input of {height} x {width}, crop mode '{crop_mode}' and interpolation '{interpolation}' are "
                f"not supported; expected a square, {' or '.join(CROP_MODES)}, and {' or '.join(INTERPOLATIONS)}"
            )
        return cls(
            size=height,
            crop_fraction=timm.get("crop_pct", default.crop_fraction),
            squash=crop_mode == "squash",
            interpolation=interpolation,
            mean=tuple(timm.get("mean", default.mean)),
            std=tuple(timm.get("std", default.std)),
        )

    def __call__(self, image: Image.Image) -> Tensor:
        """RGB image -> (3, size, size) float32, normalised.

        The pixels are those that torchvision's ``Resize`` and ``CenterCrop`` give, without computing those that the
        crop would remove: an image may be very long.
        """
        shorter = math.floor(self.size / self.crop_fraction)
        sizes = [shorter if self.squash else shorter * side // min(image.size) for side in image.size]
        starts = [round((side - self.size) / 2) for side in sizes]
        scales = [side / resized for side, resized in zip(image.size, sizes, strict=True)]
        left, top = (start * scale for start, scale in zip(starts, scales, strict=True))
        right, bottom = ((start + self.size) * scale for start, scale in zip(starts, scales, strict=True))
        resampling = Image.Resampling[self.interpolation.upper()]
        cropped = image.resize((self.size, self.size), resampling, box=(left, top, right, bottom))
        pixels = torch.from_numpy(np.array(cropped)).permute(2, 0, 1).float() / 255
        return (pixels - pixels.new_tensor(self.mean)[:, None, None]) / pixels.new_tensor(self.std)[:, None, None]


@dataclass
class Backbone:
    """A model whose last feature map is read."""

    model: Any
    preprocess: Callable[[Image.Image], Tensor]
    """RGB image -> input of the model (3, H, W)."""
    cells: Callable[[Any, Tensor], Tensor]
    """Model and its input (B, 3, H, W) -> features (B, N, D) of the cells, row by row."""
    weights: Path


def load_backbone(detect: Detect) -> Backbone:
    """The backbone that the settings name.

    Raises:
        UserError: when it cannot be loaded.
    """
    weights = locate_weights(detect, WEIGHTS, [CONFIG, PREPROCESSOR])
    file = weights.parent / CONFIG
    config = read_config(file) if file.is_file() else {}
    if "model_type" in config:
        return load_transformers_backbone(weights)
    if "architecture" in config and timm_is_available():
        return load_timm_backbone(weights, config)
    return load_resnet(weights, config)


def timm_is_available() -> bool:
    """Whether timm is installed and can be imported."""
    if importlib.util.find_spec("timm") is None:
        return False
    try:
        importlib.import_module("timm")
    except (ImportError, RuntimeError) as error:
        log.warning("timm is installed but cannot be imported (%s); plain ResNets are loaded without it", error)
        return False
    return True


def load_timm_backbone(weights: Path, config: Mapping[str, Any]) -> Backbone:
    """A model of timm.

    Args:
        weights: in a folder with timm's config.json.
        config: the content of that file.

    Raises:
        UserError: when timm cannot load it.
    """
    import timm

    preprocess = Preprocessing.from_timm(config, weights.parent / CONFIG)
    try:
        model = timm.create_model(f"local-dir:{weights.parent}", pretrained=True, num_classes=0)
    except (RuntimeError, ValueError, KeyError, OSError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{weights.parent}: timm {timm.__version__} does not load this model: {reason}") from error
    return Backbone(model, preprocess, timm_cells, weights)


def timm_cells(model: Any, pixels: Tensor) -> Tensor:
    """The last feature map of a model of timm; tokens of vision transformers that are no cells are left out."""
    features = model.forward_features(pixels)
    if features.dim() == 3:
        return features[:, getattr(model, "num_prefix_tokens", 0) :]
    channels_last = str(getattr(model, "output_fmt", "NCHW")) == "NHWC"
    return features.flatten(1, 2) if channels_last else features.flatten(2).transpose(1, 2)


def load_transformers_backbone(weights: Path) -> Backbone:
    """A model that transformers has as a backbone (ResNet, ConvNeXt, Swin, DINOv2, ...) with its image processor.

    Raises:
        UserError: when the folder of the weights lacks one of them, or holds a model of another kind.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING

    source = hub.find(str(weights.parent), None, True, SETTING)
    config = hub.load("AutoConfig", source, SETTING)
    if type(config) not in MODEL_FOR_BACKBONE_MAPPING:
        raise UserError(f"{weights.parent / CONFIG}: transformers has no backbone for '{config.model_type}'")
    # AutoBackbone itself asks the hub even for a local folder.
    backbone_class = MODEL_FOR_BACKBONE_MAPPING[type(config)].__name__
    model = hub.load(backbone_class, source, SETTING, use_safetensors=True)
    processor = hub.load("AutoImageProcessor", source, SETTING, backend="pil")

    def preprocess(image: Image.Image) -> Tensor:
        return processor(images=image, return_tensors="pt")["pixel_values"][0]

    def cells(model: Any, pixels: Tensor) -> Tensor:
        return model(pixels).feature_maps[-1].flatten(2).transpose(1, 2)

    return Backbone(model, preprocess, cells, weights)


def load_resnet(weights: Path, config: Mapping[str, Any]) -> Backbone:
    """A plain ResNet of timm or torchvision, as a model of transformers.

    Args:
        weights: by the names of timm and torchvision.
        config: timm's config.json, for the preprocessing; empty where there is none.

    Raises:
        UserError: when the weights are not those of a plain ResNet.
    """
    from transformers import ResNetModel

    preprocess = Preprocessing.from_timm(config, weights.parent / CONFIG)
    state = without_classifier(read_checkpoint(weights))
    sizes = resnet_config(state, weights)
    model = build_module(lambda: ResNetModel(sizes), state, weights, torchvision_name)

    def cells(model: Any, pixels: Tensor) -> Tensor:
        return model(pixels).last_hidden_state.flatten(2).transpose(1, 2)

    return Backbone(model, preprocess, cells, weights)
