"""Which detector, captioner and OCR engine made what a model reads of an image, with which settings.

Tables carry the settings that made them, context tables those of the tables below them, and train writes them all
into settings.json of the run folder under ``images``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ita.config import Caption, Context, Detect, Download, Knowledge, Ocr, load
from ita.config.sections import CONTEXT_TABLES, PRICES
from ita.errors import UserError

KINDS = tuple(CONTEXT_TABLES)
"""Kinds of context that are made of an image, in the order of the paper's ITA-All."""
SECTION_OF_KIND = {"la": "detect", "ga": "caption", "oca": "ocr"}
"""Kind of a context -> the section that says what it is made with."""
KNOWLEDGE = "knowledge."
"""Before the name of a source, of the settings by which a language model wrote."""
SECTIONS: dict[str, Any] = {
    "context": Context,
    "detect": Detect,
    "caption": Caption,
    "caption_detect": Detect,
    "ocr": Ocr,
    "regions": Detect,
    "download": Download,
}


WITHOUT_EFFECT = {
    *("batch_size", "device", "precision", "local_files_only", "images_per_process", "processes", "timeout"),
    *("detector", "captioner", "ocr_engine", "files"),
    *("address", "key_variable", "allow_networks", "concurrency", "attempts", "backoff", "max_wait", "max_failed"),
    *PRICES,
}
"""Settings that say where and how fast something is made, or name an entry whose own settings are compared."""

LOCAL_PATHS = {"model", "vocabulary", "classes", "detection_model", "recognition_model"}
"""Settings that may name a file or folder."""


@dataclass(frozen=True)
class ImageSettings:
    """Sections of the stages that an image passes through; None of a stage that the model has no use for."""

    context: Context
    detect: Detect | None = None
    """Objects of the context."""
    caption: Caption | None = None
    caption_detect: Detect | None = None
    """Regions that a captioner of regions describes."""
    ocr: Ocr | None = None
    regions: Detect | None = None
    """Regions that the tagger itself reads."""
    region_boxes: bool = False
    """Their positions too."""
    download: Download = Download()
    knowledge: tuple[str, ...] = ()
    """Kinds of context that a language model wrote in training."""

    @property
    def written(self) -> list[str]:
        """Kinds of context that a language model has to write."""
        return [kind for kind in self.context.kinds if kind in self.knowledge]

    @property
    def kinds(self) -> list[str]:
        """Kinds of context that are made of the image."""
        return [kind for kind in self.context.kinds if kind in KINDS]

    @property
    def reads_images(self) -> bool:
        """Whether the model reads anything of an image."""
        return bool(self.kinds) or self.regions is not None


def image_settings(record: Mapping[str, Any], overrides: Mapping[str, Any], folder: Path) -> ImageSettings:
    """The settings of a model.

    Args:
        record: its settings.json.
        overrides: sections whose values win over those recorded; of ``detect`` those of the other detectors too.
        folder: the run folder; a local path is looked for from the working folder and from those above the run folder.

    Raises:
        UserError: for a wrong setting or section.
    """
    for name in overrides:
        if name not in SECTIONS:
            raise UserError(f"--settings: unknown section '{name}'; expected some of {', '.join(SECTIONS)}")
    recorded = record.get("images") or {}
    sections: dict[str, Any] = {}
    for name, cls in SECTIONS.items():
        override = {**overrides.get("detect", {})} if cls is Detect else {}
        override |= overrides.get(name, {})
        if recorded.get(name) is not None or name in ("context", "download"):
            sections[name] = with_local_paths(load(cls, {**(recorded.get(name) or {}), **override}, name), folder)
        elif override:
            sections[name] = load(cls, override, name)
    boxes = bool(record.get("settings", {}).get("system", {}).get("region_boxes"))
    knowledge = tuple(recorded.get("knowledge") or ())
    return ImageSettings(**sections, region_boxes=boxes, knowledge=knowledge)


def with_local_paths(section: Any, folder: Path) -> Any:
    """A section whose ``model``, ``classes`` and the like are found where the run folder lies, if not here."""
    names = {field.name for field in fields(section)} & LOCAL_PATHS
    moved = {}
    for name in names:
        value = getattr(section, name)
        if value and not Path(value).is_absolute() and not Path(value).exists():
            copies = [parent / value for parent in folder.resolve().parents if (parent / value).exists()]
            if copies:
                moved[name] = str(copies[0])
    return replace(section, **moved) if moved else section


def check_complete(record: Mapping[str, Any], settings: ImageSettings) -> None:
    """Raises UserError where images are to be read and the run folder does not say with what.

    Args:
        record: settings.json.
        settings: what was made of it.
    """
    lacking = [SECTION_OF_KIND[kind] for kind in settings.kinds if getattr(settings, SECTION_OF_KIND[kind]) is None]
    system = record.get("settings", {}).get("system", {})
    trained_on_images = system.get("context", "none") != "none" or bool(record.get("regions"))
    if lacking or trained_on_images and "images" not in record and not settings.reads_images:
        raise UserError(
            f"the run folder does not say with which {', '.join(lacking) or 'detector, captioner and OCR engine'} its "
            "image text was made: train it again with this version, name them by --settings "
            """'{"context": {"kinds": ["la"]}, "detect": {"model": ...}}', or take --view t"""
        )


def context_sections(trained: Mapping[str, Any]) -> list[str]:
    """Sections that made what a model reads of an image, by those that its training recorded."""
    kinds = (trained.get("context") or {}).get("kinds", [])
    used = {"regions", *(("context",) if kinds else ()), *(SECTION_OF_KIND[kind] for kind in kinds if kind in KINDS)}
    used |= {"caption_detect"} if "caption" in used else set()
    written = [f"{KNOWLEDGE}{kind}" for kind in kinds if kind in (trained.get("knowledge") or {})]
    return [*(name for name in SECTIONS if name in used and trained.get(name) is not None), *written]


def by_source(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Sections in which each source of knowledge is one of its own."""
    sources = sections.get("knowledge") or {}
    unwritten = {name: values for name, values in sections.items() if name != "knowledge"}
    return {**unwritten, **{f"{KNOWLEDGE}{source}": values for source, values in sources.items()}}


def differences(trained: Mapping[str, Any], present: Mapping[str, Any], sections: Iterable[str]) -> list[str]:
    """Settings by which image text is made now and was made for training, where they are not the same.

    Args:
        trained: section -> its settings in training.
        present: section -> its settings now.
        sections: which are compared.
    """
    changes = []
    trained, present = by_source(trained), by_source(present)
    for name in sections:
        if present.get(name) is None:
            changes.append(f"{name} is missing here")
            continue
        section = Knowledge if name.startswith(KNOWLEDGE) else SECTIONS[name]
        before, current = (compared(load(section, values, name)) for values in (trained[name], present[name]))
        changes += [
            f"{name}.{key} is {current[key]!r} here, {before[key]!r} in training"
            for key in before
            if key not in WITHOUT_EFFECT and before[key] != current[key]
        ]
    return changes


def compared(section: Any) -> dict[str, Any]:
    """Settings of a section, with the values that null stands for."""
    return asdict(section) | (section.search()._asdict() if isinstance(section, Caption) else {})
