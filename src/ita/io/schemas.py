"""Schema of every Parquet file: one row per what, and the columns with their types, units and meaning.

The descriptions are written into each file as metadata of its columns, and into results/README.md by
``python -m ita.io.schemas results/README.md``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from ita.io.files import write_text

STRINGS = pa.list_(pa.string())
ATTRIBUTES = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32())]))
SPANS = pa.list_(
    pa.struct([("start", pa.int32()), ("end", pa.int32()), ("type", pa.string()), ("posterior", pa.float32())])
)
ENTITIES = pa.list_(
    pa.struct(
        [
            *(("start", pa.int32()), ("end", pa.int32()), ("type", pa.string()), ("score", pa.float32())),
            *(("surface", pa.string()), ("words", pa.list_(pa.int32()))),
        ]
    )
)
README_BLOCK = re.compile(r"(?<=<!-- columns -->\n).*(?=<!-- /columns -->)", re.DOTALL)
"""The part of results/README.md that is written from here."""


class Column(NamedTuple):
    """A column of a table."""

    name: str
    type: pa.DataType
    description: str
    optional: bool = False
    """Files of earlier versions may lack it."""


class TableSchema(NamedTuple):
    """A table."""

    file: str
    """Its name in results/{dataset}."""
    row: str
    """What one row describes."""
    columns: tuple[Column, ...]
    row_group_size: int = 4096
    """Rows of a row group."""


SCHEMAS = {
    "posts": TableSchema(
        "posts.parquet",
        "post",
        (
            Column("post_id", pa.string(), "unique name of the post"),
            Column("split", pa.string(), "train, dev, test or new (a post without tags)"),
            Column("image_id", pa.string(), "name of its image; null: a post without an image"),
            Column("image_url", pa.string(), "URL of the image, where the source names one"),
            Column("tokens", STRINGS, "words of the post"),
            Column("tags", STRINGS, "gold IOB2 tag of each word, after repair; null: nobody said"),
            Column("repaired", pa.int32(), "orphan I- tags turned into B-; count"),
            Column(
                "related",
                pa.bool_(),
                "whether the image adds to the text (relation data); null: nobody said",
                optional=True,
            ),
            Column("text", pa.string(), "the post as it was given, where the source had raw text", optional=True),
            Column(
                "offsets",
                pa.list_(pa.list_(pa.int32())),
                "first character of each word in the text, and the one behind its last",
                optional=True,
            ),
            Column("error", pa.string(), "why a new post cannot be read, which has no words then", optional=True),
        ),
    ),
    "images": TableSchema(
        "images.parquet",
        "image",
        (
            Column("image_id", pa.string(), "name of the image"),
            Column("url", pa.string(), "URL it was requested from; null: from a folder or an archive"),
            Column(
                "status",
                pa.string(),
                "ok; missing: there is no such image; failed: may work later, the next run tries again; refused: too "
                "large, not an image, broken, a forbidden address, or the server's X-Robots-Tag forbids it",
            ),
            Column(
                "error",
                pa.string(),
                "why there is no image: class and detail; with status ok: what is wrong beside the pixels",
            ),
            Column("http_status", pa.int32(), "last HTTP status; null: no response"),
            Column("attempts", pa.int32(), "requests made; count"),
            Column("sha256", pa.string(), "SHA-256 of the image file"),
            Column("path", pa.string(), "image file, or shard of images, relative to the folder of this table"),
            Column("format", pa.string(), "JPEG, PNG, WEBP, GIF, BMP, AVIF or HEIF, by the content of the file"),
            Column("width", pa.int32(), "pixels, after EXIF orientation"),
            Column("height", pa.int32(), "pixels, after EXIF orientation"),
            Column("bytes", pa.int64(), "size of the image file in bytes"),
            Column("fetched_at", pa.string(), "time of the last attempt, UTC, ISO 8601"),
            Column("offset", pa.int64(), "its first byte in a shard; null: a file of its own", optional=True),
        ),
    ),
    "objects": TableSchema(
        "objects/{detector}.parquet",
        "object",
        (
            Column("image_id", pa.string(), "name of the image"),
            Column("rank", pa.int32(), "0 is the most confident object; without scores, order of the file"),
            Column("label", pa.string(), "class, lower case"),
            Column("score", pa.float32(), "confidence, 0 to 1; null: unknown"),
            Column("x1", pa.float32(), "left edge of the box in pixels, after EXIF orientation; null: unknown"),
            Column("y1", pa.float32(), "top edge of the box in pixels; null: unknown"),
            Column("x2", pa.float32(), "right edge of the box in pixels; null: unknown"),
            Column("y2", pa.float32(), "bottom edge of the box in pixels; null: unknown"),
            Column("attributes", ATTRIBUTES, "attributes by decreasing confidence, 0 to 1; null: unknown"),
        ),
    ),
    "features": TableSchema(
        "features/{detector}/{i}-of-{n}.parquet",
        "image",
        (
            Column("image_id", pa.string(), "name of the image"),
            Column("width", pa.int32(), "of the image in pixels, after EXIF orientation"),
            Column("height", pa.int32(), "of the image in pixels, after EXIF orientation"),
            Column("regions", pa.int32(), "objects of the image by rank, or cells of a grid row by row; count"),
            Column("features", pa.list_(pa.float32()), "feature vectors of the regions, one after another"),
        ),
        row_group_size=16,
    ),
    "captions": TableSchema(
        "captions/{captioner}.parquet",
        "caption",
        (
            Column("image_id", pa.string(), "name of the image"),
            Column("rank", pa.int32(), "0 is the best beam; precomputed: order of the file"),
            Column("caption", pa.string(), "text of the caption"),
            Column("logprob", pa.float32(), "score by which the beam search ranks it; null: unknown"),
        ),
    ),
    "ocr": TableSchema(
        "ocr/{ocr_engine}.parquet",
        "image with status ok",
        (
            Column("image_id", pa.string(), "name of the image"),
            Column("text", pa.string(), "OCR text: lines in reading order; empty: no text in the image"),
            Column(
                "confidence",
                pa.float32(),
                "mean over words (Tesseract) or text boxes (PP-OCR), 0 to 1; null: no text, or unknown",
            ),
            Column("engine", pa.string(), "OCR engine"),
            Column("version", pa.string(), "version of the engine"),
        ),
    ),
    "knowledge": TableSchema(
        "knowledge/{knowledge_source}.parquet",
        "post",
        (
            Column("post_id", pa.string(), "name of the post"),
            Column(
                "status",
                pa.string(),
                "ok; refused: the model will say nothing; empty: it said nothing; failed: no answer came, a later run "
                "asks again; skipped: a post without words",
            ),
            Column("text", pa.string(), "what the model wrote; empty unless the status is ok"),
            Column("error", pa.string(), "why there is no text"),
            Column("finish", pa.string(), "stop, or length: cut at the longest answer; null: nobody said"),
            Column("prompt_tokens", pa.int32(), "tokens of the question; null: nobody said"),
            Column("completion_tokens", pa.int32(), "tokens of the answer; null: nobody said"),
            Column("model", pa.string(), "which model answered, by its own account; null: none, or nobody said"),
            Column("seconds", pa.float32(), "that the answer took, in its batch a share; null: nothing was asked"),
            Column("demonstrations", STRINGS, "post_id of the training posts shown before the question"),
            Column(
                "demonstrated",
                pa.bool_(),
                "whether this post is a demonstration itself: a person who knew its tags wrote an answer to it",
            ),
        ),
    ),
    "contexts": TableSchema(
        "contexts/{context}.parquet",
        "post",
        (
            Column("post_id", pa.string(), "name of the post"),
            Column("tokens", STRINGS, "words of the visual context; separators are <EOS>"),
            Column(
                "kinds",
                STRINGS,
                "alignment of each word: la (objects with attributes), ga (captions), oca (OCR text), the name of a "
                "source of knowledge or external text, or sep (a separator)",
            ),
            Column("truncated", pa.int32(), "words beyond the budgets, left out; count"),
        ),
    ),
    "predictions": TableSchema(
        "runs/{encoder}/{system}/seed{seed}/predictions.parquet",
        "post and view",
        (
            Column("post_id", pa.string(), "name of the post"),
            Column("split", pa.string(), "dev or test"),
            Column("view", pa.string(), "t (text) or it (image text and text)"),
            Column("tokens", STRINGS, "words of the post"),
            Column("gold", STRINGS, "gold IOB2 tags"),
            Column("predicted", STRINGS, "predicted IOB2 tags"),
            Column(
                "spans",
                SPANS,
                "predicted entities: words start to end - 1; posterior: probability of the entity under the CRF",
            ),
        ),
    ),
    "entities": TableSchema(
        "entities.parquet",
        "post",
        (
            Column("post_id", pa.string(), "name of the post"),
            Column("text", pa.string(), "the post as it was given; words without a text are joined by blanks"),
            Column("tokens", STRINGS, "words of the post"),
            Column(
                "entities",
                ENTITIES,
                "first character in the text and the one behind the last, type, score (probability of the entity "
                "under the CRF, 0 to 1), surface (that part of the text), words (first, and behind the last)",
            ),
            Column("view", pa.string(), "what was read: t (text) or it (image text and text)"),
            Column(
                "image_status",
                pa.string(),
                "ok, missing, failed or refused, as in images.parquet; unread: images were not looked at; null: a post "
                "without an image",
            ),
            Column("image_error", pa.string(), "why the image was not read"),
            Column("error", pa.string(), "why the post was not read, which has no entities then"),
        ),
    ),
    "cases": TableSchema(
        "cases.parquet",
        "post where image text decides",
        (
            Column("kind", pa.string(), "helped or misled"),
            Column("post_id", pa.string(), "name of the post"),
            Column("image_id", pa.string(), "name of its image; null: a post without an image"),
            Column("agreeing", pa.int32(), "seeds in which this is so; count"),
            Column("seeds", pa.int32(), "seeds compared; count"),
            Column("shown_seed", pa.int32(), "first seed in which this is so, whose predicted tags follow"),
            Column("tokens", STRINGS, "words of the post"),
            Column("gold", STRINGS, "gold IOB2 tags"),
            Column("text_only", STRINGS, "tags predicted by the text-only system"),
            Column("image_text", STRINGS, "tags predicted by the system that reads image text"),
            Column("aligned", STRINGS, "tags predicted by the system with cross-view alignment"),
            Column("context", STRINGS, "words of the visual context; separators are <EOS>"),
            Column("kinds", STRINGS, "alignment of each word of the context"),
        ),
    ),
}


def arrow_schema(name: str) -> pa.Schema:
    """Arrow schema of a table; each field has the metadata ``description``."""
    columns = SCHEMAS[name].columns
    return pa.schema([pa.field(c.name, c.type, metadata={"description": c.description}) for c in columns])


def type_name(arrow_type: pa.DataType) -> str:
    """A type in words: 'list of (label string, score float32)'."""
    if pa.types.is_list(arrow_type):
        return f"list of {type_name(arrow_type.value_type)}"
    if pa.types.is_struct(arrow_type):
        return f"({', '.join(f'{field.name} {type_name(field.type)}' for field in arrow_type)})"
    return {"float": "float32"}.get(str(arrow_type), str(arrow_type))


def markdown() -> str:
    """All tables and their columns in Markdown."""
    sections = []
    for schema in SCHEMAS.values():
        title = f"**`{schema.file}`**, one row per {schema.row}:"
        rows = [f"| `{column.name}` | {type_name(column.type)} | {column.description} |" for column in schema.columns]
        sections.append("\n".join([title, "", "| column | type | meaning |", "|---|---|---|", *rows, "", ""]))
    return "\n" + "".join(sections).replace("<EOS>", "`<EOS>`")


def main(argv: Sequence[str]) -> None:
    """Writes the columns into a Markdown file, between its two comments."""
    for name in argv:
        path = Path(name)
        write_text(path, README_BLOCK.sub(lambda _: markdown(), path.read_text(encoding="utf-8"), count=1))


if __name__ == "__main__":
    main(sys.argv[1:])
