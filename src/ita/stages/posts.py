"""posts: annotated text -> posts.parquet.

Reads the splits in any of the layouts of ``ita.data.formats``, repairs orphan I- tags, renames entity types, tells
which label version the files are, and reports texts that stand in two splits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Posts
from ita.data.formats import Post, read_posts
from ita.data.label_versions import digest, label_version
from ita.data.sources import read_source
from ita.data.tags import repair, spans
from ita.errors import UserError
from ita.io import parquet
from ita.io.provenance import provenance_of
from ita.log import log

SPLITS = ("train", "dev", "test")
SUPPLY = "name local files in posts.files (a path, or 'archive.zip::member')"


def work(settings: dict[str, Any], output: Path, cache: Path) -> None:
    """Writes posts.parquet.

    Args:
        settings: ``posts``.
        output: posts.parquet.
        cache: folder that files named by a URL are downloaded into.

    Raises:
        UserError: for files that cannot be had or read, or post ids that are not unique.
    """
    chosen = read_section(settings, "posts", Posts)
    if not chosen.files:
        raise UserError(f"posts.files is empty: {SUPPLY}")
    rows: list[dict[str, Any]] = []
    facts: dict[str, dict[str, Any]] = {}
    for split in SPLITS:
        if split not in chosen.files:
            raise UserError(f"posts.files.{split} is missing: training needs train, dev and test; {SUPPLY}")
        source = read_source(
            chosen.files[split], chosen.sha256.get(split), cache, f"posts.files.{split}", chosen.allow_private
        )
        posts = read_posts(source.data, source.name, chosen.format)
        split_rows = [row(post, split, number, chosen.rename) for number, post in enumerate(posts, 1)]
        rows += split_rows
        facts[split] = {
            "file": source.name,
            "sha256": source.sha256,
            "label_version": label_version(source.sha256, posts),
            **counts(split_rows),
        }
        log.info("posts: %s: %s", split, facts[split])
    check_unique(rows)
    parquet.write(
        "posts",
        rows,
        output,
        {
            **provenance_of(settings),
            "label_version": common_version([facts[split]["label_version"] for split in SPLITS]),
            "splits": facts,
            "duplicates": duplicates(rows),
        },
    )


def row(post: Post, split: str, number: int, rename: dict[str, str]) -> dict[str, Any]:
    """A row of posts.parquet: tags repaired, types renamed."""
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
    }


def counts(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Posts, words, entities by type, tags repaired of one split."""
    types = Counter(span.type for item in rows for span in spans(item["tags"]))
    return {
        "posts": len(rows),
        "tokens": sum(len(item["tokens"]) for item in rows),
        "spans": sum(types.values()),
        "types": dict(sorted(types.items())),
        "repaired": sum(item["repaired"] for item in rows),
    }


def common_version(versions: Sequence[str]) -> str:
    """One name for the label versions of the splits; all of them where they differ."""
    if len(set(versions)) == 1:
        return versions[0]
    if all(version.startswith("own") for version in versions):
        return f"own ({digest(versions)[:8]})"
    return "; ".join(f"{split}: {version}" for split, version in zip(SPLITS, versions, strict=True))


def check_unique(rows: Sequence[dict[str, Any]]) -> None:
    """Post ids name one post each.

    Raises:
        UserError: naming an id that stands twice.
    """
    for post_id, count in Counter(item["post_id"] for item in rows).items():
        if count > 1:
            raise UserError(f"the post id {post_id!r} stands {count} times; ids must be unique over all splits")


def duplicates(rows: Sequence[dict[str, Any]]) -> dict[str, list[list[str]]]:
    """Pairs of posts with the same words in two splits: 'train/test' -> [[post_id, post_id], ...]."""
    by_text: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for item in rows:
        by_text[tuple(item["tokens"])].append(item)
    found: dict[str, list[list[str]]] = defaultdict(list)
    for same in by_text.values():
        for position, one in enumerate(same):
            for other in same[position + 1 :]:
                if one["split"] != other["split"]:
                    found[f"{one['split']}/{other['split']}"].append([one["post_id"], other["post_id"]])
    for pair, posts in sorted(found.items()):
        log.warning("posts: %d texts stand in both splits of %s, for example %s", len(posts), pair, posts[0])
    return dict(sorted(found.items()))
