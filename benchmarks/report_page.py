"""The page of all posts: how long it takes; pictures of all pages for the documentation; by headless Chromium.

python -m benchmarks.report_page time                     # a made data set of 3,257 posts with pictures
python -m benchmarks.report_page picture results/demo/report --state '#outcome=helped' --output docs/posts.png
python -m benchmarks.report_page picture results/demo/report --page tables --output docs/tables.png
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from tests.support.browser import browsing
from tests.support.made_dataset import make_report

SPLITS = {"train": 0, "dev": 0, "test": 3257}
"""As many as the test posts of Twitter-2015."""
CHOICES = {
    "B beside A: helped": ("outcome", "helped"),
    "B beside A: misled": ("outcome", "misled"),
    "Holds in: all seeds": ("seeds", "all"),
    "Error: missed": ("error", "missed"),
    "Entity type: PER": ("type", "PER"),
    "Entities: not seen in training": ("seen", "unseen"),
    "Picture: with": ("picture", "yes"),
    "Split: all": ("split", ""),
}
"""What is chosen -> field and value, one after another on top of each other."""
CHANGE = """([id, value]) => {
  const field = document.getElementById(id);
  field.value = value;
  const start = performance.now();
  field.dispatchEvent(new Event(id === 'q' ? 'input' : 'change'));
  document.getElementById('rows').getBoundingClientRect();
  return performance.now() - start;
}"""
"""Milliseconds until list and post are in the document and laid out."""
REPEATS = 5


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    timing = commands.add_parser("time", help="seconds to first paint, milliseconds per filter")
    timing.add_argument("--report", type=Path, help="folder of a report; by default one of a made data set")
    picture = commands.add_parser("picture", help="a screenshot")
    picture.add_argument("report", type=Path)
    picture.add_argument("--page", default="posts", choices=["posts", "tables", "charts"])
    picture.add_argument("--state", default="", help="what follows posts.html in the address")
    picture.add_argument("--click", help="selector of what is clicked first, such as a score that opens")
    picture.add_argument("--width", type=int, default=1280)
    picture.add_argument("--height", type=int, default=860)
    picture.add_argument("--scheme", choices=["light", "dark"], default="light")
    picture.add_argument("--output", type=Path, default=Path("docs/posts.png"))
    options = parser.parse_args()
    if options.command == "picture":
        take_picture(options)
    elif options.report:
        print_times(options.report)
    else:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            report = make_report(Path(folder), SPLITS, pictures=SPLITS["test"])
            print(f"data set and report made in {time.perf_counter() - start:.1f} s")
            print_times(report)


def take_picture(options: argparse.Namespace) -> None:
    """Writes a screenshot of the page in a state."""
    size = {"width": options.width, "height": options.height}
    with browsing(viewport=size, color_scheme=options.scheme) as page:
        if options.page == "posts":
            open_page(page, options.report, options.state)
            page.locator("#post h2, #rows a").locator("visible=true").first.wait_for()  # on a phone the list alone
        else:
            page.goto(f"file://{options.report.resolve()}/{options.page}.html{options.state}")
        if options.click:
            page.locator(options.click).last.click()
        page.wait_for_load_state("networkidle")
        content = page.screenshot()
    with Image.open(io.BytesIO(content)) as image:
        image.convert("RGB").quantize(256).save(options.output, optimize=True)


def print_times(report: Path) -> None:
    """First paint, first row, all loaded, and each filter: the median of some tries."""
    files = [path for path in report.rglob("*") if path.is_file()]
    print(f"{len(files):,} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB")
    tries = [times(report) for _ in range(REPEATS)]
    for name in tries[0]:
        values = [one[name] for one in tries]
        print(f"{name:<32} {statistics.median(values):8.1f} ms  ({min(values):.1f} to {max(values):.1f})")


def times(report: Path) -> dict[str, float]:
    """Milliseconds of each step in a new browser."""
    with browsing(viewport={"width": 1280, "height": 860}) as page:
        open_page(page, report)
        loaded = page.evaluate("() => performance.now()")
        paints = page.evaluate(
            "() => performance.getEntriesByType('paint').map(entry => [entry.name, entry.startTime])"
        )
        marks = page.evaluate("() => performance.getEntriesByType('mark').map(entry => [entry.name, entry.startTime])")
        measured = {name.replace("-", " "): start for name, start in [*paints, *marks]}
        measured["all posts loaded"] = loaded
        for name, choice in CHOICES.items():
            measured[name] = page.evaluate(CHANGE, choice)
        page.get_by_role("button", name="Reset").click()
        measured["search, the first time"] = page.evaluate(CHANGE, ("q", "number 1"))
        page.wait_for_timeout(1000)  # contexts are loaded once somebody searches
        measured["search, further letters"] = page.evaluate(CHANGE, ("q", "number 1 on"))
        page.get_by_role("button", name="Reset").click()
        measured["next post"] = page.evaluate(
            "() => { const start = performance.now(); ita.page.move(1); document.body.getBoundingClientRect();"
            " return performance.now() - start; }"
        )
        return measured


def open_page(page: Any, report: Path, state: str = "") -> None:
    """Opens the page of all posts and waits until all are loaded."""
    page.goto(f"file://{report.resolve()}/posts.html{state}")
    page.wait_for_selector("#browser:not([aria-busy])", timeout=120_000)


if __name__ == "__main__":
    main()
