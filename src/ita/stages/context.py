"""context: posts, objects, captions, characters and further texts -> contexts/{context}.parquet.

The separator between post and context is not part of the table: ``ita.model.inputs`` puts it in when it joins the two.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Context, Text
from ita.data import visual_context
from ita.data.external_texts import read_contexts
from ita.data.visual_context import EMPTY, SEPARATOR, VisualContext
from ita.errors import UserError
from ita.io import parquet
from ita.io.provenance import provenance_of
from ita.log import log

TABLE_OF = {"la": "objects", "ga": "captions", "oca": "ocr"}
"""Kind -> the table it is made of; any other kind is a name of ``external_texts``."""


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
        settings: ``context``, and under ``external_texts`` the text sources that its kinds name.
        output: the table to write.
        posts: posts.parquet.
        objects: objects table, needed by the kind la.
        captions: captions table, needed by ga.
        ocr: characters table, needed by oca.
        external_texts: files of the text sources, for the record; the settings say which kind each belongs to.
        cache: folder that files named by a URL are downloaded into.

    Raises:
        UserError: when a kind lacks its table or names no text source.
    """
    chosen = read_section(settings, "context", Context)
    table = parquet.read("posts", posts)
    rows = table.to_pylist()
    given = {"objects": objects, "captions": captions, "ocr": ocr}
    by_kind = {kind: contexts_of(kind, chosen, settings, given, rows, cache) for kind in chosen.kinds}
    contexts = [
        compose(chosen, {kind: by_kind[kind].get(row["post_id"], EMPTY) for kind in chosen.kinds}) for row in rows
    ]
    if chosen.shuffle_seed is not None:
        contexts = shuffled(contexts, [row["split"] for row in rows], chosen.shuffle_seed)
    inputs = {name: path for name, path in {"posts": posts, **given}.items() if path}
    parquet.write(
        "contexts",
        (
            {
                "post_id": row["post_id"],
                "tokens": list(context.words),
                "kinds": list(context.kinds),
                "truncated": cut,
            }
            for row, (context, cut) in zip(rows, contexts, strict=True)
        ),
        output,
        {
            **provenance_of(settings, {**inputs, **{path.name: path for path in external_texts}}),
            "label_version": parquet.metadata(table).get("label_version"),
            "statistics": statistics([context for context, _ in contexts], chosen.kinds),
        },
    )


def contexts_of(
    kind: str,
    chosen: Context,
    settings: Mapping[str, Any],
    given: Mapping[str, Path | None],
    posts: Sequence[Mapping[str, Any]],
    cache: Path,
) -> dict[str, VisualContext]:
    """post_id -> words of one kind."""
    if kind not in TABLE_OF:
        if kind not in settings.get("external_texts", {}):
            raise UserError(f"context kind {kind!r}: expected la, ga, oca or a name of the section 'external_texts'")
        return read_contexts(kind, read_section(settings["external_texts"], kind, Text), posts, cache)
    path = given[TABLE_OF[kind]]
    if path is None:
        raise UserError(f"context kind {kind!r} is made of the table '{TABLE_OF[kind]}': give --{TABLE_OF[kind]}")
    by_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in parquet.rows(TABLE_OF[kind], path):
        by_image[row["image_id"]].append(row)
    if kind != "oca":
        for group in by_image.values():
            group.sort(key=lambda row: row["rank"])
    return {
        post["post_id"]: image_words(kind, by_image[post["image_id"]], chosen)
        for post in posts
        if post["image_id"] in by_image
    }


def image_words(kind: str, rows: Sequence[Mapping[str, Any]], chosen: Context) -> VisualContext:
    """Words of one image and kind."""
    if kind == "la":
        return visual_context.local_alignment(rows, chosen.attribute_threshold, chosen.attributes, chosen.tags)
    if kind == "ga":
        return visual_context.global_alignment([row["caption"] for row in rows], chosen.captions)
    return visual_context.character_alignment(rows[0]["text"])


def compose(chosen: Context, by_kind: Mapping[str, VisualContext]) -> tuple[VisualContext, int]:
    """The kinds of one post within their budgets, in order, and the number of words cut."""
    parts = [visual_context.truncate(by_kind[kind], chosen.budget.get(kind)) for kind in chosen.kinds]
    kept = [part for part, _ in parts]
    context = (visual_context.join if chosen.separate_kinds else visual_context.concatenate)(kept)
    return context, sum(cut for _, cut in parts)


def shuffled(
    contexts: Sequence[tuple[VisualContext, int]], splits: Sequence[str], seed: int
) -> list[tuple[VisualContext, int]]:
    """Gives each post the context of another post of its split (ITA-Random)."""
    result = list(contexts)
    for split in sorted(set(splits)):
        members = [index for index, of in enumerate(splits) if of == split]
        for index, other in zip(members, visual_context.cyclic_permutation(len(members), seed), strict=True):
            result[index] = contexts[members[other]]
    return result


def statistics(contexts: Sequence[VisualContext], kinds: Sequence[str]) -> dict[str, dict[str, float]]:
    """Share of posts that have words of a kind, and the mean number of words where they do (paper: Table 6)."""
    counts = [Counter(kind for kind in context.kinds if kind != SEPARATOR) for context in contexts]
    result = {}
    for kind in kinds:
        sizes = [count[kind] for count in counts if count[kind]]
        result[kind] = {
            "share_of_posts": round(len(sizes) / max(len(counts), 1), 4),
            "mean_words": round(sum(sizes) / max(len(sizes), 1), 2),
        }
    log.info("context: %s", result)
    return result
