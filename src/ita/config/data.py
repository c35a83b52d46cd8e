"""Sections of the stages that bring posts and images."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, model_validator
from pydantic.dataclasses import dataclass

from ita.config.fields import SECTION, ColumnName, Flag, Number, PostRange, PostSplit, Sha256, Whole, is_whole
from ita.errors import ConfigError


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Demo:
    """demo: nothing -> the data set that the project makes itself."""

    seed: Annotated[Whole, Field(ge=0, description="Seed of the generator; the same seed makes the same files.")] = 7
    train: Annotated[Whole, Field(ge=16, description="Training posts.")] = 480
    valid: Annotated[Whole, Field(ge=8, description="Development posts.")] = 120
    test: Annotated[Whole, Field(ge=8, description="Test posts.")] = 240
    hidden: Annotated[Whole, Field(ge=16, multiple_of=16, description="Hidden size of the demo's encoder.")] = 64
    layers: Annotated[Whole, Field(ge=1, description="Layers of that encoder.")] = 1


NEW_FORMATS = ("jsonl", "csv", "tsv", "parquet", "text")
"""Layouts of new posts."""
COLUMNS_OF = {
    **dict.fromkeys(("umt", "ita"), ("tokens", "tags")),
    **dict.fromkeys(("jsonl", "csv", "parquet"), ("tokens", "tags", "image", "id")),
    "spans": ("text", "image", "id"),
}
"""Layout -> what posts.columns may name: numbers in those with a word a line, names in the others."""
UNTAGGED_FORMATS = ("tsv", "text")
"""Those that never have tags."""


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Posts:
    """posts: annotated text, or new posts -> posts.parquet."""

    format: Annotated[
        Literal["umt", "three_line", "jsonl", "csv", "parquet", "spans", "ita", "relation", "tsv", "text"],
        Field(
            description="Layout of the files; umt: also other files with a word a line; spans: texts with character "
            "offsets, of doccano, Label Studio, spaCy, Prodigy; relation: posts labelled by whether their image "
            "adds to the text, for systems.*.relation_data; of new posts: jsonl, csv, tsv, parquet, or text (a post "
            "a line)."
        ),
    ] = "umt"
    files: Annotated[
        dict[PostSplit, str],
        Field(
            description="Split -> path, http(s) URL, or member of an archive as 'archive.zip::member'; new: posts "
            "without tags, which stand alone."
        ),
    ] = field(default_factory=dict)
    sha256: Annotated[
        dict[PostSplit, Sha256],
        Field(description="Split -> SHA-256 of the file, or of its archive; required for URLs, checked where given."),
    ] = field(default_factory=dict)
    ranges: Annotated[
        dict[PostSplit, PostRange],
        Field(
            description="Split -> its posts within its file, counted from 1, such as 1-3576; for a file that holds "
            "several splits."
        ),
    ] = field(default_factory=dict)
    columns: Annotated[
        dict[Literal["tokens", "tags", "text", "image", "id"], ColumnName],
        Field(
            description="Meaning -> column: its number in files with a word a line (1 the first, -1 the last), else "
            "its name. Files with a word a line and more than two columns need it."
        ),
    ] = field(default_factory=dict)
    tag_names: Annotated[
        list[str], Field(description="Names of the tags in their order, where the files have numbers (ClassLabel).")
    ] = field(default_factory=list)
    features: Annotated[
        str | None,
        Field(
            description="JSON file with these names: dataset_info.json, a model's config.json, or a list; Parquet "
            "files of the library datasets hold them."
        ),
    ] = None
    rename: Annotated[
        dict[str, str], Field(description="Entity type in the files -> type used here, for example MISC: OTHER.")
    ] = field(default_factory=dict)
    allow_private: Annotated[
        Flag, Field(description="Allow URLs at loopback and private addresses, such as a mirror of one's own.")
    ] = False

    @model_validator(mode="after")
    def _columns_fit_the_layout(self, info: ValidationInfo) -> Posts:
        if not is_whole(info.context) or "new" in self.files:
            return self
        if self.tag_names and self.features is not None:
            raise ConfigError("posts: found tag_names and features; expected one of them, both name the tags")
        named, numbered = COLUMNS_OF.get(self.format, ()), self.format in ("umt", "ita")
        for meaning, column in self.columns.items():
            if meaning not in named:
                expected = ", ".join(named) or "none"
                raise ConfigError(f"posts.columns: found {meaning!r}; {self.format} files have these: {expected}")
            if isinstance(column, int) != numbered or column == 0:
                expected = "its number, 1 for the first, -1 for the last" if numbered else "its name"
                raise ConfigError(f"posts.columns.{meaning}: found {column!r}, expected {expected} ({self.format})")
        return self

    @model_validator(mode="after")
    def _new_posts_stand_alone(self, info: ValidationInfo) -> Posts:
        if not is_whole(info.context):
            return self
        if "new" in self.files and len(self.files) > 1:
            raise ConfigError("posts.files: 'new' holds posts without tags and stands alone; name a data set for each")
        if "new" in self.files and self.format not in NEW_FORMATS:
            raise ConfigError(
                f"posts.format: found {self.format}; expected one of {', '.join(NEW_FORMATS)} for posts.files.new"
            )
        if "new" in self.files and (self.columns or self.tag_names or self.features):
            raise ConfigError(
                "posts.columns, tag_names and features are of files with tags; new posts have the columns text or "
                "tokens, image and id"
            )
        if self.files and "new" not in self.files and self.format in UNTAGGED_FORMATS:
            raise ConfigError(f"posts.format: {self.format} has no tags; name its file in posts.files.new")
        return self


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Download:
    """download: posts -> images.parquet and content-addressed image files."""

    source: Annotated[
        Literal["urls", "folder", "archive", "none"],
        Field(description="Where images come from; 'none' for text-only data."),
    ] = "urls"
    url: Annotated[
        str | None,
        Field(description="URL of an image, with {image_id}; used where the data has no URL. A mirror is set here."),
    ] = None
    folder: Annotated[
        str | None, Field(description="Folder of images named by image id, with or without a suffix.")
    ] = None
    archive: Annotated[str | None, Field(description="zip or tar file of images named by image id, in any folder.")] = (
        None
    )
    connections: Annotated[Whole, Field(ge=1, le=512, description="Requests in flight at a time.")] = 16
    per_host: Annotated[Whole, Field(ge=1, le=512, description="Requests in flight to one host.")] = 8
    connect_timeout: Annotated[Number, Field(gt=0, description="Seconds to connect.")] = 10.0
    read_timeout: Annotated[Number, Field(gt=0, description="Seconds without a byte before a request is given up.")] = (
        15.0
    )
    total_timeout: Annotated[
        Number, Field(gt=0, description="Seconds for one image: all its requests, redirects and waits between them.")
    ] = 120.0
    max_bytes: Annotated[Whole, Field(ge=1, description="Largest image file in bytes.")] = 33_554_432
    max_pixels: Annotated[Whole, Field(ge=1, description="Largest image in pixels, checked before decoding.")] = (
        89_478_485
    )
    single_files: Annotated[
        Whole,
        Field(
            ge=0,
            description="A data set of at most so many images has a file of each, a larger one has them in shards (tar "
            "files of 256 MB); 0: always shards.",
        ),
    ] = 100_000
    attempts: Annotated[
        Whole, Field(ge=1, le=20, description="Requests per image, for errors that a retry may mend.")
    ] = 3
    backoff: Annotated[
        Number, Field(ge=0, description="Seconds before the second attempt; doubled each time, with jitter.")
    ] = 1.0
    give_up_after: Annotated[
        Whole,
        Field(
            ge=0,
            description="Stop when the first N images reach no server, those that failed in an earlier run not "
            "counted; 0 never stops.",
        ),
    ] = 24
    allow_all_missing: Annotated[
        Flag, Field(description="Go on where no image of the data set is there; else the stage fails.")
    ] = False
    allow_networks: Annotated[
        list[str],
        Field(description="Addresses and networks that may be asked although not public: 127.0.0.1, 10.1.0.0/16."),
    ] = field(default_factory=list)
    honour_robots: Annotated[
        Flag,
        Field(description="Refuse images sent with X-Robots-Tag: noai, noimageai, noindex, noimageindex or none."),
    ] = True
    user_agent: Annotated[
        str, Field(pattern="^[!-~][ -~]*$", description="User-Agent header; its first word is our name.")
    ] = "ita-ner (research; image-text alignment)"
    retry_failed: Annotated[
        Flag,
        Field(description="Retry images that were missing or refused in an earlier run (failed ones always are)."),
    ] = False

    @model_validator(mode="after")
    def _source_is_set(self, info: ValidationInfo) -> Download:
        if is_whole(info.context) and self.source in ("folder", "archive") and not getattr(self, self.source):
            raise ConfigError(f"download.source is '{self.source}', so download.{self.source} must name it")
        return self
