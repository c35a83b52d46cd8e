"""config: print the settings of a job and the line that each comes from.

    ita config twitter17                         stages of a data set and their entries
    ita config twitter17 posts                   settings of a stage
    ita config twitter17 caption vinvl1          of a stage with one of its entries
    ita config twitter17 train bert/ita-all-cva  of a training job: encoder and system
    ita config twitter17 systems crf             of an entry that belongs to no stage

It reads what Snakemake reads: the workflow's config.yaml, config.yaml or config/config.yaml of the present folder, and
--configfile and --config. A workflow that was deployed without its package's source has its own config.yaml elsewhere:
name that first. The output is YAML.
Comments name the file and line of a value, and the section or entry there; "default" is the built-in one. Where a data
set restricts a table or figure, that is the line of its own systems or encoders. Values that were set by hand and do
not reach the job are listed below it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ita
from ita.config import ENTRIES, NAMED, STAGES, ConfigError, check, messages
from ita.config.levels import Level, Resolved, holds, leaves, merge
from ita.config.resolve import Resolver
from ita.config.sources import Lines, line_of, read_with_lines
from ita.log import configure_log, log
from ita.workflow.displays import Displays
from ita.workflow.planning import SETTINGS_FILES, config_files
from ita.workflow.sections import Sections

Rows = Iterator[tuple[str, str]]
"""Lines of YAML, each with the comment behind it."""
MOST_COLUMNS = 64
"""Comments stand below each other up to this column."""


class Sources:
    """The files of the configuration and what ``--config`` brought.

    Args:
        files: config.yaml and those of --configfile, later ones winning.
        command_line: entries KEY=VALUE.
    """

    def __init__(self, files: Sequence[Path], command_line: Sequence[str]) -> None:
        self.files: list[tuple[Path, Mapping[str, Any], Lines]] = [(path, *read_with_lines(path)) for path in files]
        self.command_line = parse_command_line(command_line)
        self.config: dict[str, Any] = {}
        for _, values, _ in self.files:
            self.config = merge(self.config, values)

    def place(self, level: Level | None, path: tuple[str, ...]) -> str:
        """Where a value comes from, as a comment."""
        if level is None:
            return "default"
        where = ".".join(level.path)
        if level.command_line:
            return f"--config {where}"
        keys = (*level.path, *path)
        for file, values, lines in reversed(self.files):
            if holds(values, keys):
                return f"{file}:{line_of(lines, keys)} {where}"
        return where


def settings_files() -> list[str]:
    """Files that are read without being named.

    Raises:
        ConfigError: where there is none, or one that cannot be read.
    """
    checkout = Path(ita.__file__).parents[2] / "config.yaml"
    files = config_files(checkout if checkout.is_file() else None)
    if not files:
        raise ConfigError(f"found no {' or '.join(SETTINGS_FILES)} here; change to the folder of the workflow")
    return files


def parse_command_line(entries: Sequence[str]) -> dict[str, Any]:
    """What Snakemake makes of ``--config KEY=VALUE``.

    Raises:
        ConfigError: for an entry that is not of this form, or whose value is not YAML.
    """
    import yaml

    values: dict[str, Any] = {}
    for entry in entries:
        key, equals, text = entry.partition("=")
        if not (key and equals):
            raise ConfigError(f"--config: found {entry!r}, expected KEY=VALUE such as train='{{epochs: 3}}'")
        try:
            value = yaml.load(text, Loader=yaml.BaseLoader)
        except yaml.YAMLError as error:
            raise ConfigError(f"--config {key}: the value is not YAML: {' '.join(str(error).split())}") from None
        values = merge(values, {key: value})
    return values


def overview(resolver: Resolver, dataset: str) -> Rows:
    """Stages of a data set with their entries."""
    for stage in STAGES:
        if stage == "train":
            encoders, systems = (", ".join(resolver.names(section, dataset)) for section in ("encoders", "systems"))
            yield f"{stage}: ENCODER/SYSTEM", ""
            yield f"  encoders: {encoders}", ""
            yield f"  systems: {systems}", ""
        elif stage in ENTRIES:
            yield f"{stage}: {', '.join(resolver.names(ENTRIES[stage], dataset))}", ""
        else:
            yield stage, ""
    for key in ("seeds", "note", "licence"):
        yield f"{key}: {text(resolver.value(dataset, key))}", ""


def settings_of(resolver: Resolver, dataset: str, stage: str, name: str | None) -> dict[str, Resolved]:
    """Sections of a job.

    Raises:
        ConfigError: for an unknown stage or entry.
    """
    sections = [section for section in NAMED if section not in ENTRIES.values()]
    if stage in sections:
        known = resolver.names(stage, dataset)
        if not name:
            raise ConfigError(f"'{stage}' needs a name: {', '.join(known) or 'there are none'}")
        return {f"{stage}.{name}": resolver.named(dataset, stage, name)}
    if stage not in STAGES:
        known = [*STAGES, *sections]
        raise ConfigError(f"no stage {stage!r}{messages.nearest(stage, known)} (there are: {', '.join(known)})")
    if stage == "train" and "/" not in (name or ""):
        raise ConfigError(f"a training job needs ENCODER/SYSTEM, such as bert/crf; found {name!r}")
    if name and stage != "train" and stage not in ENTRIES:
        raise ConfigError(f"'{stage}' has no entries; found {name!r}")
    return resolver.job(dataset, stage, name)


def displayed(resolver: Resolver, dataset: str, stage: str, name: str | None) -> Mapping[str, Any]:
    """Settings of a table, figure, the cases, the paper or the report, restricted to what the data set has.

    Raises:
        ConfigError: when it has nothing to show.
    """
    displays = Displays(Sections(resolver))
    if stage == "cases":
        return displays.cases(dataset)
    if stage == "paper":
        return displays.paper(dataset)[0]
    if stage == "report":
        return displays.report(dataset)
    return displays.of(dataset, stage, name or "").settings


def lines_of_display(sources: Sources, resolver: Resolver, dataset: str, stage: str, name: str | None) -> Rows:
    """Lines of a stage that shows runs: where the data set restricts it, with the place that does so."""
    resolved = resolver.job(dataset, stage, name)[stage]
    values = displayed(resolver, dataset, stage, name)
    table = resolver.job(dataset, "table")["table"]
    restricted = {}
    for key in values:
        if values[key] != resolved.values[key]:
            source = "encoders" if key in ("encoder", "encoders") else "systems"
            restricted[key] = sources.place(table.origin((source,)), (source,))
    for line, comment in rows(sources, stage, Resolved(dict(values), resolved.levels)):
        yield line, restricted.get(line.partition(":")[0].strip(), comment)


def rows(sources: Sources, section: str, resolved: Resolved) -> Rows:
    """A section as lines of YAML with the place of each value."""
    yield f"{section}:", ""
    open_path: tuple[str, ...] = ()
    for path, value in leaves(resolved.values):
        for depth in range(len(path) - 1):
            if open_path[: depth + 1] != path[: depth + 1]:
                yield f"{'  ' * (depth + 1)}{path[depth]}:", ""
        open_path = path[:-1]
        yield f"{'  ' * len(path)}{path[-1]}: {text(value)}", sources.place(resolved.origin(path), path)


def settings_lines(sources: Sources, resolver: Resolver, dataset: str, stage: str, name: str | None) -> Rows:
    """Lines of all sections of a job."""
    job = settings_of(resolver, dataset, stage, name)
    if stage in ("cases", "paper", "report") or (name and stage in ("table", "figure")):
        yield from lines_of_display(sources, resolver, dataset, stage, name)
        return
    for section, resolved in job.items():
        yield from rows(sources, section, resolved)
    if stage in ENTRIES and not name:
        yield f"# entries: {', '.join(resolver.names(ENTRIES[stage], dataset))}", ""


def text(value: Any) -> str:
    """A value in one line of YAML."""
    import yaml

    return yaml.safe_dump(value, default_flow_style=True, width=sys.maxsize, allow_unicode=True).partition("\n")[0]


def aligned(lines: Sequence[tuple[str, str]]) -> str:
    """Lines with their comments below each other."""
    column = max((len(line) for line, comment in lines if comment and len(line) < MOST_COLUMNS), default=0)
    return "".join(f"{line:{column}}  # {comment}\n" if comment else f"{line}\n" for line, comment in lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="ita config", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", help="name in 'datasets'")
    parser.add_argument("stage", nargs="?", help="stage, or a section of entries that belong to none")
    parser.add_argument("name", nargs="?", help="entry of the stage; for train ENCODER/SYSTEM")
    parser.add_argument("--configfile", type=Path, nargs="+", action="extend", default=[], metavar="FILE")
    parser.add_argument("--config", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    options = parser.parse_args(argv)
    configure_log(None)
    notes: list[str] = []
    try:
        sources = Sources([*map(Path, settings_files()), *options.configfile], options.config)
        resolver = Resolver(sources.config, sources.command_line, notes.append)
        check(resolver.config)
        if options.stage:
            lines = list(settings_lines(sources, resolver, options.dataset, options.stage, options.name))
        else:
            lines = list(overview(resolver, options.dataset))
    except ConfigError as error:
        log.error("%s", error)
        return 1
    sys.stdout.write(aligned(lines) + "".join(f"# {note}\n" for note in notes))
    return 0
