"""A loopback server, image bytes and a project folder for tests of the download stage, which assign its fixtures."""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ita.io import parquet
from ita.stages import download
from tests.support.paths import ROOT

FAST = {
    "allow_all_missing": True,
    "allow_networks": ["127.0.0.1", "::1"],
    "backoff": 0.01,
    "connect_timeout": 5.0,
    "read_timeout": 5.0,
    "total_timeout": 20.0,
}
"""Settings of the download stage for a server on loopback."""


def picture(size: tuple[int, int] = (8, 6), kind: str = "PNG", colour: str = "red", **options: Any) -> bytes:
    """An image file of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind, **options)
    return out.getvalue()


def noise(kind: str = "JPEG") -> bytes:
    """An image file of noise, some kilobytes long."""
    out = io.BytesIO()
    Image.effect_noise((64, 48), 80).convert("RGB").save(out, kind)
    return out.getvalue()


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes = b"", *more: tuple[bytes, bytes]) -> bytes:
    """A PNG written by hand.

    Args:
        size: width and height that the header claims.
        depth: bits of a sample.
        colour: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
        rows: samples, with the zero before each row.
        more: chunks between header and rows: name and content.
    """
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *more, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    written = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def sideways() -> bytes:
    """A JPEG of 8 x 6 stored pixels that EXIF turns upright: 6 x 8."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture((8, 6), "JPEG", exif=exif)


Reply = Callable[["Handler"], None]
"""Answers a request."""


class Handler(BaseHTTPRequestHandler):
    """Answers each path with its reply, 404 where there is none.

    Attributes:
        replies: path -> reply.
        requests: path -> how often it was requested.
        agents: User-Agent headers of the requests.
    """

    protocol_version = "HTTP/1.1"
    replies: dict[str, Reply] = {}
    requests: Counter[str] = Counter()
    agents: set[str] = set()

    def log_message(self, *_: object) -> None:
        """Logs nothing."""

    def do_GET(self) -> None:
        """Counts a request and answers it."""
        Handler.requests[self.path] += 1
        Handler.agents.add(self.headers["User-Agent"])
        try:
            Handler.replies.get(self.path, status(404))(self)
        except OSError:
            self.close_connection = True

    def send(self, code: int, data: bytes = b"", **headers: str) -> None:
        """Sends a response; ``_`` in the name of a header becomes ``-``."""
        self.send_response(code)
        for name, value in {"Content_Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    @property
    def times(self) -> int:
        """How often this path was requested, this request included."""
        return Handler.requests[self.path]


def body(data: bytes, **headers: str) -> Reply:
    """Status 200 with a body."""
    return lambda handler: handler.send(200, data, **headers)


def status(code: int) -> Reply:
    """A status with a page of HTML."""
    return lambda handler: handler.send(code, b"<html>sorry</html>")


def redirect(location: str) -> Reply:
    """Status 302."""
    return lambda handler: handler.send(302, Location=location)


def at_first(reply: Reply, then: Reply) -> Reply:
    """One reply to the first request, another one to later requests."""
    return lambda handler: (reply if handler.times == 1 else then)(handler)


def first(code: int, then: bytes, **headers: str) -> Reply:
    """A status at first, a body later."""
    return at_first(lambda handler: handler.send(code, **headers), body(then))


def reset(handler: Handler) -> None:
    """Resets the connection as a crashed server does."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    raise ConnectionResetError


def raw(*parts: bytes, pause: float = 0.0) -> Reply:
    """A response written byte for byte, after which the server closes the connection."""

    def reply(handler: Handler) -> None:
        handler.close_connection = True
        for part in parts:
            handler.wfile.write(part)
            time.sleep(pause)

    return reply


class Server(ThreadingHTTPServer):
    """A server whose threads do not outlive the process."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients that close connections are what these tests are about."""


@contextmanager
def running(httpd: ThreadingHTTPServer) -> Iterator[str]:
    """Runs a server in a thread; its address without the scheme."""
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{httpd.server_address[1]}"
    finally:
        httpd.shutdown()
        thread.join()
        httpd.socket.close()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of a server that answers as Handler.replies says."""
    with running(Server(("127.0.0.1", 0), Handler)) as address:
        yield f"http://{address}"


@pytest.fixture(autouse=True)
def clean_slate() -> Iterator[None]:
    """Forgets replies and requests before a test, and restores Pillow's limits after it."""
    Handler.replies, Handler.requests, Handler.agents = {}, Counter(), set()
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        yield
    Image.MAX_IMAGE_PIXELS = limit


Images = Mapping[str, str | None] | list[tuple[str | None, str | None]]
"""URLs of images by id, or pairs of both where an id comes twice or is missing."""


class Project:
    """A folder with posts.parquet and what the stage makes of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "images.parquet"
        self.posts = folder / "posts.parquet"
        self.store = folder / "images"

    def write_posts(self, images: Images) -> None:
        """Writes one post for each image."""
        pairs = images.items() if isinstance(images, Mapping) else images
        rows = [
            {"post_id": str(n), "split": "train", "image_id": image, "image_url": url, "tokens": ["a"], "tags": ["O"]}
            for n, (image, url) in enumerate(pairs)
        ]
        parquet.write("posts", rows, self.posts)

    def run(self, images: Images | None = None, **options: Any) -> dict[str, dict[str, Any]]:
        """Runs the stage, over new posts or those of the last run; returns its rows by image id."""
        if images is not None:
            self.write_posts(images)
        shards = [self.folder / "images" / f"{name}.tar" for name in options.pop("shards", ())]
        download.work({"download": {**FAST, **options}}, self.output, self.posts, self.store, shards)
        return {row["image_id"]: row for row in parquet.rows("images", self.output)}

    @property
    def journal(self) -> Path:
        """The stage's journal."""
        return self.store / "journal.jsonl"

    def content(self, row: dict[str, Any]) -> bytes:
        """Content of the image of a row, which lies in a file of its own or in a shard."""
        start = row["offset"] or 0
        return (self.folder / row["path"]).read_bytes()[start : start + row["bytes"]]

    def files(self) -> list[Path]:
        """The stored images."""
        return [path for path in self.store.rglob("*") if path.is_file() and path != self.journal]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    folder = tmp_path / "results" / "x"
    folder.mkdir(parents=True)
    return Project(folder)


def serve(server: str, **replies: Reply) -> dict[str, str | None]:
    """Sets the replies of images; returns their URLs by id."""
    Handler.replies.update({f"/{name}": reply for name, reply in replies.items()})
    return {name: f"{server}/{name}" for name in replies}


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def kind_of(row: Mapping[str, Any]) -> str:
    """The short class of a row's error, empty where there is none."""
    return (row["error"] or "").partition(":")[0]


def arguments(project: Project, **options: Any) -> list[str]:
    """Command line of the stage."""
    settings = json.dumps({"download": {**FAST, **options}})
    files = ["--posts", str(project.posts), "--store", str(project.store), "--output", str(project.output)]
    return ["--settings", settings, *files]


def environment() -> dict[str, str]:
    """Environment of processes that run the code under test, installed or not."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def start_stage(project: Project, **options: Any) -> subprocess.Popen[str]:
    """Starts the stage in a process of its own."""
    command = [sys.executable, "-m", "ita", "download", *arguments(project, **options)]
    return subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
