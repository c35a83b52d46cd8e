"""A risk leaves entities out by the scores of the dev posts, from a run folder and from a copy of it."""

import json
import random

import pytest

from ita import Tagger
from ita.errors import UserError
from ita.io import parquet
from ita.tagging.risk import calibration_scores, thresholds
from tests.support.runs import trained

POSTS = ["b xc", "aa xb", "xa", "c"]


def rows(count=40):
    """Dev and test posts in both views: an entity of each dev post is right, another is wrong."""
    draw = random.Random(0)
    for split in ("dev", "test"):
        for view in ("t", "it"):
            for number in range(count):
                spans = [
                    {"start": 0, "end": 1, "type": "PER", "posterior": 0.999},
                    {"start": 1, "end": 2, "type": "PER", "posterior": draw.uniform(0.1, 0.9)},
                ]
                post = {"post_id": f"{split}-{number}", "split": split, "view": view, "tokens": ["a", "b"]}
                yield {**post, "gold": ["B-PER", "O"], "predicted": ["B-PER", "B-PER"], "spans": spans}


@pytest.fixture(scope="module")
def run(corpus, tiny_encoder, tmp_path_factory):
    run = trained(corpus, tmp_path_factory.mktemp("runs") / "run", tiny_encoder, {"views": ["t"]}, epochs=1)
    parquet.write("predictions", rows(), run / "predictions.parquet")
    return run


def test_scores_are_those_of_the_wrong_entities_of_dev_posts(run):
    expected = {view: [] for view in ("t", "it")}
    for row in rows():
        if row["split"] == "dev":
            expected[row["view"]].append(pytest.approx(row["spans"][1]["posterior"]))
    assert calibration_scores(run) == expected
    limits = thresholds(run, 0.1)  # (40 + 1) (1 - 0.1) = 36.9
    assert limits["t"] == sorted(calibration_scores(run)["t"])[36] != limits["it"]


def test_a_tagger_leaves_out_what_is_not_above_the_threshold(run):
    everything = [post.entities for post in Tagger.from_pretrained(run).predict(POSTS)]
    scores = sorted(entity.score for entities in everything for entity in entities)
    tagger = Tagger.from_pretrained(run, risk=0.1)
    limit = scores[len(scores) // 2]
    tagger.thresholds = {"t": limit, "it": 2.0}
    kept = [post.entities for post in tagger.predict(POSTS)]
    assert kept == [[entity for entity in entities if entity.score > limit] for entities in everything]
    assert 0 < sum(map(len, kept)) < len(scores)


def test_a_copy_has_the_scores_and_no_texts(run, tmp_path):
    copy = Tagger.from_pretrained(run).save_pretrained(tmp_path / "copy")
    assert not (copy / "predictions.parquet").exists()
    assert thresholds(copy, 0.1) == thresholds(run, 0.1)
    again = Tagger.from_pretrained(copy).save_pretrained(tmp_path / "again")
    assert thresholds(again, 0.1) == thresholds(run, 0.1)
    assert Tagger.from_pretrained(again, risk=0.1).thresholds == thresholds(run, 0.1)


@pytest.mark.parametrize("content", ["{}", '{"views": {"t": [0.1]}}', '{"views": {"t": [0.1], "it": "x"}}', "oops"])
def test_a_broken_file_of_scores_is_told(tmp_path, content):
    (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(UserError, match="calibration.json"):
        thresholds(tmp_path, 0.1)


def test_what_a_risk_takes_is_told(run, tmp_path):
    with pytest.raises(UserError, match="evaluate the run with dev among evaluate.splits"):
        thresholds(tmp_path, 0.1)
    with pytest.raises(UserError, match="a risk of 0.001 takes 999 calibration posts, got 40"):
        thresholds(run, 0.001)
    with pytest.raises(UserError, match="expected a risk between 0 and 1, got 1.5"):
        Tagger.from_pretrained(run, risk=1.5)


def test_scores_are_numbers(run, tmp_path):
    copy = Tagger.from_pretrained(run).save_pretrained(tmp_path / "copy")
    stored = json.loads((copy / "calibration.json").read_text())
    assert stored["split"] == "dev" and [len(scores) for scores in stored["views"].values()] == [40, 40]
