"""VinVL's detector on pictures: files of the model, preprocessing, batches, names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from ita.config import Detect
from ita.errors import UserError
from ita.model.device import arithmetic, resolve
from ita.vision import pretrained
from ita.vision import weights as checkpoints
from ita.vision.detectors.vinvl.network import AttrRCNN, Detections, VinvlConfig
from ita.vision.detectors.vinvl.postprocessing import PostprocessConfig
from ita.vision.types import DecodedImage, DetectedObject, Regions

WEIGHTS = "vinvl_vg_x152c4.pth"
LABELS = "VG-SGG-dicts-vgoi6-clipped.json"
CONFIG = "config.json"


class VinvlDetector:
    """The detector that made the object tags of the paper: 1594 classes, 524 attributes, features of 2048 numbers.

    By default it does what the command in VinVL's README does: filter 1, boxes are the proposals, at least 10 objects.
    """

    def __init__(self, settings: Detect) -> None:
        """Loads the model.

        Args:
            settings: ``model`` is a hub id (michelecafagna26/vinvl_vg_x152c4), or a local folder or file; of filters
                see ``ita.vision.detectors.vinvl.postprocessing``.

        Raises:
            UserError: when a file is missing, broken or does not fit the others.
        """
        self.settings = settings
        self.rules = PostprocessConfig(
            settings.filter, settings.regression, settings.score_threshold, settings.min_objects, settings.max_objects
        )
        self.device = resolve(settings.device)
        self.dtype = arithmetic(self.device, settings.precision, 0)
        weights = pretrained.locate(settings, WEIGHTS, [LABELS, CONFIG])
        labels = label_map(weights.parent)
        self.shape = shape(weights.parent / CONFIG)
        self.classes = names(labels, "label", self.shape.num_classes)
        self.attributes = names(labels, "attribute", self.shape.num_attributes)
        self.network = load(self.shape, weights).to(self.device).eval()
        if settings.precision != "fp32":
            # Even in float32 this moves the last two digits; who asks for fp32 gets upstream's operations in its order.
            self.network.prepare(self.dtype)
        self.metadata = {
            **pretrained.facts(settings, self.network, [weights, labels]),
            "device": str(self.device),
            "precision": str(self.dtype),
        }

    @torch.inference_mode()
    def regions(self, pictures: Sequence[DecodedImage]) -> list[Regions]:
        """Objects and features of each picture.

        Pictures that have the same size after resizing share a pass of at most ``batch_size``: without padding a result
        does not depend on what else is in the batch. So the more pictures are handed over, the fuller the passes are.
        """
        inputs = pretrained.in_threads(lambda picture: resized(picture, self.shape), pictures)
        results: list[Any] = [None] * len(pictures)
        for group in pretrained.buckets([one.shape for one in inputs], self.settings.batch_size):
            batch = self.normalised(torch.stack([inputs[index] for index in group]))
            sizes = [(batch.shape[2], batch.shape[3])] * len(group)
            for index, found in zip(group, self.network(batch, sizes, self.rules), strict=True):
                results[index] = self.named(found, sizes[0], pictures[index].image.size)
        return results

    def normalised(self, images: Tensor) -> Tensor:
        """RGB bytes (B, H, W, 3) to what the network reads: (B, 3, H, W) BGR float32 without the mean."""
        pixels = images.to(self.device).flip(-1).float()
        return (pixels - pixels.new_tensor(self.shape.pixel_mean_bgr)).permute(0, 3, 1, 2).contiguous()

    def named(self, found: Detections, scaled: tuple[int, int], size: tuple[int, int]) -> Regions:
        """Objects of one picture with names, and boxes in its own pixels.

        Args:
            found: n objects.
            scaled: height and width that the network saw.
            size: width and height of the picture.
        """
        ratio = found.boxes.new_tensor([size[0] / scaled[1], size[1] / scaled[0]] * 2)
        objects = [
            DetectedObject(
                self.classes[label],
                score,
                tuple(box),
                tuple((self.attributes[one], sure) for one, sure in zip(some, surely, strict=True) if sure > 0),
            )
            for label, score, box, some, surely in zip(
                found.labels.tolist(),
                found.scores.tolist(),
                (found.boxes * ratio).tolist(),
                found.attributes.tolist(),
                found.attribute_scores.tolist(),
                strict=True,
            )
        ]
        return Regions(objects, found.features.cpu(), size)


def resized(picture: DecodedImage, shape: VinvlConfig) -> Tensor:
    """RGB bytes (H, W, 3) of a picture, its shorter side ``min_size`` long unless the longer one got too long."""
    from PIL import Image

    size = size_for(picture.image.size, shape)
    image = picture.image if picture.image.size == size else picture.image.resize(size, Image.Resampling.BILINEAR)
    return torch.from_numpy(numpy.array(image))


def size_for(size: tuple[int, int], shape: VinvlConfig) -> tuple[int, int]:
    """Width and height after resizing; the longer side is cut to whole pixels, not rounded, as upstream does."""
    width, height = size
    short, long = min(size), max(size)
    side = shape.min_size
    if long / short * side > shape.max_size:
        # A strip a thousand times as long as wide keeps a pixel of width.
        side = max(1, round(shape.max_size * short / long))
    return (side, int(side * height / width)) if width < height else (int(side * width / height), side)


def load(shape: VinvlConfig, weights: Path) -> AttrRCNN:
    """The network with its weights on the CPU, as they are in the file.

    Raises:
        UserError: when the file is broken or holds another network.
    """
    with torch.device("meta"):
        network = AttrRCNN(shape)
    network = network.to_empty(device="cpu")
    checkpoints.fill(network, checkpoints.read(weights), weights)
    return network.requires_grad_(False)


def shape(file: Path) -> VinvlConfig:
    """The shape in a config.json; without the file, and for what it does not name, that of the published model.

    Raises:
        UserError: for a broken file or a value of another kind.
    """
    if not file.is_file():
        return VinvlConfig()
    given = read_json(file)
    known: dict[str, Any] = {}
    for item in fields(VinvlConfig):
        value = given.get(item.name, item.default)
        parts = value if isinstance(value, list | tuple) else [value]
        plain = all(isinstance(one, int | float) and not isinstance(one, bool) for one in parts)
        if not plain or isinstance(value, list | tuple) != isinstance(item.default, tuple):
            raise UserError(f"{file}: {item.name} is {value!r}, expected something like {item.default}")
        known[item.name] = tuple(value) if isinstance(value, list) else value
    return VinvlConfig(**known)


def label_map(folder: Path) -> Path:
    """The file with the names of classes and attributes: the published one or, alone, another .json.

    Raises:
        UserError: when there is none, or more than one.
    """
    if (folder / LABELS).is_file():
        return folder / LABELS
    files = [file for file in sorted(folder.glob("*.json")) if file.name != CONFIG]
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "no other .json"
        raise UserError(f"{folder / LABELS}: the names of classes and attributes are missing; there is {found}")
    return files[0]


def names(file: Path, kind: str, count: int) -> list[str]:
    """Names by index, lower case; index 0 is the background or "no attribute".

    Args:
        file: JSON with ``label_to_idx`` and ``attribute_to_idx``, or the inverse ``idx_to_...``.
        kind: label or attribute.
        count: how many the network knows, index 0 included.

    Raises:
        UserError: when the file does not name exactly these.
    """
    given = read_json(file)
    table = given.get(f"{kind}_to_idx")
    if table is None:
        table = {name: index for index, name in given.get(f"idx_to_{kind}", {}).items()}
    try:
        by_index = {int(index): str(name).lower() for name, index in table.items()}
    except (AttributeError, TypeError, ValueError):
        raise UserError(f"{file}: {kind}_to_idx is not a map from names to numbers") from None
    by_index[0] = ""
    if sorted(by_index) != list(range(count)):
        raise UserError(
            f"{file}: {kind}_to_idx names {len(by_index) - 1} indices up to {max(by_index)}, "
            f"expected 1 to {count - 1}, which the network knows"
        )
    return [by_index[index] for index in range(count)]


def read_json(file: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        UserError: for anything else.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: is not JSON that can be read: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected a JSON object")
    return content
