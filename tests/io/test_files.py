"""Files and folders that appear when complete."""

import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from ita.errors import UserError
from ita.io.files import (
    added_files,
    atomic,
    atomic_folder,
    read_json,
    replace,
    sha256,
    temporary_folder,
    write_json,
    write_text,
)


@pytest.fixture(scope="module")
def dead_process():
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_file_appears_complete_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "file.txt"
    with pytest.raises(RuntimeError), atomic(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    write_text(target, "old")
    with atomic(target) as part:
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_appears_complete_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "folder"
    with pytest.raises(RuntimeError), atomic_folder(target) as part:
        (part / "half").touch()
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    for name in ("old", "new"):
        with atomic_folder(target) as part:
            assert list(part.iterdir()) == []
            (part / name).mkdir()
            (part / name / "file").write_text(name)
    assert [path.name for path in target.iterdir()] == ["new"], "nothing of the old folder is left"
    assert list(target.parent.iterdir()) == [target]


def test_files_that_are_added_appear_together_or_not_at_all(tmp_path):
    (tmp_path / "old").write_text("old")
    with pytest.raises(RuntimeError), added_files(tmp_path) as part:
        (part / "half").touch()
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    with added_files(tmp_path) as part:
        (part / "old").write_text("new")
        (part / "other").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "other"]
    assert (tmp_path / "old").read_text() == "new"


def test_a_folder_to_work_in_is_removed(tmp_path):
    with temporary_folder(tmp_path / "a") as part:
        (part / "file").touch()
        assert part.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder", "nothing"])
def test_replacing_takes_the_place_of_anything(tmp_path, kind):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir() if kind == "folder" else source.write_text("new")
    if kind == "folder":
        (target / "inner").mkdir(parents=True)
    elif kind == "file":
        target.write_text("old")
    replace(source, target)
    assert list(tmp_path.iterdir()) == [target]
    assert list(target.iterdir()) == [] if kind == "folder" else target.read_text() == "new"


def test_files_are_as_readable_as_any_other(tmp_path):
    with atomic(tmp_path / "model.safetensors") as part:
        save_file({"a": np.zeros(2)}, part)
    (tmp_path / "other").touch()
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("name", ["a", "a[1]"])
def test_leftovers_of_killed_processes_are_removed_but_not_of_living_ones(tmp_path, dead_process, name):
    dead, living = tmp_path / f".{name}.{dead_process}.part", tmp_path / f".{name}.{os.getppid()}.part"
    folder, retired = tmp_path / f".{name}.x.{dead_process}.part", tmp_path / f".{name}.old.{dead_process}.part"
    other = tmp_path / f".b.{dead_process}.part"
    for path in (dead, living, other):
        path.write_text("x")
    for path in (folder, retired):
        (path / "inner").mkdir(parents=True)
    write_text(tmp_path / name, "y")
    assert set(tmp_path.iterdir()) == {tmp_path / name, living, other}


def test_json_keeps_its_order_and_its_letters(tmp_path):
    write_json(tmp_path / "a.json", {"z": "é", "a": 1})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "z": "é",\n  "a": 1\n}\n'
    assert list(read_json(tmp_path / "a.json", "anything").items()) == [("z", "é"), ("a", 1)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"a\.json: cannot be read \(No such file or directory\); expected the metrics of a run"),
        (b"{", r"a\.json: not JSON \(.*\); expected the metrics of a run"),
        (b"\xff", r"a\.json:1: expected UTF-8 text, .*; expected the metrics of a run"),
        (b"[1]", r"a\.json: holds a JSON list; expected an object: the metrics of a run"),
    ],
)
def test_json_that_cannot_be_read_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_json(tmp_path / "a.json", "the metrics of a run")


def test_hashes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
