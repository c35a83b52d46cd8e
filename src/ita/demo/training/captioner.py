"""Trains a small VinVL captioner on the detections of the demo's detector."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from ita.config import Caption
from ita.config.fields import Device
from ita.demo.ground_truth import lexicon, sample_caption
from ita.demo.training.dataset import RenderedScene, batches
from ita.demo.training.loop import optimise
from ita.io.features import POSITION_WIDTH
from ita.io.files import atomic
from ita.model.bert import EncoderConfig
from ita.vision.captioners.oscar.captioner import OscarCaptioner
from ita.vision.captioners.oscar.inputs import Context, ModelInputs
from ita.vision.captioners.oscar.network import BertForImageCaptioning
from ita.vision.captioners.oscar.tokenizer import SPECIAL_TOKENS
from ita.vision.types import Regions

LEARNING_RATE = 1e-3
CAPTION_POSITIONS = 40
LABEL_POSITIONS = 30
"""Subwords of the labels, whose positions follow those of captions."""
IGNORE_INDEX = -100


def config(vocabulary_size: int, feature_dim: int) -> dict[str, Any]:
    """config.json of the model: published layout, small sizes."""
    return {
        "model_type": "bert",
        "vocab_size": vocabulary_size,
        "hidden_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 192,
        "max_position_embeddings": CAPTION_POSITIONS + LABEL_POSITIONS,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "img_feature_dim": feature_dim + POSITION_WIDTH,
        "img_feature_type": "frcnn",
        "use_img_layernorm": 1,
        "img_layer_norm_eps": 1e-12,
        "tie_weights": True,
    }


def train_captioner(
    examples: Sequence[RenderedScene],
    detections: Sequence[Regions],
    folder: Path,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    device: Device,
) -> OscarCaptioner:
    """A captioner trained on detections, written to a folder.

    Args:
        examples: scenes.
        detections: what the detector found in their images.
        folder: gets weights, configuration and vocabulary as VinVL's captioner is published.
        steps: updates.
        batch_size: captions per update.
        seed: of weights, order and captions.
        device: where it is trained.
    """
    torch.manual_seed(seed)
    initialise(folder, detections[0])
    captioner = OscarCaptioner(Caption(model=str(folder), local_files_only=True, device=device, precision="fp32"))
    model: Any = captioner.model.train()
    # Input and output embeddings are tied, as in the published models.
    model.cls.predictions.decoder.weight = model.bert.embeddings.word_embeddings.weight
    labels = [" ".join(detected.label for detected in regions.objects) for regions in detections]
    features = [captioner.features(regions) for regions in detections]
    rng = random.Random(seed)
    batch_indices = batches(lambda: rng.sample(range(len(examples)), len(examples)), batch_size)

    def batch_loss() -> Tensor:
        indices = next(batch_indices)
        captions = [sample_caption(rng, examples[index].scene) for index in indices]
        context = captioner.context([labels[index] for index in indices], [features[index] for index in indices])
        return masked_word_loss(captioner, captions, context)

    optimise("captioner", model.parameters(), batch_loss, steps=steps, learning_rate=LEARNING_RATE, max_norm=1.0)
    save(model.eval(), folder)
    return captioner


def masked_word_loss(captioner: OscarCaptioner, captions: Sequence[str], context: Context) -> Tensor:
    """Mean negative log-likelihood of the subwords of captions, each predicted from the [MASK] in its place.

    All C places are predicted in one pass: behind the C subwords of a caption stand C [MASK]s, each of which attends to
    the subwords before its place, the context and itself, as in a step of beam search.

    Args:
        captioner: the model and its vocabulary.
        captions: one for each of B images.
        context: labels and regions of the images.
    """
    tokenizer = captioner.tokenizer
    ids = [tokenizer.encode(caption, captioner.beam.max_length + 1) for caption in captions]
    length, device = max(map(len, ids)), context.label_ids.device
    targets = torch.tensor([[*row, *[IGNORE_INDEX] * (length - len(row))] for row in ids], device=device)
    subwords = targets.clamp(min=tokenizer.pad_id).roll(1, 1)
    subwords[:, 0] = tokenizer.cls_id
    masks = torch.full_like(subwords, tokenizer.mask_id)
    positions = torch.arange(length, device=device)
    label_positions = context.label_position + torch.arange(context.label_ids.shape[1], device=device)
    label_types = context.label_mask.long()
    inputs = ModelInputs(
        input_ids=torch.cat([subwords, masks, context.label_ids], 1),
        token_type_ids=torch.cat([torch.zeros_like(subwords), torch.zeros_like(masks), label_types], 1),
        position_ids=torch.cat([positions, positions + 1, label_positions]).expand(len(ids), -1),
        attention_mask=attention_mask(length, context.mask).long(),
        img_feats=context.regions,
    )
    logits, _ = captioner.model(inputs)
    logits = logits[:, length : 2 * length]
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE_INDEX)


def attention_mask(length: int, context_mask: Tensor) -> Tensor:
    """Attention mask (B, 2 C + N, 2 C + N) of subwords, [MASK]s and context; True where the row attends to the column.

    Args:
        length: C, the subwords of a caption.
        context_mask: (B, N) True for a label or region, False for padding.
    """
    batch, context_length = context_mask.shape
    captions = 2 * length
    causal = torch.ones(length, length, dtype=torch.bool, device=context_mask.device).tril()
    mask = context_mask.new_zeros(batch, captions + context_length, captions + context_length)
    mask[:, :length, :length] = causal
    mask[:, length:captions, :length] = causal
    mask[:, length:captions, length:captions] = torch.eye(length, dtype=torch.bool, device=context_mask.device)
    mask[:, :, captions:] = context_mask[:, None]
    return mask


def initialise(folder: Path, example: Regions) -> None:
    """Writes a captioner of random weights whose vocabulary holds all words of the demo's captions.

    Args:
        folder: gets it; made if need be.
        example: detections of one image, whose features are as wide as all others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = [*SPECIAL_TOKENS, *sorted(lexicon())]
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in vocabulary), encoding="utf-8")
    assert example.features is not None
    values = config(len(vocabulary), example.features.shape[1])
    (folder / "config.json").write_text(json.dumps(values, indent=1) + "\n")
    model = BertForImageCaptioning(EncoderConfig.from_dict(values))
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.05)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    save(model, folder)


def save(model: BertForImageCaptioning, folder: Path) -> None:
    """Writes the weights, without the decoder, which is tied to the word embeddings."""
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    weights.pop("cls.predictions.decoder.weight")
    with atomic(folder / "model.safetensors") as part:
        save_file(weights, part)
