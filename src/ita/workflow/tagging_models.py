"""The model that tags the posts of a data set: its files, and what it reads of images, as far as planning knows it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ita.config.sections import CONTEXT_TABLES, REGION_CAPTIONERS
from ita.errors import ConfigError
from ita.workflow.files import local_files
from ita.workflow.sections import Sections

RUN = re.compile(r"(results/(?P<dataset>[^/]+)/runs/(?P<encoder>[^/]+)/(?P<system>[^/]+)/seed\d+)/?")
"""A run of a workflow."""
FILES = ("model.safetensors", "settings.json")
"""Files of a model's folder that tagging depends on; outputs of training."""


@dataclass(frozen=True)
class TaggingModel:
    """A model, and what it reads.

    Attributes:
        files: of its folder; none of a model on the hub.
        context: entry of ``contexts``; None where the text alone is read.
        regions: entry of ``detectors`` whose region features it reads.
        region_boxes: their positions too.
        trained: section -> settings by which its image text was made, where planning knows them.
    """

    files: list[str]
    context: str | None = None
    regions: str | None = None
    region_boxes: bool = False
    trained: Mapping[str, Any] = field(default_factory=dict)


class TaggingModels:
    """The models of all data sets."""

    def __init__(self, sections: Sections) -> None:
        self.sections = sections
        self.resolver = sections.resolver
        self.of = cache(self._of)

    def _of(self, dataset: str) -> TaggingModel:
        """The model of a data set.

        Raises:
            ConfigError: where none is named, or planning cannot know what it reads.
        """
        tag = self.sections.values(dataset, "tag")
        name = tag["model"]
        if not name:
            raise ConfigError(
                f"config: tag.model of {dataset} is not set; name a run (results/DATASET/runs/ENCODER/SYSTEM/seedN), "
                "the folder of a model, or a hub id"
            )
        run = RUN.fullmatch(name)
        if run and run["dataset"] in self.resolver.datasets:
            model = self.of_run(run)
        elif Path(name).is_dir() or name.startswith((".", "/", "~", "results/")):
            model = self.of_folder(name, dataset)
        else:
            model = self.of_hub(name, tag, dataset)
        if tag["view"] == "t":
            return TaggingModel(model.files)
        context = tag["context"] or model.context
        if context is not None:
            self.sections.context(dataset, context, "tag.context" if tag["context"] else "the model of tag.model")
        if model.regions:
            self.resolver.require(dataset, "detectors", model.regions, "the model of tag.model")
        return TaggingModel(model.files, context, model.regions, model.region_boxes, model.trained)

    def of_run(self, run: re.Match[str], named_by: str = "tag.model") -> TaggingModel:
        """A run of this workflow, which is trained if need be."""
        self.resolver.require(run["dataset"], "encoders", run["encoder"], named_by)
        system = self.sections.system(run["dataset"], run["system"], named_by)
        files = [f"{run[1]}/{file}" for file in FILES]
        trained = self.image_sections(run["dataset"], system.context, system.regions)
        return TaggingModel(files, system.context, system.regions, system.region_boxes, trained)

    @staticmethod
    def of_folder(name: str, dataset: str) -> TaggingModel:
        """A folder from elsewhere."""
        folder = Path(name).expanduser()
        files = [str(folder / file) for file in FILES]
        local_files(files, f"tag.model of {dataset}")
        try:
            record = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
            system = record["settings"]["system"]
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigError(
                f"config: tag.model of {dataset}: {folder / 'settings.json'} is not that of a run folder"
            ) from None
        regions = system.get("regions")
        boxes = bool(system.get("region_boxes"))
        return TaggingModel(files, system.get("context", "none"), regions, boxes, record.get("images") or {})

    @staticmethod
    def of_hub(name: str, tag: Mapping[str, Any], dataset: str) -> TaggingModel:
        """A model on the hub, of which planning knows what the settings say."""
        if tag["context"] is None and tag["view"] != "t":
            raise ConfigError(
                f"config: tag.model of {dataset} names {name!r} on the hub, of which planning does not know what it "
                "reads: set tag.context to an entry of 'contexts' ('none' for a model of the text alone), or tag.view "
                "to t"
            )
        return TaggingModel([])

    def image_sections(self, dataset: str, context: str | None, regions: str | None) -> dict[str, Any]:
        """Section -> settings by which a data set makes image text, by the names that a run folder has for them."""
        sections: dict[str, Any] = {}
        if context is not None:
            values = self.sections.values(dataset, "context", context)
            sections["context"] = values
            kinds = [kind for kind in values["kinds"] if kind in CONTEXT_TABLES]
            if "la" in kinds:
                sections["detect"] = self.sections.values(dataset, "detect", values["detector"])
            if "ga" in kinds:
                caption = sections["caption"] = self.sections.values(dataset, "caption", values["captioner"])
                if caption["backend"] in REGION_CAPTIONERS:
                    sections["caption_detect"] = self.sections.values(dataset, "detect", caption["detector"])
            if "oca" in kinds:
                sections["ocr"] = self.sections.values(dataset, "ocr", values["ocr_engine"])
            sections["knowledge"] = {
                kind: self.sections.values(dataset, "knowledge", kind)
                for kind in values["kinds"]
                if kind not in CONTEXT_TABLES and self.sections.text_section(dataset, kind) == "knowledge_sources"
            }
        if regions is not None:
            sections["regions"] = self.sections.values(dataset, "detect", regions)
        return sections

    def check_images(self, dataset: str, model: TaggingModel) -> None:
        """Raises ConfigError where image text is made by other settings than in training, and planning knows it."""
        from ita.tagging.image_settings import context_sections, differences

        if self.sections.values(dataset, "tag")["differences"] != "refuse":
            return  # the job warns
        present = self.image_sections(dataset, model.context, model.regions)
        changes = differences(model.trained, present, context_sections(model.trained))
        if changes:
            raise ConfigError(
                f"config: {dataset} makes image text in another way than that of the model in tag.model: "
                f"{'; '.join(changes)}. Set the same in datasets.{dataset}, or set tag.differences to warn"
            )
