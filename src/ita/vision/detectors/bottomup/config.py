"""Sizes of the bottom-up attention network, read from the published configuration; names of classes and attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any

from ita.errors import UserError
from ita.vision.pretrained import read_config

CONFIGS = ("config.json", "config.yaml")
OBJECTS, ATTRIBUTES = "objects_vocab.txt", "attributes_vocab.txt"
VOCABULARY_SOURCE = "airsplay/py-bottom-up-attention, folder demo/data/genome/1600-400-20"
DEPTHS = {50: (3, 4, 6), 101: (3, 4, 23), 152: (3, 8, 36)}
"""Blocks of the three stages of the backbone by the depth of the network."""


@dataclass(frozen=True)
class BottomUpConfig:
    """Sizes of the network and its fixed settings; defaults are those of the published detector."""

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
"""Field of ``BottomUpConfig`` -> entry of the published configuration, whose names count in either case."""


def read_bottomup_config(folder: Path) -> BottomUpConfig:
    """The sizes in a folder's configuration; without a file, and for what it lacks, those of the published model.

    Raises:
        UserError: for a broken file or a value of another kind.
    """
    file = next((folder / name for name in CONFIGS if (folder / name).is_file()), None)
    if file is None:
        return BottomUpConfig()
    content = read_config(file)
    values: dict[str, Any] = {}
    for field in fields(BottomUpConfig):
        value = entry(content, ENTRIES[field.name])
        if value is not None:
            values[field.name] = checked(value, field, file)
    config = BottomUpConfig(**values)
    if config.depth not in DEPTHS:
        raise UserError(f"{file}: depth {config.depth}; expected one of {', '.join(map(str, DEPTHS))}")
    if entry(content, "roi_box_head.res5halve"):
        raise UserError(f"{file}: a last stage of half the resolution (RES5HALVE) is another network")
    return config


def checked(value: Any, field: Field[Any], file: Path) -> Any:
    """A value of the configuration as a field has it; of a list per feature map the first list counts.

    Raises:
        UserError: for a value of another kind.
    """
    if isinstance(field.default, tuple):
        values = value if isinstance(value, list) else [value]
        value = tuple(values[0] if values and isinstance(values[0], list) else values)
        fits = all(isinstance(number, int | float) for number in value)
    else:
        fits = isinstance(value, int | float) and isinstance(value, bool) == isinstance(field.default, bool)
    if not fits:
        raise UserError(f"{file}: {ENTRIES[field.name]} is {value!r}, expected something like {field.default}")
    return value


def entry(content: Any, path: str) -> Any:
    """An entry of nested maps, None where there is none."""
    for name in path.split("."):
        if not isinstance(content, Mapping):
            return None
        content = {str(key).lower(): value for key, value in content.items()}.get(name)
    return content


def read_names(file: Path, count: int) -> list[str]:
    """Names by index, lower case: a line each, of which the first of several synonyms counts.

    Raises:
        UserError: when the file is missing or does not name exactly as many.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}); published in {VOCABULARY_SOURCE}") from None
    names = [line.split(",")[0].strip().lower() for line in lines if line.strip()]
    if len(names) != count:
        raise UserError(f"{file}: holds {len(names)} names, expected {count}, which the network knows")
    return names
