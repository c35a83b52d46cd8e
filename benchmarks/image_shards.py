"""Images in files of their own and in shards: seconds to write, images a second in order, milliseconds at random.

python benchmarks/image_shards.py --images 100000 --bytes 8000 --folder /tmp/images

Bytes are random: nothing is decoded, what is measured is the store of the stage download and the reader of the vision
stages. Reads come after the pages of the files were dropped from memory as far as the system allows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

from ita.download.image_files import ImageFiles, ImageKey, ImageShards, SingleFiles
from ita.io import parquet
from ita.vision.images import ImageFiles as Table
from ita.vision.images import read_bytes


def contents(count: int, size: int) -> Iterator[bytes]:
    """Different contents of about so many bytes."""
    draw = random.Random(0)
    for number in range(count):
        yield number.to_bytes(8, "big") + draw.randbytes(draw.randint(size // 2, size * 3 // 2))


def write(store: ImageFiles, folder: Path, count: int, size: int) -> float:
    """Writes all images and their table; returns the seconds of the images."""
    rows, seconds = [], 0.0
    for number, content in enumerate(contents(count, size)):
        key = ImageKey(hashlib.sha256(content).hexdigest(), "JPEG")
        start = time.perf_counter()
        store.write(key, content)
        place = store.place(key)
        seconds += time.perf_counter() - start
        row = {"image_id": str(number), "status": "ok", "sha256": key.sha256, "bytes": len(content), **place}
        rows.append(row)
    start = time.perf_counter()
    store.close()
    seconds += time.perf_counter() - start
    parquet.write("images", rows, folder / "images.parquet")
    return seconds


def forget(folder: Path) -> None:
    """Drops the pages of all files from memory."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(name: str, store: ImageFiles, folder: Path, count: int, size: int) -> dict[str, object]:
    """What one form costs."""
    written = write(store, folder, count, size)
    images = Table(folder / "images.parquet", array("q", range(count)))
    forget(folder)
    start = time.perf_counter()
    total = sum(len(read_bytes(file.path)) for file in images)
    ordered = count / (time.perf_counter() - start)
    files = list(images)
    chosen = random.Random(1).sample(range(count), min(2000, count))
    forget(folder)
    start = time.perf_counter()
    for number in chosen:
        read_bytes(files[number].path)
    at_random = (time.perf_counter() - start) / len(chosen) * 1000
    inodes = sum(1 for _ in folder.rglob("*")) - 1
    start = time.perf_counter()
    shutil.rmtree(folder)
    removed = time.perf_counter() - start
    return {
        "form": name,
        "images": count,
        "megabytes": round(total / 1e6),
        "write_seconds": round(written, 1),
        "read_per_second": round(ordered),
        "random_ms": round(at_random, 3),
        "files_and_folders": inodes,
        "remove_seconds": round(removed, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Prints a line of JSON for each form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=8000, help="of an image, on average")
    parser.add_argument("--folder", type=Path, default=Path("image-shards"), help="is made, and removed afterwards")
    parser.add_argument("--forms", nargs="+", choices=("shards", "files"), default=["shards", "files"])
    options = parser.parse_args()
    forms = {"shards": ImageShards, "files": SingleFiles}
    for name in options.forms:
        folder = options.folder / name
        folder.mkdir(parents=True)
        store = forms[name](folder / "images", folder)
        print(json.dumps(measure(name, store, folder, options.images, options.bytes)), flush=True)


if __name__ == "__main__":
    main()
