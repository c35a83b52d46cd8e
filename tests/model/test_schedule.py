"""The micro-batches of an epoch, and that their losses are those of the posts one by one."""

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
import torch

from ita.config import Encoder, Loss, System, Train
from ita.model.batching import collate
from ita.model.checkpoint import load_encoder
from ita.model.dataset import EncodedPosts
from ita.model.inputs import EncodedView
from ita.model.losses import compute_loss, posterior_alignment, structural_alignment
from ita.model.schedule import TrainingConfig, drop_contexts, epoch_updates, updates_per_epoch
from ita.model.tagger import Tagger

NAMES = ["O", "B-PER", "I-PER", "E-PER", "S-PER"]
POSTS = 23
JOINT = System(context="ga", views=["t", "it"])
CVA = replace(JOINT, alignment="posterior")
STRUCTURAL = replace(JOINT, alignment="structural")


@pytest.fixture(scope="module")
def examples():
    draw = np.random.default_rng(0)

    def view(words, context):
        ids = [2, *draw.integers(5, 40, words + context), 3]
        return EncodedView(np.array(ids, np.int32), (len(ids),), np.arange(1, words + 1, dtype=np.int32), 0)

    words = draw.integers(1, 12, POSTS).tolist()
    views = {"t": [view(n, 0) for n in words], "it": [view(n, int(draw.integers(0, 20))) for n in words]}
    return EncodedPosts(views, [draw.integers(0, 5, n).tolist() for n in words], [["O"] * n for n in words])


@pytest.fixture(scope="module")
def tagger(tiny_encoder):
    torch.manual_seed(0)
    tagger = Tagger(load_encoder(Encoder(model=str(tiny_encoder)))[0], NAMES, 0.1).eval()
    torch.nn.init.normal_(tagger.linear.weight, std=0.5)
    torch.nn.init.normal_(tagger.crf.transitions)
    return tagger


def configure(system, loss=None, **train):
    settings = Train(**{"batch_size": 6, **train})
    loss = loss or Loss(text=1.0, image_text=0.5, alignment=0.25, temperature=2.0)
    return TrainingConfig(settings, system, loss, 1, NAMES, torch.device("cpu"), torch.float32)


def rows_of(batch):
    """(view, words of the post, whether its likelihood counts) of each row of a micro-batch."""
    views = ["t"] * batch.text_rows + ["it"] * (len(batch.loss_mask) - batch.text_rows)
    return list(zip(views, batch.inputs.lengths.tolist(), batch.loss_mask.tolist(), strict=True))


@pytest.mark.parametrize("schedule", ["paired", "official"])
@pytest.mark.parametrize("system", [JOINT, CVA, replace(JOINT, views=["t"]), replace(JOINT, views=["it"])])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_an_epoch_learns_every_view_of_every_post_once(examples, schedule, system, accumulation):
    config = configure(system, schedule=schedule, gradient_accumulation=accumulation)
    updates = epoch_updates(examples, config, 0)
    assert len(updates) == updates_per_epoch(POSTS, config)
    rows = [row for update in updates for batch in update for row in rows_of(batch)]
    for view in ("t", "it"):
        learned = sorted(words for of, words, counts in rows if of == view and counts)
        assert learned == (sorted(map(len, examples.tags)) if view in system.views else [])
    students = [batch.student.numel() for update in updates for batch in update]
    assert sum(students) == (POSTS if system.alignment != "none" else 0)
    # Only the official schedule reads a text view for alignment alone.
    extra = sum(counts == 0 for _, _, counts in rows)
    assert extra == (POSTS if schedule == "official" and system.alignment != "none" else 0)


@pytest.mark.parametrize("schedule", ["paired", "official"])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_text_alone_gets_as_many_updates_as_two_views(examples, schedule, accumulation):
    settings = {"schedule": schedule, "gradient_accumulation": accumulation}
    control = configure(replace(JOINT, views=["t"]), sentences_per_post=2, **settings)
    updates = epoch_updates(examples, control, 0)
    assert len(updates) == updates_per_epoch(POSTS, control) == updates_per_epoch(POSTS, configure(CVA, **settings))
    learned = sorted(words for update in updates for batch in update for _, words, _ in rows_of(batch))
    assert learned == sorted(map(len, examples.tags))


def test_pairs_are_views_of_one_post(examples):
    for schedule in ("paired", "official"):
        for update in epoch_updates(examples, configure(CVA, schedule=schedule), 0):
            for batch in update:
                rows = rows_of(batch)
                for student, teacher in zip(batch.student.tolist(), batch.teacher.tolist(), strict=True):
                    assert (rows[student][0], rows[teacher][0]) == ("t", "it")
                    assert torch.equal(batch.tags[student], batch.tags[teacher])


def test_epochs_differ_and_repeat(examples):
    def order(epoch, schedule):
        updates = epoch_updates(examples, configure(CVA, schedule=schedule), epoch)
        return [batch.inputs.ids.tolist() for update in updates for batch in update]

    for schedule in ("paired", "official"):
        assert order(0, schedule) == order(0, schedule) != order(1, schedule)
    assert sorted(order(0, "official")) == sorted(order(1, "official")), "batches are cut once"


@pytest.mark.parametrize("system", [CVA, STRUCTURAL, JOINT, replace(JOINT, views=["it"])])
@pytest.mark.parametrize("schedule", ["paired", "official"])
def test_losses_of_an_epoch_are_those_of_the_posts_one_by_one(examples, tagger, system, schedule):
    config = configure(system, schedule=schedule)
    sums = {}
    for update in epoch_updates(examples, config, 0):
        for batch in update:
            for name, value in compute_loss(tagger, batch, config)[1].items():
                sums[name] = sums.get(name, 0) + float(value.detach())
    expected = dict.fromkeys(sums, 0.0)
    for post in range(POSTS):
        length = torch.tensor([len(examples.tags[post])])
        tags = torch.tensor([examples.tags[post]])
        emissions = {view: tagger.emissions(collate([[examples.views[view][post]]])).detach() for view in ("t", "it")}
        for view in system.views:
            expected[view] += float(tagger.crf.nll(emissions[view], tags, length).detach())
        if system.alignment == "posterior":
            t, it = (tagger.crf.forward_backward(emissions[view], length)[1] for view in ("t", "it"))
            expected["alignment"] += float(posterior_alignment(it, t, length, 2.0).detach())
        elif system.alignment == "structural":
            both = emissions["it"], emissions["t"]
            expected["alignment"] += float(structural_alignment(tagger.crf, *both, length, 2.0).detach())
    assert sums == pytest.approx(expected, rel=1e-4)


def test_weights_and_means(examples, tagger):
    """A batch's loss: weighted means over its posts; an update's: the mean of its steps."""
    config = configure(CVA, gradient_accumulation=2)
    for update in epoch_updates(examples, config, 0):
        for batch in update:
            loss, terms = compute_loss(tagger, batch, config)
            posts = batch.text_rows
            expected = (terms["t"] + 0.5 * terms["it"] + 0.25 * terms["alignment"]) / posts / len(update)
            torch.testing.assert_close(loss, expected)
    (batch,) = epoch_updates(examples, configure(replace(JOINT, views=["it"]), batch_size=50), 0)[0]
    loss, terms = compute_loss(tagger, batch, configure(replace(JOINT, views=["it"])))
    torch.testing.assert_close(loss, terms["it"] / POSTS, msg="one view has weight one")


@pytest.mark.parametrize("schedule", ["paired", "official"])
@pytest.mark.parametrize("system", [CVA, STRUCTURAL])
def test_a_budget_of_subwords_changes_no_gradient(examples, tagger, system, schedule):
    grads = []
    for budget in (100_000, 40, 1):
        config = configure(system, schedule=schedule, batch_size=16, max_subwords=budget)
        (update, *_) = epoch_updates(examples, config, 0)
        tagger.zero_grad()
        for batch in update:
            compute_loss(tagger, batch, config)[0].backward()
        grads.append([p.grad.clone() for p in tagger.parameters() if p.grad is not None])
        if budget == 1:
            assert len(update) == round(1 / update[0].loss_scale) > 1, "one post at a time"
    for gradients in grads[1:]:
        for gradient, expected in zip(gradients, grads[0], strict=True):
            torch.testing.assert_close(gradient, expected, atol=1e-5, rtol=1e-4)


def test_no_gradient_reaches_the_teacher(examples, tagger, monkeypatch):
    """With likelihoods switched off, no gradient reaches the image-text rows."""
    silent = Loss(text=0.0, image_text=0.0, alignment=1.0, temperature=1.0)
    for system in (CVA, STRUCTURAL):
        config = configure(system, silent)
        batch = epoch_updates(examples, config, 0)[0][0]
        emissions = tagger.emissions(batch.inputs).detach().requires_grad_()
        monkeypatch.setattr(Tagger, "classify", lambda self, vectors, fixed=emissions: fixed)
        compute_loss(tagger, batch, config)[0].backward()
        monkeypatch.undo()
        assert not emissions.grad[batch.text_rows :].any()
        assert emissions.grad[: batch.text_rows].any()


def test_an_epoch_lies_on_the_device_before_it_starts(examples):
    """Every tensor of every batch, so that no batch copies anything."""

    def tensors(held):
        if isinstance(held, torch.Tensor):
            yield held
        elif isinstance(held, list | tuple):
            for item in held:
                yield from tensors(item)
        elif is_dataclass(held):
            yield from tensors([getattr(held, item.name) for item in fields(held)])

    elsewhere = replace(configure(CVA), device=torch.device("meta"))
    placed = list(tensors(epoch_updates(examples, elsewhere, 0)))
    assert len(placed) > 100
    assert {tensor.device.type for tensor in placed} == {"meta"}


def test_a_share_of_the_contexts_is_dropped_anew_in_each_epoch(examples):
    config = configure(JOINT, context_dropout=0.4)
    with_context = {id(view) for view in examples.views["it"]}
    dropped = []
    for epoch in range(200):
        posts = drop_contexts(examples, config, epoch)
        assert posts.views["t"] is examples.views["t"]
        dropped.append([id(view) not in with_context for view in posts.views["it"]])
        for drop, view, text in zip(dropped[-1], posts.views["it"], examples.views["t"], strict=True):
            assert (view is text) == drop
    share = np.array(dropped).mean(axis=0)
    assert (abs(share - 0.4) < 0.15).all() and len(set(map(tuple, dropped))) > 190
    assert drop_contexts(examples, config, 3).views["it"] == drop_contexts(examples, config, 3).views["it"]
    subwords = sum(batch.inputs.size for update in epoch_updates(examples, config, 0) for batch in update)
    whole = sum(view.length for posts in examples.views.values() for view in posts)
    assert subwords < whole
    assert drop_contexts(examples, configure(JOINT), 0) is examples
