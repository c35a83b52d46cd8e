"""Crawler: images whose hosts cannot be reached, retries, and giving up without network."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from ita.config import Download
from ita.download.crawler import limits_of
from ita.errors import UserError
from tests.support import web
from tests.support.web import Handler, Project, body, closed_port, first, kind_of, picture, serve, status

server, project, clean_slate = web.server, web.project, web.clean_slate


def test_no_network_stops_at_once_and_says_what_to_do(project: Project) -> None:
    images = {str(n): f"http://127.0.0.1:{closed_port()}/{n}" for n in range(60)}
    start = time.monotonic()
    for _ in range(2):  # a rerun is no different
        with pytest.raises(UserError) as caught:
            project.run(images, backoff=30.0, attempts=5)
        for part in ("127.0.0.1", "first 24 images", "download.folder", "download.archive", "download.url", "mirror"):
            assert part in str(caught.value)
    assert time.monotonic() - start < 4
    assert not project.output.exists()


def test_zero_never_gives_up(project: Project) -> None:
    images = {str(n): f"http://127.0.0.1:{closed_port()}/{n}" for n in range(30)}
    rows = project.run(images, give_up_after=0, backoff=30.0)
    assert {(row["status"], kind_of(row)) for row in rows.values()} == {("failed", "connect")}


def test_a_dead_host_does_not_stop_images_of_a_living_one(project: Project, server: str) -> None:
    dead = f"http://127.0.0.1:{closed_port()}/"
    images = {f"dead{n}": dead + str(n) for n in range(10)} | serve(server, alive=body(picture()))
    rows = project.run(images, give_up_after=12, connections=2, attempts=3)
    assert rows.pop("alive")["status"] == "ok"
    assert {row["status"] for row in rows.values()} == {"failed"}
    assert {row["attempts"] for row in rows.values()} == {3}  # those deferred got the rest of their attempts
    # Only known failures remain: requested again, but no reason to stop.
    rows = project.run(give_up_after=5)
    assert Counter(row["status"] for row in rows.values()) == {"failed": 10, "ok": 1}


def test_errors_that_will_not_pass_are_not_retried(project: Project, server: str) -> None:
    images = serve(server, down=status(503), gone=status(404), page=body(b"<html>"), late=first(503, picture()))
    rows = project.run(images, attempts=3)
    assert {name: (row["status"], row["attempts"]) for name, row in rows.items()} == {
        "down": ("failed", 3),
        "gone": ("missing", 1),
        "page": ("refused", 1),
        "late": ("ok", 2),
    }
    assert Handler.requests == {"/down": 3, "/gone": 1, "/page": 1, "/late": 2}


def test_settings_become_the_limits_of_the_client() -> None:
    limits = limits_of(Download(max_bytes=7, per_host=3, allow_networks=["10.0.0.0/8"], user_agent="lab"))
    assert (limits.max_bytes, limits.per_host, limits.user_agent) == (7, 3, "lab")
    assert [str(network) for network in limits.allow] == ["10.0.0.0/8"]
