"""A trained tagger for new posts, from Python: ``from ita import Tagger``.

The same object stands behind ``ita predict``. It may be called from several threads: one batch is worked on at a time.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast, get_args

from ita.data.visual_context import EMPTY, VisualContext
from ita.data.words import Marks
from ita.errors import UserError
from ita.tagging import hub_folders
from ita.tagging.image_settings import ImageSettings, check_complete, image_settings
from ita.tagging.posts import NewPost, Record, UnreadablePost, parse_post
from ita.tagging.results import Entity, TaggedPost
from ita.tagging.risk import thresholds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ita.model.inference import Prediction
    from ita.tagging.image_engines import ImageEngines, ReadImage
    from ita.tagging.image_sources import ImageSources

View = Literal["auto", "t"]
"""auto: image text and text where a post has an image or a context; t: the text alone, images are not looked at."""
CACHED_WORDS = 100_000
"""Words whose subwords are remembered."""
BATCH_SIZE = 32
Precision = Literal["fp32", "bf16"]
Quantization = Literal["int8"]


class Tagger:
    """A trained tagger with the models that read its images.

    Args:
        folder: run folder.
        device: auto (a GPU if there is one), cpu or cuda.
        settings: sections detect, caption, ocr, context and download whose values win over those of the run folder.
        image_folder: where relative paths of images start; None refuses paths.
        precision: arithmetic of the encoder, fp32 or bf16: half the time on processors that have it, nearly the same
            answers.
        quantize: int8 for matrix products in 8 bits, on a CPU; faster still on processors with VNNI.
        risk: leave out entities of low probability, so that at most this share of posts like the dev posts gets a wrong
            one (see ``ita.significance.conformal``); None keeps all.

    Raises:
        UserError: for a folder without a model, a wrong setting, or a device that is not there.
    """

    def __init__(
        self,
        folder: Path,
        device: str = "auto",
        settings: Mapping[str, Any] | None = None,
        image_folder: Path | None = Path(),
        precision: Precision = "fp32",
        quantize: Quantization | None = None,
        risk: float | None = None,
    ) -> None:
        check_arithmetic(precision, quantize)
        import torch

        from ita.model.checkpoint import load_model
        from ita.model.device import resolve_device
        from ita.model.inference import prepare_arithmetic

        self.folder = folder
        self.thresholds = {} if risk is None else thresholds(folder, risk)
        self.device = resolve_device(device)
        self.model, self._encoder, self.record = load_model(folder)
        self.images: ImageSettings = image_settings(self.record, settings or {}, folder)
        self.marks = cast(Marks, self.record.get("marks", "apart"))
        if self.marks not in get_args(Marks):
            raise UserError(f"{folder}/settings.json: expected 'marks' to be apart or joined, found {self.marks!r:.40}")
        self.image_folder = image_folder
        self._engines: ImageEngines | None = None
        self._lock, self._engines_lock = threading.Lock(), threading.RLock()
        self._region_width = int((self.record.get("regions") or {}).get("width", 0))
        if self._region_width:
            # A fusion layer reads a table even where no post has regions.
            self.model.set_region_features(torch.zeros(1, self._region_width, dtype=torch.float16))
        self.model.to(self.device)
        self._dtype = prepare_arithmetic(self.model, self.device, quantize or precision)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        revision: str | None = None,
        device: str = "auto",
        settings: Mapping[str, Any] | None = None,
        image_folder: Path | None = Path(),
        precision: Precision = "fp32",
        quantize: Quantization | None = None,
        risk: float | None = None,
    ) -> Self:
        """Loads a run folder, or a repository of the Hugging Face Hub that holds one.

        Args:
            model: folder or hub id.
            revision: commit, tag or branch on the hub.
            device: see the class.
            settings: see the class.
            image_folder: see the class.
            precision: see the class.
            quantize: see the class.
            risk: see the class.
        """
        folder = hub_folders.fetch_folder(str(model), revision)
        return cls(folder, device, settings, image_folder, precision, quantize, risk)

    @property
    def types(self) -> list[str]:
        """Entity types that it knows."""
        return sorted({tag.partition("-")[2] for tag in self.record["tags"] if "-" in tag})

    def predict(
        self, posts: Any, *, view: View = "auto", batch_size: int = BATCH_SIZE, explain: bool = False
    ) -> list[TaggedPost]:
        """Tags posts.

        Args:
            posts: texts, lists of tokens, or mappings with ``text`` or ``tokens`` and optionally ``image`` (path, URL,
                bytes) and ``context``; or a pandas frame with these columns. Other columns are carried through.
            view: auto or t.
            batch_size: posts per forward pass.
            explain: say also what was found in the image, in ``image_text``.

        Returns:
            An answer for each post, in order; one that cannot be read has an ``error``.
        """
        return self.tag([record_of(post) for post in list_posts(posts)], view, batch_size, explain)

    def tag(
        self, records: Sequence[Record], view: View = "auto", batch_size: int = BATCH_SIZE, explain: bool = False
    ) -> list[TaggedPost]:
        """Tags what a reader found; arguments and result as of ``predict``."""
        answers: dict[int, TaggedPost] = {}
        posts: dict[int, NewPost] = {}
        for number, record in enumerate(records):
            try:
                posts[number] = self.parse(record, view)
            except UnreadablePost as error:
                answers[number] = unread(record, str(error))
        if posts:
            images = self._read_images(posts, view)
            read = [images.get(number) for number in posts]
            tagged = self.tag_posts(list(posts.values()), read, view, batch_size, explain)
            for number, answer in zip(posts, tagged, strict=True):
                answers[number] = replace(answer, line=records[number].line, columns=records[number].values)
        return [answers[number] for number in range(len(records))]

    def parse(self, record: Record, view: View = "auto") -> NewPost:
        """The post of a record, cut into words as the training data are.

        Raises:
            UnreadablePost: saying what was expected.
        """
        if record.error is not None:
            raise UnreadablePost(record.error)
        post = parse_post(record.values, self.marks)
        if view == "auto" and post.context is None and (written := self.images.written):
            raise UnreadablePost(
                f"the model reads what a language model wrote ({', '.join(written)}), which cannot be asked for single "
                "posts yet: give its text as context, take view t, or tag in the pipeline (tag.model)"
            )
        return post

    def tag_posts(
        self,
        posts: Sequence[NewPost],
        images: Sequence[ReadImage | None],
        view: View = "auto",
        batch_size: int = BATCH_SIZE,
        explain: bool = False,
    ) -> list[TaggedPost]:
        """Tags posts whose images have been read: the last step of ``tag``.

        Args:
            posts: the posts.
            images: what was found in the image of each; None of one that is not read.
            view: as of ``predict``.
            batch_size: as of ``predict``.
            explain: as of ``predict``.
        """
        answers = []
        for post, image, (prediction, read_view) in zip(
            posts, images, self._predict(posts, images, view, batch_size), strict=True
        ):
            lowest, status = self.thresholds.get(read_view, -math.inf), image_status(post, image)
            entities = [entity for entity in entities_of(post, prediction) if entity.score > lowest]
            image_text = explained(image) if explain and image is not None else None
            answers.append(TaggedPost(post.text, post.tokens, entities, read_view, *status, image_text=image_text))
        return answers

    def wants_image(self, post: NewPost, view: View) -> bool:
        """Whether the image of a post is to be read, if the model reads any."""
        return view == "auto" and post.image is not None and (post.context is None or bool(self._region_width))

    def image_sources(self) -> ImageSources:
        """What makes files of the images of posts."""
        from ita.tagging.image_sources import ImageSources

        return ImageSources(self.images.download, self.image_folder)

    def image_engines(self) -> ImageEngines:
        """The models that read images, loaded when they are first asked for; one thread at a time may use them.

        Raises:
            UserError: where the run folder does not say which, or one cannot be loaded.
        """
        check_complete(self.record, self.images)
        from ita.tagging.image_engines import ImageEngines

        with self._engines_lock:
            if self._engines is None:
                self._engines = ImageEngines(self.images)
            return self._engines

    def reads_image(self, values: Mapping[str, Any], view: View) -> bool:
        """Whether tagging such a post takes its image, which takes longer."""
        return view == "auto" and self.images.reads_images and bool(values.get("image") is not None)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Copies the model, without its checkpoints and predictions, into a folder that ``from_pretrained`` loads."""
        return hub_folders.copy_folder(self.folder, Path(folder))

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Uploads the model to the Hugging Face Hub; gives the address of the commit.

        Args:
            repo_id: NAME or OWNER/NAME; made if need be.
            options: ``private``, ``token``, ``revision`` and ``commit_message`` of huggingface_hub.
        """
        return hub_folders.push_folder(self.folder, repo_id, **options)

    def _read_images(self, posts: Mapping[int, NewPost], view: View) -> dict[int, ReadImage]:
        """What is found in the images of posts, where the view and the model read any."""
        sources = {number: post.image for number, post in posts.items() if post.image and self.wants_image(post, view)}
        if not sources:
            return {}
        check_complete(self.record, self.images)
        if not self.images.reads_images:
            return {}
        from ita.tagging.image_engines import read_images

        engines = self.image_engines()
        with self._engines_lock, self.image_sources().open(list(sources.values())) as fetched:
            return dict(zip(sources, read_images(engines, fetched), strict=True))

    def _predict(
        self, posts: Sequence[NewPost], images: Sequence[ReadImage | None], view: View, batch_size: int
    ) -> list[tuple[Prediction, str]]:
        """Predictions, and the view that was read."""
        import torch

        from ita.model.inference import predict_tags

        contexts = [context_of(post, image, view) for post, image in zip(posts, images, strict=True)]
        features, regions = region_table(images, self._region_width)
        with self._lock:
            if features is not None:
                self.model.set_region_features(torch.from_numpy(features).to(self.device))
            self._encoder.limit_cache(CACHED_WORDS)
            views = self._encoder.encode([post.tokens for post in posts], contexts, regions)
            predictions = predict_tags(
                self.model,
                views,
                self.record["tags"],
                batch_size=batch_size,
                device=self.device,
                dtype=self._dtype,
            )
        # Where a post fills the encoder by itself, nothing of its image is read.
        views_read = [
            "it" if context.word_count > encoded.truncated or encoded.has_regions else "t"
            for context, encoded in zip(contexts, views, strict=True)
        ]
        return list(zip(predictions, views_read, strict=True))


def check_arithmetic(precision: str, quantize: str | None) -> None:
    """Raises UserError for an arithmetic that there is not."""
    if precision not in get_args(Precision):
        raise UserError(f"precision: expected {' or '.join(get_args(Precision))}, found {precision!r}")
    if quantize not in (None, *get_args(Quantization)):
        raise UserError(f"quantize: expected {' or '.join(get_args(Quantization))}, or none, found {quantize!r}")
    if quantize and precision != "fp32":
        raise UserError(f"precision {precision} and quantize {quantize} exclude each other: give one of them")


def list_posts(posts: Any) -> Iterable[Any]:
    """Posts one by one: of a sequence, of a pandas frame, or the only one."""
    if isinstance(posts, str | Mapping):
        return [posts]
    if hasattr(posts, "columns") and hasattr(posts, "to_dict"):
        if "text" not in posts.columns and "tokens" not in posts.columns:
            raise UserError(
                f"expected a column 'text' or 'tokens', found {', '.join(map(str, posts.columns)) or 'none'}"
            )
        return cast(Iterable[Any], posts.to_dict("records"))
    return cast(Iterable[Any], posts)


def record_of(post: Any) -> Record:
    """A post of a Python caller as a reader would give it."""
    if isinstance(post, str):
        return Record({"text": post})
    if isinstance(post, Mapping):
        return Record({str(name): value for name, value in post.items()})
    if isinstance(post, list | tuple):
        return Record({"tokens": list(post)})
    return Record({}, f"expected a text, tokens or a mapping, found {type(post).__name__}")


def unread(record: Record, error: str) -> TaggedPost:
    """The answer for a post that cannot be read."""
    return TaggedPost(None, [], [], error=error, line=record.line, columns=record.values)


def explained(image: ReadImage) -> Mapping[str, Any]:
    """What was found in an image, for an answer."""
    from ita.tagging.image_engines import image_text  # which imports much that posts without images do without

    return image_text(image)


def context_of(post: NewPost, image: ReadImage | None, view: View) -> VisualContext:
    """The context that is read of a post: its own, else that of its image."""
    if view == "t":
        return EMPTY
    if post.context is not None:
        return post.context
    return EMPTY if image is None else image.context


def region_table(
    images: Sequence[ReadImage | None], width: int
) -> tuple[NDArray[np.float16] | None, list[NDArray[np.int32]]]:
    """Region features of images in one table, and the rows of each; no table without any."""
    import numpy as np

    from ita.io.features import NO_REGIONS

    tables, rows, count = [], [], 0
    for image in images:
        features = None if image is None else image.features
        if features is None or not width:
            rows.append(NO_REGIONS)
            continue
        if features.shape[1] != width:
            raise UserError(f"the detector gives regions of {features.shape[1]} numbers, the model reads {width}")
        tables.append(features)
        rows.append(np.arange(count, count + len(features), dtype=np.int32))
        count += len(features)
    return (np.concatenate(tables) if tables else None), rows


def image_status(post: NewPost, image: ReadImage | None) -> tuple[str | None, str | None]:
    """Status of a post's image, and why it was not read."""
    if post.image is None:
        return None, None
    return ("unread", None) if image is None else (image.status, image.error)


def entities_of(post: NewPost, prediction: Prediction) -> list[Entity]:
    """Entities with characters of the text."""
    entities = []
    for span, score in zip(prediction.spans, prediction.posteriors, strict=True):
        start, end = post.offsets[span.start][0], post.offsets[span.end - 1][1]
        entities.append(Entity(start, end, span.type, score, post.text[start:end], (span.start, span.end)))
    return entities
