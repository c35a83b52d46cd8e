"""Content-addressed store and journal of the download stage."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ita.config import Download
from ita.download.store import COLUMNS, ImageStore, Journal, new_row, parse_entry, single_line
from ita.errors import UserError
from tests.support.web import picture


def store_in(folder: Path, **options: Any) -> ImageStore:
    """A store in ``images`` beside images.parquet."""
    return ImageStore(folder / "images", folder, Download(**options))


def test_an_image_is_stored_under_its_hash(tmp_path: Path) -> None:
    store, data = store_in(tmp_path), picture()
    row = store.add(data)
    digest = hashlib.sha256(data).hexdigest()
    assert row == {
        "status": "ok",
        "error": None,
        "sha256": digest,
        "path": f"images/{digest[:2]}/{digest}.png",
        "bytes": len(data),
        "format": "PNG",
        "width": 8,
        "height": 6,
    }
    assert (tmp_path / row["path"]).read_bytes() == data
    assert store.has(row)
    assert not store_in(tmp_path, max_bytes=len(data) - 1).has(row)
    assert not store_in(tmp_path, max_pixels=47).has(row)
    assert not store.has({**row, "format": None})
    (tmp_path / row["path"]).unlink()
    assert not store.has(row)


def test_paths_are_relative_to_the_table(tmp_path: Path) -> None:
    table_folder = tmp_path / "results" / "x"
    table_folder.mkdir(parents=True)
    row = ImageStore(tmp_path / "store", table_folder, Download()).add(picture())
    assert row["path"] == f"../../store/{row['sha256'][:2]}/{row['sha256']}.png"
    assert (table_folder / row["path"]).read_bytes() == picture()


def test_refused_bytes_are_not_stored(tmp_path: Path) -> None:
    assert store_in(tmp_path, max_bytes=3).add(b"1234") == {
        "status": "refused",
        "error": "too-large: more than 3 bytes",
    }
    assert store_in(tmp_path).add(b"<html>")["error"].startswith("not-an-image")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(b"in the way")
    with pytest.raises(UserError, match="a file stands where a folder is needed"):
        store_in(tmp_path).add(picture())
    with (
        pytest.raises(UserError, match="cannot be written"),
        Journal(tmp_path / "images" / "journal.jsonl", Download()),
    ):
        pass


def test_the_journal_returns_the_last_row_of_an_image(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, Download()) as journal:
        journal.add(new_row("a", "http://x/1", status="failed"), "http://x/1")
        journal.add(new_row("a", "http://x/2", status="ok"), "http://x/2")
    size = path.stat().st_size
    with Journal(path, Download()) as journal:
        row = journal.row_of("a")
        assert row == new_row("a", "http://x/2", status="ok")
        assert list(row) == COLUMNS
        assert journal.row_of("b") is None
        assert journal.same_limits("a")
        journal.add(row, "http://x/2")  # the same again is not written twice
    assert path.stat().st_size == size
    for options in (Download(max_bytes=5), Download(honour_robots=False), Download(allow_networks=["10.0.0.0/8"])):
        with Journal(path, options) as journal:
            assert not journal.same_limits("a")


def test_a_truncated_line_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"image_id": "a", "sta')
    with Journal(path, Download()) as journal:
        journal.add(new_row("b", status="ok"), None)
    assert json.loads(path.read_bytes().splitlines()[1])["image_id"] == "b"


@pytest.mark.parametrize("line", [b"", b"\0\0", b"[1]", b'"a"', b'{"image_id": "b"}', b"\xff\xfe"])
def test_lines_that_are_no_entries(line: bytes) -> None:
    assert parse_entry(line) is None


def test_an_entry_needs_a_text_as_id() -> None:
    row = new_row("a")
    assert parse_entry(json.dumps(row).encode()) == row
    assert parse_entry(json.dumps({**row, "image_id": 7}).encode()) is None


def test_single_line() -> None:
    assert single_line("a\n b\t\ud800c") == "a b ?c"
    assert single_line("x" * 500) == "x" * 300


def test_a_stored_image_that_has_rotted_is_written_again(tmp_path: Path) -> None:
    """Of the same size, so that only its content tells."""
    store, data = store_in(tmp_path), picture()
    row = new_row("a") | store.add(data)
    file = tmp_path / row["path"]
    assert store.has(row)
    file.write_bytes(data[:-9] + b"x" * 9)
    assert not store.has(row)
    store.add(data)
    assert file.read_bytes() == data and store.has(row)
