"""Further texts about posts: ready contexts of ITA-shaped files, or texts by image id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ita.config import Text
from ita.data.entries import image_key
from ita.data.formats import EOS, read_posts
from ita.data.image_texts import read_texts
from ita.data.sources import read_source
from ita.data.visual_context import VisualContext, concatenate, separator, split_words, text_alignment
from ita.errors import UserError
from ita.log import log


def read_contexts(name: str, text: Text, posts: Sequence[Mapping[str, Any]], cache: Path) -> dict[str, VisualContext]:
    """Contexts of one named text source.

    Args:
        name: its name, which is the kind of its words.
        text: its settings.
        posts: rows of posts.parquet.
        cache: folder for fetched files.

    Returns:
        post_id -> words; a post without text is left out.

    Raises:
        UserError: for files that cannot be read or do not fit the posts.
    """
    if not text.files:
        raise UserError(f"external_texts.{name}.files is empty: name the files of this text")
    if text.format == "ita":
        return from_ita_files(name, text.files, posts, cache)
    by_image = read_texts([Path(file) for file in text.files])
    return {
        post["post_id"]: text_alignment(by_image[image_key(post["image_id"])], name)
        for post in posts
        if post["image_id"] is not None and image_key(post["image_id"]) in by_image
    }


def from_ita_files(
    name: str, files: Sequence[str], posts: Sequence[Mapping[str, Any]], cache: Path
) -> dict[str, VisualContext]:
    """Contexts of ITA-shaped files, matched by the order of posts; a post that a file lacks stays without context.

    Raises:
        UserError: when a file has a post that does not come next among the posts.
    """
    result: dict[str, VisualContext] = {}
    waiting = iter(posts)
    for file in files:
        source = read_source(file, None, cache, f"external_texts.{name}.files")
        for number, entry in enumerate(read_posts(source.data, source.name, "ita"), 1):
            post = next((post for post in waiting if post["tokens"] == entry.tokens), None)
            if post is None:
                raise UserError(
                    f"{source.name}: its post {number} ({' '.join(entry.tokens)[:60]!r}) does not come next; "
                    f"expected the same posts in the same order, files in the order train, dev, test"
                )
            result[post["post_id"]] = concatenate(
                separator() if word == EOS else split_words(word, name) for word in entry.context
            )
    if len(result) < len(posts):
        log.warning("external_texts.%s: %d of %d posts have no text", name, len(posts) - len(result), len(posts))
    return result
