"""Jobs that ask a language model: what they read follows from their template, and nothing of them is secret."""

import json

import pytest
import yaml

from ita.config.levels import merge
from ita.knowledge.templates import load_template
from ita.workflow.inputs import KNOWLEDGE_SLOTS
from ita.workflow.jobs import Jobs
from tests.support.paths import ROOT

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
ASKED = {"dataset": "twitter17", "knowledge_source": "llm", "shard": "1-of-1"}
HOME = "results/twitter17"


def jobs(**knowledge):
    return Jobs(merge(CONFIG, {"datasets": {"twitter17": {"knowledge": {"model": "made", **knowledge}}}}))


def inputs(**knowledge):
    found = jobs(**knowledge).inputs("knowledge")(ASKED)
    return {option: files for option, files in found.items() if files}


def message(**knowledge):
    with pytest.raises(SystemExit) as stopped:
        jobs(**knowledge).inputs("knowledge")(ASKED)
    return str(stopped.value).strip()


def test_the_template_says_which_tables_are_read(tmp_path):
    captions = {"captions": [f"{HOME}/captions/vinvl.parquet"]}
    assert inputs() == captions
    assert inputs(captioner="blip") == {"captions": [f"{HOME}/captions/blip.parquet"]}
    assert inputs(template="image-text") == {"images": [f"{HOME}/images.parquet"]}
    assert inputs(blank=["caption"]) == inputs(template="image-text", blank=["image"]) == {}
    own = tmp_path / "own.txt"
    own.write_text("[user]\n{captions} {ocr} {objects}\n")
    found = inputs(template=str(own), blank=["objects"], ocr_engine="paddle")
    assert found == {**captions, "ocr": [f"{HOME}/ocr/paddle.parquet"], "files": [str(own)]}


def test_a_tagger_that_retrieves_is_trained_first(tmp_path):
    shown = tmp_path / "shown.jsonl"
    shown.touch()
    run = "results/twitter17/runs/bert/ita-ga/seed1"
    found = inputs(demonstrations=str(shown), retrieval="tagger", retrieval_model=run)
    assert found["tagger"] == [f"{run}/model.safetensors", f"{run}/settings.json"]
    assert found["context"] == [f"{HOME}/contexts/ga.parquet"] and found["files"] == [str(shown)]
    alone = inputs(demonstrations=str(shown), retrieval="tagger", retrieval_model=run.replace("ita-ga", "crf"))
    assert "context" not in alone, "it reads the text alone"
    assert "files" not in inputs(demonstrations=str(shown)), "none are shown"


def test_what_is_missing_is_told_when_planning(tmp_path):
    assert "knowledge_sources.llm.model is not set" in message(model=None)
    assert "knowledge.captioner names 'x', which is not in 'captioners'" in message(captioner="x")
    assert "neither filled, image-text, text-caption nor a file" in message(template="nowhere.txt")
    assert "knowledge.demonstrations must name a file" in message(retrieval="text")
    assert "names 'gone.jsonl', which is not there" in message(retrieval="text", demonstrations="gone.jsonl")
    shown = tmp_path / "shown.jsonl"
    shown.touch()
    assert "knowledge.retrieval_model must name" in message(retrieval="tagger", demonstrations=str(shown))
    nobody = {
        "retrieval": "tagger",
        "demonstrations": str(shown),
        "retrieval_model": "results/twitter17/runs/b/crf/seed1",
    }
    assert "knowledge.retrieval_model names 'b', which is not in 'encoders'" in message(**nobody)


def test_a_kind_is_one_thing():
    change = {"external_texts": {"llm": {"files": ["x"]}}}
    with pytest.raises(SystemExit) as stopped:
        Jobs(merge(CONFIG, change)).inputs("context")({"dataset": "twitter17", "context": "knowledge"})
    assert "'llm', which is in knowledge_sources and in external_texts" in str(stopped.value)
    found = jobs().inputs("context")({"dataset": "twitter17", "context": "knowledge"})
    assert found["knowledge"] == [f"{HOME}/knowledge/llm.parquet"] and found["external_texts"] == []
    values = json.loads(jobs().settings("context")({"dataset": "twitter17", "context": "knowledge"}))
    assert values["external_texts"] == {}


def test_jobs_carry_the_hash_of_the_template_and_no_key(monkeypatch):
    monkeypatch.setenv("MADE_KEY", "sk-secret")
    text = jobs(key_variable="MADE_KEY", prompt_price=2.0).settings("knowledge")(ASKED)
    values = json.loads(text)
    assert values["template"] == load_template("text-caption").sha256
    assert "sk-secret" not in text and "prompt_price" not in values["knowledge"]
    assert json.loads(jobs(prompt_price=2.0).settings("paper")({"dataset": "twitter17"}))["prices"] == {
        "llm": {"prompt_price": 2.0, "completion_price": 0.0},
        "llm-blind": {"prompt_price": 2.0, "completion_price": 0.0},
    }
    assert jobs().gpus("knowledge")(ASKED) == 0 and jobs(backend="transformers").gpus("knowledge")(ASKED) == 1


def test_every_slot_of_an_image_has_its_table():
    filled = set().union(*(slots for _, slots in KNOWLEDGE_SLOTS.values()))
    assert filled == {"objects", "caption", "captions", "ocr"}
