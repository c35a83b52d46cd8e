"""A copy of the workflow in a folder of its own, with a small demo, run by the real snakemake."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.support.paths import ROOT

SMALL = {
    "demo": {"train": 24, "valid": 8, "test": 8, "hidden": 16, "layers": 1},
    "table": {"encoders": ["demo"], "systems": ["crf", "ita-all-cva"]},
    "tables": {
        "table2": {"encoders": ["demo"]},
        "table3": {"encoders": ["demo"], "systems": ["crf", "crf-x"]},
        "table4": {"encoders": ["demo"], "systems": ["ita-all-cva"], "reported": []},
        "table5": {"encoders": ["demo"]},
    },
    "figures": {
        "figure2": {"encoders": ["demo"], "systems": ["crf", "ita-all-cva"]},
        "figure3": {"encoders": ["demo"], "systems": ["ita-all-cva"]},
    },
    "cases": {"encoder": "demo", "image_text": "ita-all-cva"},
    "seeds": [1],
}
"""What makes the demo small; merged over its section."""


class Pipeline:
    """A checkout's Snakefile, rules and code in ``folder``, with a configuration of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("Snakefile", "rules", "workflow", "envs"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
        (folder / "src").symlink_to(ROOT / "src")
        self.config = yaml.safe_load((ROOT / "config.yaml").read_text())
        self.write(self.config)

    def write(self, config) -> None:
        """Writes config.yaml."""
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def command(self, *arguments):
        """A snakemake command line."""
        return [sys.executable, "-m", "snakemake", "--cores", "2", *map(str, arguments)]

    def run(self, *arguments, fails=False):
        """Runs snakemake to its end; its output is shown when it ends in another way than expected."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        output = done.stdout + done.stderr
        assert bool(done.returncode) == fails, output[-6000:]
        return output

    def planned(self, *targets):
        """Rules that a dry run would run for some targets."""
        stats = self.run("--dry-run", *targets).partition("Job stats:")[2]
        return set(re.findall(r"^(\w+) +\d+$", stats, re.MULTILINE)) - {"total", "all"}


def small(config):
    """The configuration with a small demo."""
    demo = config["datasets"]["demo"]
    demo.update(SMALL)
    demo.setdefault("train", {})["epochs"] = 1
    return config
