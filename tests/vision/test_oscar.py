"""VinVL's captioner: reference outputs of the official system, and what holds for any weights."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ita.config import Caption
from ita.errors import UserError
from ita.model.bert import EncoderConfig
from ita.vision.captioners.oscar.captioner import OscarCaptioner
from ita.vision.captioners.oscar.network import BertForImageCaptioning, Context, Dense, Plain, Prefix, dense
from ita.vision.captioners.oscar.search import BeamConfig, search
from ita.vision.types import DetectedObject, Regions

TOLERANCE = 1e-5
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", "do", "not", "##s", "a", "man", "dog", "##gy", "cat"]
WORDS += [f"word{i}" for i in range(30)]


@pytest.fixture(scope="session")
def reference(golden):
    folder = golden / "oscar_captioner"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return folder, json.loads((folder / "golden.json").read_text()), np.load(folder / "golden.npz")


@pytest.fixture
def published(reference, tmp_path):
    """A function that loads a model of the reference as a user would; the settings of a case are its keywords."""
    folder, facts, _ = reference

    def load(model, suffix, beams, captions, most, **options):
        target = tmp_path / f"{model}{suffix}"
        target.mkdir(exist_ok=True)
        name = "pytorch_model.bin" if suffix == ".pytorch_model.bin" else "model.safetensors"
        shutil.copyfile(folder / f"{model}{suffix}", target / name)
        shutil.copyfile(folder / f"{model}.config.json", target / "config.json")
        shutil.copyfile(folder / "vocab.txt", target / "vocab.txt")
        settings = Caption(
            model=str(target), beams=beams, captions=captions, max_tokens=most, device="cpu", precision="fp32"
        )
        slots = {"label_length": facts["od_label_len"], "regions": facts["max_img_seq_length"]}
        return OscarCaptioner(settings, **{**slots, **options})

    return load


def suffixes(folder, model):
    """Files with the weights of a model."""
    return [s for s in (".safetensors", ".pytorch_model.bin") if (folder / f"{model}{s}").is_file()]


def options(case):
    return {
        "beams": case["num_beams"],
        "captions": case["num_keep_best"],
        "most": case["max_length"],
        "length_penalty": case["length_penalty"],
        "labels": case["add_od_labels"],
        "label_position": case["od_labels_start_posid"],
    }


def raw(reference, images):
    """Class names and features of the first images."""
    _, facts, values = reference
    return facts["labels"][:images], [torch.tensor(values[f"raw/feat{i}"]) for i in range(images)]


@pytest.mark.golden
def test_every_search_of_the_reference(reference, published):
    folder, facts, values = reference
    worst = 0.0
    for name, case in facts["cases"].items():
        ids, logprobs = torch.tensor(values[f"{name}/ids"]), torch.tensor(values[f"{name}/logprobs"])
        for suffix in suffixes(folder, case["model"]):
            captioner = published(case["model"], suffix, **options(case))
            names, features = raw(reference, len(ids))
            context = captioner.context(names, features)
            with torch.inference_mode():
                mask, rules = captioner.mask, captioner.rules
                for steps in (
                    Prefix(captioner.model, context, mask, rules.beams, rules.longest),
                    Plain(captioner.model, context, mask, rules.beams),
                ):
                    found = search(steps, len(ids), rules, captioner.device)
                    assert torch.equal(found.ids, ids), name
                    worst = max(worst, float((found.scores - logprobs).abs().max()))
            written = captioner.write(names, features)
            assert [[one.text for one in image] for image in written] == case["captions"], name
            scores = torch.tensor([[one.logprob for one in image] for image in written])
            worst = max(worst, float((scores - logprobs).abs().max()))
    assert worst < TOLERANCE, worst


@pytest.mark.golden
def test_inputs_of_the_reference(reference, published):
    folder, facts, values = reference
    for case in facts["cases"].values():
        stored = {
            key.rsplit("/", 1)[1]: torch.tensor(values[key])
            for key in values.files
            if key.startswith(case["inputs_key"] + "/")
        }
        captioner = published(case["model"], suffixes(folder, case["model"])[0], **options(case))
        images, length = len(stored["input_ids"]), case["max_length"]
        words = torch.full((images, length), captioner.mask)
        words[:, 0], words[:, -1] = captioner.rules.cls, captioner.rules.sep
        built = dense(captioner.context(*raw(reference, images), full=True), words)._asdict()
        for key in ("input_ids", "token_type_ids", "attention_mask", "img_feats"):
            assert torch.equal(built[key], stored[key]), (case["inputs_key"], key)


@pytest.mark.golden
def test_plain_forward_of_the_reference(reference, published):
    folder, facts, values = reference
    given = {
        name: torch.tensor(values[f"{facts['forward_inputs_key']}/{name}"])
        for name in ("input_ids", "token_type_ids", "attention_mask", "img_feats")
    }
    length = given["input_ids"].shape[1]
    seeing = given["attention_mask"].any(-1)
    for model in sorted({case["model"] for case in facts["cases"].values()}):
        captioner = published(model, suffixes(folder, model)[0], 1, 1, 20)
        with torch.inference_mode():
            logits, x = captioner.model(Dense(**given, position_ids=torch.arange(length)[None]))
            pooled = captioner.model.bert.pooled(x)
        expected = {name: torch.tensor(values[f"{model}__forward/{name}"]) for name in ("logits", "sequence_output")}
        assert (logits - expected["logits"])[seeing[:, :length]].abs().max() < TOLERANCE
        assert (x - expected["sequence_output"])[seeing].abs().max() < TOLERANCE
        assert (pooled - torch.tensor(values[f"{model}__forward/pooled_output"])).abs().max() < TOLERANCE


# What holds for any weights


def config(**changes):
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
    return {
        **sizes,
        "vocab_size": len(WORDS),
        "max_position_embeddings": 80,
        "img_feature_dim": 10,
        "img_feature_type": "frcnn",
        "use_img_layernorm": 1,
        "tie_weights": True,
        **changes,
    }


def drawn(about, seed=0):
    """A network of random weights, large enough for its captions to differ."""
    torch.manual_seed(seed)
    model = BertForImageCaptioning(EncoderConfig.of(about)).eval()
    for name, value in model.state_dict().items():
        value.normal_(std=0.5)
        if name.endswith("LayerNorm.weight"):
            value.add_(1)
        if name.endswith("bias"):  # large ones would repeat a word whatever the image
            value.mul_(0.1)
    return model


@pytest.fixture
def saved(tmp_path):
    """Folder of a captioner of random weights with a tied decoder that is not written twice."""
    weights = drawn(config()).state_dict()
    del weights["cls.predictions.decoder.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config()))
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return tmp_path


def loaded(folder, **changes):
    settings = {"beams": 4, "captions": 3, "device": "cpu", "precision": "fp32", "max_tokens": 9}
    return OscarCaptioner(Caption(model=str(folder), **{**settings, **changes}))


def found(count, seed=0, width=4, names=("man", "dog", "cat", "doggy")):
    """Regions of an image with some objects."""
    torch.manual_seed(seed + 100 * count)
    corners = (torch.rand(count, 2) * 50).tolist()
    objects = [
        DetectedObject(names[i % len(names)], 0.9, (x, y, x + 20.0, y + 10.0)) for i, (x, y) in enumerate(corners)
    ]
    return Regions(objects, torch.randn(count, width), (100, 80))


def random_context(images, labels, regions, width):
    """Contexts of different lengths, one of them empty."""
    lengths = torch.randint(0, labels + 1, (images, 1)), torch.randint(0, regions + 1, (images, 1))
    lengths[0][0], lengths[1][0] = 0, 0
    inside = torch.arange(labels) < lengths[0], torch.arange(regions) < lengths[1]
    ids = torch.randint(5, len(WORDS), (images, labels)) * inside[0]
    return Context(ids, inside[0], torch.randn(images, regions, width) * inside[1][:, :, None], inside[1], 40)


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("shape", [(5, 7), (0, 7), (5, 0), (0, 0)])
@pytest.mark.parametrize("seed", [0, 1])
def test_steps_on_a_prefix_equal_recomputation(beams, shape, seed):
    about = config(use_img_layernorm=seed)
    model = drawn(about, seed).double()  # so that nothing but a mistake can make them differ
    context = random_context(3, *shape, about["img_feature_dim"])
    fast, plain = Prefix(model, context, 4, beams, 10), Plain(model, context, 4, beams)
    with torch.inference_mode():
        words = torch.full((3, beams), 2)
        for _ in range(10):
            origins = torch.randint(beams, (3, beams))
            torch.testing.assert_close(fast(words, origins), plain(words, origins))
            words = torch.randint(5, len(WORDS), (3, beams))


def test_a_result_does_not_depend_on_its_batch(saved):
    images = [found(count) for count in (3, 0, 12, 1, 7)]
    alone = [loaded(saved, batch_size=1).caption_regions([image])[0] for image in images]
    for size, order in ((5, range(5)), (2, (4, 2, 0, 1, 3))):
        together = loaded(saved, batch_size=size).caption_regions([images[i] for i in order])
        for i, captions in zip(order, together, strict=True):
            assert [one.text for one in captions] == [one.text for one in alone[i]]
            assert [one.logprob for one in captions] == pytest.approx([one.logprob for one in alone[i]], abs=1e-5)
    assert len({captions[0].text for captions in alone}) > 1  # the network does see the regions


class Table:
    """Steps that answer with a row of logits each, whatever came before; the last row goes on."""

    def __init__(self, *rows):
        self.rows = torch.tensor(rows)
        self.calls = 0

    def __call__(self, words, origins):
        row = self.rows[min(self.calls, len(self.rows) - 1)]
        self.calls += 1
        return row.expand(*words.shape, -1)


# Pieces: 0 [PAD], 1 [CLS], 2 [SEP], 3 and 4 words.
CPU = torch.device("cpu")


def test_last_step_closes_every_candidate_without_its_word_but_with_its_score():
    rows = [-50.0, -50.0, -60.0, 3.0, 0.0], [-50.0, -50.0, -60.0, 0.3, 0.0]
    result = search(Table(*rows), 1, BeamConfig(2, 2, 3, 1, 2, 0), CPU)
    assert result.ids.tolist() == [[[1, 3, 2], [1, 3, 2]]]  # 3 3 and 3 4 without what stands last
    first, second = torch.tensor(rows).log_softmax(1)
    torch.testing.assert_close(result.scores, (first[3] + second[[3, 4]])[None] / 2)


def test_a_search_ends_when_no_caption_can_become_better():
    row = [-50.0, -50.0, 1.0, 0.0, 0.0]
    end, word = torch.tensor(row).log_softmax(0)[[2, 3]].tolist()
    for longest in range(8, 30):
        # The best caption has no word at all. From this step on none could rank higher, were it as long as it may be.
        last = next(t for t in range(2, longest) if ((t - 1) * word + end) / (longest - 1) <= end)
        steps = Table(row)
        result = search(steps, 3, BeamConfig(2, 1, longest, 1, 2, 0), CPU)
        assert steps.calls == last < longest - 1 and result.ids[:, 0, :3].tolist() == [[1, 2, 0]] * 3
    steps = Table(row)
    search(steps, 3, BeamConfig(2, 1, 20, 1, 2, 0, length_penalty=0.0), CPU)
    assert steps.calls == 2
    steps = Table(row)
    greedy = search(steps, 1, BeamConfig(1, 1, 20, 1, 2, 0), CPU)
    assert steps.calls == 1 and greedy.ids[0, 0, :3].tolist() == [1, 2, 0]


def test_images_without_objects(saved):
    nothing = Regions([], None, (100, 80))
    captions = loaded(saved).caption_regions([nothing, Regions([], torch.zeros(0, 4), (9, 9))])
    assert [one.text for one in captions[0]] == [one.text for one in captions[1]] and len(captions[0]) == 3
    assert loaded(saved).caption_regions([]) == []


def test_labels_and_regions_are_cut(saved):
    captioner = loaded(saved, max_tokens=20)
    image = found(60, names=("doggy",))  # two pieces each
    context = captioner.context([" ".join(one.label for one in image.objects)], [captioner.features(image)])
    assert context.labels.shape == (1, 30) and context.labels[0].tolist() == [12, 13] * 14 + [12, 3]
    assert context.regions.shape == (1, 50, 10) and bool(context.inside.all())
    assert torch.equal(context.regions[0], captioner.features(image)[:50])
    short = captioner.context(["man"], [captioner.features(image)[:2]], full=True)
    assert short.labels[0].tolist() == [11, 3] + [0] * 28 and short.labels_inside.sum() == 2
    assert short.regions.shape == (1, 50, 10) and short.regions_inside.sum() == 2 and short.start == 40
    assert loaded(saved, max_tokens=45).context(["man"], [captioner.features(image)]).start == 45


def test_features_end_with_positions(saved):
    image = Regions([DetectedObject("man", 0.5, (10.0, 20.0, 60.0, 40.0))], torch.arange(4.0)[None], (100, 80))
    expected = [0, 1, 2, 3, 0.1, 0.25, 0.6, 0.5, 0.5, 0.25]
    assert loaded(saved).features(image)[0].tolist() == pytest.approx(expected)


def test_text_of_pieces(saved):
    pieces = loaded(saved).pieces
    numbers = {word: i for i, word in enumerate(WORDS)}
    ids = [numbers[word] for word in ("[CLS]", "a", "dog", "##gy", ",", "[UNK]", "man", "do", "not", ".", "[SEP]")]
    assert pieces.text(ids) == "a doggy, man don't."
    assert pieces.text([numbers["##gy"], numbers["##s"]]) == "##gys"  # nothing to join the first one to
    assert pieces.split("A  Doggy", 29) == [10, 12, 13, 3] and pieces.split("", 29) == []


def test_a_piece_can_be_a_line_separator(saved):
    (saved / "vocab.txt").write_text("\n".join([*WORDS[:-1], "\u2028"]) + "\n", encoding="utf-8")
    pieces = loaded(saved).pieces
    assert pieces.list[-1] == "\u2028" and len(pieces.list) == len(WORDS)


def test_old_names_and_other_layouts(saved, tmp_path_factory):
    expected = loaded(saved).caption_regions([found(4)])
    folder = tmp_path_factory.mktemp("old")
    for name in ("config.json", "vocab.txt"):
        shutil.copyfile(saved / name, folder / name)
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in load_file(saved / "model.safetensors").items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(80)[None]
    torch.save(old, folder / "pytorch_model.bin")
    (folder / "training_args.bin").write_bytes(b"never read")
    captioner = loaded(folder)
    assert captioner.caption_regions([found(4)]) == expected
    assert captioner.metadata["class"] == "BertForImageCaptioning"
    assert len(captioner.metadata["weights"]["pytorch_model.bin"]) == 64


def test_naming_a_captioner_imports_no_torch():
    packages = "ita.vision.captioners, ita.vision.captioners.oscar, ita.vision.captioners.updown"
    code = f"import sys, {packages}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_half_precision_runs(saved):
    captions = loaded(saved, precision="bf16").caption_regions([found(4), found(2)])
    assert all(len(image) == 3 and all(one.logprob < 0 for one in image) for image in captions)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "vocab.txt").unlink(), r"vocab\.txt.*put the vocab\.txt there"),
        (lambda f: (f / "vocab.txt").write_text("a\nb\n"), r"vocab\.txt.*no \[PAD\].*put the vocab\.txt there"),
        (lambda f: (f / "vocab.txt").write_text("\n".join([*WORDS, "x"])), r"vocab\.txt.*knows 45 pieces.*has 46"),
        (lambda f: (f / "model.safetensors").unlink(), r"holds no weights; expected model\.safetensors or"),
        (lambda f: (f / "model.safetensors").write_bytes(b"no"), r"model\.safetensors: is not a checkpoint"),
        (lambda f: save_file({"x": torch.ones(1)}, f / "model.safetensors"), r"model\.safetensors.*missing"),
        (lambda f: (f / "config.json").write_text("{"), r"config\.json: can not be read.*fetch the model anew"),
        (lambda f: (f / "config.json").write_text('{"model_type": "blip"}'), r"caption\.model.*no captioner of Oscar"),
        (lambda f: (f / "config.json").write_text(json.dumps(config(img_feature_type="e2e"))), "img_feature_type"),
        (
            lambda f: (f / "config.json").write_text(json.dumps(config(max_position_embeddings=60))),
            r"60 positions.*need 70",
        ),
    ],
)
def test_broken_models(saved, spoil, message):
    spoil(saved)
    with pytest.raises(UserError, match=message):
        loaded(saved)


def test_wrong_settings_and_regions(saved):
    with pytest.raises(UserError, match=r"caption\.captions.*caption\.beams"):
        loaded(saved, beams=2)
    with pytest.raises(UserError, match=r"caption\.max_tokens"):
        loaded(saved, max_tokens=2)
    captioner, image = loaded(saved), found(2)
    with pytest.raises(UserError, match="reads features and boxes"):
        captioner.caption_regions([Regions(image.objects, None, image.size)])
    with pytest.raises(UserError, match="reads features and boxes"):
        captioner.caption_regions([Regions([DetectedObject("man")], torch.zeros(1, 4), image.size)])
    with pytest.raises(UserError, match=r"width 4.*have 5"):
        captioner.caption_regions([found(2, width=5)])
