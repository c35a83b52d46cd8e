"""The one logger, its handlers, and progress of long work."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger("ita")

PROGRESS_SECONDS = 30.0
"""Without a terminal, long work says where it is this often."""


class LogFile(logging.FileHandler):
    """A log that says once when it cannot be written on, and stops; the work goes on."""

    broken = False

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record."""
        if not self.broken:
            super().emit(record)

    def close(self) -> None:
        """Closes the file; what a full disk did not take is lost, which ``handleError`` has said."""
        with suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:
        """Called in place of an error."""
        if not self.broken:
            self.broken = True
            log.warning("%s: the log ends here: %s", self.baseFilename, sys.exc_info()[1])


def configure_log(path: Path | None, level: int = logging.INFO) -> None:
    """Logs to a file, and warnings and errors to standard error too; without a file everything to standard error.

    Args:
        path: the file.
        level: what is less than this is not logged.

    Raises:
        OSError: when the file cannot be written; everything goes to standard error then.
    """
    console = logging.StreamHandler()
    console.setFormatter(logging.Formatter("%(message)s"))
    handlers: list[logging.Handler] = [console]
    try:
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = LogFile(path, mode="w", encoding="utf-8", errors="backslashreplace")
            file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            handlers.append(file)
            console.setLevel(logging.WARNING)
    finally:
        _use(handlers, level)


def _use(handlers: list[logging.Handler], level: int) -> None:
    logging.basicConfig(level=level, handlers=handlers, force=True)
    logging.captureWarnings(True)
    for noisy in ("httpx", "httpcore", "urllib3", "huggingface_hub", "matplotlib", "fontTools", "py.warnings", "PIL"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def progress(
    items: Iterable[T], total: int | None, what: str, unit: str = "it", size: Callable[[T], int] = lambda item: 1
) -> Iterator[T]:
    """Passes items on, showing a bar on a terminal and a line in the log every half minute elsewhere.

    Args:
        items: the work.
        total: units of it, where they are known.
        what: name of the work.
        unit: what is counted.
        size: units of an item.
    """
    from tqdm import tqdm

    start = last = time.monotonic()
    count = 0
    with tqdm(total=total, desc=what, unit=unit, leave=False, disable=not sys.stderr.isatty()) as bar:
        for item in items:
            yield item
            count += size(item)
            bar.update(size(item))
            now = time.monotonic()
            if now - last > PROGRESS_SECONDS:
                last = now
                log.info("%s: %d of %s, %.1f %s/s", what, count, total or "?", count / (now - start), unit)
    log.info("%s: %d %s in %.1f s", what, count, unit, time.monotonic() - start)
