"""demo: nothing -> a folder with posts, pictures and models.

The dataset that the project makes itself:

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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Demo
from ita.demo import encoder, ground_truth, pictures
from ita.demo import posts as writer
from ita.demo.posts import Post
from ita.demo.training.program import SHIPPED
from ita.io.files import alive, write_text
from ita.log import progress

EYES = ("detector", "captioner")

log = logging.getLogger(__name__)


def work(settings: dict[str, Any], output: Path) -> None:
    """Makes the dataset.

    Args:
        settings: ``demo``.
        output: folder to write it into; the training posts, train.txt, appear last.
    """
    chosen = read_section(settings, "demo", Demo)
    posts = records(chosen)
    folder = output.absolute()
    with workshop(folder) as new:
        make(posts, chosen, new)
        train = umt(posts, "train")
        # Without the training posts the folder counts as unfinished while its parts are exchanged.
        (folder / "train.txt").unlink(missing_ok=True)
        for part in sorted(new.iterdir()):
            replace(part, folder / part.name)
        write_text(folder / "train.txt", train)
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
