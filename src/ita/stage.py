"""What all stages share: command line, logging, progress, atomic outputs, provenance.

A stage is a module with a ``VERSION``, a ``work`` function and::

    def main(argv=None):
        return stage.main("ocr", VERSION, work, inputs={"images": "images.parquet"}, argv=argv)

It is run as ``python -m ita.ocr --settings JSON --images FILE --output FILE`` or ``ita ocr ...``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import ita

T = TypeVar("T")
log = logging.getLogger("ita")

PACKAGES = (
    *("torch", "transformers", "numpy", "pyarrow", "pandas", "pillow", "aiohttp"),
    *("pytesseract", "rapidocr", "onnxruntime", "paddleocr", "paddlepaddle"),
)
SHARD = {"shard": "which part of the images: 2-of-7 (default: all)"}
PROGRESS_SECONDS = 30.0
UMASK = os.umask(0)
os.umask(UMASK)  # to be read, it must be set
"""Without a terminal, long work says where it is this often."""


class UserError(Exception):
    """Something the user can put right: the message says what was found, what was expected and what to do."""


def main(
    name: str,
    version: int,
    work: Callable[..., None],
    inputs: Mapping[str, str],
    argv: Sequence[str] | None = None,
    options: Mapping[str, str] | None = None,
) -> int:
    """Runs a stage from the command line.

    Args:
        name: the stage.
        version: the module's VERSION, recorded with the output.
        work: called with ``settings`` (dict), ``output`` (Path) and one keyword per input: a Path, or None for an
            optional one that is not given, or a list of paths.
        inputs: input name -> help; every input is an option of that name, required but for a name ending in ``?``
            (optional) or ``[]`` (any number of files).
        argv: arguments, by default those of the process.
        options: option that takes a text -> help; ``work`` gets it as a keyword, None where it is not given.

    Returns:
        Exit code: 0, 1 for a UserError (printed without a traceback), 130 when interrupted.
    """
    parser = argparse.ArgumentParser(prog=f"ita {name}", description=sys.modules[work.__module__].__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--settings", default="{}", help="settings as JSON, or @FILE (default: all defaults)")
    parser.add_argument("--output", type=Path, required=True, help="file to write; it appears only when complete")
    parser.add_argument("--log", type=Path, help="file for the log (default: standard error)")
    for option, meaning in inputs.items():
        flag = f"--{option.rstrip('?[]')}"
        if option.endswith("[]"):
            parser.add_argument(flag, type=Path, help=meaning, nargs="*", default=[])
        else:
            parser.add_argument(flag, type=Path, help=meaning, required=not option.endswith("?"))
    for option, meaning in (options or {}).items():
        parser.add_argument(f"--{option}", help=meaning)
    arguments = vars(parser.parse_args(argv))
    configure_log(arguments.pop("log"))
    try:
        settings = read_settings(arguments.pop("settings"))
        settings["version"] = version
        work(settings, **arguments)
    except UserError as error:
        log.error("%s: %s", name, error)
        return 1
    except KeyboardInterrupt:
        log.error("%s: interrupted; finished parts are kept, run the same command again", name)
        return 130
    except Exception:
        log.exception("%s: failed", name)
        return 1
    return 0


def read_settings(text: str) -> dict[str, Any]:
    """Settings from JSON text or from ``@FILE``.

    Raises:
        UserError: when the text is not a JSON object.
    """
    try:
        settings = json.loads(Path(text[1:]).read_text() if text.startswith("@") else text)
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"--settings is neither JSON nor @FILE with JSON in it: {error}") from None
    if not isinstance(settings, dict):
        raise UserError(f"--settings must be a JSON object, got {type(settings).__name__}")
    return settings


def section(settings: Mapping[str, Any], name: str, cls: type[T]) -> T:
    """One section of the settings as its dataclass.

    Raises:
        UserError: naming the setting that is wrong.
    """
    from ita.settings.fields import load

    try:
        return load(cls, settings.get(name, {}))
    except ValueError as error:
        raise UserError(str(error)) from None


def configure_log(path: Path | None) -> None:
    """Logs to a file, and warnings and errors to standard error too; without a file everything to standard error."""
    console = logging.StreamHandler()
    console.setFormatter(logging.Formatter("%(message)s"))
    handlers: list[logging.Handler] = [console]
    if path:
        console.setLevel(logging.WARNING)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(path, mode="w", encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(file)
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    logging.captureWarnings(True)
    for noisy in ("httpx", "httpcore", "urllib3", "huggingface_hub", "matplotlib", "fontTools", "py.warnings", "PIL"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def progress(items: Iterable[T], total: int | None, what: str, unit: str = "it") -> Iterator[T]:
    """Passes items on, showing a bar on a terminal and a line in the log every half minute elsewhere."""
    from tqdm import tqdm

    start = last = time.monotonic()
    count = 0
    for item in tqdm(items, total=total, desc=what, unit=unit, leave=False, disable=not sys.stderr.isatty()):
        yield item
        count += 1
        now = time.monotonic()
        if now - last > PROGRESS_SECONDS:
            last = now
            log.info("%s: %d of %s, %.1f %s/s", what, count, total or "?", count / (now - start), unit)
    log.info("%s: %d %s in %.1f s", what, count, unit, time.monotonic() - start)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary file name beside ``path`` that takes its name when the block ends well.

    Leftovers of killed processes are removed on the way. Two threads must not write the same path at a time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{path.name}.*.part"):
        owner = stale.name.removesuffix(".part").rpartition(".")[2]
        if not (owner.isdigit() and alive(int(owner))):
            stale.unlink(missing_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        part.chmod(0o666 & ~UMASK)  # some libraries write files that nobody else may read
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def alive(process: int) -> bool:
    """True while a process of that number exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON atomically, keys in the given order."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def sha256(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def provenance(settings: Mapping[str, Any], inputs: Mapping[str, Path | None] | None = None) -> dict[str, Any]:
    """What is needed to tell how an output came about: settings, versions, commit, hashes of the inputs."""
    versions = {"python": platform.python_version(), "ita": ita.__version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    hashes = {name: sha256(path) for name, path in (inputs or {}).items() if path is not None}
    return {"settings": dict(settings), "versions": versions, "commit": commit(), "inputs": hashes}


def commit() -> str | None:
    """Git commit of the code, with a ``+`` when the tree has changes; None outside a checkout."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        if not git("ls-files", str(here)):
            return None  # a package installed inside somebody else's repository
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", str(here)) else "")
    except (OSError, subprocess.CalledProcessError):
        return None
