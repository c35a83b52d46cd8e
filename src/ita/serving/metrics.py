"""Counters of the service in Prometheus' text format, over all its processes."""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
POSTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TOKENS = (16, 64, 256, 1024, 4096, 16384)
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Variable of the environment: where several processes keep their values."""

requests = Counter("ita_requests", "Requests answered", ["route", "status"])
seconds = Histogram("ita_request_seconds", "Seconds to answer a request", ["route"], buckets=SECONDS)
errors = Counter("ita_errors", "Requests answered with an error, by its code", ["code"])
posts = Counter("ita_posts", "Posts tagged")
unread_posts = Counter("ita_unread_posts", "Posts that could not be read")
tokens = Counter("ita_tokens", "Words of tagged posts")
images = Counter("ita_images", "Images of posts, by what became of them", ["status"])
queue_posts = Gauge("ita_queue_posts", "Posts that wait or are worked on", multiprocess_mode="livesum")
queue_images = Gauge("ita_queue_images", "Images that wait or are worked on", multiprocess_mode="livesum")
connections = Gauge("ita_connections", "Open connections", multiprocess_mode="livesum")
batch_posts = Histogram("ita_batch_posts", "Posts of a forward pass", buckets=POSTS)
batch_tokens = Histogram("ita_batch_tokens", "Words of a forward pass", buckets=TOKENS)
batch_images = Histogram("ita_batch_images", "Images that were read together", buckets=POSTS)

CONTENT_TYPE = CONTENT_TYPE_LATEST


def observe_batch(count: int, weight: int) -> None:
    """Counts a forward pass."""
    batch_posts.observe(count)
    batch_tokens.observe(weight)


def observe_images(count: int, weight: int) -> None:
    """Counts images that were read together."""
    batch_images.observe(count)


def text() -> bytes:
    """All values, those of the other processes too."""
    if FOLDER not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry)


def forget_process(pid: int) -> None:
    """Takes the gauges of a process that has ended out of the sums."""
    multiprocess.mark_process_dead(pid)
