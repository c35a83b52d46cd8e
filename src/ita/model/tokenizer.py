"""Tokenizers: words -> numbers of word pieces.

A BERT tokenizer is read from its tokenizer.json by the tokenizers library alone; importing transformers for it would
take as long as tokenising a data set. Any other is loaded by transformers.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from tokenizers import Tokenizer as Engine

from ita.errors import UserError

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


class Tokenizer(Protocol):
    """What views and model folders need of a tokenizer."""

    cls: int
    """Starts every input."""
    sep: int
    """Ends every input and separates contexts: the eos piece, else the sep piece."""
    longest: int
    """Longest input in pieces."""

    def pieces(self, words: Sequence[str]) -> list[list[int]]:
        """Pieces of each word by itself, as it would be split after a space; none for a word the encoder cannot see."""

    def save(self, folder: Path) -> None:
        """Writes the tokenizer's files."""


class JsonTokenizer:
    """A BERT tokenizer from a folder with tokenizer.json and tokenizer_config.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = Engine.from_file(str(folder / "tokenizer.json"))
        self.engine.no_padding()
        self.engine.no_truncation()
        about = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        self.cls = self.number(about.get("cls_token"), "[CLS]")
        self.sep = self.number(about.get("sep_token"), "[SEP]")
        self.longest = int(about.get("model_max_length", 512))

    def number(self, token: Any, default: str) -> int:
        """Number of a special piece, which is written as text or as an object with the text in it."""
        text = token["content"] if isinstance(token, dict) else token or default
        number = self.engine.token_to_id(text)
        if number is None:
            raise UserError(f"{self.folder}: the tokenizer has no piece {text!r}")
        return number

    def pieces(self, words: Sequence[str]) -> list[list[int]]:
        """See :class:`Tokenizer`."""
        batch = [[word] for word in words]
        return [one.ids for one in self.engine.encode_batch_fast(batch, is_pretokenized=True, add_special_tokens=False)]

    def save(self, folder: Path) -> None:
        """See :class:`Tokenizer`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            if (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, folder / name)


class AutoTokenizer:
    """A tokenizer of transformers."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.cls = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
        self.sep = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
        self.longest = tokenizer.model_max_length

    def pieces(self, words: Sequence[str]) -> list[list[int]]:
        """See :class:`Tokenizer`."""
        batch = [[word] for word in words]
        return self.tokenizer(batch, is_split_into_words=True, add_special_tokens=False).input_ids

    def save(self, folder: Path) -> None:
        """See :class:`Tokenizer`."""
        self.tokenizer.save_pretrained(folder)


def plain(folder: Path, model_type: str) -> bool:
    """Whether a folder's tokenizer is one that :class:`JsonTokenizer` reads as transformers would."""
    try:
        file = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        about = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    normalizer = file.get("normalizer") or {}
    return (
        model_type == "bert"
        and (file.get("model") or {}).get("type") == "WordPiece"
        and normalizer.get("type") == "BertNormalizer"
        # transformers lets the configuration overrule the file.
        and about.get("do_lower_case", normalizer.get("lowercase")) == normalizer.get("lowercase")
        and about.get("strip_accents", normalizer.get("strip_accents")) == normalizer.get("strip_accents")
        and about.get("eos_token") is None
    )
