"""The demo's encoder: a tokenizer that knows all words but the names, and a configuration that loads offline."""

from __future__ import annotations

from pathlib import Path

import pytest

from ita.config import Demo
from ita.demo import encoder, ground_truth, pictures
from ita.stages import demo
from tests.support.demo import SMALL, generate


def test_tokenizer_and_encoder_load_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    demo.write_encoder(Demo(), tmp_path)
    posts = generate(Demo(**SMALL))
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    scenes = [pictures.scene_of(post, Demo().seed) for post in posts]
    captions = [
        caption.split()
        for scene in scenes
        for phrasings in ground_truth.reference_captions(scene)
        for caption in phrasings
    ]
    for words in (*(list(post.tokens) for post in posts), *captions):
        subwords = tokenizer(words, is_split_into_words=True)
        assert tokenizer.unk_token_id not in subwords["input_ids"], words
    names = {word for post in posts for word, tag in zip(post.tokens, post.tags, strict=True) if tag != "O"}
    assert all(len(tokenizer.tokenize(name)) == len(name) for name in names), "a name is in the vocabulary"
    assert all(len(tokenizer.tokenize(word)) == 1 for caption in captions for word in caption)

    config = transformers.AutoConfig.from_pretrained(str(tmp_path))
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (64, 1, 4)
    assert config.vocab_size == len(tokenizer)
    model = transformers.AutoModel.from_config(config).eval()
    batch = tokenizer([list(posts[0].tokens)], is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        assert model(**batch).last_hidden_state.shape == (1, batch["input_ids"].shape[1], 64)


def test_heads_divide_every_hidden_size_allowed() -> None:
    for hidden in range(8, 132, 4):
        heads = encoder.bert_config(100, hidden, 1)["num_attention_heads"]
        assert hidden % heads == 0
        assert hidden % 16 or heads == hidden // 16


def test_vocabulary_has_each_subword_once() -> None:
    subwords = encoder.vocabulary(["Sun", "a", "sun"], ["😂", "😂"])
    assert subwords[:5] == list(encoder.SPECIAL_TOKENS)
    assert len(set(subwords)) == len(subwords)
    assert {"sun", "a", "##a", "😂", "!"} <= set(subwords)
    assert "Sun" not in subwords
