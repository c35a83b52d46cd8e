"""What tables and figures know about the data set, and the rows that they share: one per encoder and system."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ita.config import System
from ita.config.sections import SYSTEM_TRAINING
from ita.data import VIEWS
from ita.errors import UserError

LEAK_MARK = "§"
"""Behind the name of a row whose encoder was trained on test posts."""


@dataclass(frozen=True)
class ReportSettings:
    """Settings of a table or figure beside its own section.

    Attributes:
        name: of the table or figure, for example "table1".
        dataset: name of the data set.
        note: what every table and figure of the data set says about it; may be empty.
        systems: rows and the systems that they are compared with, by key.
        encoders: key -> name in tables.
        control_systems: row -> system that reads the image text of other posts.
        matched_rows: rows that differ from their control system in nothing else.
        captions: system -> captions that it reads of an image (figures of the kind captions).
        leaks: encoder and system of rows whose encoder was trained on test posts of the data set -> so many.
    """

    name: str
    dataset: str
    note: str
    systems: Mapping[str, System]
    encoders: Mapping[str, str]
    control_systems: Mapping[str, str]
    matched_rows: tuple[str, ...]
    captions: Mapping[str, int]
    leaks: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def read(cls, settings: Mapping[str, Any], name: str = "") -> ReportSettings:
        """From the settings of a stage; ``name`` is used where they have none."""
        return cls(
            name=str(settings.get("name", name)),
            dataset=str(settings["dataset"]),
            note=str(settings.get("note") or ""),
            systems={key: _read_system(entry) for key, entry in settings.get("systems", {}).items()},
            encoders=dict(settings.get("encoders", {})),
            control_systems=dict(settings.get("control_systems") or {}),
            matched_rows=tuple(settings.get("matched_rows") or ()),
            captions=dict(settings.get("captions") or {}),
        )

    def system_name(self, key: str, encoder: str) -> str:
        """Name of a system in tables, with one encoder; with a mark where the encoder has seen test posts."""
        name = (self.systems[key].name or key).format(encoder=self.encoders[encoder])
        return f"{name} {LEAK_MARK}" if (encoder, key) in self.leaks else name

    def system_names(self, key: str, encoders: Iterable[str]) -> list[str]:
        """Its different names with several encoders."""
        return list(dict.fromkeys(self.system_name(key, encoder) for encoder in encoders))

    def joined_names(self, keys: Iterable[str], encoders: Sequence[str]) -> str:
        """Names of several systems for a note."""
        return "; ".join(" / ".join(self.system_names(key, encoders)) for key in keys)

    def require_baseline(self, baseline: str | None) -> None:
        """Raises UserError for a baseline that is not among the systems."""
        if baseline and baseline not in self.systems:
            raise UserError(f"table.baseline names {baseline!r}, which is not among the systems of its settings")


@dataclass(frozen=True)
class ReportRow:
    """One system with one encoder."""

    settings: ReportSettings
    encoder: str
    """Key, as ``system``."""
    system: str

    @property
    def encoder_name(self) -> str:
        """Name of the encoder in tables."""
        return self.settings.encoders[self.encoder]

    @property
    def approach(self) -> str:
        """Name of the system in tables."""
        return self.settings.system_name(self.system, self.encoder)

    @property
    def labels(self) -> dict[str, str]:
        """The columns that name the row in a table."""
        return {
            "dataset": self.settings.dataset,
            "encoder": self.encoder_name,
            "system": self.system,
            "approach": self.approach,
        }

    @property
    def views(self) -> list[str]:
        """Views that the system is trained on."""
        return list(self.settings.systems[self.system].views)

    @property
    def reads_images(self) -> bool:
        """True for a system whose I+T view holds more than its text view."""
        system = self.settings.systems[self.system]
        return system.context != "none" or bool(system.regions)

    @property
    def distinct_views(self) -> list[str]:
        """Views trained on, without an I+T view that equals T."""
        return [view for view in self.views if view == "t" or self.reads_images]

    @property
    def trained_on(self) -> str:
        """Names of the views that the system is trained on."""
        return " and ".join(VIEWS[view] for view in self.views)


def report_rows(settings: ReportSettings, encoders: Iterable[str], systems: Iterable[str]) -> Iterator[ReportRow]:
    """The rows of a table or figure, a block for each encoder."""
    keys = list(systems)
    for encoder in encoders:
        for system in keys:
            yield ReportRow(settings, encoder, system)


def _read_system(entry: Mapping[str, Any]) -> System:
    """An entry of the section systems, without the training settings that it may carry."""
    return System(**{key: value for key, value in entry.items() if key not in SYSTEM_TRAINING})
