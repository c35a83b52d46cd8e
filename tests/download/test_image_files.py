"""Images in shards: no kill, damage, packing, or change to single files and back loses one or fetches one twice."""

from __future__ import annotations

import hashlib
import os
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from ita.download import image_files
from ita.download.image_files import ImageKey, ImageShards
from ita.errors import UserError
from ita.io.image_shards import ShardWriter, members
from tests.support import web
from tests.support.web import Handler, Project, body, noise, picture, serve, start_stage

server, project, clean_slate = web.server, web.project, web.clean_slate

Rows = dict[str, dict[str, Any]]


def pictures(count: int) -> dict[str, bytes]:
    """Different images."""
    return {f"i{number}": picture((number + 1, 5)) for number in range(count)}


def serve_all(server: str, contents: dict[str, bytes]) -> dict[str, str | None]:
    return serve(server, **{name: body(content) for name, content in contents.items()})


def check(project: Project, rows: Rows, contents: dict[str, bytes]) -> None:
    """Every image has the content that was served."""
    assert {name: project.content(row) for name, row in rows.items()} == contents


def test_above_the_limit_images_lie_in_shards_that_tar_reads(project: Project, server: str) -> None:
    contents = pictures(4)
    images = serve_all(server, contents)
    assert {row["offset"] for row in project.run(images, single_files=4).values()} == {None}
    assert len(project.files()) == 4

    Handler.requests.clear()
    rows = project.run(single_files=3)
    assert not Handler.requests
    check(project, rows, contents)
    assert [file.name for file in project.files()] == ["000001.tar"]
    with tarfile.open(project.files()[0]) as archive:
        names = [member.name for member in archive]
    assert sorted(names) == sorted(f"{hashlib.sha256(content).hexdigest()}.png" for content in contents.values())

    unchanged = project.files()[0].read_bytes()
    assert project.run(single_files=3) == rows
    assert [file.read_bytes() for file in project.files()] == [unchanged]
    back = project.run(single_files=4)
    assert not Handler.requests
    check(project, back, contents)
    assert {row["offset"] for row in back.values()} == {None}


def test_the_same_bytes_are_in_a_shard_once(project: Project, server: str) -> None:
    same = noise()
    rows = project.run(serve(server, **{f"i{n}": body(same) for n in range(12)}), single_files=0)
    assert len({row["offset"] for row in rows.values()}) == 1
    assert len(list(members(project.files()[0]))) == 1


def test_shards_end_when_they_are_full(project: Project, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "SHARD_BYTES", 1500)
    contents = pictures(5)
    rows = project.run(serve_all(server, contents), single_files=0)
    check(project, rows, contents)
    assert sorted(file.name for file in project.files()) == ["000001.tar", "000002.tar", "000003.tar"]


def test_a_damaged_image_is_fetched_again_and_no_other(project: Project, server: str) -> None:
    contents = pictures(3)
    rows = project.run(serve_all(server, contents), single_files=0)
    with open(project.files()[0], "r+b") as shard:
        shard.seek(rows["i1"]["offset"] + 3)
        shard.write(b"rotten")
    Handler.requests.clear()
    after = project.run(single_files=0)
    assert Handler.requests == {"/i1": 1}
    check(project, after, contents)


def test_kill_9_loses_no_finished_image(project: Project, server: str) -> None:
    def reply(handler: Handler) -> None:
        time.sleep(0.005)
        handler.send(200, picture((int(handler.path[2:]) + 1, 50)))

    images = serve(server, **{f"i{n}": reply for n in range(60)})
    project.write_posts(images)
    process = start_stage(project, connections=4, single_files=0)
    while Handler.requests.total() < 30:
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.communicate(timeout=60)
    rows = project.run(single_files=0)
    assert Handler.requests.total() <= 60 + 8
    check(project, rows, {f"i{n}": picture((n + 1, 50)) for n in range(60)})


def test_a_shard_that_was_cut_anywhere_has_its_whole_images(tmp_path: Path) -> None:
    shards = ImageShards(tmp_path, tmp_path)
    contents = [picture((number, 1)) for number in range(1, 4)]
    keys = [ImageKey(hashlib.sha256(content).hexdigest(), "PNG") for content in contents]
    for key, content in zip(keys, contents, strict=True):
        shards.write(key, content)
    shards.close()
    [shard] = shards.shards()
    whole = shard.read_bytes()
    for length in range(0, len(whole), 100):
        shard.write_bytes(whole[:length])
        after = ImageShards(tmp_path, tmp_path)
        kept = [content for key in keys if (content := after.read(key)) is not None]
        assert kept == contents[: min(length // 1024, 3)]


def test_a_member_that_the_disk_refused_leaves_no_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, write = ShardWriter(tmp_path / "x.tar"), os.pwrite
    names = [f"{digit * 64}.png" for digit in "abc"]
    writer.add(names[0], b"first")

    def full(handle: int, content: bytes, offset: int) -> int:
        if offset > 1024:
            raise OSError(28, "No space left on device")
        return write(handle, bytes(content[:300]), offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(UserError, match="No space left"):
        writer.add(names[1], b"second")
    monkeypatch.setattr(os, "pwrite", write)
    offset = writer.add(names[2], b"third")
    writer.close()
    found = dict(members(tmp_path / "x.tar"))
    assert list(found) == [names[0], names[2]] and found[names[2]].offset == offset


def test_images_are_packed_for_other_machines_and_survive_the_loss_of_the_packs(project: Project, server: str) -> None:
    contents = pictures(130)
    names = ["1-of-3", "2-of-3", "3-of-3"]
    images = serve_all(server, contents)
    project.run(images, single_files=0)
    rows = project.run(shards=names)
    check(project, rows, contents)
    # Blocks of 64 images, as vision jobs of the same shards have them; 130 images are three blocks.
    assert [row["path"] for row in rows.values()] == [
        f"images/{name}.tar" for name, count in zip(names, (64, 64, 2), strict=True) for _ in range(count)
    ]
    packs = [project.store / f"{name}.tar" for name in names]
    links = [file for file in project.files() if file not in packs]
    assert sorted(file.stat().st_ino for file in links) == sorted(file.stat().st_ino for file in packs)

    for pack in packs:  # as Snakemake does before it runs a job
        pack.unlink()
    Handler.requests.clear()
    fewer = dict(list(images.items())[10:])
    after = project.run(fewer, shards=names)
    assert not Handler.requests
    check(project, after, {name: contents[name] for name in fewer})
    for pack in packs:
        pack.unlink()
    again = project.run(images, shards=names)
    assert not Handler.requests  # those that the last run had no use for are there, too
    check(project, again, contents)
