"""Every setting of every stage: one frozen dataclass per section of ``config.yaml``.

This file is the only place where a setting is defined. ``ita.schema`` renders it as the JSON Schema in
``workflow/schemas``, which Snakemake checks before anything runs; tests hold ``config.yaml`` to the defaults given
here. It imports nothing outside the standard library, so that start-up stays instant.

"Our choice" in a description marks what the paper and its code leave open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

FORMATS = ["umt", "three_line", "jsonl", "parquet", "ita"]
"""Layouts of annotated posts that ``ita.corpus.readers`` reads."""


def setting(default: Any, meaning: str, **rules: Any) -> Any:
    """A dataclass field with its meaning, unit and JSON Schema rules (``minimum``, ``enum``, ...)."""
    metadata = {"meaning": meaning, "rules": rules}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def default_of(item: Field[Any]) -> Any:
    """The default value of a dataclass field."""
    return item.default_factory() if item.default_factory is not MISSING else item.default


def load(section: type[T], values: Mapping[str, Any]) -> T:
    """Builds a section from JSON values.

    Raises:
        ValueError: for an unknown key, a value of the wrong type, or one outside its range; the message names the key.
    """
    from ita.schema import check

    check(section, values)
    return section(**values)


@dataclass(frozen=True, kw_only=True)
class Demo:
    """demo: the dataset that the project makes itself."""

    seed: int = setting(7, "Seed of the generator; the same seed makes the same files.", minimum=0)
    train: int = setting(480, "Training posts.", minimum=16)
    valid: int = setting(120, "Development posts.", minimum=8)
    test: int = setting(240, "Test posts.", minimum=8)
    hidden: int = setting(64, "Width of the encoder made for the demo.", minimum=16, multipleOf=16)
    layers: int = setting(1, "Layers of that encoder.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class Posts:
    """posts: annotated text -> posts.parquet."""

    format: str = setting("umt", "Layout of the files.", enum=FORMATS)
    files: dict[str, str] = setting(
        {},
        "Split (train, dev, test) -> path, http(s) URL, or member of an archive as 'archive.zip::member'.",
        propertyNames={"enum": ["train", "dev", "test"]},
    )
    sha256: dict[str, str] = setting(
        {},
        "Split -> SHA-256 of the file, or of its archive; required for URLs, checked where given.",
        propertyNames={"enum": ["train", "dev", "test"]},
        additionalProperties={"type": "string", "pattern": "^[0-9a-f]{64}$"},
    )
    rename: dict[str, str] = setting({}, "Entity type in the files -> type used here, for example MISC: OTHER.")
    allow_private: bool = setting(False, "Allow URLs at loopback and private addresses, such as a mirror of one's own.")


@dataclass(frozen=True, kw_only=True)
class Download:
    """download: images of the posts -> images.parquet and content-addressed files."""

    source: str = setting(
        "urls", "Where images come from; 'none' for text-only data.", enum=["urls", "folder", "archive", "none"]
    )
    url: str | None = setting(
        None, "URL of an image, with {image_id}; used where the data names no URL. A mirror is set here."
    )
    folder: str | None = setting(None, "Folder of images named by image id, with or without an extension.")
    archive: str | None = setting(None, "zip or tar file of images named by image id; folders inside are ignored.")
    connections: int = setting(16, "Requests in flight at a time.", minimum=1, maximum=512)
    per_host: int = setting(8, "Requests in flight to one host.", minimum=1, maximum=512)
    connect_timeout: float = setting(10.0, "Seconds to connect.", exclusiveMinimum=0)
    read_timeout: float = setting(15.0, "Seconds without a byte before a request is given up.", exclusiveMinimum=0)
    total_timeout: float = setting(
        120.0, "Seconds for one image: all its requests, redirects and waits between them.", exclusiveMinimum=0
    )
    max_bytes: int = setting(33_554_432, "Largest image file in bytes.", minimum=1)
    max_pixels: int = setting(89_478_485, "Largest image in pixels, checked before decoding.", minimum=1)
    attempts: int = setting(3, "Requests per image, for errors worth retrying.", minimum=1, maximum=20)
    backoff: float = setting(1.0, "Seconds before the second attempt; doubled each time, with jitter.", minimum=0)
    give_up_after: int = setting(
        24,
        "Stop when the first N images, but for those that failed in an earlier run, reach no server; 0 never stops.",
        minimum=0,
    )
    allow_networks: list[str] = setting(
        [], "Addresses and networks that may be asked although they are not public, such as 127.0.0.1 or 10.1.0.0/16."
    )
    honour_robots: bool = setting(
        True, "Refuse images sent with X-Robots-Tag: noai, noimageai, noindex, noimageindex or none."
    )
    user_agent: str = setting(
        "ita-ner (research; image-text alignment)",
        "User-Agent header; its first word is our name.",
        pattern="^[!-~][ -~]*$",
    )
    retry_failed: bool = setting(
        False, "Ask again for images that were missing or refused in an earlier run (failed ones always are)."
    )


DEVICE = ["auto", "cpu", "cuda"]
PRECISION = ["auto", "fp32", "bf16"]


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
    """ocr: images -> ocr/{reader}.parquet.

    Entries of ``readers`` override these.
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

    kinds: list[str] = setting([], "What is appended, in order: la, ga, oca, or a name of 'texts'.", uniqueItems=True)
    detector: str = setting("vinvl", "Entry of 'detectors' that la reads.")
    captioner: str = setting("vinvl", "Entry of 'captioners' that ga reads.")
    reader: str = setting("tesseract", "Entry of 'readers' that oca reads.")
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


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Entry of encoders: a pretrained transformer, with its own training settings under ``train``."""

    name: str = setting("", "Name in tables.")
    model: str = setting(
        "", "Hub id, local folder (starting with ./, ../, / or results/), or 'package:NAME/folder' of an installed one."
    )
    revision: str | None = setting(None, "Commit, tag or branch on the hub; pin it for published work.")
    local_files_only: bool = setting(False, "Never ask the hub.")
    pretrained: bool = setting(True, "Load the weights; false starts from random ones drawn from the seed.")
    sha256: str | None = setting(None, "SHA-256 of model.safetensors, checked for local folders.")


@dataclass(frozen=True, kw_only=True)
class System:
    """Entry of systems: one row of a table."""

    name: str = setting("", "Name in tables; {encoder} is replaced by the encoder's.")
    context: str = setting("none", "Entry of 'contexts'.")
    regions: str | None = setting(
        None, "Entry of 'detectors' whose region features the view it reads beside the text (paper: BERT-CRF_ImgFeat)."
    )
    views: list[str] = setting(
        ["t"],
        "Views trained on: t (text), it (text and image text, or image regions).",
        items={"enum": ["t", "it"]},
        minItems=1,
        uniqueItems=True,
    )
    alignment: str = setting(
        "none",
        "Cross-view alignment: posterior (per word, Eq. 5 of the paper) or structural (whole tag sequences).",
        enum=["none", "posterior", "structural"],
    )


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Entry of losses: weights of the terms of the training loss."""

    text: float = setting(1.0, "Weight of the negative log-likelihood on the text view.", minimum=0)
    image_text: float = setting(1.0, "Weight of the negative log-likelihood on the text+image view.", minimum=0)
    alignment: float = setting(1.0, "Weight of cross-view alignment.", minimum=0)
    temperature: float = setting(
        1.0,
        "Temperature of the marginals in cross-view alignment; the loss is scaled by its square.",
        exclusiveMinimum=0,
    )


@dataclass(frozen=True, kw_only=True)
class Train:
    """train: posts and context -> runs/{encoder}/{system}/seed{seed}/.

    ``encoders.*.train`` overrides these.
    """

    loss: str = setting("paper", "Entry of 'losses'.")
    epochs: int = setting(10, "Passes over the training posts (paper: 10).", minimum=1)
    schedule: str = setting(
        "paired",
        "paired: a post is read once in all its views; official: each view is a sample of its own (official code).",
        enum=["paired", "official"],
    )
    batch_size: int = setting(
        16, "Sentences per step; a post in both views counts as two (paper: BERT 16, XLM-R 4).", minimum=1
    )
    accumulation: int = setting(1, "Steps whose gradients are added before an update.", minimum=1)
    learning_rate: float = setting(
        5.0e-5, "Peak rate of encoder and linear layer (official code: one rate for both).", exclusiveMinimum=0
    )
    crf_learning_rate: float = setting(0.05, "Peak rate of the CRF's transitions.", exclusiveMinimum=0)
    weight_decay: float = setting(0.0, "AdamW weight decay (official code: 0).", minimum=0)
    epsilon: float = setting(1.0e-6, "AdamW epsilon (official code: 1e-6).", exclusiveMinimum=0)
    warmup: float = setting(0.0, "Share of steps with rising rate before the linear decay.", minimum=0, maximum=1)
    clip: float = setting(5.0, "Largest norm of all gradients (official code: 5).", exclusiveMinimum=0)
    word_dropout: float = setting(
        0.1, "Share of word vectors set to zero in training (official code: 0.1).", minimum=0, exclusiveMaximum=1
    )
    constrained: bool = setting(
        False, "Only valid BIOES sequences have a probability, in training and tagging (official code: no)."
    )
    max_length: int = setting(
        512, "Longest input in word pieces, specials included; also bounded by the encoder.", minimum=8
    )
    device: str = setting("auto", "Where training runs.", enum=DEVICE)
    precision: str = setting("auto", "Arithmetic of the encoder; the CRF is always fp32.", enum=PRECISION)
    padding: str = setting(
        "auto",
        "What is padded: none (variable-length attention), attention, or all; auto is none on a GPU, else attention.",
        enum=["auto", "none", "attention", "all"],
    )
    max_pieces: int = setting(
        0,
        "Most word pieces of one pass (0: 1024 on a CPU, 16384 on a GPU); a larger step is read in several, "
        "to the same update.",
        minimum=0,
    )
    prune_vocabulary: bool = setting(
        True, "Train only the embeddings of pieces that occur; the same weights, with less memory (no weight decay)."
    )
    compile: bool = setting(False, "Compile the encoder (torch.compile); worth it on long runs on a GPU.")
    threads: int = setting(
        1,
        "CPU threads of one job, at most one per core: few for a small encoder, whose jobs run side by side.",
        minimum=1,
    )


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """evaluate: model -> metrics.json, predictions.parquet."""

    splits: list[str] = setting(
        ["dev", "test"], "Splits that are tagged.", items={"enum": ["train", "dev", "test"]}, minItems=1
    )
    batch_size: int = setting(32, "Most posts per forward pass.", minimum=1)
    max_pieces: int = setting(16_384, "Most word pieces per forward pass.", minimum=1)
    device: str = setting("auto", "Where tagging runs.", enum=DEVICE)
    precision: str = setting("auto", "Arithmetic of the encoder.", enum=PRECISION)
    threads: int = setting(1, "CPU threads of one job.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class Table:
    """table: runs of a dataset -> {table}.csv, .md, .tex, .html.

    Entries of ``tables`` override these.
    """

    kind: str = setting(
        "scores",
        "scores: F1 of systems (Tables 1, 4); best: best seed beside other approaches (Table 2); types: precision, "
        "recall, F1 per type (Table 5); characters: text in images (Table 6); analysis: slices and calibration.",
        enum=["scores", "best", "types", "characters", "analysis"],
    )
    systems: list[str] = setting([], "Rows, in order: entries of 'systems'.", minItems=1, uniqueItems=True)
    encoders: list[str] = setting([], "Blocks, in order: entries of 'encoders'.", minItems=1, uniqueItems=True)
    baseline: str | None = setting("crf", "System that rows are compared with; its runs are read, a row or not.")
    random: list[str] = setting(
        ["ita-random"],
        "Systems with contexts of other posts; one is the control of each row that is like it in all but that.",
        uniqueItems=True,
    )
    reported: list[str] = setting([], "Further rows with the paper's values only, by their names in ita.reported.")
    readers: list[str] = setting(["tesseract"], "For characters: entries of 'readers'.", minItems=1, uniqueItems=True)
    reader: str = setting("tesseract", "For analysis: entry of 'readers' that tells which images hold text.")
    split: str = setting("test", "Split whose F1 is shown.", enum=["dev", "test"])
    digits: int = setting(2, "Decimals of F1 in percent.", minimum=0, maximum=6)
    level: float = setting(0.05, "Differences are marked below this p (paper: 0.05).", exclusiveMinimum=0, maximum=1)
    samples: int = setting(2000, "Resamples of the test posts, for bootstrap and randomisation.", minimum=100)
    seed: int = setting(1, "Seed of the resampling.", minimum=0)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """figure: runs of a dataset -> {figure}.svg, .pdf, .csv.

    Entries of ``figures`` override these.
    """

    kind: str = setting(
        "curves",
        "curves: dev F1 after each epoch; captions: F1 over the number of captions (Fig. 2); distance: between the "
        "representations of the two views (Fig. 3).",
        enum=["curves", "captions", "distance"],
    )
    systems: list[str] = setting([], "Entries of 'systems', in order; none: those of the section 'table'.")
    encoders: list[str] = setting([], "Entries of 'encoders', in order; none: those of the section 'table'.")
    split: str = setting("test", "Split of captions and distance.", enum=["dev", "test"])
    width: float = setting(7.0, "Width in inches.", exclusiveMinimum=0)
    height: float = setting(2.6, "Height of one row of panels in inches.", exclusiveMinimum=0)


@dataclass(frozen=True, kw_only=True)
class Cases:
    """cases: predictions of three systems -> cases.parquet, .md, .html."""

    text_only: str = setting("crf", "Entry of 'systems' that reads text; its view T is taken.")
    image_text: str = setting("ita-all", "Entry of 'systems' that reads image text; its view I+T is taken.")
    aligned: str = setting("ita-all-cva", "Entry of 'systems' with cross-view alignment; its view I+T is taken.")
    encoder: str = setting("bert", "Entry of 'encoders' of these runs.")
    split: str = setting("test", "Split whose posts are read.", enum=["dev", "test"])
    count: int = setting(20, "Most posts of each kind shown for reading; the Parquet file holds all.", minimum=0)
    thumbnail: int = setting(240, "Longest side of an image in the page in pixels; 0 leaves images out.", minimum=0)


@dataclass(frozen=True, kw_only=True)
class Paper:
    """paper: tables, figures and cases of a dataset -> one folder with a page that lists them."""

    tables: list[str] = setting(
        ["table1", "table2", "table4", "table5", "table6", "analysis"],
        "Entries of 'tables', in order.",
        uniqueItems=True,
    )
    figures: list[str] = setting(["figure2", "figure3", "curves"], "Entries of 'figures', in order.", uniqueItems=True)
    cases: bool = setting(True, "Posts where image text helped or misled, too.")


STAGES: dict[str, type] = {
    "demo": Demo,
    "posts": Posts,
    "download": Download,
    "detect": Detect,
    "caption": Caption,
    "ocr": Ocr,
    "gather": Gather,
    "context": Context,
    "train": Train,
    "evaluate": Evaluate,
    "table": Table,
    "figure": Figure,
    "cases": Cases,
    "paper": Paper,
}
"""Stages in the order of the data flow; each name is also that of a module, a rule file and a section of
config.yaml."""

NAMED: dict[str, tuple[type, str | None]] = {
    "detectors": (Detect, "detect"),
    "captioners": (Caption, "caption"),
    "readers": (Ocr, "ocr"),
    "texts": (Text, None),
    "contexts": (Context, "context"),
    "encoders": (Encoder, None),
    "systems": (System, None),
    "losses": (Loss, None),
    "tables": (Table, "table"),
    "figures": (Figure, "figure"),
}
"""Sections of named entries: their dataclass, and the stage whose settings an entry overrides (if any)."""
