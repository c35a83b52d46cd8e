"""Exported graphs: run by ONNX Runtime, they give what the tagger gives."""

import copy
import json
import random
import string
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from ita.commands import export
from ita.config import System
from ita.data.tags import from_bioes, tag_set
from ita.data.visual_context import join_texts
from ita.errors import UserError
from ita.model.bert import Bert, EncoderConfig
from ita.model.export import model_file
from ita.model.export.graph import WEIGHT_LIMIT, Graph, value
from ita.model.export.model_inputs import model_inputs
from ita.model.inference import predict_tags
from ita.model.inputs import ViewEncoder
from ita.model.tagger import Tagger
from ita.model.tokenizer import JsonTokenizer
from tests.support.paths import ROOT
from tests.support.runs import trained

NAMES = tag_set(["LOC", "PER"])
EXAMPLE = ROOT / "workflow/examples/tag_with_onnx.py"
SIZES = {"vocab_size": 90, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
WITHOUT_TORCH = """
import runpy, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "onnx", "ita"):
            raise ImportError(name + " is not to be imported")

sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def random_tagger(constrained=False, system=None, further=(), **config):
    """A tagger whose scores are far apart; an encoder of 16 units."""
    torch.manual_seed(1)
    encoder = Bert(EncoderConfig(**{**SIZES, "max_position_embeddings": 66, **config}))
    encoder.init_weights()
    tagger = Tagger(encoder, NAMES, 0.0, constrained, system=system, further_encoders=further)
    with torch.no_grad():
        tagger.linear.weight.normal_(std=1.5)
        for scores in tagger.crf.parameters():
            scores.normal_(std=2)
    return tagger.eval()


def built(tagger, int8=False):
    return model_file.make_model(model_file.build_graph(tagger, tagger.encoder.config, NAMES, int8))


def random_words(draw, count):
    """Words of one to four subwords, some of none."""
    return [
        "\u200d" if draw.random() < 0.02 else "".join(draw.choices("abcdefgh", k=draw.randint(1, 4)))
        for _ in range(count)
    ]


def session_of(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    source = str(model) if not isinstance(model, onnx.ModelProto) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def outputs(session, views, pad_id=0):
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, model_inputs(views, pad_id)), strict=True))


def check_same(tagger, session, views, names=NAMES, pad_id=0):
    """Asserts that the graph gives the tagger's tags, entities, posteriors and log Z; returns the entities seen."""
    result = outputs(session, views, pad_id)
    expected = predict_tags(tagger, views, names, batch_size=len(views), device=torch.device("cpu"))
    lengths = torch.tensor([len(view.first_subword) for view in views])
    emissions = torch.from_numpy(result["emissions"])
    # Of the same emissions the same path: there are no ties to be broken otherwise.
    np.testing.assert_array_equal(result["tags"], tagger.crf.decode(emissions, lengths).numpy())
    log_z = copy.deepcopy(tagger.crf).double().log_partition(emissions.double(), lengths)
    np.testing.assert_allclose(result["log_partition"], log_z.detach().numpy(), rtol=1e-6, atol=1e-4)
    entities = 0
    for row, prediction in enumerate(expected):
        ends, posteriors = result["span_ends"][row], result["span_posteriors"][row]
        starts = np.flatnonzero(ends)
        tags = [names[tag] for tag in result["tags"][row, : lengths[row]]]
        assert from_bioes(tags) == prediction.tags
        spans = [(start, ends[start], tags[start][2:]) for start in starts]
        assert spans == [tuple(span) for span in prediction.spans]
        np.testing.assert_allclose(posteriors[starts], prediction.posteriors, rtol=0, atol=1e-4)
        assert not np.delete(posteriors, starts).any()
        assert not result["tags"][row, lengths[row] :].any()
        entities += len(spans)
    return entities


@pytest.fixture(scope="module")
def view_encoder(tiny_encoder):
    return ViewEncoder(JsonTokenizer(tiny_encoder), 64)


@pytest.mark.parametrize("constrained", [False, True])
def test_a_thousand_random_posts_of_up_to_128_words(constrained, view_encoder):
    draw = random.Random(0)
    posts = [random_words(draw, 1 + number % 128) for number in range(1000)]
    views = view_encoder.encode(posts)
    assert sum(len(view.row_lengths) > 1 for view in views) > 300, "posts in several windows"
    tagger = random_tagger(constrained)
    session = session_of(built(tagger))
    order = draw.sample(range(1000), 1000)
    entities = sum(
        check_same(tagger, session, [views[index] for index in order[start : start + 25]])
        for start in range(0, 1000, 25)
    )
    assert entities > 10_000


def test_small_batches(view_encoder):
    """One word, no subword at all, one post among longer ones."""
    tagger = random_tagger()
    session = session_of(built(tagger))
    for posts in ([["a"]], [["\u200d"]], [["\u200d", "\u200d"], ["\u200d"]], [["a"], ["b"] * 100], [["b"] * 61]):
        check_same(tagger, session, view_encoder.encode(posts))


def test_more_padding_changes_nothing(view_encoder):
    tagger = random_tagger()
    session = session_of(built(tagger))
    inputs = model_inputs(view_encoder.encode([["ab", "c", "def"], ["a"]]), 0)
    slots = inputs["input_ids"].shape[1]
    index = inputs["first_subwords"]
    index = np.where(index < 0, -1, index + index // slots * 5)
    padded = {
        "input_ids": np.pad(inputs["input_ids"], ((0, 0), (0, 5)), constant_values=7),
        "attention_mask": np.pad(inputs["attention_mask"], ((0, 0), (0, 5))),
        "first_subwords": np.pad(index, ((0, 0), (0, 3)), constant_values=2),
        "lengths": inputs["lengths"],
    }
    for name, expected in zip(
        ("tags", "span_posteriors", "log_partition"), session.run(None, inputs)[::2], strict=False
    ):
        (result,) = session.run([name], padded)
        result = result[:, :3] if result.ndim > 1 else result
        expected = session.run([name], inputs)[0]
        np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "roberta", "pad_token_id": 1, "hidden_act": "gelu_new", "type_vocab_size": 1},
        {"hidden_act": "relu", "num_hidden_layers": 1},
    ],
    ids=["roberta", "one layer"],
)
def test_other_encoders_of_the_family(config, view_encoder):
    draw = random.Random(2)
    tagger = random_tagger(**config)
    session = session_of(built(tagger))
    views = view_encoder.encode([random_words(draw, count) for count in (1, 5, 17, 40)])
    assert check_same(tagger, session, views, pad_id=config.get("pad_token_id", 0)) > 10


def test_int8_is_near(view_encoder):
    draw = random.Random(3)
    tagger = random_tagger()
    exact, quantized = (built(tagger, int8) for int8 in (False, True))
    onnx.checker.check_model(quantized, full_check=True)
    assert sum(node.op_type == "MatMulInteger" for node in quantized.graph.node) == 4 * SIZES["num_hidden_layers"]
    views = view_encoder.encode([random_words(draw, count) for count in range(1, 30)])
    expected, result = outputs(session_of(exact), views), outputs(session_of(quantized), views)
    inside = np.arange(29) < np.arange(1, 30)[:, None]
    assert (expected["tags"] == result["tags"])[inside].mean() > 0.9
    error = (result["emissions"] - expected["emissions"])[inside]
    assert 0 < error.std() < 0.05 * expected["emissions"][inside].std()
    # Whatever other posts there are.
    for number in (0, 10, 28):
        alone = outputs(session_of(quantized), views[number : number + 1])
        np.testing.assert_allclose(alone["emissions"][0], result["emissions"][number, : number + 1], atol=1e-4)


def test_an_int8_product_is_that_of_integers():
    """Rows of very different size, and one of zeros."""
    generator = np.random.default_rng(0)
    x = (generator.normal(size=(5, 32)) * [[1], [1e3], [1e-3], [0], [7]]).astype(np.float32)
    weight = (generator.normal(size=(8, 32)) * generator.uniform(0.1, 10, (8, 1))).astype(np.float32)
    bias = generator.normal(size=8).astype(np.float32)
    graph = Graph(int8=True)
    graph.rename(graph.linear("x", weight, bias), "y")
    proto = graph.proto("product", [value("x", "float", "rows", 32)], [value("y", "float", "rows", 8)])
    model = onnx.helper.make_model(proto, opset_imports=[onnx.helper.make_opsetid("", model_file.OPSET)], ir_version=9)
    (result,) = session_of(model).run(["y"], {"x": x})
    x_scale = np.maximum(np.abs(x).max(1, keepdims=True), 1e-20) / 127
    weight_scale = np.abs(weight).max(1, keepdims=True) / WEIGHT_LIMIT
    integers = np.rint(x / x_scale) @ np.rint(weight / weight_scale).T
    np.testing.assert_allclose(result, integers * x_scale * weight_scale.T + bias, rtol=1e-5, atol=1e-5)
    size = np.abs(x).max(1, keepdims=True) * np.abs(weight).max(1)
    assert (np.abs(result - bias - x @ weight.T) <= 0.1 * size + 1e-6).all()


@pytest.mark.parametrize("int8", [False, True])
def test_the_graph_is_valid(int8):
    tagger = random_tagger(constrained=True)
    onnx.checker.check_model(built(tagger, int8), full_check=True)


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ({"label_scheme": "x_subword"}, "tags every subword"),
        ({"pooling": "mean"}, "takes the mean"),
        ({"context_segment": "second"}, "second segment"),
        ({"rnn": 4}, "recurrent layer"),
    ],
)
def test_what_the_graph_cannot_hold_is_refused(system, message):
    with pytest.raises(UserError, match=message):
        model_file.check_exportable(random_tagger(system=System(**system)), {})


def test_regions_are_refused():
    with pytest.raises(UserError, match="reads image regions; ita export takes systems that read text"):
        model_file.check_exportable(random_tagger(), {"regions": {"detector": "vinvl", "width": 2054}})


@pytest.fixture(scope="module")
def run(corpus, tiny_encoder, tmp_path_factory):
    """A trained run of the view I+T."""
    return trained(corpus, tmp_path_factory.mktemp("runs") / "run", tiny_encoder, {"views": ["it"]}, epochs=30)


def test_several_encoders_are_refused(corpus, tiny_encoder, tmp_path, capsys):
    system = {"views": ["it"], "encoders": ["{encoder}", "other"]}
    both = trained(corpus, tmp_path / "run", tiny_encoder, system, epochs=1, further=[tiny_encoder])
    assert export.main([str(both), "--onnx", str(tmp_path / "model.onnx")]) == 1
    assert "this system has several encoders; ita export takes" in capsys.readouterr().err
    assert not (tmp_path / "model.onnx").exists()


def test_an_encoder_of_another_family_is_refused(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(model_file, "read_config", lambda folder: {"model_type": "deberta-v2"})
    assert export.main([str(run), "--onnx", str(tmp_path / "model.onnx")]) == 1
    assert "of type 'deberta-v2'; ita export knows bert, camembert, roberta, xlm-roberta" in capsys.readouterr().err


def test_without_the_extra(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    assert export.main([str(run), "--onnx", str(tmp_path / "model.onnx")]) == 1
    assert "pip install 'ita-ner[export]'" in capsys.readouterr().err


def test_a_folder_without_a_model_is_named(tmp_path, capsys):
    assert export.main([str(tmp_path), "--onnx", str(tmp_path / "model.onnx")]) == 1
    assert f"{tmp_path}: not a model folder" in capsys.readouterr().err


POSTS = [
    {"tokens": ["aa", "xb", "cc"]},
    {"tokens": ["xa", "b"], "context": ["man"]},
    {"tokens": ["b", "xc"], "context": ["house", "tree"]},
    {"tokens": ["b", "xc"], "context": ["h " * 80, "tree"]},
]


def check_example(run, folder, quantize=()):
    """Exports a run, asserts that the example without torch finds what the tagger finds in both views; returns it."""
    file = folder / "exported/model.onnx"
    assert export.main([str(run), "--onnx", str(file), *quantize]) == 0
    command = [sys.executable, "-c", WITHOUT_TORCH, str(EXAMPLE), str(file)]
    lines = "".join(json.dumps(post) + "\n" for post in POSTS)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["tokens"] for answer in answers] == [post["tokens"] for post in POSTS]
    tagger, encoder, settings = model_file.load_model(run)
    contexts = [join_texts(post.get("context", []), "context") for post in POSTS]
    views = encoder.encode([post["tokens"] for post in POSTS], contexts)
    expected = predict_tags(tagger, views, settings["tags"], batch_size=4, device=torch.device("cpu"))
    spans = [[tuple(span[:3]) for span in answer["spans"]] for answer in answers]
    assert spans == [prediction.spans for prediction in expected]
    for answer, prediction in zip(answers, expected, strict=True):
        posteriors = [span[3] for span in answer["spans"]]
        np.testing.assert_allclose(posteriors, prediction.posteriors, atol=0.1 if quantize else 1e-4)
    return spans


@pytest.mark.parametrize("quantize", [[], ["--quantize", "int8"]], ids=["fp32", "int8"])
def test_the_example_tags_without_torch(quantize, run, tmp_path):
    assert check_example(run, tmp_path, quantize)[1:3] == [[(0, 1, "PER")], [(1, 2, "LOC")]]
    assert len(EXAMPLE.read_text().splitlines()) <= 40


def test_an_xlm_roberta_and_its_tokenizer(corpus, tmp_path):
    """Positions from 2, padding id 1, subwords of a unigram model with a mark for the blank before them."""
    letters = string.ascii_lowercase
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "▁", *letters, *(f"▁{letter}" for letter in letters)]
    tokenizer = Tokenizer(Unigram([(piece, -float(rank)) for rank, piece in enumerate(vocabulary)], unk_id=3))
    tokenizer.pre_tokenizer = Metaspace(prepend_scheme="always")
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    encoder = tmp_path / "encoder"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **special).save_pretrained(encoder)
    sizes = {**SIZES, "vocab_size": len(vocabulary), "max_position_embeddings": 66, "type_vocab_size": 1}
    torch.manual_seed(0)
    XLMRobertaModel(XLMRobertaConfig(pad_token_id=1, **sizes)).save_pretrained(encoder)
    run = trained(corpus, tmp_path / "run", encoder, {"views": ["it"]}, epochs=20)
    assert any(check_example(run, tmp_path))


def test_the_test_without_torch_can_fail(tmp_path):
    (tmp_path / "script.py").write_text("import torch\n")
    command = [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path / "script.py")]
    assert "torch is not to be imported" in subprocess.run(command, capture_output=True, text=True).stderr


def test_large_weights_lie_beside_the_graph(run, tmp_path, monkeypatch):
    inputs = model_inputs(model_file.load_model(run)[1].encode([["xa", "b"], ["c"]]), 0)
    whole, parted = tmp_path / "whole/model.onnx", tmp_path / "parted/model.onnx"
    assert export.main([str(run), "--onnx", str(whole)]) == 0
    with monkeypatch.context() as small:
        small.setattr(model_file, "SINGLE_FILE_LIMIT", 1000)
        assert export.main([str(run), "--onnx", str(parted)]) == 0
    data = parted.with_name("model.onnx.data")
    assert parted.stat().st_size < whole.stat().st_size and data.is_file()
    for result, expected in zip(session_of(parted).run(None, inputs), session_of(whole).run(None, inputs), strict=True):
        np.testing.assert_array_equal(result, expected)
    assert export.main([str(run), "--onnx", str(parted)]) == 0
    assert parted.read_bytes() == whole.read_bytes() and not data.exists()
    assert sorted(file.name for file in parted.parent.iterdir()) == sorted(file.name for file in whole.parent.iterdir())
