"""Sections of the stages that turn images into text."""

from __future__ import annotations

import re
from dataclasses import field
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, ValidationInfo, model_validator
from pydantic.dataclasses import dataclass

from ita.config.fields import SECTION, UNIQUE, UNIQUE_ITEMS, Device, Flag, Number, Precision, Sha256, Whole, is_whole
from ita.errors import ConfigError


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Detect:
    """detect: images -> objects/{detector}.parquet and region features.

    Entries of ``detectors`` override these.
    """

    backend: Annotated[
        Literal["vinvl", "bottomup", "transformers", "zero-shot", "florence2", "grid", "precomputed"],
        Field(
            description="vinvl: VinVL's detector (paper); bottomup: Bottom-Up Attention; transformers: any detector "
            "there; zero-shot: those there that look for classes by name (OWLv2, Grounding-DINO); florence2: regions "
            "that Florence-2 names; grid: no objects, but the cells of an image backbone (7 x 7 of a ResNet) as region "
            "features; precomputed: files."
        ),
    ] = "vinvl"
    model: Annotated[
        str | None, Field(description="Hub id, local folder, or for vinvl, bottomup and grid file of the weights.")
    ] = "michelecafagna26/vinvl_vg_x152c4"
    revision: Annotated[
        str | None, Field(description="Commit, tag or branch on the hub; pin it for published work.")
    ] = None
    local_files_only: Annotated[Flag, Field(description="Never ask the hub.")] = False
    files: Annotated[
        list[str],
        Field(description="For precomputed: JSON, JSONL, CSV, Parquet, NPZ, 'id.jpg :tag, tag' lines, or folders."),
    ] = field(default_factory=list)
    score_threshold: Annotated[Number, Field(ge=0, le=1, description="Lowest score of an object that is kept.")] = 0.2
    max_objects: Annotated[Whole, Field(ge=1, description="Most objects kept per image.")] = 100
    min_objects: Annotated[
        Whole, Field(ge=0, description="For vinvl and bottomup: objects kept even below that score (VinVL: 10).")
    ] = 10
    filter: Annotated[
        Whole, Field(ge=0, le=2, description="For vinvl: which of its three filters selects objects (VinVL: 1).")
    ] = 1
    regression: Annotated[
        Flag,
        Field(description="For vinvl: apply the box deltas of the class; VinVL's features belong to the proposals."),
    ] = False
    whole_image: Annotated[
        Whole,
        Field(
            ge=0,
            description="For vinvl: this many regions that all are the whole image, in place of objects (UMGF's "
            "control: 4); 0: objects.",
        ),
    ] = 0
    vocabulary: Annotated[
        str | None,
        Field(
            description="For bottomup: folder with objects_vocab.txt and attributes_vocab.txt, where they are not "
            "beside the weights."
        ),
    ] = None
    classes: Annotated[
        str | None,
        Field(
            description="For zero-shot: file of the classes that are looked for, a name per line, or JSON (VinVL's "
            "VG-SGG-dicts-vgoi6-clipped.json)."
        ),
    ] = None
    classes_per_pass: Annotated[
        Whole, Field(ge=1, description="For zero-shot: most classes of one text, or of one batch of texts.")
    ] = 64
    merge_iou: Annotated[
        Number,
        Field(ge=0, le=1, description="For zero-shot: boxes that overlap more are one object, of the best class."),
    ] = 0.7
    task: Annotated[
        Literal["objects", "region-captions"],
        Field(description="For florence2: names of objects, or short descriptions of regions."),
    ] = "objects"
    batch_size: Annotated[Whole, Field(ge=1, description="Images per forward pass.")] = 8
    device: Annotated[Device, Field(description="Where the model runs.")] = "auto"
    precision: Annotated[Precision, Field(description="auto is bf16 on a GPU and fp32 on a CPU.")] = "auto"


PAPER_BEAMS = 5
PAPER_TOKENS = 20
"""Longest caption of the paper."""
CHAT_TOKENS = 128
"""Longest answer of a chat model: two or three sentences."""


class Search(NamedTuple):
    """How a captioner searches for the words of an image."""

    beams: int
    captions: int
    """Kept per image, at most as many as beams."""
    max_tokens: int


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Caption:
    """caption: images -> captions/{captioner}.parquet.

    Entries of ``captioners`` override these.
    """

    backend: Annotated[
        Literal["oscar", "updown", "transformers", "precomputed"],
        Field(
            description="oscar: VinVL's captioner (paper); updown: those of ImageCaptioning.pytorch; transformers: any "
            "image-text model there; precomputed: files."
        ),
    ] = "oscar"
    model: Annotated[str | None, Field(description="Hub id or local folder of the model.")] = (
        "michelecafagna26/vinvl-base-image-captioning"
    )
    detector: Annotated[
        str, Field(description="For oscar and updown: entry of 'detectors' whose regions are described.")
    ] = "vinvl"
    revision: Annotated[
        str | None, Field(description="Commit, tag or branch on the hub; pin it for published work.")
    ] = None
    local_files_only: Annotated[Flag, Field(description="Never ask the hub.")] = False
    prompt: Annotated[
        str | None,
        Field(
            description="For transformers: text that generation starts from; of a chat model what it is asked (null: "
            "to describe the picture)."
        ),
    ] = None
    max_pixels: Annotated[Whole, Field(ge=784, description="For chat models: larger pictures are made smaller.")] = (
        802_816
    )
    files: Annotated[
        list[str],
        Field(
            description="For precomputed: 'id.jpg :caption' lines, JSON map, JSONL, CSV or Parquet; captions in the "
            "order of the files."
        ),
    ] = field(default_factory=list)
    beams: Annotated[
        Whole | None,
        Field(ge=1, description="Beam width; null: 5 (paper), of a chat model 1; more where more captions are kept."),
    ] = None
    captions: Annotated[
        Whole | None,
        Field(ge=1, description="Captions kept per image; null: all beams (paper), of precomputed captions 5."),
    ] = None
    max_tokens: Annotated[
        Whole | None, Field(ge=1, description="Longest caption in tokens; null: 20 (paper), of a chat model 128.")
    ] = None
    batch_size: Annotated[Whole, Field(ge=1, description="Images per forward pass.")] = 8
    device: Annotated[Device, Field(description="Where the model runs.")] = "auto"
    precision: Annotated[Precision, Field(description="auto is bf16 on a GPU and fp32 on a CPU.")] = "auto"

    @model_validator(mode="after")
    def _beams_suffice(self, info: ValidationInfo) -> Caption:
        beams = self.beams if self.backend != "precomputed" else None
        if is_whole(info.context) and beams and (self.captions or 0) > beams:
            raise ConfigError(
                f"setting caption.captions: {self.captions} captions cannot come out of {self.beams} beams; "
                "raise caption.beams or lower caption.captions"
            )
        return self

    def search(self, chat: bool = False) -> Search:
        """How captions are generated: what is set, and what suits the model where nothing is.

        Args:
            chat: the model answers in a chat: one answer, the likeliest word after word, and longer than a caption.
        """
        beams = self.beams or max(1 if chat else PAPER_BEAMS, self.captions or 1)
        return Search(beams, self.captions or beams, self.max_tokens or (CHAT_TOKENS if chat else PAPER_TOKENS))


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Ocr:
    """ocr: images -> ocr/{ocr_engine}.parquet.

    Entries of ``ocr_engines`` override these.
    """

    engine: Annotated[
        Literal["tesseract", "rapidocr", "paddleocr", "image-text"],
        Field(
            description="OCR engine (paper: Tesseract); rapidocr and paddleocr are PP-OCR; image-text: a model of "
            "transformers that reads pictures and writes text."
        ),
    ] = "tesseract"
    language: Annotated[str, Field(pattern="^[A-Za-z0-9_+/-]+$", description="For tesseract: language data.")] = "eng"
    page_segmentation: Annotated[
        Whole, Field(ge=0, le=13, description="For tesseract: page segmentation mode (3 is its default).")
    ] = 3
    images_per_process: Annotated[Whole, Field(ge=1, description="For tesseract: images per process (list files).")] = (
        16
    )
    timeout: Annotated[Number, Field(gt=0, description="For tesseract: seconds per image before it is given up.")] = (
        120.0
    )
    processes: Annotated[
        Whole, Field(ge=0, description="Processes, or threads of PP-OCR, side by side; 0 is one per core.")
    ] = 0
    detection_model: Annotated[
        str, Field(description="For paddleocr: name on its hubs or folder (our choice: its default).")
    ] = "PP-OCRv6_medium_det"
    recognition_model: Annotated[
        str, Field(description="For paddleocr: name on its hubs or folder (our choice: its default).")
    ] = "PP-OCRv6_medium_rec"
    model: Annotated[str | None, Field(description="For image-text: hub id or local folder of the model.")] = None
    revision: Annotated[
        str | None, Field(description="For image-text: commit, tag or branch on the hub; pin it for published work.")
    ] = None
    local_files_only: Annotated[Flag, Field(description="For image-text: never ask the hub.")] = False
    prompt: Annotated[
        str | None,
        Field(
            description="For image-text: what the model is asked, or its task (<OCR>); null: of a chat model to write "
            "down all text."
        ),
    ] = None
    max_pixels: Annotated[Whole, Field(ge=784, description="For chat models: larger pictures are made smaller.")] = (
        1_605_632
    )
    max_tokens: Annotated[Whole, Field(ge=1, description="For image-text: longest text of an image in tokens.")] = 256
    batch_size: Annotated[Whole, Field(ge=1, description="For image-text: images per forward pass.")] = 8
    device: Annotated[Device, Field(description="For image-text: where the model runs.")] = "auto"
    precision: Annotated[Precision, Field(description="auto is bf16 on a GPU and fp32 on a CPU.")] = "auto"


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Gather:
    """gather: shards of detect, caption, ocr, knowledge and tag -> one table each."""

    shards: Annotated[
        Whole, Field(ge=1, le=10_000, description="Jobs that each of these stages is split into for a data set.")
    ] = 1


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Context:
    """context: posts, objects, captions, OCR text, knowledge, external texts -> contexts/{context}.parquet.

    Entries of ``contexts`` override these.
    """

    kinds: Annotated[
        list[str],
        UNIQUE,
        Field(
            json_schema_extra=UNIQUE_ITEMS,
            description="What is appended, in order: la, ga, oca, names of 'knowledge_sources' and 'external_texts'.",
        ),
    ] = field(default_factory=list)
    detector: Annotated[str, Field(description="Entry of 'detectors' whose objects la reads.")] = "vinvl"
    captioner: Annotated[str, Field(description="Entry of 'captioners' whose captions ga reads.")] = "vinvl"
    ocr_engine: Annotated[str, Field(description="Entry of 'ocr_engines' whose text oca reads.")] = "tesseract"
    attribute_threshold: Annotated[
        Number, Field(ge=0, le=1, description="Attributes above this score are kept (paper: 0.1).")
    ] = 0.1
    attributes: Annotated[Whole, Field(ge=0, description="Most attributes of one object (paper: 3).")] = 3
    tags: Annotated[Whole, Field(ge=0, description="Most object tags and attributes of an image (paper: 100).")] = 100
    captions: Annotated[Whole, Field(ge=0, description="Most captions of one image (paper: 5).")] = 5
    budget: Annotated[
        dict[str, Annotated[Whole, Field(ge=0)]],
        Field(description="Kind -> most words of it; a kind that is not named is not truncated."),
    ] = field(default_factory=dict)
    separate_kinds: Annotated[
        Flag, Field(description="Put a separator between kinds (our choice: no, the paper concatenates them).")
    ] = False
    shuffle_seed: Annotated[
        Whole | None,
        Field(description="Where set, each post gets the context of another post of its split (paper: ITA-Random)."),
    ] = None


def _regular_expression(pattern: str | None) -> str | None:
    if pattern is not None:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"found {pattern!r}, expected a regular expression ({error})") from None
    return pattern


def _substitutions(replace: dict[str, str]) -> dict[str, str]:
    for pattern, text in replace.items():
        _regular_expression(pattern)
        try:
            re.compile(f"(?:{pattern})|").sub(text, "")
        except (re.error, IndexError) as error:
            raise ValueError(f"found {text!r}, expected what stands in the place of {pattern!r} ({error})") from None
    return replace


@dataclass(frozen=True, kw_only=True, config=SECTION)
class ExternalText:
    """Entry of external_texts: further text about posts or images, a kind of context by its own name."""

    files: Annotated[
        list[str],
        Field(
            description="Files by image id (captions formats), or ITA-shaped files in the order of splits: paths, or "
            "http(s) URLs, or members of archives as 'archive.zip::member'."
        ),
    ] = field(default_factory=list)
    sha256: Annotated[
        dict[str, Sha256],
        Field(
            description="Path or URL of a file, or of the archive that it is a member of -> SHA-256; required for "
            "URLs, checked where given."
        ),
    ] = field(default_factory=dict)
    format: Annotated[
        Literal["captions", "ita"], Field(description="captions: keyed by image id; ita: by order of posts.")
    ] = "captions"
    replace: Annotated[
        dict[str, str],
        Field(
            description="Regular expression -> what stands in its place (\\1 is its first group), in this order, "
            "in each text before 'pattern'; such as a blank between words that are glued together."
        ),
        AfterValidator(_substitutions),
    ] = field(default_factory=dict)
    pattern: Annotated[
        str | None,
        Field(
            description="Regular expression of the part of each text that is read: its first group, or all that it "
            "matches; null reads all."
        ),
        AfterValidator(_regular_expression),
    ] = None
