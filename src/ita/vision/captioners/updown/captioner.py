"""Models of ImageCaptioning.pytorch: captions from the region features of a detector.

A folder holds the weights, ``opt.json`` with the options of training and ``vocab.json`` with the words by their
numbers. Upstream keeps both in a pickle (infos_*.pkl), which could run code and is therefore not read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ita.config import Caption
from ita.errors import UserError
from ita.model import hub
from ita.model.device import compute_dtype, resolve_device
from ita.model.weights import read_checkpoint
from ita.vision.captioners.common import (
    SETTING,
    check_width,
    find_weights,
    model_metadata,
    similar_batches,
)
from ita.vision.captioners.updown.recurrent import Options, Recurrent
from ita.vision.captioners.updown.search import BeamConfig, search
from ita.vision.captioners.updown.transformer import Transformer
from ita.vision.types import ImageCaption, Regions
from ita.vision.weights import load_weights

WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.pth", "model-best.pth")
FILES = (*WEIGHTS, "opt.json", "vocab.json")
MODELS: dict[str, type[Recurrent] | type[Transformer]] = {
    "updown": Recurrent,
    "topdown": Recurrent,
    "att2in2": Recurrent,
    "transformer": Transformer,
}
UNSUPPORTED = ("use_box", "norm_att_feat", "norm_box_feat")
"""Options that would change the inputs of the model."""
UNKNOWN_WORD = "UNK"


class UpDownCaptioner:
    """UpDown, Att2in2 or Transformer; it reads the regions of a detector instead of pixels."""

    def __init__(self, settings: Caption) -> None:
        """Loads the model.

        Args:
            settings: ``max_tokens`` is the most words of a caption.

        Raises:
            UserError: when the model cannot be loaded, is of another kind, or the settings do not go together.
        """
        check_pickles(settings.model)
        self.settings = settings
        self.device = resolve_device(settings.device)
        self.dtype = compute_dtype(self.device, settings.precision, 0)
        source = hub.find(settings.model, settings.revision, settings.local_files_only, SETTING, "opt.json")
        folder = hub.folder(source, FILES, SETTING)
        self.words = read_vocabulary(folder / "vocab.json")
        options = read_options(folder / "opt.json", len(self.words))
        self.feature_width = options.att_feat_size
        file = find_weights(folder, WEIGHTS)
        self.model = load_network(file, options).to(self.device)
        # Eight bits are too few for ranking words, so the head stays in fp32.
        head = self.model.head.state_dict()
        self.model.to(self.dtype)
        self.model.head.float().load_state_dict(head)
        last = len(self.words)
        unknown = last if self.words[last] == UNKNOWN_WORD else None
        self.beam = BeamConfig(*settings.search(), unknown)
        self.metadata = model_metadata(source, self.model, file, self.device, self.dtype)

    def caption_regions(self, regions: Sequence[Regions]) -> list[list[ImageCaption]]:
        """Captions of each image by beam search, best first; none for an image without objects, which upstream refuses.

        In fp32 they do not depend on what else is in the batch.

        Raises:
            UserError: when the detector left out what the model reads.
        """
        features = [self.features(image) for image in regions]
        sizes = {i: len(values) for i, values in enumerate(features) if len(values)}
        captions: list[list[ImageCaption]] = [[] for _ in regions]
        for batch in similar_batches(sizes, self.settings.batch_size):
            padded = pad_sequence([features[i] for i in batch], batch_first=True)
            mask = torch.arange(padded.shape[1]) < torch.tensor([sizes[i] for i in batch])[:, None]
            with torch.inference_mode():
                context = self.model.encode(padded.to(self.device), mask.to(self.device))
                best = search(self.model, context, len(batch), self.beam, self.device)
            for i, words, scores in zip(batch, best.ids.tolist(), best.scores.tolist(), strict=True):
                captions[i] = [ImageCaption(self.text(ids), score) for ids, score in zip(words, scores, strict=True)]
        return captions

    def features(self, image: Regions) -> Tensor:
        """(n, F) float32.

        Raises:
            UserError: when features are missing or of another width.
        """
        if not image.objects:
            return torch.zeros(0, self.feature_width)
        if image.features is None:
            raise UserError(
                f"setting {SETTING}: '{self.settings.model}' reads features of regions, and the objects have none; "
                "take them from a detector that writes features (VinVL's or Bottom-Up's)"
            )
        check_width(self.settings, image.features.shape[1], self.feature_width)
        return image.features.float().cpu()

    def text(self, words: Sequence[int]) -> str:
        """The words before the first 0."""
        end = words.index(0) if 0 in words else len(words)
        return " ".join(self.words[word] for word in words[:end])


def check_pickles(model: str | None) -> None:
    """Says how to convert a folder as upstream leaves it.

    Raises:
        UserError: for a local folder with a pickle in place of the files that are read.
    """
    folder = Path(model or "").expanduser()
    pickles = sorted(folder.glob("*.pkl")) if model and folder.is_dir() else []
    missing = [name for name in ("opt.json", "vocab.json") if not (folder / name).is_file()]
    if pickles and missing:
        raise UserError(
            f"{folder}: has no {' and no '.join(missing)}, and {pickles[0].name} is a pickle, which is not read since "
            "it could run code; where that may happen, write its 'vocab' as JSON to vocab.json (number -> word) and "
            "the attributes of its 'opt' to opt.json"
        )


def read_json_object(file: Path, expected: str) -> dict[str, Any]:
    """An object from a JSON file.

    Raises:
        UserError: when there is none.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}); it has to hold {expected}") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: holds no JSON object; it has to hold {expected}")
    return content


def read_vocabulary(file: Path) -> dict[int, str]:
    """Words by their numbers, from 1.

    Raises:
        UserError: when the file holds no such list.
    """
    expected = 'the words by their numbers from 1 on, {"1": "a", "2": "man", ...}'
    content = read_json_object(file, expected)
    words = {int(number): str(word) for number, word in content.items() if number.isdecimal()}
    if len(words) < len(content) or sorted(words) != list(range(1, len(words) + 1)) or not words:
        raise UserError(f"{file}: the numbers are not 1, 2, ...; it has to hold {expected}")
    return words


def read_options(file: Path, words: int) -> Options:
    """The options in an opt.json.

    Args:
        file: the options of training.
        words: size of the vocabulary.

    Raises:
        UserError: when it describes an unsupported captioner, or one with another vocabulary.
    """
    content = read_json_object(file, "the options of training, caption_model and the sizes of the model among them")
    try:
        options = Options.of({"vocab_size": words, **content})
    except TypeError as error:
        raise UserError(f"{file}: does not describe a captioner: {error}") from None
    if options.caption_model not in MODELS:
        raise UserError(
            f"{file}: caption_model '{options.caption_model}' is not supported; expected one of {', '.join(MODELS)}"
        )
    unsupported = [name for name in UNSUPPORTED if content.get(name)]
    if unsupported:
        raise UserError(f"{file}: {unsupported[0]} is not supported; take a model that was trained without it")
    if options.vocab_size != words:
        raise UserError(
            f"{file}: the model has {options.vocab_size} words and vocab.json has {words}; they have to come from the "
            "same training"
        )
    return options


def load_network(file: Path, options: Options) -> Recurrent | Transformer:
    """The network with its weights.

    Raises:
        UserError: when the file cannot be read or holds other weights.
    """
    model = MODELS[options.caption_model](options)
    load_weights(model, read_checkpoint(file), file)
    return model.eval()
