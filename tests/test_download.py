"""The download stage against real servers on loopback: every fate of an image, resuming, and hostile names."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ita import download, tables
from ita.stage import UserError
from ita.vision.verify import BadImage, verify

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


# What becomes of an image


def test_every_fate(project: Project, server: str) -> None:
    whole = noise()
    images = serve(
        server,
        png=body(picture(), Content_Type="image/jpeg"),
        gone=status(404),
        gone_for_good=status(410),
        forbidden=status(403),
        login=status(401),
        teapot=status(418),
        stumbles=first(500, picture(colour="blue")),
        busy=first(429, picture(colour="green"), Retry_After="1"),
        resets=reset,
        broken_server=status(503),
        slow=slow,
        page=body(b"<!doctype html><html>not here</html>", Content_Type="image/png"),
        empty=body(b""),
        svg=body(b"<svg xmlns='http://www.w3.org/2000/svg'/>", Content_Type="image/svg+xml"),
        half=body(whole[: len(whole) // 2]),
        corrupt=body(picture()[:40] + b"\0" * 20),
        endless=endless,
        big=body(b"x" * 70_000),
        claims_more=body(whole, Content_Length=str(len(whole) + 50), Connection="close"),
        claims_less=body(whole, Content_Length=str(len(whole) // 2), Connection="close"),
        claims_much=body(whole, Content_Length=str(10**15), Connection="close"),
        two_lengths=body(whole, **{"Content-Length": "7"}),
        moved=redirect("/png"),
        circle=redirect("/circle"),
        to_file=redirect("file:///etc/passwd"),
        nowhere=lambda handler: handler.send(302),
        bomb=body(png_of_size(30_000, 30_000)),
    )
    images |= {"scheme": "ftp://example.org/a.jpg", "local": "file:///etc/passwd", "junk": "http://[", "none": None}
    rows = project.run(images, max_bytes=60_000, attempts=2)

    assert list(rows) == list(images)
    found = {name: (row["status"], (row["error"] or "").partition(":")[0]) for name, row in rows.items()}
    assert found == {
        "png": ("ok", ""),
        "gone": ("missing", "http-404"),
        "gone_for_good": ("missing", "http-410"),
        "forbidden": ("refused", "http-403"),
        "login": ("refused", "http-401"),
        "teapot": ("refused", "http-418"),
        "stumbles": ("ok", ""),
        "busy": ("ok", ""),
        "resets": ("ok", ""),
        "broken_server": ("failed", "http-503"),
        "slow": ("failed", "read-timeout"),
        "page": ("refused", "not-an-image"),
        "empty": ("refused", "not-an-image"),
        "svg": ("refused", "not-an-image"),
        "half": ("refused", "truncated"),
        "corrupt": ("refused", found["corrupt"][1]),
        "endless": ("refused", "too-large"),
        "big": ("refused", "too-large"),
        "claims_more": ("failed", "incomplete"),
        "claims_less": found["claims_less"],
        "claims_much": ("refused", "too-large"),
        "two_lengths": ("failed", "bad-response"),
        "moved": ("ok", ""),
        "circle": ("refused", "too-many-redirects"),
        "to_file": ("refused", "bad-scheme"),
        "nowhere": ("refused", "http-302"),
        "bomb": ("refused", "too-many-pixels"),
        "scheme": ("refused", "bad-scheme"),
        "local": ("refused", "bad-scheme"),
        "junk": ("refused", "bad-url"),
        "none": ("missing", "no-url"),
    }
    assert found["claims_less"] in [("refused", "truncated"), ("failed", "bad-response")]  # by how the bytes come in
    assert found["corrupt"][1] in ("corrupt", "truncated", "not-an-image")
    png = rows["png"]
    digest = hashlib.sha256(picture()).hexdigest()
    assert (png["sha256"], png["format"], png["width"], png["height"]) == (digest, "PNG", 8, 6)
    assert (png["bytes"], png["http_status"], png["attempts"]) == (len(picture()), 200, 1)
    assert png["path"] == f"images/{digest[:2]}/{digest}.png"
    assert (project.folder / png["path"]).read_bytes() == picture()
    assert {rows[name]["attempts"] for name in ("stumbles", "busy", "broken_server", "slow")} == {2}
    assert {Handler.seen[f"/{name}"] for name in ("gone", "forbidden", "page", "half", "big", "endless")} == {1}
    assert Handler.seen["/circle"] == 6
    assert rows["broken_server"]["http_status"] == 503
    assert Handler.agents == {"ita-ner (research; image-text alignment)"}
    counts = tables.about(tables.read("images", project.output))["counts"]
    assert counts == Counter(row["status"] for row in rows.values())


def test_retry_after_is_waited_for(project: Project, server: str) -> None:
    start = time.monotonic()
    rows = project.run(serve(server, busy=first(503, picture(), Retry_After="1")))
    assert rows["busy"]["status"] == "ok"
    assert time.monotonic() - start >= 1


def test_retry_after_beyond_the_total_timeout_is_not_waited_for(project: Project, server: str) -> None:
    start = time.monotonic()
    row = project.run(serve(server, busy=first(429, picture(), Retry_After="3600")))["busy"]
    assert (row["status"], row["http_status"], row["attempts"]) == ("failed", 429, 1)
    assert time.monotonic() - start < 2


def test_total_timeout_ends_a_drip(project: Project, server: str) -> None:
    start = time.monotonic()
    row = project.run(serve(server, drip=drip), total_timeout=0.5, attempts=1)["drip"]
    assert (row["status"], row["error"].partition(":")[0]) == ("failed", "total-timeout")
    assert time.monotonic() - start < 2


def test_private_addresses_are_refused_by_default(project: Project, server: str) -> None:
    Handler.replies["/a"] = body(picture())
    named = server.replace("127.0.0.1", "localhost")
    rows = project.run({"number": f"{server}/a", "name": f"{named}/a"}, allow_private=False)
    for row in rows.values():
        assert (row["status"], row["error"].partition(":")[0]) == ("refused", "private-address")
    assert not Handler.seen
    rows = project.run(allow_private=True)  # refusals that hang on a limit are not kept when it changes
    assert {row["status"] for row in rows.values()} == {"ok"}


def test_exif_orientation_swaps_width_and_height(project: Project, server: str) -> None:
    row = project.run(serve(server, turned=body(sideways())))["turned"]
    assert (row["format"], row["width"], row["height"]) == ("JPEG", 6, 8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_formats(kind: str) -> None:
    assert verify(picture((5, 7), kind), 35) == (kind, 5, 7)
    with pytest.raises(BadImage, match="at most 34") as caught:
        verify(picture((5, 7), kind), 34)
    assert caught.value.kind == "too-many-pixels"


def test_formats_outside_the_list_are_refused() -> None:
    with pytest.raises(BadImage) as caught:
        verify(picture(kind="TIFF"), 100)
    assert caught.value.kind == "not-an-image"


def test_every_prefix_of_an_image_is_refused_or_whole() -> None:
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP"):
        data = noise(kind)
        for length in range(0, len(data) * 3 // 4, 97):
            with pytest.raises(BadImage):
                verify(data[:length], 10**6)


def test_same_bytes_under_two_ids_are_one_file(project: Project, server: str) -> None:
    same = picture((300, 200))
    rows = project.run(serve(server, **{f"i{n}": body(same) for n in range(12)}))
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert len({row["path"] for row in rows.values()}) == 1
    assert len(project.files()) == 1


def test_posts_without_image_and_repeated_ids(project: Project, server: str) -> None:
    serve(server, one=body(picture()), two=body(picture()))
    rows = project.run(
        [("b", None), (None, None), ("a", f"{server}/one"), ("b", f"{server}/two"), ("a", f"{server}/x")]
    )
    assert list(rows) == ["b", "a"]
    assert [row["url"] for row in rows.values()] == [f"{server}/two", f"{server}/one"]


def test_template_quotes_ids(project: Project, server: str) -> None:
    Handler.replies["/m/..%2F..%2Fetc%2Fpasswd.jpg"] = body(picture())
    Handler.replies["/m/a%20b%3Fc.jpg"] = body(picture())
    rows = project.run({"../../etc/passwd": None, "a b?c": None}, url=server + "/m/{image_id}.jpg")
    assert [row["status"] for row in rows.values()] == ["ok", "ok"]


def test_template_without_id_is_an_error(project: Project) -> None:
    with pytest.raises(UserError, match=r"download\.url must contain \{image_id\}"):
        project.run({"a": None}, url="http://example.org/")


def test_at_most_per_host_requests_in_flight(project: Project, server: str) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def counted(handler: Handler) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1
        handler.send(200, picture())

    rows = project.run(serve(server, **{f"i{n}": counted for n in range(20)}), connections=10, per_host=3)
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert most == 3


def test_no_posts_with_images(project: Project) -> None:
    assert project.run([(None, None)]) == {}


def test_log_counts_errors_and_warns(project: Project, server: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        project.run(serve(server, a=body(picture()), b=status(404), c=status(404)))
    assert "download: 1 ok, 2 missing, 0 failed, 0 refused" in caplog.messages
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "download: 2 of 3 images are not there (2 x http-404)"
    ]


# No network


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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
    assert {(row["status"], row["error"].partition(":")[0]) for row in rows.values()} == {("failed", "connect")}


def test_a_dead_host_does_not_stop_images_of_a_living_one(project: Project, server: str) -> None:
    dead = f"http://127.0.0.1:{closed_port()}/"
    images = {f"dead{n}": dead + str(n) for n in range(10)} | serve(server, alive=body(picture()))
    rows = project.run(images, give_up_after=12, connections=2, attempts=3)
    assert rows.pop("alive")["status"] == "ok"
    assert {row["status"] for row in rows.values()} == {"failed"}
    assert {row["attempts"] for row in rows.values()} == {3}  # those put off got the rest of their attempts
    # Nothing but known failures is left: asked again, but no reason to stop.
    rows = project.run(give_up_after=5)
    assert Counter(row["status"] for row in rows.values()) == {"failed": 10, "ok": 1}


# Folders and archives


def test_folder(project: Project, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "a").write_bytes(picture(colour="red"))
    (source / "b.JPG").write_bytes(picture(colour="green"))
    (source / "c.png").write_bytes(b"not an image")
    (source / "d.jpg").write_bytes(picture(colour="blue"))
    (source / "d.jpg.png").write_bytes(picture(colour="white"))
    (source / "sub" / "deep.jpg").write_bytes(picture())
    (source / "big.bmp").write_bytes(picture((200, 200), "BMP"))
    (tmp_path / "secret.jpg").write_bytes(picture(colour="black"))
    (source / "leak.jpg").symlink_to(tmp_path / "secret.jpg")
    (source / "alias.jpg").symlink_to(source / "sub" / "deep.jpg")
    hostile = [
        "../secret",
        "../secret.jpg",
        str(tmp_path / "secret.jpg"),
        "sub/deep",
        "..",
        ".",
        "",
        "x\0y",
        "e" * 5000,
    ]
    ids = ["a", "b", "c", "d", "d.jpg", "deep", "big", "leak", "alias", *hostile]
    rows = project.run(dict.fromkeys(ids), source="folder", folder=str(source), max_bytes=50_000)
    found = {image: (row["status"], (row["error"] or "").partition(":")[0]) for image, row in rows.items()}
    assert found == {
        "a": ("ok", ""),
        "b": ("ok", ""),
        "c": ("refused", "not-an-image"),
        "d": ("ok", ""),
        "d.jpg": ("ok", ""),
        "deep": ("missing", "not-found"),
        "big": ("refused", "too-large"),
        "leak": ("refused", "outside-folder"),
        "alias": ("ok", ""),
        **dict.fromkeys(hostile, ("missing", "not-found")),
    }
    assert list(rows) == ids
    assert rows["d"]["sha256"] == rows["d.jpg"]["sha256"] == hashlib.sha256(picture(colour="blue")).hexdigest()
    assert {row["url"] for row in rows.values()} == {None}


def test_folder_is_read_again_but_times_stay(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a.png", "b.png"):
        (source / name).write_bytes(picture())
    clock = iter(f"2026-01-01T00:00:{second:02}+00:00" for second in range(60))
    monkeypatch.setattr(download, "now", lambda: next(clock))
    options = {"source": "folder", "folder": str(source)}
    before = project.run(dict.fromkeys(["a", "b", "c"]), **options)
    (source / "a.png").write_bytes(picture(colour="blue"))
    after = project.run(**options)
    assert after["a"]["sha256"] == hashlib.sha256(picture(colour="blue")).hexdigest()
    assert after["a"]["fetched_at"] > before["a"]["fetched_at"]
    assert (after["b"], after["c"]) == (before["b"], before["c"])


MEMBERS = {
    "pictures/a.jpg": picture(colour="red"),
    "b.png": picture(colour="blue"),
    "../evil.png": picture(colour="black"),
    "/tmp/ita-absolute.png": picture(colour="white"),
    "..\\windows.png": picture(colour="yellow"),
    "big.bmp": picture((200, 200), "BMP"),
    "c.png": b"not an image",
}
IDS = ["a", "b", "evil", "ita-absolute", "windows", "big", "c", "link", "pictures", "../../etc/passwd", "../evil.png"]


def make_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("pictures/", b"")
        for name, data in MEMBERS.items():
            package.writestr(name, data)
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        package.writestr(link, "/etc/passwd")


def make_tar(path: Path) -> None:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, kind in (("link.png", tarfile.SYMTYPE), ("pictures", tarfile.DIRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        for name, data in MEMBERS.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize(("name", "make"), [("i.zip", make_zip), ("i.tar", make_tar), ("i.tar.gz", make_tar)])
def test_archive(project: Project, tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    make(tmp_path / name)
    rows = project.run(dict.fromkeys(IDS), source="archive", archive=str(tmp_path / name), max_bytes=50_000)
    assert list(rows) == IDS
    assert {image: row["status"] for image, row in rows.items()} == {
        **dict.fromkeys(["a", "b", "evil", "ita-absolute", "windows"], "ok"),
        **dict.fromkeys(["big", "c"], "refused"),
        **dict.fromkeys(["link", "pictures", "../../etc/passwd", "../evil.png"], "missing"),
    }
    assert rows["a"]["sha256"] == hashlib.sha256(MEMBERS["pictures/a.jpg"]).hexdigest()
    made = {path for path in tmp_path.rglob("*") if path.is_file()}
    known = {tmp_path / name, project.posts, project.output, project.journal}
    assert made - known == {project.folder / row["path"] for row in rows.values() if row["path"]}
    assert not Path("/tmp/ita-absolute.png").exists()


def test_broken_member_costs_only_itself(project: Project, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "i.zip", "w") as package:
        package.writestr("a.png", picture(colour="red"))
        package.writestr("b.png", picture(colour="blue"))
    data = bytearray((tmp_path / "i.zip").read_bytes())
    data[data.index(b"IDAT") + 6] ^= 0xFF
    (tmp_path / "i.zip").write_bytes(data)
    rows = project.run(dict.fromkeys(["a", "b"]), source="archive", archive=str(tmp_path / "i.zip"))
    assert (rows["a"]["status"], rows["a"]["error"].partition(":")[0]) == ("refused", "unreadable")
    assert rows["b"]["status"] == "ok"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "folder"}, "download.folder must name it"),
        ({"source": "folder", "folder": "/no/such"}, "/no/such cannot be read"),
        ({"source": "archive"}, "download.archive must name it"),
        ({"source": "archive", "archive": "/no/such.zip"}, "/no/such.zip"),
        ({"source": "archive", "archive": __file__}, "neither a zip nor a tar"),
    ],
)
def test_sources_that_cannot_be_used(project: Project, options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        project.run({"a": None}, **options)
    assert message in str(caught.value)
    assert not project.output.exists()


@pytest.mark.parametrize("cut", [0.3, 0.7])
def test_cut_archives_are_named_as_such(project: Project, tmp_path: Path, cut: float) -> None:
    make_tar(tmp_path / "i.tar.gz")
    data = (tmp_path / "i.tar.gz").read_bytes()
    (tmp_path / "i.tar.gz").write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(UserError, match=r"i\.tar\.gz is broken"):
        project.run({"a": None}, source="archive", archive=str(tmp_path / "i.tar.gz"))


def test_no_source(project: Project) -> None:
    rows = project.run({"a": "http://example.org/a.jpg", "b": None}, source="none")
    assert {(row["status"], row["error"].partition(":")[0]) for row in rows.values()} == {("missing", "no-source")}
    assert not project.journal.exists()


# Going on where a run stopped


def test_second_run_asks_only_for_what_may_have_changed(project: Project, server: str) -> None:
    images = serve(
        server,
        good=body(picture()),
        gone=status(404),
        page=body(b"<html>"),
        down=status(500),
        lost=body(picture((9, 9))),
    )
    before = project.run(images, attempts=1)
    size = project.journal.stat().st_size
    Handler.seen.clear()
    (project.folder / before["lost"]["path"]).unlink()
    after = project.run(attempts=1)
    assert Handler.seen == {"/down": 1, "/lost": 1}
    assert {name: after[name] for name in ("good", "gone", "page")} == {n: before[n] for n in ("good", "gone", "page")}
    assert (project.folder / after["lost"]["path"]).is_file()
    assert project.journal.stat().st_size >= size

    Handler.seen.clear()
    Handler.replies["/gone"] = body(picture())
    after = project.run(attempts=1, retry_failed=True)
    assert Handler.seen == {"/gone": 1, "/page": 1, "/down": 1}
    assert after["gone"]["status"] == "ok"


def test_unchanged_run_makes_no_request_and_the_same_table(project: Project, server: str) -> None:
    before = project.run(serve(server, good=body(picture()), gone=status(404)))
    journal = project.journal.read_bytes()
    Handler.seen.clear()
    assert project.run() == before
    assert not Handler.seen
    assert project.journal.read_bytes() == journal


def test_another_url_and_a_damaged_file_are_asked_again(project: Project, server: str) -> None:
    serve(server, old=body(picture(colour="red")), new=body(picture(colour="blue")))
    old = project.run({"a": f"{server}/old"})["a"]
    new = project.run({"a": f"{server}/new"})["a"]
    assert old["sha256"] != new["sha256"]
    (project.folder / new["path"]).write_bytes(b"cut")
    assert project.run()["a"]["sha256"] == new["sha256"]
    assert (project.folder / new["path"]).read_bytes() == picture(colour="blue")
    assert Handler.seen == {"/old": 1, "/new": 2}


def test_folder_run_is_not_taken_for_a_download(project: Project, server: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    images = serve(server, a=body(picture(colour="blue")))
    project.run(images, source="folder", folder=str(tmp_path))
    assert project.run()["a"]["sha256"] == hashlib.sha256(picture(colour="blue")).hexdigest()


def test_tighter_limits_hold_for_images_already_there(project: Project, server: str) -> None:
    project.run(serve(server, a=body(picture())))
    assert project.run(max_pixels=10)["a"]["error"].startswith("too-many-pixels")
    assert project.run()["a"]["status"] == "ok"


@pytest.mark.parametrize(
    "torn", [b'{"image_id": "b", "sta', b"\0\0\0", b"[1]\n", b'{"image_id": "b"}\n', b"\xff\xfe\n"]
)
def test_torn_journal_lines_are_passed_over(project: Project, server: str, torn: bytes) -> None:
    images = serve(server, a=body(picture()))
    project.run(images)
    with open(project.journal, "ab") as journal:
        journal.write(torn)
    images |= serve(server, b=body(picture()))
    for _ in range(2):
        rows = project.run(images)
        assert [row["status"] for row in rows.values()] == ["ok", "ok"]
    assert Handler.seen == {"/a": 1, "/b": 1}
    assert json.loads(project.journal.read_bytes().splitlines()[-1])["image_id"] == "b"


def command(project: Project, **options: Any) -> subprocess.Popen[str]:
    settings = json.dumps({"download": {**FAST, **options}})
    arguments = ["--settings", settings, "--posts", str(project.posts), "--output", str(project.output)]
    environment = {**os.environ, "PYTHONPATH": str(Path(download.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-m", "ita.download", *arguments], env=environment, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_is_completed_by_the_next(project: Project, server: str, how: signal.Signals) -> None:
    def reply(handler: Handler) -> None:
        time.sleep(0.03)
        handler.send(200, picture((int(handler.path[2:]) + 1, 5)))

    images = serve(server, **{f"i{n}": reply for n in range(80)})
    project.write_posts(images)
    process = command(project, connections=2)
    limit = time.monotonic() + 15
    while sum(Handler.seen.values()) < 20 and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(how)
    errors = process.communicate(timeout=10)[1]
    assert process.returncode == (-9 if how is signal.SIGKILL else 130), errors
    assert not project.output.exists()
    asked = set(Handler.seen)
    assert 20 <= len(asked) < 80

    rows = project.run()
    assert [row["width"] for row in rows.values()] == list(range(1, 81))
    assert {row["status"] for row in rows.values()} == {"ok"}
    again = {path for path, times in Handler.seen.items() if times > 1}
    assert len(again) <= 6  # only what was under way
    assert {project.folder / row["path"] for row in rows.values()} <= set(project.files())
    for row in rows.values():
        assert hashlib.sha256((project.folder / row["path"]).read_bytes()).hexdigest() == row["sha256"]


def test_command_line_says_what_is_wrong(project: Project) -> None:
    project.write_posts({str(n): f"http://127.0.0.1:{closed_port()}/{n}" for n in range(3)})
    process = command(project, give_up_after=2)
    errors = process.communicate(timeout=15)[1]
    assert process.returncode == 1
    assert "download: no server answered" in errors
    assert "Traceback" not in errors
