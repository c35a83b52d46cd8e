"""Trains a small VinVL captioner on what the demo's detector finds in drawn scenes."""

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
from ita.demo import ground_truth
from ita.demo.training.dataset import Lesson
from ita.io.files import atomic
from ita.log import log, progress
from ita.model.bert import EncoderConfig
from ita.vision.captioners.oscar.captioner import POSITION_WIDTH, OscarCaptioner
from ita.vision.captioners.oscar.inputs import Context, ModelInputs
from ita.vision.captioners.oscar.network import BertForImageCaptioning
from ita.vision.captioners.oscar.tokenizer import SPECIAL_TOKENS
from ita.vision.types import Regions

RATE = 1e-3
LABELS = 30
"""Word pieces of labels, which stand behind the 40 positions of captions."""


def config(words: int, features: int) -> dict[str, Any]:
    """config.json of the model: published layout, small sizes."""
    return {
        "model_type": "bert",
        "vocab_size": words,
        "hidden_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 192,
        "max_position_embeddings": 40 + LABELS,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "img_feature_dim": features + POSITION_WIDTH,
        "img_feature_type": "frcnn",
        "use_img_layernorm": 1,
        "img_layer_norm_eps": 1e-12,
        "tie_weights": True,
    }


def train(
    lessons: Sequence[Lesson], found: Sequence[Regions], folder: Path, steps: int, batch: int, seed: int, device: str
) -> OscarCaptioner:
    """A captioner trained on what a detector found, written to a folder.

    Args:
        lessons: scenes.
        found: of each scene what the detector saw.
        folder: gets weights, configuration and vocabulary as VinVL's captioner is published.
        steps: updates.
        batch: captions per update.
        seed: of weights, order and captions.
        device: where it is trained.
    """
    torch.manual_seed(seed)
    new(folder, found[0])
    captioner = OscarCaptioner(Caption(model=str(folder), local_files_only=True, device=device, precision="fp32"))
    model: Any = captioner.model.train()
    # One table for reading and writing words, as in the published models.
    model.cls.predictions.decoder.weight = model.bert.embeddings.word_embeddings.weight
    names = [" ".join(one.label for one in regions.objects) for regions in found]
    features = [captioner.features(regions) for regions in found]
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    rng, order = random.Random(seed), list[int]()
    loss = torch.zeros(())
    for _ in progress(range(steps), steps, "captioner", "step"):
        if len(order) < batch:
            order = rng.sample(range(len(lessons)), len(lessons))
        chosen = [order.pop() for _ in range(min(batch, len(order)))]
        texts = [ground_truth.describe(rng, lessons[index].scene) for index in chosen]
        context = captioner.context([names[index] for index in chosen], [features[index] for index in chosen])
        loss = likelihood(captioner, texts, context)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    log.info("captioner: loss of the last step %.3f", float(loss.detach()))
    save(model.eval(), folder)
    return captioner


def likelihood(captioner: OscarCaptioner, texts: Sequence[str], context: Context) -> Tensor:
    """Mean negative log-likelihood of the words of captions, each told by the [MASK] in its place.

    All places are asked at once: behind the words stands a [MASK] for each, which sees the words before its place, the
    context and itself, as in a step of the search.

    Args:
        captioner: the model and its word pieces.
        texts: a caption of each of B images.
        context: labels and regions of the images.
    """
    lines = [captioner.tokenizer.encode(text, captioner.beam.max_length + 1) for text in texts]
    length = max(map(len, lines))
    targets = torch.tensor([[*line, *[-100] * (length - len(line))] for line in lines], device=context.label_ids.device)
    words = targets.clamp(min=captioner.tokenizer.pad_id).roll(1, 1)
    words[:, 0] = captioner.tokenizer.cls_id
    masks = torch.full_like(words, captioner.tokenizer.mask_id)
    place, last = torch.arange(length, device=words.device), context.label_position + context.label_ids.shape[1]
    labels = torch.arange(context.label_position, last, device=words.device)
    positions = torch.cat([place, place + 1, labels]).expand(len(lines), -1)
    ids = torch.cat([words, masks, context.label_ids], 1)
    kinds = torch.cat([torch.zeros_like(words), torch.zeros_like(masks), context.label_mask.long()], 1)
    before = torch.ones(length, length, dtype=torch.bool, device=words.device).tril()
    seen = torch.zeros(len(lines), *[2 * length + context.mask.shape[1]] * 2, dtype=torch.bool, device=words.device)
    seen[:, :length, :length] = before
    seen[:, length : 2 * length, :length] = before
    seen[:, length : 2 * length, length : 2 * length] = torch.eye(length, dtype=torch.bool, device=words.device)
    seen[:, :, 2 * length :] = context.mask[:, None]
    logits, _ = captioner.model(ModelInputs(ids, kinds, positions, seen.long(), context.regions))
    return functional.cross_entropy(logits[:, length : 2 * length].flatten(0, 1), targets.flatten(), ignore_index=-100)


def new(folder: Path, example: Regions) -> None:
    """Writes a captioner of random weights; it knows all words of the demo's captions."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = [*SPECIAL_TOKENS, *sorted(ground_truth.lexicon())]
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in vocabulary), encoding="utf-8")
    assert example.features is not None
    about = config(len(vocabulary), example.features.shape[1])
    (folder / "config.json").write_text(json.dumps(about, indent=1) + "\n")
    model = BertForImageCaptioning(EncoderConfig.of(about))
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.05)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    save(model, folder)


def save(model: BertForImageCaptioning, folder: Path) -> None:
    """Writes the weights; the decoder is the table of words and not written twice."""
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    weights.pop("cls.predictions.decoder.weight")
    with atomic(folder / "model.safetensors") as part:
        save_file(weights, part)
