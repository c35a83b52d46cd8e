"""Steps of the official code of UMT, UMGF and RpBERT, for ``benchmarks/systems.py``.

The model classes are imported from checkouts of their repositories; what they need besides torch, transformers and
pytorch-crf is replaced by the smallest stand-ins:

* masks of CRFs are made Boolean (today's torch takes no others);
* ResNet is left out: image features are given, as ours read them from their cache;
* downloads, flair and torchvision are empty modules; UMGF's and RpBERT's BERT is that of transformers, UMT's its own.

Everything else is theirs: padding, two-pass encoding, losses, optimisers (UMT: BertAdam, others: torch's Adam).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import torch
import torchcrf
from torch import Tensor, nn
from transformers import BertConfig, BertModel

MAX_LENGTH = 128
"""What UMT and UMGF pad every post to."""


class Steps(NamedTuple):
    """Training on some posts of a batch, and tagging them."""

    train: Callable[[Sequence[int]], None]
    tag: Callable[[Sequence[int]], None]


class BooleanMaskCRF(torchcrf.CRF):
    """pytorch-crf with masks of bytes made Boolean."""

    def forward(self, emissions: Tensor, tags: Tensor, mask: Tensor, reduction: str = "sum") -> Tensor:
        """Log-likelihood."""
        return super().forward(emissions, tags, mask.bool(), reduction)

    def decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """Best paths."""
        return super().decode(emissions, mask.bool())


def build(name: str, checkout: Path, task: Any, sizes: dict[str, Any], device: str, padded: bool) -> Steps:
    """The official code of a system on the posts of a task.

    Args:
        name: of the system.
        checkout: folder of its repository.
        task: posts, labels, tokenizer and image features (see ``systems.Task``).
        sizes: of BERT.
        device: cpu or cuda.
        padded: every post to 128 subwords, as published; else to the longest of its batch.
    """
    sys.path.insert(0, str(checkout))
    sys.modules["torchcrf"].CRF = BooleanMaskCRF  # type: ignore[attr-defined]
    torch.manual_seed(0)
    if name == "umt":
        return _umt(task, sizes, device, padded)
    if name == "umgf":
        return _umgf(task, sizes, device, padded)
    return _rpbert(task, sizes, device, gate=name == "rpbert")


def _stub(name: str, **content: Any) -> ModuleType:
    """An empty module of a name."""
    module = ModuleType(name)
    vars(module).update(content)
    sys.modules[name] = module
    return module


def _nothing(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, SimpleNamespace)


def _padded(task: Any, posts: Sequence[int], device: str, padded: bool) -> dict[str, Tensor]:
    """Subwords, mask and labels (0: padding) of a batch."""
    views = [task.data.views["t"][post] for post in posts]
    length = MAX_LENGTH if padded else max(len(view.ids) for view in views)
    ids, labels = torch.zeros(len(posts), length, dtype=torch.long), torch.zeros(len(posts), length, dtype=torch.long)
    mask = torch.zeros(len(posts), length, dtype=torch.long)
    for row, (post, view) in enumerate(zip(posts, views, strict=True)):
        ids[row, : len(view.ids)] = torch.from_numpy(view.ids).long()
        labels[row, : len(view.ids)] = torch.tensor(task.data.tags[post]) + 1
        mask[row, : len(view.ids)] = 1
    return {name: value.to(device) for name, value in (("ids", ids), ("labels", labels), ("mask", mask))}


def _images(task: Any, posts: Sequence[int], device: str) -> Tensor:
    """(B, V, D) image features."""
    rows = [task.features.rows_of(task.rows[post]["image_id"]) for post in posts]
    return torch.stack([torch.from_numpy(task.features.vectors[numbers]).float() for numbers in rows]).to(device)


def _umt(task: Any, sizes: dict[str, Any], device: str, padded: bool) -> Steps:
    names = ("cached_path", "WEIGHTS_NAME", "CONFIG_NAME", "PYTORCH_PRETRAINED_BERT_CACHE")
    _stub("my_bert.file_utils", **_nothing(*names))
    from my_bert.mner_modeling import BertConfig as Config
    from my_bert.mner_modeling import MTCCMBertForMMTokenClassificationCRF
    from my_bert.optimization import BertAdam

    from ita.model.boundary import boundary_tags, conversion_matrix

    config = Config(sizes["vocab_size"])
    boundaries = boundary_tags(task.tag_names)
    model = MTCCMBertForMMTokenClassificationCRF(
        config, num_labels=len(task.tag_names) + 1, auxnum_labels=len(boundaries) + 1
    ).to(device)
    matrix = torch.zeros(len(boundaries) + 1, len(task.tag_names) + 1)
    matrix[1:, 1:] = conversion_matrix(task.tag_names)
    matrix = matrix.to(device)
    of_label = [0, *(boundaries.index(name.partition("-")[0]) + 1 for name in task.tag_names)]
    of_label = torch.tensor(of_label, device=device)
    decayed = {True: [], False: []}
    for name, parameter in model.named_parameters():
        decayed[not any(part in name for part in ("bias", "LayerNorm.bias", "LayerNorm.weight"))].append(parameter)
    groups = [{"params": decayed[True], "weight_decay": 0.01}, {"params": decayed[False], "weight_decay": 0.0}]
    optimizer = BertAdam(groups, lr=5e-5, warmup=0.1, t_total=100_000)

    def arguments(posts: Sequence[int]) -> tuple[tuple[Tensor, ...], Tensor]:
        batch = _padded(task, posts, device, padded)
        mask = batch["mask"]
        image = _images(task, posts, device).transpose(1, 2).reshape(len(posts), -1, 7, 7)
        over_image = torch.cat([torch.ones(len(posts), 49, dtype=torch.long, device=device), mask], 1)
        return (batch["ids"], torch.zeros_like(mask), mask, over_image, image, matrix), batch["labels"]

    def train(posts: Sequence[int]) -> None:
        model.train()
        inputs, labels = arguments(posts)
        loss = model(*inputs, labels, of_label[labels])
        loss.backward()
        loss.item()
        optimizer.step()
        optimizer.zero_grad()

    def tag(posts: Sequence[int]) -> None:
        model.eval()
        with torch.no_grad():
            model(*arguments(posts)[0])

    return Steps(train, tag)


class PooledImages(nn.Module):
    """In place of ResNet: pooled features of the crops are given, only its last linear layer is left."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2048, 2048)

    def forward(self, pooled: Tensor) -> Tensor:
        """(n, 2048) -> (n, 2048)."""
        output: Tensor = self.fc(pooled)
        return output


def _umgf(task: Any, sizes: dict[str, Any], device: str, padded: bool) -> Steps:
    models = SimpleNamespace(resnet152=lambda pretrained: PooledImages())
    _stub("torchvision", models=models, transforms=None)
    import ddp_mmner as official

    encoder = SimpleNamespace(from_pretrained=lambda name: BertModel(BertConfig(**sizes)))
    official.BertModel = encoder
    labels = {name: number for number, name in enumerate(["PAD", *task.tag_names])}
    model = official.MMNerModel(tag2idx=labels).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def arguments(posts: Sequence[int]) -> tuple[Any, ...]:
        batch = _padded(task, posts, device, padded)
        mask = batch["mask"].to(torch.uint8)
        official.max_len = mask.shape[1]
        images = _images(task, posts, device).flatten(0, 1)
        links = mask.float().unsqueeze(2).expand(-1, -1, 4).contiguous()
        inputs = {"input_ids": batch["ids"], "token_type_ids": torch.zeros_like(batch["ids"]), "attention_mask": mask}
        return inputs, images, links, mask, batch["labels"]

    def train(posts: Sequence[int]) -> None:
        model.train()
        optimizer.zero_grad()
        model.log_likelihood(*arguments(posts)).backward()
        optimizer.step()

    def tag(posts: Sequence[int]) -> None:
        model.eval()
        with torch.no_grad():
            model(*arguments(posts))

    return Steps(train, tag)


def _rpbert(task: Any, sizes: dict[str, Any], device: str, gate: bool) -> Steps:
    _stub("torchvision", transforms=None)
    _stub("flair")
    _stub("flair.embeddings", **_nothing("WordEmbeddings", "FlairEmbeddings", "StackedEmbeddings", "TokenEmbeddings"))
    _stub("flair.data", **_nothing("Token", "Sentence"))
    from constants import LABEL_TO_ID
    from data.dataset import MyImage, MyPair, MySentence, MyToken
    from model import model as official

    official.resnet_encode = lambda model, grid: grid
    official.flair = None
    encoder = BertModel(BertConfig(**sizes))
    task.tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    width, image = encoder.config.hidden_size, nn.Identity()
    model = official.MyModel(
        torch.device(device), task.tokenizer, encoder, width, image, task.features.width, crf=True, gate=gate
    )
    heads = [model.head, model.proj, model.crf, *([model.aux_head] if gate else [])]
    groups: list[dict[str, Any]] = [{"params": encoder.parameters(), "lr": 1e-5}]
    optimizer = torch.optim.Adam(groups + [{"params": head.parameters(), "lr": 1e-3} for head in heads])

    def pairs(posts: Sequence[int]) -> list[Any]:
        batch = []
        for post, grid in zip(posts, _images(task, posts, "cpu"), strict=True):
            row = task.rows[post]
            tokens = [MyToken(word, LABEL_TO_ID[tag]) for word, tag in zip(row["tokens"], row["tags"], strict=True)]
            image = MyImage("")
            image.data = grid
            batch.append(MyPair(MySentence(tokens), image))
        return batch

    def train(posts: Sequence[int]) -> None:
        model.train()
        optimizer.zero_grad()
        loss, _ = model.ner_forward(pairs(posts))
        loss.backward()
        optimizer.step()
        loss.item()

    def tag(posts: Sequence[int]) -> None:
        model.eval()
        with torch.no_grad():
            model.ner_forward(pairs(posts))

    return Steps(train, tag)
