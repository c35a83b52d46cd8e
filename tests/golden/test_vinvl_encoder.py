"""VinVL's encoder (BertImgModel) against outputs of the official code, and taggers composed of it."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from ita.config import System
from ita.io.features import position_features
from ita.model.batching import collate
from ita.model.inputs import EncodedView
from ita.model.padded_attention import PaddedAttention
from ita.model.tagger import Tagger
from tests.golden.upstream import Reference, bert

pytestmark = pytest.mark.golden


@pytest.fixture(params=["float32", "float64"])
def reference(golden, request):
    if not (golden / "vinvl_encoder").is_dir():
        pytest.skip("no reference outputs of VinVL's encoder in this set")
    return Reference(golden / "vinvl_encoder", request.param)


def region_features(reference):
    """Upstream's region features of each post, without padding, and how many there are."""
    counts = [len(reference.array(f"raw/boxes{number}")) for number in range(len(reference.facts["image_sizes_wh"]))]
    padded = reference.array("in/img_feats")
    return [post[:count] for post, count in zip(padded, counts, strict=True)], counts


def build(reference, model):
    """A tagger around one of the encoders, whose head is not compared."""
    config = json.loads((reference.folder / f"{model}.config.json").read_text())
    weights = reference.weights(f"{model}.safetensors")
    encoder = bert(config, weights, "", ("pooler.", "img_embedding.", "LayerNorm."))
    embedding = "normalised" if config["use_img_layernorm"] else "plain"
    system = System(region_embedding=embedding, context_segment="second", regions="vinvl", views=["it"])
    tagger = Tagger(encoder, ["O"], 0.0, region_dim=config["img_feature_dim"], system=system).to(reference.dtype)
    linear, normalisation = ("0.", "1.") if embedding == "normalised" else ("", None)
    image = {f"{linear}{name}": weights[f"img_embedding.{name}"] for name in ("weight", "bias")}
    if normalisation:
        image |= {f"{normalisation}{name}": weights[f"LayerNorm.{name}"] for name in ("weight", "bias")}
    tagger.projection.load_state_dict(image, assign=True)
    return tagger.eval()


def batch_of(reference, inputs, counts, layout):
    """Every input labelled; the second segment begins where upstream's token type changes."""
    ids, types = reference.array(f"{inputs}/input_ids"), reference.array(f"{inputs}/token_type_ids")
    mask = reference.array(f"{inputs}/attention_mask")
    mask = (mask if mask.dim() == 2 else torch.diagonal(mask, dim1=1, dim2=2))[:, : ids.shape[1]].bool()
    posts, start = [], 0
    for row, there, kinds, count in zip(ids.numpy(), mask.numpy(), types.numpy(), counts, strict=True):
        subwords = row[there].astype(np.int32)
        second = int(np.argmax(kinds)) if kinds.any() else None
        every = np.arange(len(subwords) + count, dtype=np.int32)
        regions = np.arange(start, start + count, dtype=np.int32)
        posts.append(EncodedView(subwords, (len(every),), every, 0, regions, context_start=second))
        start += count
    return collate([posts], layout), mask


def test_region_features(reference):
    expected, _ = region_features(reference)
    for number, size in enumerate(reference.facts["image_sizes_wh"]):
        boxes, visual = reference.array(f"raw/boxes{number}"), reference.array(f"raw/visual{number}")
        positions = torch.from_numpy(position_features(boxes.float().numpy(), tuple(size)))
        features = torch.cat([visual.float(), positions], 1)
        torch.testing.assert_close(features, expected[number].float(), atol=1e-6, rtol=1e-6)


def test_sequence_output(reference):
    for case, facts in reference.facts["cases"].items():
        if reference.array(f"{facts['inputs']}/attention_mask").dim() == 3:
            continue  # below: our batches see whole rows
        tagger = build(reference, facts["model"])
        posts, counts = region_features(reference)
        counts = counts if facts["img_feats"] else [0] * len(counts)
        batch, mask = batch_of(reference, facts["inputs"], counts, tagger.layout)
        tagger.set_region_features(torch.cat(posts).to(reference.dtype))
        vectors = tagger.word_vectors(batch)
        length = reference.array(f"{facts['inputs']}/input_ids").shape[1]
        for number, count in enumerate(counts):
            text = int(mask[number].sum())
            compare_rows(reference, case, number, vectors[number, :text], slice(0, text))
            if reference.name == "float32":  # the set has the text part alone in double precision
                compare_rows(
                    reference, case, number, vectors[number, text : text + count], slice(length, length + count)
                )


def compare_rows(reference, case, number, vectors, rows):
    """Vectors of one post against some rows of upstream's sequence output."""
    expected = reference.array(f"{case}/sequence_output")[number, rows]
    torch.testing.assert_close(vectors, expected, atol=reference.tolerances[0], rtol=reference.tolerances[0])


def test_a_mask_for_each_query(reference):
    """The layers under upstream's 3-D mask, in which words see regions but not tags."""
    for case, facts in reference.facts["cases"].items():
        full = reference.array(f"{facts['inputs']}/attention_mask")
        if full.dim() != 3:
            continue
        tagger = build(reference, facts["model"])
        posts, counts = region_features(reference)
        batch, mask = batch_of(reference, facts["inputs"], counts, tagger.layout)
        tagger.set_region_features(torch.cat(posts).to(reference.dtype))
        encoder = tagger.encoder
        packed = encoder.embeddings(batch, tagger._project(batch), True)
        length = mask.shape[1]
        width = full.shape[1]
        x = packed.new_zeros(len(counts), width, packed.shape[1])
        sizes = [int(row.sum()) + count for row, count in zip(mask, counts, strict=True)]
        for number, (post, count) in enumerate(zip(packed.split(sizes), counts, strict=True)):
            x[number, : len(post) - count] = post[: len(post) - count]
            x[number, length : length + count] = post[len(post) - count :]
        seen = full.bool() | ~full.bool().any(2, keepdim=True)  # rows that see nothing are not compared
        for layer in encoder.encoder.layer:
            x = layer(x, x, PaddedAttention(encoder.config.num_attention_heads, seen))
        for number in range(len(counts)):
            rows = full[number].bool().any(1).nonzero().flatten()
            rows = rows[rows < length] if reference.name == "float64" else rows
            compare_rows(reference, case, number, x[number, rows], rows)


def test_composed_taggers(reference):
    """Linear layer and CRF on VinVL's word features alone, and on those of two encoders."""
    if reference.name != "float64":
        pytest.skip("the composed taggers are given in double precision")
    facts = reference.facts
    heads = reference.weights("heads.safetensors")
    tags, mask = reference.array("composed/tags"), reference.array("composed/word_mask").bool()
    lengths = mask.sum(1)
    features, batches, taggers = [], [], []
    for model, inputs, image in (("ln", "in/words_tags", True), ("noln", "in/words", False)):
        tagger = build(reference, model)
        posts, counts = region_features(reference)
        batch, _ = batch_of(reference, inputs, counts if image else [0] * len(counts), tagger.layout)
        first = np.full(mask.shape, -1)
        for row, positions in enumerate(facts["first_subtoken"]):
            first[row, : len(positions)] = positions
        index = torch.where(
            torch.from_numpy(first) < 0, -1, batch.word_index.gather(1, torch.from_numpy(first).clamp(min=0))
        )
        tagger.set_region_features(torch.cat(posts).to(reference.dtype))
        batches.append(dataclasses.replace(batch, word_index=index))
        taggers.append(tagger)
        features.append(tagger.word_vectors(batches[-1]))
    vinvl, text = features
    system = System(region_embedding="normalised", regions="vinvl", views=["it"], encoders=["{encoder}", "vinvl"])
    options = {"region_dim": taggers[0].projection[0].in_features, "further_encoders": [taggers[0].encoder]}
    both = Tagger(taggers[1].encoder, ["O"], 0.0, system=system, **options).double()
    both.projection.load_state_dict(taggers[0].projection.state_dict())
    both.set_region_features(taggers[0].region_features)
    joined = both.eval().word_vectors(dataclasses.replace(batches[1], beside=(batches[0],)))
    torch.testing.assert_close(joined, torch.cat([text, vinvl], 2), atol=0, rtol=0)
    for name, vectors in (("vinvl_crf", vinvl), ("bert_vinvl_crf", joined)):
        emissions = vectors @ heads[f"{name}.weight"].T + heads[f"{name}.bias"]
        crf = Tagger(tagger.encoder, ["O"] * len(heads[f"{name}.bias"]), 0.0).crf
        names = {"start": "start_transitions", "transitions": "transitions", "end": "end_transitions"}
        crf.load_state_dict({ours: heads[f"{name}.crf.{theirs}"] for ours, theirs in names.items()}, assign=True)
        expected = reference.arrays[f"composed/{name}/emissions"]
        torch.testing.assert_close(emissions[mask], torch.from_numpy(expected)[mask], atol=1e-9, rtol=1e-9)
        loss = crf.nll(emissions, tags, lengths).mean()
        assert loss.item() == pytest.approx(facts["composed"][name]["nll_mean"], rel=1e-9)
        decoded = crf.decode(emissions, lengths)
        paths = [row[:length].tolist() for row, length in zip(decoded, lengths, strict=True)]
        assert paths == facts["composed"][name]["decoded"]
