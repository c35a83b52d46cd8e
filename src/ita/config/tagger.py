"""Sections of training and evaluation, and the entries that they name."""

from __future__ import annotations

from dataclasses import dataclass

from ita.config.fields import DEVICE, PRECISION, setting


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
    gradient_accumulation: int = setting(1, "Steps whose gradients are added before an update.", minimum=1)
    learning_rate: float = setting(
        5.0e-5, "Peak rate of encoder and linear layer (official code: one rate for both).", exclusiveMinimum=0
    )
    crf_learning_rate: float = setting(0.05, "Peak rate of the CRF's transitions.", exclusiveMinimum=0)
    weight_decay: float = setting(0.0, "AdamW weight decay (official code: 0).", minimum=0)
    epsilon: float = setting(1.0e-6, "AdamW epsilon (official code: 1e-6).", exclusiveMinimum=0)
    warmup: float = setting(0.0, "Share of steps with rising rate before the linear decay.", minimum=0, maximum=1)
    clip_grad_norm: float = setting(5.0, "Largest norm of all gradients (official code: 5).", exclusiveMinimum=0)
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
    max_subwords: int = setting(
        0,
        "Most word pieces of one pass (0: 1024 on a CPU, 16384 on a GPU); a larger step is read in several, "
        "to the same update.",
        minimum=0,
    )
    trim_vocabulary: bool = setting(
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
    max_subwords: int = setting(16_384, "Most word pieces per forward pass.", minimum=1)
    device: str = setting("auto", "Where tagging runs.", enum=DEVICE)
    precision: str = setting("auto", "Arithmetic of the encoder.", enum=PRECISION)
    threads: int = setting(1, "CPU threads of one job.", minimum=1)
