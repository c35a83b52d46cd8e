"""Captions by models of ImageCaptioning.pytorch from what a detector found.

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

from ita.config import Caption
from ita.errors import UserError
from ita.io.files import sha256
from ita.model import hub
from ita.model.device import arithmetic, resolve
from ita.vision import weights
from ita.vision.captioners.oscar.captioner import enough_beams, present
from ita.vision.captioners.updown.recurrent import Options, Recurrent
from ita.vision.captioners.updown.search import BeamConfig, Penalty, search
from ita.vision.captioners.updown.transformer import Transformer
from ita.vision.types import ImageCaption, Regions

SETTING = "caption.model"
WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.pth", "model-best.pth")
FILES = (*WEIGHTS, "opt.json", "vocab.json")
MODELS: dict[str, type[Recurrent] | type[Transformer]] = {
    "updown": Recurrent,
    "topdown": Recurrent,
    "att2in2": Recurrent,
    "transformer": Transformer,
}
REFUSED = ("use_box", "norm_att_feat", "norm_box_feat")
"""Options that would change what the model reads."""


class UpDownCaptioner:
    """UpDown, Att2in2 or Transformer; it sees what a detector found instead of pixels."""

    def __init__(self, settings: Caption, *, length_penalty: str = "", suppress_unknown: bool = True) -> None:
        """Loads the model. Defaults are those of the published captions.

        Args:
            settings: ``max_tokens`` is the most words of a caption.
            length_penalty: ``""``, ``avg_0`` or, for example, ``wu_0.7``; see :class:`Penalty`.
            suppress_unknown: never to write the word UNK, in a search with several beams.

        Raises:
            UserError: when the model can not be had, is another kind of model, or the settings do not go together.
        """
        enough_beams(settings)
        self.settings = settings
        self.device = resolve(settings.device)
        self.dtype = arithmetic(self.device, settings.precision, 0)
        told_of_pickles(settings.model)
        found = hub.find(settings.model, settings.revision, settings.local_files_only, SETTING, "opt.json")
        folder = hub.folder(found, FILES, SETTING)
        self.words = vocabulary(folder / "vocab.json")
        options = described(folder / "opt.json", len(self.words))
        self.width = options.att_feat_size
        file = present(folder, WEIGHTS)
        model: Recurrent | Transformer = MODELS[options.caption_model](options)
        weights.fill(model, weights.read(file), file)
        model = model.eval().to(self.device)
        # Eight bits are too few for ranking words, so the head stays in fp32.
        head = model.head.state_dict()
        model.to(self.dtype)
        model.head.float().load_state_dict(head)
        self.model = model
        last = len(self.words)
        unknown = last if suppress_unknown and self.words[last] == "UNK" else None
        penalty = Penalty.of(length_penalty)
        self.rules = BeamConfig(settings.beams, settings.captions, settings.max_tokens, penalty, unknown)
        self.metadata: dict[str, Any] = {
            **hub.facts(found, model),
            "weights": {file.name: sha256(file)},
            "device": str(self.device),
            "precision": str(self.dtype),
        }

    def caption_regions(self, regions: Sequence[Regions]) -> list[list[ImageCaption]]:
        """Captions of each image by beam search, best first; none for an image without objects, which upstream refuses.

        In fp32 they do not depend on what else is in the batch. Images that share a forward pass have about equally
        many regions.

        Raises:
            UserError: when the detector left out what the model reads.
        """
        features = [self.features(image) for image in regions]
        order = sorted((i for i, some in enumerate(features) if len(some)), key=lambda i: len(features[i]))
        results: list[list[ImageCaption]] = [[] for _ in regions]
        for start in range(0, len(order), self.settings.batch_size):
            batch = order[start : start + self.settings.batch_size]
            padded = torch.nn.utils.rnn.pad_sequence([features[i] for i in batch], batch_first=True)
            lengths = torch.tensor([len(features[i]) for i in batch])
            inside = torch.arange(padded.shape[1]) < lengths[:, None]
            with torch.inference_mode():
                context = self.model.encode(padded.to(self.device), inside.to(self.device))
                captions = search(self.model, context, len(batch), self.rules, self.device)
            for i, lines, scores in zip(batch, captions.words.tolist(), captions.scores.tolist(), strict=True):
                results[i] = [ImageCaption(self.text(line), score) for line, score in zip(lines, scores, strict=True)]
        return results

    def features(self, image: Regions) -> Tensor:
        """(n, F) float32."""
        if not image.objects:
            return torch.zeros(0, self.width)
        if image.features is None:
            raise UserError(
                f"setting {SETTING}: '{self.settings.model}' reads features of regions, and the objects have none; "
                "take them from a detector that writes features (VinVL's or Bottom-Up's)"
            )
        if image.features.shape[1] != self.width:
            raise UserError(
                f"setting {SETTING}: '{self.settings.model}' reads features of width {self.width}, and those of the "
                f"detector have {image.features.shape[1]}; use the detector that the captioner was trained on"
            )
        return image.features.float().cpu()

    def text(self, numbers: Sequence[int]) -> str:
        """The words up to the end."""
        end = numbers.index(0) if 0 in numbers else len(numbers)
        return " ".join(self.words[number] for number in numbers[:end])


def told_of_pickles(model: str | None) -> None:
    """Says what to do with a folder as upstream leaves it.

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


def read_json(file: Path, what: str) -> dict[str, Any]:
    """An object from a JSON file.

    Raises:
        UserError: when there is none.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: can not be read ({error}); it has to hold {what}") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: is not what it should be; it has to hold {what}")
    return content


def vocabulary(file: Path) -> dict[int, str]:
    """Words by their numbers, 1 to V.

    Raises:
        UserError: when the file is not such a list.
    """
    what = 'the words by their numbers from 1 on, {"1": "a", "2": "man", ...}'
    content = read_json(file, what)
    words = {int(number): str(word) for number, word in content.items() if number.isdecimal()}
    if len(words) < len(content) or sorted(words) != list(range(1, len(words) + 1)) or not words:
        raise UserError(f"{file}: is not what it should be; it has to hold {what}")
    return words


def described(file: Path, words: int) -> Options:
    """What an opt.json says.

    Args:
        file: the options of training.
        words: how many words the vocabulary has.

    Raises:
        UserError: when it describes no captioner that is known, or one with another vocabulary.
    """
    about = read_json(file, "the options of training, caption_model and the sizes of the model among them")
    try:
        options = Options.of({"vocab_size": words, **about})
    except TypeError as error:
        raise UserError(f"{file}: does not describe a captioner: {error}") from None
    if options.caption_model not in MODELS:
        raise UserError(
            f"{file}: caption_model '{options.caption_model}' is not supported; expected one of {', '.join(MODELS)}"
        )
    refused = [name for name in REFUSED if about.get(name)]
    if refused:
        raise UserError(f"{file}: {refused[0]} is not supported; take a model that was trained without it")
    if options.vocab_size != words:
        raise UserError(
            f"{file}: the model has {options.vocab_size} words and vocab.json has {words}; they have to come from the "
            "same training"
        )
    return options
