"""A loopback server, pictures and a project folder for tests of the download stage, which assign its fixtures."""

from __future__ import annotations

import io
import socket
import struct
import threading
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ita import download, tables

FAST = {"allow_private": True, "backoff": 0.01, "connect_timeout": 2.0, "read_timeout": 0.4, "total_timeout": 3.0}


def picture(size: tuple[int, int] = (8, 6), kind: str = "PNG", colour: str = "red", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind, **options)
    return out.getvalue()


def noise(kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    Image.effect_noise((64, 48), 80).convert("RGB").save(out, kind)
    return out.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, with hardly any data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


def sideways() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture((8, 6), "JPEG", exif=exif)


Reply = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    replies: dict[str, Reply] = {}
    seen: Counter[str] = Counter()
    agents: set[str] = set()

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        Handler.seen[self.path] += 1
        Handler.agents.add(self.headers["User-Agent"])
        try:
            Handler.replies.get(self.path, status(404))(self)
        except OSError:
            self.close_connection = True

    def send(self, code: int, data: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content_Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    @property
    def times(self) -> int:
        return Handler.seen[self.path]


def body(data: bytes, **headers: str) -> Reply:
    return lambda handler: handler.send(200, data, **headers)


def status(code: int) -> Reply:
    return lambda handler: handler.send(code, b"<html>sorry</html>")


def redirect(to: str) -> Reply:
    return lambda handler: handler.send(302, Location=to)


def first(code: int, then: bytes, **headers: str) -> Reply:
    return lambda handler: handler.send(code, **headers) if handler.times == 1 else handler.send(200, then)


def slow(handler: Handler) -> None:
    time.sleep(0.8)
    handler.send(200, picture())


def drip(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(60):
        handler.wfile.write(b"\x89")
        time.sleep(0.1)


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    for _ in range(10_000):
        handler.wfile.write(b"x" * 65_536)


def reset(handler: Handler) -> None:
    if handler.times == 1:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        raise ConnectionResetError
    handler.send(200, picture())


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are what these tests are about."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    httpd = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    thread.join()
    httpd.socket.close()


@pytest.fixture(autouse=True)
def clean_slate() -> Iterator[None]:
    Handler.replies, Handler.seen, Handler.agents = {}, Counter(), set()
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        yield
    Image.MAX_IMAGE_PIXELS = limit


class Project:
    """A folder with posts.parquet and what the stage makes of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "images.parquet"
        self.posts = folder / "posts.parquet"

    def write_posts(self, images: dict[str, str | None] | list[tuple[str | None, str | None]]) -> None:
        pairs = images.items() if isinstance(images, dict) else images
        rows = [
            {"post_id": str(n), "split": "train", "image_id": image, "image_url": url, "tokens": ["a"], "tags": ["O"]}
            for n, (image, url) in enumerate(pairs)
        ]
        tables.write("posts", rows, self.posts)

    def run(self, images: Any = None, **options: Any) -> dict[str, dict[str, Any]]:
        if images is not None:
            self.write_posts(images)
        download.work({"download": {**FAST, **options}}, self.output, self.posts)
        return {row["image_id"]: row for row in tables.rows("images", self.output)}

    @property
    def journal(self) -> Path:
        return self.folder / "images" / "journal.jsonl"

    def files(self) -> list[Path]:
        return [path for path in (self.folder / "images").rglob("*") if path.is_file() and path != self.journal]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "results" / "x"
    folder.mkdir(parents=True)
    return Project(folder)


def serve(server: str, **replies: Reply) -> dict[str, str | None]:
    Handler.replies.update({f"/{name}": reply for name, reply in replies.items()})
    return {name: f"{server}/{name}" for name in replies}


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
