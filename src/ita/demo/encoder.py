"""A small BERT for the demo: configuration and tokenizer without weights; training starts from random ones.

The vocabulary holds the common words and single characters. Names are not in it and become characters, so that a name
unseen in training still consists of known subwords.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MAX_POSITIONS = 128
HEAD_SIZE = 16
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SYMBOLS = "".join(sorted({*string.punctuation, *"©®°£€–—‘’“”•…"}))
"""Characters besides letters and digits that posts hold and OCR engines output."""


def vocabulary(words: Iterable[str], characters: Iterable[str], lowercase: bool = True) -> list[str]:
    """Subwords in the order of their ids.

    Args:
        words: common words.
        characters: single characters besides ASCII, such as emoji.
        lowercase: words are lower-cased; otherwise capital letters have subwords of their own.
    """
    letters = [*(string.ascii_lowercase if lowercase else string.ascii_letters), *string.digits]
    singles = [*letters, *SYMBOLS, *sorted(set(characters))]
    subwords = [
        *SPECIAL_TOKENS,
        *singles,
        *(f"##{letter}" for letter in letters),
        *sorted({word.lower() if lowercase else word for word in words}),
    ]
    return list(dict.fromkeys(subwords))


def write_encoder(folder: Path, subwords: list[str], hidden: int, layers: int, lowercase: bool = True) -> None:
    """Writes config.json and the files of the tokenizer.

    Args:
        folder: made if it does not exist.
        subwords: the vocabulary.
        hidden: hidden size.
        layers: number of layers.
        lowercase: its tokenizer lower-cases words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer_json(subwords, lowercase), encoding="utf-8")
    (folder / "vocab.txt").write_text("".join(f"{subword}\n" for subword in subwords), encoding="utf-8")
    tokenizer_config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": lowercase,
        "model_max_length": MAX_POSITIONS,
        **{f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config, indent=2) + "\n", encoding="utf-8")
    config = bert_config(len(subwords), hidden, layers)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def tokenizer_json(subwords: list[str], lowercase: bool) -> str:
    """BERT's tokenizer over a vocabulary, as tokenizer.json."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    ids = {subword: index for index, subword in enumerate(subwords)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer.to_str(pretty=True)


def bert_config(vocabulary_size: int, hidden: int, layers: int) -> dict[str, Any]:
    """The configuration of the model, as config.json holds it."""
    most_heads = max(1, hidden // HEAD_SIZE)
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": vocabulary_size,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        # A hidden size that is no multiple of 16 still needs heads that divide it.
        "num_attention_heads": max(heads for heads in range(1, most_heads + 1) if hidden % heads == 0),
        "intermediate_size": 4 * hidden,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.0,  # with dropout, attention on a CPU takes the slow path
        "max_position_embeddings": MAX_POSITIONS,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }
