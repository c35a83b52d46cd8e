"""What a release checks before anything is published."""

import subprocess
import sys

import pytest

import ita
from tests.support.paths import ROOT

CHANGES = f"""# Changelog

## [Unreleased]
Later.

## [{ita.__version__}] - 2026-12-01

### Added: much
Words.

## [0.0.1] - 2026-01-01
Before.
"""


@pytest.fixture
def released(tmp_path):
    """Runs the check on a copy of what it reads; returns its exit code, output and notes."""
    for name in (".github/release.py", "src/ita/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text((ROOT / name).read_text())

    def run(tag, changes):
        (tmp_path / "CHANGELOG.md").write_text(changes)
        command = [sys.executable, ".github/release.py", tag, "dist/notes.md"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        notes = tmp_path / "dist/notes.md"
        return done.returncode, done.stdout + done.stderr, notes.read_text() if notes.exists() else None

    return run


def test_the_notes_of_a_release_are_its_section_of_the_changelog(released):
    code, output, notes = released(f"v{ita.__version__}", CHANGES)
    assert (code, output) == (0, f"version={ita.__version__}\n")
    assert notes == "### Added: much\nWords.\n"


@pytest.mark.parametrize(
    ("tag", "changes", "message"),
    [
        ("v9.9", CHANGES, f"The tag is v9.9, the package's version {ita.__version__}: expected the tag v"),
        (f"v{ita.__version__}", "## [Unreleased]\n", f"CHANGELOG.md has no section [{ita.__version__}]"),
    ],
    ids=["tag", "changelog"],
)
def test_a_release_that_does_not_agree_with_itself_is_refused(released, tag, changes, message):
    code, output, notes = released(tag, changes)
    assert code == 1 and message in output and notes is None
