"""The component of spaCy, in a blank pipeline."""

import importlib
import pickle
import shutil
import tomllib

import pytest

from ita import Tagger
from ita.errors import UserError
from tests.support.paths import ROOT
from tests.support.runs import trained

spacy = pytest.importorskip("spacy", reason="the extra [spacy] is not installed")

from spacy.tokens import DocBin  # noqa: E402

import ita.tagging.spacy_component  # noqa: E402, F401

TEXTS = ["aa xb cc", "xa b", "", "b  xc!"]
CONTEXTS = [None, "man", None, "house tree"]


@pytest.fixture(scope="module")
def run(corpus, tiny_encoder, tmp_path_factory):
    """A tagger of the made-up corpus, whose types only a context tells."""
    return trained(corpus, tmp_path_factory.mktemp("runs") / "run", tiny_encoder, {"views": ["it"]}, epochs=30)


@pytest.fixture
def nlp(run):
    pipeline = spacy.blank("en")
    pipeline.add_pipe("ita", config={"model": str(run)})
    return pipeline


def documents(nlp):
    """The texts with their contexts, cut by spaCy and not yet tagged."""
    docs = [nlp.make_doc(text) for text in TEXTS]
    for doc, context in zip(docs, CONTEXTS, strict=True):
        doc._.context = context
    return docs


def entities(doc):
    return [(span.text, span.label_, span.start_char, span.end_char, span._.ita_score) for span in doc.ents]


def test_its_entities_are_those_of_the_tagger(run, nlp):
    """One at a time and in batches; a text without words is told and changes nothing."""
    records = [{"text": text, "context": context} for text, context in zip(TEXTS, CONTEXTS, strict=True)]
    answers = Tagger.from_pretrained(run).predict(records)
    expected = [
        [(e.surface, e.type, e.start, e.end, pytest.approx(e.score, abs=1e-5)) for e in a.entities] for a in answers
    ]
    assert sum(map(len, expected)) >= 2
    for docs in (list(nlp.pipe(documents(nlp), batch_size=3)), [nlp(doc) for doc in documents(nlp)]):
        assert [entities(doc) for doc in docs] == expected
        assert [doc._.ita_moved for doc in docs] == [0] * len(TEXTS)
        assert [doc._.ita_error is None for doc in docs] == [True, True, False, True]


@pytest.mark.parametrize(("mode", "surfaces"), [("expand", ["b--xc"]), ("strict", []), ("contract", [])])
def test_entities_inside_a_token(run, mode, surfaces):
    """spaCy's token is ``b--xc``, of which our tagger reads four words."""
    pipeline = spacy.blank("en")
    pipeline.tokenizer = spacy.tokenizer.Tokenizer(pipeline.vocab)
    pipeline.add_pipe("ita", config={"model": str(run), "alignment_mode": mode})
    doc = pipeline.make_doc("b--xc")
    doc._.context = "house tree"
    doc = pipeline(doc)
    assert doc._.ita_moved == 1 and [span.text for span in doc.ents] == surfaces


def test_saved_pipelines_need_nothing_else(run, nlp, tmp_path):
    expected = [entities(doc) for doc in nlp.pipe(documents(nlp))]
    moved = tmp_path / "moved"
    pipeline = spacy.blank("en")
    pipeline.add_pipe("ita", config={"model": str(shutil.copytree(run, moved))})
    pipeline.to_disk(tmp_path / "saved")
    shutil.rmtree(moved)
    again = spacy.load(tmp_path / "saved")
    docs = list(again.pipe(documents(again)))
    assert [entities(doc) for doc in docs] == expected
    assert not (tmp_path / "saved" / "ita" / "model" / "predictions.parquet").exists()
    saved = DocBin(store_user_data=True, docs=docs).to_bytes()
    assert [entities(doc) for doc in DocBin().from_bytes(saved).get_docs(again.vocab)] == expected
    assert entities(pickle.loads(pickle.dumps(again))(documents(again)[1])) == expected[1]


def test_what_cannot_be_used_is_named(run):
    pipeline = spacy.blank("en")
    pipeline.add_pipe("ita")
    with pytest.raises(UserError, match="no model"):
        pipeline("aa")
    with pytest.raises(UserError, match="expected expand or contract or strict"):
        spacy.blank("en").add_pipe("ita", config={"model": str(run), "alignment_mode": "widen"})


def test_spacy_finds_it_by_its_entry_point():
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["spacy_factories"]
    module, _, name = points["ita"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))
