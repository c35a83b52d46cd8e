"""Two runs, or two systems over their seeds, on the same posts: F1 by type and slice, confusion, posts that changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ita.data import VIEWS
from ita.data.tags import Span
from ita.errors import UserError
from ita.io import parquet
from ita.io.files import read_json
from ita.log import progress
from ita.reporting.runs import RunId, read_predictions_id, single_label_version
from ita.significance import seeds, slices
from ita.significance.counts import (
    GOLD,
    IntArray,
    SpanSets,
    Tags,
    count_boundaries,
    count_matches,
    micro_f1,
    span_sets,
)
from ita.significance.resampling import Resamples

PREDICTIONS = "predictions.parquet"
MISSED = "(missed)"
"""Column of the confusion: gold entities of which no prediction has the boundaries."""
INVENTED = "(invented)"
"""Its row: predicted entities of which no gold one has the boundaries."""
KINDS = ("helped", "misled")

Part = tuple[str, str]
"""Group and name of a line: all, type, words or image."""


@dataclass(frozen=True)
class Side:
    """What is compared, read in one view of one split: S seeds, P posts."""

    name: str
    view: str
    label_version: str | None
    folder: Path
    """Of the first run."""
    seeds: list[int]
    posts: list[str]
    tokens: list[list[str]]
    gold: list[list[str]]
    predicted: list[list[list[str]]]
    """(S, P): tags of each post by seed."""

    def of_seeds(self, chosen: Sequence[int]) -> Side:
        """The same with some of its seeds."""
        predicted = [self.predicted[self.seeds.index(seed)] for seed in chosen]
        return replace(self, seeds=list(chosen), predicted=predicted)


def read_side(path: Path, split: str, view: str | None) -> Side:
    """One side of a comparison.

    Args:
        path: a run folder, its predictions.parquet, or a folder of run folders: the seeds of one system.
        split: whose posts are read.
        view: t or it; None is I+T for a system that is trained on it, else T.

    Raises:
        UserError: for a path without predictions, runs of several systems, or a split that was not evaluated.
    """
    files = prediction_files(path)
    named = sorted(((read_predictions_id(file), file) for file in files), key=lambda pair: pair[0].seed)
    systems = {run._replace(seed=0) for run, _ in named}
    if len(systems) > 1:
        names = ", ".join(sorted(f"{run.encoder}/{run.system}" for run in systems))
        raise UserError(f"{path}: holds runs of several systems ({names}); name the folder of one of them")
    view = view or trained_view(named[0][1])
    tables = [read_rows(file, split, view) for _, file in named]
    first = tables[0]
    for (_, file), rows in zip(named, tables, strict=True):
        if [(row["post_id"], row["gold"]) for row in rows] != [(row["post_id"], row["gold"]) for row in first]:
            raise UserError(f"{file}: evaluated on other posts or labels than {named[0][1]}; evaluate both again")
    version = single_label_version(parquet.metadata(file).get("label_version") for file in files)
    return Side(
        name=name_of([run for run, _ in named]),
        view=view,
        label_version=version,
        folder=named[0][1].parent,
        seeds=[run.seed for run, _ in named],
        posts=[row["post_id"] for row in first],
        tokens=[row["tokens"] for row in first],
        gold=[row["gold"] for row in first],
        predicted=[[row["predicted"] for row in rows] for rows in tables],
    )


def read_rows(file: Path, split: str, view: str) -> list[dict[str, Any]]:
    """Rows of predictions of one view of a split. Raises UserError where there are none."""
    rows = parquet.read("predictions", file, ["post_id", "split", "view", "tokens", "gold", "predicted"]).to_pylist()
    if of_view := [row for row in rows if (row["split"], row["view"]) == (split, view)]:
        return of_view
    raise UserError(f"{file}: no predictions on the split {split!r}; add it to evaluate.splits, or choose another")


def prediction_files(path: Path) -> list[Path]:
    """Predictions of a run, or of every run right below a folder. Raises UserError where there are none."""
    if path.is_file():
        return [path if path.suffix == ".parquet" else path.with_name(PREDICTIONS)]
    if (path / PREDICTIONS).is_file():
        return [path / PREDICTIONS]
    if files := sorted(path.glob(f"*/{PREDICTIONS}")):
        return files
    raise UserError(f"{path}: expected a run folder with its {PREDICTIONS}, or a folder of such folders (the seeds)")


def trained_view(predictions: Path) -> str:
    """I+T for a run that is trained on it, or does not say; else T."""
    metrics = predictions.with_name("metrics.json")
    views = read_json(metrics, "the metrics of a run")["system"].get("views", ["it"]) if metrics.is_file() else ["it"]
    return "it" if "it" in views else "t"


def name_of(runs: Sequence[RunId]) -> str:
    """``bert/crf/seed1``, of several seeds ``bert/crf``."""
    return str(runs[0]) if len(runs) == 1 else f"{runs[0].encoder}/{runs[0].system}"


def paired(a: Side, b: Side) -> tuple[Side, Side]:
    """Both sides with the seeds that they share; two single runs are a pair whatever their seeds.

    Raises:
        UserError: for sides without a common seed, or on other posts or labels.
    """
    if a.posts != b.posts or a.gold != b.gold or a.label_version != b.label_version:
        raise UserError(
            f"{a.name} and {b.name} were evaluated on different posts or labels; evaluate both on one version"
        )
    if len(a.seeds) == len(b.seeds) == 1:
        return a, b
    shared = [seed for seed in a.seeds if seed in b.seeds]
    if not shared:
        raise UserError(
            f"{a.name} has the seeds {a.seeds}, {b.name} {b.seeds}: none in common, so nothing can be paired"
        )
    return a.of_seeds(shared), b.of_seeds(shared)


@dataclass(frozen=True)
class Facts:
    """What slices need to know of the posts; what is None makes none."""

    seen: set[slices.Surface] | None
    image_ids: dict[str, str | None]
    images: list[dict[str, Any]] | None
    ocr: list[dict[str, Any]] | None


def read_facts(folder: Path) -> Facts:
    """What the folder of the data set's results around a run says of its posts; nothing where there is none."""
    results = next((parent for parent in folder.absolute().parents if (parent / "posts.parquet").is_file()), None)
    if results is None:
        return Facts(None, {}, None, None)
    rows = parquet.read(
        "posts", results / "posts.parquet", ["post_id", "split", "image_id", "tokens", "tags"]
    ).to_pylist()
    train = [row for row in rows if row["split"] == "train"]
    images, engines = results / "images.parquet", sorted((results / "ocr").glob("*.parquet"))
    return Facts(
        slices.seen_entities([row["tokens"] for row in train], [row["tags"] for row in train]),
        {row["post_id"]: row["image_id"] for row in rows},
        parquet.read("images", images, ["image_id", "status"]).to_pylist() if images.is_file() else None,
        parquet.read("ocr", engines[0], ["image_id", "text"]).to_pylist() if engines else None,
    )


def count_parts(side: Side, facts: Facts) -> dict[Part, list[IntArray]]:
    """Counts (P, 3) of each seed: of all entities, of each type, of each slice; a slice of posts has fewer of them."""
    parts: dict[Part, list[IntArray]] = {}
    for predicted in side.predicted:
        for part, counts in _count_run(side, predicted, facts):
            parts.setdefault(part, []).append(counts)
    return parts


def _count_run(side: Side, predicted: Tags, facts: Facts) -> Iterator[tuple[Part, IntArray]]:
    sets = span_sets(side.gold, predicted)
    total = count_matches(sets)
    yield ("all", "all"), total
    for name in gold_types(side):
        yield ("type", name), count_matches([(_of_type(gold, name), _of_type(spans, name)) for gold, spans in sets])
    yield ("all", "boundaries"), count_boundaries(sets)
    if facts.seen is not None:
        for name, counts in slices.count_seen_and_unseen(side.tokens, sets, facts.seen).items():
            yield ("words", name), counts
    image_ids = [facts.image_ids.get(post) for post in side.posts]
    masks = {}
    if facts.images is not None:
        masks["image"] = slices.has_image(image_ids, facts.images)
    if facts.ocr is not None:
        masks["OCR text"] = slices.has_ocr_text(image_ids, facts.ocr)
    for name, mask in masks.items():
        if 0 < mask.sum() < len(mask):
            yield from ((("image", name), total[mask]), (("image", f"no {name}"), total[~mask]))


def gold_types(side: Side) -> list[str]:
    """Types of the gold entities."""
    return sorted({tag[2:] for tags in side.gold for tag in tags if tag != "O"})


def compare(a: Side, b: Side, facts: Facts, samples: int) -> dict[str, Any]:
    """The whole comparison as data; sides as ``paired`` gives them.

    F1 is the mean over seeds. Intervals (95 %) and p are of the paired bootstrap over posts, p not corrected for the
    number of lines; ``p_welch`` and ``p_paired_t`` are over seeds.
    """
    counts_a, counts_b = count_parts(a, facts), count_parts(b, facts)
    parts = list(counts_a)
    resamples = cache(partial(Resamples, samples=samples))  # one for each number of posts
    lines = [
        line
        for part in progress(parts, len(parts), "compare", "part")
        if (line := compare_part(part, counts_a[part], counts_b[part], resamples)) is not None
    ]
    f1 = [[micro_f1(counts) for counts in side["all", "all"]] for side in (counts_a, counts_b)]
    return {
        "a": describe(a, f1[0]),
        "b": describe(b, f1[1]),
        "posts": len(a.posts),
        "label_version": a.label_version,
        "p_welch": seeds.welch(*f1),
        "p_paired_t": seeds.paired_t(*f1),
        "f1": lines,
        "confusion": {"a": confusion(a), "b": confusion(b)},
        "changed": changed_posts(a, b),
    }


def describe(side: Side, f1: Sequence[float]) -> dict[str, Any]:
    """Which runs a side is, and F1 of each seed."""
    return {"name": side.name, "view": VIEWS[side.view], "seeds": side.seeds, "f1": list(f1)}


def compare_part(
    part: Part, a: Sequence[IntArray], b: Sequence[IntArray], resamples_of: Callable[[int], Resamples]
) -> dict[str, Any] | None:
    """F1 of both sides on one part and their difference; None for a part without gold entities."""
    stacked_a, stacked_b = np.stack(a), np.stack(b)
    gold = int(stacked_a[0, :, GOLD].sum())
    if not gold:
        return None
    resamples = resamples_of(stacked_a.shape[1])
    result = resamples.bootstrap(stacked_a, stacked_b)
    return {
        "group": part[0],
        "part": part[1],
        "gold": gold,
        **{
            name: {
                "f1": float(micro_f1(counts).mean()),
                **dict(zip(("low", "high"), resamples.interval(counts), strict=True)),
            }
            for name, counts in (("a", stacked_a), ("b", stacked_b))
        },
        "difference": {"f1": result.difference, "low": result.low, "high": result.high, "p": float(result.p)},
    }


def confusion(side: Side) -> dict[str, dict[str, float]]:
    """Gold type -> predicted type -> entities of the same boundaries, means over seeds; with MISSED and INVENTED."""
    counts: Counter[tuple[str, str]] = Counter()
    for predicted in side.predicted:
        for gold_spans, predicted_spans in span_sets(side.gold, predicted):
            gold = {span[:2]: span.type for span in gold_spans}
            predicted_types = {span[:2]: span.type for span in predicted_spans}
            counts.update((entity_type, predicted_types.get(words, MISSED)) for words, entity_type in gold.items())
            counts.update(
                (INVENTED, entity_type) for words, entity_type in predicted_types.items() if words not in gold
            )
    types = sorted({name for pair in counts for name in pair} - {MISSED, INVENTED})
    rows = {row: {column: counts[row, column] / len(side.seeds) for column in types} for row in [*types, INVENTED]}
    for name in types:
        rows[name][MISSED] = counts[name, MISSED] / len(side.seeds)
    return rows


def changed_posts(a: Side, b: Side) -> dict[str, list[dict[str, Any]]]:
    """Posts that b has right and a wrong (helped) and the reverse (misled), in more than half of the seeds.

    A post is right when its predicted entities are exactly its gold ones. Those in which most seeds agree come first.
    """
    sets = [[span_sets(side.gold, predicted) for predicted in side.predicted] for side in (a, b)]
    posts: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for number, post_id in enumerate(a.posts):
        of_seeds = [(first[number], second[number]) for first, second in zip(*sets, strict=True)]
        for kind in KINDS:
            agreeing = [pair for pair in of_seeds if _kind(*pair) == kind]
            if 2 * len(agreeing) > len(of_seeds):
                (gold, of_a), (_, of_b) = agreeing[0]
                tagged = {"gold": gold, "a": of_a, "b": of_b}
                entities = {name: _surfaces(a.tokens[number], spans) for name, spans in tagged.items()}
                text = " ".join(a.tokens[number])
                posts[kind].append({"post_id": post_id, "agreeing": len(agreeing), "text": text, **entities})
    return {kind: sorted(of_kind, key=lambda post: -post["agreeing"]) for kind, of_kind in posts.items()}


def _kind(a: SpanSets, b: SpanSets) -> str | None:
    right_a, right_b = a[0] == a[1], b[0] == b[1]
    return None if right_a == right_b else "helped" if right_b else "misled"


def _surfaces(tokens: Sequence[str], spans: Iterable[Span]) -> list[Mapping[str, str]]:
    return [{"surface": " ".join(tokens[span.start : span.end]), "type": span.type} for span in sorted(spans)]


def _of_type(spans: set[Span], name: str) -> set[Span]:
    return {span for span in spans if span.type == name}
