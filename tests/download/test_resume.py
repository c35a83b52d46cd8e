"""The download stage going on where a run stopped: its journal, what is requested again, and runs that are killed."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ita.cli import run_stage
from ita.io import parquet
from ita.stages import download
from tests.support import web
from tests.support.web import Handler, Project, arguments, body, closed_port, picture, serve, start_stage, status

server, project, clean_slate = web.server, web.project, web.clean_slate


def test_second_run_asks_only_for_what_may_have_changed(project: Project, server: str) -> None:
    images = serve(
        server,
        good=body(picture()),
        gone=status(404),
        page=body(b"<html>"),
        down=status(500),
        deleted=body(picture((9, 9))),
    )
    before = project.run(images, attempts=1)
    size = project.journal.stat().st_size
    Handler.requests.clear()
    (project.folder / before["deleted"]["path"]).unlink()
    after = project.run(attempts=1)
    assert Handler.requests == {"/down": 1, "/deleted": 1}
    assert {name: after[name] for name in ("good", "gone", "page")} == {n: before[n] for n in ("good", "gone", "page")}
    assert (project.folder / after["deleted"]["path"]).is_file()
    assert project.journal.stat().st_size >= size

    Handler.requests.clear()
    Handler.replies["/gone"] = body(picture())
    after = project.run(attempts=1, retry_failed=True)
    assert Handler.requests == {"/gone": 1, "/page": 1, "/down": 1}
    assert after["gone"]["status"] == "ok"


def test_unchanged_run_makes_no_request_and_the_same_table(project: Project, server: str) -> None:
    before = project.run(serve(server, good=body(picture()), gone=status(404)))
    journal = project.journal.read_bytes()
    Handler.requests.clear()
    assert project.run() == before
    assert not Handler.requests
    assert project.journal.read_bytes() == journal


def test_another_url_and_a_damaged_file_are_asked_again(project: Project, server: str) -> None:
    serve(server, old=body(picture(colour="red")), new=body(picture(colour="blue")))
    old = project.run({"a": f"{server}/old"})["a"]
    new = project.run({"a": f"{server}/new"})["a"]
    assert old["sha256"] != new["sha256"]
    (project.folder / new["path"]).write_bytes(b"cut")
    assert project.run()["a"]["sha256"] == new["sha256"]
    assert (project.folder / new["path"]).read_bytes() == picture(colour="blue")
    assert Handler.requests == {"/old": 1, "/new": 2}


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
    "line", [b'{"image_id": "b", "sta', b"\0\0\0", b"[1]\n", b'{"image_id": "b"}\n', b"\xff\xfe\n"]
)
def test_broken_journal_lines_are_skipped(project: Project, server: str, line: bytes) -> None:
    images = serve(server, a=body(picture()))
    project.run(images)
    with open(project.journal, "ab") as journal:
        journal.write(line)
    images |= serve(server, b=body(picture()))
    for _ in range(2):
        rows = project.run(images)
        assert [row["status"] for row in rows.values()] == ["ok", "ok"]
    assert Handler.requests == {"/a": 1, "/b": 1}
    assert json.loads(project.journal.read_bytes().splitlines()[-1])["image_id"] == "b"


def test_an_interrupted_run_is_completed_by_the_next(project: Project, server: str) -> None:
    def reply(handler: Handler) -> None:
        time.sleep(0.1)
        handler.send(200, picture((int(handler.path[2:]) + 1, 5)))

    images = serve(server, **{f"i{n}": reply for n in range(80)})
    project.write_posts(images)
    process = start_stage(project, connections=2)
    limit = time.monotonic() + 15
    while sum(Handler.requests.values()) < 20 and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130, errors
    assert not project.output.exists()
    requested = set(Handler.requests)
    assert 20 <= len(requested) < 80

    rows = project.run()
    assert [row["width"] for row in rows.values()] == list(range(1, 81))
    assert {row["status"] for row in rows.values()} == {"ok"}
    again = {path for path, times in Handler.requests.items() if times > 1}
    assert len(again) <= 6  # only what was under way
    assert {project.folder / row["path"] for row in rows.values()} <= set(project.files())
    for row in rows.values():
        assert hashlib.sha256((project.folder / row["path"]).read_bytes()).hexdigest() == row["sha256"]


def assert_nothing_is_half_written(project: Project) -> set[str]:
    """Every file under its final name is whole, and every image of the journal has its file; returns these images."""
    for path in project.files():
        if path.suffix != ".part":
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
    done = set()
    for line in project.journal.read_bytes().splitlines() if project.journal.exists() else []:
        with suppress(ValueError):  # the line under way
            row = json.loads(line)
            assert row["status"] == "ok"
            assert (project.folder / row["path"]).stat().st_size == row["bytes"]
            done.add(row["image_id"])
    return done


@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments_loses_nothing(project: Project, server: str, kills: int) -> None:
    draw = random.Random(kills)

    def reply(handler: Handler) -> None:
        time.sleep(draw.uniform(0, 0.01))
        handler.send(200, picture((int(handler.path[2:]) + 1, 50)))

    count = 60 * kills
    images = serve(server, **{f"i{n}": reply for n in range(count)})
    project.write_posts(images)
    requested = 0
    for _ in range(kills):
        before, moment = assert_nothing_is_half_written(project), requested + draw.randint(1, 50)
        process = start_stage(project, connections=4)
        while Handler.requests.total() < moment:
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.02))
        process.kill()
        process.communicate(timeout=60)
        requested = Handler.requests.total()
        assert before <= assert_nothing_is_half_written(project)
        assert not project.output.exists()

    process = start_stage(project, connections=4)
    errors = process.communicate(timeout=600)[1]
    assert process.returncode == 0, errors
    assert f"download: {count} ok, 0 missing, 0 failed, 0 refused" in errors
    assert assert_nothing_is_half_written(project) == set(images)
    rows = {row["image_id"]: row for row in parquet.rows("images", project.output)}
    assert [row["width"] for row in rows.values()] == list(range(1, count + 1))
    assert Handler.requests.total() <= count + 8 * kills  # only what was under way is requested again


def test_retry_failed_on_the_command_line(project: Project, server: str) -> None:
    images = serve(server, gone=status(404), page=body(b"<html>"), good=body(picture()))
    project.run(images)
    Handler.replies["/gone"] = Handler.replies["/page"] = body(picture(colour="blue"))
    Handler.requests.clear()
    for flags, requested in ([], set()), (["--retry-failed"], {"/gone", "/page"}):
        assert run_stage(download, [*arguments(project), *flags]) == 0
        assert set(Handler.requests) == requested
    table = parquet.read("images", project.output)
    assert table["status"].to_pylist() == ["ok"] * 3
    assert parquet.metadata(table)["settings"]["download"]["retry_failed"] is True


def test_command_line_says_what_is_wrong(project: Project) -> None:
    project.write_posts({str(n): f"http://127.0.0.1:{closed_port()}/{n}" for n in range(3)})
    process = start_stage(project, give_up_after=2)
    errors = process.communicate(timeout=15)[1]
    assert process.returncode == 1
    assert "download: no server answered" in errors
    assert "Traceback" not in errors
