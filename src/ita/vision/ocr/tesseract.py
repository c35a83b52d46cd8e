"""Readers: images -> the characters in them. Those of PP-OCR are in ``ppocr``.

Tesseract spends most of its time on starting: it is given lists of images, and one process per core. The text of an
image is the one that ``pytesseract.image_to_string(path)`` gives.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ita.config import Ocr
from ita.errors import UserError
from ita.vision.images import Unreadable, check, decode
from ita.vision.types import ImageFile, OcrResult

log = logging.getLogger("ita")


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Keeps each Tesseract to one thread: several processes of several threads take twice the time.

    pytesseract hands its processes our own environment, so it is set here.
    """
    before = os.environ.get("OMP_THREAD_LIMIT")
    os.environ["OMP_THREAD_LIMIT"] = "1"
    try:
        yield
    finally:
        del os.environ["OMP_THREAD_LIMIT"]
        if before is not None:
            os.environ["OMP_THREAD_LIMIT"] = before


class TesseractEngine:
    """Tesseract through pytesseract."""

    name = "tesseract"

    def __init__(self, settings: Ocr) -> None:
        """Looks for the program and its language data.

        Raises:
            UserError: when one of them is missing; it says how to install it.
        """
        import pytesseract

        self.settings = settings
        self.facts: dict[str, Any] = {}
        self.config = f"--psm {settings.page_segmentation} -c tessedit_create_txt=1 -c tessedit_create_tsv=1"
        try:
            self.version = str(pytesseract.get_tesseract_version()).strip()
            languages = pytesseract.get_languages()
        except pytesseract.TesseractNotFoundError:
            raise UserError(
                "Tesseract is not installed: apt-get install tesseract-ocr, or conda install -c conda-forge tesseract; "
                "or set ocr.engine to rapidocr"
            ) from None
        for language in settings.language.split("+"):
            if language not in languages:
                raise UserError(
                    f"setting ocr.language: Tesseract has no data for '{language}', only for {', '.join(languages)}; "
                    f"apt-get install tesseract-ocr-{language.replace('_', '-')}, or set TESSDATA_PREFIX to its folder"
                )

    def read(self, sources: Sequence[ImageFile]) -> Iterator[OcrResult]:
        """One reading per image, in the order given."""
        processes = self.settings.processes or cores()
        # Short lists at the end of a small set would leave cores idle.
        size = max(1, min(self.settings.images_per_process, -(-len(sources) // processes)))
        lists = [sources[start : start + size] for start in range(0, len(sources), size)]
        with one_thread():
            pool = ThreadPoolExecutor(processes)
            try:
                for readings in pool.map(self.read_list, lists):
                    yield from readings
            finally:
                pool.shutdown(cancel_futures=True)

    def read_list(self, sources: Sequence[ImageFile]) -> list[OcrResult]:
        """Reads a list of images with one process, and one by one if that fails."""
        with tempfile.TemporaryDirectory(prefix="ita-ocr-") as name:
            folder = Path(name)
            # A broken image ends the run of its list, and text in place of an image would be taken for another list.
            files = [self.usable(source, folder) for source in sources]
            good = [file for file in files if file is not None]
            try:
                pages = iter(self.run(good, folder) if good else [])
            except RuntimeError as error:
                log.info("Tesseract failed on a list of %d images, reading them one by one (%s)", len(good), error)
                pages = iter([self.read_one(file, folder) for file in good])
            return [
                OcrResult(source.image_id) if file is None else OcrResult(source.image_id, *next(pages))
                for source, file in zip(sources, files, strict=True)
            ]

    def usable(self, source: ImageFile, folder: Path) -> Path | None:
        """The file that Tesseract gets, or None for a broken image.

        That is the file itself, for the text of a re-encoded one differs now and then. Tesseract ignores EXIF
        orientation and cannot read animated WebP, so these become an upright PNG of the first frame.
        """
        try:
            if check(source.path) and "\n" not in str(source.path):
                return source.path
            return self.upright(source.path, folder)
        except Unreadable as error:
            log.warning("%s: no text, the image cannot be read (%s)", source.image_id, error)
            return None

    @staticmethod
    def upright(path: Path, folder: Path) -> Path:
        """A decoded copy of an image in ``folder``."""
        handle, name = tempfile.mkstemp(suffix=".png", dir=folder)
        os.close(handle)
        decode(path).save(name, compress_level=1)
        return Path(name)

    def read_one(self, file: Path, folder: Path) -> tuple[str, float | None]:
        """Reads one image: as it is, or else (a variant that Tesseract cannot open) as a copy; no text if both fail."""
        try:
            return self.run([file], folder)[0]
        except RuntimeError as error:
            problem = error
        if "timeout" not in str(problem):
            try:
                return self.run([self.upright(file, folder)], folder)[0]
            except (RuntimeError, Unreadable) as error:
                problem = RuntimeError(error)
        log.warning("%s: no text, Tesseract failed (%s)", file, problem)
        return "", None

    def run(self, files: Sequence[Path], folder: Path) -> list[tuple[str, float | None]]:
        """Text and confidence of each file, from one Tesseract process.

        Raises:
            RuntimeError: when Tesseract fails (pytesseract's errors are of this class), takes too long, or prints
                another number of pages than there are files.
        """
        from pytesseract import pytesseract

        (folder / "list.txt").write_text("".join(f"{file}\n" for file in files), encoding="utf-8")
        pytesseract.run_tesseract(
            str(folder / "list.txt"),
            str(folder / "out"),
            extension="",
            lang=self.settings.language,
            config=self.config,
            timeout=self.settings.timeout * len(files),
        )
        pages = (folder / "out.txt").read_bytes().decode("utf-8").split("\f")
        if len(pages) == len(files) + 1 and not pages[-1]:
            del pages[-1]  # Tesseract 4 ends each page with a form feed, 5 puts it between pages
        if len(pages) != len(files):
            raise RuntimeError(f"{len(pages)} pages for {len(files)} images")
        confidences = mean_confidences((folder / "out.tsv").read_text(encoding="utf-8"))
        return [(text, confidences.get(page)) for page, text in enumerate(pages, 1)]


def mean_confidences(tsv: str) -> dict[int, float]:
    """Mean confidence (0 to 1) of the words of each page, from Tesseract's TSV output."""
    words: dict[int, list[float]] = {}
    for line in tsv.split("\n")[1:]:
        cells = line.split("\t")
        if len(cells) == 12 and cells[0] == "5" and cells[11].strip():
            words.setdefault(int(cells[1]), []).append(float(cells[10]) / 100)
    return {page: sum(found) / len(found) for page, found in words.items()}
