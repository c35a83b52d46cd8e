"""The whole configuration as one model, made of those of its sections."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model
from pydantic.dataclasses import dataclass

from ita.config.data import Demo, Download, Posts
from ita.config.fields import SECTION, UNIQUE, UNIQUE_ITEMS, Whole
from ita.config.knowledge import Knowledge
from ita.config.results import Cases, Figure, Paper, Report, Table
from ita.config.sections import CONTEXT_TABLES, ENTRIES, NAMED, STAGES, TEXT_SECTIONS
from ita.config.tagger import Encoder, Evaluate, Loss, System, Tag, Train
from ita.config.vision import Caption, Context, Detect, ExternalText, Gather, Ocr

NAME = "^[a-z0-9][a-z0-9_.+-]*$"
"""Names of entries become parts of paths, so they hold no slash and no leading dot."""
LONGEST_NAME = 60
"""Letters of a name: several of them stand in one path."""
KINDS = (*CONTEXT_TABLES, "sep")
"""Kinds of context that have a meaning already: no text may be called so."""


@dataclass(frozen=True, kw_only=True, config=SECTION)
class EncoderEntry(Encoder):
    """Entry of encoders: a pretrained transformer, and what it is trained with."""

    defaults: Annotated[
        Train, Field(description="Training settings of this encoder where neither 'train' nor a system sets them.")
    ] = field(default_factory=Train)


@dataclass(frozen=True, kw_only=True, config=SECTION)
class SystemEntry(System):
    """Entry of systems: one row of a table."""

    upstream: Annotated[
        Train,
        Field(
            description="Training settings of the published code; with 'recipe: upstream' they override 'train', and "
            "this system's own override them."
        ),
    ] = field(default_factory=Train)
    train: Annotated[Train, Field(description="Training settings of this system; they override 'train'.")] = field(
        default_factory=Train
    )


MODELS: dict[str, Any] = {
    "demo": Demo,
    "posts": Posts,
    "download": Download,
    "detect": Detect,
    "caption": Caption,
    "ocr": Ocr,
    "gather": Gather,
    "knowledge": Knowledge,
    "context": Context,
    "train": Train,
    "evaluate": Evaluate,
    "tag": Tag,
    "table": Table,
    "figure": Figure,
    "cases": Cases,
    "paper": Paper,
    "report": Report,
    "external_texts": ExternalText,
    "encoders": EncoderEntry,
    "systems": SystemEntry,
    "losses": Loss,
}
"""Section -> model of its settings or entries."""
MODELS |= {section: MODELS[stage] for stage, section in ENTRIES.items()}


def _no_kind(name: str) -> str:
    if name in KINDS:
        raise ValueError(f"{name!r} has a meaning as a kind of context already; take another name")
    return name


Name = Annotated[str, Field(pattern=NAME, max_length=LONGEST_NAME)]
TextName = Annotated[
    str,
    Field(pattern=NAME, max_length=LONGEST_NAME, json_schema_extra={"not": {"enum": list(KINDS)}}),
    AfterValidator(_no_kind),
]
Seeds = Annotated[
    list[Annotated[Whole, Field(ge=0)]],
    UNIQUE,
    Field(min_length=1, json_schema_extra=UNIQUE_ITEMS, description="Seeds: one run of every system for each."),
]
Note = Annotated[str, Field(description="A sentence that tables and pages of the data set print.")]
Licence = Annotated[str, Field(description="Licence or terms of the data, which model cards state.")]
Jobs = Annotated[
    Whole, Field(ge=1, description="Jobs that share one GPU at a time, such as several seeds of a system.")
]
Container = Annotated[
    str | None,
    Field(
        pattern=r"^\S+$",
        description="Image of every rule with `--sdm apptainer`: a file or docker://NAME; null: none is named.",
    ),
]


def _sections() -> dict[str, Any]:
    """Fields of the sections, which are the same for all data sets and for one."""
    sections: dict[str, Any] = {
        stage: (MODELS[stage], Field(default_factory=dict, description=_summary(MODELS[stage]))) for stage in STAGES
    }
    overridden = {section: stage for stage, section in ENTRIES.items()}
    for section in NAMED:
        name = TextName if section in TEXT_SECTIONS else Name
        stage = overridden.get(section)
        meaning = (
            f"settings that override those of '{stage}'" if stage else _summary(MODELS[section]).partition(": ")[2]
        )
        sections[section] = (
            dict[name, MODELS[section]],  # type: ignore[valid-type]
            Field(default_factory=dict, description=f"Name -> {meaning.rstrip('.')}."),
        )
    return sections


def _summary(model: type) -> str:
    return (model.__doc__ or "").splitlines()[0]


STRICT = ConfigDict(extra="forbid")
Overrides: type[BaseModel] = create_model(
    "Dataset",
    __config__=STRICT,
    **_sections(),
    seeds=(Seeds, [1, 2, 3, 4, 5]),
    note=(Note, ""),
    licence=(Licence, ""),
)
Config: type[BaseModel] = create_model(
    "Config",
    __config__=STRICT,
    **_sections(),
    seeds=(Seeds, [1, 2, 3, 4, 5]),
    jobs_per_gpu=(Jobs, 1),
    container=(Container, None),
    datasets=(
        dict[Name, Overrides],  # type: ignore[valid-type]
        Field(default_factory=dict, description="Data set -> what differs from the above; any of it may be named."),
    ),
)
