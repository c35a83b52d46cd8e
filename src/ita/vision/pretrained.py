"""What detectors of regions have in common around their networks, and where regions are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from ita.config import Detect
from ita.errors import UserError
from ita.io.files import sha256
from ita.model import hub
from ita.vision.images import DECODER_THREADS

T = TypeVar("T")
SETTING = "detect.model"
WEIGHTS = (".safetensors", ".pth", ".bin", ".pt")


def position_features(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Where regions are, as captioners of the Oscar family read it (behind the 2048 features of a region).

    Args:
        boxes: (n, 4) in pixels of the image.
        size: width and height of the image.

    Returns:
        (n, 6): x1/W, y1/H, x2/W, y2/H, w/W, h/H with w = x2 - x1 and h = y2 - y1 (microsoft/Oscar, issue 10).
    """
    edges = boxes / boxes.new_tensor([*size, *size])
    return torch.cat([edges, edges[:, 2:] - edges[:, :2]], 1)


def in_threads(work: Callable[[T], Any], items: Sequence[T]) -> list[Any]:
    """Pillow and numpy let go of the interpreter lock: results of ``work`` on some threads, in order."""
    if len(items) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(DECODER_THREADS) as pool:
        return list(pool.map(work, items))


def buckets(shapes: Sequence[Hashable], most: int) -> Iterator[list[int]]:
    """Indices of items of equal shape, at most ``most`` at a time: such items form a batch without padding."""
    alike = defaultdict(list)
    for index, shape in enumerate(shapes):
        alike[shape].append(index)
    for group in alike.values():
        for start in range(0, len(group), most):
            yield group[start : start + most]


def locate(settings: Detect, mark: str, beside: Sequence[str]) -> Path:
    """The file with a model's weights.

    Args:
        settings: ``model`` is a hub id, a local folder, or a file in one.
        mark: name of the published file; a local folder may hold another, alone of its kind.
        beside: further files of the model that are fetched with it if there are any.

    Raises:
        UserError: when there are no weights, or it is not clear which to take.
    """
    given = Path(settings.model or "").expanduser()
    if settings.model and given.is_file():
        return given
    if settings.model and given.is_dir() and not (given / mark).is_file():
        for suffix in WEIGHTS:
            files = sorted(given.glob(f"*{suffix}"))
            if len(files) == 1:
                return files[0]
            if files:
                names = ", ".join(file.name for file in files)
                raise UserError(f"setting {SETTING}: {given} holds several weights ({names}); name one file")
        raise UserError(f"setting {SETTING}: {given} holds no weights; expected {mark} or one {' or '.join(WEIGHTS)}")
    found = hub.find(settings.model, settings.revision, settings.local_files_only, SETTING, mark=mark)
    return hub.folder(found, [mark, *beside], SETTING) / mark


def facts(settings: Detect, model: object, files: Sequence[Path]) -> dict[str, Any]:
    """What identifies a loaded model: its name, class, and the SHA-256 of each of its files."""
    named = {file.name: sha256(file) for file in files}
    return {"model": settings.model, "class": type(model).__name__, "weights": named}
