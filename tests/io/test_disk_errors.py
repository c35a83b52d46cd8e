"""Disks that refuse: one line with path, reason and what to do, nothing half-written, and the next run goes on."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file

from ita.cli import run_stage
from ita.errors import UserError
from ita.io import disk_errors, parquet
from ita.io.disk_errors import explained, os_error, write_error
from ita.io.disk_index import disk_index
from ita.io.files import atomic, atomic_folder, write_json
from ita.stages import context, download
from tests.support.web import environment, noise

ROWS = [{"image_id": str(number), "text": os.urandom(40).hex()} for number in range(8000)]
SPACE = 200_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 200 kB; where none can be mounted, files that end at that size."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SPACE}", "tmpfs", str(folder)], capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("mounting a small disk takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def write_table(path: Path) -> None:
    parquet.write("ocr", ROWS, path)


def write_checkpoint(path: Path) -> None:
    with atomic(path) as part:
        torch.save({"weights": torch.rand(200_000)}, part)


def write_weights(path: Path) -> None:
    with atomic(path) as part:
        save_file({"weights": torch.rand(200_000)}, part)


def write_index(path: Path) -> None:
    with disk_index(path, "index") as index:
        index.fill((str(number), os.urandom(40).hex()) for number in range(10_000))


def write_folder(path: Path) -> None:
    with atomic_folder(path) as part:
        (part / "file").write_bytes(bytes(2 * SPACE))


WRITERS = {
    "table": write_table,
    "JSON": lambda path: write_json(path, ROWS),
    "checkpoint": write_checkpoint,
    "weights": write_weights,
    "index": write_index,
    "folder": write_folder,
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_full_disk(small_disk: Path, write: Callable[[Path], None]) -> None:
    (small_disk / "deep").mkdir()
    with pytest.raises(UserError) as caught:
        write(small_disk / "deep" / "file")
    message = str(caught.value)
    assert (
        message.startswith(f"{small_disk}/deep/file") and "cannot be written: No space left on device; free" in message
    )
    assert list((small_disk / "deep").iterdir()) == [], "nothing half-written"


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_limit_on_the_size_of_files(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """As a user without root has it, and file systems such as FAT."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(UserError, match="cannot be written: "):
            write(tmp_path / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_file_in_the_way_of_a_folder(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written: .*a file stands where a folder is needed"):
        write(tmp_path / "file" / "deep" / "x")
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_folder_that_goes_while_it_is_written_to(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"gone/x: cannot be written: .*its folder has gone"),
        atomic(tmp_path / "gone" / "x") as part,
    ):
        part.write_text("whole")
        part.rename(tmp_path / "elsewhere")
        part.parent.rmdir()


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "x"):
        open(tmp_path / "input that is missing")  # noqa: SIM115
    with pytest.raises(ZeroDivisionError), atomic(tmp_path / "x"):
        _ = 1 / 0
    assert write_error(tmp_path / "x", BrokenPipeError(errno.EPIPE, "nobody reads")) is None
    assert write_error(tmp_path / "x", RuntimeError("[Errno 2] No such file or directory: 'input'")) is None
    assert os_error(ConnectionRefusedError(errno.ECONNREFUSED, "refused")) is None


@pytest.mark.parametrize(
    "text",
    ["Error while serializing: I/O error: No space left (os error 28)", "[errno 28] x", "database or disk is full"],
)
def test_what_other_libraries_say(tmp_path: Path, text: str) -> None:
    assert "x: cannot be written: No space left on device; free" in str(write_error(tmp_path / "x", RuntimeError(text)))


def test_a_copy_that_fails_names_its_target(tmp_path: Path, small_disk: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(2 * SPACE))
    with pytest.raises(OSError) as caught:
        shutil.copyfile(tmp_path / "source", small_disk / "target")
    assert str(os_error(caught.value)).startswith(f"{small_disk / 'target'}: No space left on device; free")
    with (
        pytest.raises(UserError, match=r"x: cannot be written: No space left"),
        atomic_folder(small_disk / "x") as part,
    ):
        shutil.copytree(tmp_path, part, dirs_exist_ok=True, ignore=shutil.ignore_patterns("disk"))


def test_torch_says_only_that_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")
    assert "Input/output error" in str(write_error(tmp_path / "x", error))
    monkeypatch.setattr(disk_errors, "free_bytes", lambda folder: 0)
    assert "No space left on device" in str(write_error(tmp_path / "x", error))


NONE = json.dumps({"context": {"kinds": []}, "name": "none", "external_texts": {}})


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    rows = [{"post_id": "a", "split": "train", "image_id": "1", "tokens": ["b"], "tags": ["O"]}]
    parquet.write("posts", rows, tmp_path / "posts.parquet")
    return tmp_path / "posts.parquet"


def error_line(capsys: pytest.CaptureFixture[str], stage: ModuleType, *arguments: str | Path) -> str:
    """The only line that a stage that fails shows."""
    assert run_stage(stage, [str(argument) for argument in arguments]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_a_stage_whose_log_or_disk_refuses(
    posts: Path, tmp_path: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    make_context = ["--settings", NONE, "--posts", posts, "--cache", tmp_path / "cache", "--output"]
    line = error_line(capsys, context, *make_context, tmp_path / "c.parquet", "--log", tmp_path / "file" / "x.log")
    assert line.startswith(f"context: {tmp_path}/file/x.log: cannot be written: ")
    assert not (tmp_path / "c.parquet").exists()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").write_bytes(noise() * 40)
    (small_disk / "fill").write_bytes(bytes(190_000))
    settings = json.dumps({"download": {"source": "folder", "folder": str(tmp_path / "images")}})
    get_images = ["--settings", settings, "--posts", posts, "--store", small_disk / "s", "--output"]
    line = error_line(capsys, download, *get_images, small_disk / "images.parquet")
    assert str(small_disk) in line and "No space left on device; free some" in line
    (small_disk / "fill").unlink()
    assert run_stage(download, [*map(str, get_images), str(small_disk / "images.parquet")]) == 0, "the next run goes on"
    with suppress(OSError), open(small_disk / "fill", "wb") as fill:
        fill.write(bytes(SPACE))
    again = [*map(str, make_context), str(tmp_path / "c.parquet"), "--log", str(small_disk / "x.log")]
    assert run_stage(context, again) == 0, "a log that ends early costs nothing else"
    assert "x.log: the log ends here: [Errno 28] No space left" in capsys.readouterr().err
    assert (tmp_path / "c.parquet").is_file()


def test_standard_output_that_is_full(tmp_path: Path) -> None:
    command = f"{sys.executable} -m ita --help > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment())
    assert done.returncode == 1
    assert done.stderr.startswith("ita: No space left on device; free some space") and done.stderr.count("\n") == 1


def test_without_a_folder_for_temporary_files() -> None:
    error = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
    assert str(os_error(error)) == (
        "no folder for temporary files can be written; set TMPDIR to one with space, then run the same command again"
    )


def test_files_that_a_user_has_no_right_to(tmp_path: Path) -> None:
    """Root has all rights: then as another user."""
    folder, table = tmp_path / "folder", tmp_path / "ocr.parquet"
    folder.mkdir()
    folder.chmod(0o500)
    parquet.write("ocr", ROWS[:1], table)
    table.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65_534)
        with pytest.raises(
            UserError, match="x.json: cannot be written: Permission denied; your user has no right to it"
        ):
            write_json(folder / "x.json", {})
        with pytest.raises(UserError, match=r"ocr\.parquet: cannot be read: Permission denied; your user has no right"):
            parquet.metadata(table)
    finally:
        os.seteuid(user)


def test_a_checkout_that_is_read_only(tmp_path: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    command = [sys.executable, "-m", "ita.workflow.progress", "--version"]
    done = subprocess.run(command, cwd=small_disk, capture_output=True, text=True, env=environment())
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stdout.startswith("results") and "the file system is read-only: name another folder" in done.stdout
    with pytest.raises(UserError, match="cannot be written: Read-only file system"):
        write_json(small_disk / "x.json", {})


def test_what_a_library_written_in_rust_says_is_one_line() -> None:
    assert str(explained(Exception("No space left on device (os error 28)"))).startswith(
        "No space left on device; free"
    )
    error = Exception("anything else")
    assert explained(error) is error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("malloc of size 800000000 failed"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:128] . DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB"),
    ],
)
def test_the_end_of_memory_is_told_in_one_line(error):
    message = str(disk_errors.explained(error))
    assert message.startswith(f"not enough memory ({type(error).__name__}") and "resources mem_mb" in message
    assert disk_errors.explained(ValueError("out of memory")).args == ("out of memory",)


def test_a_stage_whose_memory_ends_says_so_and_leaves_nothing(tmp_path):
    """In a process with a limit that the file needs more than."""
    post = json.dumps({"tokens": ["word"] * 40, "tags": ["O"] * 40}) + "\n"
    (tmp_path / "train.jsonl").write_text(post * 60_000)
    for split in ("dev", "test"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"tokens": ["a"], "tags": ["O"]}) + "\n")
    files = {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "dev", "test")}
    settings = json.dumps({"posts": {"format": "jsonl", "files": files}})
    output = tmp_path / "posts.parquet"
    arguments = ["posts", "--settings", settings, "--cache", str(tmp_path / "c"), "--output", str(output)]
    program = "import resource, sys; from ita.__main__ import main; import ita.stages.posts, pyarrow.parquet, numpy\n"
    program += "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
    program += "resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000,) * 2); sys.exit(main(sys.argv[1:]))"
    variables = {**environment(), "ARROW_DEFAULT_MEMORY_POOL": "system"}
    run = subprocess.run([sys.executable, "-c", program, *arguments], env=variables, capture_output=True, text=True)
    assert run.returncode == 1 and "Traceback" not in run.stderr, run.stderr[-2000:]
    assert run.stderr.strip().splitlines()[-1].startswith("posts: not enough memory (MemoryError")
    assert not output.exists() and not list(tmp_path.glob(".*.part"))
