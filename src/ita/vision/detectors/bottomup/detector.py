"""The bottom-up attention detector on pictures: files of the model, preprocessing, batches, names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy
import torch
import yaml
from torch import Tensor
from torch.nn import functional

from ita.config import Detect
from ita.errors import UserError
from ita.model.device import arithmetic, resolve
from ita.vision import pretrained
from ita.vision import weights as checkpoints
from ita.vision.detectors.bottomup.network import DEPTHS, BottomUp, BottomUpConfig, Detections, cell_anchors
from ita.vision.types import DecodedImage, DetectedObject, Regions

WEIGHTS = "pytorch_model.bin"
CONFIGS = ("config.json", "config.yaml")
OBJECTS, ATTRIBUTES = "objects_vocab.txt", "attributes_vocab.txt"
VOCABULARY = "airsplay/py-bottom-up-attention, folder demo/data/genome/1600-400-20"
ANCHORS = "proposal_generator.anchor_generator.cell_anchors.0"
ENTRIES = {
    "num_classes": "roi_heads.num_classes",
    "num_attributes": "roi_box_head.num_attrs",
    "depth": "resnets.depth",
    "stem_out": "resnets.stem_out_channels",
    "res2_out": "resnets.res2_out_channels",
    "groups": "resnets.num_groups",
    "width_per_group": "resnets.width_per_group",
    "stride_in_1x1": "resnets.stride_in_1x1",
    "rpn_hidden": "proposal_generator.hidden_channels",
    "anchor_sizes": "anchor_generator.sizes",
    "aspect_ratios": "anchor_generator.aspect_ratios",
    "pre_nms_top_n": "rpn.pre_nms_topk_test",
    "post_nms_top_n": "rpn.post_nms_topk_test",
    "rpn_nms": "rpn.nms_thresh",
    "min_box": "proposal_generator.min_size",
    "proposal_weights": "rpn.bbox_reg_weights",
    "pooler_resolution": "roi_box_head.pooler_resolution",
    "box_weights": "roi_box_head.bbox_reg_weights",
    "nms": "roi_heads.nms_thresh_test",
    "min_detections": "min_detections",
    "max_detections": "max_detections",
    "min_size": "input.min_size_test",
    "max_size": "input.max_size_test",
    "pixel_mean_bgr": "model.pixel_mean",
    "pixel_std": "model.pixel_std",
}
"""Field of ``Shape`` -> entry of the published configuration, whose names count in either case."""


class BottomUpDetector:
    """The detector before VinVL's: 1600 classes, 400 attributes of which each object gets one, 2048 features."""

    def __init__(self, settings: Detect) -> None:
        """Loads the model.

        Args:
            settings: ``model`` is a hub id (unc-nlp/frcnn-vg-finetuned), or a local folder or file. How many objects
                the network gives is in its configuration (36); those below ``score_threshold`` are then left out.

        Raises:
            UserError: when a file is missing, broken or does not fit the others.
        """
        self.settings = settings
        self.minimum = settings.min_objects
        self.device = resolve(settings.device)
        self.dtype = arithmetic(self.device, settings.precision, 0)
        weights = pretrained.locate(settings, WEIGHTS, [*CONFIGS, OBJECTS, ATTRIBUTES])
        self.shape = shape(weights.parent)
        folder = Path(settings.vocabulary).expanduser() if settings.vocabulary else weights.parent
        self.classes = names(folder / OBJECTS, self.shape.num_classes)
        self.attributes = names(folder / ATTRIBUTES, self.shape.num_attributes)
        self.network = load(self.shape, weights).to(self.device).eval()
        if settings.precision != "fp32":
            # Even in float32 this moves the last two digits; who asks for fp32 gets upstream's operations in its order.
            self.network.prepare(self.dtype)
        self.metadata = {
            **pretrained.facts(settings, self.network, [weights, folder / OBJECTS, folder / ATTRIBUTES]),
            "device": str(self.device),
            "precision": str(self.dtype),
        }

    @torch.inference_mode()
    def regions(self, pictures: Sequence[DecodedImage]) -> list[Regions]:
        """Objects and features of each picture.

        Pictures that have the same size after resizing share a pass of at most ``batch_size``: without padding a result
        does not depend on what else is in the batch.
        """
        inputs = [self.prepared(picture) for picture in pictures]
        results: list[Any] = [None] * len(pictures)
        for group in pretrained.buckets([one.shape for one in inputs], self.settings.batch_size):
            batch = torch.stack([inputs[index] for index in group])
            sizes = [(batch.shape[2], batch.shape[3])] * len(group)
            for index, found in zip(group, self.network(batch, sizes), strict=True):
                results[index] = self.named(found, sizes[0], pictures[index].image.size)
        return results

    def prepared(self, picture: DecodedImage) -> Tensor:
        """What the network reads of a picture: (3, H, W) BGR float32, resized without smoothing, normalised."""
        pixels = torch.from_numpy(numpy.array(picture.image)).to(self.device).flip(-1).float().permute(2, 0, 1)
        width, height = size_for(picture.image.size, self.shape)
        pixels = functional.interpolate(
            pixels[None].contiguous(), (height, width), mode="bilinear", align_corners=False
        )[0]
        mean, std = (pixels.new_tensor(x)[:, None, None] for x in (self.shape.pixel_mean_bgr, self.shape.pixel_std))
        return (pixels - mean) / std

    def named(self, found: Detections, scaled: tuple[int, int], size: tuple[int, int]) -> Regions:
        """Objects of one picture with names, and boxes in its own pixels.

        Args:
            found: n objects.
            scaled: height and width that the network saw.
            size: width and height of the picture.
        """
        sure = int((found.scores >= self.settings.score_threshold).sum())
        count = min(max(sure, self.minimum), self.settings.max_objects, len(found.scores))
        ratio = found.boxes.new_tensor([size[0] / scaled[1], size[1] / scaled[0]] * 2)
        objects = [
            DetectedObject(self.classes[label], score, tuple(box), ((self.attributes[one], surely),))
            for label, score, box, one, surely in zip(
                found.labels[:count].tolist(),
                found.scores[:count].tolist(),
                (found.boxes[:count] * ratio).tolist(),
                found.attributes[:count].tolist(),
                found.attribute_scores[:count].tolist(),
                strict=True,
            )
        ]
        return Regions(objects, found.features[:count].cpu(), size)


def size_for(size: tuple[int, int], shape: BottomUpConfig) -> tuple[int, int]:
    """Width and height after resizing: the shorter side ``min_size`` long unless the longer one got too long."""
    width, height = size
    scale = shape.min_size / min(size)
    wide, high = (shape.min_size, scale * height) if width <= height else (scale * width, shape.min_size)
    if max(wide, high) > shape.max_size:
        scale = shape.max_size / max(wide, high)
        wide, high = wide * scale, high * scale
    return max(1, int(wide + 0.5)), max(1, int(high + 0.5))


def load(shape: BottomUpConfig, weights: Path) -> BottomUp:
    """The network with its weights on the CPU, as they are in the file.

    A file may lack what is not used (how many batches normalisation has seen) or follows from the configuration.

    Raises:
        UserError: when the file is broken or holds another network.
    """
    with torch.device("meta"):
        network = BottomUp(shape)
    network = network.to_empty(device="cpu")
    counters = {name: torch.tensor(0) for name in network.state_dict() if name.endswith("num_batches_tracked")}
    anchors = {ANCHORS: cell_anchors(shape.anchor_sizes, shape.aspect_ratios)}
    checkpoints.fill(network, {**counters, **anchors, **checkpoints.read(weights)}, weights)
    return network.requires_grad_(False)


def names(file: Path, count: int) -> list[str]:
    """Names by index, lower case: a line each, of which the first of several synonyms counts.

    Raises:
        UserError: when the file is missing or does not name exactly as many.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: can not be read ({error}); published in {VOCABULARY}") from None
    found = [line.split(",")[0].strip().lower() for line in lines if line.strip()]
    if len(found) != count:
        raise UserError(f"{file}: holds {len(found)} names, expected {count}, which the network knows")
    return found


def shape(folder: Path) -> BottomUpConfig:
    """The shape in a folder's configuration; without a file, and for what it lacks, that of the published model.

    Raises:
        UserError: for a broken file or a value of another kind.
    """
    file = next((folder / name for name in CONFIGS if (folder / name).is_file()), None)
    if file is None:
        return BottomUpConfig()
    try:
        text = file.read_text(encoding="utf-8")
        content = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file}: can not be read: {' '.join(str(error).split())[:300]}") from None
    known: dict[str, Any] = {}
    for item in fields(BottomUpConfig):
        value = entry(content, ENTRIES[item.name])
        if value is None:
            continue
        if isinstance(item.default, tuple):
            value = tuple(
                value[0] if isinstance(value, list) and value and isinstance(value[0], list) else listed(value)
            )
            fits = all(isinstance(one, int | float) for one in value)
        else:
            fits = isinstance(value, int | float) and isinstance(value, bool) == isinstance(item.default, bool)
        if not fits:
            raise UserError(f"{file}: {ENTRIES[item.name]} is {value!r}, expected something like {item.default}")
        known[item.name] = value
    found = BottomUpConfig(**known)
    if found.depth not in DEPTHS:
        raise UserError(f"{file}: depth {found.depth}; expected one of {', '.join(map(str, DEPTHS))}")
    if entry(content, "roi_box_head.res5halve"):
        raise UserError(f"{file}: a last stage of half the resolution (RES5HALVE) is another network")
    return found


def listed(value: Any) -> list[Any]:
    """A value as a list."""
    return value if isinstance(value, list) else [value]


def entry(content: Any, path: str) -> Any:
    """An entry of nested maps, None where there is none."""
    for name in path.split("."):
        if not isinstance(content, Mapping):
            return None
        content = {str(key).lower(): value for key, value in content.items()}.get(name)
    return content
