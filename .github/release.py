"""Checks that a tag is the version of the package and of CHANGELOG.md; writes release notes: release.py TAG NOTES."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def notes(changelog: str, version: str) -> str:
    """What CHANGELOG.md says of a version; empty where it does not name it."""
    section = re.search(rf"^## \[{re.escape(version)}\].*\n((?:(?!## ).*\n?)*)", changelog, re.MULTILINE)
    return section[1].strip() + "\n" if section else ""


def main(tag: str, path: str) -> None:
    version = re.search(r'^__version__ = "(.+)"', (ROOT / "src/ita/__init__.py").read_text(), re.MULTILINE)[1]
    if tag != f"v{version}":
        sys.exit(f"The tag is {tag}, the package's version {version}: expected the tag v{version}")
    text = notes((ROOT / "CHANGELOG.md").read_text(), version)
    if not text:
        sys.exit(f"CHANGELOG.md has no section [{version}]: give [Unreleased] this name and a date")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    print(f"version={version}")


if __name__ == "__main__":
    main(*sys.argv[1:])
