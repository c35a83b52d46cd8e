"""The data card of a data set: where its posts come from, under which terms, with which labels, leaks and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ita.data import SPLITS
from ita.reporting.escape import escape_markdown
from ita.reporting.render import markdown_table

UNSTATED = "not stated; ask those who give it out"
USE = (
    "Posts and images belong to their authors and may be about people: they must not be used to identify, profile or "
    "monitor anyone, and copies of posts that their authors deleted should be deleted too. Scores on these posts say "
    "little about other languages, places and years."
)
REPAIR = "an orphan `I-` tag becomes `B-`, which keeps the spans that lenient scorers count"

NO_LEAK = (
    "None was found: no training post stands in the test split of a public data set known here, no text in two splits."
)


def data_card(settings: Mapping[str, Any], posts: Mapping[str, Any], images: Sequence[Mapping[str, Any]]) -> str:
    """The card in Markdown.

    Args:
        settings: ``dataset``, its ``note`` and ``licence``.
        posts: metadata of posts.parquet.
        images: rows of images.parquet, their ``status`` alone.
    """
    splits = {name: posts["splits"][name] for name in (*SPLITS, *posts["splits"]) if name in posts["splits"]}
    version = posts.get("label_version") or "none: the posts have no labels"
    facts = [
        f"- Label version: {escape_markdown(str(version))}",
        f"- Licence: {escape_markdown(settings.get('licence') or UNSTATED)}",
        f"- Read by ita {posts['versions']['ita']}, commit {posts.get('commit') or 'unknown'}",
    ]
    note = [escape_markdown(settings["note"]), ""] if settings.get("note") else []
    sections = [
        [f"# Data card: {escape_markdown(settings['dataset'])}", "", *note, *facts],
        source_section(splits),
        count_section(splits),
        label_section(splits, posts.get("settings", {}).get("posts") or {}),
        leak_section(posts),
        image_section(images),
        ["## Use", "", USE],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def source_section(splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Files of the splits; one hash can be compared with that of another copy."""
    rows = [[name, split["file"], split.get("label_version") or "", split["sha256"]] for name, split in splits.items()]
    return ["## Sources", "", markdown_table(["split", "file", "label version", "SHA-256"], rows)]


def count_section(splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Posts, words and entities of each type."""
    types = sorted({name for split in splits.values() for name in split.get("types", {})})
    headers = ["split", "posts", "words", "entities", *types]
    rows = []
    for name, split in splits.items():
        numbers = [split["posts"], split["tokens"], split.get("spans")]
        numbers += [split.get("types", {}).get(entity_type, 0) for entity_type in types]
        rows.append([name, *("" if number is None else f"{number:,}" for number in numbers)])
    return ["## Counts", "", markdown_table(headers, rows)]


def label_section(splits: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any]) -> list[str]:
    """What was changed when the labels were read with such settings of the stage ``posts``."""
    lines = []
    for name, split in splits.items():
        if split.get("repaired"):
            transitions = ", ".join(f"{tags} {count:,}" for tags, count in split.get("repairs", {}).items())
            listed = f" (tag before and tag: {escape_markdown(transitions)})" if transitions else ""
            lines.append(f"- {name}: {split['repaired']:,} tags repaired: {REPAIR}{listed}")
        if split.get("converted"):
            prefixes = ", ".join(f"{prefix}- {count:,}" for prefix, count in split["converted"].items())
            lines.append(f"- {name}: tags of another scheme read as IOB2: {prefixes}")
    renamed = (settings.get("rename") or {}).items()
    lines += [f"- Type {escape_markdown(old)} is called {escape_markdown(new)}" for old, new in renamed]
    return ["## Labels", "", *(lines or ["Read as they are: valid IOB2, types by their names in the files."])]


def leak_section(posts: Mapping[str, Any]) -> list[str]:
    """Training posts that stand in test splits, and posts that stand in two splits."""
    lines = [
        f"- {count['posts']:,} of the {count['of']:,} test posts of {escape_markdown(version)} stand in the training "
        "split: what is trained here must not be scored there"
        for version, count in posts.get("test_overlap", {}).items()
    ]
    for pair, summary in posts.get("duplicates", {}).items():
        if isinstance(summary, Mapping):
            lines.append(
                f"- {pair}: {summary['texts']:,} texts are in both splits word by word ({summary['pairs']:,} pairs)"
            )
    if posts.get("ids_in_several_splits"):
        lines.append(f"- {posts['ids_in_several_splits']:,} ids name posts of several splits, and were made unique")
    return ["## Leaks", "", *(lines or [NO_LEAK])]


def image_section(images: Iterable[Mapping[str, Any]]) -> list[str]:
    """What became of the images."""
    counts = Counter(row["status"] for row in images)
    if not counts:
        return ["## Images", "", "None."]
    rows = [[status, f"{count:,}"] for status, count in sorted(counts.items())]
    return ["## Images", "", markdown_table(["status", "images"], rows)]
