"""Settings of a job: exactly what it needs, so that an edit reruns the jobs that it concerns and no others."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ita.config.models import MODELS
from ita.config.sections import CONTEXT_TABLES, ENTRIES, PRICES
from ita.workflow.displays import ROLES, Displays
from ita.workflow.report_sources import ReportSources
from ita.workflow.sections import Sections
from ita.workflow.versions import ADDED_SETTINGS, VERSIONS

Wildcards = Mapping[str, str]
Settings = dict[str, Any]


def without_added(section: str, values: Mapping[str, Any]) -> Settings:
    """Settings of a section without those of ``ADDED_SETTINGS`` that are at their default."""
    added = {name: getattr(MODELS[section](), name) for name in ADDED_SETTINGS.get(section, ())}
    return {name: value for name, value in values.items() if name not in added or value != added[name]}


class JobSettings:
    """Settings of the jobs of all data sets; a method for every stage that needs more than its own section."""

    def __init__(self, sections: Sections, displays: Displays) -> None:
        self.sections = sections
        self.resolver = sections.resolver
        self.displays = displays
        self._train = cache(self.resolver.train)  # the same for all seeds

    def of(self, stage: str, wildcards: Wildcards) -> Settings:
        """Settings of a job, with the version of its stage.

        Raises:
            ConfigError: for a name that does not exist, or settings that do not fit together.
        """
        settings: Settings = getattr(self, stage, self.section)(stage, wildcards)
        if stage in ENTRIES:
            settings["name"] = wildcards[ENTRIES[stage].removesuffix("s")]
        return {"version": VERSIONS[stage], **settings}

    def section(self, stage: str, wildcards: Wildcards) -> Settings:
        """The section of the stage, overridden by the entry that the wildcards name."""
        entry = wildcards[ENTRIES[stage].removesuffix("s")] if stage in ENTRIES else None
        return {stage: without_added(stage, self.sections.values(wildcards["dataset"], stage, entry))}

    def context(self, stage: str, wildcards: Wildcards) -> Settings:
        """Also the external texts that its kinds name."""
        dataset, name = wildcards["dataset"], wildcards["context"]
        kinds = [kind for kind in self.sections.context(dataset, name).kinds if kind not in CONTEXT_TABLES]
        texts = {
            kind: without_added("external_texts", self.resolver.entry(dataset, "external_texts", kind))
            for kind in kinds
            if self.sections.text_section(dataset, kind) == "external_texts"
        }
        return {**self.section(stage, wildcards), "external_texts": texts}

    def knowledge(self, stage: str, wildcards: Wildcards) -> Settings:
        """Without prices, which change no text, and with the hash of the template."""
        from ita.knowledge.templates import load_template

        dataset, source = wildcards["dataset"], wildcards["knowledge_source"]
        values = {
            key: value for key, value in self.sections.values(dataset, stage, source).items() if key not in PRICES
        }
        return {stage: values, "template": load_template(self.sections.knowledge(dataset, source).template_name).sha256}

    def train(self, stage: str, wildcards: Wildcards) -> Settings:
        """Of a training job: its sections, its seed, and who it is."""
        run = {name: wildcards[name] for name in ("dataset", "encoder", "system")}
        self.sections.system(run["dataset"], run["system"])
        settings = self._train(**run)
        train = without_added("train", settings["train"])
        return {**settings, "train": train, "seed": int(wildcards["seed"]), "run": run}

    def evaluate(self, stage: str, wildcards: Wildcards) -> Settings:
        """Also the licence of the data, which the model card states."""
        return {**self.section(stage, wildcards), **self.licence(wildcards["dataset"])}

    def licence(self, dataset: str) -> Settings:
        """The licence of the data, where it is stated."""
        licence = self.resolver.value(dataset, "licence")
        return {"licence": licence} if licence else {}

    def table(self, stage: str, wildcards: Wildcards) -> Settings:
        """Of a table or figure: its rows, what they are compared with, and the names of all of them."""
        dataset = wildcards["dataset"]
        display = self.displays.of(dataset, stage, wildcards[stage])
        settings: Settings = {
            stage: display.settings,
            **self.data_set(dataset),
            "systems": {name: self.resolver.entry(dataset, "systems", name) for name in display.runs},
            "encoders": {name: self.encoder_name(dataset, name) for name in display.encoders},
        }
        if display.kind == "captions":
            return {**settings, "captions": {name: self.displays.captions(dataset, name) for name in display.runs}}
        return {
            **settings,
            "control_systems": display.control_systems,
            "matched_rows": display.matched_rows,
        }

    figure = table

    def cases(self, stage: str, wildcards: Wildcards) -> Settings:
        """Of the cases: the names of its systems in tables."""
        dataset = wildcards["dataset"]
        values = self.displays.cases(dataset)
        encoder = self.encoder_name(dataset, values["encoder"])
        names = {}
        for role in ROLES:
            system = self.sections.system(dataset, values[role], f"cases.{role}")
            names[role] = (system.name or values[role]).replace("{encoder}", encoder)
        return {stage: values, **self.data_set(dataset), "names": names}

    def paper(self, stage: str, wildcards: Wildcards) -> Settings:
        """Of the folder of all tables and figures: those that the data set has, what is left out, the licence."""
        dataset = wildcards["dataset"]
        values, left_out = self.displays.paper(dataset)
        described = {**self.data_set(dataset), **self.licence(dataset)}
        return {stage: values, **described, "left_out": left_out, "prices": self.prices(dataset)}

    def report(self, stage: str, wildcards: Wildcards) -> Settings:
        """Of the report: its systems, and what made the tables that their contexts are made of."""
        dataset = wildcards["dataset"]
        values = self.displays.report(dataset)
        sources = ReportSources(self.sections, dataset, values["systems"])
        return {
            stage: values,
            **self.data_set(dataset),
            "systems": {name: self.resolver.entry(dataset, "systems", name) for name in values["systems"]},
            "encoders": {name: self.encoder_name(dataset, name) for name in values["encoders"]},
            "contexts": [[name, self.sections.values(dataset, "context", name)] for name in sources.contexts],
            "tables": sources.tables,
            "features": sources.features,
            "prices": self.prices(dataset),
        }

    def prices(self, dataset: str) -> dict[str, dict[str, float]]:
        """Source of knowledge -> its prices, of those that have one."""
        prices = {}
        for source in self.resolver.names("knowledge_sources", dataset):
            values = self.sections.values(dataset, "knowledge", source)
            if values.get("backend") != "template" and any(values.get(name) for name in PRICES):
                prices[source] = {name: values.get(name, 0.0) for name in PRICES}
        return prices

    def data_set(self, dataset: str) -> Settings:
        """What tables and pages say of the data set."""
        return {"dataset": dataset, "note": self.resolver.value(dataset, "note") or ""}

    def encoder_name(self, dataset: str, encoder: str) -> str:
        """Name of an encoder in tables."""
        return str(self.resolver.entry(dataset, "encoders", encoder, "table.encoders").get("name") or encoder)
