"""External texts: text about posts that is not made by the pipeline, matched to them by image id or by order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ita.config import ExternalText
from ita.data.conll import EOS
from ita.data.entries import image_key
from ita.data.formats import read_posts
from ita.data.image_texts import read_texts
from ita.data.sources import MEMBER, read_source
from ita.data.visual_context import VisualContext, concatenate, join_texts, separator, split_words
from ita.errors import UserError
from ita.log import log


def read_external_text(
    name: str, text: ExternalText, posts: Sequence[Mapping[str, Any]], cache: Path
) -> dict[str, VisualContext]:
    """Contexts of one external text.

    Args:
        name: its name, which is the kind of its words.
        text: its settings.
        posts: rows of posts.parquet.
        cache: folder of downloaded files.

    Returns:
        post_id -> context; a post without text is left out.

    Raises:
        UserError: for files that cannot be read or do not fit the posts.
    """
    if not text.files:
        raise UserError(f"external_texts.{name}.files is empty: name the files of this text")
    archives = {file.partition(MEMBER)[0] for file in text.files}
    if unused := text.sha256.keys() - archives:
        raise UserError(f"external_texts.{name}.sha256 names {sorted(unused)[0]!r}, which is none of its files")
    if text.format == "ita":
        contexts = match_by_order(name, text, posts, cache)
    else:
        contexts = match_by_image(name, text, posts, cache)
    if text.replace or text.pattern:
        return edited(name, contexts, text)
    return contexts


def edited(name: str, contexts: Mapping[str, VisualContext], text: ExternalText) -> dict[str, VisualContext]:
    """Contexts after ``replace``, and of each text the part that ``pattern`` matches.

    That is the first group of the first match, or all of the match; a text without a match is left out. Both look at
    the text between separators.

    Args:
        name: kind of the words.
        contexts: post_id -> context.
        text: settings of the external text.
    """
    substitutions = [(re.compile(pattern), replacement) for pattern, replacement in text.replace.items()]
    expression = re.compile(text.pattern or r"(?s:.*)")
    parts = {}
    for post_id, context in contexts.items():
        texts = [words for _, words in context.runs()]
        for pattern, replacement in substitutions:
            texts = [pattern.sub(replacement, words) for words in texts]
        matches = [match for words in texts if (match := expression.search(words))]
        parts[post_id] = join_texts([match[1 if expression.groups else 0] or "" for match in matches], name)
    if text.pattern:
        matched = sum(bool(context.words) for context in parts.values())
        log.info("external_texts.%s: the pattern matches in the texts of %d of %d posts", name, matched, len(parts))
    return parts


def match_by_image(
    name: str, text: ExternalText, posts: Sequence[Mapping[str, Any]], cache: Path
) -> dict[str, VisualContext]:
    """Contexts of files that name images; arguments, result and errors as of ``match_by_order``."""
    for file in text.files:
        if "://" in file or MEMBER in file:
            raise UserError(
                f"external_texts.{name}.files: {file!r}: URLs and members of archives are read with format ita; "
                "expected the path of a local file"
            )
        if file in text.sha256:
            read_source(file, text.sha256[file], cache, f"external_texts.{name}.files")
    texts = read_texts([Path(file) for file in text.files])
    images = {post["post_id"]: image_key(post["image_id"]) for post in posts if post["image_id"] is not None}
    return {post_id: join_texts(texts[image], name) for post_id, image in images.items() if image in texts}


def match_by_order(
    name: str, text: ExternalText, posts: Sequence[Mapping[str, Any]], cache: Path
) -> dict[str, VisualContext]:
    """Contexts of files in the official format, which hold the same posts; some may be missing.

    Args:
        name: kind of the words.
        text: its settings, files in the order of the splits.
        posts: rows of posts.parquet.
        cache: folder of downloaded files.

    Returns:
        post_id -> context of each post in the files.

    Raises:
        UserError: when a file has a post that does not come next among the posts.
    """
    contexts: dict[str, VisualContext] = {}
    remaining = iter(posts)
    for file in text.files:
        archive = file.partition(MEMBER)[0]
        source = read_source(file, text.sha256.get(archive), cache, f"external_texts.{name}.files")
        for number, entry in enumerate(read_posts(source.content, source.name, "ita"), 1):
            post = next((post for post in remaining if post["tokens"] == entry.tokens), None)
            if post is None:
                raise UserError(
                    f"{source.name}: its post {number} ({' '.join(entry.tokens)[:60]!r}) does not come next; "
                    f"expected the same posts in the same order, files in the order train, dev, test"
                )
            contexts[post["post_id"]] = concatenate(
                separator() if word == EOS else split_words(word, name) for word in entry.context
            )
    if len(contexts) < len(posts):
        log.warning("external_texts.%s: %d of %d posts have no text", name, len(posts) - len(contexts), len(posts))
    return contexts
