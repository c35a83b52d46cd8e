"""New posts as rows of posts.parquet, and posts of that table with what the stages found in their images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ita.data.records import ID_KEYS, IMAGE_KEYS, image_of, text_under
from ita.data.visual_context import EMPTY, VisualContext
from ita.data.words import Marks, cut_words
from ita.errors import UserError
from ita.io import parquet
from ita.io.disk_index import DiskIndex, disk_index
from ita.tagging.image_engines import ReadImage
from ita.tagging.posts import NewPost, Record, UnreadablePost, check_characters, missing_to_none, parse_post, printable
from ita.tagging.results import TaggedPost

if TYPE_CHECKING:
    from ita.io.features import Features

Row = dict[str, Any]

SPLIT: Literal["new"] = "new"
MARKS: Marks = "apart"
"""How posts.parquet has hashtags and mentions of raw text; a tagger cuts again where its own are joined."""
POST_COLUMNS = ["post_id", "image_id", "tokens", "text", "offsets", "error"]
BLOCK = 512
"""Posts that are read, and sorted by length, at a time. It divides a row group."""


def new_rows(records: Iterable[Record]) -> Iterator[Row]:
    """Rows of posts.parquet; one that cannot be read says why and has no words."""
    for number, record in enumerate(records, 1):
        post_id = own_id(record) or f"{SPLIT}-{number:05d}"
        row = {"post_id": post_id, "split": SPLIT, "tokens": [], "repaired": 0}
        try:
            yield {**row, **columns_of_record(record)}
        except UnreadablePost as error:
            text = record.values.get("text")
            yield {**row, "text": printable(text) if isinstance(text, str) else None, "error": str(error)}


def own_id(record: Record) -> str | None:
    """The id that a post brings; None where it has none that can be written."""
    for name in ID_KEYS:
        try:
            text = text_under(record.values, name)
        except ValueError:  # told by columns_of_record
            continue
        if text and printable(text) == text:
            return text
    return None


def columns_of_record(record: Record) -> Row:
    """Columns of a post that a reader found.

    Raises:
        UnreadablePost: saying what was expected.
    """
    if record.error is not None:
        raise UnreadablePost(record.error)
    values = {name: missing_to_none(value) for name, value in record.values.items()}
    for name in (*IMAGE_KEYS, "image_url", *ID_KEYS):
        check_characters(name, values.get(name))
    try:
        image_id, image_url = image_of(values)
        for name in ID_KEYS:
            text_under(values, name)
    except ValueError as error:
        raise UnreadablePost(str(error)) from None
    post = parse_post({name: values[name] for name in ("text", "tokens") if values.get(name) is not None}, MARKS)
    raw = {"text": post.text, "offsets": post.offsets} if values.get("text") is not None else {}
    return {"image_id": image_id, "image_url": image_url, "tokens": post.tokens, **raw}


def post_of_row(row: Mapping[str, Any], marks: Marks) -> NewPost:
    """A post of posts.parquet as a tagger reads it.

    Args:
        row: of a post without an error.
        marks: how the tagger's training posts write hashtags and mentions.

    Raises:
        UnreadablePost: for a post without words.
    """
    values = {"tokens": row["tokens"]}
    if row.get("text") is not None:
        values["text"] = row["text"]
        # Words that the source itself gave stay as they are.
        if marks != MARKS and [tuple(pair) for pair in row["offsets"]] == cut_words(row["text"], MARKS):
            del values["tokens"]
    return parse_post({**values, "image": row["image_id"]}, marks)


@dataclass(frozen=True)
class PostTables:
    """The tables that a tagger reads; None of those that it has no use for."""

    posts: Path
    context: Path | None = None
    images: Path | None = None
    features: Features | None = None

    def batches(self, rows: range, folder: Path) -> Iterator[list[tuple[Row, ReadImage | None]]]:
        """Posts and what was found in their images, of which one batch is in memory.

        Args:
            rows: which.
            folder: output beside which an index of images is kept meanwhile.

        Raises:
            UserError: for tables that do not belong together.
        """
        with ExitStack() as stack:
            missing = None
            if self.images is not None:
                missing = stack.enter_context(disk_index(folder, "images"))
                missing.fill(missing_images(self.images))
            contexts = self._contexts(rows)
            for batch in parquet.batches("posts", self.posts, BLOCK, POST_COLUMNS, rows):
                posts = batch.to_pylist()
                images = [self._image(post, next(contexts, None), missing) for post in posts]
                yield list(zip(posts, images, strict=True))

    def _contexts(self, rows: range) -> Iterator[Row]:
        if self.context is None:
            return iter(())
        return parquet.stream("contexts", self.context, BLOCK, ["post_id", "tokens", "kinds"], rows)

    def _image(self, post: Row, context: Row | None, missing: DiskIndex | None) -> ReadImage | None:
        """What was found in the image of a post; None where nothing was looked for."""
        if self.context is not None and (context is None or context["post_id"] != post["post_id"]):
            raise UserError(f"{self.context}: has no row for the post {post['post_id']!r} at its place; make it again")
        if self.context is None and missing is None:
            return None
        visual = VisualContext(context["tokens"], context["kinds"]) if context else EMPTY
        image = ReadImage(context=visual, status="ok" if missing else "unread")
        if post["image_id"] is None or missing is None:
            return image  # an external text may be about a post without an image
        if self.features is not None:
            image.features = self.features.vectors[self.features.rows_of(post["image_id"])]
        for image.status, image.error in missing.values(post["image_id"]):
            pass
        return image


def missing_images(images: Path) -> Iterator[tuple[str, tuple[str, str | None]]]:
    """Id, status and error of each image that is not there."""
    for row in parquet.stream("images", images, 1024, ["image_id", "status", "error"]):
        if row["status"] != "ok":
            yield row["image_id"], (row["status"], row["error"])


def entity_rows(posts: Sequence[Row], answers: Iterable[TaggedPost]) -> Iterator[Row]:
    """Rows of entities.parquet."""
    for post, answer in zip(posts, answers, strict=True):
        yield {
            "post_id": post["post_id"],
            "text": answer.text,
            "tokens": answer.tokens,
            "entities": [entity.to_dict() for entity in answer.entities],
            "view": answer.view,
            "image_status": answer.image_status,
            "image_error": answer.image_error,
            "error": answer.error,
        }
