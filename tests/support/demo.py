"""The demo's posts for tests."""

from __future__ import annotations

from collections.abc import Sequence

from ita.config import Demo
from ita.demo.posts import Post, generate_posts

SMALL = {"train": 96, "valid": 24, "test": 48}
"""Settings of a small data set."""


def generate(settings: Demo) -> list[Post]:
    """The posts of the stage demo."""
    return generate_posts(settings.seed, {"train": settings.train, "valid": settings.valid, "test": settings.test})


def share(values: Sequence[bool]) -> float:
    """Share of True."""
    return sum(values) / len(values)
