"""BERT's uncased WordPiece tokenizer from a vocab.txt, and the text of its subwords."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from ita.errors import UserError

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CLEAN_UP = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" do not", " don't"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)
"""Replacements in decoded text, in this order, as ``clean_up_tokenization`` of BERT's tokenizer in transformers."""


class WordPieceTokenizer:
    """Text <-> ids of subwords.

    Args:
        file: a subword per line; its id is the number of the line.
        vocab_size: rows of the model's embedding table.

    Raises:
        UserError: when the file is missing or does not fit the model.
    """

    def __init__(self, file: Path, vocab_size: int) -> None:
        try:
            # Not splitlines: a subword can be one of the rarer characters that end a line for it.
            self.subwords = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        except (OSError, ValueError) as error:
            raise UserError(
                f"{file}: the model's vocabulary cannot be read ({error}); put the vocab.txt there that was published "
                "with the weights"
            ) from None
        ids = {subword: index for index, subword in enumerate(self.subwords)}
        missing = [token for token in SPECIAL_TOKENS if token not in ids]
        if missing or len(self.subwords) > vocab_size:
            reason = f"it has no {', '.join(missing)}" if missing else f"it has {len(self.subwords)} subwords"
            raise UserError(
                f"{file}: is not the vocabulary of this model, which knows {vocab_size} subwords: {reason}; put the "
                "vocab.txt there that was published with the weights"
            )
        self.special_ids = [ids[token] for token in SPECIAL_TOKENS]
        self.pad_id, _, self.cls_id, self.sep_id, self.mask_id = self.special_ids
        self.wordpiece = Tokenizer(models.WordPiece(vocab=ids, unk_token="[UNK]", max_input_chars_per_word=100))
        self.wordpiece.normalizer = normalizers.BertNormalizer(lowercase=True)
        self.wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    def encode(self, text: str, max_length: int) -> list[int]:
        """Ids of the subwords of a text and a final [SEP], truncated to ``max_length``; nothing for an empty text."""
        if not text or not max_length:
            return []
        return [*self.wordpiece.encode(text, add_special_tokens=False).ids[: max_length - 1], self.sep_id]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of subwords, without special tokens."""
        words = [self.subwords[i] for i in ids if i not in self.special_ids and i < len(self.subwords)]
        text = " ".join(words).replace(" ##", "").strip()
        for spaced, joined in CLEAN_UP:
            text = text.replace(spaced, joined)
        return text
