"""What a disk says when it refuses, or memory when it ends, in one line: path, reason, what to do."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path

from ita.errors import UserError

ADVICE = {
    errno.ENOSPC: "free some space or name another folder",
    errno.EDQUOT: "your quota is used up: free some space or name another folder",
    errno.EFBIG: "a limit on the size of files is reached (ulimit -f, or that of the file system)",
    errno.EROFS: "the file system is read-only: name another folder",
    errno.EACCES: "your user has no right to it: change that, or name another folder",
    errno.EPERM: "your user has no right to it: change that, or name another folder",
    errno.EIO: "the disk or the network share fails: use another one",
    errno.ESTALE: "the network share has gone: mount it again",
    errno.ENOTDIR: "a file stands where a folder is needed: move it, or name another folder",
    errno.EEXIST: "a file stands where a folder is needed: move it, or name another folder",
    errno.EISDIR: "a folder stands where a file is needed: move it, or use another name",
    errno.ENOENT: "its folder has gone, or was never there",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "the system has too many files open",
    errno.ENODEV: "the device has gone",
    errno.ENXIO: "the device has gone",
}
"""Error of the system -> what to do about it."""
IN_TEXT = re.compile(r"(?:os error |errno )(\d+)", re.IGNORECASE)
"""How libraries that are not Python's name the error of the system in their message."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)
"""Errors that are believed when only a text names them; others may be those of a file that is read."""
TORCH_WRITER = "inline_container.cc"
MESSAGES = {
    "No space left on device": errno.ENOSPC,
    "database or disk is full": errno.ENOSPC,
    "attempt to write a readonly database": errno.EROFS,
    "disk I/O error": errno.EIO,
    "unable to open database file": errno.ENOENT,
}
"""What SQLite and others say without the number of the system's error."""
NO_TEMPORARY = "No usable temporary directory"
AGAIN = "then run the same command again"
LITTLE = 65_536
"""Bytes: with fewer a disk counts as full."""


def system_error(error: BaseException) -> int | None:
    """The number of the system's error behind an exception of any library; None where there is none."""
    text = str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if (match := IN_TEXT.search(text)) and int(match[1]) in FULL:
        return int(match[1])
    return next((number for message, number in MESSAGES.items() if message in text), None)


def explain(number: int) -> str:
    """Reason and advice: ``No space left on device; free some space ..., then run the same command again``."""
    advice = ADVICE.get(number)
    return f"{os.strerror(number)}; {advice}, {AGAIN}" if advice else os.strerror(number)


def write_error(path: Path, error: Exception) -> UserError | None:
    """What is said when a file cannot be written; None for an exception that has nothing to do with it."""
    number = system_error(error)
    if number is None and TORCH_WRITER in str(error):
        # torch says no more than that it could not write.
        number = errno.ENOSPC if free_bytes(path.parent) < LITTLE else errno.EIO
    if number not in ADVICE:
        return None
    if isinstance(error, OSError) and error.filename is not None and not _belongs(Path(str(error.filename)), path):
        return None  # another file: one that was read meanwhile
    return UserError(f"{path}: cannot be written: {explain(number)}")


def _belongs(file: Path, path: Path) -> bool:
    """Whether a file is ``path``, one of its folders, or temporary beside it."""
    temporary = (f".{path.name}.", f"{path.name}.part")
    return file == path or file in path.parents or any(part.startswith(temporary) for part in file.parts)


def free_bytes(folder: Path) -> int:
    """Free bytes of a folder's file system; 0 for a folder that is not there."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def os_error(error: OSError) -> UserError | None:
    """What is said about an error of the system that nothing has explained; None where it is no matter of files."""
    if error.errno is None or error.errno not in ADVICE:
        return None
    if NO_TEMPORARY in str(error):
        return UserError(f"no folder for temporary files can be written; set TMPDIR to one with space, {AGAIN}")
    written = error.filename2 if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS) else None
    if error.errno == errno.ENOENT and error.filename is not None:
        return UserError(f"{error.filename}: no such file or folder; make it or name another, {AGAIN}")
    path = error.filename if written is None else written  # a copy names its source first
    name = f"{path}: " if path is not None else ""
    return UserError(f"{name}{explain(error.errno)}")


NO_MEMORY = re.compile(r"can.t allocate memory|not enough memory|out of memory|bad allocation", re.IGNORECASE)
"""What libraries say where memory ends, those that do not raise MemoryError: torch, ONNX Runtime."""


def memory_error(error: Exception) -> UserError | None:
    """The error for a user where memory has come to its end; None for any other."""
    if not isinstance(error, MemoryError) and not (isinstance(error, RuntimeError) and NO_MEMORY.search(str(error))):
        return None
    detail = f": {str(error)[:200]}" if str(error) else ""
    return UserError(
        f"not enough memory ({type(error).__name__}{detail}); give the job more (resources mem_mb, or another GPU), or "
        f"make its work smaller (gather.shards, batch_size, train.max_subwords), {AGAIN}"
    )


def explained(error: Exception) -> Exception:
    """The same error, or a better one to show to a user."""
    if message := memory_error(error):
        return message
    if isinstance(error, OSError):
        return os_error(error) or error
    number = system_error(error)
    if number in ADVICE and not isinstance(error, UserError):
        return UserError(f"{explain(number)} ({type(error).__name__}: {error})")
    return error
