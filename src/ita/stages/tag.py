"""tag: posts, context, model -> entities/{shard}.parquet.

The posts of a shard are tagged by a trained model, whose image text the stages before have made. Memory holds a few
hundred posts, and the region features of the shard's images where a model reads some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ita.cli import read_section
from ita.config import Tag
from ita.errors import UserError
from ita.io import parquet
from ita.io.provenance import provenance_of, region_inputs
from ita.log import log, progress
from ita.tagging.image_settings import context_sections, differences
from ita.tagging.post_tables import BLOCK, PostTables, Row, entity_rows, post_of_row
from ita.tagging.posts import UnreadablePost
from ita.tagging.results import TaggedPost
from ita.vision.sharding import shard_rows

if TYPE_CHECKING:
    from ita.io.features import Features
    from ita.tagging.image_engines import ReadImage
    from ita.tagging.tagger import Tagger


def work(
    settings: dict[str, Any],
    output: Path,
    posts: Path,
    model: Sequence[Path] = (),
    context: Path | None = None,
    images: Path | None = None,
    features: Sequence[Path] = (),
    objects: Sequence[Path] = (),
    shard: str | None = None,
) -> None:
    """Tags the posts of a shard.

    Args:
        settings: ``tag``.
        output: entities table to write.
        posts: posts.parquet.
        model: files of the model's folder (default: that of the setting ``tag.model``, or its copy from the hub).
        context: the context table that the model reads.
        images: images.parquet, for a model that reads anything of an image.
        features: shards of the region features that it reads, for a model that was trained with some.
        objects: shards of the objects that the regions show, for a model that was trained with their boxes.
        shard: the part of the posts to tag, such as 2-of-7 (default: all).

    Raises:
        UserError: for a model that cannot be loaded, or image text that was made in another way than in its training.
    """
    tag = read_section(settings, "tag", Tag)
    tagger, folder = load_tagger(tag, model)
    check_tables(tag, tagger, context, features)
    rows = shard_rows(parquet.count("posts", posts), shard, BLOCK)
    tables = PostTables(posts, context, images, shard_features(tagger, posts, rows, features, objects))
    weights = {name: folder / name for name in ("model.safetensors", "settings.json")}
    inputs = {"posts": posts, "context": context, "images": images, **weights, **region_inputs(features, objects)}
    counts = Counter(posts=0, entities=0, unreadable=0)
    with parquet.create("entities", output) as table:
        batches = progress(tables.batches(rows, output), len(rows), "tag", "posts", size=len)
        for batch in batches:
            answers = tag_batch(tagger, batch, tag)
            counts.update(posts=len(batch), unreadable=sum(answer.error is not None for answer in answers))
            counts.update(entities=sum(len(answer.entities) for answer in answers))
            table.add(entity_rows([post for post, _ in batch], answers))
        table.metadata = {
            **provenance_of(settings, inputs),
            "label_version": tagger.record.get("label_version"),
            "run": tagger.record.get("run"),
            "counts": dict(counts),
        }
    log.info("tag: %d entities in %d posts", counts["entities"], counts["posts"])


def load_tagger(tag: Tag, files: Sequence[Path]) -> tuple[Tagger, Path]:
    """The model and its folder."""
    from ita.model.device import use_threads
    from ita.tagging.hub_folders import fetch_folder
    from ita.tagging.tagger import Tagger

    if not (tag.model or files):
        raise UserError("setting tag.model: no model is named; give a run folder or a hub id")
    use_threads(tag.threads)
    folder = files[0].parent if files else fetch_folder(str(tag.model), tag.revision)
    return Tagger(folder, tag.device, image_folder=None), folder


def check_tables(tag: Tag, tagger: Tagger, context: Path | None, features: Sequence[Path]) -> None:
    """Raises UserError when what was made of the images is not what the model was trained with."""
    if tag.view == "t":
        return
    if tagger.images.regions is not None and not features:
        raise UserError(f"{tagger.folder}: the model reads regions of images: give their --features")
    if tagger.images.context.kinds and context is None:
        raise UserError(f"{tagger.folder}: the model reads image text: give its --context, or set tag.view to t")
    present: dict[str, Any] = {}
    if context is not None:
        metadata = parquet.metadata(context)
        present = {"context": metadata.get("settings", {}).get("context"), **metadata.get("image_settings", {})}
    if features:
        present["regions"] = parquet.metadata(features[0]).get("settings", {}).get("detect")
    trained: Mapping[str, Any] = tagger.record.get("images") or {}
    changes = differences(trained, present, context_sections(trained))
    if not changes:
        return
    message = f"{tagger.folder}: image text is made here in another way than in training: {'; '.join(changes)}"
    if tag.differences == "refuse":
        raise UserError(f"{message}. Set the same here, or set tag.differences to warn")
    log.warning("%s", message)


def shard_features(
    tagger: Tagger, posts: Path, rows: range, features: Sequence[Path], objects: Sequence[Path]
) -> Features | None:
    """Region features of the images of a shard's posts."""
    if not features:
        return None
    from ita.io.features import load_features

    images = {row["image_id"] for row in parquet.stream("posts", posts, BLOCK, ["image_id"], rows)} - {None}
    width = int((tagger.record.get("regions") or {}).get("width", 0))
    return load_features(features, images, objects, width)


def tag_batch(tagger: Tagger, batch: Sequence[tuple[Row, ReadImage | None]], tag: Tag) -> list[TaggedPost]:
    """Answers of some posts, in order; one that cannot be read is answered with its error."""
    posts, images, unreadable = [], [], {}
    for number, (row, image) in enumerate(batch):
        try:
            if row.get("error"):
                raise UnreadablePost(row["error"])
            posts.append(post_of_row(row, tagger.marks))
            images.append(image)
        except UnreadablePost as error:
            unreadable[number] = TaggedPost(row.get("text"), [], [], error=str(error))
    tagged = iter(tagger.tag_posts(posts, images, tag.view, tag.batch_size) if posts else [])
    return [unreadable[number] if number in unreadable else next(tagged) for number in range(len(batch))]
