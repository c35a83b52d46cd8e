"""context: posts, objects, captions, OCR text, knowledge, external texts -> contexts/{context}.parquet.

The separator between post and context is not part of the table: ``ita.model.inputs`` inserts it when it joins the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Context, ExternalText
from ita.config.sections import CONTEXT_TABLES
from ita.data.external_texts import read_external_text
from ita.data.visual_context import (
    EMPTY,
    SEPARATOR,
    VisualContext,
    compose,
    cyclic_permutation,
    image_context,
    join_texts,
)
from ita.errors import UserError
from ita.io import parquet
from ita.io.disk_index import disk_index
from ita.io.provenance import provenance_of
from ita.log import log

Row = Mapping[str, Any]

STAGE_TABLES = {"detect": "objects", "caption": "captions", "ocr": "ocr"}
"""Stage -> table that it makes."""
KIND_COLUMNS = {"la": ["rank", "label", "attributes"], "ga": ["rank", "caption"], "oca": ["text"]}
"""Kind -> columns of its table that make its words."""
KNOWLEDGE = "knowledge/"
"""Before the names of sources among those of tables."""
BATCH = 1024
"""Rows in memory at a time."""

ContextOf = Callable[[Row], VisualContext]
"""Words of one kind of a row of posts.parquet."""


def work(
    settings: dict[str, Any],
    output: Path,
    posts: Path,
    cache: Path,
    objects: Path | None = None,
    captions: Path | None = None,
    ocr: Path | None = None,
    knowledge: Sequence[Path] = (),
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
        knowledge: tables of knowledge, named by the source whose name is a kind.
        external_texts: files of the external texts, whose hashes are recorded; the settings say which kind each is of.

    Raises:
        UserError: when a kind lacks its table or is not the name of an external text.
    """
    context = read_section(settings, "context", Context)
    tables = {"objects": objects, "captions": captions, "ocr": ocr}
    written = {f"{KNOWLEDGE}{path.stem}": path for path in knowledge}
    statistics = Statistics(context.kinds)
    with ExitStack() as stack:
        by_kind = {
            kind: contexts_of_kind(kind, context, settings, {**tables, **written}, posts, cache, output, stack)
            for kind in context.kinds
        }
        composed: Iterator[tuple[VisualContext, int]] = (
            compose(context, {kind: context_of(row) for kind, context_of in by_kind.items()})
            for row in parquet.stream("posts", posts, BATCH, ["post_id", "image_id"])
        )
        if context.shuffle_seed is not None:
            splits = [row["split"] for row in parquet.stream("posts", posts, BATCH, ["split"])]
            composed = iter(shuffle_within_splits(list(composed), splits, context.shuffle_seed))
        table = stack.enter_context(parquet.create("contexts", output))
        for row, (visual, truncated) in zip(parquet.stream("posts", posts, BATCH, ["post_id"]), composed, strict=True):
            statistics.add(visual)
            words, kinds = list(visual.words), list(visual.kinds)
            table.add([{"post_id": row["post_id"], "tokens": words, "kinds": kinds, "truncated": truncated}])
        table.metadata = {
            **provenance_of(
                settings, {"posts": posts, **tables, **written, **{str(path): path for path in external_texts}}
            ),
            "label_version": parquet.metadata(posts).get("label_version"),
            "image_settings": {**image_settings(tables), **knowledge_settings(written)},
            "made_by": made_by({**tables, **written}),
            "statistics": statistics.by_kind(),
        }


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


def made_by(tables: Mapping[str, Path | None]) -> dict[str, Any]:
    """Table -> the model or program that made it (names, hashes, commits), and hashes of what it was made from."""
    records = {name: parquet.metadata(path) for name, path in tables.items() if path is not None}
    return {
        name: {"engine": record.get("engine"), "inputs": record.get("inputs", {})} for name, record in records.items()
    }


def knowledge_settings(tables: Mapping[str, Path]) -> dict[str, Any]:
    """Under ``knowledge``, source -> settings of the tables that a language model wrote."""
    settings = {
        name.removeprefix(KNOWLEDGE): parquet.metadata(path).get("settings", {}).get("knowledge")
        for name, path in tables.items()
    }
    return {"knowledge": settings} if settings else {}


def contexts_of_kind(
    kind: str,
    context: Context,
    settings: Mapping[str, Any],
    tables: Mapping[str, Path | None],
    posts: Path,
    cache: Path,
    output: Path,
    stack: ExitStack,
) -> ContextOf:
    """What makes the words of one kind of a post, which may be none.

    Args:
        kind: one of the context's.
        context: its settings.
        settings: of the stage.
        tables: name -> table of the images; source -> table of knowledge.
        posts: posts.parquet.
        cache: folder of downloaded files.
        output: file beside which an index of the images' rows is kept meanwhile.
        stack: closes the index.
    """
    if kind in CONTEXT_TABLES:
        name = CONTEXT_TABLES[kind]
        path = tables[name]
        if path is None:
            raise UserError(f"context kind {kind!r} is made of the table '{name}': give --{name}")
        index = stack.enter_context(disk_index(output, kind))
        index.fill(rows_by_image(name, path, KIND_COLUMNS[kind]))

        def of_image(post: Row) -> VisualContext:
            image_id = post["image_id"]
            rows = [] if image_id is None else [row for group in index.values(image_id) for row in group]
            return image_context(kind, context, rows) if rows else EMPTY

        return of_image
    if (path := tables.get(KNOWLEDGE + kind)) is not None:
        index = stack.enter_context(disk_index(output, kind))
        index.fill(texts_by_post(path))
        return lambda post: join_texts(index.values(post["post_id"]), kind)
    external_texts = settings.get("external_texts", {})
    if kind not in external_texts:
        raise UserError(
            f"context kind {kind!r}: expected la, ga, oca or a name of the section 'external_texts', or of a table in "
            "--knowledge"
        )
    section = read_section(external_texts, kind, ExternalText)
    texts = read_external_text(kind, section, parquet.rows("posts", posts), cache)
    return lambda post: texts.get(post["post_id"], EMPTY)


def rows_by_image(name: str, path: Path, columns: list[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Image and its rows in a table, without those columns that make no words."""
    rows = parquet.stream(name, path, BATCH, ["image_id", *columns])
    for image_id, group in groupby(rows, key=lambda row: row["image_id"]):
        yield image_id, [{column: row[column] for column in columns} for row in group]


def texts_by_post(path: Path) -> Iterator[tuple[str, str]]:
    """Post and what a language model wrote about it, of the posts of which it wrote anything."""
    for row in parquet.stream("knowledge", path, BATCH, ["post_id", "status", "text"]):
        if row["status"] == "ok":
            yield row["post_id"], row["text"]


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


class Statistics:
    """Share of posts that have words of a kind, and the mean number of words of those posts (paper: Table 6).

    Args:
        kinds: of the context.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        self.kinds = kinds
        self.posts = 0
        self.posts_with: Counter[str] = Counter()
        self.words: Counter[str] = Counter()

    def add(self, context: VisualContext) -> None:
        """Counts the words of a post."""
        words = Counter(kind for kind in context.kinds if kind != SEPARATOR)
        self.posts += 1
        self.words += words
        self.posts_with.update(words.keys())

    def by_kind(self) -> dict[str, dict[str, float]]:
        """The statistics of each kind."""
        statistics = {
            kind: {
                "share_of_posts": round(self.posts_with[kind] / max(self.posts, 1), 4),
                "mean_words": round(self.words[kind] / max(self.posts_with[kind], 1), 2),
            }
            for kind in self.kinds
        }
        log.info("context: %s", statistics)
        return statistics
