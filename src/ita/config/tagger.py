"""Sections of training and evaluation, and the entries that they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationInfo, model_validator
from pydantic.dataclasses import dataclass

from ita.config.fields import SECTION, UNIQUE, UNIQUE_ITEMS, Device, Flag, Number, Precision, Split, Whole, is_whole
from ita.config.sections import RUN_ENCODER
from ita.errors import ConfigError

View = Literal["t", "it"]
FUSIONS = tuple(sorted(file.stem for file in (Path(__file__).parents[1] / "model" / "fusion").glob("[a-z]*.py")))
"""Modules of ``ita.model.fusion``: their names say what there is, without importing them."""
if TYPE_CHECKING:
    FusionName = str
else:
    FusionName = Literal[("tokens", *FUSIONS)]
SET_BY_ENCODERS = ("batch_size", "learning_rate", "crf_learning_rate", "threads")
"""Settings of ``train`` that may be null in config.yaml: those of the encoder, under its ``defaults``."""
NULL_INTEGER: Any = {"type": ["integer", "null"]}
NULL_NUMBER: Any = {"type": ["number", "null"]}
"""JSON Schema of these."""


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Encoder:
    """Entry of encoders: a pretrained transformer."""

    name: Annotated[str, Field(description="Name in tables.")] = ""
    model: Annotated[
        str,
        Field(
            description="Hub id, local folder (starting with ./, ../, / or results/), or 'package:NAME/folder' of an "
            "installed one."
        ),
    ] = ""
    revision: Annotated[
        str | None, Field(description="Commit, tag or branch on the hub; pin it for published work.")
    ] = None
    local_files_only: Annotated[Flag, Field(description="Never ask the hub.")] = False
    pretrained: Annotated[
        Flag, Field(description="Load the weights; false starts from random ones drawn from the seed.")
    ] = True
    sha256: Annotated[str | None, Field(description="SHA-256 of model.safetensors, checked for local folders.")] = None


@dataclass(frozen=True, kw_only=True, config=SECTION)
class System:
    """Entry of systems: one row of a table."""

    name: Annotated[str, Field(description="Name in tables; {encoder} is replaced by the encoder's.")] = ""
    note: Annotated[str, Field(description="A sentence about this system that its tables print.")] = ""
    context: Annotated[str, Field(description="Entry of 'contexts'.")] = "none"
    regions: Annotated[
        str | None,
        Field(
            description="Entry of 'detectors' whose region features the view I+T reads beside the text (paper: "
            "BERT-CRF_ImgFeat)."
        ),
    ] = None
    encoders: Annotated[
        list[str],
        Field(
            min_length=1,
            description="Entries of 'encoders' side by side, {encoder} being that of the run; their vectors of a word "
            "are joined. Of several the last one alone reads the visual context and regions. Defaults of 'train' are "
            "those of the first.",
        ),
    ] = field(default_factory=lambda: [RUN_ENCODER])
    views: Annotated[
        list[View],
        UNIQUE,
        Field(
            min_length=1,
            json_schema_extra=UNIQUE_ITEMS,
            description="Views trained on: t (text), it (text and image text, or image regions).",
        ),
    ] = field(default_factory=lambda: ["t"])  # type: ignore[arg-type,return-value,unused-ignore]
    alignment: Annotated[
        Literal["none", "posterior", "structural"],
        Field(
            description="Cross-view alignment: posterior (per word, Eq. 5 of the paper) or structural (of whole tag "
            "sequences)."
        ),
    ] = "none"

    fusion: Annotated[
        FusionName,
        Field(
            description="How regions meet the text: tokens (further inputs of the encoder), or a fusion layer between "
            "encoder and CRF: acn (Zhang et al. 2018), umt (Yu et al. 2020), umgf (Zhang et al. 2021)."
        ),
    ] = "tokens"
    region_boxes: Annotated[
        Flag, Field(description="Append the six numbers of its box to the features of each region (VinVL).")
    ] = False
    max_regions: Annotated[
        Whole | None, Field(ge=1, description="Most regions of an image, the most confident ones; null: all.")
    ] = None
    region_embedding: Annotated[
        Literal["bert", "normalised", "plain"],
        Field(
            description="Regions as inputs: bert (positions continue after the text, token type 1, the text's "
            "normalisation), normalised (no position or type, a LayerNorm of their own: VinVL) or plain (without it)."
        ),
    ] = "bert"
    relation_gate: Annotated[
        Flag,
        Field(
            description="Scale regions by the probability that image and text are related (RpBERT, Sun et al. 2021)."
        ),
    ] = False
    relation_data: Annotated[
        str | None,
        Field(
            description="Entry of 'datasets' with posts.format relation, which trains the relation gate before each "
            "epoch; null: NER alone trains it."
        ),
    ] = None
    label_scheme: Annotated[
        Literal["first_subword", "x_subword"],
        Field(
            description="What the CRF tags: words by their first subwords, or all subwords, further ones as X (UMT, "
            "UMGF; paper: appendix A.5)."
        ),
    ] = "first_subword"
    tag_format: Annotated[
        Literal["bioes", "iob2"], Field(description="Tags inside the model (UMT, UMGF, RpBERT: iob2).")
    ] = "bioes"
    pooling: Annotated[
        Literal["first", "mean"],
        Field(description="What represents a word: its first subword, or the mean of its subwords (RpBERT)."),
    ] = "first"
    context_segment: Annotated[
        Literal["first", "second"],
        Field(description="Token type of the visual context: that of the post, or the second (VinVL's object tags)."),
    ] = "first"
    rnn: Annotated[
        Whole,
        Field(ge=0, description="Units per direction of a two-layer BiLSTM over words (RpBERT --rnn: 256); 0: none."),
    ] = 0

    @model_validator(mode="after")
    def _views_fit(self, info: ValidationInfo) -> System:
        if not is_whole(info.context):
            return self
        if self.label_scheme == "x_subword" and self.pooling == "mean":
            raise ConfigError("label_scheme: x_subword tags subwords, so words have no pooling: set pooling to first")
        if self.alignment != "none" and self.views != ["t", "it"]:
            raise ConfigError(f"cross-view alignment needs both views: set views to [t, it], found {self.views}")
        if self.relation_data and not (self.relation_gate and self.regions):
            raise ConfigError("relation_data train a relation gate over image regions: set relation_gate and regions")
        if self.regions and "it" not in self.views:
            raise ConfigError(f"regions are read in the view it: add it to the system's views, found {self.views}")
        if len(self.encoders) > 1 and (
            self.fusion != "tokens" or self.label_scheme != "first_subword" or self.relation_gate
        ):
            raise ConfigError(
                "several encoders are joined at words: set fusion to tokens, label_scheme to first_subword and "
                "relation_gate to false, or name one encoder"
            )
        if self.region_boxes and not self.regions:
            raise ConfigError("region_boxes: true needs regions: set regions to an entry of 'detectors'")
        if self.region_boxes and self.relation_data:
            raise ConfigError("relation_data have features without boxes: set region_boxes to false, or leave them out")
        return self


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Loss:
    """Entry of losses: weights of the terms of the training loss."""

    text: Annotated[Number, Field(ge=0, description="Weight of the negative log-likelihood of the view T.")] = 1.0
    image_text: Annotated[Number, Field(ge=0, description="Weight of the negative log-likelihood of the view I+T.")] = (
        1.0
    )
    alignment: Annotated[Number, Field(ge=0, description="Weight of cross-view alignment.")] = 1.0
    boundary: Annotated[
        Number, Field(ge=0, description="Weight of the boundary task of fusion: umt (upstream's 0.5).")
    ] = 0.5
    relation: Annotated[
        Number, Field(gt=0, description="Weight of the relation task of systems.*.relation_data (upstream's 0.05).")
    ] = 0.05
    temperature: Annotated[
        Number,
        Field(gt=0, description="Temperature of cross-view alignment; its loss is scaled by the square."),
    ] = 1.0


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Train:
    """train: posts, context, region features -> runs/{encoder}/{system}/seed{seed}/.

    ``encoders.*.defaults`` lies below these, ``systems.*.train`` overrides them.
    """

    recipe: Annotated[
        Literal["ours", "upstream"],
        Field(
            description="upstream: settings under 'systems.*.upstream', those of the published code, override these; "
            "systems without such keep ours."
        ),
    ] = "ours"
    loss: Annotated[str, Field(description="Entry of 'losses'.")] = "paper"
    epochs: Annotated[Whole, Field(ge=1, description="Passes over the training posts (paper: 10).")] = 10
    schedule: Annotated[
        Literal["paired", "official"],
        Field(
            description="paired: a post is read once in all its views; official: each view is an example of its own "
            "(official code)."
        ),
    ] = "paired"
    batch_size: Annotated[
        Whole,
        Field(
            ge=1,
            json_schema_extra=NULL_INTEGER,
            description="Sentences per step; a post in both views counts as two (paper: BERT 16, XLM-R 4).",
        ),
    ] = 16
    sentences_per_post: Annotated[
        Whole | None,
        Field(
            ge=1,
            description="Sentences that a post counts as in a step; null: its views, as in the paper. 2 gives a system "
            "with one view as many updates as one with two.",
        ),
    ] = None
    gradient_accumulation: Annotated[
        Whole, Field(ge=1, description="Steps whose gradients are added before an update.")
    ] = 1
    optimizer: Annotated[
        Literal["adamw", "adam", "bert_adam"],
        Field(
            description="adamw (official code); adam: weight decay as part of the gradient (UMGF, RpBERT); bert_adam: "
            "no bias correction, each tensor's gradient clipped by itself, no decay of biases and LayerNorm (UMT)."
        ),
    ] = "adamw"
    learning_rate: Annotated[
        Number,
        Field(gt=0, json_schema_extra=NULL_NUMBER, description="Peak rate of the encoder."),
    ] = 5.0e-5
    head_learning_rate: Annotated[
        Number | None,
        Field(
            gt=0,
            description="Peak rate of what lies between encoder and CRF (linear layer, fusion, gate, BiLSTM, "
            "projection of regions); null: that of the encoder (official code).",
        ),
    ] = None
    crf_learning_rate: Annotated[
        Number, Field(gt=0, json_schema_extra=NULL_NUMBER, description="Peak rate of the CRF's transitions.")
    ] = 0.05
    lr_schedule: Annotated[
        Literal["linear", "bert_linear", "step", "constant"],
        Field(
            description="After the warm-up: linear decay to 0 (official code); bert_linear: counted from the first "
            "step, so the rate drops where the warm-up ends (UMT); step: times 0.8 after every second epoch (UMGF); "
            "constant (RpBERT)."
        ),
    ] = "linear"
    weight_decay: Annotated[Number, Field(ge=0, description="Weight decay (official code: 0).")] = 0.0
    epsilon: Annotated[Number, Field(gt=0, description="Epsilon of the optimizer (official code: 1e-6).")] = 1.0e-6
    warmup: Annotated[Number, Field(ge=0, le=1, description="Share of the steps with a rising rate.")] = 0.0
    clip_grad_norm: Annotated[
        Number,
        Field(
            ge=0,
            description="Largest norm of all gradients together (official code: 5), or of each tensor's with "
            "bert_adam; 0 clips none.",
        ),
    ] = 5.0
    word_dropout: Annotated[
        Number, Field(ge=0, lt=1, description="Share of word vectors set to zero in training (official code: 0.1).")
    ] = 0.1
    context_dropout: Annotated[
        Number,
        Field(
            ge=0,
            lt=1,
            description="Share of posts whose I+T view is read without its context in an epoch, so that the tagger "
            "does not come to rely on it.",
        ),
    ] = 0.0
    average_epochs: Annotated[
        Whole,
        Field(
            ge=1,
            description="1: the weights of the best epoch on dev are kept; more: the mean of the weights after so many "
            "last epochs.",
        ),
    ] = 1
    constrained: Annotated[
        Flag,
        Field(description="Transition constraints of BIOES in training and decoding (official code: no)."),
    ] = False
    max_length: Annotated[
        Whole,
        Field(ge=8, description="Longest input in subwords, special tokens included; the encoder bounds it, too."),
    ] = 512
    device: Annotated[Device, Field(description="Where training runs.")] = "auto"
    precision: Annotated[Precision, Field(description="Of the encoder; the CRF is always fp32.")] = "auto"
    padding: Annotated[
        Literal["auto", "none", "attention", "all"],
        Field(
            description="What is padded: none (variable-length attention), attention, or all; auto is none on a GPU, "
            "else attention."
        ),
    ] = "auto"
    max_subwords: Annotated[
        Whole,
        Field(
            ge=0,
            description="Most subwords of one forward pass (0: 1024 on a CPU, 16384 on a GPU); a larger step is split "
            "into micro-batches, to the same update.",
        ),
    ] = 0
    trim_vocabulary: Annotated[
        Flag,
        Field(description="Train only the embeddings of subwords that occur: same weights, less memory."),
    ] = True
    compile: Annotated[Flag, Field(description="Compile the encoder (torch.compile); for long runs on a GPU.")] = False
    threads: Annotated[
        Whole,
        Field(
            ge=1,
            json_schema_extra=NULL_INTEGER,
            description="CPU threads of one job, at most one per core: few for a small encoder, whose jobs run side by "
            "side.",
        ),
    ] = 1

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_set(cls, values: Any, info: ValidationInfo) -> Any:
        if is_whole(info.context) or not isinstance(values, Mapping):
            return values
        return {key: value for key, value in values.items() if value is not None or key not in SET_BY_ENCODERS}


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Evaluate:
    """evaluate: model, posts, context, region features -> metrics.json, predictions.parquet."""

    splits: Annotated[list[Split], Field(min_length=1, description="Splits that are tagged.")] = field(
        default_factory=lambda: ["dev", "test"]  # type: ignore[arg-type,return-value,unused-ignore]
    )
    batch_size: Annotated[Whole, Field(ge=1, description="Most posts per forward pass.")] = 32
    max_subwords: Annotated[Whole, Field(ge=1, description="Most subwords per forward pass.")] = 16_384
    device: Annotated[Device, Field(description="Where tagging runs.")] = "auto"
    precision: Annotated[Precision, Field(description="Of the encoder; the CRF is always fp32.")] = "auto"
    threads: Annotated[Whole, Field(ge=1, description="CPU threads of one job.")] = 1


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Tag:
    """tag: posts, context, model -> entities.parquet."""

    model: Annotated[
        str | None,
        Field(
            description="What tags: a run of this workflow (results/DATASET/runs/ENCODER/SYSTEM/seedN), which is "
            "trained if need be, the folder of another run, or a hub id."
        ),
    ] = None
    revision: Annotated[str | None, Field(description="Commit, tag or branch of a model on the hub.")] = None
    context: Annotated[
        str | None,
        Field(
            description="Entry of 'contexts' that is read; null: the one by the name that it had in training. To be "
            "set for a model on the hub, which planning does not know."
        ),
    ] = None
    view: Annotated[
        Literal["auto", "t"],
        Field(description="auto: what the model reads; t: the text alone, images are not looked at."),
    ] = "auto"
    differences: Annotated[
        Literal["refuse", "warn"],
        Field(description="Where image text is made by other settings here than in training."),
    ] = "refuse"
    batch_size: Annotated[Whole, Field(ge=1, description="Most posts per forward pass.")] = 32
    device: Annotated[Device, Field(description="Where tagging runs.")] = "auto"
    threads: Annotated[Whole, Field(ge=1, description="CPU threads of one job.")] = 1
