"""Posts, contexts and region features of a run, and how the tagger reads them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ita.data.label_schemes import label_names, subword_labels
from ita.data.tags import spans, to_bioes
from ita.data.visual_context import VisualContext
from ita.errors import UserError
from ita.io import parquet
from ita.io.features import Features, load_features
from ita.model.inputs import EncodedView, ViewEncoder, encode_views


@dataclass(frozen=True)
class EncodedPosts:
    """Posts of one split as the tagger reads them."""

    views: dict[str, list[EncodedView]]
    """'t' and 'it', one entry per post."""
    tags: list[list[int]]
    """Index of the label of each word, or labelled subword."""
    gold: list[list[str]]
    """IOB2 tags."""

    @property
    def truncated(self) -> int:
        """Context words that did not fit."""
        return sum(post.truncated for post in self.views["it"])

    @property
    def truncated_regions(self) -> int:
        """Image regions that did not fit."""
        return sum(part.truncated_regions for post in self.views["it"] for part in post.parts)

    @property
    def with_regions(self) -> int:
        """Posts whose image has regions."""
        return sum(post.has_regions for post in self.views["it"])

    def map_views(self, function: Callable[[list[EncodedView]], list[EncodedView]]) -> EncodedPosts:
        """The same posts with a function applied to each view."""
        return replace(self, views={name: function(posts) for name, posts in self.views.items()})


@dataclass(frozen=True)
class Corpus:
    """What a run reads."""

    posts: list[dict[str, Any]]
    """Rows of posts.parquet, all splits."""
    contexts: dict[str, VisualContext]
    """Visual contexts by post_id."""
    features: Features | None
    """Region features of the images of the splits, for systems that read them."""
    label_version: str | None
    feature_engine: Any
    """The detector that computed the features, as their table records it."""
    test_overlap: Mapping[str, Any] = field(default_factory=dict)
    """Test posts of public data sets among the training posts, as posts.parquet records them."""

    def split(self, name: str) -> list[dict[str, Any]]:
        """Posts of one split."""
        return [post for post in self.posts if post["split"] == name]

    def tag_names(self, scheme: str = "first_subword", tag_format: str = "bioes") -> list[str]:
        """The K labels for the entity types in all posts; arguments as for ``label_schemes.label_names``."""
        return label_names((span.type for post in self.posts for span in spans(post["tags"])), scheme, tag_format)

    def encode(
        self, split: str, tag_names: Sequence[str], encoder: ViewEncoder, tag_format: str = "bioes"
    ) -> EncodedPosts:
        """One split as training reads it."""
        return encode_posts(self.split(split), self.contexts, tag_names, encoder, self.features, tag_format)


def load_corpus(
    posts: Path,
    context: Path,
    features: Sequence[Path],
    splits: Collection[str],
    objects: Sequence[Path] = (),
    region_width: int = 0,
) -> Corpus:
    """Reads the inputs of a run.

    Args:
        posts: posts.parquet.
        context: a context table of the same posts.
        features: shards of region features; none for a system that reads none.
        splits: splits whose images' features are read.
        objects: shards of the objects that the regions show, for a system that reads their boxes.
        region_width: numbers of a region of a trained model, which can then do without any.

    Raises:
        UserError: for files that do not fit together.
    """
    table = parquet.read("posts", posts)
    rows = table.to_pylist()
    if any(row["tags"] is None for row in rows):
        raise UserError(f"{posts}: has posts without tags, which cannot train a system or score one")
    contexts = load_contexts(rows, context)
    images = {row["image_id"] for row in rows if row["split"] in splits and row["image_id"]}
    vectors = load_features(features, images, objects, region_width) if features else None
    engine = parquet.metadata(features[0]).get("engine") if features else None
    metadata = parquet.metadata(table)
    return Corpus(rows, contexts, vectors, metadata.get("label_version"), engine, metadata.get("test_overlap") or {})


def load_contexts(posts: Sequence[Mapping[str, Any]], context: Path) -> dict[str, VisualContext]:
    """Visual contexts of a context table by post_id.

    Raises:
        UserError: when a post has no row there.
    """
    rows = parquet.rows("contexts", context)
    contexts = {row["post_id"]: VisualContext(row["tokens"], row["kinds"]) for row in rows}
    for post in posts:
        if post["post_id"] not in contexts:
            raise UserError(f"{context}: has no row for the post {post['post_id']!r}; it was made from other posts")
    return contexts


def encode_posts(
    posts: Sequence[Mapping[str, Any]],
    contexts: Mapping[str, VisualContext],
    tag_names: Sequence[str],
    encoder: ViewEncoder,
    features: Features | None = None,
    tag_format: str = "bioes",
) -> EncodedPosts:
    """Both views and the labels of posts.

    Args:
        posts: rows of posts.parquet.
        contexts: visual contexts by post_id.
        tag_names: the K labels.
        encoder: the view encoder.
        features: region features of their images, for systems that read them.
        tag_format: of the labels of words: bioes or iob2.
    """
    index = {name: number for number, name in enumerate(tag_names)}
    views = encode_views(encoder, posts, contexts, features)
    labels = [to_bioes(post["tags"]) if tag_format == "bioes" else post["tags"] for post in posts]
    if encoder.layout.label_scheme == "x_subword":
        labels = [
            subword_labels(tags, view.label_of_word.tolist(), len(view.label_index))
            for tags, view in zip(labels, views["t"], strict=True)
        ]
    tags = [[index[label] for label in post] for post in labels]
    return EncodedPosts(views, tags, [post["tags"] for post in posts])
