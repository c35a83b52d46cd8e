"""Captioners of ImageCaptioning.pytorch with any weights; tests/golden has the reference outputs."""

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from ita.config import Caption
from ita.errors import UserError
from ita.vision.captioners.updown.captioner import UpDownCaptioner
from ita.vision.captioners.updown.search import BeamConfig, search
from ita.vision.types import DetectedObject, Regions
from tests.support.captioners import length_penalty, random_updown, regions_of, save_updown, updown_options

CPU = torch.device("cpu")
END, UNKNOWN = 0, 12


@pytest.fixture(params=["updown", "att2in2", "transformer"])
def saved(request, tmp_path):
    """Folder of a captioner of random weights."""
    save_updown(tmp_path, request.param)
    return tmp_path


only_updown = pytest.mark.parametrize("saved", ["updown"], indirect=True)


def load(folder, **changes):
    settings = {"beams": 4, "captions": 3, "device": "cpu", "precision": "fp32", "max_tokens": 8}
    return UpDownCaptioner(Caption(model=str(folder), **{**settings, **changes}))


def random_features(images=3, regions=6):
    """Region features and their mask."""
    torch.manual_seed(1)
    mask = torch.arange(regions) < torch.tensor([regions, 1, 3, 2])[:images, None]
    return torch.randn(images, regions, 5).double() * mask[:, :, None], mask


def uncached_transformer(model, features, mask, words):
    """Logits (B, V + 1) after words (B, t) by the Transformer, all of them anew."""
    decoder = model.model.decoder
    memory = model.encode(features, mask)
    embedding, positions = model.model.tgt_embed
    length = words.shape[1]
    x = embedding.lut(words) * embedding.lut.embedding_dim**0.5 + positions.pe[:, :length]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    for number, layer in enumerate(decoder.layers):
        y = layer.sublayer[0].norm(x)
        x = x + layer.self_attn(y, *layer.self_attn.keys_values(y), causal)
        y = layer.sublayer[1].norm(x)
        x = x + layer.src_attn(y, memory.keys[number], memory.values[number], memory.mask)
        x = x + layer.feed_forward(layer.sublayer[2].norm(x))
    return model.model.generator.proj(decoder.norm(x[:, -1]))


def uncached_recurrent(model, features, mask, words):
    """Logits (B, V + 1) after words (B, t) by an LSTM, all of them anew."""
    context = model.encode(features, mask)
    state = model.start(context, 1)
    for word in words.unbind(1):
        logits, state = model.step(context, word[:, None], state)
    return logits[:, 0]


@pytest.mark.parametrize("kind", ["updown", "att2in2", "transformer"])
@pytest.mark.parametrize("seed", [0, 1])
def test_steps_of_beams_equal_recomputation(kind, seed):
    model = random_updown(updown_options(kind), seed).double()  # so that only a mistake can make them differ
    uncached = uncached_transformer if kind == "transformer" else uncached_recurrent
    features, mask = random_features()
    beams, rows = 3, torch.arange(3)[:, None]
    with torch.inference_mode():
        context = model.encode(features, mask)
        state = model.start(context, beams)
        history = torch.zeros(3, beams, 0, dtype=torch.long)
        words = torch.zeros(3, beams, dtype=torch.long)
        for _ in range(6):
            history = torch.cat([history, words[:, :, None]], dim=2)
            logits, state = model.step(context, words, state)
            repeated = features.repeat_interleave(beams, 0), mask.repeat_interleave(beams, 0)
            expected = uncached(model, *repeated, history.flatten(0, 1))
            torch.testing.assert_close(logits, expected.view_as(logits))
            parents = torch.randint(beams, (3, beams))
            words = torch.randint(0, 13, (3, beams))
            state, history = tuple(values[rows, parents] for values in state), history[rows, parents]


def search_one_image(model, context, beams, max_length, penalty):
    """Beam search by lists; score and words of the best captions."""
    open_beams, captions = [((), 0.0, model.start(context, 1))], []
    for step in range(max_length):
        candidates = []
        for words, total, state in open_beams:
            logits, next_state = model.step(context, torch.tensor([[words[-1] if words else END]]), state)
            log_probs = logits[0, 0].log_softmax(-1)
            log_probs[UNKNOWN] -= 1000
            candidates += [
                ((*words, word), total + log_prob, next_state) for word, log_prob in enumerate(log_probs.tolist())
            ]
        open_beams = sorted(candidates, key=lambda candidate: -candidate[1])[:beams]
        for index, (words, total, state) in enumerate(open_beams):
            if words[-1] == END or step == max_length - 1:
                captions.append((total / penalty(step + 1), words))
                open_beams[index] = words, total - 1000, state
    return sorted(captions, key=lambda caption: -caption[0])[:beams]


@pytest.mark.parametrize(
    ("name", "penalty"),
    [("", lambda length: 1), ("avg_0", lambda length: length), ("wu_0.7", lambda length: ((5 + length) / 6) ** 0.7)],
)
def test_search_equals_one_beam_after_the_other(name, penalty):
    model = random_updown(updown_options("att2in2"), 3)
    model.logit.bias.data[END] += 3  # so that captions end at different steps
    features, mask = random_features(images=4)
    features = features.float()
    config = BeamConfig(3, 3, 7, UNKNOWN, length_penalty(name))
    with torch.inference_mode():
        captions = search(model, model.encode(features, mask), 4, config, CPU)
        for i in range(4):
            context = model.encode(features[i : i + 1], mask[i : i + 1])
            expected = search_one_image(model, context, 3, 7, penalty)
            padded = [words + (END,) * (7 - len(words)) for _, words in expected]
            assert [tuple(line) for line in captions.ids[i].tolist()] == padded
            assert captions.scores[i].tolist() == pytest.approx([score for score, _ in expected], abs=1e-4)


def test_a_result_does_not_depend_on_its_batch(saved):
    images = [regions_of(count, 5) for count in (3, 0, 12, 1, 7)]
    alone = [load(saved, batch_size=1).caption_regions([image])[0] for image in images]
    assert [len(captions) for captions in alone] == [3, 0, 3, 3, 3]  # no caption for an image without objects
    for size, order in ((5, range(5)), (2, (4, 2, 0, 1, 3))):
        together = load(saved, batch_size=size).caption_regions([images[i] for i in order])
        for i, captions in zip(order, together, strict=True):
            assert [caption.text for caption in captions] == [caption.text for caption in alone[i]]
            logprobs = [caption.logprob for caption in captions]
            assert logprobs == pytest.approx([caption.logprob for caption in alone[i]], abs=1e-4)
    texts = {tuple(caption.text for caption in captions) for captions in alone}
    assert len(texts) > 2  # the regions do have an effect
    assert load(saved).caption_regions([Regions([], None, (9, 9))]) == [[]]


def test_the_unknown_word_is_not_generated(saved):
    captioner = load(saved)
    head = captioner.model.head
    (head if isinstance(head, torch.nn.Linear) else head.proj).bias.data[UNKNOWN] += 50
    captions = captioner.caption_regions([regions_of(3, 5)])[0]
    assert len(captions) == 3 and not any("UNK" in caption.text for caption in captions)


def test_half_precision_and_greedy_search(saved):
    half = load(saved, precision="bf16")
    assert {weight.dtype for weight in half.model.head.parameters()} == {torch.float32}
    assert half.model.att_embed[0].weight.dtype == torch.bfloat16
    assert [len(captions) for captions in half.caption_regions([regions_of(4, 5), regions_of(2, 5)])] == [3, 3]
    (greedy,) = load(saved, beams=1, captions=1).caption_regions([regions_of(4, 5)])[0]
    (best, *_) = load(saved, beams=4, captions=3).caption_regions([regions_of(4, 5)])[0]
    assert greedy.logprob < 0 and greedy.logprob <= best.logprob + 1e-4


@pytest.mark.parametrize("changes", [{"use_bn": 1}, {"use_bn": 2}, {"logit_layers": 2}])
def test_other_layouts_have_upstreams_names(changes):
    names = random_updown(updown_options("updown", **changes)).state_dict().keys()
    expected = {
        "use_bn": ["att_embed.0.running_mean", "att_embed.1.weight"],
        "logit_layers": ["logit.0.weight", "logit.3.weight"],
    }
    assert {name for key in changes for name in expected[key]} <= names
    assert ("att_embed.4.running_mean" in names) == (changes.get("use_bn") == 2)
    transformer = random_updown(updown_options("transformer", N_enc=None, d_model=None))
    assert transformer.model.decoder.norm.a_2.shape == (8,)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "vocab.json").unlink(), r"vocab\.json: cannot be read.*words by their numbers"),
        (lambda f: (f / "vocab.json").write_text('{"0": "a"}'), r"vocab\.json.*words by their numbers"),
        (lambda f: (f / "vocab.json").write_text('["a"]'), r"vocab\.json.*words by their numbers"),
        (
            lambda f: (f / "vocab.json").write_text('{"1": "a"}'),
            r"opt\.json: the model has 12 words and vocab\.json has 1",
        ),
        (lambda f: (f / "opt.json").write_text("{"), r"opt\.json: cannot be read"),
        (lambda f: (f / "opt.json").write_text("{}"), r"opt\.json: does not describe a captioner.*caption_model"),
        (
            lambda f: (f / "opt.json").write_text(json.dumps(updown_options("aoa"))),
            r"opt\.json.*'aoa' is not supported",
        ),
        (
            lambda f: (f / "opt.json").write_text(json.dumps(updown_options("updown", use_box=1))),
            "use_box is not supported",
        ),
        (lambda f: (f / "opt.json").unlink(), r"caption\.model.*holds no opt\.json"),
        (lambda f: (f / "model.safetensors").unlink(), r"holds no weights; expected model\.safetensors or"),
        (lambda f: (f / "model.safetensors").write_bytes(b"no"), r"model\.safetensors: is not a checkpoint"),
        (lambda f: save_file({"x": torch.ones(1)}, f / "model.safetensors"), r"model\.safetensors.*missing"),
    ],
)
@only_updown
def test_broken_models(saved, spoil, message):
    spoil(saved)
    with pytest.raises(UserError, match=message):
        load(saved)


@only_updown
def test_a_pickle_is_named_and_not_run(saved):
    class Trap:
        def __reduce__(self):
            return open, (str(saved / "ran"), "w")

    (saved / "infos_best.pkl").write_bytes(pickle.dumps({"vocab": Trap()}))
    assert len(load(saved).words) == 12
    (saved / "vocab.json").unlink()
    with pytest.raises(UserError, match=r"no vocab\.json, and infos_best\.pkl is a pickle.*could run code"):
        load(saved)
    assert not (saved / "ran").exists()


@only_updown
def test_wrong_settings_and_regions(saved):
    with pytest.raises(UserError, match=r"caption\.captions.*caption\.beams"):
        load(saved, beams=2)
    with pytest.raises(UserError, match="reads features"):
        load(saved).caption_regions([Regions([DetectedObject("man")], None, (9, 9))])
    with pytest.raises(UserError, match=r"width 5.*have 4"):
        load(saved).caption_regions([regions_of(2, 4)])
