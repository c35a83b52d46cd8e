"""The model card of a run folder."""

import json

import pytest
from huggingface_hub import ModelCard

from ita.reporting.escape import escape_markdown
from ita.reporting.model_card import model_card
from ita.stages import evaluate
from tests.support.hostile import TEXTS
from tests.support.runs import CVA, beside, trained


@pytest.fixture(scope="module")
def run(corpus, tiny_encoder, tmp_path_factory):
    """An evaluated run with its card."""
    from ita.cli import run_stage

    run = trained(corpus, tmp_path_factory.mktemp("card") / "run", tiny_encoder, CVA, epochs=20)
    settings = {"licence": "for tests alone"}
    files = {"model": run / "model.safetensors", "posts": corpus / "posts.parquet", "context": corpus / "ga.parquet"}
    files |= {"metrics": run / "metrics.json", "predictions": run / "predictions.parquet", "card": run / "README.md"}
    options = [str(word) for name, file in files.items() for word in (f"--{name}", file)]
    assert run_stage(evaluate, ["--settings", json.dumps(settings), *options, *beside(run)]) == 0
    return run


def test_the_hub_reads_all_scores(run):
    card = ModelCard.load(run / "README.md")
    metrics = json.loads((run / "metrics.json").read_text())
    found = {}
    for result in card.data.eval_results:
        assert (result.task_type, result.dataset_type) == ("token-classification", "corpus")
        assert result.dataset_revision == "made up"
        key = (result.dataset_split, result.metric_args["view"], result.metric_args["scorer"], result.metric_type)
        found[key] = result.metric_value
    expected = {
        (split, {"t": "T", "it": "I+T"}[view], scorer, score): round(scores[scorer][score], 2)
        for split, views in metrics["scores"].items()
        for view, scores in views.items()
        for scorer in ("default", "strict")
        for score in ("precision", "recall", "f1")
    }
    assert found == expected and len(found) == 24
    assert card.data.pipeline_tag == "token-classification" and card.data.library_name == "ita"
    assert "multimodal" in card.data.tags and "base_model" not in card.data.to_dict(), "a local folder is no hub id"


def test_it_says_what_a_reader_needs(run, corpus):
    text = (run / "README.md").read_text()
    posts = json.loads((run / "metrics.json").read_text())["inputs"]["posts"]
    for words in (
        "Data set: corpus",
        "Label version: made up",
        "Licence of the data: for tests alone",
        posts,
    ):
        assert words in text
    for words in (
        "Seed 1, 20 epochs",
        "types LOC, PER",
        "Tagger.from_pretrained",
        "alignment: posterior",
        "strict IOB2",
    ):
        assert words in text


def test_hub_ids_are_base_models_and_gaps_are_named(run):
    settings, metrics = (json.loads((run / f"{name}.json").read_text()) for name in ("settings", "metrics"))
    metrics["encoder"] |= {"model": "google-bert/bert-base-cased", "further_models": ["./local"]}
    metrics |= {"dataset": None, "label_version": None}
    text = model_card(settings, metrics)
    assert ModelCard(text).data.base_model == ["google-bert/bert-base-cased"]
    assert "Licence of the data: not stated" in text and "Label version: unknown" in text and "None" not in text


@pytest.mark.parametrize("text", TEXTS)
def test_words_of_the_data_are_no_markup(run, text):
    settings, metrics = (json.loads((run / f"{name}.json").read_text()) for name in ("settings", "metrics"))
    settings["tags"] = ["O", f"B-{text}"]
    metrics |= {"dataset": text, "label_version": text, "licence": text}
    metrics["system"]["name"] = text
    metrics["scores"]["test"]["t"]["default"]["types"][text] = {"f1": 1.0}
    metrics["encoder"]["model"] = text
    card = model_card(settings, metrics)
    assert ModelCard(card).data.eval_results[0].dataset_type == text
    body = card.split("---\n", 2)[2]
    for start in ("# ", "- Data set: ", "- Label version: ", "- Licence of the data: ", "- Encoder: "):
        lines = [line for line in body.splitlines() if line.startswith(start)]
        assert len(lines) == 1 and escape_markdown(text) in lines[0], start
