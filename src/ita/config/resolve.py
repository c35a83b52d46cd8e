"""The settings of a job: one order of overrides, in one place.

An entry's own value wins over its section's; at each of the two the data set wins over the general part; ``--config``
on the command line wins over all. Mappings are merged key by key, lists are replaced:

    caption < datasets.D.caption < captioners.C < datasets.D.captioners.C < the same four from --config

For training, the defaults of the encoder lie below the section, and a system may carry settings of its own:

    encoders.E.defaults < train < systems.S.train, each < datasets.D's, < the same from --config

``train.recipe: upstream`` puts ``systems.S.upstream``, the recipe of the published code, between the last two.
``null`` in ``train`` means "not set here". A value set by hand that a closer level replaces is reported by ``warn``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ita.config.levels import Kind, Level, Path, Resolved, copied, holds, lookup, merge, typed
from ita.config.messages import nearest
from ita.config.sections import ENTRIES, RUN_ENCODER, SYSTEM_TRAINING, singular
from ita.config.unused import Job, values_without_effect
from ita.config.validation import check_together, defaults
from ita.errors import ConfigError

NOT_OF_THE_MODEL = {"encoders": ("name", "defaults"), "systems": ("name", "note", *SYSTEM_TRAINING)}
"""What a training job does not need to know of its encoder and system: a new name or note retrains nothing."""
FURTHER = "encoder "
"""Begins the names of the sections of a job's further encoders: encoder 2, encoder 3."""


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
        return copied(self.job(dataset, stage, entry)[stage].values)

    def entry(self, dataset: str, section: str, name: str, named_by: str | None = None) -> dict[str, Any]:
        """An entry of a section of its own: systems, encoders, losses, external_texts.

        Raises:
            ConfigError: naming `named_by`, the entries there are and the nearest one.
        """
        return copied(self.named(dataset, section, name, named_by).values)

    def train(self, dataset: str, encoder: str, system: str) -> dict[str, Any]:
        """Settings of a training job: ``train``, ``encoder``, ``system`` and ``loss``.

        A system with several encoders has the others in a list ``further_encoders``.
        """
        job = self.job(dataset, "train", f"{encoder}/{system}")
        values = {name: copied(resolved.values) for name, resolved in job.items()}
        further = [values.pop(name) for name in job if name.startswith(FURTHER)]
        return {**values, "further_encoders": further} if further else values

    def encoder_names(self, dataset: str, encoder: str, system: str) -> list[str]:
        """Encoders of a training job, in the order of the system.

        Args:
            dataset: name in ``datasets``.
            encoder: that of the run.
            system: name in ``systems``.

        Raises:
            ConfigError: for one that does not exist.
        """
        names = self.named(dataset, "systems", system, "table.systems").values.get("encoders", [RUN_ENCODER])
        for name in names:
            if name != RUN_ENCODER:
                self.require(dataset, "encoders", name, f"systems.{system}.encoders")
        return [encoder if name == RUN_ENCODER else name for name in names]

    def value(self, dataset: str, key: str) -> Any:
        """A setting that belongs to no section: seeds, note, jobs_per_gpu; None where it is not set."""
        self._require_dataset(dataset)
        paths: list[Path] = [(key,), ("datasets", dataset, key)]
        values = [lookup(source, path) for source in (self.config, self._command_line) for path in paths]
        return next((copied({key: value})[key] for value in reversed(values) if value is not None), None)

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
            missing = (
                f"{named_by} names {name!r}, which is" if named_by else f"{singular(section)} {name!r} of {dataset} is"
            )
            raise ConfigError(
                f"config: {missing} not in '{section}'{nearest(name, known)} (there are: {', '.join(known) or 'none'})"
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
            self._report(Job(dataset, stage, (ENTRIES[stage], entry)), resolved)
            check_together(stage, resolved.values, f"{singular(ENTRIES[stage])} {entry} of {dataset}")
        elif stage not in ENTRIES:
            check_together(stage, resolved.values, f"{stage} of {dataset}")
        return {stage: resolved}

    def _train(self, dataset: str, name: str) -> dict[str, Resolved]:
        run_encoder, _, system = name.partition("/")
        self.require(dataset, "encoders", run_encoder, "table.encoders")
        encoder, *further = self.encoder_names(dataset, run_encoder, system)
        train = self._recipe(dataset, encoder, system)
        values = {**self._builtins("train"), **train.values}
        train = Resolved({key: value for key, value in values.items() if value is not None}, train.levels)
        self._report(Job(dataset, "train", ("systems", system), encoder), train)
        origin = train.origin(("loss",))
        loss = self.named(dataset, "losses", train.values["loss"], origin.name("loss") if origin else "train.loss")
        return {
            "train": train,
            "encoder": self._of_model(dataset, "encoders", encoder),
            "system": self._of_model(dataset, "systems", system),
            "loss": loss,
            **{
                f"{FURTHER}{number}": self._of_model(dataset, "encoders", name)
                for number, name in enumerate(further, start=2)
            },
        }

    def _of_model(self, dataset: str, section: str, name: str) -> Resolved:
        """What a training job needs to know of its encoder or system."""
        resolved = self.named(dataset, section, name)
        kept = {key: value for key, value in resolved.values.items() if key not in NOT_OF_THE_MODEL[section]}
        return Resolved(kept, resolved.levels)

    def _recipe(self, dataset: str, encoder: str, system: str) -> Resolved:
        """Training settings by the recipe chosen; a system without one of its own keeps ours."""
        below: list[tuple[Path, Kind]] = [(("encoders", encoder, "defaults"), "defaults"), (("train",), "section")]
        own: tuple[Path, Kind] = (("systems", system, "train"), "entry")
        ours = self._resolve(dataset, [*below, own])
        if ours.values.get("recipe") != "upstream":
            return ours
        published = self._resolve(dataset, [(("systems", system, "upstream"), "recipe")])
        if "recipe" in published.values:
            level = published.origin(("recipe",))
            raise ConfigError(
                f"config: {level.name('recipe') if level else 'recipe'}: a recipe chooses no recipe; set it under "
                f"'train' or systems.{system}.train"
            )
        if published.values:
            return self._resolve(dataset, [*below, (("systems", system, "upstream"), "recipe"), own])
        levels = (replace(level, values=_without_recipe(level.values)) for level in ours.levels)
        return Resolved(_without_recipe(ours.values), tuple(levels))

    def _resolve(self, dataset: str, places: list[tuple[Path, Kind]]) -> Resolved:
        """Merges the levels of some places: general < data set for each, then the same from the command line."""
        levels = []
        for source in (self.config, self._command_line):
            for place, kind in places:
                for path in (place, ("datasets", dataset, *place)):
                    values = lookup(source, path) or {}
                    if place[-1] in ("defaults", "train", "upstream"):  # null: not set here
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

    def _report(self, job: Job, resolved: Resolved) -> None:
        """Tells about values without effect, each once."""
        if not self._warn:
            return
        for line in values_without_effect(job, resolved, self._builtins(job.stage), self.sets(job.dataset, *job.entry)):
            if line not in self._warned:
                self._warned.add(line)
                self._warn(line)

    def _builtins(self, stage: str) -> Mapping[str, Any]:
        """Default settings of a stage."""
        if stage not in self._builtin:
            self._builtin[stage] = defaults(stage)
        return self._builtin[stage]


def _without_recipe(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "recipe"}
