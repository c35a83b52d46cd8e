"""The tagger as a component of spaCy: ``nlp.add_pipe("ita", config={"model": FOLDER_OR_HUB_ID})``.

It reads the text of a document as ``ita predict`` does, cut into words as the training data are, whatever spaCy's
tokenizer made of it. An entity that begins or ends inside a token of spaCy's is widened to it (``alignment_mode``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import filter_spans, minibatch

from ita.errors import UserError
from ita.tagging.hub_folders import copy_folder, fetch_folder
from ita.tagging.results import TaggedPost
from ita.tagging.tagger import BATCH_SIZE, Tagger, View

ALIGNMENT_MODES = ("expand", "contract", "strict")
MODEL_FOLDER = "model"
"""Of the component's folder where a pipeline is saved."""
DOC_EXTENSIONS = {
    "image": None,
    "context": None,
    "image_status": None,
    "ita_error": None,
    "ita_moved": 0,
}
"""image and context are read, as by ``Tagger.predict``. The others are written: what became of the image, why a
document was not read, and how many entities do not lie on the borders of tokens."""
SCORE = "ita_score"
"""Of a span in ``doc.ents``: the probability of the entity. It is kept in ``doc.user_data``, so it is saved with it."""


@Language.factory(  # type: ignore[untyped-decorator]
    "ita",
    default_config={
        "model": "",
        "revision": None,
        "view": "auto",
        "device": "auto",
        "precision": "fp32",
        "quantize": None,
        "risk": None,
        "settings": {},
        "image_folder": ".",
        "alignment_mode": "expand",
        "batch_size": BATCH_SIZE,
    },
    assigns=["doc.ents"],
)
def make_component(
    nlp: Language,
    name: str,
    model: str,
    revision: str | None,
    view: View,
    device: str,
    precision: str,
    quantize: str | None,
    risk: float | None,
    settings: dict[str, Any],
    image_folder: str | None,
    alignment_mode: str,
    batch_size: int,
) -> ItaComponent:
    """The component of a pipeline's configuration; all but the last two are as of :class:`ita.Tagger`.

    Args:
        nlp: the pipeline.
        name: of the component.
        model: run folder or hub id.
        revision: of a model on the hub.
        view: auto or t.
        device: auto, cpu or cuda.
        precision: fp32 or bf16.
        quantize: int8 or none.
        risk: highest share of documents with a wrong entity, or none.
        settings: sections for what reads images.
        image_folder: where relative paths of images start; none refuses paths.
        alignment_mode: what happens to entities that do not lie on the borders of tokens: expand, contract or strict,
            which leaves them out.
        batch_size: documents per forward pass.
    """
    folder = None if image_folder is None else Path(image_folder)
    options: dict[str, Any] = {"device": device, "settings": settings, "image_folder": folder}
    options |= {"precision": precision, "quantize": quantize, "risk": risk}
    return ItaComponent(model, revision, options, view, alignment_mode, batch_size)


class ItaComponent:
    """Sets ``doc.ents``; the model is loaded when the first document comes, or from a saved pipeline."""

    def __init__(
        self,
        model: str,
        revision: str | None,
        options: dict[str, Any],
        view: View = "auto",
        alignment_mode: str = "expand",
        batch_size: int = BATCH_SIZE,
    ) -> None:
        if alignment_mode not in ALIGNMENT_MODES:
            raise UserError(f"alignment_mode: expected {' or '.join(ALIGNMENT_MODES)}, found {alignment_mode!r}")
        self.model, self.revision, self.options = model, revision, options
        self.view, self.alignment_mode, self.batch_size = view, alignment_mode, batch_size
        self._tagger: Tagger | None = None
        for name, default in DOC_EXTENSIONS.items():
            if not Doc.has_extension(name):
                Doc.set_extension(name, default=default)
        if not Span.has_extension(SCORE):
            Span.set_extension(SCORE, default=None)

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which loads a model of its own."""
        return {**self.__dict__, "_tagger": None}

    @property
    def tagger(self) -> Tagger:
        """The model, loaded."""
        if self._tagger is None:
            self._tagger = Tagger(self._folder(), **self.options)
        return self._tagger

    def __call__(self, doc: Doc) -> Doc:
        """Tags a document."""
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Doc], batch_size: int | None = None) -> Iterator[Doc]:
        """Tags documents as they come, ``batch_size`` at a time."""
        for docs in minibatch(stream, size=batch_size or self.batch_size):
            records = [{"text": doc.text, "image": doc._.image, "context": doc._.context} for doc in docs]
            answers = self.tagger.predict(records, view=self.view, batch_size=self.batch_size)
            for doc, answer in zip(docs, answers, strict=True):
                self._annotate(doc, answer)
                yield doc

    def to_disk(self, path: str | Path, exclude: Iterable[str] = ()) -> None:
        """Saves the model with the pipeline, which then needs nothing else."""
        Path(path).mkdir(parents=True, exist_ok=True)
        if MODEL_FOLDER not in exclude:
            copy_folder(self._folder(), Path(path) / MODEL_FOLDER)

    def from_disk(self, path: str | Path, exclude: Iterable[str] = ()) -> ItaComponent:
        """Takes the model of a saved pipeline."""
        if MODEL_FOLDER not in exclude:
            self.model, self.revision, self._tagger = str(Path(path) / MODEL_FOLDER), None, None
        return self

    def _folder(self) -> Path:
        if not self.model:
            raise UserError('the component has no model: nlp.add_pipe("ita", config={"model": FOLDER_OR_HUB_ID})')
        return fetch_folder(self.model, self.revision)

    def _annotate(self, doc: Doc, answer: TaggedPost) -> None:
        """Writes an answer into its document."""
        doc._.image_status, doc._.ita_error = answer.image_status, answer.error
        doc._.ita_moved = 0
        spans, scores = [], {}
        for entity in answer.entities:
            options = {"label": entity.type, "alignment_mode": self.alignment_mode}
            span = doc.char_span(entity.start, entity.end, **options)
            if span is None or (span.start_char, span.end_char) != (entity.start, entity.end):
                doc._.ita_moved += 1
            if span is not None:
                spans.append(span)
                scores[span.start, span.end] = entity.score
        # Two entities in one token overlap when they are widened: the longer one stays, or the first.
        doc.ents = filter_spans(spans)
        for span in doc.ents:
            span._.set(SCORE, scores[span.start, span.end])
