"""Relation data of the demo: texts that say what their image shows, beside it and beside another image."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from typing import NamedTuple

from ita.demo.posts import NEUTRAL, Post

COLUMNS = ("tweet_id", "tweet", "image_adds", "image_id")
"""The published columns, and the image, since one serves several texts."""


class Relation(NamedTuple):
    """A text and an image."""

    text: str
    image_id: str
    related: bool


def generate_relations(posts: Sequence[Post], seed: int) -> list[Relation]:
    """Every post whose words tell a type that its image shows, with that image and with one of another type.

    Args:
        posts: of one split.
        seed: seed of everything drawn.
    """
    pictured = [post for post in posts if post.image == "ok"]
    relations = []
    for post in pictured:
        if post.decidable != "text" or post.type == NEUTRAL:
            continue
        text = " ".join(post.tokens)
        others = [other.image_id for other in pictured if other.scene != post.type]
        relations.append(Relation(text, post.image_id, True))
        relations.append(Relation(text, random.Random(f"{seed}/relation/{post.image_id}").choice(others), False))
    return relations


def format_relations(posts: Sequence[Post], seed: int) -> str:
    """The same as CSV in the published layout."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, relation in enumerate(generate_relations(posts, seed), 1):
        post_id = f"{posts[0].split}-relation-{number:05d}"
        writer.writerow([post_id, relation.text, int(relation.related), relation.image_id])
    return text.getvalue()
