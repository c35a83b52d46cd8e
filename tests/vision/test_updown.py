"""Captioners of ImageCaptioning.pytorch: reference outputs of the official system, and what holds for any weights."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ita.config import Caption
from ita.errors import UserError
from ita.vision.captioners.updown.captioner import MODELS, UpDownCaptioner
from ita.vision.captioners.updown.recurrent import Options
from ita.vision.captioners.updown.search import BeamConfig, Penalty, search
from ita.vision.types import DetectedObject, Regions

TOLERANCE = 1e-5
CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def reference(golden):
    folder = golden / "updown"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return folder, json.loads((folder / "golden.json").read_text()), np.load(folder / "golden.npz")


@pytest.fixture
def published(reference, tmp_path):
    """A function that loads a model of the reference as a user would."""
    folder, facts, _ = reference

    def load(case):
        target = tmp_path / case["model"]
        target.mkdir(exist_ok=True)
        shutil.copyfile(folder / f"{case['model']}.safetensors", target / "model.safetensors")
        shutil.copyfile(folder / f"{case['model']}.opt.json", target / "opt.json")
        (target / "vocab.json").write_text(json.dumps(facts["vocab"]))
        options = json.loads((target / "opt.json").read_text())
        settings = Caption(
            model=str(target),
            beams=case["beam"],
            captions=case["beam"],
            max_tokens=options["max_length"],
            device="cpu",
            precision="fp32",
        )
        return UpDownCaptioner(settings, length_penalty=case["length_penalty"])

    return load


@pytest.mark.golden
def test_every_search_of_the_reference(reference, published):
    _, facts, values = reference
    att, mask = torch.tensor(values["att"]), torch.tensor(values["mask"]).bool()
    images = len(att)
    worst = 0.0
    for name, case in facts["cases"].items():
        captioner = published(case)
        with torch.inference_mode():
            found = search(captioner.model, captioner.model.encode(att, mask), images, captioner.rules, CPU)
        assert torch.equal(found.words.flatten(0, 1), torch.tensor(values[f"{name}/seq"])), name
        differences = [found.logprobs.flatten(0, 1) - torch.tensor(values[f"{name}/logp"])]
        if f"{name}/p" in values.files:
            differences.append(found.scores - torch.tensor(values[f"{name}/p"]))
        worst = max(worst, *(float(one.abs().max()) for one in differences))
        regions = [
            Regions([DetectedObject("x")] * int(inside.sum()), some[inside], (9, 9))
            for some, inside in zip(att, mask, strict=True)
        ]
        written = captioner.caption_regions(regions)
        lines = [one.text.split() for image in written for one in image]
        assert lines[: len(case["first"])] == case["first"], name
        scores = torch.tensor([[one.logprob for one in image] for image in written], dtype=torch.float64)
        worst = max(worst, float((scores - found.scores).abs().max()))
    assert worst < TOLERANCE, worst


# What holds for any weights

VOCABULARY = {str(i): f"w{i}" for i in range(1, 12)} | {"12": "UNK"}


def options(model, **changes):
    sizes = {"input_encoding_size": 8, "rnn_size": 12, "att_feat_size": 5, "fc_feat_size": 5, "att_hid_size": 6}
    transformer = {"d_model": 8, "d_ff": 10, "num_att_heads": 2, "N_enc": 2, "N_dec": 2}
    return {"caption_model": model, "vocab_size": len(VOCABULARY), **sizes, **transformer, **changes}


def drawn(about, seed=0):
    """A network of random weights, large enough for its captions to differ."""
    torch.manual_seed(seed)
    model = MODELS[about["caption_model"]](Options.of(about)).eval()
    for name, value in model.state_dict().items():
        if not name.endswith(("pe", "num_batches_tracked", "running_var")):
            value.normal_(std=0.1 if name.endswith(("bias", "b_2")) else 0.7)
    return model


@pytest.fixture(params=["updown", "att2in2", "transformer"])
def saved(request, tmp_path):
    """Folder of a captioner of random weights."""
    about = options(request.param)
    save_file(drawn(about).state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "opt.json").write_text(json.dumps(about))
    (tmp_path / "vocab.json").write_text(json.dumps(VOCABULARY))
    return tmp_path


def loaded(folder, penalty="", **changes):
    settings = {"beams": 4, "captions": 3, "device": "cpu", "precision": "fp32", "max_tokens": 8}
    return UpDownCaptioner(Caption(model=str(folder), **{**settings, **changes}), length_penalty=penalty)


def found(count, seed=0, width=5):
    """Regions of an image with some objects."""
    torch.manual_seed(seed + 100 * count)
    return Regions([DetectedObject("man")] * count, torch.randn(count, width), (100, 80))


def given(images=3, regions=6):
    """Features and where there are some."""
    torch.manual_seed(1)
    inside = torch.arange(regions) < torch.tensor([regions, 1, 3, 2])[:images, None]
    return torch.randn(images, regions, 5).double() * inside[:, :, None], inside


def decoded(model, regions, words):
    """Logits (B, V + 1) after words (B, t) by the Transformer, all of them anew."""
    decoder = model.model.decoder
    memory = model.encode(*regions)
    embed, places = model.model.tgt_embed
    length = words.shape[1]
    x = embed.lut(words) * embed.lut.embedding_dim**0.5 + places.pe[:, :length]
    sight = torch.ones(length, length, dtype=torch.bool).tril()
    for number, layer in enumerate(decoder.layers):
        y = layer.sublayer[0].norm(x)
        x = x + layer.self_attn(y, *layer.self_attn.known(y), sight)
        y = layer.sublayer[1].norm(x)
        x = x + layer.src_attn(y, memory.keys[number], memory.values[number], memory.inside)
        x = x + layer.feed_forward(layer.sublayer[2].norm(x))
    return model.model.generator.proj(decoder.norm(x[:, -1]))


@pytest.mark.parametrize("kind", ["updown", "att2in2", "transformer"])
@pytest.mark.parametrize("seed", [0, 1])
def test_steps_of_beams_equal_recomputation(kind, seed):
    model = drawn(options(kind), seed).double()  # so that nothing but a mistake can make them differ
    regions, inside = given()
    beams, rows = 3, torch.arange(3)[:, None]
    with torch.inference_mode():
        context = model.encode(regions, inside)
        state = model.start(context, beams)
        history = torch.zeros(3, beams, 0, dtype=torch.long)
        words = torch.zeros(3, beams, dtype=torch.long)
        for _ in range(6):
            history = torch.cat([history, words[:, :, None]], dim=2)
            logits, state = model.step(context, words, state)
            alone = regions.repeat_interleave(beams, 0), inside.repeat_interleave(beams, 0)
            flat = history.flatten(0, 1)
            if kind == "transformer":
                expected = decoded(model, alone, flat)
            else:
                one = model.encode(*alone)
                again = model.start(one, 1)
                for word in flat.unbind(1):
                    expected, again = model.step(one, word[:, None], again)
            torch.testing.assert_close(logits, expected.view_as(logits))
            origins = torch.randint(beams, (3, beams))
            words = torch.randint(0, 13, (3, beams))
            state, history = tuple(part[rows, origins] for part in state), history[rows, origins]


@pytest.mark.parametrize("penalty", ["", "avg_0", "wu_0.7"])
def test_search_equals_one_beam_after_the_other(penalty):
    model = drawn(options("att2in2"), 3)
    model.logit.bias.data[0] += 3  # so that captions end at different steps
    regions, inside = given(images=4)
    regions = regions.float()
    rules = BeamConfig(3, 3, 7, Penalty.of(penalty), 12)
    with torch.inference_mode():
        result = search(model, model.encode(regions, inside), 4, rules, CPU)
        for i in range(4):
            context = model.encode(regions[i : i + 1], inside[i : i + 1])
            beams, done = [((), 0.0, model.start(context, 1))], []
            for step in range(7):
                candidates = []
                for words, total, state in beams:
                    last = torch.tensor([[words[-1] if words else 0]])
                    logits, after = model.step(context, last, state)
                    logprobs = logits[0, 0].log_softmax(-1)
                    logprobs[12] -= 1000
                    candidates += [((*words, w), total + lp, after) for w, lp in enumerate(logprobs.tolist())]
                beams = sorted(candidates, key=lambda one: -one[1])[:3]
                for b, (words, total, state) in enumerate(beams):
                    if words[-1] == 0 or step == 6:
                        score = {"": 1, "avg_0": step + 1, "wu_0.7": ((6 + step) / 6) ** 0.7}[penalty]
                        done.append((total / score, words))
                        beams[b] = words, total - 1000, state
            best = sorted(done, key=lambda one: -one[0])[:3]
            assert [tuple(line) for line in result.words[i].tolist()] == [w + (0,) * (7 - len(w)) for _, w in best]
            assert result.scores[i].tolist() == pytest.approx([score for score, _ in best], abs=1e-4)


def test_a_result_does_not_depend_on_its_batch(saved):
    images = [found(count) for count in (3, 0, 12, 1, 7)]
    alone = [loaded(saved, batch_size=1).caption_regions([image])[0] for image in images]
    assert [len(one) for one in alone] == [3, 0, 3, 3, 3]  # nothing to say of an image without objects
    for size, order in ((5, range(5)), (2, (4, 2, 0, 1, 3))):
        together = loaded(saved, batch_size=size).caption_regions([images[i] for i in order])
        for i, captions in zip(order, together, strict=True):
            assert [one.text for one in captions] == [one.text for one in alone[i]]
            assert [one.logprob for one in captions] == pytest.approx([one.logprob for one in alone[i]], abs=1e-4)
    assert len({tuple(one.text for one in captions) for captions in alone}) > 2  # the network does see the regions
    assert loaded(saved).caption_regions([Regions([], None, (9, 9))]) == [[]]


def test_the_unknown_word_is_not_written(saved):
    captioner = loaded(saved)
    bias = (
        captioner.model.head if isinstance(captioner.model.head, torch.nn.Linear) else captioner.model.head.proj
    ).bias
    bias.data[12] += 50
    captions = captioner.caption_regions([found(3)])[0]
    assert not any("UNK" in one.text for one in captions)


def test_half_precision_and_greedy_search_run(saved):
    half = loaded(saved, precision="bf16")
    assert all(len(image) == 3 for image in half.caption_regions([found(4), found(2)]))
    assert {p.dtype for p in half.model.head.parameters()} == {torch.float32}
    one = loaded(saved, beams=1, captions=1).caption_regions([found(4)])[0]
    assert len(one) == 1 and one[0].logprob < 0


@pytest.mark.parametrize("changes", [{"use_bn": 1}, {"use_bn": 2}, {"logit_layers": 2}])
def test_other_layouts_have_upstreams_names(changes):
    names = drawn(options("updown", **changes)).state_dict().keys()
    expected = {
        "use_bn": ["att_embed.0.running_mean", "att_embed.1.weight"],
        "logit_layers": ["logit.0.weight", "logit.3.weight"],
    }
    assert {name for key in changes for name in expected[key]} <= names
    assert ("att_embed.4.running_mean" in names) == (changes.get("use_bn") == 2)
    assert drawn(options("transformer", N_enc=None, d_model=None)).model.decoder.norm.a_2.shape == (8,)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "vocab.json").unlink(), r"vocab\.json: can not be read.*words by their numbers"),
        (lambda f: (f / "vocab.json").write_text('{"0": "a"}'), r"vocab\.json.*words by their numbers"),
        (lambda f: (f / "vocab.json").write_text('["a"]'), r"vocab\.json.*words by their numbers"),
        (
            lambda f: (f / "vocab.json").write_text('{"1": "a"}'),
            r"opt\.json: the model has 12 words and vocab\.json has 1",
        ),
        (lambda f: (f / "opt.json").write_text("{"), r"opt\.json: can not be read"),
        (lambda f: (f / "opt.json").write_text("{}"), r"opt\.json: does not describe a captioner.*caption_model"),
        (lambda f: (f / "opt.json").write_text(json.dumps(options("aoa"))), r"opt\.json.*'aoa' is not supported"),
        (lambda f: (f / "opt.json").write_text(json.dumps(options("updown", use_box=1))), "use_box is not supported"),
        (lambda f: (f / "opt.json").unlink(), r"caption\.model.*holds no opt\.json"),
        (lambda f: (f / "model.safetensors").unlink(), r"holds no weights; expected model\.safetensors or"),
        (lambda f: (f / "model.safetensors").write_bytes(b"no"), r"model\.safetensors: is not a checkpoint"),
        (lambda f: save_file({"x": torch.ones(1)}, f / "model.safetensors"), r"model\.safetensors.*missing"),
    ],
)
@pytest.mark.parametrize("saved", ["updown"], indirect=True)
def test_broken_models(saved, spoil, message):
    spoil(saved)
    with pytest.raises(UserError, match=message):
        loaded(saved)


@pytest.mark.parametrize("saved", ["updown"], indirect=True)
def test_a_pickle_is_named_and_not_run(saved):
    class Trap:
        def __reduce__(self):
            return open, (str(saved / "ran"), "w")

    (saved / "infos_best.pkl").write_bytes(pickle.dumps({"vocab": Trap()}))
    assert loaded(saved)
    (saved / "vocab.json").unlink()
    with pytest.raises(UserError, match=r"no vocab\.json, and infos_best\.pkl is a pickle.*could run code"):
        loaded(saved)
    assert not (saved / "ran").exists()


@pytest.mark.parametrize("saved", ["updown"], indirect=True)
def test_wrong_settings_and_regions(saved):
    with pytest.raises(UserError, match=r"caption\.captions.*caption\.beams"):
        loaded(saved, beams=2)
    with pytest.raises(UserError, match="length penalty 'often'"):
        loaded(saved, penalty="often")
    with pytest.raises(UserError, match="reads features"):
        loaded(saved).caption_regions([Regions([DetectedObject("man")], None, (9, 9))])
    with pytest.raises(UserError, match=r"width 5.*have 4"):
        loaded(saved).caption_regions([found(2, width=4)])
