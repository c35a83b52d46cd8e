"""Posts with images for tests of taggers that read regions."""

import random
import string

import numpy as np
import pytest

from ita.io import parquet

SPLITS = {"train": 64, "dev": 16, "test": 16}
WIDTH = 6


@pytest.fixture(scope="session")
def pairs_encoder(tmp_path_factory):
    """Folder of a BERT of 24 units with random weights, whose subwords are letters, also capital ones, and pairs."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("pairs")
    letters = string.ascii_letters
    pairs = [first + second for first in "abcdex" for second in "abcde"]
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [*specials, *letters, *pairs, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizer(str(folder / "vocab.txt"), do_lower_case=False, model_max_length=48).save_pretrained(folder)
    torch.manual_seed(1)
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 3, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=48, **sizes)).save_pretrained(folder)
    return folder


def boxes_of(image):
    """Rows of the table of objects for the regions of an image."""
    edges = {"x1": 1, "y1": 2, "x2": 5, "y2": 8}
    return [{"image_id": image["image_id"], "rank": n, "label": "cat", **edges} for n in range(image["regions"])]


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """Posts in which 'x...' words are entities whose type only one number of one region tells; few have no image.

    Returns:
        The folder, and its two shards of features; those of the objects have the same names in ``objects``.
    """
    folder = tmp_path_factory.mktemp("pictured")
    draw, normal = random.Random(0), np.random.default_rng(0)
    posts, contexts, images = [], [], []
    for split, count in SPLITS.items():
        for n in range(count):
            words = [draw.choice("abcde") * draw.randint(1, 3) for _ in range(draw.randint(1, 7))]
            at, kind = draw.randrange(len(words)), draw.choice(["PER", "LOC"])
            words[at] = "x" + draw.choice("abcde")
            tags = ["O"] * len(words)
            tags[at] = f"B-{kind}"
            name = f"{split}-{n}"
            image = None if n % 16 == 15 else f"image-{name}"
            post = {"post_id": name, "split": split, "image_id": image, "tokens": words, "tags": tags, "repaired": 0}
            posts.append(post)
            said = ["b"] * draw.randint(0, 2)
            contexts.append({"post_id": name, "tokens": said, "kinds": ["ga"] * len(said), "truncated": 0})
            if image and n % 16 != 14:  # one image in sixteen could not be had
                regions = normal.normal(0, 0.3, (draw.randint(1, 4), WIDTH))
                regions[draw.randrange(len(regions)), 0] = 2.0 if kind == "PER" else -2.0
                values = np.float32(regions).flatten()
                images.append({"image_id": image, "width": 9, "height": 9, "regions": len(regions), "features": values})
    parquet.write("posts", posts, folder / "posts.parquet", {"label_version": "made up"})
    parquet.write("contexts", contexts, folder / "ga.parquet")
    shards = [folder / f"{number}-of-2.parquet" for number in (1, 2)]
    (folder / "objects").mkdir()
    for shard, rows in zip(shards, (images[::2], images[1::2]), strict=True):
        parquet.write("features", rows, shard, {"engine": {"class": "ResNet"}})
        parquet.write("objects", [box for row in rows for box in boxes_of(row)], folder / "objects" / shard.name)
    return folder, shards


@pytest.fixture(scope="session")
def related(tmp_path_factory):
    """Relation data: the image adds to the text where 'xa' meets a bright region, or 'xb' a dark one.

    Some images are missing, and one post is too long. Images have the names of those of ``pictured``, and are others.

    Returns:
        Posts, and the shards of features.
    """
    folder = tmp_path_factory.mktemp("related")
    draw, normal = random.Random(1), np.random.default_rng(1)
    posts, images = [], []
    for split, count in {"train": 128, "dev": 48}.items():
        for n in range(count):
            words = [draw.choice("abcde") for _ in range(draw.randint(0, 3))]
            word, bright = draw.choice("ab"), draw.choice([True, False])
            words.insert(draw.randint(0, len(words)), "x" + word)
            if (split, n) == ("train", 5):
                words *= 80
            name = f"{split}-{n}"
            post = {"post_id": name, "split": split, "image_id": f"image-{name}", "tokens": words}
            posts.append({**post, "tags": ["O"] * len(words), "repaired": 0, "related": bright == (word == "a")})
            if n % 16 != 15:
                regions = normal.normal(0, 0.3, (draw.randint(1, 3), WIDTH))
                regions[:, 1] = 2.0 if bright else -2.0
                values = np.float32(regions).flatten()
                images.append({**post, "width": 9, "height": 9, "regions": len(regions), "features": values})
    parquet.write("posts", posts, folder / "posts.parquet", {"label_version": "made up"})
    keys = ("image_id", "width", "height", "regions", "features")
    rows = [{key: image[key] for key in keys} for image in images]
    shards = [folder / f"{number}-of-2.parquet" for number in (1, 2)]
    for shard, part in zip(shards, (rows[::2], rows[1::2]), strict=True):
        parquet.write("features", part, shard, {"engine": {"class": "ResNet"}})
    return folder / "posts.parquet", shards
