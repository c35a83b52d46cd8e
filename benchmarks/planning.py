"""Planning many jobs: seconds and memory of ``snakemake --dry-run``, beside Snakemake's own floor.

A data set of new posts is split into N shards. ``vision`` plans two detectors, two captioners and an OCR engine, 5 N
jobs and five to gather them; ``text`` N jobs of a tagger of the text; ``regions`` N jobs of a tagger that reads the
region features of all N shards. The floor of ``vision`` is a workflow whose rules have the same files, logs and
resources, and no functions: what Snakemake takes for that many jobs. The column "ours" is what our functions of
settings and inputs take for all jobs, in this process. Nothing is run. In a checkout::

    python benchmarks/planning.py --shards 10 100 1000
    python benchmarks/planning.py --shards 100 300 --cases regions
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from run import execute
from tabulate import tabulate

from ita.config.levels import merge
from ita.workflow.jobs import Jobs

ROOT = Path(__file__).resolve().parents[1]
MODELS = {"detectors": ["d1", "d2"], "captioners": ["c1", "c2"]}
TABLES = ["objects/d1", "objects/d2", "captions/c1", "captions/c2", "ocr/tesseract"]
TARGETS = {
    "vision": [f"results/big/{table}.parquet" for table in TABLES],
    "text": ["results/big/entities.parquet"],
    "regions": ["results/big/entities.parquet"],
}
TAGGERS = {"vision": "crf", "text": "crf", "regions": "vinvl-crf"}
FLOOR = """
tables, shards = config["tables"], range(1, config["shards"] + 1)

wildcard_constraints:
    table="|".join(tables)

rule all:
    input: expand("results/big/{table}.parquet", table=tables)

rule images:
    output: "results/big/images.parquet"
    shell: "ita download {output}"

rule shard:
    input: "results/big/images.parquet"
    output: "results/big/{table}/{shard}.parquet"
    log: "results/logs/big/{table}/{shard}.log"
    benchmark: "results/benchmarks/big/{table}/{shard}.tsv"
    resources: gpu=1, mem_mb=16000, runtime=480
    shell: "ita shard {input} {output} {log}"

rule gather:
    input: expand("results/big/{{table}}/{shard}-of-" + str(len(shards)) + ".parquet", shard=shards)
    output: "results/big/{table}.parquet"
    log: "results/logs/big/gather/{table}.log"
    benchmark: "results/benchmarks/big/gather/{table}.tsv"
    shell: "ita gather {input} {output} {log}"
"""


def configuration(case: str, shards: int) -> dict[str, Any]:
    """The data set, over the settings of the checkout."""
    tagger = f"results/demo/runs/demo/{TAGGERS[case]}/seed1"
    models: dict[str, dict[str, Any]] = {section: {name: {} for name in names} for section, names in MODELS.items()}
    models["detectors"]["demo"] = {"model": "made-up"}  # whose regions the demo's tagger reads
    for name in MODELS["captioners"]:
        models["captioners"][name] = {"backend": "transformers", "model": "made-up"}
    big = {
        "posts": {"format": "jsonl", "files": {"new": "new.jsonl"}},
        "download": {"source": "folder", "folder": "pictures"},
        "gather": {"shards": shards},
        "tag": {"model": tagger, "differences": "warn"},
        **models,
    }
    return {"datasets": {"big": big}}


def measured(folder: Path, snakefile: Path, settings: dict[str, Any], targets: list[str]) -> dict[str, float]:
    """CPU seconds and peak memory of a dry run."""
    (folder / "new.jsonl").touch()
    (folder / "pictures").mkdir(exist_ok=True)
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    arguments = ["--dry-run", "--nolock", "--cores", "1", "--directory", str(folder)]
    arguments += ["--snakefile", str(snakefile), "--configfile", str(folder / "settings.yaml")]
    return execute([sys.executable, "-m", "snakemake", *arguments, "--", *targets], quiet=True)


def jobs_of(case: str, shards: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Stage and wildcards of the jobs of the data set."""
    numbers = [f"{number}-of-{shards}" for number in range(1, shards + 1)]
    if case != "vision":
        yield from (("tag", {"dataset": "big", "shard": number}) for number in numbers)
        return
    entries = [("detect", "detector", name) for name in MODELS["detectors"]]
    entries += [("caption", "captioner", name) for name in MODELS["captioners"]]
    for stage, wildcard, name in [*entries, ("ocr", "ocr_engine", "tesseract")]:
        yield from ((stage, {"dataset": "big", wildcard: name, "shard": number}) for number in numbers)
    yield from (("gather", {"dataset": "big", "gathered": table}) for table in TABLES)


def ours(case: str, shards: int, settings: dict[str, Any]) -> tuple[int, float]:
    """Number of the jobs, and CPU seconds of our functions for all of them."""
    jobs = Jobs(merge(yaml.safe_load((ROOT / "config.yaml").read_text()), settings))
    planned = list(jobs_of(case, shards))
    started = time.process_time()
    for stage, wildcards in planned:
        jobs.settings(stage)(wildcards)
        if stage != "ocr":
            jobs.inputs(stage)(wildcards)
    return len(planned), time.process_time() - started


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--cases", nargs="+", choices=TARGETS, default=["vision", "text"])
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "results").mkdir()
        floor = folder / "floor.smk"
        floor.write_text(FLOOR)
        for case in options.cases:
            for shards in options.shards:
                settings = configuration(case, shards)
                plan = measured(folder, ROOT / "Snakefile", settings, TARGETS[case])
                count, seconds = ours_in(folder, case, shards, settings)
                rows.append([case, shards, count, plan["cpu"], seconds, plan["peak"]])
                if case == "vision":
                    bare = measured(folder, floor, {"tables": TABLES, "shards": shards}, [])
                    rows.append(["its floor", shards, count, bare["cpu"], None, bare["peak"]])
    header = ["case", "shards", "jobs", "CPU s", "of them ours", "peak MB"]
    print(tabulate(rows, header, floatfmt=("", "", "", ".1f", ".2f", ".0f")))


def ours_in(folder: Path, case: str, shards: int, settings: dict[str, Any]) -> tuple[int, float]:
    """``ours`` in a folder, which local files of the settings are relative to."""
    from contextlib import chdir

    with chdir(folder):
        return ours(case, shards, settings)


if __name__ == "__main__":
    main()
