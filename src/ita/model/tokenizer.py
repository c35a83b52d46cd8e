"""Tokenizers: words -> ids of subwords.

A BERT tokenizer is read from its tokenizer.json by the tokenizers library alone (see ``ita.model`` on start-up). Any
other is loaded by transformers.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from tokenizers import Tokenizer as FastTokenizer

from ita.errors import UserError

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


class Tokenizer(Protocol):
    """What views and model folders need of a tokenizer."""

    cls_id: int | None
    """Starts every input: the cls token, else the bos token; None where there is neither (T5)."""
    sep_id: int
    """Ends every input and separates contexts: the eos token, else the sep token."""
    max_length: int
    """Longest input in subwords."""

    def subwords(self, words: Sequence[str]) -> list[list[int]]:
        """Ids of each word's subwords, as after a space; none for a word that the tokenizer drops."""

    def save(self, folder: Path) -> None:
        """Writes the tokenizer's files."""


class JsonTokenizer:
    """A BERT tokenizer from a folder with tokenizer.json and tokenizer_config.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tokenizer = FastTokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        self.cls_id: int | None = self.special_id(config.get("cls_token"), "[CLS]")
        self.sep_id = self.special_id(config.get("sep_token"), "[SEP]")
        self.max_length = int(config.get("model_max_length", 512))

    def special_id(self, token: Any, default: str) -> int:
        """Id of a special token, which is written as text or as an object with the text in it."""
        text = token["content"] if isinstance(token, dict) else token or default
        number = self.tokenizer.token_to_id(text)
        if number is None:
            raise UserError(f"{self.folder}: the tokenizer has no token {text!r}")
        return number

    def subwords(self, words: Sequence[str]) -> list[list[int]]:
        """See :class:`Tokenizer`."""
        batch = [[word] for word in words]
        encodings = self.tokenizer.encode_batch_fast(batch, is_pretokenized=True, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def save(self, folder: Path) -> None:
        """See :class:`Tokenizer`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            if (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, folder / name)


class AutoTokenizer:
    """A tokenizer of transformers.

    Raises:
        UserError: for one without a token that ends a text.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.cls_id = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
        self.sep_id = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
        if self.sep_id is None:
            raise UserError(
                f"{tokenizer.name_or_path}: the tokenizer has neither an eos nor a sep token, which ends a post and "
                "separates it from its context; name one in its tokenizer_config.json"
            )
        self.max_length = tokenizer.model_max_length

    def subwords(self, words: Sequence[str]) -> list[list[int]]:
        """See :class:`Tokenizer`."""
        batch = [[word] for word in words]
        return self.tokenizer(batch, is_split_into_words=True, add_special_tokens=False).input_ids

    def save(self, folder: Path) -> None:
        """See :class:`Tokenizer`."""
        self.tokenizer.save_pretrained(folder)


def is_bert_tokenizer(folder: Path, model_type: str) -> bool:
    """Whether a folder's tokenizer is one that :class:`JsonTokenizer` reads as transformers would."""
    try:
        tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    normalizer = tokenizer.get("normalizer") or {}
    return (
        model_type == "bert"
        and (tokenizer.get("model") or {}).get("type") == "WordPiece"
        and normalizer.get("type") == "BertNormalizer"
        # transformers lets the configuration overrule the file.
        and config.get("do_lower_case", normalizer.get("lowercase")) == normalizer.get("lowercase")
        and config.get("strip_accents", normalizer.get("strip_accents")) == normalizer.get("strip_accents")
        and config.get("eos_token") is None
    )
