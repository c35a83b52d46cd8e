"""Demonstrations: training posts with an answer that a person wrote, shown to the model before its question.

A file of JSON lines names the posts: ``{"id": ..., "answer": ...}``, or ``image`` in place of ``id``. Text and what is
known of the picture are those of the post itself. A post of another data set brings its own: ``{"text": ..., "caption":
..., "answer": ...}``. Posts of dev and test are refused, by id, image or text: their answers were written by somebody
who knew the tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ita.data.entries import image_key
from ita.data.records import json_records
from ita.errors import UserError
from ita.io.text import quote
from ita.knowledge.prompts import text_of
from ita.knowledge.templates import SHARED


@dataclass(frozen=True)
class Demonstration:
    """A training post and the answer to it.

    Attributes:
        post_id: its name; of a post that is not of this data set where it stands in the file.
        answer: what a person wrote.
        slots: what is known of a post that is not of this data set.
    """

    post_id: str
    answer: str
    slots: Mapping[str, str] | None = None


def read_demonstrations(path: Path, posts: Iterable[Mapping[str, Any]]) -> list[Demonstration]:
    """The demonstrations of a file, in its order.

    Args:
        path: JSON lines, or one JSON list.
        posts: rows of posts.parquet.

    Raises:
        UserError: for a post that is not known, not of the training split, or named twice; an answer that is no text.
    """
    by_id: dict[str, Mapping[str, Any]] = {}
    by_image: dict[str, list[Mapping[str, Any]]] = {}
    unseen: dict[str, str] = {}
    for post in posts:
        by_id[post["post_id"]] = post
        if post["split"] != "train":
            unseen[comparable(text_of(post))] = post["split"]
        if post["image_id"] is not None:
            by_image.setdefault(image_key(post["image_id"]), []).append(post)
    demonstrations: dict[str, Demonstration] = {}
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); expected demonstrations") from None
    for line, record in json_records(content, str(path)):
        location = f"{path}:{line}"
        if not isinstance(record, Mapping) or not isinstance(record.get("answer"), str) or not record["answer"].strip():
            raise UserError(f'{location}: expected {{"id": POST, "answer": TEXT}}, found {quote(record)}')
        answer = " ".join(record["answer"].split())
        if isinstance(record.get("text"), str) and "id" not in record and "image" not in record:
            slots = {name: record[name] for name in SHARED if isinstance(record.get(name), str)}
            if split := unseen.get(comparable(slots["text"])):
                raise refusal(location, f"text {quote(slots['text'])}", split)
            demonstrations[location] = Demonstration(f"demonstration {line}", answer, slots)
            continue
        post = find_post(record, location, by_id, by_image)
        if post["post_id"] in demonstrations:
            raise UserError(f"{location}: post {quote(post['post_id'])} has a demonstration already")
        if split := unseen.get(comparable(text_of(post))):
            raise refusal(location, f"the text of post {quote(post['post_id'])}", split)
        demonstrations[post["post_id"]] = Demonstration(post["post_id"], answer)
    if not demonstrations:
        raise UserError(f"{path}: holds no demonstrations")
    return list(demonstrations.values())


def find_post(
    record: Mapping[str, Any],
    location: str,
    by_id: Mapping[str, Mapping[str, Any]],
    by_image: Mapping[str, list[Mapping[str, Any]]],
) -> Mapping[str, Any]:
    """The training post that a line names. Raises as ``read_demonstrations``."""
    name, image = record.get("id"), record.get("image")
    if name is not None:
        matches = [by_id[str(name)]] if str(name) in by_id else []
        subject = f"post {quote(str(name))}"
    else:
        matches = by_image.get(image_key(str(image)), [])
        subject = f"image {quote(str(image))}"
    if not matches:
        raise UserError(
            f"{location}: {subject} is not among the posts; expected the id of a training post, its image, or a text"
        )
    outside = sorted({post["split"] for post in matches} - {"train"})
    if outside:
        raise refusal(location, subject, " and ".join(outside))
    if len(matches) > 1:
        raise UserError(f"{location}: {subject} has {len(matches)} posts; name one of them by its id")
    return matches[0]


def refusal(location: str, subject: str, split: str) -> UserError:
    """The error for a post that must not be shown."""
    return UserError(
        f"{location}: {subject} is of the split {split}; a demonstration there would show the tags that are to be "
        "predicted: name training posts only"
    )


def comparable(text: str) -> str:
    """A text without blanks and case: words that are joined by blanks equal the text that they were cut from."""
    return "".join(text.split()).casefold()
