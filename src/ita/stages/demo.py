"""demo: settings -> a folder with posts, images and models.

The synthetic data set of the project:

- train.txt, valid.txt, test.txt: posts in the layout of UMT;
- relation-train.csv, relation-valid.csv: their texts with their own image and with another post's, labelled so;
- images/ID.jpg: their images. Some are missing and one is broken, as on Twitter;
- detector/, captioner/: VinVL's architectures at small width, trained on images of this kind; they are part of the
  package, and ``python -m ita.demo.training`` trains them anew;
- encoder/: configuration and tokenizer of a small BERT without weights;
- cased-encoder/: the same with a tokenizer that keeps capital letters.

The same settings write the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Demo
from ita.demo import SHIPPED_MODELS, encoder, ground_truth, pictures
from ita.demo.posts import EMOJI, Post, format_umt, generate_posts, lexicon
from ita.demo.relations import format_relations
from ita.io.files import atomic_folder
from ita.log import log, progress

MODELS = ("detector", "captioner")
SPLITS = ("train", "valid", "test")
RELATION_SPLITS = ("train", "valid")


def work(settings: dict[str, Any], output: Path) -> None:
    """Makes the data set.

    Args:
        settings: ``demo``.
        output: folder to write it into; it appears, or replaces an older one, when it is complete.
    """
    demo = read_section(settings, "demo", Demo)
    posts = generate_posts(demo.seed, {split: getattr(demo, split) for split in SPLITS})
    with atomic_folder(output.absolute()) as folder:
        write_images(posts, demo.seed, folder / "images")
        for model in MODELS:
            shutil.copytree(SHIPPED_MODELS / model, folder / model)
        write_encoder(demo, folder / "encoder")
        write_encoder(demo, folder / "cased-encoder", lowercase=False)
        for split in SPLITS:
            text = format_umt(post for post in posts if post.split == split)
            (folder / f"{split}.txt").write_text(text, encoding="utf-8")
        for split in RELATION_SPLITS:
            text = format_relations([post for post in posts if post.split == split], demo.seed)
            (folder / f"relation-{split}.csv").write_text(text, encoding="utf-8")
    log.info("%s: %d posts", output, len(posts))


def write_images(posts: Sequence[Post], seed: int, folder: Path) -> None:
    """Writes the images that are not missing."""
    folder.mkdir()
    for post in progress(posts, len(posts), "images", "image"):
        if post.image != "missing":
            (folder / f"{post.image_id}.jpg").write_bytes(pictures.image_bytes(post, seed))


def write_encoder(demo: Demo, folder: Path, lowercase: bool = True) -> None:
    """Writes an encoder that knows every word of posts, banners, tags and captions, but for the made-up names."""
    words = lexicon() | ground_truth.lexicon() | pictures.lexicon()
    subwords = encoder.vocabulary(words, EMOJI, lowercase)
    encoder.write_encoder(folder, subwords, demo.hidden, demo.layers, lowercase)
