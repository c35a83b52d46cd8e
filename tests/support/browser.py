"""The Chromium of the system, driven by Playwright's core."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def browsing(**options: Any) -> Iterator[Any]:
    """A page of a headless browser; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = next((path for path in map(shutil.which, NAMES) if path), None)
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install -y chromium")
    with playwright.sync_playwright() as driver:
        # Containers lack the namespaces of the sandbox; the only page is ours.
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield browser.new_context(**options).new_page()
        finally:
            browser.close()


@contextmanager
def another(page: Any, **options: Any) -> Iterator[Any]:
    """A page of the same browser with other options."""
    context = page.context.browser.new_context(**options)
    try:
        yield context.new_page()
    finally:
        context.close()


def open_posts(page: Any, report: Path, state: str = "") -> None:
    """Opens the page of all posts of a report, and waits for it."""
    page.goto("about:blank")
    page.goto(f"file://{report}/posts.html{state}")
    page.wait_for_selector("#browser:not([aria-busy])")
