"""The download stage against a server on loopback: files and rows, repeated and odd ids, memory, and no network."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from ita.errors import UserError
from ita.io import parquet
from tests.support import web
from tests.support.web import (
    Handler,
    Project,
    arguments,
    body,
    environment,
    picture,
    serve,
    sideways,
    status,
)

server, project, clean_slate = web.server, web.project, web.clean_slate


# What becomes of an image


def test_an_image_becomes_a_file_and_a_row(project: Project, server: str) -> None:
    png = project.run(serve(server, png=body(picture(), Content_Type="image/jpeg")))["png"]
    digest = hashlib.sha256(picture()).hexdigest()
    assert (png["sha256"], png["format"], png["width"], png["height"]) == (digest, "PNG", 8, 6)
    assert (png["bytes"], png["http_status"], png["attempts"]) == (len(picture()), 200, 1)
    assert png["path"] == f"images/{digest[:2]}/{digest}.png"
    assert (project.folder / png["path"]).read_bytes() == picture()
    assert Handler.agents == {"ita-ner (research; image-text alignment)"}
    counts = parquet.metadata(parquet.read("images", project.output))["counts"]
    assert counts == {"ok": 1, "missing": 0, "failed": 0, "refused": 0}


def test_exif_orientation_swaps_width_and_height(project: Project, server: str) -> None:
    row = project.run(serve(server, turned=body(sideways())))["turned"]
    assert (row["format"], row["width"], row["height"]) == ("JPEG", 6, 8)


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


@pytest.mark.slow
def test_memory_is_flat(project: Project, server: str) -> None:
    blank = bytearray(picture((256, 192), "BMP"))

    def reply(handler: Handler) -> None:
        number = int(handler.path[2:]).to_bytes(3, "big")
        handler.send(200, bytes(blank[:-3]) + number)

    program = "import sys; from ita.__main__ import main; main(sys.argv[1:]); print(open('/proc/self/status').read())"
    peaks = []
    for count in (500, 3000):
        images = serve(server, **{f"i{n}": reply for n in range(count)})
        project.write_posts(images)
        words = [sys.executable, "-c", program, "download", *arguments(project)]
        output = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True).stdout
        assert set(parquet.read("images", project.output)["status"].to_pylist()) == {"ok"}
        peaks.append(int(output.partition("VmHWM:")[2].split()[0]))
    assert peaks[1] - peaks[0] < 40 * 1024, "KiB; the images are 360 MB"


def test_no_posts_with_images(project: Project) -> None:
    assert project.run([(None, None)]) == {}


def test_log_counts_errors_and_warns(project: Project, server: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        project.run(serve(server, a=body(picture()), b=status(404), c=status(404)))
    assert "download: 1 ok, 2 missing, 0 failed, 0 refused" in caplog.messages
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "download: 2 of 3 images are not there (2 x http-404)"
    ]


def test_a_data_set_without_any_image_fails_unless_told_to_go_on(project: Project, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    options = {"source": "folder", "folder": str(tmp_path / "pictures")}
    with pytest.raises(UserError, match=r"none of 2 images is there .2 x not-found., for example 'a' in .*pictures"):
        project.run({"a": None, "b": None}, **options, allow_all_missing=False)
    assert not project.output.exists()
    assert len(project.run(**options, allow_all_missing=True)) == 2
    (tmp_path / "pictures" / "b.jpg").write_bytes(picture())
    assert project.run(**options, allow_all_missing=False)["b"]["status"] == "ok"
    assert len(project.run(source="none", allow_all_missing=False)) == 2
