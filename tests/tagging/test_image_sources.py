"""Images of new posts from paths, URLs and bytes."""

import asyncio

from ita.config import Download
from ita.tagging.image_sources import ImageSources
from tests.support import web
from tests.support.web import FAST, Handler, body, picture, status

server, clean_slate = web.server, web.clean_slate


def fetched(sources, folder, **options):
    """Status and short class of the error of each image; the files are there while they are read."""
    with ImageSources(Download(**{**FAST, **options}), folder).open(sources) as images:
        assert all((image.path is not None) == (image.status == "ok") for image in images)
        assert all(image.path.is_file() for image in images if image.path)
        paths = [image.path for image in images]
    assert not any(path.exists() for path in paths if path)
    return [(image.status, (image.error or "").partition(":")[0]) for image in images], paths


def test_every_source_has_its_fate(server, tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    (tmp_path / "torn.png").write_bytes(web.noise()[:1500])
    (tmp_path / "text.png").write_text("no image")
    Handler.replies = {"/b.jpg": body(picture(kind="JPEG")), "/bad": status(500)}
    sources = ["a.png", str(tmp_path / "a.png"), f"{server}/b.jpg", picture(colour="blue"), "gone.png", "text.png"]
    sources += ["torn.png", ".", f"{server}/gone", "ftp://x.org/a.png", "a\0b", f"{server}/b.jpg", b"text"]
    fates, paths = fetched(sources, tmp_path)
    assert fates[:4] == [("ok", "")] * 4 and paths[0] == paths[1]
    assert fates[4:] == [
        ("missing", "not-found"),
        ("refused", "not-an-image"),
        ("refused", "truncated"),
        ("failed", "unreadable"),
        ("missing", "http-404"),
        ("refused", "bad-scheme"),
        ("failed", "unreadable"),
        ("ok", ""),
        ("refused", "not-an-image"),
    ]
    assert Handler.requests["/b.jpg"] == 1, "each distinct image is fetched once"


def test_the_guard_and_the_limits_hold(server, tmp_path):
    Handler.replies = {"/a.png": body(picture((40, 40)))}
    (fate,), _ = fetched([f"{server}/a.png"], tmp_path, allow_networks=[])
    assert fate == ("refused", "private-address") and not Handler.requests
    assert (
        fetched([f"{server}/a.png", picture((40, 40))], tmp_path, max_pixels=100)[0]
        == [("refused", "too-many-pixels")] * 2
    )
    (tmp_path / "a.png").write_bytes(picture((40, 40)))
    assert fetched(["a.png", f"{server}/a.png"], tmp_path, max_bytes=20)[0] == [("refused", "too-large")] * 2


def test_a_server_that_is_away_stops_nothing(tmp_path):
    gone = [f"http://127.0.0.1:{web.closed_port()}/{number}.png" for number in range(30)]
    fates, _ = fetched([*gone, picture()], tmp_path)
    assert fates == [("failed", "connect")] * 30 + [("ok", "")]


def test_paths_of_strangers_are_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    assert fetched([str(tmp_path / "a.png")], None)[0] == [("refused", "path")]


def test_in_a_running_loop(server, tmp_path):
    """As in a notebook."""
    Handler.replies = {"/a.png": body(picture())}

    async def cell():
        return fetched([f"{server}/a.png"], tmp_path)[0]

    assert asyncio.run(cell()) == [("ok", "")]
