"""VinVL's captioner: captions from the objects and region features of a detector."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ita.config import Caption
from ita.errors import UserError
from ita.io.features import POSITION_WIDTH, position_features
from ita.model import hub
from ita.model.bert import ACTIVATIONS, EncoderConfig
from ita.model.device import compute_dtype, resolve_device
from ita.model.weights import read_checkpoint
from ita.vision.captioners.common import (
    SETTING,
    check_width,
    find_weights,
    model_metadata,
    similar_batches,
)
from ita.vision.captioners.oscar.decoding import CachedDecoder
from ita.vision.captioners.oscar.inputs import Context, InputConfig, make_context
from ita.vision.captioners.oscar.network import BertForImageCaptioning
from ita.vision.captioners.oscar.search import BeamConfig, search
from ita.vision.captioners.oscar.tokenizer import WordPieceTokenizer
from ita.vision.types import ImageCaption, Regions
from ita.vision.weights import load_weights

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
FILES = (*WEIGHTS, "config.json", "vocab.txt")
PUBLISHED = "michelecafagna26/vinvl-base-image-captioning"
INPUTS = InputConfig()


class OscarCaptioner:
    """VinVL's captioner; it reads the regions of a detector instead of pixels."""

    def __init__(self, settings: Caption) -> None:
        """Loads the model.

        Args:
            settings: ``max_tokens`` is upstream's max_gen_length: it counts [CLS] and [SEP].

        Raises:
            UserError: when the model cannot be loaded, is of another kind, or the settings do not go together.
        """
        beams, captions, max_tokens = settings.search()
        if max_tokens < 3:
            raise UserError(
                f"setting caption.max_tokens: {max_tokens} leaves no room for a word between [CLS] and "
                "[SEP], which count; set it to 3 or more (paper: 20)"
            )
        self.settings = settings
        self.inputs = replace(INPUTS, label_position=max(INPUTS.label_position, max_tokens))
        self.device = resolve_device(settings.device)
        self.dtype = compute_dtype(self.device, settings.precision, 0)
        source = hub.find(settings.model, settings.revision, settings.local_files_only, SETTING)
        folder = hub.folder(source, FILES, SETTING)
        config = read_config(folder / "config.json")
        check_positions(folder / "config.json", config, self.inputs)
        self.tokenizer = WordPieceTokenizer(folder / "vocab.txt", config.vocab_size)
        file = find_weights(folder, WEIGHTS)
        self.model = load_network(file, config).to(self.device)
        # Eight bits are too few for ranking words, so the head stays in fp32.
        self.model.bert.to(self.dtype)
        special = self.tokenizer
        self.beam = BeamConfig(beams, captions, max_tokens, special.cls_id, special.sep_id, special.pad_id)
        self.metadata = model_metadata(source, self.model, file, self.device, self.dtype)

    def caption_regions(self, regions: Sequence[Regions]) -> list[list[ImageCaption]]:
        """Captions of each image by beam search, best first; in fp32 they do not depend on what else is in the batch.

        Equal captions can be among those of an image, as in upstream's output. An image without objects has captions
        too: those that the model generates from no input.

        Raises:
            UserError: when the detector left out what the model reads.
        """
        labels = [" ".join(item.label for item in image.objects) for image in regions]
        return self.caption_features(labels, [self.features(image) for image in regions])

    def features(self, image: Regions) -> Tensor:
        """(n, F) float32: of each region its features, then its position.

        Raises:
            UserError: when boxes or features are missing, or the features are of another width.
        """
        width = self.model.bert.img_embedding.in_features
        if not image.objects:
            return torch.zeros(0, width)
        boxes = [item.box for item in image.objects if item.box is not None]
        if image.features is None or image.size is None or len(boxes) < len(image.objects):
            raise UserError(
                f"setting {SETTING}: '{self.settings.model}' reads features and boxes of regions, and the objects have "
                "none; take them from a detector that writes both (VinVL's)"
            )
        check_width(self.settings, image.features.shape[1], width - POSITION_WIDTH)
        positions = torch.from_numpy(position_features(np.array(boxes, np.float32), image.size))
        return torch.cat([image.features.float().cpu(), positions], dim=1)

    def caption_features(self, labels: Sequence[str], features: Sequence[Tensor]) -> list[list[ImageCaption]]:
        """Captions of each image.

        Args:
            labels: labels of the objects of each image in the detector's order, joined by spaces.
            features: (n, F) features and positions of the regions of each image.
        """
        sizes = {i: (len(features[i]), len(labels[i])) for i in range(len(labels))}
        captions: list[list[ImageCaption]] = [[] for _ in labels]
        for batch in similar_batches(sizes, self.settings.batch_size):
            context = self.context([labels[i] for i in batch], [features[i] for i in batch])
            with torch.inference_mode():
                decoder = CachedDecoder(
                    self.model, context, self.tokenizer.mask_id, self.beam.beams, self.beam.max_length
                )
                best = search(decoder, len(batch), self.beam, self.device)
            for i, ids, scores in zip(batch, best.ids.tolist(), best.scores.tolist(), strict=True):
                texts = map(self.tokenizer.decode, ids)
                captions[i] = [ImageCaption(text, score) for text, score in zip(texts, scores, strict=True)]
        return captions

    def context(self, labels: Sequence[str], features: Sequence[Tensor]) -> Context:
        """Labels and regions of a batch as the network reads them; arguments as for ``caption_features``."""
        return make_context(labels, features, self.tokenizer, self.inputs, self.device)


def read_config(file: Path) -> EncoderConfig:
    """The model in a config.json.

    Raises:
        UserError: when the file cannot be read or describes another kind of model.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}); fetch the model anew") from None
    if not isinstance(content, Mapping) or not isinstance(content.get("img_feature_dim"), int):
        raise UserError(
            f"setting {SETTING}: {file} describes no captioner of Oscar or VinVL (no img_feature_dim); "
            f"'{PUBLISHED}' is one"
        )
    config = EncoderConfig.from_dict(content)
    kind = content.get("img_feature_type", "frcnn")
    if kind not in ("frcnn", "faster_r-cnn") or config.hidden_act not in ACTIVATIONS:
        raise UserError(
            f"{file}: img_feature_type '{kind}' with hidden_act '{config.hidden_act}' is not supported; "
            f"expected img_feature_type 'frcnn' and one of {', '.join(ACTIVATIONS)}"
        )
    return config


def check_positions(file: Path, config: EncoderConfig, inputs: InputConfig) -> None:
    """Checks that a model has enough positions.

    Raises:
        UserError: when caption and labels need more.
    """
    needed = inputs.label_position + inputs.max_label_subwords
    if needed > config.max_position_embeddings:
        raise UserError(
            f"{file}: the model has {config.max_position_embeddings} positions, and caption and labels need {needed}; "
            "lower caption.max_tokens"
        )


def load_network(file: Path, config: EncoderConfig) -> BertForImageCaptioning:
    """The network with its weights.

    Raises:
        UserError: when the file cannot be read or holds other weights.
    """
    model = BertForImageCaptioning(config)
    tied = bool(config.raw.get("tie_weights", True))
    load_weights(model, upgrade_names(read_checkpoint(file), tied), file)
    return model.eval()


def upgrade_names(published: Mapping[str, Tensor], tied: bool) -> dict[str, Tensor]:
    """Weights under the names of current layers and with a decoder.

    Args:
        published: as published; old files call the weight and bias of a layer normalisation gamma and beta.
        tied: whether the decoder is the word embedding, which is not always written twice.
    """
    upgraded = {}
    for name, value in published.items():
        if name.endswith(".position_ids"):  # counts from 0, which some versions of the layers saved
            continue
        for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
            name = name.removesuffix(old) + new if name.endswith(old) else name
        upgraded[name] = value
    embedding = upgraded.get("bert.embeddings.word_embeddings.weight")
    if tied and embedding is not None:
        upgraded.setdefault("cls.predictions.decoder.weight", embedding)
    return upgraded
