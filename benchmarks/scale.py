"""Many new posts through the workflow: seconds and peak memory of each stage, as Snakemake's benchmark files have them.

``python benchmarks/scale.py`` makes posts of the demo's kind, half a gigabyte of JSON lines for three million, and
draws pictures; it copies the workflow into a folder, trains the demo's taggers there and has Snakemake make the
entities of both data sets: ``text`` by a tagger of the text alone, ``pictures`` by one that reads objects, captions and
OCR text. A folder that is named is kept, and a second run goes on where the first one was::

    python benchmarks/scale.py --posts 20000 --pictures 1000
    python benchmarks/scale.py --posts 1000000 --pictures 20000 --folder /tmp/scale
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from tabulate import tabulate

from ita.config.sections import STAGES
from ita.demo import pictures, posts
from ita.io import parquet

ROOT = Path(__file__).parents[1]
RUNS = "results/demo/runs/demo/{}/seed1"
SYSTEMS = {"text": "crf", "pictures": "ita-all-cva"}
"""Data set -> system that tags it."""


def made_up(count: int) -> Iterator[posts.Post]:
    """Posts of the demo's kind, one after another."""
    names = posts.made_up_names(random.Random("scale"), taken=frozenset(posts.lexicon()))
    known = [next(names) for _ in range(500)]
    for number in range(count):
        rng = random.Random(f"scale/{number}")
        group, kind = rng.choice(list(posts.DECIDABLE)), rng.choice(posts.TYPES)
        yield posts.generate_post(rng, "new", f"{number:07}", group, "ok", kind, known)


def write_posts(file: Path, count: int, with_images: bool) -> None:
    """Posts as JSON lines of raw text."""
    if file.is_file():
        return
    part = file.with_suffix(".part")
    with open(part, "w", encoding="utf-8") as lines:
        for post in made_up(count):
            image = {"image": post.image_id} if with_images else {}
            lines.write(json.dumps({"id": post.image_id, "text": " ".join(post.tokens), **image}) + "\n")
    part.rename(file)


def draw(folder: Path, count: int, distinct: int) -> None:
    """Pictures of the posts; where fewer are drawn than named, each has several names."""
    folder.mkdir(exist_ok=True)
    for number, post in enumerate(made_up(count)):
        path, source = folder / f"{post.image_id}.jpg", folder / f"{number % distinct:07}.jpg"
        if path.exists():
            continue
        if path == source:
            rng = random.Random(f"picture/{number}")
            path.write_bytes(pictures.encode(rng, pictures.draw_scene(pictures.sample_scene(rng, post.scene))))
        else:
            os.link(source, path)


def configuration(options: argparse.Namespace) -> dict[str, Any]:
    """That of the repository, with the two data sets."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    demo = config["datasets"]["demo"]
    for name, system in SYSTEMS.items():
        config["datasets"][name] = {
            "posts": {"format": "jsonl", "files": {"new": f"{name}.jsonl"}},
            "tag": {"model": RUNS.format(system)},
            "gather": {"shards": options.shards},
        }
    same = {key: demo[key] for key in ("detectors", "captioners", "context")}
    config["datasets"]["pictures"] |= {"download": {"source": "folder", "folder": "drawn"}, **same}
    return config


def set_up(folder: Path, options: argparse.Namespace) -> list[str]:
    """The workflow with its posts and pictures; the files that Snakemake is to make."""
    for name in ("Snakefile", "rules", "workflow", "envs"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, dirs_exist_ok=True)
        else:
            shutil.copy(source, folder / name)
    if not (folder / "src").exists():
        (folder / "src").symlink_to(ROOT / "src")
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration(options), sort_keys=False))
    counts = {"text": options.posts, "pictures": options.pictures}
    for name, count in counts.items():
        write_posts(folder / f"{name}.jsonl", count, name == "pictures")
    draw(folder / "drawn", options.pictures, options.drawn or max(options.pictures, 1))
    return [f"results/{name}/entities.parquet" for name, count in counts.items() if count]


def stage_of(file: Path) -> str:
    """Stage of a benchmark file in results/benchmarks/DATASET."""
    return next(part for part in file.with_suffix("").parts if part in STAGES)


def measurements(folder: Path, dataset: str) -> list[list[Any]]:
    """Jobs, seconds, seconds of processor time and largest resident memory (MB) of each stage."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    root = folder / "results" / "benchmarks" / dataset
    for file in sorted(root.rglob("*.tsv")):
        with open(file, newline="") as rows:
            found[stage_of(file.relative_to(root))] += csv.DictReader(rows, delimiter="\t")

    def numbers(rows: list[dict[str, str]], column: str) -> list[float]:
        return [float(row[column]) for row in rows if row[column] not in ("-", "NA")] or [0.0]

    return [
        [
            dataset,
            stage,
            len(found[stage]),
            sum(numbers(found[stage], "s")),
            sum(numbers(found[stage], "cpu_time")),
            max(numbers(found[stage], "max_rss")),
        ]
        for stage in STAGES
        if stage in found
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=20_000, help="posts of text")
    parser.add_argument("--pictures", type=int, default=1_000, help="posts with a picture")
    parser.add_argument("--drawn", type=int, default=0, help="different pictures (default: all)")
    parser.add_argument("--shards", type=int, default=2, help="jobs of each of detect, caption, ocr and tag")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="folder to work in, which is kept (default: a temporary one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        targets = set_up(folder, options)
        command = [sys.executable, "-m", "snakemake", "--cores", str(options.cores), "--rerun-incomplete", "--quiet"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([*command, "--", *targets], cwd=folder, check=True, env=environment)
        datasets = [Path(target).parts[1] for target in targets]
        rows = [row for dataset in datasets for row in measurements(folder, dataset)]
        header = ["data set", "stage", "jobs", "seconds", "CPU seconds", "peak MB"]
        print(tabulate(rows, header, floatfmt=("", "", "", ".1f", ".1f", ".0f")))
        for target in targets:
            counts = parquet.metadata(folder / target)["counts"]
            print(f"{target}: {', '.join(f'{value} {name}' for name, value in counts.items())}")


if __name__ == "__main__":
    main()
