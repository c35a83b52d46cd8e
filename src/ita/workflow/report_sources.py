"""What the systems of a report read: contexts, the tables that these are made of, detectors of their regions."""

from __future__ import annotations

from collections.abc import Sequence

from ita.config.sections import CONTEXT_SETTINGS, CONTEXT_TABLES
from ita.workflow.sections import Sections


class ReportSources:
    """Names without repetitions, in the order in which the systems come.

    Args:
        sections: of the configuration.
        dataset: name of the data set.
        systems: of the report.
    """

    def __init__(self, sections: Sections, dataset: str, systems: Sequence[str]) -> None:
        settings = [sections.system(dataset, name) for name in systems]
        self.contexts = list(dict.fromkeys(system.context for system in settings))
        self.detectors = list(dict.fromkeys(system.regions for system in settings if system.regions))
        names: dict[str, dict[str, None]] = {table: {} for table in (*CONTEXT_TABLES.values(), "knowledge")}
        for context in self.contexts:
            for kind in sections.context(dataset, context).kinds:
                if kind in CONTEXT_TABLES:
                    names[CONTEXT_TABLES[kind]][sections.named(dataset, "context", context, CONTEXT_SETTINGS[kind])] = (
                        None
                    )
                elif sections.text_section(dataset, kind) == "knowledge_sources":
                    names["knowledge"][kind] = None
        shards = sections.values(dataset, "gather")["shards"]
        self.features = [detector for detector in self.detectors for _ in range(shards)]
        self.tables = {table: list(entries) for table, entries in names.items()}
