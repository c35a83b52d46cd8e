"""Questions about the posts of a data set: prompts with demonstrations, and their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ita.config import Knowledge
from ita.errors import UserError
from ita.io import parquet
from ita.knowledge.answers import key_of
from ita.knowledge.demonstrations import Demonstration, read_demonstrations
from ita.knowledge.prompts import ImageTexts, Row, Tables, tables_read, text_of
from ita.knowledge.retrieval import choose_nearest, choose_random, contexts_of, encode_posts, encode_texts
from ita.knowledge.templates import Template, load_template
from ita.knowledge.types import Question


class Questioner:
    """Makes the questions about posts.

    Args:
        settings: of the stage.
        posts: rows of posts.parquet, all of them.
        asked: those that are asked about.
        tables: what is known of their images.
        tagger: run folder that retrieves demonstrations.
        context: contexts table that it reads.

    Attributes:
        template: of the prompts.
        demonstrations: post id -> demonstration.
        metadata: what identifies the retrieval, for the metadata of the output.

    Raises:
        UserError: for a wrong template or file of demonstrations, or a table that is missing.
    """

    def __init__(
        self,
        settings: Knowledge,
        posts: Sequence[Row],
        asked: Sequence[Row],
        tables: Tables,
        tagger: Path | None = None,
        context: Path | None = None,
    ) -> None:
        self.settings = settings
        self.template: Template = load_template(settings.template_name)
        self.posts = {post["post_id"]: post for post in posts}
        self.demonstrations: dict[str, Demonstration] = {}
        if settings.retrieval != "none" and settings.demonstrations:
            demonstrations = read_demonstrations(Path(settings.demonstrations), posts)
            self.demonstrations = {demonstration.post_id: demonstration for demonstration in demonstrations}
        self.posts |= {name: row_of_text(shown) for name, shown in self.demonstrations.items() if shown.slots}
        demonstration_posts = [self.posts[post_id] for post_id in self.demonstrations]
        images = {post["image_id"] for post in [*asked, *demonstration_posts]} - {None}
        self.texts = ImageTexts(tables_read(self.template, settings.blank, tables), images, settings.slot_words)
        self.metadata: dict[str, Any] = {}
        self.tagger, self.context = tagger, context

    def choose(self, posts: Sequence[Row]) -> Mapping[str, Sequence[str]]:
        """Post id -> post ids of its demonstrations, the nearest first."""
        post_ids, candidates = [post["post_id"] for post in posts], list(self.demonstrations)
        count, retrieval = self.settings.count, self.settings.retrieval
        if retrieval == "none" or not count:
            return {post_id: [] for post_id in post_ids}
        if retrieval == "random":
            return {post_id: choose_random(post_id, candidates, count, self.settings.seed) for post_id in post_ids}
        names = [*post_ids, *candidates]
        rows = [self.posts[name] for name in names]
        if retrieval == "text":
            vectors, self.metadata = encode_texts([text_of(row) for row in rows], self.settings.retrieval_model)
        else:
            folder = self.tagger or Path(self.settings.retrieval_model or "")
            wanted_ids = set(names)
            stream = parquet.stream("contexts", self.context, 1024) if self.context else ()
            by_post = {row["post_id"]: row for row in stream if row["post_id"] in wanted_ids}
            words = [row["tokens"] for row in rows]
            vectors, self.metadata = encode_posts(words, contexts_of(by_post, names), folder, self.settings.device)
        return choose_nearest(post_ids, vectors[: len(post_ids)], candidates, vectors[len(post_ids) :], count)

    def question(self, post: Row, demonstration_ids: Sequence[str], identity: Mapping[str, Any]) -> Question:
        """The question about a post.

        Args:
            post: row of posts.parquet.
            demonstration_ids: post ids of its demonstrations.
            identity: what the answer depends on beside the prompt.
        """
        blank = self.settings.blank
        slots = self.texts.of(post, blank)
        examples = [self.example(self.demonstrations[name]) for name in demonstration_ids]
        text = self.template.fill(slots, examples)
        system = self.template.parts["system"].strip()
        sent = "image" in slots and "image" in self.template.slots
        picture = self.texts.pictures[post["image_id"]] if sent else None
        content = {
            **identity,
            "template": self.template.sha256,
            "max_tokens": self.settings.max_tokens,
            "demonstrations": list(demonstration_ids),
            "system": system,
            "text": text,
            "image": picture and [picture.sha256, self.settings.max_pixels],
        }
        return Question(key_of(content), system, text, picture.path if picture else None)

    def example(self, demonstration: Demonstration) -> dict[str, str]:
        """Slots of a demonstration."""
        if demonstration.slots is None:
            slots = self.texts.of(self.posts[demonstration.post_id], self.settings.blank)
        else:
            slots = {name: text for name, text in demonstration.slots.items() if name not in self.settings.blank}
        return {**slots, "answer": demonstration.answer}


def row_of_text(demonstration: Demonstration) -> Row:
    """A demonstration of another data set as a row of posts.parquet."""
    text = (demonstration.slots or {})["text"]
    return {"post_id": demonstration.post_id, "image_id": None, "text": text, "tokens": text.split()}


def check_images(settings: Knowledge, template: Template, reads_images: bool) -> None:
    """Raises UserError for a template that sends a picture to what cannot read one."""
    if "image" in template.slots - set(settings.blank) and not reads_images:
        reader = settings.model or f"the backend {settings.backend}"
        raise UserError(
            f"setting knowledge.template: {settings.template_name} sends the picture, which {reader} cannot read; name "
            "another template, or leave the picture out by knowledge.blank: [image]"
        )


def check_tables(template: Template, blank: Sequence[str], tables: Tables) -> None:
    """Raises UserError for a slot whose table is not given."""
    slots = template.slots - set(blank)
    needed = {"images": {"image"}, "objects": {"objects"}, "captions": {"caption", "captions"}, "ocr": {"ocr"}}
    for name, fills in needed.items():
        if slots & fills and getattr(tables, name) is None:
            slot = sorted(slots & fills)[0]
            raise UserError(f"the template's slot {{{slot}}} is filled from the table '{name}': give --{name}")
