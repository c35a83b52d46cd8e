"""Results on storage (S3): what jobs need beside their inputs where machines share no folder.

There a job has the files that its rule names and no others.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ita.config.storage import STORAGE
from ita.workflow.inputs import Inputs, Wildcards
from ita.workflow.sections import Sections
from ita.workflow.settings import Settings

DEMO = "results/demo/source"
MODEL_FILES = {
    "detector": ("config.json", "labels.json", "model.safetensors"),
    "captioner": ("config.json", "model.safetensors", "vocab.txt"),
    "encoder": ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"),
    "cased-encoder": ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"),
}
"""Model of the demo -> its files, outputs of the rule demo."""
RUN = "results/{dataset}/runs/{encoder}/{system}/seed{seed}"
LAST = ("table", "figure", "cases", "report", "paper")
"""Stages at the end of the chain. Their first input lies at the top of the data set: the plugin lists the folder of the
first file that it is asked for, with all below, and asks for what is not in this list file by file."""
BUNDLE = "encoder.tar"
"""Small files of a run folder as one."""


def copies_folder(workflow: Any) -> Path | None:
    """Folder in which results on storage have their local copies; None where results lie on this machine.

    Args:
        workflow: Snakemake's, whose attributes are not documented API.
    """
    provider = workflow.storage_registry.default_storage_provider
    if provider is None:
        return None
    prefix = workflow.storage_settings.default_storage_prefix or ""
    copy: Path = provider.object(f"{prefix.rstrip('/')}/results").local_path()
    return copy.absolute().parent


def copies_prefix(folder: Path | None) -> str:
    """Shell text before each job, which tells it where local copies lie. Snakemake formats it: braces are doubled."""
    if folder is None:
        return ""
    return f"export {STORAGE}={shlex.quote(str(folder)).replace('{', '{{').replace('}', '}}')}; "


class StorageInputs:
    """Further inputs of the jobs of all data sets."""

    def __init__(self, sections: Sections) -> None:
        self.sections = sections
        count: int = sections.resolver.config["gather"]["shards"]
        self.shards = [f"{number}-of-{count}" for number in range(1, count + 1)]
        """Of the images: those of the vision stages, where a data set has no other number of them."""

    def of(self, stage: str, wildcards: Wildcards, inputs: Inputs, settings: Settings) -> list[str]:
        """What a job needs beside its inputs.

        Args:
            stage: name of the stage.
            wildcards: of the job.
            inputs: as without storage.
            settings: of the job.
        """
        files = [f"{DEMO}/{model}/{name}" for model in named_models(settings) for name in MODEL_FILES[model]]
        if stage in LAST:
            files.insert(0, f"results/{wildcards['dataset']}/posts.parquet")
        if stage in ("detect", "caption", "ocr"):
            files += self.images(wildcards["dataset"], wildcards["shard"])
        elif stage in ("cases", "report") or (stage == "knowledge" and inputs["images"]):
            files += self.images(wildcards["dataset"])
        elif stage == "evaluate":
            files += [f"{RUN.format(**wildcards)}/{name}" for name in ("settings.json", BUNDLE)]
        models = [*inputs.get("model", []), *inputs.get("tagger", [])]
        return files + [f"{Path(path).parent}/{BUNDLE}" for path in models if path.endswith("/model.safetensors")]

    def images(self, dataset: str, shard: str | None = None) -> list[str]:
        """Shards with the images that a shard of a vision stage reads, or all; none of a data set without images."""
        if self.sections.values(dataset, "download")["source"] == "none":
            return []
        names = [shard] if shard in self.shards else self.shards
        return [f"results/{dataset}/images/{name}.tar" for name in names]


def named_models(settings: Settings) -> list[str]:
    """Models of the demo among settings."""
    named = set(texts(settings))
    return [model for model in MODEL_FILES if f"{DEMO}/{model}" in named]


def texts(value: Any) -> Iterator[str]:
    """All texts in settings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)
