"""The download stage against real servers on loopback: every fate of an image, hostile names, and no network."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter

import pytest
import web
from web import (
    Handler,
    Project,
    body,
    closed_port,
    drip,
    endless,
    first,
    noise,
    picture,
    png_of_size,
    redirect,
    reset,
    serve,
    sideways,
    slow,
    status,
)

from ita import tables
from ita.stage import UserError
from ita.vision.verify import BadImage, verify

server, project, clean_slate = web.server, web.project, web.clean_slate


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
