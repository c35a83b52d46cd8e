"""predict: tag new posts, with their images, by a trained model.

MODEL is a run folder or a repository of the Hugging Face Hub. INPUT is CSV, TSV, JSON lines, Parquet or plain text, a
file or standard input, with the columns 'text' or 'tokens' and optionally 'image' (path, URL, or bytes in Parquet) and
'context' (text that stands for the image). All other columns come back with the answers. Images are read by the
detector, captioner and OCR engine that the model was trained with.

Each answer has the text as it was given and the entities: first character and the one behind the last, type,
probability, surface. Order is kept; a post that cannot be read is answered with an error. With --output, a run that was
stopped goes on where it was, and the file appears when it is complete.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ita.cli import read_settings
from ita.errors import UserError
from ita.io.disk_errors import explained
from ita.io.files import sha256
from ita.log import configure_log, log, progress
from ita.tagging import input_files, output_files
from ita.tagging.batches import growing_batches
from ita.tagging.processes import map_in_processes

if TYPE_CHECKING:
    from ita.tagging.posts import Record
    from ita.tagging.tagger import Tagger

STANDARD_INPUT = "-"
IMAGE_WEIGHT = 32
"""Posts of text that take the time, or the memory, of one with an image, or less."""
WORKER_BATCH = 128
"""Most posts that a worker process is given at a time: at the end none waits long for another."""


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: ``ita predict MODEL [INPUT]``."""
    options = parser().parse_args(argv)
    configure_log(None)
    try:
        predict(options)
    except BrokenPipeError:
        raise  # nobody reads on: the caller ends quietly
    except (UserError, OSError, MemoryError, RuntimeError) as error:
        if not isinstance(explained(error), UserError | OSError):
            raise
        log.error("predict: %s", explained(error))
        return 1
    except KeyboardInterrupt:
        log.error("predict: interrupted; with --output the same command goes on where it was")
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="ita predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="run folder (results/DATASET/runs/ENCODER/SYSTEM/seedN) or hub id")
    parser.add_argument("input", nargs="?", default=STANDARD_INPUT, help="file of posts (default: standard input)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="file for the answers (default: standard output)")
    parser.add_argument(
        "--format", choices=output_files.FORMATS, help="of the answers (default: by the end of FILE, else jsonl)"
    )
    parser.add_argument(
        "--input-format",
        choices=input_files.FORMATS,
        help="of the posts (default: by the end of INPUT, else lines: JSON objects and plain text mixed)",
    )
    parser.add_argument(
        "--view", choices=["auto", "t"], default="auto", help="t: the text alone, images are not looked at"
    )
    parser.add_argument(
        "--images", type=Path, metavar="FOLDER", help="where relative paths of images start (default: folder of INPUT)"
    )
    parser.add_argument(
        "--settings",
        default="{}",
        metavar="JSON",
        help="sections detect, caption, ocr, context and download, or @FILE; they win over those of the model",
    )
    parser.add_argument("--revision", help="commit, tag or branch of a model on the hub")
    parser.add_argument("--batch-size", type=int, default=32, help="posts per forward pass (default: 32)")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where the model runs")
    parser.add_argument(
        "--precision", choices=["fp32", "bf16"], default="fp32", help="arithmetic of the encoder (default: fp32)"
    )
    parser.add_argument(
        "--risk",
        type=float,
        metavar="SHARE",
        help="leave out unsure entities: at most this share of posts shall get a wrong one (default: none)",
    )
    parser.add_argument("--quantize", choices=["int8"], help="matrix products in 8 bits, on a CPU (default: none)")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes, each with a model of its own (default: 1)"
    )
    return parser


def predict(options: argparse.Namespace) -> None:
    """Tags all posts.

    Args:
        options: of the command line.

    Raises:
        UserError: for a model, an input or settings that cannot be used.
    """
    output_format = options.format or output_files.format_of(str(options.output or ""))
    if options.output is None and output_format not in output_files.STREAMED:
        raise UserError(f"--format {output_format} needs --output: the columns are known at the end alone")
    if options.output is None and sys.stdout is None:
        raise UserError("standard output is closed; name a file by --output")
    if options.workers < 1:
        raise UserError(f"--workers: expected 1 or more processes, found {options.workers}")
    settings = read_settings(options.settings)
    input_format = options.input_format or input_files.format_of(options.input)
    with ExitStack() as stack:
        source = open_input(options.input, stack)
        records = input_files.read_records(source, input_format, options.input)
        if options.output is None:
            output_files.write_stream(tag_stream(records, options, settings), output_format, sys.stdout)
            return
        identity = run_identity(options, settings, input_format)
        with output_files.PartialAnswers(options.output, identity) as answers:
            if options.input == STANDARD_INPUT:
                answers.drop()
            if answers.count:
                log.info("predict: %d posts were answered by an earlier run, which goes on", answers.count)
            records = islice(records, answers.count, None)
            for batch in shown(tag_stream(records, options, settings), options, input_format, answers.count):
                answers.add(batch)
            answers.finish(output_format)


def open_input(name: str, stack: ExitStack) -> BinaryIO:
    """The bytes of the input."""
    if name == STANDARD_INPUT:
        if sys.stdin is None:
            raise UserError("standard input is closed; name a file of posts")
        try:
            # A file of its own: Python could not end while a thread still waits for a line of sys.stdin.
            return open(sys.stdin.fileno(), "rb", closefd=False)
        except OSError:  # a stream that a program put in its place
            return sys.stdin.buffer
    try:
        return stack.enter_context(open(name, "rb"))
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror}); expected a file of posts") from None


def tag_stream(
    records: Iterator[Record], options: argparse.Namespace, settings: dict[str, Any]
) -> Iterator[list[dict[str, Any]]]:
    """Answers, batch by batch; the model is loaded while the first posts are read."""
    work = BatchTagger(options, settings)
    if options.workers > 1:
        batches = growing_batches(records, work.weight, WORKER_BATCH)
        return map_in_processes(work, batches, options.workers)
    work.load()
    return map(work, growing_batches(records, work.weight))


class BatchTagger:
    """Tags batches of posts; a copy in another process loads a model of its own.

    Args:
        options: of the command line.
        settings: its ``--settings``.
    """

    def __init__(self, options: argparse.Namespace, settings: dict[str, Any]) -> None:
        self.options, self.settings = options, settings
        self.tagger: Tagger | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return worker_tagger, (self.options, json.dumps(self.settings))

    def load(self) -> Tagger:
        """The model, loaded once."""
        if self.tagger is None:
            self.tagger = load_tagger(self.options, self.settings)
        return self.tagger

    def __call__(self, batch: Sequence[Record]) -> list[dict[str, Any]]:
        """Answers."""
        return [answer.to_dict() for answer in self.load().tag(batch, self.options.view, self.options.batch_size)]

    def weight(self, record: Record) -> int:
        """How many posts of text weigh as much as a post; without a model here, an image is taken to be read."""
        image, view = record.values.get("image"), self.options.view
        reads_image = image is not None if self.tagger is None else self.tagger.reads_image(record.values, view)
        return IMAGE_WEIGHT if not isinstance(image, str | None) or view != "t" and reads_image else 1


_of_this_process: list[BatchTagger] = []


def worker_tagger(options: argparse.Namespace, settings: str) -> BatchTagger:
    """The tagger of a worker process, which is the same for all batches."""
    if not _of_this_process:
        from ita.model.device import cpu_cores, use_threads

        use_threads(max(1, cpu_cores() // options.workers))
        _of_this_process.append(BatchTagger(options, json.loads(settings)))
    return _of_this_process[0]


def load_tagger(options: argparse.Namespace, settings: dict[str, Any]) -> Tagger:
    """The model of the command line."""
    folder = options.images or (Path() if options.input == STANDARD_INPUT else Path(options.input).parent)
    with kept_for_good():
        from ita.model.device import keep_freed_memory
        from ita.tagging.tagger import Tagger

        keep_freed_memory()
        return Tagger.from_pretrained(
            options.model,
            revision=options.revision,
            device=options.device,
            settings=settings,
            image_folder=folder,
            precision=options.precision,
            quantize=options.quantize,
            risk=options.risk,
        )


@contextmanager
def kept_for_good() -> Iterator[None]:
    """Python does not look for garbage in what is made here, which lives as long as the process; nor at its end.

    torch makes a million objects when it is imported: 0.2 s of the start, and 0.4 s of the end.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def shown(
    batches: Iterator[list[dict[str, Any]]], options: argparse.Namespace, input_format: str, done: int
) -> Iterator[list[dict[str, Any]]]:
    """Passes batches on, with a progress bar over their posts."""
    total = None
    if options.input != STANDARD_INPUT:
        count = input_files.count_records(Path(options.input), input_format)
        total = None if count is None else max(count - done, 0)
    return progress(batches, total, "predict", "posts", size=len)


def run_identity(options: argparse.Namespace, settings: dict[str, Any], input_format: str) -> dict[str, Any]:
    """What the answers depend on: model, input, view and settings."""
    from ita.tagging.hub_folders import MARK, fetch_folder

    folder = fetch_folder(options.model, options.revision)
    weights = folder / "model.safetensors"
    known = {file.name: [file.stat().st_size, file.stat().st_mtime_ns] for file in (weights,) if file.is_file()}
    return {
        "model": [str(folder.resolve()), sha256(folder / MARK) if (folder / MARK).is_file() else None, known],
        "input": None if options.input == STANDARD_INPUT else sha256(Path(options.input)),
        "input_format": input_format,
        "view": options.view,
        "arithmetic": options.quantize or options.precision,
        "images": str(options.images),
        **({} if options.risk is None else {"risk": options.risk}),
        "settings": settings,
    }


if __name__ == "__main__":
    sys.exit(main())
