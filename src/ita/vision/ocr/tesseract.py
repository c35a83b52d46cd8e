"""Tesseract.

Tesseract spends most of its time on starting: it is given lists of images, and one process per core. The text of an
image is the one that ``pytesseract.image_to_string(path)`` gives.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ita.config import Ocr
from ita.errors import UserError
from ita.io.disk_errors import LITTLE, free_bytes
from ita.log import log
from ita.model.device import cpu_cores
from ita.vision.images import Unreadable, decode, read_bytes, read_picture
from ita.vision.types import ImageFile, OcrResult

if TYPE_CHECKING:
    from PIL.Image import Image


@contextmanager
def one_thread() -> Iterator[None]:
    """Limits each Tesseract process to one thread: several processes of several threads take twice the time.

    pytesseract hands its processes our own environment, so the limit is set here.
    """
    limit = os.environ.get("OMP_THREAD_LIMIT")
    os.environ["OMP_THREAD_LIMIT"] = "1"
    try:
        yield
    finally:
        del os.environ["OMP_THREAD_LIMIT"]
        if limit is not None:
            os.environ["OMP_THREAD_LIMIT"] = limit


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
        self.metadata: dict[str, Any] = {}
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

    def recognize(self, image_files: Sequence[ImageFile]) -> Iterator[OcrResult]:
        """One result per image, in the same order; an image that cannot be decoded has no text."""
        processes = self.settings.processes or cpu_cores()
        # Short lists at the end of a small set would leave cores idle.
        size = max(1, min(self.settings.images_per_process, math.ceil(len(image_files) / processes)))
        batches = [image_files[start : start + size] for start in range(0, len(image_files), size)]
        with one_thread():
            pool = ThreadPoolExecutor(processes)
            try:
                for results in pool.map(self.recognize_batch, batches):
                    yield from results
            finally:
                pool.shutdown(cancel_futures=True)

    def recognize_batch(self, image_files: Sequence[ImageFile]) -> list[OcrResult]:
        """Runs one process on a list of images, or one per image if that fails."""
        with tempfile.TemporaryDirectory(prefix="ita-ocr-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            # A broken image ends the run of its list, and text in place of an image would be taken for another list.
            inputs = [self.prepare(image_file, folder) for image_file in image_files]
            readable = [file for file in inputs if file is not None]
            try:
                pages = iter(self.run(readable, folder) if readable else [])
            except RuntimeError as error:
                check_space(folder)
                log.info("Tesseract failed on a list of %d images, reading them one by one (%s)", len(readable), error)
                pages = iter([self.run_on_one(file, folder) for file in readable])
            return [
                OcrResult(image_file.image_id) if file is None else OcrResult(image_file.image_id, *next(pages))
                for image_file, file in zip(image_files, inputs, strict=True)
            ]

    def prepare(self, image_file: ImageFile, folder: Path) -> Path | None:
        """The file that Tesseract gets, or None for a broken image.

        That is the file itself, because the text of a re-encoded one sometimes differs; of an image in a shard it is a
        file of the same bytes. Tesseract ignores EXIF
        orientation and cannot read animated WebP or damaged files, so these become an upright PNG of the first frame.
        """
        try:
            picture = read_picture(image_file.path)
            if not picture.plain:
                return self.write_copy(picture.pixels, folder)
            if isinstance(image_file.path, Path) and "\n" not in str(image_file.path):
                return image_file.path
            return self.write_bytes(read_bytes(image_file.path), folder)
        except Unreadable as error:
            log.warning("%s: no text, the image cannot be read (%s)", image_file.image_id, error)
            return None

    @staticmethod
    def write_copy(pixels: Image, folder: Path) -> Path:
        """Writes a decoded image to ``folder`` as PNG."""
        handle, name = tempfile.mkstemp(suffix=".png", dir=folder)
        os.close(handle)
        pixels.save(name, compress_level=1)
        return Path(name)

    @staticmethod
    def write_bytes(content: bytes, folder: Path) -> Path:
        """Writes the content of an image to a file of ``folder``."""
        handle, name = tempfile.mkstemp(dir=folder)
        with open(handle, "wb") as file:
            file.write(content)
        return Path(name)

    def run_on_one(self, file: Path, folder: Path) -> tuple[str, float | None]:
        """Runs Tesseract on an image: on the file, or else (a variant that it cannot open) on a decoded copy.

        Returns:
            Text and confidence; no text if both fail.
        """
        try:
            return self.run([file], folder)[0]
        except RuntimeError as error:
            failure = error
        if "timeout" not in str(failure):
            try:
                return self.run([self.write_copy(decode(file), folder)], folder)[0]
            except (RuntimeError, Unreadable) as error:
                failure = RuntimeError(error)
        log.warning("%s: no text, Tesseract failed (%s)", file, failure)
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
        check_space(folder)  # a cut answer would be taken for the whole
        pages = (folder / "out.txt").read_bytes().decode("utf-8").split("\f")
        if len(pages) == len(files) + 1 and not pages[-1]:
            del pages[-1]  # Tesseract 4 ends each page with a form feed, 5 puts it between pages
        if len(pages) != len(files):
            raise RuntimeError(f"{len(pages)} pages for {len(files)} images")
        confidences = mean_confidences((folder / "out.tsv").read_text(encoding="utf-8"))
        return [(text, confidences.get(page)) for page, text in enumerate(pages, 1)]


def check_space(folder: Path) -> None:
    """Raises UserError where Tesseract cannot write its answers: without them every image would have no text."""
    if free_bytes(folder) < LITTLE:
        raise UserError(
            f"{folder.parent}: no space is left for the answers of Tesseract; free some, or set TMPDIR to another "
            "folder, then run the same command again"
        )


def mean_confidences(tsv: str) -> dict[int, float]:
    """Mean confidence (0 to 1) of the words of each page, from Tesseract's TSV output.

    Returns:
        Page number, from 1 -> mean confidence; pages without words are left out.
    """
    confidences: dict[int, list[float]] = {}
    for line in tsv.split("\n")[1:]:
        cells = line.split("\t")
        if len(cells) == 12 and cells[0] == "5" and cells[11].strip():  # level 5 is a word
            confidences.setdefault(int(cells[1]), []).append(float(cells[10]) / 100)
    return {page: sum(values) / len(values) for page, values in confidences.items()}
