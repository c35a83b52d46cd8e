"""Samples that are mutated: annotation files, image texts, images, archives, tables, models."""

import io
import json
import string
import tarfile
import zipfile
from pathlib import Path
from random import Random

from PIL import Image

WORDS = ["Ann", "went", "to", "#NBA", "@x", "don't", "😀", "\ufe0f", "Rome", "…", "\u00a0", "10,000", "é"]


def posts(random: Random, count: int = 6) -> list[dict]:
    """Made-up annotated posts."""
    made = []
    for number in range(count):
        tokens = [random.choice(WORDS) for _ in range(random.randint(1, 8))]
        tags = [random.choice(["O", "O", "B-PER", "B-LOC"]) for _ in tokens]
        made.append({"id": f"p{number}", "tokens": tokens, "tags": tags, "image": f"{number}.jpg"})
    return made


def annotated(kind: str, random: Random) -> bytes:
    """A file of annotated posts."""
    made = posts(random)
    if kind == "jsonl":
        return "".join(json.dumps(post, ensure_ascii=False) + "\n" for post in made).encode()
    if kind == "three_line":
        blocks = [f"{' '.join(p['tokens'])}\n{' '.join(p['tags'])}\n{p['image']}\n" for p in made]
        return "\n".join(blocks).encode()
    if kind == "parquet":
        return parquet_bytes(made)
    if kind == "spans":
        return b"".join(span_records(post, random) for post in made)
    if kind == "csv":
        cells = [[post["id"], json.dumps(post["tokens"]), " ".join(post["tags"]), post["image"]] for post in made]
        rows = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells]
        return "\n".join(["id,tokens,tags,image", *rows, ""]).encode()
    blocks = []
    for post in made:
        lines = [f"{word}\t{tag}" for word, tag in zip(post["tokens"], post["tags"], strict=True)]
        if kind == "ita":
            lines += ["<EOS>\tX", "a\tX", "man\tX"]
        blocks.append("\n".join([f"IMGID:{post['id']}", *lines, ""]))
    return "\n".join(blocks).encode()


def span_records(post: dict, random: Random) -> bytes:
    """A post as a line of doccano, spaCy or Label Studio."""
    tokens = [token.replace("\u00a0", "a") for token in post["tokens"]]
    text = " ".join(tokens)
    span = [0, len(tokens[0]), "PER"]
    keyed = dict(zip(("start", "end", "label"), span, strict=True))
    task = {"data": {"text": text}, "annotations": [{"result": [{"type": "labels", "value": keyed}]}]}
    records = [{"text": text, "label": [span]}, {"text": text, "ents": [keyed]}, [text, {"entities": [span]}], task]
    return (json.dumps(random.choice(records), ensure_ascii=random.random() < 0.5) + "\n").encode()


def parquet_bytes(rows: list[dict]) -> bytes:
    """Rows as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def new_posts(kind: str, random: Random) -> bytes:
    """A file of posts to tag."""
    rows = [
        {"id": i, "text": " ".join(random.choices(WORDS, k=random.randint(1, 9))), "context": "a man", "more": 1.5}
        for i in range(6)
    ]
    if kind == "parquet":
        return parquet_bytes(rows)
    if kind in ("csv", "tsv"):
        mark = {"csv": ",", "tsv": "\t"}[kind]
        cells = [[str(value).replace('"', '""') for value in row.values()] for row in rows]
        return "\n".join([mark.join(rows[0]), *(mark.join(f'"{cell}"' for cell in row) for row in cells), ""]).encode()
    if kind == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=random.random() < 0.5) + "\n" for row in rows).encode()
    return "".join(f"{row['text']}\n" for row in rows).encode()


def image_texts(kind: str) -> bytes:
    """A file of captions."""
    rows = [{"image_id": f"{i}.jpg", "caption": f"a man, {i}", "logprob": -1.5} for i in range(4)]
    if kind == "json":
        return json.dumps({row["image_id"]: [row["caption"], "two"] for row in rows}).encode()
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if kind == "csv":
        return "\n".join(["image_id,caption", *(f'{row["image_id"]},"{row["caption"]}"' for row in rows), ""]).encode()
    if kind == "parquet":
        return parquet_bytes(rows)
    return "".join(f"{row['image_id']} :{row['caption']}\n" for row in rows).encode()


def objects(kind: str) -> bytes:
    """A file of objects."""
    found = {"label": "car", "score": 0.5, "attributes": [{"label": "red", "score": 0.25}], "box": [1, 2, 3, 4]}
    rows = [{"image_id": f"{i}.jpg", "objects": [found, found]} for i in range(3)]
    if kind == "json":
        return json.dumps({row["image_id"]: row["objects"] for row in rows}).encode()
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if kind == "csv":
        return b"image_id,label,score,x1,y1,x2,y2\n1.jpg,car,0.5,1,2,3,4\n2.jpg,man,0.25,1,2,3,4\n"
    if kind == "parquet":
        return parquet_bytes([{"image_id": "1.jpg", "label": "car", "score": 0.5, "x1": 1.0} for _ in range(3)])
    return b"1.jpg :red car, man\n2.jpg :tree\n"


def picture(kind: str, random: Random) -> bytes:
    """An image file, with the odd parts that each format has."""
    image = Image.effect_noise((random.randint(3, 40), random.randint(3, 30)), 60)
    options: dict = {}
    if kind == "GIF":
        image, options = image.convert("P"), {"save_all": True, "append_images": [image.convert("P")]}
    elif kind == "PNG":
        image = image.convert(random.choice(["L", "RGB", "RGBA", "P", "1", "I;16" if image.mode == "I" else "LA"]))
    else:
        image = image.convert("RGB")
    if kind == "JPEG":
        exif = Image.Exif()
        exif[0x0112] = random.randint(1, 8)
        options = {"exif": exif, "progressive": random.random() < 0.5}
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


ARCHIVED = [f"{number}.png" for number in range(3)]
"""Images of an archive."""


def archive(kind: str, random: Random) -> bytes:
    """An archive of images."""
    out = io.BytesIO()
    files = {name: picture("PNG", random) for name in ARCHIVED}
    if kind == "zip":
        how = random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
        with zipfile.ZipFile(out, "w", how) as package:
            for name, content in files.items():
                package.writestr(name, content)
    else:
        form = random.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
        with tarfile.open(fileobj=out, mode=f"w:{kind}", format=form) as package:
            for name, content in files.items():
                member = tarfile.TarInfo("f" * random.choice([1, 120]) + "/" + name if form else name)
                member.size = len(content)
                package.addfile(member, io.BytesIO(content))
    return out.getvalue()


def encoder(folder: Path) -> Path:
    """A folder with a tiny BERT of letters."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder.mkdir()
    letters = string.ascii_letters + string.digits + "@#!.,:'"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizer(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **sizes)).save_pretrained(folder)
    return folder


def run_folder(folder: Path) -> Path:
    """A run folder of an untrained tagger with that encoder, as training writes it."""
    from ita.cli import run_stage
    from ita.io import parquet
    from ita.stages import train

    random = Random(0)
    rows = [
        {"post_id": f"{split}-{n}", "split": split, "tokens": post["tokens"], "tags": post["tags"], "repaired": 0}
        for split in ("train", "dev", "test")
        for n, post in enumerate(posts(random, 4))
    ]
    parquet.write("posts", rows, folder / "posts.parquet", {"label_version": "made up"})
    contexts = [{"post_id": row["post_id"], "tokens": [], "kinds": [], "truncated": 0} for row in rows]
    parquet.write("contexts", contexts, folder / "none.parquet")
    run = folder / "run"
    settings = {
        "train": {"epochs": 1},
        "encoder": {"model": str(encoder(folder / "encoder"))},
        "system": {},
        "loss": {},
        "seed": 1,
    }
    options = {"posts": folder / "posts.parquet", "context": folder / "none.parquet"}
    options |= {"output": run / "model.safetensors", "history": run / "history.csv"}
    options |= {"run-settings": run / "settings.json", "checkpoint": run / "checkpoint"}
    words = [str(word) for name, file in options.items() for word in (f"--{name}", file)]
    assert run_stage(train, ["--settings", json.dumps(settings), *words]) == 0
    return run
