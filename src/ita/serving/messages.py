"""Posts as clients send them, and answers as they get them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from ita.serving.errors import ServiceError
from ita.serving.options import ServeOptions
from ita.tagging.posts import Record
from ita.tagging.results import TaggedPost

Text = Annotated[Any, WithJsonSchema({"type": "string"})]
"""What is checked when the post is read, so that a wrong value costs this post alone."""
Words = Annotated[Any, WithJsonSchema({"type": "array", "items": {"type": "string"}})]
Texts = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})]
ViewName = Annotated[
    Literal["auto", "t"], Field(description="auto: image text and text where there is an image; t: the text alone")
]
Explain = Annotated[bool, Field(description="say also what was found in the images, in image_text")]


class Post(BaseModel):
    """A post: text or tokens, and optionally an image or a text that stands for it. Other fields come back."""

    model_config = ConfigDict(extra="allow")
    text: Text = Field(None, description="as it is", examples=["Vospurpo wins again"])
    tokens: Words = Field(None, description="its words, instead of the text or beside it")
    image_url: Text = Field(None, description="http or https, of a public server")
    image_base64: Text = Field(None, description="content of an image file in base64, or a data URL with it")
    context: Texts = Field(None, description="text that stands for the image")


class TagRequest(Post):
    """One post, or several under ``posts``."""

    posts: list[Post] | None = Field(None, description="several posts, in place of the fields of one")
    view: ViewName = "auto"
    explain: Explain = False

    def list_posts(self) -> list[dict[str, Any]]:
        """The posts, as they came."""
        single = self.model_dump(exclude={"posts", "view", "explain"}, exclude_unset=True)
        if self.posts is None:
            return [single]
        if single:
            name = min(single)
            raise ServiceError(422, "invalid_request", f"found '{name}' beside 'posts'", f"'{name}' inside of a post")
        return [post.model_dump(exclude_unset=True) for post in self.posts]


class EntityAnswer(BaseModel):
    """A named entity."""

    start: int = Field(description="first character of the text, in Unicode code points")
    end: int = Field(description="the character behind the last one")
    type: str
    score: float = Field(description="probability under the CRF")
    surface: str
    words: list[int] = Field(description="first token, and the one behind the last")


class PostAnswer(BaseModel):
    """The answer for a post: as ``ita predict`` writes it. Further fields of the post come back."""

    model_config = ConfigDict(extra="allow")
    text: str
    tokens: list[str]
    view: str = Field(description="t (text) or it (image text and text)")
    image_status: str | None = Field(None, description="ok, missing, failed, refused or unread")
    image_error: str | None = None
    entities: list[EntityAnswer]
    image_text: dict[str, Any] | None = Field(None, description="what was found in the image, if asked for")
    error: str | None = Field(None, description="why the post was not read; then there are no entities")


class TagAnswer(BaseModel):
    """An answer for each post, in order."""

    model: str
    posts: list[PostAnswer]


class ErrorAnswer(BaseModel):
    """Why a request was not answered."""

    error: str
    code: str
    expected: str | None = None


def records_of(posts: Sequence[Mapping[str, Any]], options: ServeOptions) -> list[Record]:
    """What came, checked against the limits.

    Raises:
        ServiceError: for too many posts, or one that is too long.
    """
    if not posts:
        raise ServiceError(422, "no_posts", "found no post", "at least one")
    if len(posts) > options.max_posts:
        raise ServiceError(413, "too_many_posts", f"found {len(posts)} posts", f"at most {options.max_posts} a request")
    for number, post in enumerate(posts):
        size = sum(characters(post.get(name)) for name in ("text", "tokens", "context"))
        if size > options.max_text:
            message = f"post {number} has {size} characters, its context included"
            raise ServiceError(413, "text_too_long", message, f"at most {options.max_text}")
    return [record_of(post) for post in posts]


def characters(value: Any) -> int:
    """Characters of a text or of texts in a list, each with the space behind it."""
    if isinstance(value, list):
        return sum(len(item) + 1 for item in value if isinstance(item, str))
    return len(value) if isinstance(value, str) else 0


def record_of(post: Mapping[str, Any]) -> Record:
    """A post as a reader of ``ita predict`` would give it."""
    values = {name: value for name, value in post.items() if name not in ("image", "image_url", "image_base64")}
    if post.get("image") is not None:
        return Record(values, "expected 'image_url' or 'image_base64', found 'image'")
    url, content = post.get("image_url"), post.get("image_base64")
    if url and content:
        return Record(values, "expected one of 'image_url' and 'image_base64', found both")
    if content is not None and not isinstance(content, str):
        return Record(values, f"expected 'image_base64' to be a string, found {type(content).__name__}")
    if url is not None and not isinstance(url, str):
        return Record(values, f"expected 'image_url' to be a string, found {type(url).__name__}")
    if content:
        try:
            return Record({**values, "image": decode_base64(content)})
        except (ValueError, binascii.Error) as error:
            return Record(values, f"expected 'image_base64' to be base64: {error}")
    return Record({**values, "image": url} if url else values)


def decode_base64(text: str) -> bytes:
    """The bytes of base64, or of a data URL with it."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    return base64.b64decode("".join(text.split()), validate=True)


def answers_of(answers: Sequence[TaggedPost], posts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Answers as JSON has them, with the further fields of their posts."""
    return [
        replace(answer, columns={name: value for name, value in post.items() if name != "image_base64"}).to_dict()
        for answer, post in zip(answers, posts, strict=True)
    ]


class Json(Response):
    """An answer with the characters as ``ita predict`` writes them."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Bytes of a value."""
        return json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
