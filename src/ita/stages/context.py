"""context: posts, objects, captions, OCR text and external texts -> contexts/{context}.parquet.

The separator between post and context is not part of the table: ``ita.model.inputs`` inserts it when it joins the two.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Context, ExternalText
from ita.config.sections import CONTEXT_TABLES
from ita.data.external_texts import read_external_text
from ita.data.visual_context import EMPTY, SEPARATOR, VisualContext, compose, cyclic_permutation, image_context
from ita.errors import UserError
from ita.io import parquet
from ita.io.provenance import provenance_of
from ita.log import log

Row = Mapping[str, Any]

STAGE_TABLES = {"detect": "objects", "caption": "captions", "ocr": "ocr"}
"""Stage -> table that it makes."""


def work(
    settings: dict[str, Any],
    output: Path,
    posts: Path,
    cache: Path,
    objects: Path | None = None,
    captions: Path | None = None,
    ocr: Path | None = None,
    external_texts: Sequence[Path] = (),
) -> None:
    """Writes a context table, one row per post.

    Args:
        settings: ``context``, and under ``external_texts`` those that its kinds name.
        output: the table to write.
        posts: posts.parquet.
        cache: folder that files named by a URL are downloaded into.
        objects: objects table, needed by the kind la.
        captions: captions table, needed by the kind ga.
        ocr: table of OCR text, needed by the kind oca.
        external_texts: files of the external texts, whose hashes are recorded; the settings say which kind each is of.

    Raises:
        UserError: when a kind lacks its table or is not the name of an external text.
    """
    context = read_section(settings, "context", Context)
    table = parquet.read("posts", posts)
    rows = table.to_pylist()
    tables = {"objects": objects, "captions": captions, "ocr": ocr}
    by_kind = {kind: contexts_of_kind(kind, context, settings, tables, rows, cache) for kind in context.kinds}
    composed = [
        compose(context, {kind: contexts.get(row["post_id"], EMPTY) for kind, contexts in by_kind.items()})
        for row in rows
    ]
    if context.shuffle_seed is not None:
        composed = shuffle_within_splits(composed, [row["split"] for row in rows], context.shuffle_seed)
    parquet.write(
        "contexts",
        map(row_of, rows, composed),
        output,
        {
            **provenance_of(settings, {"posts": posts, **tables, **{str(path): path for path in external_texts}}),
            "label_version": parquet.metadata(table).get("label_version"),
            "image_settings": image_settings(tables),
            "statistics": kind_statistics([visual for visual, _ in composed], context.kinds),
        },
    )


def image_settings(tables: Mapping[str, Path | None]) -> dict[str, Any]:
    """Settings of the stages that made the tables, so that new images can be read in the same way."""
    made_by = {name: parquet.metadata(path) for name, path in tables.items() if path is not None}
    settings = {
        stage: made_by[table]["settings"].get(stage)
        for stage, table in STAGE_TABLES.items()
        if "settings" in made_by.get(table, {})
    }
    regions = made_by.get("captions", {}).get("engine", {}).get("detector_settings")
    return {**settings, **({"caption_detect": regions} if regions else {})}


def row_of(post: Row, composed: tuple[VisualContext, int]) -> dict[str, Any]:
    """A row of the context table: a post's context and the number of words left out."""
    context, truncated = composed
    words, kinds = list(context.words), list(context.kinds)
    return {"post_id": post["post_id"], "tokens": words, "kinds": kinds, "truncated": truncated}


def contexts_of_kind(
    kind: str,
    context: Context,
    settings: Mapping[str, Any],
    tables: Mapping[str, Path | None],
    posts: Sequence[Row],
    cache: Path,
) -> dict[str, VisualContext]:
    """post_id -> words of one kind; a post without such words may be missing."""
    if kind in CONTEXT_TABLES:
        name = CONTEXT_TABLES[kind]
        path = tables[name]
        if path is None:
            raise UserError(f"context kind {kind!r} is made of the table '{name}': give --{name}")
        return image_contexts(kind, context, parquet.rows(name, path), posts)
    external_texts = settings.get("external_texts", {})
    if kind not in external_texts:
        raise UserError(f"context kind {kind!r}: expected la, ga, oca or a name of the section 'external_texts'")
    return read_external_text(kind, read_section(external_texts, kind, ExternalText), posts, cache)


def image_contexts(kind: str, context: Context, rows: Sequence[Row], posts: Sequence[Row]) -> dict[str, VisualContext]:
    """post_id -> words of the image of each post that has rows in the table of this kind."""
    by_image: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_image[row["image_id"]].append(row)
    return {
        post["post_id"]: image_context(kind, context, by_image[post["image_id"]])
        for post in posts
        if post["image_id"] in by_image
    }


def shuffle_within_splits(
    contexts: Sequence[tuple[VisualContext, int]], splits: Sequence[str], seed: int
) -> list[tuple[VisualContext, int]]:
    """Gives each post the context of another post of its split (ITA-Random)."""
    shuffled = list(contexts)
    for split in sorted(set(splits)):
        members = [index for index, name in enumerate(splits) if name == split]
        order = cyclic_permutation(len(members), seed)
        for index, position in zip(members, order, strict=True):
            shuffled[index] = contexts[members[position]]
    return shuffled


def kind_statistics(contexts: Sequence[VisualContext], kinds: Sequence[str]) -> dict[str, dict[str, float]]:
    """Share of posts that have words of a kind, and the mean number of words of those posts (paper: Table 6)."""
    counts = [Counter(kind for kind in context.kinds if kind != SEPARATOR) for context in contexts]
    statistics = {}
    for kind in kinds:
        word_counts = [count[kind] for count in counts if count[kind]]
        statistics[kind] = {
            "share_of_posts": round(len(word_counts) / max(len(counts), 1), 4),
            "mean_words": round(sum(word_counts) / max(len(word_counts), 1), 2),
        }
    log.info("context: %s", statistics)
    return statistics
