"""posts: annotated text, or new posts -> posts.parquet.

Reads the splits in any format of ``ita.data.formats``, turns other schemes of tags into IOB2, repairs orphan I- tags,
renames entity types, names the label version of the files, and reports posts with the same words in two splits. Posts
without tags, of which there may be millions, are the split ``new``: they are read one after another, and one that
cannot be read says why in its row.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, islice
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Posts
from ita.data import SPLITS
from ita.data.class_labels import read_names
from ita.data.formats import TAGS, read_posts
from ita.data.label_versions import common_version, label_version
from ita.data.overlap import Overlap, public_overlap
from ita.data.records import Layout, Post
from ita.data.sources import StreamedFile, read_source, stream_source
from ita.data.tags import illegal_transitions, repair, spans
from ita.errors import UserError
from ita.io import parquet
from ita.io.provenance import provenance_of
from ita.io.text import quote
from ita.log import log, progress
from ita.tagging.input_files import read_records
from ita.tagging.post_tables import SPLIT, new_rows

EXAMPLES = 5
"""Pairs of posts with the same words that the metadata name."""
MOST_TYPES = 100
"""Entity types that log and metadata count one by one, the most frequent."""
REMEDY = "name local files in posts.files (a path, or 'archive.zip::member')"

Row = dict[str, Any]


def work(settings: dict[str, Any], output: Path, cache: Path) -> None:
    """Writes posts.parquet.

    Args:
        settings: ``posts``.
        output: posts.parquet.
        cache: folder that files named by a URL are downloaded into.

    Raises:
        UserError: for files that are missing or malformed, or post ids that are not unique.
    """
    config = read_section(settings, "posts", Posts)
    if not config.files:
        raise UserError(f"posts.files is empty: {REMEDY}")
    if SPLIT in config.files:
        write_new_posts(settings, config, output, cache)
        return
    rows: list[Row] = []
    summaries: dict[str, dict[str, Any]] = {}
    for split in SPLITS:
        if split == "test" and config.format == "relation" and split not in config.files:
            continue  # relation data train a part of a system, of which no result is shown
        split_rows, summaries[split] = read_split(split, config, cache)
        rows += split_rows
        log.info("posts: %s: %s", split, summaries[split])
    restarted = name_by_split(rows)
    versions = {split: summary["label_version"] for split, summary in summaries.items()}
    parquet.write(
        "posts",
        rows,
        output,
        {
            **provenance_of(settings, {"features": Path(config.features) if config.features else None}),
            "label_version": common_version(versions),
            "splits": summaries,
            "duplicates": find_duplicates(rows),
            "test_overlap": find_overlap(rows),
            **({"ids_in_several_splits": restarted} if restarted else {}),
        },
    )


def write_new_posts(settings: Mapping[str, Any], config: Posts, output: Path, cache: Path) -> None:
    """Writes posts without tags. Raises as ``work`` does."""
    setting = f"posts.files.{SPLIT}"
    source = stream_source(config.files[SPLIT], config.sha256.get(SPLIT), cache, setting, config.allow_private)
    number_of = Counter(posts=0, tokens=0, unreadable=0)
    hashes = array("Q")
    with parquet.create("posts", output) as table:
        for row in progress(read_new_posts(source, config), None, "posts", "posts"):
            number_of.update(posts=1, tokens=len(row["tokens"]), unreadable="error" in row)
            hashes.append(hash_of(row["post_id"]))
            table.add([row])
        if not hashes:
            raise UserError(f"{source.name}: no posts found; expected the format '{config.format}'")
        if repeated := repeated_hashes(hashes):
            ids = (row["post_id"] for row in read_new_posts(source, config))
            check_unique({"post_id": post_id} for post_id in ids if hash_of(post_id) in repeated)
        split = {"file": source.name, "sha256": source.sha256, **number_of}
        table.metadata = {
            **provenance_of(settings),
            "label_version": None,
            "splits": {SPLIT: split},
            "duplicates": {},
        }
    log.info("posts: %s: %s", SPLIT, split)
    if number_of["unreadable"]:
        log.warning("posts: %d of %d posts cannot be read", number_of["unreadable"], number_of["posts"])


def read_new_posts(source: StreamedFile, config: Posts) -> Iterator[Row]:
    """Rows of the posts of a file, or of those in its range."""
    first, last = map(int, config.ranges.get(SPLIT, "1-0").split("-"))
    with source.open() as file:
        rows = new_rows(read_records(file, config.format, source.name))
        yield from islice(rows, first - 1, last or None)


def hash_of(post_id: str) -> int:
    """Eight bytes of a hash."""
    return int.from_bytes(hashlib.blake2b(post_id.encode(), digest_size=8).digest(), "big")


def repeated_hashes(hashes: array[int]) -> set[int]:
    """Values that occur several times."""
    import numpy as np

    ordered = np.sort(np.frombuffer(hashes, np.uint64))
    return set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())


def read_split(split: str, config: Posts, cache: Path) -> tuple[list[Row], dict[str, Any]]:
    """Reads the file of a split.

    Returns:
        Rows of posts.parquet; the file, its SHA-256, label version and counts.

    Raises:
        UserError: for a file that is missing or malformed.
    """
    if split not in config.files:
        raise UserError(f"posts.files.{split} is missing: training needs train, dev and test; {REMEDY}")
    sha256, setting = config.sha256.get(split), f"posts.files.{split}"
    source = read_source(config.files[split], sha256, cache, setting, config.allow_private)
    posts = read_posts(source.content, source.name, config.format, layout_of(config))
    posts = in_range(posts, config.ranges.get(split), source.name, split)
    rows = [row_of(post, split, number, config.rename) for number, post in enumerate(posts, 1)]
    version = label_version(source.sha256, posts)
    return rows, {
        "file": source.name,
        "sha256": source.sha256,
        "label_version": version,
        **counts(rows),
        **repairs(posts),
        **converted(posts),
    }


def layout_of(config: Posts) -> Layout:
    """What the settings say about the files.

    Raises:
        UserError: for a file of names that cannot be read.
    """
    layout = Layout({str(meaning): column for meaning, column in config.columns.items()}, config.tag_names)
    if config.features is None:
        return layout
    column = config.columns.get("tags")
    keys = TAGS if column is None or isinstance(column, int) else (column,)
    return layout._replace(tag_names=read_names(Path(config.features), keys))


def repairs(posts: Sequence[Post]) -> dict[str, dict[str, int]]:
    """Orphan I- tags that became B-, by the tag before and the orphan; nothing where there are none."""
    transitions = Counter(transition for post in posts for transition in illegal_transitions(post.tags))
    return {"repairs": dict(sorted(transitions.items()))} if transitions else {}


def converted(posts: Sequence[Post]) -> dict[str, dict[str, int]]:
    """Tags of other schemes that were read as IOB2, by their prefix; nothing where there are none."""
    prefixes: Counter[str] = Counter()
    for post in posts:
        prefixes.update(post.converted)
    return {"converted": dict(sorted(prefixes.items()))} if prefixes else {}


def in_range(posts: list[Post], numbers: str | None, file: str, split: str) -> list[Post]:
    """The posts of a split among those of its file.

    Args:
        posts: all posts of the file.
        numbers: first and last, counted from 1, such as 1-3576; None is all.
        file: its name, for messages.
        split: name of the split, for messages.

    Raises:
        UserError: for a range that the file does not have.
    """
    if numbers is None:
        return posts
    first, last = map(int, numbers.split("-"))
    if not first <= last <= len(posts):
        raise UserError(
            f"posts.ranges.{split}: found {numbers}, expected a range within the {len(posts)} posts of {file}"
        )
    return posts[first - 1 : last]


def row_of(post: Post, split: str, number: int, rename: Mapping[str, str]) -> Row:
    """A row of posts.parquet: tags repaired, entity types renamed."""
    tags, repaired = repair(post.tags)
    tags = [tag if tag == "O" else tag[:2] + rename.get(tag[2:], tag[2:]) for tag in tags]
    return {
        "post_id": post.post_id or f"{split}-{number:05d}",
        "split": split,
        "image_id": post.image_id,
        "image_url": post.image_url,
        "tokens": post.tokens,
        "tags": tags,
        "repaired": repaired,
        "related": post.related,
    }


def counts(rows: Sequence[Row]) -> dict[str, Any]:
    """Posts, words, entities by type and repaired tags of a split."""
    types = Counter(span.type for row in rows for span in spans(row["tags"]))
    return {
        "posts": len(rows),
        "tokens": sum(len(row["tokens"]) for row in rows),
        "spans": sum(types.values()),
        "types": dict(sorted(types.most_common(MOST_TYPES))),
        **({"further_types": len(types) - MOST_TYPES} if len(types) > MOST_TYPES else {}),
        "repaired": sum(row["repaired"] for row in rows),
        **relation_counts(rows),
    }


def relation_counts(rows: Sequence[Row]) -> dict[str, int]:
    """Posts whose image adds to the text; nothing for posts without such a label."""
    labels = [row["related"] for row in rows if row["related"] is not None]
    return {"related": sum(labels)} if labels else {}


def check_unique(rows: Iterable[Row]) -> None:
    """Checks that every post id names one post of its split.

    Raises:
        UserError: naming an id of several posts.
    """
    for post_id, count in Counter(row["post_id"] for row in rows).items():
        if count > 1:
            raise UserError(f"the post id {quote(post_id)} names {count} posts; ids must be unique within a split")


def name_by_split(rows: Sequence[Row]) -> int:
    """Checks that every post id names one post of its split; ids that several splits have are prefixed by the split.

    Returns:
        How many ids are in several splits.

    Raises:
        UserError: naming an id of several posts.
    """
    splits_of: dict[str, str] = {}
    restarted: set[str] = set()
    for row in rows:
        if splits_of.setdefault(row["post_id"], row["split"]) != row["split"]:
            restarted.add(row["post_id"])
    if restarted:
        log.warning("posts: %d ids are in several splits; every id is now SPLIT-ID", len(restarted))
        for row in rows:
            row["post_id"] = f"{row['split']}-{row['post_id']}"
    check_unique(rows)
    return len(restarted)


def find_overlap(rows: Sequence[Row]) -> Overlap:
    """Training posts that stand in the test split of a public data set (see ``ita.data.overlap``)."""
    overlap = public_overlap(row["tokens"] for row in rows if row["split"] == "train")
    for version, count in overlap.items():
        log.warning(
            "posts: %d of the %d test posts of %s stand in the training split; what is trained on it must not be "
            "scored there",
            count["posts"],
            count["of"],
            version,
        )
    return overlap


def find_duplicates(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Posts with the same words in two splits: 'train/test' -> numbers of texts and of pairs of posts, first pairs."""
    groups: dict[bytes, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        words = "\x1f".join(row["tokens"]).encode()
        groups[hashlib.blake2b(words, digest_size=16).digest()][row["split"]].append(row["post_id"])
    duplicates: dict[str, dict[str, Any]] = {}
    for group in groups.values():
        for first, second in combinations(group, 2):
            summary = duplicates.setdefault(f"{first}/{second}", {"texts": 0, "pairs": 0, "examples": []})
            summary["texts"] += 1
            summary["pairs"] += len(group[first]) * len(group[second])
            if len(summary["examples"]) < EXAMPLES:
                summary["examples"].append([group[first][0], group[second][0]])
    for splits, summary in sorted(duplicates.items()):
        pair = quote(summary["examples"][0])
        log.warning("posts: %s: %d pairs of posts with the same words, for example %s", splits, summary["pairs"], pair)
    return dict(sorted(duplicates.items()))
