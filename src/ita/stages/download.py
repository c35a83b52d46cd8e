"""download: posts.parquet -> images.parquet and content-addressed images, each in a file or many in a shard.

Every image gets a row with its status: an image that is missing, broken or refused is normal data and stops nothing.
Finished images are kept in a journal, so that a stopped run is resumed. Data sets of more images than
``download.single_files`` have shards of images. With ``--retry-failed``, images that were
missing or refused are requested again too, as with the setting of that name.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ita.cli import read_section
from ita.config import Download
from ita.download.crawler import DownloadTarget, download_all
from ita.download.errors import FetchError
from ita.download.local import ImageEntry, open_archive, open_folder
from ita.download.store import ImageStore, Journal, Row, new_row, single_line, utc_now
from ita.download.verify import set_pixel_limit
from ita.errors import UserError
from ita.io import parquet
from ita.io.provenance import provenance_of
from ita.log import log, progress
from ita.vision.sharding import shard_items

STATUSES = ("ok", "missing", "failed", "refused")
UNTOLD = dict.fromkeys(("fetched_at", "path", "offset"))
"""What may differ between the rows of an image that is the same."""


def work(
    settings: dict[str, Any],
    output: Path,
    posts: Path,
    store: Path,
    shards: Sequence[Path] = (),
    retry_failed: bool = False,
) -> None:
    """Writes images.parquet: one row per image of the posts, in the order of their first posts.

    Args:
        settings: ``download``.
        output: images.parquet.
        posts: posts.parquet.
        store: folder of the images and of the journal of finished images.
        shards: files to pack the images into, in their order, for machines that do not see the store.
        retry_failed: request images again that were missing or refused, as with the setting of that name.

    Raises:
        UserError: for a source that cannot be used, when no server can be reached at all, or when no image is there.
    """
    if retry_failed:
        settings = {**settings, "download": {**settings.get("download", {}), "retry_failed": True}}
    options = read_section(settings, "download", Download)
    targets = targets_of(parquet.stream("posts", posts, 1024, ["image_id", "image_url"]), options)
    set_pixel_limit(options.max_pixels)
    in_shards = bool(shards) or len(targets) > options.single_files
    image_store = ImageStore(store, output.parent, options, in_shards)
    if options.source == "none":
        error = "no-source: download.source is 'none'"
        rows = [new_row(target.image_id, status="missing", error=error) for target in targets]
    else:
        rows_of = rows_from_urls if options.source == "urls" else rows_from_files
        with Journal(store / "journal.jsonl", options) as journal, closing(image_store):
            rows = [image_store.placed(row) for row in rows_of(targets, options, image_store, journal)]
    pack(rows, shards, image_store)
    statuses = Counter(row["status"] for row in rows)
    log_summary(rows)
    if rows and not statuses["ok"] and options.source != "none" and not options.allow_all_missing:
        raise UserError(nothing_found(rows, options))
    metadata = provenance_of(settings, {"posts": posts})
    parquet.write("images", rows, output, {**metadata, "counts": {status: statuses[status] for status in STATUSES}})
    image_store.remove_moved()


def pack(rows: Sequence[Row], shards: Sequence[Path], store: ImageStore) -> None:
    """Writes the images into shards, each with those that vision jobs of the same shard read, and says so in the rows.

    Raises:
        UserError: when the disk refuses them.
    """
    images = [row for row in rows if row["status"] == "ok"]
    for number, path in enumerate(shards, 1):
        store.pack(shard_items(images, f"{number}-of-{len(shards)}"), path)
    if shards:
        store.shards.replace(shards)


def targets_of(posts: Iterable[Mapping[str, Any]], options: Download) -> list[DownloadTarget]:
    """Distinct images of the posts with the first URL that the data names, or else that of the template.

    Raises:
        UserError: for a template without a place for the image id.
    """
    urls: dict[str, str | None] = {}
    for post in posts:
        if (image_id := post["image_id"]) is not None:
            urls[image_id] = urls.get(image_id) or post["image_url"]
    if options.source != "urls":
        return [DownloadTarget(image_id, None) for image_id in urls]
    template = options.url or ""
    if template and "{image_id}" not in template:
        raise UserError(f"download.url must contain {{image_id}}, got '{template}'")
    return [
        DownloadTarget(image_id, url or template.replace("{image_id}", quote(image_id, safe="")) or None)
        for image_id, url in urls.items()
    ]


def rows_from_files(targets: list[DownloadTarget], options: Download, store: ImageStore, journal: Journal) -> list[Row]:
    """Rows of images read from a folder or an archive. Raises UserError when that cannot be read at all."""
    name = options.folder if options.source == "folder" else options.archive
    if not name:
        raise UserError(f"download.source is '{options.source}', so download.{options.source} must name it")
    rows: dict[str, Row] = {}
    open_source = open_folder if options.source == "folder" else open_archive
    with open_source(Path(name), [target.image_id for target in targets]) as entries:
        pairs = [(target, entries.get(target.image_id)) for target in targets]
        pairs.sort(key=lambda pair: pair[1].offset if pair[1] else -1)  # a compressed tar is read from front to back
        for target, entry in progress(pairs, len(pairs), "download", "image"):
            row = row_from_file(target, entry, options, store)
            previous = journal.row_of(target.image_id)
            if previous is not None and {**previous, **UNTOLD} == {**row, **UNTOLD}:
                row = previous  # nothing new: the table stays the same to the byte
            journal.add(row, entry.key if entry else None)
            rows[target.image_id] = row
    return [rows[target.image_id] for target in targets]


def row_from_file(target: DownloadTarget, entry: ImageEntry | None, options: Download, store: ImageStore) -> Row:
    """The row of one image of a folder or an archive."""
    row = new_row(target.image_id, fetched_at=utc_now())
    if entry is None:
        return {**row, "status": "missing", "error": f"not-found: no file of that name in the {options.source}"}
    try:
        return {**row, **store.add(entry.read(options.max_bytes + 1))}
    except UserError:
        raise
    except FetchError as error:
        return {**row, "status": error.status, "error": single_line(str(error))}
    except Exception as error:  # untrusted archives break in many ways
        status = "failed" if isinstance(error, OSError) else "refused"
        return {**row, "status": status, "error": single_line(f"unreadable: {entry.key}: {error}")}


def rows_from_urls(targets: list[DownloadTarget], options: Download, store: ImageStore, journal: Journal) -> list[Row]:
    """Rows of images requested from servers; fresh rows of earlier runs are taken over.

    Raises:
        UserError: when no server can be reached at all.
    """
    rows: dict[str, Row] = {}
    pending: list[DownloadTarget] = []
    retried: set[str] = set()
    for target in targets:
        previous = journal.row_of(target.image_id)
        if previous is None or target.url is None or previous["url"] != target.url:
            pending.append(target)
        elif is_fresh(previous, options, store, journal):
            rows[target.image_id] = previous
        else:
            pending.append(target)
            retried.add(target.image_id)
    log.info("download: %d images, %d known from earlier runs", len(targets), len(rows))
    bar = progress(range(len(pending)), len(pending), "download", "image")

    def record(row: Row) -> None:
        rows[row["image_id"]] = row
        if row["url"] is not None:
            journal.add(row, row["url"])
        next(bar, None)

    asyncio.run(download_all(pending, options, store, record, retried))
    next(bar, None)
    return [rows[target.image_id] for target in targets]


def is_fresh(row: Row, options: Download, store: ImageStore, journal: Journal) -> bool:
    """Whether the row of an earlier run at the same URL need not be made again."""
    if row["status"] == "ok":
        return store.has(row)
    if row["status"] == "refused" and not journal.same_limits(row["image_id"]):
        return False
    return row["status"] != "failed" and not options.retry_failed


def nothing_found(rows: list[Row], options: Download) -> str:
    """What to do where no image of a data set is there."""
    reasons = Counter(str(row["error"]).partition(":")[0] for row in rows)
    frequent = ", ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
    sources = {"folder": options.folder, "archive": options.archive, "urls": options.url or "the URLs of the data"}
    return (
        f"none of {len(rows)} images is there ({frequent}), for example '{rows[0]['image_id']}' in "
        f"{sources[options.source]}: check download.{options.source.removesuffix('s')}; images are named by the ids of "
        "the posts. To go on with texts alone set download.source: none, or download.allow_all_missing: true"
    )


def log_summary(rows: list[Row]) -> None:
    """Logs how many images have which status, and why."""
    statuses = Counter(row["status"] for row in rows)
    log.info("download: %s", ", ".join(f"{statuses[status]} {status}" for status in STATUSES))
    notes = Counter(str(row["error"]).partition(":")[0] for row in rows if row["status"] == "ok" and row["error"])
    for note, count in notes.most_common():
        log.warning("download: %d x %s; their pixels are whole and are read", count, note)
    errors = Counter(str(row["error"]).partition(":")[0] for row in rows if row["status"] != "ok")
    for error, count in errors.most_common():
        log.info("download: %d x %s", count, error)
    if 2 * statuses["ok"] < len(rows) and errors.keys() != {"no-source"}:
        frequent = ", ".join(f"{count} x {error}" for error, count in errors.most_common(3))
        log.warning("download: %d of %d images are not there (%s)", len(rows) - statuses["ok"], len(rows), frequent)
