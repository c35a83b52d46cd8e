"""demo: the dataset that the project makes itself -> train.txt and, beside it, all that the other stages need.

Written into the folder of --output (the training posts):

- train.txt, valid.txt, test.txt: posts in the layout of UMT;
- images/ID.jpg: their pictures. Some are missing and one is broken, as on Twitter;
- detector/, captioner/: VinVL's at small width, trained on pictures of this kind; they come with the package, and
  ``python -m ita.demo.training`` makes them anew;
- encoder/: configuration and tokenizer of a small BERT without weights.

The same settings write the same bytes.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ita.cli import read_section, run_stage
from ita.config import Demo
from ita.demo import encoder, ground_truth, pictures
from ita.demo import posts as writer
from ita.demo.posts import Post
from ita.demo.training.program import SHIPPED
from ita.io.files import alive, write_text
from ita.log import progress

VERSION = 2
EYES = ("detector", "captioner")

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the stage; ``train`` as its first word is a program of its own."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == ["train"]:
        from ita.demo.training import program

        return program.main(arguments[1:])
    return run_stage("demo", VERSION, work, inputs={}, argv=argv)


def work(settings: Mapping[str, Any], output: Path) -> None:
    """Makes the dataset in the folder of ``output``, which gets the training posts and appears last."""
    chosen = read_section(settings, "demo", Demo)
    posts = records(chosen)
    folder = output.absolute().parent
    with workshop(folder) as new:
        make(posts, chosen, new)
        train = umt(posts, "train")
        # Without the training posts the folder counts as unfinished while its parts are exchanged.
        output.unlink(missing_ok=True)
        for part in sorted(new.iterdir()):
            replace(part, folder / part.name)
        write_text(output, train)
    log.info("%s: %d posts", folder, len(posts))


def records(settings: Demo) -> list[Post]:
    """The posts of all splits with the truth about each."""
    return writer.compose(settings.seed, {"train": settings.train, "valid": settings.valid, "test": settings.test})


def scene_of(post: Post, seed: int) -> pictures.Scene:
    """The plan of a post's picture, whether or not the file exists."""
    return pictures.imagine(random.Random(f"{seed}/scene/{post.image_id}"), post.scene)


def make(posts: Sequence[Post], settings: Demo, folder: Path) -> None:
    """Writes everything but the training posts into an empty folder."""
    images = folder / "images"
    images.mkdir()
    for post in progress(posts, len(posts), "pictures", "picture"):
        if post.image == "missing":
            continue
        scene = scene_of(post, settings.seed)
        rng = random.Random(f"{settings.seed}/sight/{post.image_id}")
        data = pictures.encode(rng, pictures.paint(scene), broken=post.image == "broken")
        (images / f"{post.image_id}.jpg").write_bytes(data)
    for part in EYES:
        shutil.copytree(SHIPPED / part, folder / part)
    for split in ("valid", "test"):
        (folder / f"{split}.txt").write_text(umt(posts, split), encoding="utf-8")
    words = writer.lexicon() | ground_truth.lexicon() | pictures.lexicon()
    encoder.write(
        folder / "encoder", encoder.vocabulary(words, writer.EMOJI), hidden=settings.hidden, layers=settings.layers
    )


def umt(posts: Iterable[Post], split: str) -> str:
    """The posts of a split in the layout of UMT."""
    return writer.umt(post for post in posts if post.split == split)


@contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """A folder beside ``folder`` to work in, removed at the end; leftovers of killed processes are removed too."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.parent.glob(f".{folder.name}.*.part"):
        owner = stale.name.removesuffix(".part").rpartition(".")[2]
        if owner.isdigit() and not alive(int(owner)):
            shutil.rmtree(stale, ignore_errors=True)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def replace(part: Path, target: Path) -> None:
    """Puts a new file or folder in the place of the old one."""
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(part, target)


if __name__ == "__main__":
    sys.exit(main())
