"""Sections of the configuration as their models, each resolved once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ita.config import Caption, Context, Knowledge, System, load
from ita.config.messages import nearest
from ita.config.resolve import Resolver
from ita.config.sections import CONTEXT_TABLES, SYSTEM_TRAINING, TEXT_SECTIONS
from ita.errors import ConfigError


class Sections:
    """What settings and inputs of jobs are made from; every name in it is checked."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self.values = cache(self._values)
        self.system = cache(self._system)
        self.context = cache(self._context)
        self.caption = cache(self._caption)

    def _values(self, dataset: str, stage: str, entry: str | None = None) -> Mapping[str, Any]:
        """Settings of a stage with those of a named entry; not to be changed."""
        return self.resolver.stage(dataset, stage, entry)

    def _system(self, dataset: str, name: str, named_by: str = "table.systems") -> System:
        """A system.

        Raises:
            ConfigError: when there is no such system, or it names something that does not exist.
        """
        values = self.resolver.entry(dataset, "systems", name, named_by)
        system = load(System, {key: value for key, value in values.items() if key not in SYSTEM_TRAINING})
        self.context(dataset, system.context, f"systems.{name}.context")
        if system.regions:
            self.resolver.require(dataset, "detectors", system.regions, f"systems.{name}.regions")
            if system.region_boxes and self.values(dataset, "detect", system.regions)["backend"] == "grid":
                raise ConfigError(
                    f"config: systems.{name}.region_boxes: the cells of the grid '{system.regions}' have no boxes; "
                    "name a detector of objects in regions, or leave region_boxes out"
                )
        if system.relation_data:
            self._check_relation_data(system, f"systems.{name}")
        return system

    def _check_relation_data(self, system: System, place: str) -> None:
        """Raises ConfigError when a system names a data set that does not exist or holds no relation data."""
        data, datasets = str(system.relation_data), self.resolver.datasets
        if data not in datasets:
            raise ConfigError(
                f"config: {place}.relation_data names {data!r}, which is not in 'datasets'{nearest(data, datasets)} "
                f"(there are: {', '.join(datasets)})"
            )
        layout = self.values(data, "posts")["format"]
        if layout != "relation":
            raise ConfigError(
                f"config: {place}.relation_data names {data!r}, whose posts.format is {layout}; expected relation"
            )
        self.resolver.require(data, "detectors", str(system.regions), f"{place}.regions")

    def check_tags(self, dataset: str) -> None:
        """Raises ConfigError for a data set of posts without tags, on which nothing can be trained."""
        if "new" in self.values(dataset, "posts")["files"]:
            raise ConfigError(
                f"config: posts.files of {dataset} names posts without tags (new): nothing can be trained on them or "
                f"scored by them; make results/{dataset}/entities.parquet by a model that is named in tag.model"
            )

    def _context(self, dataset: str, name: str, named_by: str | None = None) -> Context:
        """Settings of a context.

        Raises:
            ConfigError: when there is no such context, or one of its kinds does not exist.
        """
        self.resolver.require(dataset, "contexts", name, named_by)
        context = load(Context, self.values(dataset, "context", name))
        for kind in context.kinds:
            if kind not in CONTEXT_TABLES:
                self.text_section(dataset, kind, self.place(dataset, "context", name, "kinds"))
        return context

    def text_section(self, dataset: str, kind: str, named_by: str = "context.kinds") -> str:
        """The section that a kind of context is an entry of: knowledge_sources or external_texts.

        Raises:
            ConfigError: when it is in neither, or in both.
        """
        sections = [section for section in TEXT_SECTIONS if kind in self.resolver.names(section, dataset)]
        if len(sections) > 1:
            raise ConfigError(f"config: {named_by} names {kind!r}, which is in {' and in '.join(sections)}; rename one")
        if not sections:
            names = [name for section in TEXT_SECTIONS for name in self.resolver.names(section, dataset)]
            raise ConfigError(
                f"config: {named_by} names {kind!r}, which is not in '{TEXT_SECTIONS[0]}' or '{TEXT_SECTIONS[1]}'"
                f"{nearest(kind, names)} (there are: {', '.join(names) or 'none'})"
            )
        return sections[0]

    def knowledge(self, dataset: str, source: str) -> Knowledge:
        """Settings of a source of knowledge.

        Raises:
            ConfigError: when it names no model.
        """
        knowledge = load(Knowledge, self.values(dataset, "knowledge", source))
        if knowledge.backend != "template" and not knowledge.model:
            raise ConfigError(
                f"config: knowledge_sources.{source}.model is not set; expected the model that {knowledge.backend} asks"
            )
        return knowledge

    def _caption(self, dataset: str, captioner: str) -> Caption:
        """Settings of a captioner."""
        return load(Caption, self.values(dataset, "caption", captioner))

    def named(self, dataset: str, stage: str, entry: str, setting: str) -> str:
        """The entry of another section that a setting names, such as the detector of a context.

        Raises:
            ConfigError: when there is no such entry.
        """
        name = str(self.values(dataset, stage, entry)[setting])
        self.resolver.require(dataset, f"{setting}s", name, self.place(dataset, stage, entry, setting))
        return name

    def place(self, dataset: str, stage: str, entry: str | None, setting: str) -> str:
        """Where a setting of a job stands in the configuration, for messages."""
        level = self.resolver.job(dataset, stage, entry)[stage].origin((setting,))
        return level.name(setting) if level else f"{stage}.{setting}"
