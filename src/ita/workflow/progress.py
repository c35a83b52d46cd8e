"""Runs Snakemake and shows what happens in a few lines: ``python -m ita.workflow.progress --cores 2 TARGET``.

One line per stage when its last job is done, on a terminal a bar below them; Snakemake's own log goes to a file. When a
job fails, its stage and the end of its log are shown. Arguments are those of snakemake.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from ita.io.disk_errors import explained

LOG = Path("results/logs/snakemake.log")
BAR = 30
"""Characters of the bar."""
SHOWN = 15
"""Last lines shown of a log."""


@dataclass
class Stage:
    """Jobs of one rule."""

    total: int
    done: int = 0
    started: float | None = None


@dataclass
class Progress:
    """What Snakemake's output tells about its jobs."""

    stages: dict[str, Stage] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)
    logs: list[Path] = field(default_factory=list)
    current: str = ""
    in_table: bool = False
    in_error: bool = False

    @property
    def done(self) -> int:
        """Jobs that have ended well."""
        return sum(stage.done for stage in self.stages.values())

    @property
    def total(self) -> int:
        """Jobs planned."""
        return sum(stage.total for stage in self.stages.values())

    def read(self, line: str, now: float) -> str | None:
        """Takes a line of Snakemake's output.

        Args:
            line: the line.
            now: seconds on any clock.

        Returns:
            A line to show: a stage has ended.
        """
        if line.startswith("Job stats:"):
            self.in_table = True
        elif self.in_table:
            self.read_table(line)
        elif match := re.match(r"(?:local)?rule (\w+):", line):
            self.current, self.in_error = match[1], False
            stage = self.stages.get(match[1])
            if stage and stage.started is None:
                stage.started = now
        elif match := re.match(r"Finished jobid: \d+ \(Rule: (\w+)\)", line):
            return self.finish(match[1], now)
        elif match := re.match(r"Error in rule (\w+):", line):
            self.failed[match[1]] += 1
            self.in_error = True
        elif self.in_error and (match := re.match(r" +log: (\S+)", line)):
            self.logs.append(Path(match[1]))
            self.in_error = False
        return None

    def read_table(self, line: str) -> None:
        """Takes a line of the table of jobs: their number by rule."""
        if match := re.match(r"(\w+) +(\d+)$", line):
            if match[1] not in ("total", "all"):
                self.stages[match[1]] = Stage(int(match[2]))
            self.in_table = match[1] != "total"

    def finish(self, rule: str, now: float) -> str | None:
        """A job has ended well."""
        stage = self.stages.get(rule)
        if stage is None:
            return None
        stage.done += 1
        if stage.done < stage.total:
            return None
        jobs = f"{stage.done} job{'s' * (stage.done > 1)}"
        return f"  {rule:<10} {jobs:>8} {now - (stage.started or now):7.1f} s"

    def bar(self, width: int) -> str:
        """The bar and what is being made."""
        filled = BAR * self.done // max(self.total, 1)
        text = f"  [{'#' * filled}{'.' * (BAR - filled)}] {self.done} of {self.total}: {self.current}"
        return text[: width - 1]


def show(lines: Iterable[str], log: TextIO, screen: TextIO) -> Progress:
    """Reads Snakemake's output to its end, copies it to the log, and shows the progress."""
    progress, terminal = Progress(), screen.isatty()
    clear = "\r\x1b[K" if terminal else ""
    for line in lines:
        log.write(line)
        log.flush()
        finished = progress.read(line.rstrip("\n"), time.monotonic())
        if finished:
            print(f"{clear}{finished}", file=screen)
        if terminal and progress.total:
            print(clear + progress.bar(shutil.get_terminal_size().columns), end="", file=screen, flush=True)
    print(clear, end="", file=screen, flush=True)
    return progress


def failure(progress: Progress, log: Path) -> str:
    """What to show when Snakemake has failed: the failing stages and the end of their logs, or that of Snakemake's."""
    parts = [
        f"\nfailed: {rule} ({count} of {progress.stages[rule].total} jobs)" for rule, count in progress.failed.items()
    ]
    for path in progress.logs or [log]:
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else "(no log was written)"
        parts.append("\n".join([f"\n{path}:", *(f"  {line}" for line in text.splitlines()[-SHOWN:])]))
    return "\n".join(parts)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs Snakemake; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        LOG.parent.mkdir(parents=True, exist_ok=True)
        LOG.touch()
    except OSError as error:
        print(f"{explained(error)} (results and Snakemake's own notes are written into the folder it is started in)")
        return 1
    print(f"snakemake {' '.join(arguments)}\n  (its log: {LOG})", flush=True)
    command = [sys.executable, "-m", "snakemake", *arguments]
    with open(LOG, "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        assert process.stdout is not None
        try:
            progress = show(process.stdout, log, sys.stdout)
        except KeyboardInterrupt:
            process.wait()  # Snakemake has got the signal too and ends its jobs
            print("\ninterrupted; run the same command again to go on")
            return 130
        code = process.wait()
    if code:
        print(failure(progress, LOG))
    elif not progress.total:
        print("  nothing to do: all is made")
    return code


if __name__ == "__main__":
    sys.exit(main())
