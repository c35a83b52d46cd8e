"""The settings of a job: one order of overrides, in one place.

An entry's own value wins over its section's; at each of the two the data set wins over the general part; ``--config``
on the command line wins over all. Mappings are merged key by key, lists are replaced:

    caption < datasets.D.caption < captioners.C < datasets.D.captioners.C < the same four from --config

For training, the defaults of the encoder lie below the section, and a system may carry settings of its own:

    encoders.E.defaults < train < systems.S.train, each < datasets.D's, < the same from --config

``null`` in ``train`` means "not set here". A value set by hand that a closer level replaces is reported by ``warn``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ita.config.messages import nearest, text
from ita.config.sections import ENTRIES, singular
from ita.config.validation import check_together, defaults
from ita.errors import ConfigError

Path = tuple[str, ...]
Kind = Literal["defaults", "section", "entry"]
RANK: dict[Kind, int] = {"defaults": 0, "section": 1, "entry": 2}
WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "~": None}
NUMBER = re.compile(r"[-+]?(0|[1-9]\d{0,17}|\d{0,17}\.\d{1,17})([eE][-+]?\d{1,3})?")
NOT_OF_THE_MODEL = {"encoders": ("name", "defaults"), "systems": ("name", "train")}
"""What a training job does not need to know of its encoder and system: renaming them retrains nothing."""


@dataclass(frozen=True)
class Level:
    """One place where a setting may be given.

    Attributes:
        path: where it stands in the configuration, for example ("datasets", "demo", "caption").
        values: what is set there.
        kind: defaults of an encoder, section of a stage, or named entry.
        command_line: given by --config.
    """

    path: Path
    values: Mapping[str, Any]
    kind: Kind
    command_line: bool

    @property
    def of_dataset(self) -> bool:
        """Whether it applies to one data set only."""
        return self.path[0] == "datasets"

    def name(self, *path: str) -> str:
        """A setting of this level, as a user writes it."""
        return ("--config " if self.command_line else "") + ".".join((*self.path, *path))


@dataclass(frozen=True)
class Resolved:
    """Settings of one section of a job, and the levels that they were merged from, later ones winning."""

    values: dict[str, Any]
    levels: tuple[Level, ...]

    def origin(self, path: Path) -> Level | None:
        """The level that a value comes from; None for a built-in default."""
        holders = [level for level in self.levels if holds(level.values, path)]
        return holders[-1] if holders else None


def merge(base: Any, over: Any) -> Any:
    """`base` with the values of `over`, nested mappings merged key by key; neither is changed."""
    if not (isinstance(base, Mapping) and isinstance(over, Mapping)):
        return over
    return {**base, **{key: merge(base[key], value) if key in base else value for key, value in over.items()}}


def typed(value: Any) -> Any:
    """Values from the command line: numbers, truth values and null written as text are read as YAML would."""
    if isinstance(value, Mapping):
        return {key: typed(nested) for key, nested in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    if not isinstance(value, str):
        return value
    if value in WORDS:
        return WORDS[value]
    for number in (int, float):
        try:
            return number(value) if NUMBER.fullmatch(value) else value
        except ValueError:
            continue
    return value


def leaves(values: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is no mapping (or an empty one), with the keys that lead to it."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def lookup(values: Any, path: Path) -> Any:
    """The value that `path` leads to; None where there is none."""
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def holds(values: Any, path: Path) -> bool:
    """Whether `path` leads to a value, be it null."""
    parent = lookup(values, path[:-1])
    return isinstance(parent, Mapping) and path[-1] in parent


class Resolver:
    """Settings of the jobs of all data sets.

    Args:
        config: the whole configuration, with what --configfile brought (and --config, if it is merged in already).
        command_line: what --config brought; Snakemake leaves numbers in it as text, which are read here.
        warn: called once with each line about a value that has no effect on a job that is asked for.

    Attributes:
        config: the whole configuration, command line included: what ``check`` is called with.
        datasets: names of the data sets.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        command_line: Mapping[str, Any] | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self._command_line: Mapping[str, Any] = typed(command_line or {})
        self.config: dict[str, Any] = merge(config, self._command_line)
        self._warn = warn
        self._warned: set[str] = set()
        self._jobs: dict[tuple[str, str, str | None], dict[str, Resolved]] = {}
        self._entries: dict[tuple[str, str, str], Resolved] = {}
        self._builtin: dict[str, Mapping[str, Any]] = {}
        datasets = self.config.get("datasets")
        self.datasets: tuple[str, ...] = tuple(datasets) if isinstance(datasets, Mapping) else ()

    def stage(self, dataset: str, stage: str, entry: str | None = None, named_by: str | None = None) -> dict[str, Any]:
        """Settings of a stage, with those of its named entry where it has such.

        Args:
            dataset: name in ``datasets``.
            stage: any stage but ``train``.
            entry: name in ``detectors`` for detect, in ``captioners`` for caption, and so on.
            named_by: setting that names the entry, for the message when there is none.

        Raises:
            ConfigError: for a data set or an entry that does not exist.
        """
        if entry is not None:
            self.require(dataset, ENTRIES[stage], entry, named_by)
        return _copy(self.job(dataset, stage, entry)[stage].values)

    def entry(self, dataset: str, section: str, name: str, named_by: str | None = None) -> dict[str, Any]:
        """An entry of a section of its own: systems, encoders, losses, external_texts.

        Raises:
            ConfigError: naming `named_by`, the entries there are and the nearest one.
        """
        return _copy(self.named(dataset, section, name, named_by).values)

    def train(self, dataset: str, encoder: str, system: str) -> dict[str, Any]:
        """Settings of a training job: ``train``, ``encoder``, ``system`` and ``loss``."""
        job = self.job(dataset, "train", f"{encoder}/{system}")
        return {name: _copy(resolved.values) for name, resolved in job.items()}

    def value(self, dataset: str, key: str) -> Any:
        """A setting that belongs to no section: seeds, note, jobs_per_gpu; None where it is not set."""
        self._require_dataset(dataset)
        paths: list[Path] = [(key,), ("datasets", dataset, key)]
        values = [lookup(source, path) for source in (self.config, self._command_line) for path in paths]
        return next((_copy(value) for value in reversed(values) if value is not None), None)

    def names(self, section: str, dataset: str | None = None) -> list[str]:
        """Entries of a section that a data set knows; without one those of all data sets together."""
        names = dict.fromkeys(self.config.get(section) or {})
        for name in [dataset] if dataset else self.datasets:
            names |= dict.fromkeys(lookup(self.config, ("datasets", name, section)) or {})
        return list(names)

    def sets(self, dataset: str, *path: str) -> bool:
        """Whether a data set itself sets something: ``sets("mine", "table", "systems")``."""
        return holds(self.config, ("datasets", dataset, *path))

    def require(self, dataset: str, section: str, name: str, named_by: str | None = None) -> None:
        """Raises ConfigError when a section has no entry of this name."""
        self._require_dataset(dataset)
        known = self.names(section, dataset)
        if name not in known:
            raise ConfigError(
                f"config: {named_by or f'a {singular(section)} of {dataset}'} names {name!r}, which is not in "
                f"'{section}'{nearest(name, known)} (there are: {', '.join(known) or 'none'})"
            )

    def job(self, dataset: str, stage: str, entry: str | None = None) -> dict[str, Resolved]:
        """Sections of a job with the levels of each, for messages and ``ita config``.

        For training, `entry` is ``ENCODER/SYSTEM``. The values are shared and must not be changed.
        """
        key = (dataset, stage, entry)
        if key not in self._jobs:
            self._require_dataset(dataset)
            self._jobs[key] = self._train(dataset, entry or "") if stage == "train" else self._stage(*key)
        return self._jobs[key]

    def named(self, dataset: str, section: str, name: str, named_by: str | None = None) -> Resolved:
        """An entry of a section of its own, with its levels; its values are shared and must not be changed.

        Raises:
            ConfigError: naming `named_by`, the entries there are and the nearest one.
        """
        key = (dataset, section, name)
        if key not in self._entries:
            self.require(dataset, section, name, named_by)
            resolved = self._resolve(dataset, [((section, name), "entry")])
            check_together(section, resolved.values, f"{singular(section)} {name} of {dataset}")
            self._entries[key] = resolved
        return self._entries[key]

    def _stage(self, dataset: str, stage: str, entry: str | None) -> dict[str, Resolved]:
        places: list[tuple[Path, Kind]] = [((stage,), "section")]
        if entry is not None:
            self.require(dataset, ENTRIES[stage], entry)
            places.append(((ENTRIES[stage], entry), "entry"))
        resolved = self._resolve(dataset, places)
        if entry is not None:
            self._report(dataset, stage, resolved, (ENTRIES[stage], entry))
            check_together(stage, resolved.values, f"{singular(ENTRIES[stage])} {entry} of {dataset}")
        elif stage not in ENTRIES:
            check_together(stage, resolved.values, f"{stage} of {dataset}")
        return {stage: resolved}

    def _train(self, dataset: str, name: str) -> dict[str, Resolved]:
        encoder, _, system = name.partition("/")
        parts = {
            section.removesuffix("s"): self.named(dataset, section, name, f"table.{section}")
            for section, name in (("encoders", encoder), ("systems", system))
        }
        train = self._resolve(
            dataset,
            [
                (("encoders", encoder, "defaults"), "defaults"),
                (("train",), "section"),
                (("systems", system, "train"), "entry"),
            ],
        )
        values = {**self._builtins("train"), **train.values}
        train = Resolved({key: value for key, value in values.items() if value is not None}, train.levels)
        self._report(dataset, "train", train, ("systems", system), encoder)
        origin = train.origin(("loss",))
        loss = self.named(dataset, "losses", train.values["loss"], origin.name("loss") if origin else "train.loss")
        for section, names in NOT_OF_THE_MODEL.items():
            part = section.removesuffix("s")
            kept = {key: value for key, value in parts[part].values.items() if key not in names}
            parts[part] = Resolved(kept, parts[part].levels)
        return {"train": train, **parts, "loss": loss}

    def _resolve(self, dataset: str, places: list[tuple[Path, Kind]]) -> Resolved:
        """Merges the levels of some places: general < data set for each, then the same from the command line."""
        levels = []
        for source in (self.config, self._command_line):
            for place, kind in places:
                for path in (place, ("datasets", dataset, *place)):
                    values = lookup(source, path) or {}
                    if "train" in place or kind == "defaults":  # null: not set here
                        values = {key: value for key, value in values.items() if value is not None}
                    levels.append(Level(path, values, kind, source is self._command_line))
        values = {}
        for level in levels:
            values = merge(values, level.values)
        return Resolved(values, tuple(levels))

    def _require_dataset(self, dataset: str) -> None:
        if dataset not in self.datasets:
            known = list(self.datasets)
            raise ConfigError(
                f"config: no data set {dataset!r} in 'datasets'{nearest(dataset, known)} "
                f"(there are: {', '.join(known) or 'none'})"
            )

    def _report(self, dataset: str, stage: str, resolved: Resolved, entry: Path, encoder: str = "") -> None:
        """Tells about values that were set by hand and that a closer level replaces."""
        if not self._warn:
            return
        for path, value in leaves(resolved.values):
            holders = [level for level in resolved.levels if holds(level.values, path)]
            below = [level for level in holders if RANK[level.kind] < RANK[holders[-1].kind]]
            if not below or lookup(below[-1].values, path) == value:
                continue
            hidden, winner = below[-1], holders[-1]
            if self._has_no_effect(dataset, stage, path, hidden, winner, entry):
                line = _note(dataset, path, hidden, winner, entry, encoder)
                if line not in self._warned:
                    self._warned.add(line)
                    self._warn(line)

    def _has_no_effect(self, dataset: str, stage: str, path: Path, hidden: Level, winner: Level, entry: Path) -> bool:
        """Whether a replaced value was set by hand, by somebody who may not know that it is replaced."""
        if hidden.command_line:
            return True
        if winner.command_line:  # it wins over all, and whoever gave it knows
            return False
        if winner.kind == "entry" and self.sets(dataset, *entry):  # this data set names the entry itself
            return False
        if stage == "table" and path[0] in ("systems", "encoders"):  # they restrict all tables of the data set
            return False
        if hidden.of_dataset:
            return not (hidden.kind == "defaults" and winner.of_dataset)
        if hidden.kind == "defaults":  # replaced by a default of the section that nobody set
            return winner.kind == "section" and lookup(winner.values, path) == lookup(self._builtins(stage), path)
        return lookup(hidden.values, path) != lookup(self._builtins(stage), path)

    def _builtins(self, stage: str) -> Mapping[str, Any]:
        """Default settings of a stage."""
        if stage not in self._builtin:
            self._builtin[stage] = defaults(stage)
        return self._builtin[stage]


def _note(dataset: str, path: Path, hidden: Level, winner: Level, entry: Path, encoder: str) -> str:
    """One line: what has no effect, what wins, and where to write it instead."""
    place: Path = ("datasets", dataset) if hidden.of_dataset or hidden.kind == "defaults" else ()
    if hidden.kind == "defaults" and winner.kind == "section":
        who = f"encoder {encoder}, since the value"
        target: Path = ("train",)
    else:
        who = f"{singular(entry[0])} {entry[1]}, whose own value"
        target = (*entry, "train") if winner.path[-1] == "train" else entry
    instead = Level((*place, *target), {}, "entry", hidden.command_line).name(*path)
    return (
        f"{hidden.name(*path)}: {text(lookup(hidden.values, path))} does not reach {who} "
        f"{text(lookup(winner.values, path))} wins ({winner.name(*path)}); to change it write {instead}"
    )


def _copy(value: Any) -> Any:
    """A copy of nested mappings and lists that a caller may change."""
    if isinstance(value, Mapping):
        return {key: _copy(nested) for key, nested in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
