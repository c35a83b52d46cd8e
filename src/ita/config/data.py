"""Sections of the stages that bring posts and images."""

from __future__ import annotations

from dataclasses import dataclass

from ita.config.fields import setting

FORMATS = ["umt", "three_line", "jsonl", "parquet", "ita"]
"""Layouts of annotated posts that ``ita.data.formats`` reads."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """demo: the dataset that the project makes itself."""

    seed: int = setting(7, "Seed of the generator; the same seed makes the same files.", minimum=0)
    train: int = setting(480, "Training posts.", minimum=16)
    valid: int = setting(120, "Development posts.", minimum=8)
    test: int = setting(240, "Test posts.", minimum=8)
    hidden: int = setting(64, "Width of the encoder made for the demo.", minimum=16, multipleOf=16)
    layers: int = setting(1, "Layers of that encoder.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class Posts:
    """posts: annotated text -> posts.parquet."""

    format: str = setting("umt", "Layout of the files.", enum=FORMATS)
    files: dict[str, str] = setting(
        {},
        "Split (train, dev, test) -> path, http(s) URL, or member of an archive as 'archive.zip::member'.",
        propertyNames={"enum": ["train", "dev", "test"]},
    )
    sha256: dict[str, str] = setting(
        {},
        "Split -> SHA-256 of the file, or of its archive; required for URLs, checked where given.",
        propertyNames={"enum": ["train", "dev", "test"]},
        additionalProperties={"type": "string", "pattern": "^[0-9a-f]{64}$"},
    )
    rename: dict[str, str] = setting({}, "Entity type in the files -> type used here, for example MISC: OTHER.")
    allow_private: bool = setting(False, "Allow URLs at loopback and private addresses, such as a mirror of one's own.")


@dataclass(frozen=True, kw_only=True)
class Download:
    """download: images of the posts -> images.parquet and content-addressed files."""

    source: str = setting(
        "urls", "Where images come from; 'none' for text-only data.", enum=["urls", "folder", "archive", "none"]
    )
    url: str | None = setting(
        None, "URL of an image, with {image_id}; used where the data names no URL. A mirror is set here."
    )
    folder: str | None = setting(None, "Folder of images named by image id, with or without an extension.")
    archive: str | None = setting(None, "zip or tar file of images named by image id; folders inside are ignored.")
    connections: int = setting(16, "Requests in flight at a time.", minimum=1, maximum=512)
    per_host: int = setting(8, "Requests in flight to one host.", minimum=1, maximum=512)
    connect_timeout: float = setting(10.0, "Seconds to connect.", exclusiveMinimum=0)
    read_timeout: float = setting(15.0, "Seconds without a byte before a request is given up.", exclusiveMinimum=0)
    total_timeout: float = setting(
        120.0, "Seconds for one image: all its requests, redirects and waits between them.", exclusiveMinimum=0
    )
    max_bytes: int = setting(33_554_432, "Largest image file in bytes.", minimum=1)
    max_pixels: int = setting(89_478_485, "Largest image in pixels, checked before decoding.", minimum=1)
    attempts: int = setting(3, "Requests per image, for errors worth retrying.", minimum=1, maximum=20)
    backoff: float = setting(1.0, "Seconds before the second attempt; doubled each time, with jitter.", minimum=0)
    give_up_after: int = setting(
        24,
        "Stop when the first N images, but for those that failed in an earlier run, reach no server; 0 never stops.",
        minimum=0,
    )
    allow_networks: list[str] = setting(
        [], "Addresses and networks that may be asked although they are not public, such as 127.0.0.1 or 10.1.0.0/16."
    )
    honour_robots: bool = setting(
        True, "Refuse images sent with X-Robots-Tag: noai, noimageai, noindex, noimageindex or none."
    )
    user_agent: str = setting(
        "ita-ner (research; image-text alignment)",
        "User-Agent header; its first word is our name.",
        pattern="^[!-~][ -~]*$",
    )
    retry_failed: bool = setting(
        False, "Ask again for images that were missing or refused in an earlier run (failed ones always are)."
    )
