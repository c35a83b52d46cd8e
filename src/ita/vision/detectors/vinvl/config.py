"""Sizes of VinVL's network, read from a model's config.json; names of its classes and attributes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ita.errors import UserError
from ita.vision.pretrained import read_config

LABELS = "VG-SGG-dicts-vgoi6-clipped.json"
CONFIG = "config.json"


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

    def stage_width(self, stage: int) -> int:
        """Channels that residual stage 1 to 4 gives; those of the stem for 0."""
        return self.res2_out * 2 ** (stage - 1) if stage else self.stem_out


def read_vinvl_config(folder: Path) -> VinvlConfig:
    """The sizes in a folder's config.json; without the file, and for what it lacks, those of the published model.

    Raises:
        UserError: for a broken file or a value of another kind.
    """
    file = folder / CONFIG
    if not file.is_file():
        return VinvlConfig()
    content = read_config(file)
    values: dict[str, Any] = {}
    for field in fields(VinvlConfig):
        value = content.get(field.name, field.default)
        numbers = value if isinstance(value, list | tuple) else [value]
        numeric = all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers)
        if not numeric or isinstance(value, list | tuple) != isinstance(field.default, tuple):
            raise UserError(f"{file}: {field.name} is {value!r}, expected something like {field.default}")
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return VinvlConfig(**values)


def find_label_map(folder: Path) -> Path:
    """The file with the names of classes and attributes: the published one or, alone, another .json.

    Raises:
        UserError: when there is none, or more than one.
    """
    if (folder / LABELS).is_file():
        return folder / LABELS
    files = [file for file in sorted(folder.glob("*.json")) if file.name != CONFIG]
    if len(files) != 1:
        candidates = ", ".join(file.name for file in files) or "no other .json"
        raise UserError(f"{folder / LABELS}: the names of classes and attributes are missing; there is {candidates}")
    return files[0]


def read_names(label_map: Path, kind: str, count: int) -> list[str]:
    """Names by index, lower case; index 0 is the background or "no attribute".

    Args:
        label_map: JSON with ``label_to_idx`` and ``attribute_to_idx``, or the inverse ``idx_to_...``.
        kind: label or attribute.
        count: how many the network knows, index 0 included.

    Raises:
        UserError: when the file does not name exactly these.
    """
    content = read_config(label_map)
    table = content.get(f"{kind}_to_idx")
    if table is None:
        table = {name: index for index, name in content.get(f"idx_to_{kind}", {}).items()}
    try:
        names = {int(index): str(name).lower() for name, index in table.items()}
    except (AttributeError, TypeError, ValueError):
        raise UserError(f"{label_map}: {kind}_to_idx is not a map from names to numbers") from None
    names[0] = ""
    if sorted(names) != list(range(count)):
        raise UserError(
            f"{label_map}: {kind}_to_idx names {len(names) - 1} indices up to {max(names)}, "
            f"expected 1 to {count - 1}, which the network knows"
        )
    return [names[index] for index in range(count)]
