"""Watches a process that reads mutated input: files outside its folder, sockets, programs, seconds and memory."""

import os
import resource
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

LIMIT_BYTES = 8 << 30
"""Address space of a process, which torch alone takes 2 GiB of."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Broken(BaseException):
    """A promise that was broken; not an Exception, so that no handler of the code under test hides it."""


class Guard:
    """Remembers what a case did that it must not; installed once in a process.

    Args:
        folder: where files may be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder.resolve())
        self.broken: list[str] = []
        self.active = False
        resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple) -> None:
        if not self.active:
            return
        if event == "open" and isinstance(arguments[0], str | bytes) and (arguments[2] or 0) & WRITES:
            self._check_path(arguments[0])
        elif event in ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate"):
            self._check_path(arguments[1] if event in ("os.rename", "os.symlink", "os.link") else arguments[0])
        elif event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in LOOPBACK:
            self.broken.append(f"connected to {arguments[1]}")
        elif event in ("subprocess.Popen", "os.system", "os.exec", "pickle.find_class") and arguments[0] != "git":
            # git names the commit of the code in what a stage writes.
            self.broken.append(f"{event} {arguments[:2]}"[:200])

    def _check_path(self, path) -> None:
        if isinstance(path, int):
            return
        resolved = os.path.realpath(os.path.join(os.getcwd(), os.fsdecode(path)))
        if not resolved.startswith((self.folder + os.sep, "/dev/")) and resolved != self.folder:
            self.broken.append(f"wrote {resolved}")

    @contextmanager
    def watch(self, seconds: int):
        """Watches one case.

        Raises:
            Broken: for a case that takes longer than ``seconds``, or does what it must not.
        """
        self.broken, self.active = [], True
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(seconds)
        try:
            yield
        finally:
            signal.alarm(0)
            self.active = False
        if self.broken:
            raise Broken("; ".join(self.broken[:3]))


LOOPBACK = ("127.0.0.1", "::1")


def _too_long(*_: object) -> None:
    raise Broken("took too long")


def peak_megabytes() -> float:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
