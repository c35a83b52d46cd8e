"""VinVL's captioner with any weights; tests/golden has the reference outputs."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from ita.config import Caption
from ita.errors import UserError
from ita.vision.captioners.oscar.captioner import OscarCaptioner
from ita.vision.captioners.oscar.decoding import CachedDecoder, UncachedDecoder
from ita.vision.captioners.oscar.inputs import Context, InputConfig, make_context, make_inputs
from ita.vision.captioners.oscar.search import BeamConfig, search
from ita.vision.types import DetectedObject, Regions
from tests.support.captioners import SUBWORDS, oscar_config, random_oscar, regions_of, save_oscar

LABELS = ("man", "dog", "cat", "doggy")
CPU = torch.device("cpu")


@pytest.fixture
def saved(tmp_path):
    """Folder of a captioner."""
    save_oscar(tmp_path)
    return tmp_path


def load(folder, **changes):
    settings = {"beams": 4, "captions": 3, "device": "cpu", "precision": "fp32", "max_tokens": 9}
    return OscarCaptioner(Caption(model=str(folder), **{**settings, **changes}))


def regions(count):
    """Regions of an image with objects of several labels."""
    return regions_of(count, 4, LABELS)


def random_context(images, labels, regions, width):
    """Contexts of different lengths, one of them empty."""
    label_lengths, region_lengths = (
        torch.randint(0, labels + 1, (images, 1)),
        torch.randint(0, regions + 1, (images, 1)),
    )
    label_lengths[0], region_lengths[0] = 0, 0
    label_mask, region_mask = torch.arange(labels) < label_lengths, torch.arange(regions) < region_lengths
    ids = torch.randint(5, len(SUBWORDS), (images, labels)) * label_mask
    return Context(ids, label_mask, torch.randn(images, regions, width) * region_mask[:, :, None], region_mask, 40)


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("shape", [(5, 7), (0, 7), (5, 0), (0, 0)])
@pytest.mark.parametrize("seed", [0, 1])
def test_cached_decoder_equals_uncached_decoder(beams, shape, seed):
    config = oscar_config(use_img_layernorm=seed)
    model = random_oscar(config, seed).double()  # so that only a mistake can make them differ
    context = random_context(3, *shape, config["img_feature_dim"])
    cached, uncached = CachedDecoder(model, context, 4, beams, 10), UncachedDecoder(model, context, 4, beams)
    with torch.inference_mode():
        last_ids = torch.full((3, beams), 2)
        for _ in range(10):
            parents = torch.randint(beams, (3, beams))
            torch.testing.assert_close(cached(last_ids, parents), uncached(last_ids, parents))
            last_ids = torch.randint(5, len(SUBWORDS), (3, beams))


def test_a_caption_attends_to_its_past_and_to_its_context():
    context = random_context(2, 3, 4, 5)
    inputs = make_inputs(context, torch.tensor([[2, 10, 11]] * 2))
    assert inputs.input_ids.shape == inputs.position_ids.shape == (2, 6)
    assert inputs.position_ids[0].tolist() == [0, 1, 2, 40, 41, 42]
    mask = inputs.attention_mask.bool()
    assert mask[:, :3, :3].tolist() == [[[True, False, False], [True, True, False], [True, True, True]]] * 2
    assert torch.equal(mask[:, :3, 3:], context.mask[:, None].expand(-1, 3, -1))
    assert not mask[:, 3:, :3].any()
    assert torch.equal(mask[:, 3:, 3:], context.mask[:, None] & context.mask[:, :, None])
    assert (
        torch.equal(inputs.token_type_ids[:, 3:], context.label_mask.long()) and not inputs.token_type_ids[:, :3].any()
    )


def test_a_result_does_not_depend_on_its_batch(saved):
    images = [regions(count) for count in (3, 0, 12, 1, 7)]
    alone = [load(saved, batch_size=1).caption_regions([image])[0] for image in images]
    for size, order in ((5, range(5)), (2, (4, 2, 0, 1, 3))):
        together = load(saved, batch_size=size).caption_regions([images[i] for i in order])
        for i, captions in zip(order, together, strict=True):
            assert [caption.text for caption in captions] == [caption.text for caption in alone[i]]
            logprobs = [caption.logprob for caption in captions]
            assert logprobs == pytest.approx([caption.logprob for caption in alone[i]], abs=1e-5)
    assert len({captions[0].text for captions in alone}) > 1  # the regions do have an effect


class TableDecoder:
    """A decoder that answers each step with the next row of logits, whatever the beams; the last row repeats."""

    def __init__(self, *rows):
        self.rows = torch.tensor(rows)
        self.calls = 0

    def __call__(self, last_ids, parents):
        row = self.rows[min(self.calls, len(self.rows) - 1)]
        self.calls += 1
        return row.expand(*last_ids.shape, -1)


# Subwords of the table: 0 [PAD], 1 [CLS], 2 [SEP], 3 and 4 words.
TABLE_BEAM = BeamConfig(2, 2, 3, cls_id=1, sep_id=2, pad_id=0)


def test_last_step_closes_every_candidate_without_its_word_but_with_its_score():
    rows = [-50.0, -50.0, -60.0, 3.0, 0.0], [-50.0, -50.0, -60.0, 0.3, 0.0]
    captions = search(TableDecoder(*rows), 1, TABLE_BEAM, CPU)
    assert captions.ids.tolist() == [[[1, 3, 2], [1, 3, 2]]]  # 3 3 and 3 4 without their last word
    first, second = torch.tensor(rows).log_softmax(1)
    torch.testing.assert_close(captions.scores, (first[3] + second[[3, 4]])[None] / 2)


def test_more_captions_than_beams():
    rows = [-50.0, -50.0, -60.0, 3.0, 0.0], [-50.0, -50.0, -60.0, 0.3, 0.0]
    captions = search(TableDecoder(*rows), 1, replace(TABLE_BEAM, captions=5), CPU)
    assert captions.ids.tolist() == [[[1, 3, 2]] * 2 + [[1, 4, 2]] * 2 + [[0, 0, 0]]]
    assert captions.scores.isfinite().tolist() == [[True] * 4 + [False]]


def test_a_search_ends_when_no_caption_can_become_better():
    row = [-50.0, -50.0, 1.0, 0.0, 0.0]
    end, word = torch.tensor(row).log_softmax(0)[[2, 3]].tolist()
    for max_length in range(8, 30):
        # The best caption has no word at all. From this step on none could rank higher, were it as long as it may be.
        last = next(t for t in range(2, max_length) if ((t - 1) * word + end) / (max_length - 1) <= end)
        decoder = TableDecoder(row)
        captions = search(decoder, 3, replace(TABLE_BEAM, captions=1, max_length=max_length), CPU)
        assert decoder.calls == last < max_length - 1 and captions.ids[:, 0, :3].tolist() == [[1, 2, 0]] * 3
    decoder = TableDecoder(row)
    search(decoder, 3, replace(TABLE_BEAM, captions=1, max_length=20, length_penalty=0.0), CPU)
    assert decoder.calls == 2
    decoder = TableDecoder(row)
    greedy = search(decoder, 1, replace(TABLE_BEAM, beams=1, captions=1, max_length=20), CPU)
    assert decoder.calls == 1 and greedy.ids[0, 0, :3].tolist() == [1, 2, 0]
    assert greedy.scores.tolist() == [[pytest.approx(end)]]


def test_images_without_objects(saved):
    no_objects = [Regions([], None, (100, 80)), Regions([], torch.zeros(0, 4), (9, 9))]
    captions = load(saved).caption_regions(no_objects)
    assert captions[0] == captions[1] and len(captions[0]) == 3
    assert load(saved).caption_regions([]) == []


def test_labels_and_regions_are_truncated(saved):
    captioner = load(saved, max_tokens=20)
    image = regions_of(60, 4, ("doggy",))  # two subwords each
    features = captioner.features(image)
    labels = " ".join(item.label for item in image.objects)
    context = captioner.context([labels, "man"], [features, features[:2]])
    assert context.label_ids.shape == (2, 30) and context.label_ids[0].tolist() == [12, 13] * 14 + [12, 3]
    assert context.regions.shape == (2, 50, 10) and context.mask.sum(1).tolist() == [80, 4]
    assert torch.equal(context.regions[0], features[:50])
    assert context.label_ids[1].tolist() == [11, 3] + [0] * 28 and context.label_mask[1].sum() == 2
    assert not context.regions[1, 2:].any() and context.region_mask[1].sum() == 2 and context.label_position == 40
    assert load(saved, max_tokens=45).context(["man"], [features]).label_position == 45


def test_labels_need_not_be_read(saved):
    tokenizer, config = load(saved).tokenizer, InputConfig(max_label_subwords=0, max_regions=1)
    context = make_context(["man dog"], [torch.ones(3, 10)], tokenizer, config, CPU)
    assert context.label_ids.shape == (1, 0) and context.mask.tolist() == [[True]]


def test_features_end_with_positions(saved):
    image = Regions([DetectedObject("man", 0.5, (10.0, 20.0, 60.0, 40.0))], torch.arange(4.0)[None], (100, 80))
    expected = [0, 1, 2, 3, 0.1, 0.25, 0.6, 0.5, 0.5, 0.25]
    assert load(saved).features(image)[0].tolist() == pytest.approx(expected)


def test_text_of_subwords(saved):
    tokenizer = load(saved).tokenizer
    numbers = {word: i for i, word in enumerate(SUBWORDS)}
    ids = [numbers[word] for word in ("[CLS]", "a", "dog", "##gy", ",", "[UNK]", "man", "do", "not", ".", "[SEP]")]
    assert tokenizer.decode(ids) == "a doggy, man don't."
    assert tokenizer.decode([numbers["##gy"], numbers["##s"]]) == "##gys"  # nothing to join the first one to
    assert tokenizer.encode("A  Doggy", 30) == [10, 12, 13, 3] and tokenizer.encode("", 30) == []
    assert tokenizer.encode("A  Doggy", 3) == [10, 12, 3]


def test_a_subword_can_be_a_line_separator(saved):
    (saved / "vocab.txt").write_text("\n".join([*SUBWORDS[:-1], "\u2028"]) + "\n", encoding="utf-8")
    subwords = load(saved).tokenizer.subwords
    assert subwords[-1] == "\u2028" and len(subwords) == len(SUBWORDS)


def test_old_names_and_other_layouts(saved, tmp_path_factory):
    expected = load(saved).caption_regions([regions(4)])
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
    captioner = load(folder)
    assert captioner.caption_regions([regions(4)]) == expected
    assert captioner.metadata["class"] == "BertForImageCaptioning"
    assert len(captioner.metadata["weights"]["pytorch_model.bin"]) == 64


def test_naming_a_captioner_imports_no_torch():
    packages = ["ita.vision.captioners", "ita.vision.captioners.oscar", "ita.vision.captioners.updown"]
    code = f"import sys, {', '.join(packages)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_half_precision(saved):
    half, full = load(saved, precision="bf16"), load(saved)
    assert half.model.bert.img_embedding.weight.dtype == torch.bfloat16
    assert {weight.dtype for weight in half.model.cls.parameters()} == {torch.float32}
    images = [regions(4), regions(2)]
    for rough, exact in zip(half.caption_regions(images), full.caption_regions(images), strict=True):
        assert len(rough) == 3
        assert rough[0].logprob == pytest.approx(exact[0].logprob, rel=0.2)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "vocab.txt").unlink(), r"vocab\.txt.*put the vocab\.txt there"),
        (lambda f: (f / "vocab.txt").write_text("a\nb\n"), r"vocab\.txt.*no \[PAD\].*put the vocab\.txt there"),
        (lambda f: (f / "vocab.txt").write_text("\n".join([*SUBWORDS, "x"])), r"vocab\.txt.*45 subwords.*has 46"),
        (lambda f: (f / "model.safetensors").unlink(), r"holds no weights; expected model\.safetensors or"),
        (lambda f: (f / "model.safetensors").write_bytes(b"no"), r"model\.safetensors: is not a checkpoint"),
        (lambda f: save_file({"x": torch.ones(1)}, f / "model.safetensors"), r"model\.safetensors.*missing"),
        (lambda f: (f / "config.json").write_text("{"), r"config\.json: cannot be read.*fetch the model anew"),
        (lambda f: (f / "config.json").write_text('{"model_type": "blip"}'), r"caption\.model.*no captioner of Oscar"),
        (
            lambda f: (f / "config.json").write_text(json.dumps(oscar_config(img_feature_type="e2e"))),
            "img_feature_type",
        ),
        (
            lambda f: (f / "config.json").write_text(json.dumps(oscar_config(max_position_embeddings=60))),
            r"60 positions.*need 70",
        ),
    ],
)
def test_broken_models(saved, spoil, message):
    spoil(saved)
    with pytest.raises(UserError, match=message):
        load(saved)


def test_wrong_settings_and_regions(saved):
    with pytest.raises(UserError, match=r"caption\.captions.*caption\.beams"):
        load(saved, beams=2)
    with pytest.raises(UserError, match=r"caption\.max_tokens"):
        load(saved, max_tokens=2)
    captioner, image = load(saved), regions(2)
    with pytest.raises(UserError, match="reads features and boxes"):
        captioner.caption_regions([Regions(image.objects, None, image.size)])
    with pytest.raises(UserError, match="reads features and boxes"):
        captioner.caption_regions([Regions([DetectedObject("man")], torch.zeros(1, 4), image.size)])
    with pytest.raises(UserError, match=r"width 4.*have 5"):
        captioner.caption_regions([regions_of(2, 5)])
