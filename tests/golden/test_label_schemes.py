"""Label schemes and the scorer for them against UMT's official reader, converter and evaluator."""

import json

import pytest

from ita.data.label_schemes import upstream_chunks, upstream_scores, word_tags, x_subword_labels

pytestmark = pytest.mark.golden


@pytest.fixture
def facts(golden):
    if not (golden / "umt" / "golden.json").is_file():
        pytest.skip("no reference outputs of UMT in this set")
    return json.loads((golden / "umt" / "golden.json").read_text())


def test_labels_of_subwords(facts):
    for post in facts["label_scheme"]:
        tags, counts = post["word_tags"], post["subtokens_per_word"]
        labels = x_subword_labels(tags, counts, post["max_seq_length"])
        assert labels == post["with_pad_labels"]
        boundaries = [tag.partition("-")[0] for tag in tags]
        assert x_subword_labels(boundaries, counts, post["max_seq_length"]) == post["aux_labels"]
        first = post["first_subtoken_positions"]
        assert word_tags(labels, first) == post["without_pad_labels"]


def test_chunks_and_f1_with_extra_labels(facts):
    assert {case["kind"] for case in facts["scoring"]} >= {"exact", "junk"}
    for case in facts["scoring"]:
        for name in ("gold", "pred"):
            chunks = [[list(chunk) for chunk in upstream_chunks(tags)] for tags in case[name]]
            assert chunks == case[f"{name}_chunks"]
        assert upstream_scores(case["gold"], case["pred"])["f1"] == pytest.approx(100 * case["f1"])
