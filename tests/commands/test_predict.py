"""Tagging new posts."""

import json

from ita.commands import predict
from tests.support.runs import trained


def test_predict_reads_text_tokens_and_context(corpus, tiny_encoder, tmp_path, capsys):
    run = trained(corpus, tmp_path / "run", tiny_encoder, {"views": ["it"]}, epochs=30)
    lines = [
        "aa xb cc",
        '{"tokens": ["xa", "b"], "context": ["man"]}',
        "{oops",
        '{"tokens": []}',
        '{"text": "b xc", "context": "house tree"}',
    ]
    (tmp_path / "posts.txt").write_text("\n".join(lines) + "\n\n")
    capsys.readouterr()
    assert predict.main([str(run), str(tmp_path / "posts.txt")]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(answers) == 5
    assert "expected a JSON object" in answers[2]["error"]
    assert "at least one word" in answers[3]["error"]
    assert [answers[i]["view"] for i in (0, 1, 4)] == ["t", "it", "it"]
    assert answers[1]["spans"][0]["type"] == "PER"
    assert answers[1]["spans"][0]["words"] == ["xa"]
    assert (answers[4]["spans"][0]["type"], answers[4]["spans"][0]["from"], answers[4]["spans"][0]["to"]) == (
        "LOC",
        2,
        4,
    )
