"""What the captioners share: checks of settings and inputs, weights, batches, results of a search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ita.config import Caption
from ita.errors import UserError
from ita.io.files import sha256
from ita.model import hub

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SETTING = "caption.model"


class Captions(NamedTuple):
    """The best captions of B images, best first."""

    ids: Tensor
    """(B, C, T) of C captions kept per image; what stands for the end and the padding is up to the search."""
    scores: Tensor
    """(B, C)."""


def check_width(settings: Caption, width: int, expected: int) -> None:
    """Checks the width of region features.

    Raises:
        UserError: when the captioner was trained on features of another width.
    """
    if width != expected:
        raise UserError(
            f"setting {SETTING}: '{settings.model}' reads features of width {expected}, and those of the detector "
            f"have {width}; use the detector that the captioner was trained on"
        )


def find_weights(folder: Path, names: Sequence[str]) -> Path:
    """The first of these weight files that exists.

    Raises:
        UserError: when none does.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"{folder}: holds no weights; expected {' or '.join(names)}")


def similar_batches(sizes: Mapping[int, Any], batch_size: int) -> Iterator[list[int]]:
    """Batches of images of similar size, so that little padding is computed.

    Args:
        sizes: index of an image -> what it is sorted by.
        batch_size: most images of a batch.

    Yields:
        Indices of images.
    """
    order = sorted(sizes, key=lambda index: sizes[index])
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def model_metadata(
    source: Mapping[str, Any], model: object, weights: Path, device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    """What identifies a captioner, for the metadata of the output.

    Args:
        source: what ``hub.find`` returned.
        model: the network.
        weights: the file it was loaded from.
        device: where it runs.
        dtype: its arithmetic.
    """
    return {
        **hub.identity(source, model),
        "weights": {weights.name: sha256(weights)},
        "device": str(device),
        "precision": str(dtype),
    }
