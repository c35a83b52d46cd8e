"""Contexts as taggers read them, with what was left out: by the budget of a kind, and for lack of room in the input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ita.config import Context
from ita.config.sections import CONTEXT_SETTINGS, CONTEXT_TABLES
from ita.data.visual_context import EMPTY, SEPARATOR, VisualContext, image_context, join_texts, truncate
from ita.errors import UserError
from ita.io import parquet
from ita.log import log
from ita.reporting.pages.sources import Table

if TYPE_CHECKING:
    from ita.model.inputs import ViewEncoder

Row = Mapping[str, Any]
Segment = list[Any]
"""Number of a kind, words, and 1 where a budget left them out; or None and a count of words that nobody has."""


@dataclass
class Kinds:
    """Kinds of words in contexts, numbered in the order in which they come."""

    names: list[str] = field(default_factory=list)

    def number(self, kind: str) -> int:
        """Number of a kind."""
        if kind not in self.names:
            self.names.append(kind)
        return self.names.index(kind)


@dataclass(frozen=True)
class ContextTable:
    """A table of contexts."""

    name: str
    section: Context
    """Settings that it was made with."""
    path: Path
    tables: Sequence[Table]
    """What its kinds are made of, as far as the page has it: all but external texts."""

    def contexts(self, posts: Sequence[Row]) -> dict[str, tuple[VisualContext, int]]:
        """Contexts of posts, and the number of words that budgets left out of them, by post_id.

        Raises:
            UserError: when a post has none.
        """
        rows = {row["post_id"]: row for row in parquet.stream("contexts", self.path, 1024)}
        if missing := [post["post_id"] for post in posts if post["post_id"] not in rows]:
            raise UserError(f"{self.path}: has no row for the post {missing[0]!r}; it was made from other posts")
        return {name: (VisualContext(row["tokens"], row["kinds"]), row["truncated"] or 0) for name, row in rows.items()}

    def left_out(self, post: Row) -> dict[str, str]:
        """Kind -> words beyond its budget, of the kinds whose words are known and stay with their post."""
        if self.section.shuffle_seed is not None:
            return {}
        cut = {}
        for kind, budget in self.section.budget.items():
            context = self.untruncated(kind, post) if kind in self.section.kinds else EMPTY
            kept = len(truncate(context, budget)[0].words)
            words = zip(context.words[kept:], context.kinds[kept:], strict=True)
            cut[kind] = " ".join(word for word, kind_of_word in words if kind_of_word != SEPARATOR)
        return {kind: words for kind, words in cut.items() if words}

    def untruncated(self, kind: str, post: Row) -> VisualContext:
        """All words of a kind of a post; none where the page does not have its table."""
        table_kind = CONTEXT_TABLES.get(kind)
        name = kind if table_kind is None else getattr(self.section, CONTEXT_SETTINGS[kind])
        for table in self.tables:
            if (table.kind, table.name) == (table_kind or "knowledge", name):
                rows = table.rows_of(post)
                if table_kind is None:
                    return join_texts((row["text"] for row in rows), kind)
                return image_context(kind, self.section, rows) if rows else EMPTY
        return EMPTY


def context_records(
    table: ContextTable, contexts: Mapping[str, tuple[VisualContext, int]], posts: Sequence[Row], kinds: Kinds
) -> Iterator[list[Segment]]:
    """The context of each post as segments in the order in which they are read, then a count of words left out.

    The words beyond a budget are not known of external texts, nor where a post reads the context of another one.
    """
    for post in posts:
        context, truncated = contexts[post["post_id"]]
        left_out = table.left_out(post)
        unknown = truncated - sum(len(words.split()) for words in left_out.values())
        yield segments(context, left_out, kinds) + ([[None, unknown]] if unknown > 0 else [])


def segments(context: VisualContext, left_out: Mapping[str, str], kinds: Kinds) -> list[Segment]:
    """Runs of words of one kind; what a budget left out follows the last words of its kind."""
    runs = [
        (kind, " ".join(word for word, _ in group))
        for kind, group in groupby(zip(context.words, context.kinds, strict=True), key=lambda pair: pair[1])
    ]
    last = {kind: position for position, (kind, _) in enumerate(runs)}
    record: list[Segment] = []
    for position, (kind, words) in enumerate(runs):
        record.append([kinds.number(kind), "" if kind == SEPARATOR else words])
        if kind in left_out and last[kind] == position:
            record.append([kinds.number(kind), left_out[kind], 1])
    record += [[kinds.number(kind), words, 1] for kind, words in left_out.items() if kind not in last]
    return record


def words_without_room(
    run_settings: Path,
    posts: Sequence[Row],
    contexts: Mapping[str, VisualContext],
    regions: Mapping[str, int] | None = None,
) -> dict[int, int] | None:
    """Number of a post -> words at the end of its context for which the input of the tagger had no room.

    Args:
        run_settings: settings.json of a run folder, which also holds the files of its tokenizers.
        posts: rows of posts.parquet.
        contexts: by post_id.
        regions: image -> regions of it that are inputs too, for systems that read them.

    Returns:
        Posts of which all was read are left out; None where the folder has no tokenizer that can be loaded.
    """
    try:
        encoder = view_encoder(run_settings.parent)
    except (UserError, OSError, ValueError, KeyError) as error:
        log.warning("%s: what its inputs had no room for is not shown (%s)", run_settings.parent, error)
        return None
    rows = None
    if regions is not None:
        rows = [np.zeros(regions.get(post["image_id"] or "", 0), np.int32) for post in posts]
    views = encoder.encode([post["tokens"] for post in posts], [contexts[post["post_id"]] for post in posts], rows)
    return {number: view.truncated for number, view in enumerate(views) if view.truncated}


def view_encoder(folder: Path) -> ViewEncoder:
    """How the tagger of a run folder turns posts into inputs; its weights are not read.

    Raises:
        UserError: for a folder without settings or tokenizer.
    """
    from ita.config import Encoder, System, load
    from ita.model.checkpoint import encoder_folders, load_encoder, read_record
    from ita.model.inputs import side_by_side
    from ita.model.tagger import input_layout

    record = read_record(folder)
    lengths = [record["max_length"], *record.get("further_max_lengths", [])]
    parts = encoder_folders(folder.resolve(), len(lengths))
    tokenizers = [load_encoder(Encoder(model=str(part), pretrained=False), False, True)[1] for part in parts]
    layout = input_layout(load(System, record["settings"].get("system", {})))
    return side_by_side(tokenizers, lengths, layout)


def count_regions(features: Sequence[Path]) -> dict[str, int]:
    """Image -> regions that the shards of a table of features hold of it."""
    return {
        row["image_id"]: row["regions"]
        for path in features
        for row in parquet.stream("features", path, 1024, ["image_id", "regions"])
    }
