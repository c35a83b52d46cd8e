"""What rules ask of the configuration: functions of the wildcards for ``params``, ``input`` and ``threads``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol, TypeVar

from ita.config.resolve import Resolver
from ita.config.storage import MADE
from ita.errors import UserError
from ita.workflow.displays import Displays
from ita.workflow.inputs import Inputs, JobInputs
from ita.workflow.sections import Sections
from ita.workflow.settings import JobSettings, Settings
from ita.workflow.storage import BUNDLE, DEMO, MODEL_FILES, RUN, StorageInputs

T = TypeVar("T")


class Wildcards(Protocol):
    """Snakemake's wildcards of a job, or a mapping."""

    def items(self) -> Any:
        """Names and values."""


class Jobs:
    """Settings and inputs of all jobs; every combination of wildcards is resolved once.

    Args:
        config: the whole configuration.
        command_line: what ``--config`` brought; it wins over all.
        warn: called with every value that was set by hand and has no effect.
        local: marks a file that lies on this machine, where results lie on storage; None where they lie here.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        command_line: Mapping[str, Any] | None = None,
        warn: Callable[[str], None] | None = None,
        local: Callable[[str], str] | None = None,
    ) -> None:
        self.resolver = Resolver(config, command_line, warn)
        sections = Sections(self.resolver)
        displays = Displays(sections)
        self._settings = JobSettings(sections, displays)
        self._inputs = JobInputs(sections, displays)
        self._local, self._storage = local, StorageInputs(sections)
        self._json_of = cache(
            lambda stage, wildcards: json.dumps(self.settings_of(stage, dict(wildcards)), sort_keys=True)
        )
        self._settings_of = cache(lambda stage, wildcards: self._settings.of(stage, dict(wildcards)))
        self._inputs_of = cache(lambda stage, wildcards: self._inputs.of(stage, dict(wildcards)))

    def settings(self, stage: str, **fixed: str) -> Callable[[Wildcards], str]:
        """Params of a rule: the settings of its job as JSON with sorted keys.

        Args:
            stage: name of the stage.
            fixed: wildcards that the rule does not have.
        """
        return lambda wildcards: self._json_of(stage, (*wildcards.items(), *fixed.items()))

    def inputs(self, stage: str) -> Callable[[Wildcards], Inputs]:
        """Inputs of a rule, by the options of its stage."""
        return lambda wildcards: self._placed(stage, dict(wildcards.items()))

    def _placed(self, stage: str, wildcards: Mapping[str, str]) -> Inputs:
        inputs = self.inputs_of(stage, wildcards)
        if self._local is None:
            return inputs
        further = self._storage.of(stage, wildcards, inputs, self.settings_of(stage, wildcards))
        place = self._local
        return {
            option: [path if path.startswith(MADE) else place(path) for path in files]
            for option, files in {"storage": further, **inputs}.items()
        }

    def image_shards(self) -> list[str]:
        """Outputs of download where results lie on storage: the images, one file for each shard of the stages."""
        names = [] if self._local is None else self._storage.shards
        return [f"results/{{dataset}}/images/{name}.tar" for name in names]

    def either(self, on_disk: T, storage: T) -> T:
        """A part of a rule where results lie on this machine, as it always was, or where they lie on storage.

        A changed command or parameter would make the results of earlier versions anew.
        """
        return on_disk if self._local is None else storage

    @staticmethod
    def demo_models() -> list[str]:
        """Outputs of demo: files of its models."""
        return [f"{DEMO}/{model}/{name}" for model, names in MODEL_FILES.items() for name in names]

    def bundle(self) -> list[str]:
        """Output of train where results lie on storage: the small files of the run folder as one."""
        return [] if self._local is None else [f"{RUN}/{BUNDLE}"]

    def threads(self, stage: str) -> Callable[[Wildcards], int]:
        """CPU threads of a job, a setting of its stage."""
        return lambda wildcards: int(self.settings_of(stage, dict(wildcards.items()))[stage]["threads"])

    def gpus(self, stage: str) -> Callable[[Wildcards], int]:
        """GPUs of a job that runs a model only where its backend, or its OCR engine, is one of transformers."""

        def count(wildcards: Wildcards) -> int:
            values = self.settings_of(stage, dict(wildcards.items()))[stage]
            return int(values.get("backend") == "transformers" or values.get("engine") == "image-text")

        return count

    def names(self, section: str) -> str:
        """Regular expression of the names in a section, those that only one data set has included."""
        names = self.resolver.datasets if section == "datasets" else self.resolver.names(section)
        return "|".join(sorted(map(re.escape, names))) or "(?!)"

    def settings_of(self, stage: str, wildcards: Mapping[str, str]) -> Settings:
        """Settings of a job."""
        with one_message():
            return self._settings_of(stage, tuple(wildcards.items()))

    def inputs_of(self, stage: str, wildcards: Mapping[str, str]) -> Inputs:
        """Inputs of a job that depend on settings."""
        with one_message():
            return self._inputs_of(stage, tuple(wildcards.items()))


@contextmanager
def one_message() -> Iterator[None]:
    """Ends Snakemake with the message of a wrong configuration alone.

    SystemExit, since Snakemake wraps any other exception of an input function into where the rule stands, wildcards and
    traceback. It leaves no lock behind: these functions are called before anything runs.
    """
    try:
        yield
    except UserError as error:
        raise SystemExit(f"\n{error}") from None
