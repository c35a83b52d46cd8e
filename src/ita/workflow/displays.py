"""What tables and figures show: their rows, what these are compared with, and what a data set leaves of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ita.config.sections import BASELINE_KINDS, CONTROLLED_KINDS
from ita.errors import ConfigError
from ita.workflow.sections import Sections

ROLES = ("text_only", "image_text", "aligned")
"""Settings of the section ``cases`` that name systems."""
Comparable = tuple[dict[str, Any], tuple[Any, ...], bool]
"""Context of a system, what else it trains on, whether the context is that of its own posts."""


class NothingToShow(ConfigError):
    """A table or figure of which a data set has nothing.

    Attributes:
        reason: why, as part of a sentence.
    """

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"config: {place}: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class Display:
    """A table or figure.

    Attributes:
        settings: those of its section.
        runs: systems whose runs it reads: its rows and what they are compared with.
        control_systems: row -> system that reads the image text of other posts.
        matched_rows: rows that differ from their control system in nothing else.
    """

    settings: Mapping[str, Any]
    runs: Sequence[str] = ()
    control_systems: Mapping[str, str] = field(default_factory=dict)
    matched_rows: Sequence[str] = ()

    @property
    def kind(self) -> str:
        """What is shown."""
        return str(self.settings["kind"])

    @property
    def encoders(self) -> Sequence[str]:
        """Encoders whose runs it reads."""
        return self.settings.get("encoders", ())


class Displays:
    """Tables and figures of all data sets."""

    def __init__(self, sections: Sections) -> None:
        self.sections = sections
        self.resolver = sections.resolver
        self.of = cache(self._of)

    def _of(self, dataset: str, stage: str, name: str) -> Display:
        """A table or figure.

        Where a data set sets ``table.systems`` or ``table.encoders``, they restrict every table and figure that names
        others in the general part: of its systems and encoders those stay that the data set has, in order; where none
        stays, the data set's own take their place. A figure of captions needs two systems that read different numbers
        of captions, one of distances a system that reads image text.

        Raises:
            ConfigError: for names that do not exist.
            NothingToShow: when the data set leaves nothing to show.
        """
        values = dict(self.sections.values(dataset, stage, name))
        if values["kind"] == "ocr":
            for engine in values["ocr_engines"]:
                self.resolver.require(dataset, "ocr_engines", engine, f"{stage}.ocr_engines")
            return Display({key: values[key] for key in ("kind", "ocr_engines", "digits")})
        if values["kind"] == "analysis":
            self.sections.named(dataset, stage, name, "ocr_engine")
        for key in ("systems", "encoders"):
            values[key] = self.shown(dataset, stage, name, key)
        for encoder in values["encoders"]:
            self.resolver.require(dataset, "encoders", encoder, self.sections.place(dataset, stage, name, "encoders"))
        for system in values["systems"]:
            self.sections.system(dataset, system, self.sections.place(dataset, stage, name, "systems"))
        self.check_figure(dataset, name, values)
        control_systems, matched_rows = self.control_systems(dataset, values) if values["kind"] == "f1" else ({}, [])
        compared = [*self.compared_with(dataset, values), *control_systems.values()]
        runs = dict.fromkeys([*values["systems"], *compared])
        return Display(values, tuple(runs), control_systems, matched_rows)

    def compared_with(self, dataset: str, values: Mapping[str, Any]) -> list[str]:
        """Baseline of a table, and the control of as many updates where a row trains on two views."""
        settings = ["baseline"] if values["kind"] in BASELINE_KINDS else []
        views = [self.sections.system(dataset, system).views for system in values["systems"]]
        if values["kind"] in CONTROLLED_KINDS and any(len(of_row) > 1 for of_row in views):
            settings.append("updates_control")
        for setting in settings:
            if values[setting]:
                self.sections.system(dataset, values[setting], f"table.{setting}")
        return [values[setting] for setting in settings if values[setting]]

    def shown(self, dataset: str, stage: str, name: str | None, key: str) -> list[str]:
        """Systems or encoders that a table or figure shows."""
        of_table = list(self.sections.values(dataset, "table")[key])
        names = list(self.sections.values(dataset, stage, name)[key]) or of_table
        level = self.resolver.job(dataset, stage, name)[stage].origin((key,))
        general = level is None or not (level.of_dataset or level.command_line)
        if general and self.resolver.sets(dataset, "table", key):
            return [name for name in names if name in of_table] or of_table
        return names

    def check_figure(self, dataset: str, name: str, values: Mapping[str, Any]) -> None:
        """Raises NothingToShow for a figure whose systems do not differ in what it shows."""
        contexts = [
            self.sections.context(dataset, self.sections.system(dataset, system).context)
            for system in values["systems"]
        ]
        reason = ""
        if values["kind"] == "captions" and len({self.captions(dataset, name) for name in values["systems"]}) < 2:
            reason = "its systems all read the same number of captions"
        regions = any(self.sections.system(dataset, system).regions for system in values["systems"])
        if values["kind"] == "distance" and not regions and not any(context.kinds for context in contexts):
            reason = "none of its systems reads anything of the image"
        if reason:
            remedy = f"name others in datasets.{dataset}.figures.{name}.systems"
            raise NothingToShow(f"figures.{name}", f"{reason} ({', '.join(values['systems'])}); {remedy}")

    def cases(self, dataset: str) -> dict[str, Any]:
        """Settings of the cases; their encoder is one that the data set has."""
        values = dict(self.sections.values(dataset, "cases"))
        encoders = self.sections.values(dataset, "table")["encoders"]
        if self.resolver.sets(dataset, "table", "encoders") and not self.resolver.sets(dataset, "cases", "encoder"):
            values["encoder"] = values["encoder"] if values["encoder"] in encoders else encoders[0]
        return values

    def report(self, dataset: str) -> dict[str, Any]:
        """Settings of the report: where it names none, its systems and encoders are those of the tables, its tables
        those of the paper.

        Raises:
            ConfigError: for names that do not exist.
        """
        values = dict(self.sections.values(dataset, "report"))
        for key in ("systems", "encoders"):
            values[key] = self.shown(dataset, "report", None, key)
        for encoder in values["encoders"]:
            self.resolver.require(dataset, "encoders", encoder, "report.encoders")
        for system in values["systems"]:
            self.sections.system(dataset, system, "report.systems")
        for table in values["tables"]:
            self.resolver.require(dataset, "tables", table, "report.tables")
        values["tables"] = values["tables"] or self.paper(dataset)[0]["tables"]
        return values

    def paper(self, dataset: str) -> tuple[dict[str, Any], dict[str, str]]:
        """Settings of the folder of all tables and figures without those of which the data set has nothing.

        Returns:
            The settings, and what is left out with the reason.
        """
        values, left_out = dict(self.sections.values(dataset, "paper")), {}
        for stage in ("table", "figure"):
            shown = []
            for name in values[f"{stage}s"]:
                self.resolver.require(dataset, f"{stage}s", name, f"paper.{stage}s")
                try:
                    self.of(dataset, stage, name)
                    shown.append(name)
                except NothingToShow as nothing:
                    left_out[name] = nothing.reason
            values[f"{stage}s"] = shown
        missing = self.missing_in_cases(dataset)
        if values["cases"] and missing and not self.resolver.sets(dataset, "paper", "cases"):
            values["cases"] = False
            left_out["cases"] = f"{', '.join(missing)} not among the systems of {dataset} (table.systems)"
        return values, left_out

    def missing_in_cases(self, dataset: str) -> list[str]:
        """Systems of the general section ``cases`` that are none of the data set's own."""
        of_table = self.sections.values(dataset, "table")["systems"]
        names = [self.cases(dataset)[role] for role in ROLES if not self.resolver.sets(dataset, "cases", role)]
        return (
            [name for name in names if name not in of_table] if self.resolver.sets(dataset, "table", "systems") else []
        )

    def captions(self, dataset: str, system: str) -> int:
        """Captions of an image that a system reads."""
        context = self.sections.context(dataset, self.sections.system(dataset, system).context)
        return context.captions if "ga" in context.kinds else 0

    def control_systems(self, dataset: str, values: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
        """Controls of the rows of a table, and the rows that differ from theirs only in reading their own context.

        Where a row has such a control, controls are also set beside the other rows with contexts: the one of the same
        context, else the first. Otherwise none is trained.
        """
        controls = {name: self.comparable(dataset, name) for name in values["control_systems"]}
        matched: dict[str, str] = {}
        unmatched: dict[str, str | None] = {}
        for row in values["systems"]:
            context, training, own_posts = self.comparable(dataset, row)
            matching = [name for name, control in controls.items() if control == (context, training, False)]
            if own_posts and matching:
                matched[row] = matching[-1]
            elif own_posts and context["kinds"]:
                unmatched[row] = next(
                    (name for name, control in controls.items() if control == (context, control[1], False)), None
                )
        if not matched:
            return {}, []
        first = next(iter(matched.values()))
        return {**matched, **{row: control or first for row, control in unmatched.items()}}, list(matched)

    def comparable(self, dataset: str, name: str) -> Comparable:
        """What a system has in common with a control that is like it."""
        system = self.sections.system(dataset, name, "table.control_systems")
        context = dict(self.sections.values(dataset, "context", system.context))
        own_posts = context.pop("shuffle_seed", None) is None
        return context, (sorted(system.views), system.alignment, system.regions), own_posts
