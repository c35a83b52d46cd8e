"""Limits and settings of the service; the command line is made of these fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ita.errors import UserError

MIB = 1 << 20


def option(default: Any, text: str) -> Any:
    """A field with its help."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What the service allows, per process where not said otherwise."""

    workers: int = option(1, "processes, each with the model; one that dies is started again")
    threads: int = option(0, "threads of a process for the model; 0: those of torch divided by the workers")
    batch_tokens: int = option(1024, "most words, of posts and image texts, in a forward pass for many clients")
    max_queue_posts: int = option(1024, "posts that wait or are worked on; more are answered 429")
    max_queue_images: int = option(64, "images that wait or are worked on; more are answered 429")
    max_posts: int = option(128, "posts of a request")
    max_text: int = option(5_000, "characters of a post, its context included")
    max_body: int = option(16 * MIB, "bytes of a request")
    max_image_bytes: int = option(10 * MIB, "bytes of an image; a larger one is refused, its text is tagged")
    max_pixels: int = option(40_000_000, "pixels of an image, likewise")
    max_connections: int = option(
        2048, "open connections; beyond them those that waited longest for a request are closed"
    )
    max_buffered: int = option(256 * MIB, "bytes of all requests in memory; more are answered 429")
    request_seconds: float = option(30.0, "seconds for the answer; then 504")
    body_seconds: float = option(20.0, "seconds for the body of a request to arrive; then 408")
    header_seconds: float = option(10.0, "seconds for its first lines, and until the next request of a connection")
    stop_seconds: float = option(30.0, "seconds to answer what has come, after SIGTERM")

    def check(self) -> None:
        """Raises UserError for a value that cannot be."""
        for name, value in vars(self).items():
            if value <= 0 and name != "threads":
                raise UserError(f"--{name.replace('_', '-')}: found {value}, expected more than 0")
        if self.max_posts > self.max_queue_posts:
            raise UserError(f"--max-posts {self.max_posts} is more than --max-queue-posts {self.max_queue_posts}")
