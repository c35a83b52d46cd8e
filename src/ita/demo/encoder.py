"""A small BERT for the demo: its shape and its tokenizer, without weights; training starts from random ones.

The vocabulary holds the common words and single characters. Names are not in it and fall into characters, so that a
name never seen in training is still known by its parts.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Any

POSITIONS = 128
HEAD = 16
"""Width of one attention head."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SYMBOLS = "".join(sorted({*string.punctuation, *"©®°£€–—‘’“”•…"}))
"""Beyond letters and digits: what posts hold and what readers of characters like to see."""


def vocabulary(words: Iterable[str], characters: Iterable[str]) -> list[str]:
    """Word pieces in the order of their numbers.

    Args:
        words: common words.
        characters: single characters besides ASCII, such as emoji.
    """
    letters = [*string.ascii_lowercase, *string.digits]
    singles = [*letters, *SYMBOLS, *sorted(set(characters))]
    pieces = [*SPECIAL, *singles, *(f"##{letter}" for letter in letters), *sorted({word.lower() for word in words})]
    return list(dict.fromkeys(pieces))


def write(folder: Path, pieces: list[str], hidden: int, layers: int) -> None:
    """Writes config.json and the files of the tokenizer.

    Args:
        folder: where; made if it does not exist.
        pieces: the vocabulary.
        hidden: width.
        layers: number of layers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer(pieces), encoding="utf-8")
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    about = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "model_max_length": POSITIONS,
        **{f"{piece[1:-1].lower()}_token": piece for piece in SPECIAL},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    config = shape(len(pieces), hidden, layers)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def tokenizer(pieces: list[str]) -> str:
    """BERT's lower-case tokenizer over a vocabulary, as tokenizer.json."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    numbers = {piece: number for number, piece in enumerate(pieces)}
    made = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.add_special_tokens(list(SPECIAL))
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(piece, numbers[piece]) for piece in ("[CLS]", "[SEP]")],
    )
    return made.to_str(pretty=True)


def shape(size: int, hidden: int, layers: int) -> dict[str, Any]:
    """The configuration of the model, as config.json holds it."""
    most = max(1, hidden // HEAD)
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": size,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        # A width that is no multiple of 16 still needs heads that divide it.
        "num_attention_heads": max(heads for heads in range(1, most + 1) if hidden % heads == 0),
        "intermediate_size": 4 * hidden,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.0,  # with dropout, attention on a CPU takes the slow path
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }
