"""Captions by VinVL's captioner from what a detector found.

Inputs are those of microsoft/Oscar (oscar/run_captioning.py): the class names of all objects in the detector's order,
as word pieces, and of each region its features and position.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from torch import Tensor

from ita.config import Caption
from ita.errors import UserError
from ita.io.files import sha256
from ita.model import hub
from ita.model.bert import ACTIVATIONS, EncoderConfig
from ita.model.device import arithmetic, resolve
from ita.vision import weights as checkpoints
from ita.vision.captioners.oscar.network import BertForImageCaptioning, Context, Prefix
from ita.vision.captioners.oscar.search import BeamConfig, search
from ita.vision.pretrained import position_features
from ita.vision.types import ImageCaption, Regions

SETTING = "caption.model"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
FILES = (*WEIGHTS, "config.json", "vocab.txt")
PUBLISHED = "michelecafagna26/vinvl-base-image-captioning"
POSITION = 6
"""Numbers that say where a region lies."""
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TOGETHER = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" do not", " don't"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)
"""What BERT's decoder puts right in a text, in this order."""


class OscarCaptioner:
    """VinVL's captioner; it sees what a detector found instead of pixels."""

    def __init__(
        self,
        settings: Caption,
        *,
        length_penalty: float = 1.0,
        labels: bool = True,
        label_length: int = 30,
        label_position: int = 40,
        regions: int = 50,
    ) -> None:
        """Loads the model. Defaults are those of the published captions.

        Args:
            settings: ``max_tokens`` is upstream's max_gen_length: it counts [CLS] and [SEP].
            length_penalty: power of the length that the log-probability of a caption is divided by.
            labels: whether the names of the objects are read.
            label_length: most word pieces of all names, the final [SEP] counted.
            label_position: position of the first of them, unless captions reach further.
            regions: most regions; more are not read.

        Raises:
            UserError: when the model can not be had, is another kind of model, or the settings do not go together.
        """
        enough_beams(settings)
        if settings.max_tokens < 3:
            raise UserError(
                f"setting caption.max_tokens: {settings.max_tokens} leaves no room for a word between the first and "
                "the last piece, which count; set it to 3 or more (paper: 20)"
            )
        self.settings, self.labels, self.most_regions = settings, labels, regions
        self.label_length = label_length
        self.label_position = max(label_position, settings.max_tokens)
        self.device = resolve(settings.device)
        self.dtype = arithmetic(self.device, settings.precision, 0)
        found = hub.find(settings.model, settings.revision, settings.local_files_only, SETTING)
        folder = hub.folder(found, FILES, SETTING)
        shape = described(folder / "config.json")
        self.pieces = Pieces(folder / "vocab.txt", shape.vocab_size)
        if self.label_position + label_length * labels > shape.max_position_embeddings:
            raise UserError(
                f"{folder / 'config.json'}: the model has {shape.max_position_embeddings} positions, and caption and "
                f"labels need {self.label_position + label_length * labels}; lower caption.max_tokens"
            )
        file = present(folder, WEIGHTS)
        model = BertForImageCaptioning(shape)
        checkpoints.fill(model, renamed(checkpoints.read(file), bool(shape.file.get("tie_weights", True))), file)
        model = model.eval().to(self.device)
        # Eight bits are too few for ranking words, so the head stays in fp32.
        model.bert.to(self.dtype)
        self.model = model
        pad, _, cls, sep, self.mask = self.pieces.specials
        self.rules = BeamConfig(settings.beams, settings.captions, settings.max_tokens, cls, sep, pad, length_penalty)
        self.metadata: dict[str, Any] = {
            **hub.facts(found, model),
            "weights": {file.name: sha256(file)},
            "device": str(self.device),
            "precision": str(self.dtype),
        }

    def caption_regions(self, regions: Sequence[Regions]) -> list[list[ImageCaption]]:
        """Captions of each image by beam search, best first; in fp32 they do not depend on what else is in the batch.

        Equal captions can be among those of an image, as in upstream's output. An image without objects has captions
        too: those that the model writes without having seen anything.

        Raises:
            UserError: when the detector left out what the model reads.
        """
        names = [" ".join(found.label for found in image.objects) for image in regions]
        return self.write(names, [self.features(image) for image in regions])

    def features(self, image: Regions) -> Tensor:
        """(n, F) float32: of each region its features, then its position."""
        wanted = self.model.bert.img_embedding.in_features
        if not image.objects:
            return torch.zeros(0, wanted)
        boxes = [found.box for found in image.objects if found.box is not None]
        if image.features is None or image.size is None or len(boxes) < len(image.objects):
            raise UserError(
                f"setting {SETTING}: '{self.settings.model}' reads features and boxes of regions, and the objects have "
                "none; take them from a detector that writes both (VinVL's)"
            )
        features = torch.cat([image.features.float().cpu(), position_features(torch.tensor(boxes), image.size)], dim=1)
        if features.shape[1] != wanted:
            raise UserError(
                f"setting {SETTING}: '{self.settings.model}' reads features of width {wanted - POSITION}, and those of "
                f"the detector have {features.shape[1] - POSITION}; use the detector that the captioner was trained on"
            )
        return features

    def write(self, names: Sequence[str], features: Sequence[Tensor]) -> list[list[ImageCaption]]:
        """Captions of each image; images that share a forward pass have about equally many regions.

        Args:
            names: of each image the class names of its objects, in the detector's order.
            features: of each image (n, F) features and positions of its regions.
        """
        order = sorted(range(len(names)), key=lambda i: (len(features[i]), len(names[i])))
        results: list[list[ImageCaption]] = [[] for _ in names]
        for start in range(0, len(order), self.settings.batch_size):
            batch = order[start : start + self.settings.batch_size]
            context = self.context([names[i] for i in batch], [features[i] for i in batch])
            with torch.inference_mode():
                steps = Prefix(self.model, context, self.mask, self.rules.beams, self.rules.longest)
                captions = search(steps, len(batch), self.rules, self.device)
            for i, ids, scores in zip(batch, captions.ids.tolist(), captions.scores.tolist(), strict=True):
                results[i] = [
                    ImageCaption(self.pieces.text(line), score) for line, score in zip(ids, scores, strict=True)
                ]
        return results

    def context(self, names: Sequence[str], features: Sequence[Tensor], full: bool = False) -> Context:
        """Labels and regions of a batch as the network reads them.

        Args:
            names: as for ``write``.
            features: as for ``write``.
            full: pad to the most labels and regions that there may be, as upstream does, not to the most there are.
        """
        labels = [self.pieces.split(text, self.label_length - 1) if self.labels else [] for text in names]
        features = [some[: self.most_regions] for some in features]
        width = self.label_length * self.labels if full else max(map(len, labels), default=0)
        most = self.most_regions if full else max(map(len, features), default=0)
        ids = torch.full((len(labels), width), self.rules.pad)
        regions = torch.zeros(len(labels), most, self.model.bert.img_embedding.in_features)
        for row, (line, some) in enumerate(zip(labels, features, strict=True)):
            ids[row, : len(line)] = torch.tensor(line, dtype=torch.long)
            regions[row, : len(some)] = some
        lengths = (torch.tensor([len(one) for one in some]) for some in (labels, features))
        inside = [torch.arange(size) < length[:, None] for length, size in zip(lengths, (width, most), strict=True)]
        ids, known, regions, seen = (part.to(self.device) for part in (ids, inside[0], regions, inside[1]))
        return Context(ids, known, regions, seen, self.label_position)


class Pieces:
    """BERT's uncased word pieces from a vocab.txt.

    Args:
        file: one piece a line; the number of a line is that of its piece.
        size: rows of the model's embedding table.

    Raises:
        UserError: when the file is missing or does not fit the model.
    """

    def __init__(self, file: Path, size: int) -> None:
        try:
            # Not splitlines: a piece can be one of the rarer characters that end a line for it.
            self.list = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        except (OSError, ValueError) as error:
            raise UserError(
                f"{file}: the model's vocabulary can not be read ({error}); put the vocab.txt there that was published "
                "with the weights"
            ) from None
        numbers = {piece: number for number, piece in enumerate(self.list)}
        missing = [piece for piece in SPECIALS if piece not in numbers]
        if missing or len(self.list) > size:
            reason = f"it has no {', '.join(missing)}" if missing else f"it has {len(self.list)} pieces"
            raise UserError(
                f"{file}: is not the vocabulary of this model, which knows {size} pieces: {reason}; put the vocab.txt "
                "there that was published with the weights"
            )
        self.specials = [numbers[piece] for piece in SPECIALS]
        self.engine = Tokenizer(models.WordPiece(vocab=numbers, unk_token="[UNK]", max_input_chars_per_word=100))
        self.engine.normalizer = normalizers.BertNormalizer(lowercase=True)
        self.engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    def split(self, text: str, most: int) -> list[int]:
        """The first pieces of a text and a [SEP]; nothing for an empty text."""
        ids = self.engine.encode(text, add_special_tokens=False).ids[:most]
        return [*ids, self.specials[3]] if text else []

    def text(self, ids: Sequence[int]) -> str:
        """The text of pieces, without special ones."""
        text = " ".join(self.list[i] for i in ids if i not in self.specials and i < len(self.list))
        text = text.replace(" ##", "").strip()
        for apart, together in TOGETHER:
            text = text.replace(apart, together)
        return text


def described(file: Path) -> EncoderConfig:
    """What a config.json says.

    Raises:
        UserError: when it cannot be read or describes another kind of model.
    """
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: can not be read ({error}); fetch the model anew") from None
    if not isinstance(about, Mapping) or not isinstance(about.get("img_feature_dim"), int):
        raise UserError(
            f"setting {SETTING}: {file} describes no captioner of Oscar or VinVL (no img_feature_dim); "
            f"'{PUBLISHED}' is one"
        )
    shape = EncoderConfig.of(about)
    kind = about.get("img_feature_type", "frcnn")
    if kind not in ("frcnn", "faster_r-cnn") or shape.hidden_act not in ACTIVATIONS:
        raise UserError(
            f"{file}: img_feature_type '{kind}' with hidden_act '{shape.hidden_act}' is not supported; "
            f"expected img_feature_type 'frcnn' and one of {', '.join(ACTIVATIONS)}"
        )
    return shape


def enough_beams(settings: Caption) -> None:
    """Checks that a search yields as many captions as are asked for.

    Raises:
        UserError: when it does not.
    """
    if settings.captions > settings.beams:
        raise UserError(
            f"setting caption.captions: {settings.captions} captions cannot come out of {settings.beams} beams; "
            "raise caption.beams or lower caption.captions"
        )


def present(folder: Path, names: Sequence[str]) -> Path:
    """The first file with weights that there is.

    Raises:
        UserError: when there is none.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"{folder}: holds no weights; expected {' or '.join(names)}")


def renamed(weights: Mapping[str, Tensor], tied: bool) -> dict[str, Tensor]:
    """Weights under today's names and with a decoder.

    Args:
        weights: as published; old files call the weight and bias of a normalisation gamma and beta.
        tied: whether the decoder is the word embedding, which need not be written twice then.
    """
    new = {}
    for name, value in weights.items():
        if name.endswith(".position_ids"):  # numbers from 0 on, which some versions of the layers wrote
            continue
        for old, now in ((".gamma", ".weight"), (".beta", ".bias")):
            name = name.removesuffix(old) + now if name.endswith(old) else name
        new[name] = value
    words = new.get("bert.embeddings.word_embeddings.weight")
    if tied and words is not None:
        new.setdefault("cls.predictions.decoder.weight", words)
    return new
