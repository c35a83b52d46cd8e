"""A language model in this process: any that transformers' Auto classes load, with or without eyes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ita.config import Knowledge
from ita.data.generated_text import clean
from ita.errors import UserError
from ita.knowledge.pictures import load_picture
from ita.knowledge.types import Answer, Question, Record
from ita.log import log
from ita.model import hub
from ita.model.device import compute_dtype, resolve_device
from ita.vision.images import Unreadable

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

SETTING = "knowledge.model"
Prompt = tuple[Question, "Image | None"]
"""A question with its picture, if that can be read."""


class LocalModel:
    """Asks a model of ``AutoModelForImageTextToText`` or ``AutoModelForCausalLM``: greedy, from its chat template.

    Args:
        settings: of the stage.

    Raises:
        UserError: when the model cannot be loaded.
    """

    def __init__(self, settings: Knowledge) -> None:
        self.settings = settings
        self.device = resolve_device(settings.device)
        source = hub.find(settings.model, settings.revision, settings.local_files_only, SETTING)
        config = hub.load("AutoConfig", source, SETTING)
        self.reads_images = reads_images(config)
        width = int(getattr(config.get_text_config(), "hidden_size", 0) or 0)
        self.dtype = compute_dtype(self.device, settings.precision, width)
        if self.reads_images:
            self.processor = hub.load_processor(source, SETTING)
            self.tokenizer: Any = getattr(self.processor, "tokenizer", None)
            if self.tokenizer is None:
                raise UserError(f"setting {SETTING}: '{settings.model}' has no processor for images and text together")
            auto = "AutoModelForImageTextToText"
        else:
            self.processor = self.tokenizer = hub.load("AutoTokenizer", source, SETTING)
            auto = "AutoModelForCausalLM"
        # Generation continues from the last token, which therefore must not be padding.
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        model = hub.load(auto, source, SETTING, use_safetensors=True, dtype=self.dtype)
        self.model = model.to(self.device).eval()
        self.ends = end_ids(self.model, self.tokenizer)
        self.identity = {"backend": "transformers", "precision": str(self.dtype), **hub.identity(source, model)}
        self.metadata = {**self.identity, "device": str(self.device)}

    def ask(self, questions: Sequence[Question], record: Record) -> None:
        """Asks all questions; in fp32 an answer does not depend on what else is in its batch."""
        for batch in self._batches(questions):
            start = time.monotonic()
            answers = self._answer(batch)
            seconds = round((time.monotonic() - start) / len(batch), 3)
            for (question, _), (text, finish, prompt_tokens, tokens) in zip(batch, answers, strict=True):
                usage: dict[str, Any] = {
                    "prompt_tokens": prompt_tokens,
                    "completion_tokens": tokens,
                    "finish": finish,
                    "model": self.settings.model,
                    "seconds": seconds,
                }
                cleaned = clean(text)
                answer = Answer("ok", cleaned, **usage) if cleaned else Answer("empty", error="an empty text", **usage)
                record(question, answer)

    def _batches(self, questions: Sequence[Question]) -> Iterator[list[Prompt]]:
        """Batches of questions that all have a picture, or all have none."""
        waiting: dict[bool, list[Prompt]] = {True: [], False: []}
        for question in questions:
            picture = self._picture(question)
            batch = waiting[picture is not None]
            batch.append((question, picture))
            if len(batch) == self.settings.batch_size:
                yield batch
                waiting[picture is not None] = []
        yield from filter(None, waiting.values())

    def _picture(self, question: Question) -> Image | None:
        if question.image is None:
            return None
        try:
            return load_picture(question.image, self.settings.max_pixels)
        except Unreadable as error:
            log.warning("%s: asked without the picture, which cannot be read (%s)", question.image.name, error)
            return None

    def _answer(self, batch: Sequence[Prompt]) -> list[tuple[str, str, int, int]]:
        """Text, how it ended, and tokens of prompt and answer of each question."""
        import torch

        texts = [self._prompt(question, picture is not None) for question, picture in batch]
        pictures = [[picture] for _, picture in batch if picture is not None]
        images = {"images": pictures} if pictures else {}
        # A chat template has written the special tokens already.
        options = {"padding": True, "return_tensors": "pt", "add_special_tokens": not self._has_template()}
        inputs = self.processor(text=texts, **images, **options).to(self.device)
        inputs.pop("token_type_ids", None)
        for name, value in inputs.items():
            if torch.is_floating_point(value):
                inputs[name] = value.to(self.dtype)
        with torch.inference_mode():
            output = self.model.generate(
                **inputs,
                do_sample=False,
                num_beams=1,
                max_new_tokens=self.settings.max_tokens,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        answers = output[:, inputs["input_ids"].shape[1] :]
        prompt_tokens = inputs["attention_mask"].sum(1).tolist()
        return [
            (text, finish, count, tokens)
            for (text, finish, tokens), count in zip(map(self._ended, answers), prompt_tokens, strict=True)
        ]

    def _ended(self, ids: Tensor) -> tuple[str, str, int]:
        """Text of an answer, how it ended, and its tokens.

        Args:
            ids: (T,) of the answer, and padding.
        """
        answer_ids = ids.tolist()
        end = next((position for position, token in enumerate(answer_ids) if token in self.ends), None)
        finish = "length" if end is None else "stop"
        answer_ids = answer_ids[:end]
        return self.tokenizer.decode(answer_ids, skip_special_tokens=True), finish, len(answer_ids)

    def _has_template(self) -> bool:
        return bool(getattr(self.processor, "chat_template", None) or getattr(self.tokenizer, "chat_template", None))

    def _prompt(self, question: Question, with_picture: bool) -> str:
        """The question in the model's chat template, or as it is for a model without one."""
        if not self._has_template():
            return f"{question.system}\n\n{question.text}".strip()
        content: Any = question.text
        system: Any = question.system
        if self.reads_images:
            picture = [{"type": "image"}] if with_picture else []
            content = [*picture, {"type": "text", "text": question.text}]
            system = [{"type": "text", "text": question.system}]
        chat = [{"role": "user", "content": content}]
        if question.system:
            chat.insert(0, {"role": "system", "content": system})
        try:
            return str(self.processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))
        except Exception as error:  # templates refuse roles that their model does not know
            raise UserError(
                f"setting {SETTING}: the chat template of '{self.settings.model}' refuses the prompt ({error}); a "
                "template of one's own without the part [system] may fit"
            ) from None


def reads_images(config: Any) -> bool:
    """Whether a model reads pictures, by its configuration."""
    from transformers import AutoModelForImageTextToText

    return type(config) in AutoModelForImageTextToText._model_mapping


def end_ids(model: Any, tokenizer: Any) -> set[int]:
    """Tokens that end an answer."""
    ends: set[int] = set()
    for value in (model.generation_config.eos_token_id, tokenizer.eos_token_id):
        ends |= set(value) if isinstance(value, list) else set() if value is None else {value}
    return ends
