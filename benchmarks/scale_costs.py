"""What N posts with a picture each cost in jobs, bytes, hours and dollars: the tables of docs/scale.md.

Seconds of a core and bytes of an item come from ``benchmarks/scale_measured.csv``, each with where it was measured.
Rates of a GPU were not measured: they, the bytes of region features and all prices are assumptions, which options
change. It prints Markdown; ``--write`` puts that between the marks of docs/scale.md::

    python benchmarks/scale_costs.py --write
    python benchmarks/scale_costs.py --posts 5000000 --gpu-rate detect=25 caption=60 --gpu-hour 1.2 --shard-images 50000
"""

from __future__ import annotations

import argparse
import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

MEASURED = Path(__file__).with_name("scale_measured.csv")
PAGE = Path(__file__).parents[1] / "docs/scale.md"
BLOCK = re.compile(r"(?<=<!-- costs -->\n).*(?=<!-- /costs -->)", re.DOTALL)
GPU_RATES = {"detect": 15.0, "caption": 30.0, "tag": 500.0}
"""Stage -> items a second that one data-centre GPU is assumed to do."""


@dataclass(frozen=True)
class Stage:
    """What an item of a stage takes."""

    name: str
    core_seconds: float | None
    """Of one core; None: it runs on a GPU."""
    bytes: float
    """That stay of it."""
    jobs: int | None
    """None: one for every shard."""


def read_stages() -> list[Stage]:
    """The measured figures."""
    with open(MEASURED, newline="", encoding="utf-8") as file:
        return [
            Stage(
                row["stage"],
                float(row["core_seconds"]) if row["core_seconds"] else None,
                float(row["bytes"]),
                None if row["jobs"] == "shards" else int(row["jobs"]),
            )
            for row in csv.DictReader(file)
        ]


def amount(value: float, units: tuple[tuple[float, str], ...]) -> str:
    """A number in the largest unit that it reaches, or the smallest."""
    size, unit = next((pair for pair in units if value >= pair[0]), units[-1])
    number = value / size
    return f"{number:,.0f} {unit}" if number >= 100 else f"{number:.2g} {unit}"


def size_of(value: float) -> str:
    """Bytes."""
    return amount(value, ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")))


def hours_of(value: float) -> str:
    """Hours."""
    return "" if not value else amount(value, ((1, "h"), (1 / 60, "min"), (1 / 3600, "s")))


def dollars_of(value: float) -> str:
    """Dollars."""
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def costs(posts: int, options: argparse.Namespace) -> str:
    """The table of so many posts."""
    shards = min(max(1, math.ceil(posts / options.shard_images)), options.most_shards)
    rows, totals = [], [0.0, 0.0, 0.0, 0.0, 0.0]
    for stage in read_stages():
        core = (stage.core_seconds or 0.0) * posts / 3600
        gpu = posts / options.gpu_rate[stage.name] / 3600 if stage.core_seconds is None else 0.0
        kept = stage.bytes * posts
        values = [
            float(stage.jobs or shards),
            core,
            gpu,
            kept,
            core * options.core_hour + gpu * options.gpu_hour,
        ]
        totals = [total + value for total, value in zip(totals, values, strict=True)]
        rows.append([stage.name, *shown(values)])
    rows.append(["all", *shown(totals)])
    keeping = totals[3] / 1e9 * options.gigabyte_month
    header = ["stage", "jobs", "time of a core", "time of a GPU (assumed)", "bytes", "dollars"]
    table = tabulate(rows, header, tablefmt="pipe", disable_numparse=True)
    split = f"{shards:,} {'shard' if shards == 1 else 'shards'}"
    return f"**{posts:,} posts**, {split}; keeping everything: {dollars_of(keeping)} dollars a month\n\n{table}\n"


def shown(values: list[float]) -> list[str]:
    """A row of the table."""
    jobs, core, gpu, kept, dollars = values
    return [f"{jobs:,.0f}", hours_of(core), hours_of(gpu), size_of(kept), dollars_of(dollars)]


def rate(text: str) -> tuple[str, float]:
    """``stage=rate`` of the command line."""
    name, _, value = text.partition("=")
    if name not in GPU_RATES:
        raise argparse.ArgumentTypeError(f"{name}: expected one of {', '.join(GPU_RATES)}")
    return name, float(value)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, nargs="+", default=[10_000, 1_000_000, 100_000_000])
    parser.add_argument("--gpu-rate", type=rate, nargs="+", default=[], metavar="STAGE=ITEMS", help="items a second")
    parser.add_argument("--gpu-hour", type=float, default=2.5, help="dollars")
    parser.add_argument("--core-hour", type=float, default=0.05, help="dollars")
    parser.add_argument("--gigabyte-month", type=float, default=0.023, help="dollars")
    parser.add_argument("--shard-images", type=int, default=20_000, help="images of a job")
    parser.add_argument("--most-shards", type=int, default=1_000)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/scale.md")
    options = parser.parse_args()
    options.gpu_rate = GPU_RATES | dict(options.gpu_rate)
    rates = ", ".join(f"{name} {value:g} a second" for name, value in options.gpu_rate.items())
    text = (
        f"Assumed: on a GPU {rates}; {options.gpu_hour} dollars a GPU-hour, {options.core_hour} a core-hour, "
        f"{options.gigabyte_month} a gigabyte and month; {options.shard_images:,} images a shard, "
        f"at most {options.most_shards:,} shards.\n\n"
    ) + "\n".join(costs(posts, options) for posts in options.posts)
    if options.write:
        PAGE.write_text(BLOCK.sub(lambda _: text, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
