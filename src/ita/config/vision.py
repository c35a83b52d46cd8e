"""Sections of the stages that turn images into text."""

from __future__ import annotations

from dataclasses import dataclass

from ita.config.fields import DEVICE, PRECISION, setting


@dataclass(frozen=True, kw_only=True)
class Detect:
    """detect: images -> objects/{detector}.parquet.

    Entries of ``detectors`` override these.
    """

    backend: str = setting(
        "vinvl",
        "Who finds the objects: VinVL's detector (paper), Bottom-Up's, a model of transformers, or somebody else; grid "
        "finds none and keeps what a ResNet sees in 7 x 7 cells.",
        enum=["vinvl", "bottomup", "transformers", "grid", "precomputed"],
    )
    model: str | None = setting(
        "michelecafagna26/vinvl_vg_x152c4", "Hub id, local folder, or for vinvl, bottomup and grid file of the weights."
    )
    revision: str | None = setting(None, "Commit, tag or branch on the hub; pin it for published work.")
    local_files_only: bool = setting(False, "Never ask the hub.")
    files: list[str] = setting(
        [], "For precomputed: JSON, JSONL, CSV, Parquet, NPZ, 'id.jpg :tag, tag' lines, or folders."
    )
    score_threshold: float = setting(0.2, "Lowest confidence of an object that is kept.", minimum=0, maximum=1)
    max_objects: int = setting(100, "Most objects kept per image.", minimum=1)
    min_objects: int = setting(
        10, "For vinvl and bottomup: objects kept even below that confidence (VinVL: 10).", minimum=0
    )
    filter: int = setting(
        1, "For vinvl: which of its three filters chooses the objects (VinVL: 1).", minimum=0, maximum=2
    )
    regression: bool = setting(False, "For vinvl: move each box for its class; VinVL's features have the proposals.")
    vocabulary: str | None = setting(
        None, "For bottomup: folder with objects_vocab.txt and attributes_vocab.txt; else they are beside the weights."
    )
    batch_size: int = setting(8, "Images per forward pass.", minimum=1)
    device: str = setting("auto", "Where the model runs.", enum=DEVICE)
    precision: str = setting("auto", "Arithmetic; auto is bf16 on a GPU and fp32 on a CPU.", enum=PRECISION)


@dataclass(frozen=True, kw_only=True)
class Caption:
    """caption: images -> captions/{captioner}.parquet.

    Entries of ``captioners`` override these.
    """

    backend: str = setting(
        "oscar",
        "Who writes the captions: VinVL's captioner (paper: oscar), one of ImageCaptioning.pytorch (updown), a model "
        "of transformers, or somebody else.",
        enum=["oscar", "updown", "transformers", "precomputed"],
    )
    model: str | None = setting("michelecafagna26/vinvl-base-image-captioning", "Hub id or local folder of the model.")
    detector: str = setting("vinvl", "For oscar and updown: entry of 'detectors' whose regions are described.")
    revision: str | None = setting(None, "Commit, tag or branch on the hub; pin it for published work.")
    local_files_only: bool = setting(False, "Never ask the hub.")
    prompt: str | None = setting(None, "Text that the model is started with.")
    files: list[str] = setting(
        [],
        "For precomputed: 'id.jpg :caption' lines, JSON map, JSONL, CSV or Parquet; captions in the order of files.",
    )
    beams: int = setting(5, "Beam width (paper: 5).", minimum=1)
    captions: int = setting(5, "Captions kept per image (paper: all 5 beams).", minimum=1)
    max_tokens: int = setting(20, "Longest caption in tokens (paper: 20).", minimum=1)
    batch_size: int = setting(8, "Images per forward pass.", minimum=1)
    device: str = setting("auto", "Where the model runs.", enum=DEVICE)
    precision: str = setting("auto", "Arithmetic; auto is bf16 on a GPU and fp32 on a CPU.", enum=PRECISION)


@dataclass(frozen=True, kw_only=True)
class Ocr:
    """ocr: images -> ocr/{ocr_engine}.parquet.

    Entries of ``ocr_engines`` override these.
    """

    engine: str = setting(
        "tesseract",
        "Who reads the characters (paper: Tesseract); rapidocr and paddleocr are PP-OCR.",
        enum=["tesseract", "rapidocr", "paddleocr"],
    )
    language: str = setting("eng", "Language data, Tesseract only.", pattern="^[A-Za-z0-9_+/-]+$")
    page_segmentation: int = setting(3, "Tesseract page segmentation mode (3 is its default).", minimum=0, maximum=13)
    images_per_process: int = setting(16, "Images per Tesseract process (list files).", minimum=1)
    timeout: float = setting(120.0, "Seconds per image before Tesseract gives up on it.", exclusiveMinimum=0)
    processes: int = setting(0, "Processes, or threads of PP-OCR, side by side; 0 is one per core.", minimum=0)
    detection_model: str = setting(
        "PP-OCRv6_medium_det", "Name on PaddleOCR's hubs or folder, paddleocr only (our choice: its default)."
    )
    recognition_model: str = setting(
        "PP-OCRv6_medium_rec", "Name on PaddleOCR's hubs or folder, paddleocr only (our choice: its default)."
    )


@dataclass(frozen=True, kw_only=True)
class Gather:
    """gather: shards of detect, caption and ocr -> one table each."""

    shards: int = setting(1, "Jobs that each of these stages is cut into for a dataset.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class Context:
    """context: posts, objects, captions, characters -> contexts/{context}.parquet.

    Entries of ``contexts`` override these.
    """

    kinds: list[str] = setting(
        [], "What is appended, in order: la, ga, oca, or a name of 'external_texts'.", uniqueItems=True
    )
    detector: str = setting("vinvl", "Entry of 'detectors' that la reads.")
    captioner: str = setting("vinvl", "Entry of 'captioners' that ga reads.")
    ocr_engine: str = setting("tesseract", "Entry of 'ocr_engines' that oca reads.")
    attribute_threshold: float = setting(
        0.1, "An attribute counts above this confidence (paper: 0.1).", minimum=0, maximum=1
    )
    attributes: int = setting(3, "Most attributes of one object (paper: 3).", minimum=0)
    tags: int = setting(100, "Most object tags and attributes of one image (paper: 100).", minimum=0)
    captions: int = setting(5, "Most captions of one image (paper: 5).", minimum=0)
    budget: dict[str, int] = setting(
        {}, "Kind -> most words of it; a kind not named is not cut.", additionalProperties={"minimum": 0}
    )
    separate_kinds: bool = setting(
        False, "Put a separator between kinds (our choice: no, the paper concatenates them)."
    )
    shuffle_seed: int | None = setting(
        None, "When set, each post gets the context of another random post of its split (paper: ITA-Random)."
    )


@dataclass(frozen=True, kw_only=True)
class Text:
    """Entry of texts: further text about posts or images, a kind of context by its own name."""

    files: list[str] = setting([], "Files by image id (captions formats), or ITA-shaped files in the order of splits.")
    format: str = setting("captions", "captions: keyed by image id; ita: by order of posts.", enum=["captions", "ita"])
