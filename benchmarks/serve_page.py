"""The picture of docs/serve.md: the page of ``ita serve`` with a post and its picture, by headless Chromium.

python -m benchmarks.serve_page MODEL IMAGE --text "this is Vospurpo" --output docs/serve.png
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.support.browser import browsing
from tests.support.service import running


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="run folder")
    parser.add_argument("image", type=Path, help="picture of the post")
    parser.add_argument("--text", default="this is Vospurpo")
    parser.add_argument("--output", type=Path, default=Path("docs/serve.png"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        service = stack.enter_context(running(options.model.resolve(), Path(folder) / "log"))
        page = stack.enter_context(browsing(viewport={"width": 760, "height": 800}))
        page.goto(f"http://127.0.0.1:{service.port}/")
        page.get_by_label("Post").fill(options.text)
        page.get_by_label("Picture (optional").set_input_files(str(options.image))
        page.get_by_role("button", name="Find entities").click()
        page.locator("#answer").wait_for(state="visible", timeout=60_000)
        page.screenshot(path=str(options.output), full_page=True)


if __name__ == "__main__":
    main()
