"""From the posts of a request to their answers: images fetched, read and tagged in lanes that all requests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ita.data.visual_context import EMPTY
from ita.log import log
from ita.serving import metrics
from ita.serving.errors import ServiceError
from ita.serving.lanes import Lane
from ita.serving.options import ServeOptions
from ita.tagging.image_engines import IMAGES, ReadImage, image_text, read_images
from ita.tagging.image_sources import URL, FetchedImage
from ita.tagging.posts import NewPost, Record, UnreadablePost
from ita.tagging.results import TaggedPost
from ita.tagging.tagger import Tagger, View, unread

DOWNLOADERS = 16
"""Requests whose images are fetched from servers at a time, which may be slow."""
VERIFIERS = 2
"""Requests whose uploaded images are verified at a time."""
WAITING_SHARE = 1 / 3
"""Share of a request's seconds that what waits may take; with more, its answer would come too late."""
FAILED = "the service failed at this post"

Pictured = tuple[NewPost, ReadImage | None]


class Service:
    """A tagger that answers many requests at a time.

    Args:
        tagger: the model; its ``image_folder`` is None, so that no path is read.
        options: limits.
        name: what clients call the model.
        view: auto, or t: images are never looked at.

    Raises:
        UserError: where the models that read images cannot be loaded.
    """

    def __init__(self, tagger: Tagger, options: ServeOptions, name: str, view: View = "auto") -> None:
        self.tagger, self.options, self.name, self.view = tagger, options, name, view
        self.queued_posts = self.queued_images = 0
        self.posts: Lane[Pictured, TaggedPost] = Lane("tag", self._tag, options.batch_tokens, metrics.observe_batch)
        self.reads_images = view == "auto" and tagger.images.reads_images
        if self.reads_images:
            self.engines = tagger.image_engines()
            self.sources = tagger.image_sources()
            self.images: Lane[FetchedImage, ReadImage] = Lane("images", self._read, IMAGES, metrics.observe_images)
            self.downloaders = ThreadPoolExecutor(DOWNLOADERS, "download")
            self.verifiers = ThreadPoolExecutor(VERIFIERS, "verify")

    @property
    def is_working(self) -> bool:
        """Whether a thread works on something, perhaps for nobody."""
        return self.posts.working or self.reads_images and self.images.working

    def _tag(self, batch: list[Pictured]) -> Sequence[TaggedPost]:
        return self.tagger.tag_posts([post for post, _ in batch], [image for _, image in batch])

    def _read(self, batch: list[FetchedImage]) -> Sequence[ReadImage]:
        return read_images(self.engines, batch)

    async def answer(self, records: Sequence[Record], view: View, explain: bool) -> list[TaggedPost]:
        """Answers for the posts of a request, in order; those that cannot be read have an error.

        Args:
            records: what came.
            view: auto or t.
            explain: say what was found in the images.

        Raises:
            ServiceError: 429, when too much waits already.
        """
        view = "t" if self.view == "t" else view
        images = sum(record.values.get("image") is not None for record in records)
        with self._admitted(len(records), images if self.reads_images and view == "auto" else 0):
            parsed = await asyncio.to_thread(self._parse, records, view)
            posts = {number: post for number, post in enumerate(parsed) if isinstance(post, NewPost)}
            read = await self._images_of(posts, view)
            answers = dict(zip(posts, await self._answers(posts, read, view), strict=True))
        if explain:
            texts = {number: image_text(read[number]) for number in read if answers[number].error is None}
            answers |= {number: replace(answers[number], image_text=text) for number, text in texts.items()}
        answered = [post if isinstance(post, TaggedPost) else answers[number] for number, post in enumerate(parsed)]
        count(answered)
        return answered

    def _parse(self, records: Sequence[Record], view: View) -> list[NewPost | TaggedPost]:
        parsed: list[NewPost | TaggedPost] = []
        for record in records:
            try:
                parsed.append(self.tagger.parse(record, view))
            except UnreadablePost as error:
                parsed.append(unread(record, str(error)))
        return parsed

    async def _images_of(self, posts: dict[int, NewPost], view: View) -> dict[int, ReadImage]:
        """What is found in the images of posts, by number."""
        sources = {number: post.image for number, post in posts.items() if post.image is not None}
        sources = {number: image for number, image in sources.items() if self.tagger.wants_image(posts[number], view)}
        if not self.reads_images or not sources:
            return {}
        async with self._files(list(sources.values())) as fetched:
            results = await self.images.run(fetched, [1] * len(fetched))
        return dict(zip(sources, map(image_or_failure, results), strict=True))

    @asynccontextmanager
    async def _files(self, sources: Sequence[str | bytes]) -> AsyncIterator[list[FetchedImage]]:
        """The images as files; they are removed at the end, even where nobody waits for a download any more."""
        folder = TemporaryDirectory(prefix="ita-serve-", ignore_cleanup_errors=True)
        downloads = any(isinstance(source, str) and URL.match(source) for source in sources)
        pool = self.downloaders if downloads else self.verifiers
        fetching = pool.submit(self.sources.fetch, sources, Path(folder.name))
        try:
            yield await asyncio.wrap_future(fetching)
        finally:
            fetching.add_done_callback(lambda _: folder.cleanup())

    async def _answers(self, posts: dict[int, NewPost], read: dict[int, ReadImage], view: View) -> list[TaggedPost]:
        """Answers for the posts that could be read."""
        pictured: list[Pictured] = [
            (replace(post, context=None) if view == "t" else post, read.get(number)) for number, post in posts.items()
        ]
        results = await self.posts.run(pictured, [weight(post, image) for post, image in pictured])
        answers = []
        for result in results:
            if isinstance(result, Exception):
                log.error("a post could not be tagged", exc_info=result)
                metrics.errors.labels("internal").inc()
                result = TaggedPost(None, [], [], error=FAILED)
            answers.append(result)
        return answers

    @contextmanager
    def _admitted(self, posts: int, images: int) -> Iterator[None]:
        """Counts what waits; raises ServiceError where it is too much."""
        longest = WAITING_SHARE * self.options.request_seconds
        seconds = self.posts.load * self.posts.seconds_per_unit
        if self.queued_posts + posts > self.options.max_queue_posts or seconds > longest:
            raise busy(f"{self.queued_posts} posts wait", seconds)
        if images and self.queued_images:
            seconds = self.queued_images * self.images.seconds_per_unit
            if self.queued_images + images > self.options.max_queue_images or seconds > longest:
                raise busy(f"{self.queued_images} images wait", seconds)
        self._count(posts, images)
        try:
            yield
        finally:
            self._count(-posts, -images)

    def _count(self, posts: int, images: int) -> None:
        self.queued_posts += posts
        self.queued_images += images
        metrics.queue_posts.set(self.queued_posts)
        metrics.queue_images.set(self.queued_images)


def busy(message: str, seconds: float) -> ServiceError:
    """Too much waits."""
    return ServiceError(429, "busy", message, "the same request later (Retry-After), or fewer at a time", seconds)


def weight(post: NewPost, image: ReadImage | None) -> int:
    """Words of a post and of its image text."""
    context = post.context or (EMPTY if image is None else image.context)
    return len(post.tokens) + len(context.words)


def image_or_failure(result: ReadImage | Exception) -> ReadImage:
    """What was found in an image; nothing where even the error was not foreseen."""
    if isinstance(result, Exception):
        log.error("an image could not be read", exc_info=result)
        return ReadImage(status="failed", error="unreadable: the service failed at this image")
    return result


def count(answers: Sequence[TaggedPost]) -> None:
    """Counts posts."""
    for answer in answers:
        if answer.error is not None:
            metrics.unread_posts.inc()
            continue
        metrics.posts.inc()
        metrics.tokens.inc(len(answer.tokens))
        if answer.image_status is not None:
            metrics.images.labels(answer.image_status).inc()
